"""Suspicion between hosts, on a clock that the test sets."""

from __future__ import annotations

import random
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.cluster.suspicion import EARLIEST, LATEST, Suspicion

WISH, KEEP = 3.0, 10.0
INTERVAL = WISH / 10


def judged(names: str = "b", begin: float = 100.0) -> Suspicion:
    made = Suspicion(WISH, KEEP)
    made.members(names, begin)
    return made


def beat(made: Suspicion, name: str, begin: float, count: int) -> float:
    """The moment of the last of some regular heartbeats."""
    for n in range(count):
        now = begin + n * INTERVAL
        made.heard(name, now)
        made.judge(now)
    return begin + (count - 1) * INTERVAL


def test_a_host_that_was_never_heard_is_not_suspected() -> None:
    made = judged()
    assert made.deadline is None and not made.judge(1e6)
    assert (made.suspects(), made.alive()) == ([], [])
    made.heard("x", 101.0)
    assert not made.knows("x") and made.knows("b")


@pytest.mark.parametrize("beats", [1, 5, 100])
def test_a_silent_host_is_suspected_within_the_wish(beats: int) -> None:
    made = judged()
    last = beat(made, "b", 100.1, beats)
    assert made.alive() == ["b"]
    due = made.deadline
    assert due is not None and last + EARLIEST * WISH <= due + 1e-6 <= last + LATEST * WISH + 2e-6
    assert not made.judge(due - 0.001)
    assert made.judge(due) and made.suspects() == ["b"] and made.alive() == []
    assert not made.judge(due + 1.0) and made.deadline is None


def test_it_counts_again_after_some_heartbeats_in_a_row() -> None:
    made = judged()
    now = beat(made, "b", 100.1, 10) + WISH
    assert made.judge(now)
    made.heard("b", now + 0.1)
    assert not made.judge(now + 0.1)
    now += 0.1 + WISH
    made.judge(now)  # silent again: what came before does not count
    for n in (1, 2, 3):
        made.heard("b", now + n * INTERVAL)
        assert made.judge(now + n * INTERVAL) is (n == 3)
    assert made.suspects() == []
    last = now + 3 * INTERVAL
    due = made.deadline
    assert due is not None and due <= last + LATEST * WISH + 1e-6, "the silence was not learned"


def test_one_that_left_the_registry_is_judged_for_a_while() -> None:
    made = judged("bc")
    now = beat(made, "b", 100.1, 10)
    made.members("c", now)
    made.heard("b", now + 0.1)
    assert made.alive() == ["b"]
    made.members("cb", now + 1.0)
    made.members("c", now + 2.0)
    made.members("c", now + 2.0 + KEEP - 0.1)
    assert made.knows("b")
    made.members("c", now + 2.0 + KEEP)
    assert not made.knows("b")


@given(st.floats(0.5, 1000.0))
def test_what_this_process_was_late_by_is_no_silence(pause: float) -> None:
    made = judged()
    now = beat(made, "b", 100.1, 20)
    expected = now + INTERVAL
    made.woke(expected + pause, expected)
    assert not made.judge(expected + pause)
    made.heard("b", expected + pause + 0.1)
    assert not made.judge(expected + pause + 0.1) and made.suspects() == []


def test_a_little_late_is_silence() -> None:
    made = judged()
    due_before = made.deadline
    last = beat(made, "b", 100.1, 20)
    made.woke(last + 0.2, last + 0.1)
    assert due_before is None and made.judge(last + LATEST * WISH)


def lossy(seed: int, seconds: float, loss: float, *, stalls: bool) -> tuple[int, float]:
    """How many suspicions of a living host there are, and after how much of the wish it is suspected when it dies.

    The sender is late by chance, as on a busy host; this process is, too, and takes what waits when it wakes."""
    dice = random.Random(seed)
    made, now, sends, late, false = judged(), 100.0, 100.0, 0.0, 0
    waiting: deque[float] = deque()
    due = now
    while now < 100.0 + seconds:
        late = dice.expovariate(20.0) if stalls else 0.0
        now = max(now, due) + late
        while sends <= now:
            if dice.random() >= loss:
                waiting.append(sends)
            sends += INTERVAL + (dice.expovariate(20.0) if stalls else 0.0)
        made.woke(now, due)
        while waiting:
            waiting.popleft()
            made.heard("b", now)
        false += made.judge(now) and bool(made.suspects())
        due = min(now + INTERVAL, made.deadline or now + INTERVAL)
    last = now
    while not made.suspects():
        now = made.deadline or now
        made.judge(now)
    return false, (now - last) / WISH


@pytest.mark.parametrize("seed", range(5))
def test_lost_heartbeats_and_busy_hosts(seed: int) -> None:
    """An hour with 5 % loss, and one in which both sides run late as well: no false suspicion."""
    assert lossy(seed, 3600.0, 0.05, stalls=False)[0] == 0
    false, after = lossy(seed, 3600.0, 0.05, stalls=True)
    assert false == 0 and after <= 1.5
