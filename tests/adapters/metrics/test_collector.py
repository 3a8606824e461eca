"""The exposition as Prometheus' own parser reads it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from prometheus_client.parser import text_string_to_metric_families

from supervisor.adapters.metrics import page as pages
from supervisor.adapters.metrics.collector import MetricsCollector
from supervisor.adapters.metrics.families import PREFIX
from supervisor.adapters.metrics.page import MOST_HISTOGRAMS, Page, PageMaker, Reading
from supervisor.core.lifecycle.instance import Instance
from supervisor.core.model.actions import Goal, Record, State
from supervisor.core.model.causes import Cause
from supervisor.core.model.events import Heartbeat
from supervisor.core.model.spec import HeartbeatSpec, ServiceSpec, ServiceType
from supervisor.core.restart.tracker import Breaker
from supervisor.core.services.rollout import Stage

S = State
SUPERVISOR: Any = {
    "version": "1.2", "name": 'de"mo\\\n', "uptime_s": 5.0, "lag_ms": 1.5, "memory_bytes": 1000,
    "host_starved": False, "problems": ["x"],
}  # fmt: skip
NOW = 100.0


class Seen(NamedTuple):
    """The resources of a process tree."""

    cpu_percent: float = 12.5
    memory_bytes: int = 2048
    tasks: int = 3


USAGE = Seen()


def reading(
    name: str, *, usage: Seen | None = USAGE, output: tuple[int, int] | None = (70, 9), **changes: Any
) -> Reading:
    """A running instance with a detector that has heard three heartbeats; `changes`: attributes of the instance."""
    kind, spec = changes.pop("type", "service"), changes.pop("spec", {})
    heartbeat = HeartbeatSpec(source="notify", interval=1.0)
    service = ServiceSpec(
        name=name.partition("@")[0], command=("x",), type=ServiceType(kind), **{"heartbeat": heartbeat, **spec}
    )
    i = Instance(name, service, lambda: 0.5)
    i.state, i.goal, i.pid, i.ready, i.incarnation = S.RUNNING, Goal.UP, 7, True, 2
    i.started_at, i.restarts, i.false_suspicions, i.cause = NOW - 3.5, 4, 1, Cause.READY
    if i.detector is not None:
        i.detector.start(NOW - 3.5)
        for at in (3.0, 1.5, 0.5):
            i.beat(Heartbeat(2, NOW - at))
    for key, value in changes.items():
        setattr(i, key, value)
    return Reading(i, usage, *(output or (None, None)))


class Daemon:
    """The source of a page."""

    def __init__(self, *readings: Reading, now: float = NOW) -> None:
        self.held: dict[tuple[str, str], Any] = {}
        self.rolled: list[Any] = []
        self.balanced: list[Any] = []
        self.word: Any = None
        self.readings = {r.instance.name: r for r in readings}
        self.moment = now

    def now(self) -> float:
        return self.moment

    def names(self) -> list[str]:
        return list(self.readings)

    def read(self, name: str) -> Reading | None:
        return self.readings.get(name)

    def sockets(self) -> Any:
        return self.held

    def rollouts(self) -> Any:
        return self.rolled

    def balances(self) -> Any:
        return self.balanced

    def cluster(self) -> Any:
        return self.word

    def supervisor(self) -> Any:
        return SUPERVISOR


def whole(page: Page) -> str:
    """The text of a page that is made without a pause."""
    try:
        while True:
            next(page)
    except StopIteration as end:
        return bytes(end.value).decode()


def record(before: State, after: State, cause: Cause, name: str = "web", **detail: Any) -> Record:
    return Record(name, name.partition("@")[0], 2, Goal.UP, before, after, cause, detail)


class Scrape:
    """Samples by name and labels; it checks what promtool does not while it reads."""

    def __init__(self, text: str) -> None:
        assert text.endswith("\n")
        self.samples: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
        self.kinds: dict[str, str] = {}
        self._check_blocks(text)
        for family in text_string_to_metric_families(text):
            assert family.documentation, family.name
            assert family.type != "unknown", family.name
            self.kinds[family.name] = family.type
            buckets: dict[frozenset[tuple[str, str]], list[tuple[float, float]]] = {}
            for sample in family.samples:
                key = sample.name, frozenset(sample.labels.items())
                assert key not in self.samples, "a series twice"
                self.samples[key] = sample.value
                if sample.name.endswith("_bucket"):
                    rest = frozenset((k, v) for k, v in sample.labels.items() if k != "le")
                    buckets.setdefault(rest, []).append((float(sample.labels["le"]), sample.value))
            if family.type == "histogram":
                self._check_histogram(family.name, buckets)

    def _check_blocks(self, text: str) -> None:
        """The lines of a family stand together, after its HELP and its TYPE, and no family begins twice."""
        begun: list[str] = []
        for line in text.splitlines():
            if line.startswith("# HELP "):
                begun.append(line.split()[2])
            elif line.startswith("# TYPE "):
                assert line.split()[2] == begun[-1]
            else:
                name = line.partition("{")[0].partition(" ")[0]
                assert name.removeprefix(begun[-1]) in ("", "_bucket", "_sum", "_count"), "lines of two families"
        assert len(begun) == len(set(begun)), "a family in two pieces"

    def _check_histogram(self, name: str, buckets: dict[frozenset[tuple[str, str]], list[tuple[float, float]]]) -> None:
        series = {labels for sample, labels in self.samples if sample == f"{name}_count"}
        assert series == set(buckets) == {labels for sample, labels in self.samples if sample == f"{name}_sum"}
        for labels, found in buckets.items():
            assert found == sorted(found) and found[-1][0] == float("inf"), "buckets out of order, or without +Inf"
            assert [count for _, count in found] == sorted(count for _, count in found), "counts that fall"
            assert found[-1][1] == self.samples[f"{name}_count", labels]

    def __call__(self, name: str, /, **labels: str) -> float | None:
        return self.samples.get((f"phi_supervisor_{name}", frozenset(labels.items())))


def scrape(metrics: MetricsCollector, *readings: Reading, now: float = NOW) -> Scrape:
    return Scrape(whole(PageMaker(metrics, Daemon(*readings, now=now)).page()))


WEB = {"service": "web", "name": "web"}


def test_what_is_known_of_an_instance() -> None:
    found = scrape(MetricsCollector(), reading("web"))
    assert found("instance_state", state="running", **WEB) == 1
    assert found("instance_state", state="failed", **WEB) == 0
    assert sum(found("instance_state", state=s.value, **WEB) or 0 for s in State) == 1
    expected = {
        "up": 1, "ready": 1, "wanted": 1, "incarnation": 2, "uptime_seconds": 3.5, "heartbeat_age_seconds": 0.5,
        "memory_bytes": 2048, "cpu_percent": 12.5, "tasks": 3, "breaker_open": 0, "held": 0, "restarts_total": 4,
        "maintenance": 0,
        "false_suspicions_total": 1, "log_bytes_total": 70, "log_lost_bytes_total": 9,
    }  # fmt: skip
    for name, value in expected.items():
        assert found(f"instance_{name}", **WEB) == value, name
    assert found("instance_phi", **WEB) is not None
    assert found("build_info", version="1.2", name='de"mo\\\n') == 1
    assert found("loop_lag_seconds") == 0.0015
    assert found("problems") == 1
    assert found("host_starved") == 0
    assert found.kinds["phi_supervisor_instance_restarts"] == "counter"


def test_what_a_rollout_is_at_and_what_rollouts_came_to() -> None:
    counted = MetricsCollector()
    ended = ((Cause.ROLLOUT_FINISHED, "finished"), (Cause.ROLLOUT_FAILED, "halted"), (Cause.ROLLOUT_FAILED, "halted"))
    for cause, stage in (*ended, (Cause.ROLLOUT_STARTED, "running"), (Cause.ROLLOUT_FAILED, "rolling-back")):
        counted.observe(record(S.RUNNING, S.RUNNING, cause, stage=stage), NOW)
    source = Daemon(reading("web"))
    source.rolled = [SimpleNamespace(service="web", stage=Stage.HALTED, paused=True)]
    found = Scrape(whole(PageMaker(counted, source).page()))
    assert {s: found("rollout_state", service="web", state=s) for s in ("running", "halted")} == {
        "running": 0, "halted": 1,
    }  # fmt: skip
    assert found("rollout_paused", service="web") == 1
    outcomes = {o: found("rollouts_total", service="web", outcome=o) for o in ("finished", "rolled-back", "halted")}
    assert outcomes == {"finished": 1, "rolled-back": 0, "halted": 2}
    assert found("instance_failures_total", cause="rollout-failed", **WEB) is None


def test_what_the_balancer_has_of_a_service() -> None:
    source = Daemon(reading("web"))
    source.balanced = [
        {"service": "web", "up": False, "free": 5, "slots": [{"state": "active"}, {"state": "draining"}]}
    ]
    found = Scrape(whole(PageMaker(MetricsCollector(), source).page()))
    assert found("balancer_up", service="web") == 0
    slots = {s: found("balancer_slots", service="web", state=s) for s in ("active", "draining", "free")}
    assert slots == {"active": 1, "draining": 1, "free": 5}


def test_what_is_not_known_is_left_out() -> None:
    unknown = reading("web", usage=None, output=None, pid=None, started_at=None, ready=False, state=S.FAILED)
    unknown.instance.tracker.breaker = Breaker.OPEN
    found = scrape(MetricsCollector(), unknown)
    for name in ("phi", "heartbeat_age_seconds", "uptime_seconds", "memory_bytes", "cpu_percent", "tasks"):
        assert found(f"instance_{name}", **WEB) is None
        assert f"phi_supervisor_instance_{name}" not in found.kinds
    assert found("instance_log_bytes_total", **WEB) is None
    assert found("instance_up", **WEB) == 0
    assert found("instance_breaker_open", **WEB) == 1
    assert found("consistency_ratio") is None
    assert found("recovery_ratio") is None
    assert found("load_ratio") is None


def test_the_intervals_between_heartbeats_are_a_histogram() -> None:
    found = scrape(MetricsCollector(), reading("web"), reading("db", spec={"heartbeat": None}))
    name = "instance_heartbeat_interval_seconds"
    by_bound = {le: found(f"{name}_bucket", le=le, **WEB) for le in ("0.5", "1.0", "2.0", "64.0", "+Inf")}
    assert by_bound == {"0.5": 0, "1.0": 0, "2.0": 2, "64.0": 2, "+Inf": 2}  # an interval of 1.0 is not below 1
    assert found(f"{name}_sum", **WEB) == pytest.approx(2.5)
    assert found(f"{name}_count", service="db", name="db") is None


def test_intervals_beyond_the_bounds_are_in_the_outer_buckets() -> None:
    seen = reading("web")
    seen.instance.histogram.clear()
    for interval in (0.001, 0.1, 64.5, 5000.0):
        seen.instance.histogram.add(interval)
    found = scrape(MetricsCollector(), seen)
    name = "instance_heartbeat_interval_seconds_bucket"
    assert [found(name, le=le, **WEB) for le in ("0.125", "64.0", "+Inf")] == [2, 2, 4]


def test_of_very_many_instances_the_intervals_are_brought_up_to_date_in_turns() -> None:
    """Every one has a histogram from the first page on, and every one is made anew within three pages."""
    many = [reading(f"web@{k}") for k in range(2 * MOST_HISTOGRAMS + 1)]
    maker = PageMaker(MetricsCollector(), Daemon(*many))
    whole(maker.page())
    for seen in many:
        seen.instance.histogram.add(1.5)
    fresh = []
    for _ in range(3):
        found = Scrape(whole(maker.page()))
        counts = [found("instance_heartbeat_interval_seconds_count", service="web", name=r.instance.name) for r in many]
        assert None not in counts
        fresh.append(counts.count(3))
    assert fresh[0] == MOST_HISTOGRAMS
    assert fresh[-1] == len(many)


def test_of_an_instance_that_was_removed_nothing_is_kept_for_one_of_its_name() -> None:
    """Also where there are so many that they take turns: what is kept is the intervals of another life."""
    daemon = Daemon(*(reading(f"web@{k}") for k in range(2 * MOST_HISTOGRAMS + 1)))
    maker, before = PageMaker(MetricsCollector(), daemon), daemon.readings
    whole(maker.page())
    daemon.readings = {}
    whole(maker.page())
    daemon.readings = {name: reading(name) for name in before}
    for seen in daemon.readings.values():
        seen.instance.histogram.add(1.5)
    found = Scrape(whole(maker.page()))
    assert {found("instance_heartbeat_interval_seconds_count", service="web", name=name) for name in before} == {3}


def test_a_page_that_uses_the_last_one_again_is_what_a_new_one_would_be(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    for lines in (pages._state_lines, pages._value_lines):

        def counted(name: str, *of: Any, lines: Any = lines) -> Any:
            written.append(name.removeprefix(PREFIX))
            return lines(name, *of)

        monkeypatch.setattr(pages, lines.__name__, counted)
    daemon, metrics = Daemon(reading("web"), reading("db"), reading("log")), MetricsCollector()
    maker = PageMaker(metrics, daemon)

    def as_new() -> list[str]:
        """The families that are written again, in a page that is the same as one that knows no other."""
        written.clear()
        text = whole(maker.page())
        found = list(written)
        assert text == whole(PageMaker(metrics, daemon).page())
        return found

    assert {"instance_state", "instance_up", "replication_ratio"} <= set(as_new())
    assert as_new() == []
    daemon.moment += 1.0
    assert as_new() == ["instance_uptime_seconds", "instance_phi", "instance_heartbeat_age_seconds"]
    one = daemon.readings["db"].instance
    one.state, one.ready = S.STARTING, False
    assert as_new() == ["instance_state", "instance_ready", "replication_ratio"]
    daemon.readings["db"] = daemon.readings["db"]._replace(written=None, lost=None)
    assert as_new() == ["instance_log_bytes_total", "instance_log_lost_bytes_total"]
    daemon.readings = {name: daemon.readings[name] for name in ("log", "web")}
    assert {"instance_up", "instance_memory_bytes"} <= set(as_new())
    daemon.readings.clear()
    as_new()


def test_an_instance_that_was_removed_meanwhile_is_left_out() -> None:
    daemon = Daemon(reading("web"), reading("db"))
    page = PageMaker(MetricsCollector(), daemon).page()
    next(page)
    del daemon.readings["db"]
    found = Scrape(whole(page))
    assert found("instance_up", **WEB) == 1
    assert found("instance_up", service="db", name="db") is None


def test_names_may_hold_anything() -> None:
    name = 'a"b\\c\nd{}=,é'
    found = scrape(MetricsCollector(), reading(name))
    assert found("instance_up", service=name, name=name) == 1


def test_the_queues_of_sockets() -> None:
    daemon = Daemon()
    row = {"url": "u", "waiting": 3, "limit": 128, "overflows": None}
    daemon.held = {("web", "tcp://127.0.0.1:80"): row | {"overflows": 7}, ("api", "unix:/a"): row}
    found = Scrape(whole(PageMaker(MetricsCollector(), daemon).page()))
    assert found("socket_waiting_connections", service="web", socket="tcp://127.0.0.1:80") == 3
    assert found("socket_waiting_limit", service="api", socket="unix:/a") == 128
    assert found("socket_overflows_total", service="web", socket="tcp://127.0.0.1:80") == 7
    assert found("socket_overflows_total", service="api", socket="unix:/a") is None


def test_a_page_without_instances() -> None:
    assert scrape(MetricsCollector())("build_info", version="1.2", name='de"mo\\\n') == 1


CRASH = [
    record(S.RUNNING, S.BACKOFF, Cause.EXITED, exit_code=1, attempt=1),
    record(S.BACKOFF, S.STARTING, Cause.BACKOFF_ELAPSED),
    record(S.STARTING, S.STARTING, Cause.BACKOFF_ELAPSED, phase="spawn"),
]
HANG = [
    record(S.RUNNING, S.SUSPECT, Cause.SILENT, silence_s=2.5),
    record(S.SUSPECT, S.STOPPING, Cause.SILENT, silence_s=2.5),
    record(S.STOPPING, S.STARTING, Cause.SILENT, silence_s=2.5, attempt=2),
    record(S.STARTING, S.STARTING, Cause.SILENT, phase="spawn"),
]
READY = [record(S.STARTING, S.RUNNING, Cause.READY)]
FALSE_ALARM = [
    record(S.RUNNING, S.SUSPECT, Cause.SILENT, silence_s=2.5),
    record(S.SUSPECT, S.RUNNING, Cause.HEARTBEAT_RESUMED),
]
BY_HAND = [record(S.BACKOFF, S.STARTING, Cause.RESET_BY_USER)]
STOPPED = [record(S.BACKOFF, S.STOPPED, Cause.SHUTDOWN)]
DONE = [record(S.RUNNING, S.EXITED, Cause.SUCCEEDED)]


@pytest.mark.parametrize(
    ("records", "kind", "failures", "recovered"),
    [
        ([], "service", {}, None),
        (READY + FALSE_ALARM, "service", {}, None),
        (CRASH, "service", {"exited": 1}, 0),
        (CRASH + READY, "service", {"exited": 1}, 1),
        (CRASH + READY + HANG + READY, "service", {"exited": 1, "heartbeat-silent": 1}, 2),
        (CRASH + READY + HANG, "service", {"exited": 1, "heartbeat-silent": 1}, 1),
        (CRASH + CRASH + READY, "service", {"exited": 2}, 2),
        (CRASH + BY_HAND + READY, "service", {"exited": 1}, 0),
        (CRASH + STOPPED + READY, "service", {"exited": 1}, 0),
        (CRASH + READY + DONE, "oneshot", {"exited": 1}, 1),
        (CRASH + READY, "oneshot", {"exited": 1}, 0),
    ],
)
def test_failures_and_recoveries(
    records: list[Record], kind: str, failures: dict[str, int], recovered: int | None
) -> None:
    metrics = MetricsCollector()
    for r in records:
        metrics.observe(r, 40.0, oneshot=kind == "oneshot")
    found = scrape(metrics, reading("web", type=kind))
    counted = {c.value: found("instance_failures_total", cause=c.value, **WEB) for c in Cause}
    assert {c: n for c, n in counted.items() if n is not None} == failures
    assert found("instance_recoveries_total", **WEB) == recovered
    assert found("instance_last_failure_age_seconds", **WEB) == (60.0 if failures else None)


def test_detection_time_is_a_histogram_per_service() -> None:
    metrics = MetricsCollector()
    for r in CRASH + HANG:
        metrics.observe(r, 1.0)
    found = scrape(metrics, reading("web"))
    assert found.kinds["phi_supervisor_detection_seconds"] == "histogram"
    assert found("detection_seconds_bucket", service="web", le="0.001") == 1
    assert found("detection_seconds_bucket", service="web", le="2.0") == 1
    assert found("detection_seconds_bucket", service="web", le="5.0") == 2
    assert found("detection_seconds_bucket", service="web", le="+Inf") == 2
    assert found("detection_seconds_sum", service="web") == 2.5
    assert found("detection_seconds_count", service="web") == 2


def test_restarts_by_cause_are_those_that_the_daemon_decided() -> None:
    metrics = MetricsCollector()
    again = [
        record(S.RUNNING, S.BACKOFF, Cause.EXITED, exit_code=1, attempt=1, delay_s=1.0),
        record(S.BACKOFF, S.STARTING, Cause.RESTARTED_BY_USER),
        record(S.STOPPING, S.STARTING, Cause.SILENT, silence_s=2.5, attempt=2, delay_s=0.0),
        record(S.RUNNING, S.FAILED, Cause.EXITED, exit_code=1, breaker="open"),
        record(S.FAILED, S.STARTING, Cause.BREAKER_TRIAL),
    ]
    for r in again:
        metrics.observe(r, 1.0)
    found = scrape(metrics, reading("web"))
    name = "instance_restarts_by_cause_total"
    counted = {c.value: found(name, cause=c.value, **WEB) for c in Cause}
    assert {c: n for c, n in counted.items() if n} == {"exited": 1, "heartbeat-silent": 1, "breaker-trial": 1}
    assert found("instance_breaker_openings_total", **WEB) == 1


def test_a_hold_is_counted_and_shown_while_it_lasts() -> None:
    metrics = MetricsCollector()
    metrics.observe(record(S.RUNNING, S.SUSPECT, Cause.SILENT, silence_s=2.5), 1.0)
    metrics.observe(record(S.SUSPECT, S.SUSPECT, Cause.HELD), 1.5)
    found = scrape(metrics, reading("web", state=S.SUSPECT, held="stopped (SIGSTOP)"))
    assert found("instance_holds_total", **WEB) == 1
    assert found("instance_held", **WEB) == 1
    assert found("instance_failures_total", cause="heartbeat-silent", **WEB) is None


@pytest.mark.parametrize(
    ("records", "oneshot", "seconds"),
    [
        (CRASH + READY, False, [3.0]),
        (HANG + READY, False, [4.0]),  # from the suspicion on
        (CRASH + CRASH + READY, False, [6.0]),  # one outage, two failures
        (CRASH + READY + HANG + READY, False, [3.0, 4.0]),
        (FALSE_ALARM + CRASH + READY, False, [3.0]),  # an alarm that was false is no part of a later outage
        (CRASH + BY_HAND + READY, False, [4.0]),
        (CRASH + STOPPED + READY, False, []),
        (CRASH + READY + DONE, True, [4.0]),
        (CRASH + READY, True, []),
    ],
)
def test_recovery_time_is_from_the_first_sign_of_a_failure_until_it_is_ready(
    records: list[Record], oneshot: bool, seconds: list[float]
) -> None:
    metrics = MetricsCollector()
    for second, r in enumerate(records):
        metrics.observe(r, float(second), oneshot=oneshot)
    found = scrape(metrics, reading("web"))
    assert found("recovery_seconds_count", service="web") == (len(seconds) or None)
    assert found("recovery_seconds_sum", service="web") == (sum(seconds) if seconds else None)


def test_the_ratios_per_service_and_in_total() -> None:
    metrics = MetricsCollector()
    for r in CRASH + READY + CRASH:
        metrics.observe(r, 1.0)
    old = reading("db@2", ready=False, state=S.STARTING, running_spec=ServiceSpec(name="db", command=("old",)))
    done = reading("migrate", type="oneshot", ready=False, state=S.EXITED, cause=Cause.SUCCEEDED, pid=None)
    found = scrape(metrics, reading("web"), reading("db@1"), old, done)
    assert found("replication_ratio", service="db") == 0.5
    assert found("replication_ratio") == pytest.approx(2 / 3, abs=1e-6)
    assert found("replication_ratio", service="migrate") is None
    assert found("consistency_ratio", service="db") == 0.5
    later = scrape(metrics, reading("web@1"), reading("web@2"), reading("web@3")._replace(outdated=True))
    assert later("consistency_ratio", service="web") == pytest.approx(2 / 3, abs=1e-6), "a rollout goes on"
    assert found("fault_ratio", service="web") == 2.0
    assert found("fault_ratio") == 0.5
    assert found("recovery_ratio", service="web") == 0.5
    assert found("recovery_ratio") == 0.5
    assert found("recovery_ratio", service="db") is None


def test_the_hosts_of_a_cluster_and_their_consistency_are_counted() -> None:
    daemon = Daemon()
    members = [{"node": node, "here": node != "d"} for node in "abcd"]
    daemon.word = {"members": members, "suspects": ["b", "d"], "pushed": {"consistency": 0.6667}}
    found = Scrape(whole(PageMaker(MetricsCollector(), daemon).page()))
    assert found("cluster_consistency_ratio") == 0.6667
    assert [found("cluster_hosts", state=state) for state in ("here", "suspect", "away")] == [2, 1, 1]
    del daemon.word["pushed"]
    text = whole(PageMaker(MetricsCollector(), daemon).page())
    assert "cluster_hosts" in text and "cluster_consistency" not in text, "it is not known yet"
    daemon.word = None
    assert "cluster" not in whole(PageMaker(MetricsCollector(), daemon).page())
