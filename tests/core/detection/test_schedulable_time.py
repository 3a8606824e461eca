"""Which part of a suspicion's time counts as schedulable."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.detection.schedulable_time import MEMORY, QUOTA, SchedulableTime, Wait, Waited, contended

WAITED = st.builds(Waited, st.floats(-1e9, 1e9), st.floats(-1e9, 1e9), st.integers(0, 2), st.booleans())


def waited(**seconds: float) -> dict[Wait, Waited]:
    return {name: Waited(value) for name, value in seconds.items()}


def test_the_thread_that_waited_longest_speaks_for_all() -> None:
    time = SchedulableTime()
    time.look(100.0, waited(a=5.0, b=7.0), blocked=False)
    assert (time.ran, time.held, time.looked) == (0.0, None, True)
    time.look(101.0, waited(a=5.1, b=7.75, c=99.0), blocked=False)
    assert (time.ran, time.share, time.waited_for, time.held) == (0.25, 0.75, "b", "starved of CPU")
    time.look(103.0, waited(a=5.1, b=7.75, c=99.0), blocked=False)
    assert (time.ran, time.share, time.held) == (2.25, 0.0, None)


def test_while_it_is_stopped_no_time_counts() -> None:
    time = SchedulableTime()
    time.look(0.0, waited(a=0.0), blocked=False)
    time.look(1.0, waited(a=0.0), blocked=True)  # since when is not known: counted
    time.look(31.0, waited(a=0.0), blocked=True)
    assert time.ran == 1.0
    time.look(32.0, waited(a=0.0), blocked=False)
    assert time.ran == 2.0


def test_where_the_kernel_counts_nothing_all_time_counts() -> None:
    time = SchedulableTime()
    for at in (0.0, 1.0, 2.0):
        time.look(at, {}, blocked=False)
    assert (time.ran, time.share, time.waited_for) == (2.0, 0.0, None)


def test_who_wanted_to_run_all_the_time_lost_what_it_did_not_run() -> None:
    """Whatever the kernel has counted until now, and wherever the time went."""
    time = SchedulableTime()
    time.look(0.0, {7: Waited(1.0, 5.0, 3, True)}, blocked=False)
    time.look(2.0, {7: Waited(1.0, 5.5, 3, True)}, blocked=False)
    assert (time.ran, time.share, time.waited_for) == (0.5, 0.75, 7)
    time.look(3.0, {7: Waited(1.25, 5.5, 4, True)}, blocked=False)  # it slept in between
    assert (time.ran, time.share) == (1.25, 0.25)
    time.look(4.0, {7: Waited(1.25, 5.5, 4, False)}, blocked=False)
    assert time.ran == 2.25


@pytest.mark.parametrize(
    ("before", "after", "ran"),
    [
        # It spins and gets a whole CPU: a hang, however often it was put off for a moment.
        (Waited(9.0, 5.0, 3, True), Waited(9.1, 6.9, 3, True), 1.9),
        # It sleeps in a futex that is never woken.
        (Waited(9.0, 5.0, 3, False), Waited(9.0, 5.0, 3, False), 2.0),
        # It sleeps for a moment again and again, and waits for a CPU each time.
        (Waited(9.0, 5.0, 3, False), Waited(10.5, 5.25, 90, False), 0.5),
        # It slept at first, and has waited since: what the kernel has not counted yet, it cannot tell.
        (Waited(9.0, 5.0, 3, False), Waited(9.0, 5.0, 3, True), 2.0),
        # It waits in uninterruptible sleep: that wants no CPU.
        (Waited(9.0, 5.0, 3, False), Waited(9.0, 5.0, 4, False), 2.0),
        # It had waited long already at the first look, and that is counted only now.
        (Waited(1.0, 5.0, 3, True), Waited(9.0, 5.5, 4, False), 0.0),
    ],
)
def test_what_a_thread_does_tells_how_long_it_could_run(before: Waited, after: Waited, ran: float) -> None:
    time = SchedulableTime()
    time.look(0.0, {7: before}, blocked=False)
    time.look(2.0, {7: after}, blocked=False)
    assert time.ran == pytest.approx(ran)
    assert time.unsure is (after.wants and not before.wants)


def test_a_thread_born_in_between_has_waited_since_its_birth() -> None:
    """A script that runs one short program after the other waits in the newest of them."""
    time = SchedulableTime()
    time.look(0.0, {7: Waited(3.0)}, blocked=False)
    time.look(2.0, {7: Waited(3.0), 8: Waited(1.5, 0.1, 0, True)}, blocked=False)
    assert (time.ran, time.waited_for) == (0.5, 8)


@pytest.mark.parametrize(
    ("key", "held"), [(7, "starved of CPU"), (MEMORY, "starved of memory"), (QUOTA, "at its CPU quota")]
)
def test_it_says_what_was_waited_for(key: Wait, held: str) -> None:
    time = SchedulableTime()
    time.look(0.0, {key: Waited(1.0)}, blocked=False)
    assert time.held is None
    time.look(1.0, {key: Waited(1.6)}, blocked=False)
    assert time.held == held


@pytest.mark.parametrize(
    ("host", "short"),
    [
        ({"psi": {"cpu": {"some": [9.9, 50.0]}}, "load": [64.0], "cpus": 2}, False),
        ({"psi": {"cpu": {"some": [10.0, 0.0]}}, "load": [0.1], "cpus": 2}, True),
        ({"load": [2.1, 0.0, 0.0], "cpus": 2}, True),
        ({"load": [2.0, 9.0, 9.0], "cpus": 2}, False),
        ({"load": [], "cpus": None}, False),
        ({}, False),
    ],
)
def test_where_cpus_are_short(host: dict[str, Any], short: bool) -> None:
    assert contended(host) is short


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.dictionaries(st.integers(1, 3), WAITED, max_size=3), st.booleans())))
def test_it_neither_exceeds_the_time_nor_goes_back(looks: list[tuple[float, dict[Wait, Waited], bool]]) -> None:
    time, before = SchedulableTime(), 0.0
    forward = 0.0
    for (earlier, _, _), (later, _, _) in pairwise(looks):
        forward += max(0.0, later - earlier)
    for at, waited, blocked in looks:
        time.look(at, waited, blocked=blocked)
        assert time.ran >= before
        assert 0.0 <= time.share <= 1.0
        before = time.ran
    assert time.ran <= forward * 1.000001 + 1e-6
