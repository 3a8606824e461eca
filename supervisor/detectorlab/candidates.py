"""Who is compared: our detectors, and the peers (`peers.py`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from supervisor.core.detection.detectors.registry import KNOWN, make
from supervisor.core.model.spec import HeartbeatSpec
from supervisor.detectorlab import reimplementations as peers
from supervisor.detectorlab.pypi_phi import PypiPhi


class ComparedDetector(Protocol):
    """What of a `Detector` is compared; times in seconds."""

    def start(self, now: float) -> None: ...

    def heartbeat(self, at: float, sent: float | None = None) -> bool: ...

    def suspicion(self, at: float) -> float: ...

    def suspect_at(self, threshold: float | None = None) -> float | None: ...


@dataclass(frozen=True, slots=True)
class Candidate:
    """`make` takes the period (seconds) and the threshold; `bent`: what is learned depends on the threshold."""

    name: str
    make: Callable[[float, float], ComparedDetector]
    bent: bool = False
    default: float = 8.0


def _ours(name: str) -> Callable[[float, float], ComparedDetector]:
    """Floors and caps aside."""

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
"""To be tuned by their threshold: an acceptable pause of seconds would leave nothing to tune."""
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
"""As people get them."""


def there() -> list[str]:
    """Those of `SHIPPED` that can be tried here."""
    return [name for name in SHIPPED if name != PypiPhi.NAME or PypiPhi.installed()]
