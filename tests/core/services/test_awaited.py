"""What `supervisor wait` waits for."""

from __future__ import annotations

from typing import Any

import pytest

from supervisor.core.services.awaited import WHAT, awaited
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
