"""The detectors that are compared: the supervisor's own, and those of other projects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from supervisor.core.detection.detectors.registry import KNOWN, make
from supervisor.core.model.spec import HeartbeatSpec
from supervisor.detectorlab import reimplementations as peers
from supervisor.detectorlab.pypi_phi import PypiPhi


class ComparedDetector(Protocol):
    """The part of `Detector` that a comparison uses; times in seconds."""

    def start(self, now: float) -> None: ...

    def heartbeat(self, at: float, sent: float | None = None) -> bool: ...

    def suspicion(self, at: float) -> float: ...

    def suspect_at(self, threshold: float | None = None) -> float | None: ...


@dataclass(frozen=True, slots=True)
class Candidate:
    """One detector. `make` takes the period (seconds) and the threshold; `bent`: what it learns depends on the
    threshold.
    """

    name: str
    make: Callable[[float, float], ComparedDetector]
    bent: bool = False
    default: float = 8.0


def _ours(name: str) -> Callable[[float, float], ComparedDetector]:
    """A factory of the detector `name`, without floors and caps."""

    def new(period: float, threshold: float) -> ComparedDetector:
        spec = HeartbeatSpec(
            detector=name, interval=period, threshold=threshold, min_timeout=0.0, max_timeout=1e6, timeout=period
        )
        return make(spec)

    return new


OURS = tuple(Candidate(name, _ours(name), bent=name == "adaptive") for name in KNOWN)
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
