"""What is said of an instance that another host of the cluster runs, or that waits for its slot."""

from __future__ import annotations

from typing import Any

import pytest

from supervisor.core.history.outlook import standing
from supervisor.core.text.waiting import held_under, instead_of_running, runs_elsewhere, where


def row(state: str = "starting", **placed: Any) -> Any:
    found = {"node": None, "here": False, "reason": None, "done": False, "epoch": None} | placed
    return {"state": state, "ready": False, "goal": "up", "placed": found}


@pytest.mark.parametrize(
    ("of", "elsewhere", "said"),
    [
        (row(node="b"), True, "runs on b"),
        (row(done=True), True, "has completed in the cluster"),
        (row("stopped", node="b"), True, "runs on b"),
        (row("stopping", node="b"), False, ""),
        (row(node="a", here=True, epoch=7), False, ""),
        (row(reason="ZooKeeper does not answer"), False, "waits: ZooKeeper does not answer"),
        ({"state": "starting", "ready": False}, False, ""),
    ],
)
def test_where_it_runs(of: Any, elsewhere: bool, said: str) -> None:
    assert runs_elsewhere(of) is elsewhere
    assert instead_of_running(of) == said
    if elsewhere:
        assert where(of) == said
        assert standing(of | {"since_s": None, "pid": None}) == f"not run here: it {said}"


def test_the_epoch_of_what_runs_here() -> None:
    assert held_under(row(node="a", here=True, epoch=7)) == "; it holds its slot in the cluster under epoch 7"
    assert held_under(row(node="b")) == ""
