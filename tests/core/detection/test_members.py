"""The processes that beat for themselves: what is known of each, and what a later daemon knows of them."""

from __future__ import annotations

import json
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.detection.detectors.registry import make
from supervisor.core.detection.members import Members
from supervisor.core.model.spec import HeartbeatSpec, Scope

SPEC = HeartbeatSpec(scope=Scope.PROCESS, interval=1.0, min_timeout=2.0, max_timeout=10.0)


def members(*, judged: bool = True) -> Members:
    return Members(lambda: make(SPEC), SPEC.max_timeout, judged=judged)


def beaten(*pids: int, until: int = 20) -> Members:
    found = members()
    for at in range(until + 1):
        for pid in pids:
            found.beat((pid, 1), float(at))
    return found


def test_a_pid_that_is_used_again_is_another_process() -> None:
    found = beaten(1)
    found.beat((1, 2), 20.5)
    assert len(found.known) == 2
    assert found.known[1, 2].detector.last is None, "its first beat makes it known"


def test_there_are_at_most_so_many() -> None:
    found = members()
    for pid in range(259):
        found.beat((pid, 1), 0.0)
    assert (len(found.known), found.left_out) == (256, 3)
    found.forget((0, 1))
    assert found.beat((261, 1), 1.0) is not None


def test_what_one_has_taught_the_next_one_knows() -> None:
    found = members()
    for at in range(20):
        found.beat((1, 1), 4.0 * at)
    found.beat((2, 1), 76.0)
    found.beat((2, 1), 80.0)
    deadline = found.known[2, 1].deadline
    assert deadline is not None and deadline > 84.0, "the configured interval would say 82"


def test_silence_is_only_shown_where_nothing_is_judged() -> None:
    found = members(judged=False)
    found.beat((1, 1), 0.0)
    assert found.deadline is None and found.due(1e6) == []


def test_suspicions_are_dropped_but_not_of_what_was_killed() -> None:
    found = beaten(1, 2)
    one, two = found
    one.since, one.until, two.since, two.until, two.ended_at = 22.0, 23.0, 22.0, 23.0, 22.0
    found.discount_silence(5.0, 23.0)
    assert one.until == two.until == 28.0
    found.clear_suspicions()
    assert (one.since, two.since) == (None, 22.0)


def test_work_excuses_silence_also_without_end() -> None:
    found = beaten(1, 2)
    found.beat((1, 1), 21.0, busy=inf, doing="a task")
    found.beat((2, 1), 21.0)
    assert found.known[1, 1].overdue(1e6, 1.0) is False
    assert found.deadline == found.known[2, 1].deadline
    assert found.known[1, 1].deadline == 23.5, "when it is looked at"
    found.beat((1, 1), 1000.0)
    deadline = found.known[1, 1].deadline
    assert deadline is not None and deadline == pytest.approx(1002.0, abs=0.5)


def test_another_detector_goes_on_with_the_same_processes() -> None:
    former, found = beaten(1, 2), members()
    former.count_kill(3, 20.0, 60.0)
    found.take_over(former, 21.0)
    assert found.known.keys() == former.known.keys()
    assert (found.kills_within(60.0, 21.0), found.ended) == (1, former.ended)
    assert found.kills_within(60.0, 80.0) == 0


def test_what_one_of_them_has_announced_is_known_to_another_detector() -> None:
    former, found = beaten(1, 2), members()
    former.beat((1, 1), 20.0, busy=100.0, doing="a task")
    former.beat((2, 1), 20.0, busy=1.0, doing="another")
    found.take_over(former, 30.0)
    one, two = found
    assert (one.doing, one.busy_until, two.busy_until) == ("a task", 120.0, None)
    assert (one.detector.suspect_at(), two.detector.suspect_at()) == (130.0, 40.0)
    found.begin_again(50.0)
    assert (one.busy_until, one.detector.suspect_at(), two.detector.suspect_at()) == (120.0, 130.0, 60.0)


@pytest.mark.parametrize(("announced", "silent_until"), [(300.0, 410.0), (inf, 1e7)])
def test_each_may_be_at_work_for_a_later_daemon(announced: float, silent_until: float) -> None:
    """What a process has announced since the earlier daemon saved it is not known."""
    found, later = beaten(1, 2), members()
    found.beat((1, 1), 21.0, busy=announced)
    later.restore(json.loads(json.dumps(found.snapshot(22.0), allow_nan=False)), 100.0)
    later.begin_again(100.0)
    for member in later:
        suspect_at = member.detector.suspect_at()
        assert suspect_at is not None and suspect_at >= silent_until and member.deadline == 102.5
    later.beat((2, 1), 101.0)
    later.beat((2, 1), 102.0)
    due = later.known[2, 1].deadline
    assert due is not None and due < 112.0 and later.longest_work >= 300.0


def test_a_later_daemon_knows_them_and_their_rhythm() -> None:
    found = members()
    for at in range(20):
        found.beat((7, 5), 4.0 * at)
    found.count_kill(3, 70.0, 60.0)
    later = members()
    later.restore(json.loads(json.dumps(found.snapshot(77.0))), 100.0)
    assert list(later.known) == [(7, 5)]
    assert later.deadline == 110.0, "max_timeout for the next beat"
    later.beat((7, 5), 104.0)
    assert later.deadline is not None and later.deadline > 108.0
    assert later.kills == (93.0,)
    later.begin_again(200.0)
    assert later.deadline == 210.0


@pytest.mark.parametrize(
    "saved",
    [None, 3, {}, {"known": 3, "kills": []}, {"known": [[1]], "kills": []}, {"known": [[1, 2]], "kills": ["x"]},
     {"known": [[0, 2]], "kills": []}],
)  # fmt: skip
def test_a_damaged_snapshot_is_ignored(saved: Any) -> None:
    found = members()
    found.restore(saved, 5.0)
    assert found.known == {} and found.kills == ()


def test_a_snapshot_without_a_rhythm_is_enough() -> None:
    found = members()
    found.restore({"known": [[4, 2]], "kills": []}, 5.0)
    assert list(found.known) == [(4, 2)]


_beats = st.lists(
    st.tuples(st.integers(1, 4), st.floats(0.01, 5.0), st.one_of(st.none(), st.floats(0.0, 100.0))), max_size=60
)


@given(_beats, st.floats(0.0, 60.0))
def test_no_process_is_due_before_its_time_and_each_is_after_it(
    beats: list[tuple[int, float, float | None]], later: float
) -> None:
    """Never before min_timeout of counted silence; always by max_timeout after what it announced."""
    found, now, free = members(), 0.0, dict[int, float]()
    for pid, after, busy in beats:
        now += after
        first = (pid, 1) not in found.known
        found.beat((pid, 1), now, busy=busy)
        if not first or pid not in free:
            free[pid] = max(free.get(pid, 0.0) if first else 0.0, now + (busy or 0.0))
    now += later
    due = {member.pid for member in found.due(now) if (at := member.detector.suspect_at()) is not None and at <= now}
    for pid, since in free.items():
        if now > since + SPEC.max_timeout + 0.001:
            assert pid in due
        if now < since + SPEC.min_timeout - 0.001:
            assert pid not in due


@given(st.integers(1, 12), st.data())
def test_one_silent_process_of_more_than_two_never_points_at_what_they_share(count: int, data: st.DataObject) -> None:
    found = beaten(*range(1, count + 1))
    silent = data.draw(st.sets(st.integers(1, count), min_size=1))
    for pid in set(range(1, count + 1)) - silent:
        found.beat((pid, 1), 25.0)
    member = found.known[min(silent), 1]
    assert found.silent_with(member, 25.5, 1.0) == (len(silent) >= 2 and 2 * len(silent) >= count)
