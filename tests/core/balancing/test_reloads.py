"""Reloads: needed where the file in force is not the wanted one, and seldom enough."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.balancing.reloads import Reloads


def test_the_first_reload_is_due_at_once() -> None:
    reloads = Reloads()
    assert not reloads.due(0.0)
    assert reloads.deadline is None
    reloads.wanted = "b"
    assert not reloads.due(0.0)  # what is loaded is not known
    reloads.seen("a", age=3600.0, reloads=0, now=0.0)
    assert reloads.due(0.0)
    reloads.began(0.0)
    assert not reloads.due(100.0)  # one is under way
    reloads.ended()
    reloads.seen("b", age=0.1, reloads=1, now=1.0)
    assert not reloads.due(100.0)


def test_what_cannot_be_loaded_is_tried_again_only_when_it_has_changed() -> None:
    reloads = Reloads()
    reloads.wanted = reloads.refused = "b"
    reloads.seen("a", age=3600.0, reloads=0, now=0.0)
    assert not reloads.due(0.0)
    reloads.wanted = "c"
    assert reloads.due(0.0)


def test_a_later_daemon_knows_when_the_last_reload_was() -> None:
    reloads = Reloads()
    reloads.wanted = "b"
    reloads.seen("a", age=4.0, reloads=3, now=100.0)
    assert reloads.deadline == 106.0
    reloads.seen("a", age=5.0, reloads=3, now=101.5)
    assert not reloads.due(105.9)
    assert reloads.due(106.5)


@given(st.lists(st.tuples(st.floats(0.0, 5.0), st.sampled_from("abcdef")), max_size=60))
def test_at_most_one_in_ten_seconds(changes: list[tuple[float, str]]) -> None:
    reloads, now, begun = Reloads(), 0.0, list[float]()
    reloads.seen("-", age=0.0, reloads=0, now=0.0)
    for pause, wanted in changes:
        now += pause
        reloads.wanted = wanted
        if reloads.due(now):
            begun.append(now)
            reloads.began(now)
            reloads.ended()
            reloads.seen(wanted, age=0.0, reloads=len(begun), now=now)
        deadline = reloads.deadline
        assert deadline is None or deadline > now
    assert all(later >= earlier + 10.0 for earlier, later in pairwise(begun))
