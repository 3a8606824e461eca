"""What commands say where an order meets something else: a scale, a rollout, a file that is no service."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click import unstyle

from supervisor.cli.balance import table
from supervisor.cli.options import refuse_file
from supervisor.cli.reload import _at_rest, _difference, _left
from supervisor.cli.waiting import output as wait_output
from supervisor.core.detection.interval_histogram import IntervalHistogram
from supervisor.core.model.events import BeginMaintenance
from supervisor.core.model.spec import Plan, ServiceSpec, SupervisorSpec
from supervisor.core.services.maintenance import problems
from supervisor.core.services.service_set import ServiceSet
from supervisor.core.services.settled import settled
from supervisor.daemon.metrics_source import MetricsSource
from supervisor.detectorlab.recommendation import gathered
from supervisor.display.rollout_line import failed_rollouts, line, scaling_line
from supervisor.errors import OperationFailed, UsageError
from tests.doubles.fake_client import view

ROLLOUT = {
    "id": "r1", "service": "web", "order": "restart", "state": "running", "paused": False, "settled": 0,
    "instances": 2, "waiting_for": ["web@1"], "reason": None,
}  # fmt: skip
ROWS = [{"name": "web@1", "service": "web", "state": "starting", "ready": False}]


def _status(state: str = "running") -> Any:
    return {"instances": ROWS, "supervisor": {"rollouts": [ROLLOUT | {"state": state}]}}


def _answer(**changed: list[str]) -> Any:
    return {
        "applied": True, "added": [], "removed": [], "changed": changed, "restarted": [], "rolled": [], "retried": {},
        "unchanged": 0, "supervisor": [], "scale_ended": {"web": 5},
    }  # fmt: skip


def test_a_reload_tells_the_end_of_a_scale_once() -> None:
    ended = "`supervisor scale web=5` ended"
    assert [line.endswith(ended) for line in _difference(_answer(web=["replicas"]))] == [True, False]
    told = _difference(_answer(web=["replicas", "nice"]))
    assert told[0].endswith("  nice (in place)") and told[1].endswith(ended)
    assert "replicas" in _difference(_answer(other=["replicas"]))[0], "no scale explains it"


CHANGED = _answer(web=["command"], up=["command"], job=["command"], old=["nice"], new=["command"]) | {
    "restarted": ["web", "up", "job"], "started": ["up"], "resting": ["job"], "rolled": ["new"], "scale_ended": {},
}  # fmt: skip


def test_a_reload_says_of_each_service_what_becomes_of_it() -> None:
    assert [*map(unstyle, _difference(CHANGED))][:5] == [
        "~ web  command (restarted)",
        "~ up  command (started)",
        "~ job  command (at its next start)",
        "~ old  nice (in place)",
        "~ new  command (instance by instance)",
    ]
    assert _left(CHANGED) == ["job", "old"]


def test_a_reload_says_what_it_does_not_start() -> None:
    rows = [
        view("job", "exited", cause="succeeded"),
        view("job@2", "exited", maintenance={"reason": None}),
        view("job@3", "stopped", goal="down"),
        view("old", "failed", cause="reloaded"),
        view("old@2", "exited", cause="succeeded"),
        view("old@3"),
    ]
    assert list(_at_rest(rows, CHANGED)) == [
        "job had ended and is not started by this: `supervisor start job` starts it",
        "old has failed, and its breaker stays open: `supervisor reset old` tries it at once",
    ]


@pytest.mark.parametrize(("state", "warned"), [("running", True), ("rolling-back", True), ("finished", False)])
def test_a_plain_restart_says_that_a_rollout_is_under_way(
    capsys: pytest.CaptureFixture[str], state: str, warned: bool
) -> None:
    client: Any = SimpleNamespace(status=lambda services: _status(state))
    wait_output.warn_of_rollouts(client, ["web"])
    assert ("web is being rolled out: this restart does not wait" in capsys.readouterr().err) is warned


def test_a_rollout_that_takes_longer_than_the_wait_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wait_output, "_statuses", lambda client: iter([_status()]))
    with pytest.raises(OperationFailed) as late:
        wait_output.follow(SimpleNamespace(), ["web"], 0.0)  # type: ignore[arg-type]
    assert late.value.message == "not done within 0 s, and going on:\n  web: rolling restart: 0 of 2; web@1 starting"
    assert "rollout pause web" in late.value.hint


@pytest.mark.parametrize(
    ("cause", "why"),
    [("shutdown", "everything is being stopped"), ("stopped-by-user", "stopped again by another command")],
)
def test_what_is_stopped_meanwhile_says_by_what(cause: str, why: str) -> None:
    row: Any = {"name": "web", "goal": "down", "stuck": False, "state": "stopping", "cause": cause}
    assert settled("start", "web", {"web": row}, {}) == why


def test_a_file_after_the_f_of_follow_is_no_service(tmp_path: Path) -> None:
    file = tmp_path / "services.toml"
    refuse_file((str(file), "web"))
    file.touch()
    with pytest.raises(UsageError, match="-f means --follow here"):
        refuse_file((str(file),))


def test_a_balancer_that_does_not_answer_is_told_with_what_to_type() -> None:
    one: Any = {"service": "web", "listen": "127.0.0.1:80", "mode": "http", "algorithm": "leastconn"}
    one |= {"free": 8, "up": False, "slots": [], "carried": {}, "load": 0.0}
    assert "HAProxy does not answer: `supervisor why haproxy` tells why" in table(one)


def test_the_head_of_the_balancer_has_the_load_of_the_mission() -> None:
    one: Any = {
        "service": "web", "up": True, "listen": "127.0.0.1:80", "mode": "http", "algorithm": "leastconn", "slots": [],
        "free": 2, "load": 10.0, "carried": {"web@1": 15, "web@2": 5},
    }  # fmt: skip
    head, columns, first, second = table(one).splitlines()
    assert "L 10.0  2 slots free" in head and "SHARE" in columns
    assert "15" in first and "1.50" in first and "0.50" in second


@pytest.mark.parametrize(("kept", "of_the_file"), [("web", 2), ("web@1", 1)])
def test_beats_are_found_under_the_name_that_an_instance_kept(kept: str, of_the_file: int) -> None:
    recorded = IntervalHistogram()
    for _ in range(30):
        recorded.add(0.5)
    saved = {kept: {"recording": recorded.snapshot()}, "webhook": {"recording": recorded.snapshot()}}
    found, _ = gathered(saved, ServiceSpec(name="web", command=("x",), replicas=of_the_file))
    assert found.count == 30


def test_maintenance_is_no_problem_of_the_daemon() -> None:
    """An alert on problems would fire during any maintenance."""
    plan = Plan(supervisor=SupervisorSpec(), services=(ServiceSpec(name="web", command=("x",)),))
    service_set = ServiceSet(plan, lambda: 0.5)
    service_set.begin_maintenance(["web"], 5.0, BeginMaintenance(1000.0, reason="new disk"))
    told = problems(service_set.instances.values(), 5.0)
    parts: Any = SimpleNamespace(loop=SimpleNamespace(now=lambda: 5.0), service_set=service_set)
    document: Any = {"problems": ["the disk is full", *told]}
    assert len(told) == 1 and MetricsSource(parts, lambda now: document).supervisor()["problems"] == [
        "the disk is full"
    ]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, "web  rolling restart: 0 of 2; web@1 starting; 1 of 2 instances ready; began 9.0s ago"),
        (
            {"surge": ["web@3"], "ready": 3},
            "web  rolling restart: 0 of 2; web@1 starting; 3 of 3 instances ready (2 wanted, 1 more until it is over); "
            "began 9.0s ago",
        ),
        (
            {"state": "rolled-back", "reason": "web@3: exited with code 3"},
            "web  rolled back: web@3: exited with code 3; 1 of 2 instances ready; ended 4.0s ago",
        ),
        (
            {"state": "halted", "reason": "web@1: exited with code 3"},
            "web  rolling restart halted: web@1: exited with code 3; 1 of 2 instances ready; halted 4.0s ago",
        ),
    ],
)
def test_a_rollout_in_one_line(changed: dict[str, Any], said: str) -> None:
    rollout: Any = ROLLOUT | {"ready": 1, "began_s": 9.0, "since_s": 4.0} | changed
    rows: Any = {row["name"]: row for row in ROWS}
    assert line(rollout, rows) == said


def test_a_scale_in_one_line() -> None:
    rows: Any = {
        name: {"name": name, "service": "web", "state": state, "ready": state == "running", "goal": "up"}
        for name, state in (("web@1", "running"), ("web@2", "starting"))
    }
    scale: Any = {"service": "web", "before": 1, "replicas": 2, "starting": ["web@2"], "stopping": [], "began_s": 3.0}
    assert scaling_line(scale, rows) == (
        "web  scale from 1 to 2: web@2 starting; 1 of 2 instances ready; began 3.0s ago"
    )


def test_what_became_of_a_rollout_that_failed() -> None:
    rolled: Any = ROLLOUT | {"state": "rolled-back", "reason": "web@3: exited with code 3", "since_s": 4.0}
    undone: Any = rolled | {"service": "api", "reason": "undone by an order", "state": "rolling-back"}
    finished: Any = rolled | {"service": "db", "state": "finished"}
    assert failed_rollouts([rolled, undone, finished]) == {
        "web": "rolled back 4.0s ago (web@3: exited with code 3); `supervisor why web@3` tells more",
        "api": "began to go back 4.0s ago (undone by an order)",
    }
