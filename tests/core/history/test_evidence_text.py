"""How much of what was captured is told: the first few of each list, and nothing where there is nothing to tell."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from supervisor.core.history.evidence_text import captured
from supervisor.core.history.place import NO_PERMISSION, NO_PY_SPY

Parts = list[dict[str, Any]]


def told(evidence: dict[str, Any]) -> str:
    return "\n".join(captured("web@1", 1, evidence))  # type: ignore[arg-type]


def process(**more: Any) -> dict[str, Any]:
    return {"processes": [{"pid": 7, "name": "web", "state": "S", "memory_bytes": 1, "cpu_s": 1.0, **more}]}


def threads(names: list[str]) -> dict[str, Any]:
    return process(threads=[{"state": "S", "waits_in": name} for name in names])


def sockets(names: list[str]) -> dict[str, Any]:
    return process(sockets=[{"local": name, "remote": "r", "receive_queue": 1, "send_queue": 0} for name in names])


def others(names: list[str]) -> dict[str, Any]:
    return {"processes": process()["processes"] + [{"pid": 8, "name": name, "state": "S"} for name in names]}


def stacks(names: list[str]) -> dict[str, Any]:
    return {"stacks": [{"pid": 8, "how": "py-spy", "error": name} for name in names]}


def calls(names: list[str]) -> dict[str, Any]:
    lines = [f'  File "/a/b.py", line 3 in {name}' for name in names]
    first = "Current thread 0x1 (most recent call first):"
    return {"stacks": [{"pid": 8, "how": "SIGUSR2", "lines": [first, *lines]}]}


@pytest.mark.parametrize(
    ("made", "most"),
    [(threads, 4), (sockets, 4), (others, 5), (stacks, 3), (calls, 4)],
    ids=lambda one: getattr(one, "__name__", None),
)
def test_the_first_few_are_told(made: Callable[[list[str]], dict[str, Any]], most: int) -> None:
    names = [f"item{n}" for n in range(most + 1)]
    for count in (1, most, most + 1):
        assert sorted(re.findall(r"item\d", told(made(names[:count])))) == names[: min(count, most)]


def test_what_would_show_more_the_next_time_is_told_where_something_is_missing() -> None:
    python = {"processes": [{**process()["processes"][0], "name": "python3"}]}
    assert NO_PY_SPY in told(python)
    assert NO_PERMISSION in told(stacks(["Permission Denied"]))
    assert NO_PY_SPY not in told(process()) and NO_PY_SPY not in told(python | calls(["item"]))


@pytest.mark.parametrize(("unread", "unsent", "is_told"), [(1, 0, True), (0, 1, True), (1, 1, True), (0, 0, False)])
def test_a_socket_is_told_where_something_waits_in_it(unread: int, unsent: int, is_told: bool) -> None:
    one = {"local": "item", "remote": "r", "receive_queue": unread, "send_queue": unsent}
    assert ("item" in told(process(sockets=[one]))) is is_told
