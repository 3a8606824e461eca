"""Failure detectors: beats in, suspicion out.

A detector watches one target by one monotonic clock (seconds), which it never reads itself.  It answers with the
moment at which suspicion would begin, so that nobody has to poll it.  Whatever floats it is given, it neither
raises nor answers with NaN or infinity.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from supervisor.core.detection.detectors import logistic, normal
from supervisor.core.detection.detectors.accrual import Accrual, Law
from supervisor.core.detection.detectors.adaptive import Adaptive
from supervisor.core.detection.detectors.bertier import Bertier
from supervisor.core.detection.detectors.chen import Chen
from supervisor.core.detection.detectors.exponential import Exponential
from supervisor.core.detection.detectors.phi import Phi
from supervisor.core.detection.detectors.quantile import Quantile
from supervisor.core.detection.detectors.timeout import Timeout
from supervisor.core.detection.detectors.two_window import TwoWindow
from supervisor.core.detection.target import longest_silence, score
from supervisor.core.model.spec import HeartbeatSpec


class Detector(Protocol):
    """One target's failure detector."""

    name: str
    threshold: float
    last: float | None
    """Time of the last accepted beat."""
    ignored: int
    """Beats that were not accepted, ever."""

    def start(self, now: float) -> None:
        """A new incarnation is ready: forget the last beat, keep what was learned of the rhythm; grace begins."""
        ...

    def heartbeat(self, at: float, sent: float | None = None) -> bool:
        """Take a beat that arrived `at`.  False: backward, duplicate, or no possible time; it is counted only."""
        ...

    def suspicion(self, at: float) -> float:
        """The score, on the detector's own scale; 0.0 before the first beat.  It never falls while silence lasts."""
        ...

    def suspect_at(self, threshold: float | None = None) -> float | None:
        """The moment at which suspicion begins: threshold reached, floors and caps applied.  None before `start`.

        With a threshold: the moment at which suspicion reaches that one, floors and caps aside.
        """
        ...

    def excuse(self, seconds: float, until: float) -> None:
        """So much of the present silence, until then, is not the target's fault: it is not counted, and the interval
        not learned."""
        ...

    def spare(self, factor: float) -> None:
        """The present silence may last `factor` times as long, within the cap, before it is suspicious: we ourselves
        may be slow.  The score stays what it is."""
        ...

    def forget_current(self) -> None:
        """The interval now running overlaps a suspicion or a stop: do not learn it."""
        ...

    def bound(self, least: float, most: float) -> None:
        """Suspicion begins no earlier than `least`, and at the latest `most` seconds after the last beat."""
        ...

    def intervals(self) -> tuple[float, ...]:
        """The newest 64 learned intervals at most, in seconds, oldest first."""
        ...

    def snapshot(self) -> dict[str, object]:
        """Everything worth keeping, as JSON-able data."""
        ...

    def restore(self, snapshot: Mapping[str, object]) -> None:
        """Take up where the snapshot was taken.  From garbage: start cold, without a word."""
        ...


def _timeout(spec: HeartbeatSpec) -> Detector:
    """Not bounded by min_timeout and max_timeout, which are for detectors that find their timeout themselves."""
    return Accrual("timeout", Timeout(spec.timeout), spec.interval, max(spec.max_timeout, spec.timeout))


LAWS: dict[str, Callable[[HeartbeatSpec], Law]] = {
    "phi": lambda spec: Phi(normal.phi, normal.phi_inverse, spec.threshold),
    "phi-logistic": lambda spec: Phi(logistic.phi, logistic.phi_inverse, spec.threshold),
    "exponential": lambda spec: Exponential(spec.threshold),
    "chen": lambda spec: Chen(spec.threshold, spec.interval),
    "two-window": lambda spec: TwoWindow(spec.threshold, spec.interval),
    "bertier": lambda spec: Bertier(spec.threshold, spec.interval),
    "quantile": lambda spec: Quantile(spec.threshold),
    "adaptive": lambda spec: Adaptive(spec.threshold, spec.interval),
}
"""Those that find their timeout themselves, within min_timeout and max_timeout."""

KNOWN = ("timeout", *LAWS)
"""Every detector by the name that services.toml gives it."""


def make(spec: HeartbeatSpec) -> Detector:
    """A new detector as asked for.  ValueError: no detector of that name.

    One with a target is as patient as that allows, until somebody who knows the rhythm bounds it."""
    if spec.target is not None:
        most = longest_silence(spec)
        law = Adaptive(score(spec), spec.interval)
        return Accrual("adaptive", law, spec.interval, max(spec.max_timeout, most), most, most)
    if spec.detector == "timeout":
        return _timeout(spec)
    known = LAWS.get(spec.detector)
    if known is None:
        raise ValueError(f"no detector {spec.detector!r}; known are {', '.join(KNOWN)}")
    return Accrual(spec.detector, known(spec), spec.interval, spec.max_timeout, spec.min_timeout, spec.max_timeout)
