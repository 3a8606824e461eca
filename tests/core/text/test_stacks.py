"""Stacks as programs really write them, and garbage."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.text.stacks import frames, innermost


def where(lines: Iterable[str]) -> list[str]:
    return [str(frame) for frame in frames(lines)]


FAULTHANDLER = """
job 17 begun
Thread 0x00007f3c2a7fc640 (most recent call first):
  File "/usr/lib/python3.11/socket.py", line 706 in readinto
  File "/srv/app/poll.py", line 9 in run

Current thread 0x00007f3c2b1ff740 (most recent call first):
  File "/srv/app/worker.py", line 31 in take the lock
  File "/srv/app/worker.py", line 44 in <module>
"""
PY_SPY = """
Thread 7001 (idle): "pool-0"
    wait (threading.py:327)
Thread 7000 (active+gil): "MainThread"
    spin (app/worker.py:7)
    <module> (worker.py:12)
"""
JAVA = """
2026-11-23 03:14:15
Full thread dump OpenJDK 64-Bit Server VM (17.0.9+9 mixed mode):

"GC Thread#0" os_prio=0 cpu=1.2ms elapsed=9.1s tid=0x00007f nid=0x11 runnable

"pool-1" #12 prio=5 os_prio=0 cpu=0.1ms elapsed=9.0s tid=0x00007f nid=0x12 waiting on condition  [0x00007f]
   java.lang.Thread.State: WAITING (parking)
	at jdk.internal.misc.Unsafe.park(java.base@17.0.9/Native Method)

"main" #1 prio=5 os_prio=0 cpu=40.1ms elapsed=9.1s tid=0x00007f nid=0x10 waiting for monitor entry  [0x00007f]
   java.lang.Thread.State: BLOCKED (on object monitor)
	at Hang.take(Hang.java:8)
	- waiting to lock <0x000000> (a java.lang.Object)
	at Hang.main(Hang.java:3)
"""


@pytest.mark.parametrize(
    ("text", "frames"),
    [
        (FAULTHANDLER, ["take the lock (worker.py:31)", "<module> (worker.py:44)"]),
        (PY_SPY, ["spin (worker.py:7)", "<module> (worker.py:12)"]),
        (JAVA, ["Hang.take (Hang.java:8)", "Hang.main (Hang.java:3)"]),
        (JAVA.expandtabs(4), ["Hang.take (Hang.java:8)", "Hang.main (Hang.java:3)"]),
        ('Thread 0x1 [pool] (most recent call first):\n  File "a.py", line 1 in f\n', ["f (a.py:1)"]),
        (PY_SPY.replace("MainThread", "other"), ["wait (threading.py:327)"]),
        ("", []),
        ("Current thread 0x1 (most recent call first):\n", []),
        ('  File "a.py", line 1 in f\n', []),
        ("nothing of the kind\n    at all (a:b)\n", []),
    ],
)
def test_the_foremost_thread_is_told(text: str, frames: list[str]) -> None:
    assert where(text.splitlines()) == frames


def stack(*calls: str) -> list[str]:
    """A faulthandler dump: `function /path.py:7`, innermost first."""
    lines = ["Current thread 0x1 (most recent call first):"]
    for call in calls:
        function, _, place = call.partition(" ")
        file, _, line = place.rpartition(":")
        lines.append(f'  File "{file}", line {line} in {function}')
    return lines


@pytest.mark.parametrize(
    ("calls", "place"),
    [
        (["acquire /srv/app/moody.py:31", "<module> /srv/app/moody.py:34"], "moody.py:31"),
        (["wait /usr/lib/python3.11/threading.py:327", "take /srv/app/q.py:8", "<module> /srv/app/q.py:9"], "q.py:8"),
        (["wait /usr/lib64/python3.13t/threading.py:3", "take /srv/app/q.py:8"], "q.py:8"),
        (["recv /usr/lib/python3/dist-packages/redis/connection.py:3", "take /home/me/q.py:8"], "q.py:8"),
        (["recv /srv/app/.venv/lib/python3.12/site-packages/redis/c.py:3", "take /srv/app/q.py:8"], "q.py:8"),
        (["wait threading.py:3", "run_forever asyncio/base_events.py:5", "main app/__main__.py:8"], "__main__.py:8"),
        (["select /usr/lib/python3.11/selectors.py:4", "run <frozen runpy>:9"], "selectors.py:4"),
        (["wait /usr/lib/python3.11/x.py:4", "<module> /srv/app/.venv/bin/gunicorn:8"], "x.py:4"),
        ([], None),
    ],
)
def test_the_innermost_call_of_the_programs_own_code_is_told(calls: list[str], place: str | None) -> None:
    found = innermost(frames(stack(*calls)))
    assert (found.place if found else None) == place


def test_own_code_in_java() -> None:
    lines = ['"main" #1 prio=5', "    at java.lang.Object.wait(Object.java:338)", "    at shop.Cart.take(Cart.java:8)"]
    found = innermost(frames(lines))
    assert found is not None and str(found) == "shop.Cart.take (Cart.java:8)"


@given(st.lists(st.text() | st.sampled_from((FAULTHANDLER + PY_SPY + JAVA).splitlines())))
def test_any_output_is_read(lines: list[str]) -> None:
    assert all(isinstance(frame, str) and frame for frame in where(lines))
