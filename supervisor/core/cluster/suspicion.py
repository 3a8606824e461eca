"""Suspicion between hosts: each member's heartbeats, judged by a φ-accrual detector within bounds.

A suspicion starts and moves nothing: sessions with ZooKeeper alone decide about exclusive instances.  It takes the
host's instances out of rotation, and is shown.

Members beat ten times within `detect_within`.  Suspicion begins after a silence of 0.7 to 1.0 of that time, so that six
beats in a row may be lost: at 5 % loss once in 10⁹ beats.  A host under suspicion has to beat three times before it
counts again, so that one on a bad link does not come and go.

Beats wait in the socket while this process does not run, and are taken before anything is judged.  The time by which
this process ran late is not counted as silence, either: if the host as a whole stood still, no beats wait in the
socket.

A member from which no heartbeat has ever come is not suspected: its heartbeats may not get through at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from supervisor.core.detection.detectors import normal
from supervisor.core.detection.detectors.accrual import Accrual
from supervisor.core.detection.detectors.phi import Phi
from supervisor.core.detection.local_health import TOLERANCE, LocalHealth, LoopLag

BEATS = 10
"""Heartbeats within the wish."""
EARLIEST, LATEST = 0.7, 1.0
"""Parts of the wish: the silence after which suspicion may begin, and by which it has begun."""
PHI = 8.0
RETURNS = 3
"""Heartbeats that end a suspicion."""


@dataclass
class _Peer:
    """`left`: when it vanished from the registry; `beats`: since the suspicion began, None: there is none."""

    detector: Accrual
    left: float | None = None
    beats: int | None = None


@dataclass
class Suspicion:
    """Of the other members.  `wish`, `keep`: seconds in which a silent host is to be suspected, and for which one that
    is not in the registry any more is still judged.  Moments are seconds of one clock that does not step."""

    wish: float
    keep: float
    _peers: dict[str, _Peer] = field(default_factory=dict)
    _health: LocalHealth = field(default_factory=LocalHealth)

    def __post_init__(self) -> None:
        self._lag = LoopLag(min(TOLERANCE, self.interval))

    @property
    def interval(self) -> float:
        """Seconds between two heartbeats."""
        return self.wish / BEATS

    def members(self, names: Iterable[str], now: float) -> None:
        """The other members that are in the registry now."""
        there = set(names)
        for name in there - self._peers.keys():
            score = Phi(normal.phi, normal.phi_inverse, PHI)
            minimum, maximum = EARLIEST * self.wish, LATEST * self.wish
            self._peers[name] = _Peer(Accrual("phi", score, self.interval, maximum, minimum, maximum))
            self._peers[name].detector.start(now)
        for name, peer in list(self._peers.items()):
            peer.left = None if name in there else now if peer.left is None else peer.left
            if peer.left is not None and now - peer.left >= self.keep:
                del self._peers[name]

    def knows(self, name: str) -> bool:
        """Whether this member is judged."""
        return name in self._peers

    def woke(self, now: float, expected: float) -> None:
        """This process runs again, and wanted to at `expected`.  Called before beats are taken."""
        stall = self._lag.woke(now, expected)
        if stall:
            self._health.stalled(stall, now)
            for peer in self._peers.values():
                peer.detector.discount_silence(stall, now)

    def heard(self, name: str, now: float) -> None:
        """A heartbeat of a member has come."""
        peer = self._peers.get(name)
        if peer is not None and peer.detector.heartbeat(now):
            peer.detector.extend_deadline(self._health.patience(now))
            if peer.beats is not None:
                peer.beats += 1

    def judge(self, now: float) -> bool:
        """Whether a suspicion has begun or ended.  Called after all beats that wait were taken."""
        changed = False
        for peer in self._peers.values():
            due = self._due(peer)
            if due is not None and now >= due:
                changed = changed or peer.beats is None
                peer.beats = 0
                peer.detector.forget_current()
            elif peer.beats is not None and peer.beats >= RETURNS:
                peer.beats, changed = None, True
        return changed

    @property
    def deadline(self) -> float | None:
        """When a suspicion begins unless a beat comes; None: there is nothing to suspect."""
        dues = (self._due(peer) for peer in self._peers.values() if peer.beats is None)
        return min((due for due in dues if due is not None), default=None)

    def suspects(self) -> list[str]:
        """The members under suspicion."""
        return sorted(name for name, peer in self._peers.items() if peer.beats is not None)

    def alive(self) -> list[str]:
        """Those whose heartbeats come."""
        peers = self._peers.items()
        return sorted(name for name, peer in peers if peer.beats is None and peer.detector.last is not None)

    @staticmethod
    def _due(peer: _Peer) -> float | None:
        return None if peer.detector.last is None else peer.detector.suspect_at()
