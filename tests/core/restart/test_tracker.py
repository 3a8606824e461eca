"""The restart tracker: policy, restart intensity and breaker."""

from __future__ import annotations

import json
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.model.spec import BackoffKind, Policy, RestartSpec
from supervisor.core.restart.tracker import Breaker, RestartTracker, wants_restart

ALWAYS, ON_FAILURE, NEVER = Policy.ALWAYS, Policy.ON_FAILURE, Policy.NEVER


def half() -> float:
    return 0.5


def rule(**spec: object) -> RestartTracker:
    return RestartTracker(RestartSpec(**{"jitter": 0.0, "initial": 1.0} | spec))  # type: ignore[arg-type]


def opened(at: float = 0.0, **spec: object) -> RestartTracker:
    made = rule(max_restarts=0, **spec)
    made.failed(at, half)
    return made


# --- policy ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", list(Policy))
@pytest.mark.parametrize("oneshot", [False, True])
@pytest.mark.parametrize(
    ("exit_code", "signal", "asked", "failure"),
    [
        (0, None, False, False),
        (3, None, False, False),
        (1, None, False, True),
        (None, 9, False, True),
        (None, 15, False, True),
        (None, None, False, True),
        (0, None, True, True),
        (None, 15, True, True),
    ],
)
def test_after_which_exits_the_policy_wants_a_restart(
    policy: Policy, oneshot: bool, exit_code: int | None, signal: int | None, asked: bool, failure: bool
) -> None:
    spec = RestartSpec(policy=policy, success_exit_codes=(0, 3))
    expected = policy is not NEVER and (failure or (policy is ALWAYS and not oneshot))
    assert wants_restart(spec, oneshot, exit_code, signal, asked) is expected


# --- intensity -------------------------------------------------------------------------------------------


def test_a_failure_is_answered_with_the_backoffs_delay() -> None:
    it = rule()
    verdicts = [it.failed(float(i), half) for i in range(3)]
    assert [(v.restart, v.delay, v.breaker, v.retry_at) for v in verdicts] == [
        (True, 1.0, Breaker.CLOSED, None),
        (True, 2.0, Breaker.CLOSED, None),
        (True, 4.0, Breaker.CLOSED, None),
    ]
    assert verdicts[2].reason == "restart 3 of at most 5 within 60 s"
    assert (it.attempt, it.restarts_in_window(2.0)) == (3, 3)


def test_the_previous_delay_decides_where_the_backoff_says_so() -> None:
    it = rule(backoff=BackoffKind.DECORRELATED_JITTER)
    assert [it.failed(0.0, half).delay for _ in range(3)] == [1.0, 2.0, 3.5]


def test_more_than_max_restarts_within_the_window_open_the_breaker() -> None:
    it = rule(max_restarts=2, window=10.0, cooldown=60.0)
    assert it.failed(0.0, half).restart
    assert it.failed(10.0, half).restart
    verdict = it.failed(10.0, half)
    assert (verdict.restart, verdict.delay, verdict.breaker, verdict.retry_at) == (False, 0.0, Breaker.OPEN, 70.0)
    assert verdict.reason == "more than 2 restarts within 10 s; the breaker opens for 60 s"
    assert (it.breaker, it.retry_at, it.attempt) == (Breaker.OPEN, 70.0, 2)


def test_what_is_older_than_the_window_does_not_count() -> None:
    it = rule(max_restarts=2, window=10.0)
    assert all(it.failed(6.0 * i, half).restart for i in range(50))
    assert it.restarts_in_window(49 * 6.0) == 2
    assert it.restarts_in_window(1e6) == 0


def test_max_restarts_of_nothing_opens_at_the_first_failure() -> None:
    assert rule(max_restarts=0).failed(5.0, half).breaker is Breaker.OPEN


# --- breaker ---------------------------------------------------------------------------------------------


def test_while_it_is_open_nothing_restarts_and_the_time_to_retry_stands() -> None:
    it = opened()
    verdict = it.failed(30.0, half)
    assert (verdict.restart, verdict.retry_at, verdict.reason) == (False, 60.0, "the breaker is open")


def test_a_trial_that_becomes_healthy_closes_it() -> None:
    it = opened()
    it.trial(60.0)
    assert (it.breaker, it.retry_at) == (Breaker.HALF_OPEN, None)
    assert it.healthy(120.0)
    assert (it.breaker, it.attempt, it.cooldown) == (Breaker.CLOSED, 0, 60.0)


def test_each_failed_trial_doubles_the_cooldown_up_to_a_limit() -> None:
    it = opened()
    for cooldown in (120.0, 240.0, 480.0, 960.0, 1920.0, 1920.0):
        it.trial(1000.0)
        verdict = it.failed(1000.0, half)
        assert (verdict.restart, verdict.breaker, verdict.retry_at) == (False, Breaker.OPEN, 1000.0 + cooldown)
        assert it.cooldown == cooldown
    assert verdict.reason == "the trial failed; the breaker opens for 1920 s"


@pytest.mark.parametrize(("cooldown", "longest"), [(1.0, 32.0), (300.0, 3600.0), (7200.0, 7200.0)])
def test_the_longest_cooldown(cooldown: float, longest: float) -> None:
    it = opened(cooldown=cooldown)
    for _ in range(20):
        it.trial(0.0)
        it.failed(0.0, half)
    assert it.cooldown == longest


def test_after_it_closed_the_cooldown_and_the_window_start_over() -> None:
    it = rule(max_restarts=1, window=1e6)
    it.failed(0.0, half)
    it.failed(1.0, half)
    it.trial(61.0)
    it.failed(62.0, half)
    it.trial(200.0)
    assert it.healthy(260.0)
    assert it.failed(261.0, half).restart
    assert it.failed(262.0, half).retry_at == 322.0


def test_a_trial_is_only_for_an_open_breaker() -> None:
    it = rule()
    it.trial(0.0)
    assert it.breaker is Breaker.CLOSED


def test_health_starts_the_backoff_over() -> None:
    it = rule()
    for _ in range(3):
        it.failed(0.0, half)
    assert not it.healthy(70.0)
    assert it.attempt == 0
    assert it.failed(71.0, half).delay == 1.0
    assert it.restarts_in_window(71.0) == 1


def test_health_forgets_the_previous_delay_too() -> None:
    it = rule(backoff=BackoffKind.DECORRELATED_JITTER)
    it.failed(0.0, half)
    it.failed(0.0, half)
    it.healthy(70.0)
    assert it.failed(71.0, half).delay == 1.0


def test_a_flapping_instance_is_not_let_through_by_a_short_reset_after() -> None:
    it = rule(max_restarts=3, window=60.0, reset_after=1.0)
    for at in (0.0, 2.0, 4.0):
        assert it.failed(at, half).restart
        it.healthy(at + 1.0)
    assert it.failed(6.0, half).breaker is Breaker.OPEN


def test_a_person_makes_everything_new() -> None:
    it = opened()
    it.trial(60.0)
    it.failed(61.0, half)
    it.reset()
    assert it.snapshot(62.0) == rule().snapshot(62.0)


moves = st.lists(
    st.tuples(st.sampled_from(["failed", "failed", "failed", "healthy", "trial"]), st.integers(0, 20)), max_size=80
)


@given(moves=moves, maximum=st.integers(0, 6), window=st.integers(1, 30), draw=st.floats(0.0, 1.0, exclude_max=True))
def test_no_window_sees_more_than_max_restarts_until_the_breaker_has_closed(
    moves: list[tuple[str, int]], maximum: int, window: int, draw: float
) -> None:
    it = rule(max_restarts=maximum, window=float(window), maximum=3.0, jitter=0.5)
    now, granted = 0.0, []
    for move, wait in moves:
        now += wait
        if move == "failed":
            before = it.breaker
            verdict = it.failed(now, lambda: draw)
            assert 0.0 <= verdict.delay <= 3.0
            assert verdict.restart is (verdict.breaker is Breaker.CLOSED) is (verdict.retry_at is None)
            assert verdict.breaker is it.breaker and verdict.retry_at == it.retry_at
            if before is not Breaker.CLOSED:
                assert not verdict.restart
            if verdict.restart:
                granted.append(now)
        elif move == "trial":
            it.trial(now)
        elif it.healthy(now):
            granted = []
        assert sum(now - t <= window for t in granted) == it.restarts_in_window(now) <= maximum
        assert (it.breaker is Breaker.OPEN) is (it.retry_at is not None)


def test_other_rules_hold_from_the_next_failure_on_and_what_happened_stands() -> None:
    it = rule(max_restarts=5, cooldown=60.0)
    for _ in range(3):
        it.failed(0.0, half)
    it.reconfigure(RestartSpec(max_restarts=3, cooldown=20.0))
    assert it.failed(1.0, half).retry_at == 21.0
    it.trial(21.0)
    it.failed(22.0, half)
    it.reconfigure(RestartSpec(cooldown=30.0))
    assert (it.breaker, it.cooldown, it.retry_at) == (Breaker.OPEN, 40.0, 62.0)
    it.reconfigure(RestartSpec(cooldown=50.0))
    assert it.cooldown == 50.0


# --- snapshots -------------------------------------------------------------------------------------------


@given(moves=moves, later=moves, shift=st.integers(-1000, 1000))
def test_a_restored_rule_goes_on_as_the_one_saved(
    moves: list[tuple[str, int]], later: list[tuple[str, int]], shift: int
) -> None:
    saved, restored = rule(max_restarts=3, window=16.0), rule(max_restarts=3, window=16.0)
    now = 0.0
    for move, wait in moves:
        now += wait
        play(saved, move, now)
    restored.restore(json.loads(json.dumps(saved.snapshot(now))), now + shift)
    for move, wait in later:
        assert restored.snapshot(now + shift) == saved.snapshot(now)
        now += wait
        assert play(saved, move, now) == play(restored, move, now + shift)


def play(it: RestartTracker, move: str, now: float) -> object:
    if move == "failed":
        verdict = it.failed(now, half)
        return verdict.restart, verdict.delay, verdict.breaker
    return getattr(it, move)(now)


def test_a_snapshot_is_read_by_the_rules_now_in_force() -> None:
    busy, tripped = rule(max_restarts=9), opened(cooldown=1000.0)
    for at in range(9):
        busy.failed(float(at), half)
    stricter = rule(max_restarts=2, maximum=3.0)
    stricter.restore(busy.snapshot(10.0), 10.0)
    assert stricter.restarts_in_window(10.0) == 2
    assert stricter.snapshot(10.0)["previous"] == 3.0
    hasty = rule(cooldown=1.0)
    hasty.restore(tripped.snapshot(0.0), 0.0)
    assert (hasty.cooldown, hasty.retry_at) == (32.0, 32.0)


def test_a_breaker_whose_time_came_while_nobody_ran_is_due_at_once() -> None:
    it = rule()
    it.restore(opened().snapshot(100.0), 500.0)
    assert (it.breaker, it.retry_at) == (Breaker.OPEN, 460.0)


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=5),
    max_leaves=10,
)


@given(garbage=junk)
def test_garbage_restores_to_a_new_rule(garbage: object) -> None:
    it = opened()
    it.restore(garbage, 0.0)  # type: ignore[arg-type]
    assert it.snapshot(0.0) == rule(max_restarts=0).snapshot(0.0)


@given(key=st.sampled_from(sorted(rule().snapshot(0.0))), value=junk, which=st.booleans())
def test_a_damaged_snapshot_is_harmless(key: str, value: object, which: bool) -> None:
    it = rule()
    it.restore((opened() if which else rule()).snapshot(0.0) | {key: value}, 0.0)
    assert (it.breaker is Breaker.OPEN) is (it.retry_at is not None)
    assert 0.0 <= it.failed(1.0, half).delay <= 30.0
    json.dumps(it.snapshot(1.0), allow_nan=False)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("breaker", "ajar"),
        ("breaker", "closed"),
        ("retry_in", None),
        ("cooldown", nan),
        ("cooldown", inf),
        ("attempt", True),
        ("attempt", -1),
        ("ages", "1234"),
        ("ages", [-1.0]),
    ],
)
def test_what_counts_as_damage(key: str, value: object) -> None:
    it, tripped = rule(), opened()
    it.restore(tripped.snapshot(0.0), 0.0)
    assert it.breaker is Breaker.OPEN
    it.restore(tripped.snapshot(0.0) | {key: value}, 0.0)
    assert it.breaker is Breaker.CLOSED
