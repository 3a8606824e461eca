"""Counts what the records mean for the metrics: failures, restarts, detection and recovery.

Written without prometheus_client, which would cost the daemon 7.5 MB (docs/decisions/0008) and add nothing to what the
daemon knows. The tests parse the pages with prometheus_client's parser.
"""

from __future__ import annotations

from supervisor.adapters.metrics.exposition import Histogram
from supervisor.core.history.incidents import BY_PERSON, detection_s, is_failure, is_restart
from supervisor.core.model.actions import Record, State
from supervisor.core.model.causes import ROLLOUT, Cause

DETECTION_BOUNDS = (0.001, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds in seconds; an exit, which the kernel reports at once, is in the first."""
RECOVERY_BOUNDS = (0.01, 0.05, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
_ENDED = {Cause.ROLLOUT_FINISHED: "finished", Cause.ROLLOUT_ROLLED_BACK: "rolled-back"}
OUTCOMES = (*_ENDED.values(), "halted")
"""What a rollout can come to."""


class Tally:
    """What happened to one instance since the daemon started; made at the first suspicion or failure."""

    __slots__ = (
        "causes", "completed", "failing_since", "holds", "last", "openings", "pending", "recovered", "restarts",
        "suspected_at", "unfinished",
    )  # fmt: skip

    def __init__(self) -> None:
        self.causes: dict[str, int] = {}
        self.restarts: dict[str, int] = {}
        self.last = 0.0
        self.openings = self.holds = 0
        self.suspected_at: float | None = None
        self.failing_since: float | None = None
        self.pending = self.recovered = 0
        self.unfinished = self.completed = 0  # the same for a oneshot, which has recovered once it has succeeded

    def failed(self, cause: str, now: float) -> None:
        self.causes[cause] = self.causes.get(cause, 0) + 1
        self.pending += 1
        self.unfinished += 1
        self.last = now
        if self.failing_since is None:
            self.failing_since = now if self.suspected_at is None else self.suspected_at
        self.suspected_at = None

    def runs(self) -> None:
        self.recovered, self.pending = self.recovered + self.pending, 0

    def succeeded(self) -> None:
        self.runs()
        self.completed, self.unfinished = self.completed + self.unfinished, 0

    def touched(self) -> None:
        """An administrator intervened: pending failures do not count as recovered by the supervisor."""
        self.pending = self.unfinished = 0

    @property
    def failures(self) -> int:
        return sum(self.causes.values())

    def recoveries(self, oneshot: bool) -> int:
        return self.completed if oneshot else self.recovered


class MetricsCollector:
    """Counts records. `tallies` are by instance, the histograms by service, `rollouts` by service and outcome."""

    def __init__(self) -> None:
        self.tallies: dict[str, Tally] = {}
        self.detections: dict[str, Histogram] = {}
        self.recoveries: dict[str, Histogram] = {}
        self.rollouts: dict[tuple[str, str], int] = {}

    def observe(self, record: Record, now: float, *, oneshot: bool = False) -> None:
        """Count what one record means. `now`: monotonic seconds. `oneshot`: the instance is one, which has recovered
        when it has succeeded, not when it runs again.
        """
        before, after, cause, detail = record.before, record.after, record.cause, record.detail
        moved = before is not after
        if cause in ROLLOUT:
            self._ended(record.service, cause, detail.get("stage"))
            return
        if cause is Cause.HELD:
            self._tally(record).holds += 1
        if is_restart(before, after, cause, detail):
            restarts = self._tally(record).restarts
            restarts[cause.value] = restarts.get(cause.value, 0) + 1
        if after is State.FAILED and moved:
            self._tally(record).openings += 1
        if is_failure(before, after, cause, detail):
            self._tally(record).failed(cause.value, now)
            seconds = detection_s(cause, detail)
            if seconds is not None:
                self.detections.setdefault(record.service, Histogram(DETECTION_BOUNDS)).add(seconds)
        elif after is State.SUSPECT and moved:
            self._tally(record).suspected_at = now
        elif record.instance in self.tallies:
            self._follow(self.tallies[record.instance], record, now, oneshot)

    def _ended(self, service: str, cause: Cause, stage: object) -> None:
        outcome = "halted" if cause is Cause.ROLLOUT_FAILED and stage == "halted" else _ENDED.get(cause)
        if outcome is not None:
            key = service, outcome
            self.rollouts[key] = self.rollouts.get(key, 0) + 1

    def _tally(self, record: Record) -> Tally:
        return self.tallies.setdefault(record.instance, Tally())

    def _follow(self, tally: Tally, record: Record, now: float, oneshot: bool) -> None:
        """Take a record that is no failure, of an instance that was suspected or failed before."""
        starts = record.before is State.STARTING and record.after is State.RUNNING
        succeeded = record.cause is Cause.SUCCEEDED
        if record.before is State.SUSPECT and record.after is State.RUNNING:
            tally.suspected_at = None
        if record.cause in BY_PERSON or record.after is State.STOPPED:
            tally.touched()
        elif succeeded:
            tally.succeeded()
        elif starts:
            tally.runs()
        if record.after is State.STOPPED:
            tally.failing_since = tally.suspected_at = None
        elif tally.failing_since is not None and (succeeded or (starts and not oneshot)):
            histogram = self.recoveries.setdefault(record.service, Histogram(RECOVERY_BOUNDS))
            histogram.add(max(0.0, now - tally.failing_since))
            tally.failing_since = None
