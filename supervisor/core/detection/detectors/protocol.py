"""The protocol of a failure detector: beats in, suspicion out.

A detector observes one target by a monotonic clock (seconds), which it never reads itself.  It returns the moment at
which suspicion would begin, so that it need not be polled.  For any float as argument it neither raises nor returns NaN
or infinity.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Detector(Protocol):
    """One target's failure detector."""

    name: str
    threshold: float
    last: float | None
    """Time of the last accepted beat of this incarnation."""
    ignored: int
    """Number of beats that were not accepted, over all incarnations."""

    @property
    def counts_failures(self) -> bool:
        """At present failed probes are counted apart from silence: suspicion needs several in a row."""
        ...

    def start(self, now: float) -> None:
        """A new incarnation is ready: forget the last beat, keep the learned intervals, begin the grace period."""
        ...

    def heartbeat(self, at: float, sent: float | None = None) -> bool:
        """Take a beat that arrived `at`.  False: it goes backwards, is a duplicate or has an impossible time, and is
        only counted (`ignored`)."""
        ...

    def failed(self, at: float) -> None:
        """A probe of the target failed: it was asked, and did not answer or answered with an error.  Ignored where the
        target is not probed, and before the first beat."""
        ...

    def suspicion(self, at: float) -> float:
        """The score on the detector's own scale; 0.0 before the first beat.  It never falls during a silence."""
        ...

    def suspect_at(self, threshold: float | None = None) -> float | None:
        """The moment at which suspicion begins: the score reaches the threshold, within the bounds, or the result of a
        probe is overdue.  None before `start`.

        With a threshold: the moment at which the score of the silence alone reaches that one, without bounds.
        """
        ...

    def discount_silence(self, seconds: float, until: float) -> None:
        """Do not count `seconds` of the present silence, up to `until`, because the target did not cause them.  The
        interval is not learned either."""
        ...

    def extend_deadline(self, factor: float) -> None:
        """Let the present silence last `factor` times as long, within the upper bound, because this daemon may be slow.
        The score does not change."""
        ...

    def forget_current(self) -> None:
        """Do not learn the present interval, because it overlaps a suspicion or a stop."""
        ...

    def bound(self, minimum: float, maximum: float) -> None:
        """Set the bounds: suspicion begins between `minimum` and `maximum` seconds after the last beat."""
        ...

    def intervals(self) -> tuple[float, ...]:
        """The newest 64 learned intervals at most, in seconds, oldest first."""
        ...

    def snapshot(self) -> dict[str, object]:
        """Everything that a later daemon needs, as JSON-able data."""
        ...

    def restore(self, snapshot: Mapping[str, object]) -> None:
        """Continue from a snapshot.  A damaged one is ignored: the detector starts cold."""
        ...
