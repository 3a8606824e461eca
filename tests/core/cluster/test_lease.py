"""Until when a lease runs, and what it allows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.cluster.lease import MARGIN, Contact, Lease, Phase, fits, lease, next_deadline, start_at

HELD = Lease("beat", 0, 7, start_at=102.0, stop_at=106.0, kill_at=109.0)


@pytest.mark.parametrize(
    ("now", "released", "expected"),
    [
        (100.0, False, Phase.WAIT),
        (102.0, False, Phase.RUN),
        (105.9, False, Phase.RUN),
        (106.0, False, Phase.STOP),
        (108.9, False, Phase.STOP),
        (109.0, False, Phase.KILL),
        (100.0, True, Phase.STOP),
        (103.0, True, Phase.STOP),
        (109.0, True, Phase.KILL),
    ],
)
def test_what_it_allows(now: float, released: bool, expected: Phase) -> None:
    assert HELD._replace(released=released).phase(now) is expected


def test_it_counts_from_the_sending_of_the_last_answered_request() -> None:
    made = lease("beat", 0, 7, Contact(10.0, 100.0), 3.0, 102.0, released=False)
    assert made == HELD
    assert made.key == ("beat", 0)


@given(st.floats(0, 1e9), st.floats(2, 60), st.floats(0, 10), st.floats(-10, 100))
def test_nothing_runs_when_the_session_may_be_over(sent: float, granted: float, stop: float, later: float) -> None:
    made = lease("beat", 0, 7, Contact(granted, sent), stop, sent, released=False)
    assert made.kill_at <= sent + granted - MARGIN / 2
    assert made.stop_at <= made.kill_at
    if later >= granted:
        assert made.phase(sent + later) is Phase.KILL


@pytest.mark.parametrize(
    ("clean", "evicted", "expected"), [(True, 0.0, 100.0), (False, 0.0, 102.0), (False, 10.0, 112.0)]
)
def test_the_next_owner_waits_for_what_may_still_end(clean: bool, evicted: float, expected: float) -> None:
    assert start_at(100.0, 2.0, clean=clean, evicted=evicted) == expected


def test_times_that_fit() -> None:
    assert fits(1.0, 2.0, 10.0, {}) == ""
    assert fits(1.0, 2.0, 9.0, {"beat": 3.0, "web": 1.0}) == ""


def test_times_that_do_not_fit_are_told_with_their_numbers() -> None:
    assert fits(1.0, 2.0, 8.5, {"beat": 1.0, "web": 3.0}) == (
        "a session of 8.5 s is too short: contact_interval 1 s + 2 × request_timeout 2 s + "
        'stop_timeout 3 s of "web" + 1 s are 9 s'
    )


def test_the_next_change_of_a_phase() -> None:
    other = HELD._replace(start_at=90.0, stop_at=101.0)
    assert next_deadline([HELD, other], 100.0) == 101.0
    assert next_deadline([HELD, other], 106.0) == 109.0
    assert next_deadline([HELD, other], 109.0) is None
    assert next_deadline([], 0.0) is None
