"""The metrics for Prometheus: counted from the records, and read from the status at the time of the scrape.

Written without prometheus_client, which would cost the daemon 7.5 MB (docs/decisions/0008) and add nothing to what the
status holds. The tests parse the result with prometheus_client's parser. An instance's label is `name`, as in the
status; `instance` is the label that Prometheus gives to the target it scrapes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Literal

from supervisor.adapters.metrics.exposition import Exposition, Sample, labels
from supervisor.core.history.incidents import BY_PERSON, detection_s, is_failure
from supervisor.core.history.ratios import ratios
from supervisor.core.model.actions import Record, State
from supervisor.core.model.causes import Cause

if TYPE_CHECKING:
    from supervisor.core.model.documents import Instance, Ratios, Status, Supervisor


Marked = list[tuple[str, "Instance"]]
"""Status rows, each with the labels of its samples."""

BOUNDS = (0.001, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of the detection histogram in seconds; an exit, which the kernel reports at once, is in the first."""

_GAUGES: tuple[tuple[str, str, Callable[[Instance], Any]], ...] = (
    ("up", "Whether its main process exists.", lambda row: row["pid"] is not None),
    ("wanted", "Whether its goal is up.", lambda row: row["goal"] == "up"),
    ("ready", "Whether it is ready.", lambda row: bool(row["ready"])),
    ("incarnation", "The number of its present or last run.", lambda row: row["incarnation"]),
    ("uptime_seconds", "Age of its main process.", lambda row: row["uptime_s"]),
    ("phi", "Suspicion level of its failure detector.", lambda row: row["phi"]),
    ("heartbeat_age_seconds", "Time since its last heartbeat.", lambda row: row["last_heartbeat_age_s"]),
    ("memory_bytes", "Resident memory of its process tree.", lambda row: row["memory_bytes"]),
    ("cpu_percent", "CPU use of its process tree, 100 is one core.", lambda row: row["cpu_percent"]),
    ("breaker_open", "Whether its circuit breaker is open.", lambda row: row["breaker"] == "open"),
)
_COUNTERS: tuple[tuple[Literal["restarts", "false_suspicions"], str], ...] = (
    ("restarts", "Restarts decided by the daemon."),
    ("false_suspicions", "Suspicions that proved to be wrong."),
)
_RATIOS: tuple[tuple[str, Literal["replication", "consistency", "load", "fault_ratio", "recovery_ratio"], str], ...] = (
    ("replication_ratio", "replication", "R = N/M: instances ready / wanted."),
    ("consistency_ratio", "consistency", "C: instances that run the configuration now in force / running."),
    ("load_ratio", "load", "L = T/S: connections per instance."),
    ("fault_ratio", "fault_ratio", "F = D/T: failures detected since the daemon started / instances."),
    ("recovery_ratio", "recovery_ratio", "Failures recovered without user action / failures."),
)


class Tally:
    """Failures of one instance since the daemon started; made at the first failure."""

    __slots__ = ("causes", "completed", "last", "pending", "recovered", "unfinished")

    def __init__(self) -> None:
        self.causes: dict[str, int] = {}
        self.last = 0.0
        self.pending = self.recovered = 0
        self.unfinished = self.completed = 0  # the same for a oneshot, which has recovered once it has succeeded

    def failed(self, cause: str, now: float) -> None:
        self.causes[cause] = self.causes.get(cause, 0) + 1
        self.pending += 1
        self.unfinished += 1
        self.last = now

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

    def recoveries(self, kind: object) -> int:
        return self.completed if kind == "oneshot" else self.recovered


class Detection:
    """How long failures of one service went undetected."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds

    def buckets(self) -> Iterator[tuple[str, int]]:
        return zip((*map(repr, BOUNDS), "+Inf"), accumulate(self.counts), strict=True)


class MetricsCollector:
    """Counts records and renders the metrics on request."""

    def __init__(self) -> None:
        self._tallies: dict[str, Tally] = {}
        self._detections: dict[str, Detection] = {}

    def observe(self, record: Record, now: float) -> None:
        """Count what one record means. `now`: monotonic seconds."""
        if is_failure(record.before, record.after, record.cause, record.detail):
            self._tallies.setdefault(record.instance, Tally()).failed(record.cause.value, now)
            seconds = detection_s(record.cause, record.detail)
            if seconds is not None:
                self._detections.setdefault(record.service, Detection()).add(seconds)
            return
        tally = self._tallies.get(record.instance)
        if tally is None:
            return
        if record.cause in BY_PERSON or record.after is State.STOPPED:
            tally.touched()
        elif record.cause is Cause.SUCCEEDED:
            tally.succeeded()
        elif record.before is State.STARTING and record.after is State.RUNNING:
            tally.runs()

    def render(self, status: Status, now: float) -> str:
        """The text of `/metrics` for a `/v1/status` object. `now`: monotonic seconds."""
        out = Exposition()
        rows: list[Instance] = status["instances"]
        marked = [(labels({"service": row["service"], "name": row["name"]}), row) for row in rows]
        self._supervisor(out, status["supervisor"])
        self._instances(out, marked)
        self._failures(out, marked, now)
        out.histogram(
            "phi_supervisor_detection_seconds",
            "Longest possible time from a failure until it was detected.",
            [(labels({"service": name}), d.buckets(), d.total) for name, d in sorted(self._detections.items())],
        )
        self._ratios(out, rows)
        return out.text()

    def _supervisor(self, out: Exposition, supervisor: Supervisor) -> None:
        def gauge(name: str, explanation: str, value: Any, about: str = "") -> None:
            out.family(f"phi_supervisor_{name}", "gauge", explanation, [(about, value)])

        names = {"version": supervisor["version"], "name": supervisor["name"]}
        lag = supervisor["lag_ms"]
        gauge("build_info", "Version and name of the daemon.", 1, labels(names))
        gauge("uptime_seconds", "Uptime of the daemon.", supervisor["uptime_s"])
        gauge("loop_lag_seconds", "How late the event loop runs.", None if lag is None else lag / 1000)
        gauge("memory_bytes", "Memory of the daemon itself.", supervisor["memory_bytes"])
        gauge(
            "host_starved",
            "Whether the host or the daemon runs late, so that silence may not mean a hang.",
            supervisor["host_starved"],
        )
        gauge("problems", "Problems of the daemon itself.", len(supervisor["problems"]))

    def _instances(self, out: Exposition, marked: Marked) -> None:
        states = [(f',state="{state.value}"', state.value) for state in State]
        out.family(
            "phi_supervisor_instance_state",
            "gauge",
            "1 for its present state, 0 for others.",
            [(text + about, row["state"] == state) for text, row in marked for about, state in states],
        )
        for name, explanation, value in _GAUGES:
            samples: list[Sample] = [(text, value(row)) for text, row in marked]
            out.family(f"phi_supervisor_instance_{name}", "gauge", explanation, samples)
        for counter, explanation in _COUNTERS:
            samples = [(text, row[counter]) for text, row in marked]
            out.family(f"phi_supervisor_instance_{counter}_total", "counter", explanation, samples)

    def _failures(self, out: Exposition, marked: Marked, now: float) -> None:
        known = [
            (text, tally, row["type"]) for text, row in marked if (tally := self._tallies.get(row["name"])) is not None
        ]
        failures: list[Sample] = [
            (f'{text},cause="{cause}"', count) for text, tally, _ in known for cause, count in tally.causes.items()
        ]
        recoveries: list[Sample] = [(text, tally.recoveries(kind)) for text, tally, kind in known]
        ages: list[Sample] = [(text, max(0.0, now - tally.last)) for text, tally, _ in known]
        name = "phi_supervisor_instance"
        out.family(f"{name}_failures_total", "counter", "Failures by cause.", failures)
        out.family(f"{name}_recoveries_total", "counter", "Failures recovered without user action.", recoveries)
        out.family(f"{name}_last_failure_age_seconds", "gauge", "Time since its last failure.", ages)

    def _ratios(self, out: Exposition, rows: list[Instance]) -> None:
        """The ratios per service, and in total without a label."""
        groups: dict[str, list[Instance]] = {}
        for row in rows:
            groups.setdefault(row["service"], []).append(row)
        found = [(labels({"service": name}), self._ratios_of(group)) for name, group in groups.items()]
        found.append(("", self._ratios_of(rows)))
        for name, key, explanation in _RATIOS:
            out.family(f"phi_supervisor_{name}", "gauge", explanation, [(text, values[key]) for text, values in found])

    def _ratios_of(self, rows: list[Instance]) -> Ratios:
        known = [(row, tally) for row in rows if (tally := self._tallies.get(row["name"])) is not None]
        failures = sum(tally.failures for _, tally in known)
        return ratios(rows, len(rows), failures, sum(tally.recoveries(row["type"]) for row, tally in known))
