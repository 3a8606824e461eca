"""What status rows say beside the instance itself."""

from __future__ import annotations

from typing import Any

import pytest

from supervisor.core.lifecycle.instance import Instance
from supervisor.core.lifecycle.snapshot import _WHERE_ABSENT, Reload
from supervisor.core.lifecycle.transitions import step
from supervisor.core.model import events as ev
from supervisor.core.model.balance_documents import Balance, BalancedSlot
from supervisor.core.services.status import carried_by, instance_view, missing
from tests.core.services.test_service_set import spec


def slot(number: int, instance: str | None, state: str, requests: int) -> BalancedSlot:
    return {
        "slot": number,
        "instance": instance,
        "address": "127.0.0.1:18101",
        "state": state,
        "since_s": 1.0,
        "status": "UP",
        "weight": 1,
        "sessions": number,
        "queue": 2,
        "rate": 3,
        "requests": requests,
        "errors": 4,
    }


def test_what_an_instance_carries_is_that_of_its_active_slot() -> None:
    balance: Balance = {
        "service": "web",
        "up": True,
        "listen": "127.0.0.1:8000",
        "mode": "http",
        "algorithm": "leastconn",
        "slots": [
            slot(1, "web@1", "draining", 50),
            slot(2, "web@1", "active", 60),
            slot(3, "web@1", "draining", 70),
            slot(4, None, "draining", 9),
        ],
        "free": 0,
        "requests": 100,
        "load": 50.0,
        "carried": {"web@1": 60, "web@2": 40},
    }
    found = carried_by([balance])
    assert found == {
        "web@1": {"slot": "active", "sessions": 2, "queue": 2, "rate": 3, "requests": 60, "errors": 4},
        "web@2": {"slot": None, "sessions": 0, "queue": 0, "rate": 0, "requests": 40, "errors": 0},
    }


def test_a_row_tells_the_port_of_its_instance() -> None:
    web = spec("web", replicas=2, ports=[8001, 8002])
    assert instance_view(Instance("web@2", web, lambda: 0.5), 100.0)["port"] == 8002
    assert instance_view(Instance("web", spec("web"), lambda: 0.5), 100.0)["port"] is None


@pytest.mark.parametrize(
    ("ready", "missed"),
    [
        (("web@1", "web@2", "web@3"), []),
        (("web@1", "web@2"), []),
        (("web@2", "web@3"), []),
        (("web@2",), ["web@1"]),
        (("web@3",), ["web@2"]),
        ((), ["web@1", "web@2"]),
    ],
)
def test_one_beside_the_others_is_not_missed_and_stands_in(ready: tuple[str, ...], missed: list[str]) -> None:
    rows = [
        {"name": name, "service": "web", "goal": "up", "state": "starting", "cause": "", "type": "service"}
        | {"ready": name in ready}
        for name in ("web@1", "web@2", "web@3")
    ]
    other = rows[0] | {"name": "db", "service": "db", "ready": False}
    rollouts = [{"service": "web", "surge": ["web@3"]}, {"service": "db"}]
    status: Any = {"instances": [*rows, other], "supervisor": {"rollouts": rollouts}}
    assert [row["name"] for row in missing(status)] == [*missed, "db"]


@pytest.mark.parametrize(("state", "within"), [("begun", 20.0), ("done", None)])
def test_a_row_tells_of_the_last_reload_and_of_an_error(state: Any, within: float | None) -> None:
    web = Instance("web", spec("web"), lambda: 0.5)
    assert not {"reload", "error", "stored"} & instance_view(web, 100.0).keys()
    web.reload, web.error_told = Reload(state, 90.0, 120.0), {"errno": 13, "text": "Permission denied"}
    row = instance_view(web, 100.0)
    assert row["reload"] == {"state": state, "since_s": 10.0, "within_s": within}
    assert row["error"] == {"errno": 13, "text": "Permission denied"}


def test_how_a_run_ended_is_not_told_of_the_next_one_that_cannot_be_started() -> None:
    web = Instance("web", spec("web"), lambda: 0.5)
    for event in (ev.Start(), ev.StartPermitted(), ev.Spawned(1, 7), ev.Exited(1, 1, None, False), ev.TreeEmpty(1)):
        step(web, event, 100.0)
    before = instance_view(web, 100.0)
    assert before.get("left_behind") and before["exit_code"] == 1
    for after in (ev.Timeout(), ev.StartPermitted(), ev.SpawnFailed(2, "no such file")):
        step(web, after, 102.0)
    now = instance_view(web, 102.0)
    assert (now["cause"], now["exit_code"], now["signal"], now.get("left_behind")) == (
        "spawn-failed",
        None,
        None,
        False,
    )


def test_a_new_instance_has_what_is_assumed_where_an_earlier_version_saved_nothing() -> None:
    assert not _WHERE_ABSENT.keys() & Instance("web", spec("web"), lambda: 0.5).snapshot(100.0).keys()


def test_how_long_it_may_take_to_be_ready_is_told_while_it_starts() -> None:
    web = Instance(
        "web", spec("web", heartbeat={"source": "notify"}, ready={"tcp": "x"}, start_timeout=30.0), lambda: 0.5
    )
    for event in (ev.Start(), ev.StartPermitted(), ev.Spawned(1, 7)):
        step(web, event, 100.0)
    assert instance_view(web, 101.0)["ready_within_s"] == 29.0
    step(web, ev.Ready(1, "tcp"), 101.0)
    assert web.deadline is not None and instance_view(web, 101.0)["ready_within_s"] is None
