"""What every failure detector does: beats in, suspicion out.

A detector watches one target by one monotonic clock (seconds), which it never reads itself.  It answers with the
moment at which suspicion would begin, so that nobody has to poll it.  Whatever floats it is given, it neither
raises nor answers with NaN or infinity.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


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

    def discount_silence(self, seconds: float, until: float) -> None:
        """So much of the present silence, until then, is not the target's fault: it is not counted, and the interval
        not learned."""
        ...

    def extend_deadline(self, factor: float) -> None:
        """The present silence may last `factor` times as long, within the cap, before it is suspicious: we ourselves
        may be slow.  The score stays what it is."""
        ...

    def forget_current(self) -> None:
        """The interval now running overlaps a suspicion or a stop: do not learn it."""
        ...

    def bound(self, minimum: float, maximum: float) -> None:
        """Suspicion begins no earlier than `minimum`, and at the latest `maximum` seconds after the last beat."""
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
