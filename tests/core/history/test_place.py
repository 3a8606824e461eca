"""Where a suspect was, from evidence as it is recorded."""

from __future__ import annotations

from typing import Any

import pytest

from supervisor.core.history.place import NO_PERMISSION, NO_PY_SPY, advice, place

JSON = dict[str, Any]


def stack(*frames: str, pid: int = 7) -> JSON:
    """As py-spy writes it: `work /srv/moody.py:31`."""
    calls = [frame.partition(" ") for frame in frames]
    lines = ['Thread 7 (idle): "MainThread"', *(f"    {name} ({file})" for name, _, file in calls)]
    return {"pid": pid, "how": "py-spy", "lines": lines}


def process(waits_in: str | None, *, pid: int = 7, state: str = "S", name: str = "web", **more: Any) -> JSON:
    return {"pid": pid, "name": name, "threads": [{"tid": pid, "state": state, "waits_in": waits_in}], **more}


MOODY = stack("work /srv/moody.py:31", "<module> /srv/moody.py:34")
ARBITER = stack("select /usr/lib/python3.11/selectors.py:4", "run /x/site-packages/gunicorn/arbiter.py:9", pid=6)
KERNEL = {"pid": 7, "threads": [{"tid": 7, "state": "D", "waits_in": None, "stack": ["nfs_wait_bit+0x1/0x2"]}]}


@pytest.mark.parametrize(
    ("cause", "evidence", "said"),
    [
        ("heartbeat-silent", {"stacks": [MOODY]}, "hangs at moody.py:31 in work()"),
        ("watchdog-triggered", {"stacks": [MOODY]}, "hangs at moody.py:31 in work()"),
        ("start-timeout", {"stacks": [MOODY]}, "was at moody.py:31 in work()"),
        ("heartbeat-silent", {"stacks": [ARBITER, MOODY]}, "hangs at moody.py:31 in work()"),
        ("heartbeat-silent", {"stacks": [ARBITER]}, "hangs at selectors.py:4 in select()"),
        ("heartbeat-silent", {"stacks": [stack("<module> /srv/a.py:3")]}, "hangs at a.py:3"),
        ("heartbeat-silent", {"stacks": [stack("<lambda> /srv/a.py:3")]}, "hangs at a.py:3 in <lambda>"),
        ("heartbeat-silent", {"processes": [process("futex_wait")]}, "waits in futex_wait (for a lock)"),
        ("start-timeout", {"processes": [process("futex_wait")]}, "waited in futex_wait (for a lock)"),
        ("heartbeat-silent", {"processes": [process("xyz")]}, "waits in xyz"),
        (
            "heartbeat-silent",
            {"processes": [process("do_wait"), process("ep_poll", pid=8)]},
            "waits in ep_poll (for events of its files and sockets)",
        ),
        ("heartbeat-silent", {"processes": [process("do_wait")]}, "waits in do_wait (for a child process)"),
        ("heartbeat-silent", {"processes": [process("xyz", state="R")]}, None),
        ("heartbeat-silent", {"processes": [process(None)]}, None),
        ("heartbeat-silent", {"processes": [KERNEL]}, "waits in nfs_wait_bit (for a file server)"),
        ("heartbeat-silent", {"processes": [{"pid": 7}]}, None),
        ("heartbeat-silent", {"stacks": [{"pid": 7, "how": "py-spy", "error": "no"}]}, None),
        ("heartbeat-silent", {}, None),
        ("heartbeat-silent", None, None),
    ],
)
def test_the_place_in_one_sentence(cause: str, evidence: Any, said: str | None) -> None:
    assert place(cause, evidence) == said


@pytest.mark.parametrize(
    ("evidence", "said"),
    [
        ({"processes": [process("x", name="python3.11")]}, NO_PY_SPY),
        ({"processes": [process("x", command="/usr/bin/python3 app.py")]}, NO_PY_SPY),
        ({"processes": [process("x", name="python3")], "stacks": [MOODY]}, None),
        ({"processes": [process("x", name="python3")], "held": "stopped (SIGSTOP)"}, None),
        ({"processes": [process("x", name="redis-server")]}, None),
        ({"stacks": [{"pid": 7, "how": "py-spy", "error": "Permission Denied: Try sudo"}]}, NO_PERMISSION),
        ({}, None),
    ],
)
def test_what_would_show_the_line(evidence: Any, said: str | None) -> None:
    assert advice(evidence) == said
