"""When a host has come through a change of its configuration."""

from __future__ import annotations

from typing import Any, cast

import pytest

from supervisor.core.model.instance_documents import Instance
from supervisor.core.model.order_documents import Rollout
from supervisor.core.services.pushed import Change, judged
from supervisor.core.services.settled import Failure
from tests.doubles.fake_client import view

WEB = Change(("web",), (), {})
AGAIN = Change(("web",), (), {"web": 1})


def rollout(state: str, reason: str | None = None) -> dict[str, Rollout]:
    return {"web": cast("Rollout", {"service": "web", "state": state, "reason": reason})}


def placed(reason: str) -> dict[str, Any]:
    return {"node": None, "here": False, "epoch": None, "reason": reason, "done": False}


@pytest.mark.parametrize(
    ("change", "rows", "found"),
    [
        (WEB, [view("web")], True),
        (WEB, [view("web", "starting", ready=False)], False),
        (WEB, [view("web", "failed", cause="exited", exit_code=1, breaker="open")], "web: exit"),
        (WEB, [view("web", "stopped", goal="down", ready=False)], True),
        (WEB, [view("web", "stopped", ready=False, placed=placed("ZooKeeper does not answer"))], True),
        (AGAIN, [view("web", incarnation=1)], False),
        (AGAIN, [view("web", incarnation=2)], True),
        (WEB, [view("other", "failed", breaker="open")], True),
        (WEB, [], True),
    ],
)
def test_services_that_were_started_or_replaced(change: Change, rows: list[Instance], found: bool | str) -> None:
    result = judged(change, rows, {})
    if isinstance(found, str):
        assert isinstance(result, Failure) and result.startswith(found), result
    else:
        assert result is found


@pytest.mark.parametrize(
    ("rollouts", "found"),
    [
        ({}, True),
        (rollout("finished"), True),
        (rollout("running"), False),
        (rollout("rolling-back"), False),
        (rollout("rolled-back", "web@2 is not ready"), "web was rolled back: web@2 is not ready"),
        (rollout("halted"), "web was halted: by an order"),
    ],
)
def test_services_that_are_rolled_out(rollouts: dict[str, Rollout], found: bool | str) -> None:
    assert judged(Change((), ("web",), {}), [], rollouts) == found
