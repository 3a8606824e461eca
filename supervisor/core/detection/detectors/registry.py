"""The failure detectors by the names that services.toml uses, and `make`, which builds one from its specification."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from supervisor.core.detection.detectors.accrual import Accrual, ScoreFunction
from supervisor.core.detection.detectors.protocol import Detector
from supervisor.core.model.spec import PROBED, HeartbeatSpec

if TYPE_CHECKING:
    from supervisor.core.detection.detectors.failed_probes import FailedProbes

# Each is imported where it is made: a daemon needs one or two of them.


def _timeout(spec: HeartbeatSpec) -> Detector:
    """A fixed timeout.  min_timeout and max_timeout do not bound it: they are for detectors that learn their
    timeout."""
    from supervisor.core.detection.detectors.timeout import Timeout

    return Accrual("timeout", Timeout(spec.timeout), spec.interval, max(spec.max_timeout, spec.timeout))


def _phi(spec: HeartbeatSpec) -> ScoreFunction:
    from supervisor.core.detection.detectors import normal
    from supervisor.core.detection.detectors.phi import Phi

    return Phi(normal.phi, normal.phi_inverse, spec.threshold)


def _phi_logistic(spec: HeartbeatSpec) -> ScoreFunction:
    from supervisor.core.detection.detectors import logistic
    from supervisor.core.detection.detectors.phi import Phi

    return Phi(logistic.phi, logistic.phi_inverse, spec.threshold)


def _exponential(spec: HeartbeatSpec) -> ScoreFunction:
    from supervisor.core.detection.detectors.exponential import Exponential

    return Exponential(spec.threshold)


def _chen(spec: HeartbeatSpec) -> ScoreFunction:
    from supervisor.core.detection.detectors.chen import Chen

    return Chen(spec.threshold, spec.interval)


def _two_window(spec: HeartbeatSpec) -> ScoreFunction:
    from supervisor.core.detection.detectors.two_window import TwoWindow

    return TwoWindow(spec.threshold, spec.interval)


def _bertier(spec: HeartbeatSpec) -> ScoreFunction:
    from supervisor.core.detection.detectors.bertier import Bertier

    return Bertier(spec.threshold, spec.interval)


def _quantile(spec: HeartbeatSpec) -> ScoreFunction:
    from supervisor.core.detection.detectors.quantile import Quantile

    return Quantile(spec.threshold)


def _adaptive(threshold: float, spec: HeartbeatSpec) -> ScoreFunction:
    from supervisor.core.detection.detectors.adaptive import Adaptive

    return Adaptive(threshold, spec.interval)


SCORE_FUNCTIONS: dict[str, Callable[[HeartbeatSpec], ScoreFunction]] = {
    "phi": _phi,
    "phi-logistic": _phi_logistic,
    "exponential": _exponential,
    "chen": _chen,
    "two-window": _two_window,
    "bertier": _bertier,
    "quantile": _quantile,
    "adaptive": lambda spec: _adaptive(spec.threshold, spec),
}
"""Detectors that learn their timeout, within min_timeout and max_timeout."""

KNOWN = ("timeout", *SCORE_FUNCTIONS)
"""The names of all detectors in services.toml."""


_IN_PHI = frozenset(("phi", "phi-logistic", "exponential", "quantile", "adaptive"))
"""Detectors whose threshold is φ."""
_USUAL_PHI = 8.0
_ACTS_UNSEEN = "activity"
"""The source whose beats have no time of their own: a look tells that the process has run since the look before."""
_RHYTHM = {"activity": 10}
"""Sources that beat at no configured interval, and how many intervals must be learned before they count: a program
that rests for some seconds after its start is healthy, and `interval` only says how often it is looked at."""


def _probes(spec: HeartbeatSpec, phi: float) -> FailedProbes | None:
    if spec.source not in PROBED:
        return None
    from supervisor.core.detection.detectors.failed_probes import FailedProbes

    return FailedProbes(phi, phi if spec.target else spec.threshold, spec.probe_timeout)


def least_silence(spec: HeartbeatSpec) -> float:
    """Seconds after a beat before which nothing is suspected, without a target.

    A process that acts just after each look was, at the second look after a beat, silent for no longer than its own
    rhythm: so `activity` waits for one look more."""
    late = spec.interval if spec.source == _ACTS_UNSEEN else 0.0
    return min(spec.min_timeout + late, spec.max_timeout)


def make(spec: HeartbeatSpec) -> Detector:
    """A new detector as specified.  ValueError: no detector of that name.

    With a target the detector waits as long as the target allows, until the recorded intervals bound it
    (`Instance.apply_target`)."""
    if spec.target is not None:
        from supervisor.core.detection.target import longest_silence, score

        maximum = longest_silence(spec)
        phi = score(spec)
        grace = max(spec.max_timeout, maximum)
        return Accrual("adaptive", _adaptive(phi, spec), spec.interval, grace, maximum, maximum, _probes(spec, phi))
    if spec.detector == "timeout":
        return _timeout(spec)
    known = SCORE_FUNCTIONS.get(spec.detector)
    if known is None:
        raise ValueError(f"no detector {spec.detector!r}; known are {', '.join(KNOWN)}")
    probes = _probes(spec, spec.threshold if spec.detector in _IN_PHI else _USUAL_PHI)
    return Accrual(
        spec.detector,
        known(spec),
        spec.interval,
        spec.max_timeout,
        least_silence(spec),
        spec.max_timeout,
        probes,
        _RHYTHM.get(spec.source, 0),
    )
