"""What `supervisor wait` waits for."""

from __future__ import annotations

from typing import Any

import pytest

from supervisor.core.services.awaited import WHAT, awaited, awaits_reload, reloaded
from supervisor.core.services.settled import Failure
from tests.doubles.fake_client import view

ENDED = {"ready": False, "cause": "exited", "exit_code": 3, "pid": None}
KEPT = {"since": "", "ends_at": None, "ends_in_s": None, "reason": "", "by": "", "ended": True}
CASES: list[tuple[Any, set[str], set[str]]] = [
    (view("web", "running", ready=True), {"ready", "started"}, set()),
    (view("web", "starting", ready=False, pid=7), {"started"}, set()),
    (view("web", "starting", ready=False, pid=None), set(), set()),
    (view("web", "stopping", ready=False, pid=7), set(), set()),
    (view("web", "stopped", ready=False, goal="down", pid=None), {"stopped"}, set()),
    (view("web", "backoff", **ENDED), set(), set()),
    (view("web", "exited", **ENDED), set(), {"ready", "started", "completed"}),
    (view("web", "exited", **ENDED, maintenance=KEPT), set(), set()),
    (view("web", "exited", **ENDED | {"exit_code": 0}), {"completed"}, {"ready", "started"}),
    (view("job", "exited", **ENDED | {"exit_code": 0, "cause": "succeeded"}, type="oneshot"),
     {"completed", "ready", "started"}, set()),
]  # fmt: skip


@pytest.mark.parametrize(("row", "met", "over"), CASES)
def test_which_waits_are_over_and_which_have_failed(row: Any, met: set[str], over: set[str]) -> None:
    found = {what: awaited(what, row) for what in WHAT}
    assert {what for what, result in found.items() if result is True} == met
    assert {what for what, result in found.items() if isinstance(result, Failure)} == over


@pytest.mark.parametrize(("reload", "since", "expected"), [
    (None, None, False),
    ("begun", 0.5, True),
    ("done", 1.0, True),
    ("done", 1.002, False),
])  # fmt: skip
def test_a_reload_that_was_begun_by_this_order_is_awaited(
    reload: str | None, since: float | None, expected: bool
) -> None:
    row: Any = view("web", "running")
    if reload is not None:
        row["reload"] = {"state": reload, "since_s": since, "within_s": None}
    assert awaits_reload(row, 1.0) is expected


@pytest.mark.parametrize(("more", "expected"), [
    ({"reload": {"state": "asked"}}, False),
    ({"reload": {"state": "begun"}}, False),
    ({"reload": {"state": "done"}}, True),
    ({"reload": {"state": "timed-out"}}, "it did not say in time that it has reloaded"),
    ({}, "its process has ended"),
    ({"reload": {"state": "done"}, "incarnation": 2}, "its process has ended"),
    ({"reload": {"state": "done"}, "pid": None}, "its process has ended"),
])  # fmt: skip
def test_when_a_reload_is_over(more: dict[str, Any], expected: bool | str) -> None:
    row: Any = view("web", "running", **{"pid": 7, "incarnation": 1} | more)
    result = reloaded(row, 1)
    assert str(result).startswith(expected) if isinstance(expected, str) else result is expected
    assert isinstance(result, Failure) is isinstance(expected, str)
