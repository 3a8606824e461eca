"""What of a suspicion's time counts."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.runningtime import RunningTime, Wait, Waited

WAITED = st.builds(Waited, st.floats(-1e9, 1e9), st.floats(-1e9, 1e9), st.integers(0, 2), st.booleans())


def waited(**seconds: float) -> dict[Wait, Waited]:
    return {name: Waited(value) for name, value in seconds.items()}


def test_the_thread_that_waited_longest_speaks_for_all() -> None:
    time = RunningTime()
    time.look(100.0, waited(a=5.0, b=7.0), barred=False)
    assert (time.ran, time.starved, time.looked) == (0.0, False, True)
    time.look(101.0, waited(a=5.1, b=7.75, c=99.0), barred=False)
    assert (time.ran, time.share, time.most, time.starved) == (0.25, 0.75, "b", True)
    time.look(103.0, waited(a=5.1, b=7.75, c=99.0), barred=False)
    assert (time.ran, time.share, time.starved) == (2.25, 0.0, False)


def test_while_it_is_stopped_no_time_counts() -> None:
    time = RunningTime()
    time.look(0.0, waited(a=0.0), barred=False)
    time.look(1.0, waited(a=0.0), barred=True)  # nobody knows since when: counted
    time.look(31.0, waited(a=0.0), barred=True)
    assert time.ran == 1.0
    time.look(32.0, waited(a=0.0), barred=False)
    assert time.ran == 2.0


def test_where_the_kernel_counts_nothing_all_time_counts() -> None:
    time = RunningTime()
    for at in (0.0, 1.0, 2.0):
        time.look(at, {}, barred=False)
    assert (time.ran, time.share, time.most) == (2.0, 0.0, None)


def test_who_wanted_to_run_all_the_time_lost_what_it_did_not_run() -> None:
    """Whatever the kernel has counted until now, and wherever the time went."""
    time = RunningTime()
    time.look(0.0, {7: Waited(1.0, 5.0, 3, True)}, barred=False)
    time.look(2.0, {7: Waited(1.0, 5.5, 3, True)}, barred=False)
    assert (time.ran, time.share, time.most) == (0.5, 0.75, 7)
    time.look(3.0, {7: Waited(1.25, 5.5, 4, True)}, barred=False)  # it slept in between
    assert (time.ran, time.share) == (1.25, 0.25)
    time.look(4.0, {7: Waited(1.25, 5.5, 4, False)}, barred=False)
    assert time.ran == 2.25


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.dictionaries(st.integers(1, 3), WAITED, max_size=3), st.booleans())))
def test_it_neither_exceeds_the_time_nor_goes_back(looks: list[tuple[float, dict[Wait, Waited], bool]]) -> None:
    time, before = RunningTime(), 0.0
    forward = 0.0
    for (earlier, _, _), (later, _, _) in pairwise(looks):
        forward += max(0.0, later - earlier)
    for at, waited, barred in looks:
        time.look(at, waited, barred=barred)
        assert time.ran >= before
        assert 0.0 <= time.share <= 1.0
        before = time.ran
    assert time.ran <= forward * 1.000001 + 1e-6
