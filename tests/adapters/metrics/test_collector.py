"""The exposition as Prometheus' own parser reads it."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from supervisor.adapters.metrics.collector import MetricsCollector
from supervisor.core.model.actions import Goal, Record, State
from supervisor.core.model.causes import Cause
from supervisor.core.model.documents import Instance, Status

S = State
SUPERVISOR: Any = {
    "version": "1.2", "name": 'de"mo\\\n', "uptime_s": 5.0, "lag_ms": 1.5, "memory_bytes": 1000,
    "host_starved": False, "problems": ["x"],
}  # fmt: skip


def row(name: str, **changes: Any) -> Instance:
    found: Any = {
        "name": name, "service": name.partition("@")[0], "goal": "up", "state": "running", "ready": True, "pid": 7,
        "incarnation": 2, "uptime_s": 3.5, "phi": 1.25, "last_heartbeat_age_s": 0.5, "memory_bytes": 2048,
        "cpu_percent": 12.5, "breaker": "closed", "restarts": 4, "false_suspicions": 1, "current": True,
        "type": "service", "cause": "ready", **changes,
    }  # fmt: skip
    row: Instance = found
    return row


def status(*rows: Instance) -> Status:
    return {"supervisor": SUPERVISOR, "instances": list(rows)}


def record(before: State, after: State, cause: Cause, name: str = "web", **detail: Any) -> Record:
    return Record(name, name.partition("@")[0], 2, Goal.UP, before, after, cause, detail)


class Scrape:
    """Samples by name and labels; it checks what Prometheus insists on while it reads."""

    def __init__(self, text: str) -> None:
        assert text.endswith("\n")
        self.samples: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
        self.kinds: dict[str, str] = {}
        for family in text_string_to_metric_families(text):
            assert family.documentation, family.name
            assert family.name not in self.kinds, "a family in two pieces"
            assert family.type != "unknown", family.name
            self.kinds[family.name] = family.type
            for sample in family.samples:
                key = sample.name, frozenset(sample.labels.items())
                assert key not in self.samples
                self.samples[key] = sample.value

    def __call__(self, name: str, /, **labels: str) -> float | None:
        return self.samples.get((f"phi_supervisor_{name}", frozenset(labels.items())))


def scrape(metrics: MetricsCollector, *rows: Instance, now: float = 100.0) -> Scrape:
    return Scrape(metrics.render(status(*rows), now))


WEB = {"service": "web", "name": "web"}


def test_what_the_status_knows() -> None:
    found = scrape(MetricsCollector(), row("web"))
    assert found("instance_state", state="running", **WEB) == 1
    assert found("instance_state", state="failed", **WEB) == 0
    assert sum(found("instance_state", state=s.value, **WEB) or 0 for s in State) == 1
    expected = {
        "up": 1, "ready": 1, "wanted": 1, "incarnation": 2, "uptime_seconds": 3.5, "phi": 1.25,
        "heartbeat_age_seconds": 0.5, "memory_bytes": 2048, "cpu_percent": 12.5, "breaker_open": 0,
        "restarts_total": 4, "false_suspicions_total": 1,
    }  # fmt: skip
    for name, value in expected.items():
        assert found(f"instance_{name}", **WEB) == value, name
    assert found("build_info", version="1.2", name='de"mo\\\n') == 1
    assert found("loop_lag_seconds") == 0.0015
    assert found("problems") == 1
    assert found.kinds["phi_supervisor_instance_restarts"] == "counter"


def test_what_is_not_known_is_left_out() -> None:
    unknown = row("web", pid=None, phi=None, last_heartbeat_age_s=None, uptime_s=None, memory_bytes=None,
                  cpu_percent=None, breaker="open", ready=False, state="failed")  # fmt: skip
    found = scrape(MetricsCollector(), unknown)
    for name in ("phi", "heartbeat_age_seconds", "uptime_seconds", "memory_bytes", "cpu_percent"):
        assert found(f"instance_{name}", **WEB) is None
        assert f"phi_supervisor_instance_{name}" not in found.kinds
    assert found("instance_up", **WEB) == 0
    assert found("instance_breaker_open", **WEB) == 1
    assert found("consistency_ratio") is None
    assert found("recovery_ratio") is None
    assert found("load_ratio") is None


def test_names_may_hold_anything() -> None:
    name = 'a"b\\c\nd{}=,é'
    found = scrape(MetricsCollector(), row(name))
    assert found("instance_up", service=name, name=name) == 1


def test_a_status_without_instances() -> None:
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
        metrics.observe(r, 40.0)
    found = scrape(metrics, row("web", type=kind))
    counted = {c.value: found("instance_failures_total", cause=c.value, **WEB) for c in Cause}
    assert {c: n for c, n in counted.items() if n is not None} == failures
    assert found("instance_recoveries_total", **WEB) == recovered
    assert found("instance_last_failure_age_seconds", **WEB) == (60.0 if failures else None)


def test_detection_time_is_a_histogram_per_service() -> None:
    metrics = MetricsCollector()
    for r in CRASH + HANG:
        metrics.observe(r, 1.0)
    found = scrape(metrics, row("web"))
    assert found.kinds["phi_supervisor_detection_seconds"] == "histogram"
    assert found("detection_seconds_bucket", service="web", le="0.001") == 1
    assert found("detection_seconds_bucket", service="web", le="2.0") == 1
    assert found("detection_seconds_bucket", service="web", le="5.0") == 2
    assert found("detection_seconds_bucket", service="web", le="+Inf") == 2
    assert found("detection_seconds_sum", service="web") == 2.5
    assert found("detection_seconds_count", service="web") == 2


def test_the_missions_ratios_per_service_and_in_total() -> None:
    metrics = MetricsCollector()
    for r in CRASH + READY + CRASH:
        metrics.observe(r, 1.0)
    rows = [
        row("web"),
        row("db@1"),
        row("db@2", ready=False, state="starting", current=False),
        row("migrate", type="oneshot", ready=False, state="exited", cause="succeeded", pid=None),
    ]
    found = scrape(metrics, *rows)
    assert found("replication_ratio", service="db") == 0.5
    assert found("replication_ratio") == pytest.approx(2 / 3, abs=1e-6)
    assert found("replication_ratio", service="migrate") is None
    assert found("consistency_ratio", service="db") == 0.5
    assert found("fault_ratio", service="web") == 2.0
    assert found("fault_ratio") == 0.5
    assert found("recovery_ratio", service="web") == 0.5
    assert found("recovery_ratio") == 0.5
    assert found("recovery_ratio", service="db") is None
