"""The failure detectors by the names that services.toml uses, and `make`, which builds one from its specification."""

from __future__ import annotations

from collections.abc import Callable

from supervisor.core.detection.detectors import logistic, normal
from supervisor.core.detection.detectors.accrual import Accrual, ScoreFunction
from supervisor.core.detection.detectors.adaptive import Adaptive
from supervisor.core.detection.detectors.bertier import Bertier
from supervisor.core.detection.detectors.chen import Chen
from supervisor.core.detection.detectors.exponential import Exponential
from supervisor.core.detection.detectors.failed_probes import FailedProbes
from supervisor.core.detection.detectors.phi import Phi
from supervisor.core.detection.detectors.protocol import Detector
from supervisor.core.detection.detectors.quantile import Quantile
from supervisor.core.detection.detectors.timeout import Timeout
from supervisor.core.detection.detectors.two_window import TwoWindow
from supervisor.core.detection.target import longest_silence, score
from supervisor.core.model.spec import PROBED, HeartbeatSpec


def _timeout(spec: HeartbeatSpec) -> Detector:
    """A fixed timeout.  min_timeout and max_timeout do not bound it: they are for detectors that learn their
    timeout."""
    return Accrual("timeout", Timeout(spec.timeout), spec.interval, max(spec.max_timeout, spec.timeout))


SCORE_FUNCTIONS: dict[str, Callable[[HeartbeatSpec], ScoreFunction]] = {
    "phi": lambda spec: Phi(normal.phi, normal.phi_inverse, spec.threshold),
    "phi-logistic": lambda spec: Phi(logistic.phi, logistic.phi_inverse, spec.threshold),
    "exponential": lambda spec: Exponential(spec.threshold),
    "chen": lambda spec: Chen(spec.threshold, spec.interval),
    "two-window": lambda spec: TwoWindow(spec.threshold, spec.interval),
    "bertier": lambda spec: Bertier(spec.threshold, spec.interval),
    "quantile": lambda spec: Quantile(spec.threshold),
    "adaptive": lambda spec: Adaptive(spec.threshold, spec.interval),
}
"""Detectors that learn their timeout, within min_timeout and max_timeout."""

KNOWN = ("timeout", *SCORE_FUNCTIONS)
"""The names of all detectors in services.toml."""


_IN_PHI = frozenset(("phi", "phi-logistic", "exponential", "quantile", "adaptive"))
"""Detectors whose threshold is φ."""
_USUAL_PHI = 8.0


def _probes(spec: HeartbeatSpec, phi: float) -> FailedProbes | None:
    return (
        FailedProbes(phi, phi if spec.target else spec.threshold, spec.probe_timeout) if spec.source in PROBED else None
    )


def make(spec: HeartbeatSpec) -> Detector:
    """A new detector as specified.  ValueError: no detector of that name.

    With a target the detector waits as long as the target allows, until the recorded intervals bound it
    (`Instance.apply_target`)."""
    if spec.target is not None:
        maximum = longest_silence(spec)
        phi = score(spec)
        grace = max(spec.max_timeout, maximum)
        return Accrual(
            "adaptive", Adaptive(phi, spec.interval), spec.interval, grace, maximum, maximum, _probes(spec, phi)
        )
    if spec.detector == "timeout":
        return _timeout(spec)
    known = SCORE_FUNCTIONS.get(spec.detector)
    if known is None:
        raise ValueError(f"no detector {spec.detector!r}; known are {', '.join(KNOWN)}")
    probes = _probes(spec, spec.threshold if spec.detector in _IN_PHI else _USUAL_PHI)
    return Accrual(
        spec.detector, known(spec), spec.interval, spec.max_timeout, spec.min_timeout, spec.max_timeout, probes
    )
