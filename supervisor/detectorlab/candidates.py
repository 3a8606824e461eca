"""The detectors that are compared: the supervisor's own, and those of other projects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from supervisor.core.detection.detectors.registry import KNOWN, make
from supervisor.core.model.spec import HeartbeatSpec
from supervisor.detectorlab import reimplementations as peers
from supervisor.detectorlab.pypi_phi import PypiPhi
from supervisor.detectorlab.scenarios import PERIOD, Trace


class ComparedDetector(Protocol):
    """The part of `Detector` that a comparison uses; times in seconds."""

    def start(self, now: float) -> None: ...

    def heartbeat(self, at: float, sent: float | None = None) -> bool: ...

    def suspicion(self, at: float) -> float: ...

    def suspect_at(self, threshold: float | None = None) -> float | None: ...


@runtime_checkable
class CountsFailures(ComparedDetector, Protocol):
    """A detector that is told of failed probes; those of other projects know only silence."""

    @property
    def counts_failures(self) -> bool: ...

    def failed(self, at: float) -> None: ...


@dataclass(frozen=True, slots=True)
class Candidate:
    """One detector. `make` takes the period (seconds) and the threshold; `bent`: what it learns depends on the
    threshold; `probing`: as `make`, for targets that are probed.
    """

    name: str
    make: Callable[[float, float], ComparedDetector]
    bent: bool = False
    default: float = 8.0
    probing: Callable[[float, float], ComparedDetector] | None = None

    def watcher(self, trace: Trace, threshold: float) -> ComparedDetector:
        """A new detector for this trace."""
        make = self.probing if trace.probed and self.probing is not None else self.make
        return make(PERIOD, threshold)


def _ours(name: str, source: str) -> Callable[[float, float], ComparedDetector]:
    """A factory of the detector `name`, without floors and caps, for beats of this source."""

    def new(period: float, threshold: float) -> ComparedDetector:
        spec = HeartbeatSpec(
            source=source, detector=name, interval=period, threshold=threshold, min_timeout=0.0, max_timeout=1e6,
            timeout=period,
        )  # fmt: skip
        return make(spec)

    return new


OURS = tuple(
    Candidate(name, _ours(name, "notify"), bent=name == "adaptive", probing=_ours(name, "exec")) for name in KNOWN
)
PEERS = (
    Candidate("akka", lambda period, threshold: peers.Akka(period, threshold, pause=0.0), bent=True),
    Candidate("cassandra", peers.Cassandra),
    Candidate("hazelcast", lambda period, threshold: peers.Hazelcast(period, threshold, pause=0.0), default=10.0),
)
"""Peers without their acceptable pause of several seconds, so that their threshold can be tuned."""
BY_NAME = {contender.name: contender for contender in OURS + PEERS}

SHIPPED = {
    contender.name: contender
    for contender in (
        Candidate("akka", peers.Akka),
        Candidate("cassandra", peers.Cassandra),
        Candidate("hazelcast", peers.Hazelcast, default=10.0),
        Candidate(PypiPhi.NAME, PypiPhi),
    )
}
"""Peers with the defaults that they are shipped with."""


def there() -> list[str]:
    """The names in `SHIPPED` that are installed here."""
    return [name for name in SHIPPED if name != PypiPhi.NAME or PypiPhi.installed()]
