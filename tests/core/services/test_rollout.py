"""The rule of a rollout, as a table of single decisions and as properties over a small world of instances."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.core.model.causes import Cause
from supervisor.core.model.spec import RolloutSpec, ServiceSpec
from supervisor.core.services.rollout import (
    UNKNOWN,
    Order,
    Rollout,
    Seen,
    Stage,
    advance,
    most_unavailable,
    read,
    resumed,
    undone,
    write,
)

SETTLE = 10.0


def definition(version: str, replicas: int = 4, **rules: Any) -> ServiceSpec:
    return ServiceSpec(
        name="web", command=(version,), replicas=replicas, rollout=RolloutSpec(**{"settle": SETTLE, **rules})
    )


def rollout(replicas: int = 4, **rules: Any) -> Rollout:
    new, old = definition("new", replicas, **rules), definition("old", replicas, **rules)
    return Rollout(id="r", service="web", order=Order.RELOAD, wanted=new, previous=old, filed=new)


def old(*numbers: int, ready: bool = True) -> list[Seen]:
    return [Seen(f"web@{n}", True, "", 0.0 if ready else None) for n in numbers]


def new(number: int, since: float | None = None, failure: str = "") -> Seen:
    return Seen(f"web@{number}", True, "r", since, failure)


def test_the_first_is_replaced_and_the_next_waits_for_it() -> None:
    first = advance(rollout(), old(1, 2, 3, 4), 100.0)
    assert first.moves == ("web@1",) and first.deadline is None
    starting = [new(1), *old(2, 3, 4)]
    assert advance(first.rollout, starting, 101.0).moves == ()
    ready = [new(1, 102.0), *old(2, 3, 4)]
    waiting = advance(first.rollout, ready, 103.0)
    assert waiting.moves == () and waiting.deadline == 102.0 + SETTLE
    settled = advance(waiting.rollout, ready, 112.0)
    assert settled.moves == ("web@2",)
    assert [(fact.cause, fact.instance) for fact in settled.facts] == [(Cause.ROLLOUT_ADVANCED, "web@1")]


def test_what_fails_once_on_the_way_back_and_is_ready_again_settles() -> None:
    """A deadline that has passed for good would keep the daemon busy for ever."""
    back = advance(rollout(1), [new(1, failure="exited")], 5.0).rollout
    again = [Seen("web@1", True, back.revision, 20.0, "cannot be started")]
    waiting = advance(back, again, 21.0)
    assert waiting.deadline == 20.0 + SETTLE
    done = advance(waiting.rollout, again, 30.0)
    assert (done.rollout.stage, done.deadline) == (Stage.ROLLED_BACK, None)


def test_it_is_finished_when_the_last_has_settled() -> None:
    all_new = [new(n, 0.0) for n in (1, 2)]
    done = advance(rollout(2), all_new, 50.0)
    assert done.rollout.stage is Stage.FINISHED and done.rollout.changed == 50.0
    assert [fact.cause for fact in done.facts] == [
        Cause.ROLLOUT_ADVANCED, Cause.ROLLOUT_ADVANCED, Cause.ROLLOUT_FINISHED,
    ]  # fmt: skip
    assert advance(done.rollout, all_new, 60.0) == (done.rollout, (), (), None, ())


def test_what_is_not_ready_is_replaced_first() -> None:
    seen = [*old(1, 2), *old(3, ready=False), *old(4)]
    assert advance(rollout(), seen, 0.0).moves == ("web@3",)


def test_a_ready_one_is_kept_while_others_are_missing() -> None:
    """One has failed that is new already and settled: no other may go."""
    known = replace(rollout(), settled=frozenset({"web@1"}))
    assert advance(known, [new(1), *old(2, 3, 4)], 0.0).moves == ()


def test_what_is_not_wanted_up_takes_the_definition_at_once() -> None:
    down = Seen("web@2", False, "", None)
    assert advance(rollout(), [*old(1), down, *old(3, 4)], 0.0).moves == ("web@2", "web@1")
    assert advance(rollout(1), [down._replace(name="web")], 0.0).moves == ("web",)


@pytest.mark.parametrize(
    ("limit", "replicas", "most"),
    [(1, 4, 1), (3, 4, 3), ("25%", 4, 1), ("50%", 5, 2), ("10%", 4, 1), ("100%", 3, 3), ("25%", 12, 3)],
)
def test_how_many_may_be_missing(limit: int | str, replicas: int, most: int) -> None:
    assert most_unavailable(rollout(replicas, max_unavailable=limit), replicas) == most


def test_as_many_as_may_be_missing_are_replaced_together() -> None:
    assert advance(rollout(max_unavailable=2), old(1, 2, 3, 4), 0.0).moves == ("web@1", "web@2")


def test_a_failure_rolls_back_what_was_replaced() -> None:
    known = replace(rollout(), settled=frozenset({"web@1"}))
    failed = advance(known, [new(1, 0.0), new(2, failure="exited with code 1"), *old(3, 4)], 20.0)
    assert failed.rollout.stage is Stage.ROLLING_BACK and failed.rollout.reason == "web@2: exited with code 1"
    assert failed.moves == ("web@2",), "web@1 is ready, and one is missing already"
    assert [fact.cause for fact in failed.facts] == [Cause.ROLLOUT_FAILED]
    assert failed.rollout.target == known.previous and failed.rollout.deviates
    back = [new(1, 0.0), Seen("web@2", True, "r<", 21.0), *old(3, 4)]
    one_more = advance(failed.rollout, back, 31.0)
    assert one_more.moves == ("web@1",)
    back[0] = Seen("web@1", True, "r<", 32.0)
    done = advance(one_more.rollout, back, 42.0)
    assert done.rollout.stage is Stage.ROLLED_BACK
    assert done.facts[-1].cause is Cause.ROLLOUT_ROLLED_BACK
    assert done.rollout.definition("r") == done.rollout.definition("") == known.previous


def test_what_fails_after_it_has_settled_does_not_end_the_rollout() -> None:
    known = replace(rollout(), settled=frozenset({"web@1"}))
    assert advance(known, [new(1, failure="killed"), *old(2, 3, 4)], 0.0).rollout == known


def test_on_the_way_back_all_that_is_not_ready_is_replaced_at_once() -> None:
    back = replace(rollout(), stage=Stage.ROLLING_BACK)
    assert advance(back, [new(1), new(2), *old(3, 4)], 0.0).moves == ("web@1", "web@2")


def test_a_failure_halts_where_it_is_to() -> None:
    seen = [new(1, failure="killed"), *old(2, 3, 4)]
    halted = advance(rollout(on_failure="halt"), seen, 5.0)
    assert halted.rollout.stage is Stage.HALTED and halted.moves == ()
    assert halted.rollout.definition("r").command == ("new",) and halted.rollout.definition("").command == ("old",)
    again = resumed(halted.rollout, seen, 6.0)
    assert again.again == {"web@1"} and again.stage is Stage.RUNNING
    tried = advance(again, seen, 6.0)
    assert tried.moves == ("web@1",) and tried.rollout.again == frozenset()


def test_a_restart_has_nothing_to_go_back_to() -> None:
    same = definition("same")
    restart = replace(rollout(), order=Order.RESTART, wanted=same, previous=same, filed=same)
    assert advance(restart, [new(1, failure="killed"), *old(2, 3, 4)], 0.0).rollout.stage is Stage.HALTED
    assert undone(restart, "x", {}, 1.0).stage is Stage.HALTED


def test_a_process_of_which_nothing_is_known_is_replaced_either_way() -> None:
    unknown = Seen("web@1", True, UNKNOWN, 0.0)
    assert advance(rollout(), [unknown, *old(2, 3, 4)], 0.0).moves == ("web@1",)
    back = replace(rollout(), stage=Stage.ROLLING_BACK)
    assert advance(back, [unknown, *old(2, 3, 4)], 0.0).moves == ("web@1",)


def test_a_pause_stops_everything_and_a_resume_goes_on() -> None:
    paused = replace(rollout(), paused=True)
    assert advance(paused, old(1, 2, 3, 4), 0.0) == (paused, (), (), None, ())
    assert advance(resumed(paused, [], 0.0), old(1, 2, 3, 4), 0.0).moves == ("web@1",)


def test_an_undo_turns_a_rollout_and_reverses_one_that_is_over() -> None:
    running = rollout()
    turned = undone(replace(running, paused=True), "x", {}, 7.0)
    assert (turned.id, turned.stage, turned.paused) == ("r", Stage.ROLLING_BACK, False)
    other = undone(replace(running, stage=Stage.FINISHED), "x", {"uid": 0}, 7.0)
    assert (other.id, other.order, other.stage) == ("x", Order.UNDO, Stage.RUNNING)
    assert (other.wanted, other.previous, other.filed) == (running.previous, running.wanted, running.wanted)
    assert other.deviates
    assert not undone(replace(other, stage=Stage.FINISHED), "y", {}, 8.0).deviates


def test_it_is_read_as_it_was_written() -> None:
    known = replace(
        rollout(),
        settled=frozenset({"web@1"}),
        again=frozenset({"web@2"}),
        paused=True,
        reason="x",
        by={"uid": 0},
        began=1.0,
        changed=2.0,
    )
    assert read(write(known)) == known


# -- a small world ---------------------------------------------------------------------------------------------------

START, BAD_AFTER = 2.0, (None, 0.5, 4.0)
"""Seconds to readiness; when a bad one fails after its start: never ready, at once, while it settles."""


@dataclass
class Copy:
    """One instance of the world: the definition and the revision of its process, and when that began."""

    version: str = "old"
    revision: str = ""
    began: float = -1000.0
    up: bool = True
    failed: bool = False


class World:
    """Instances that become ready after a while; a bad definition never does, or fails before it has settled."""

    def __init__(self, replicas: int, rules: dict[str, Any], bad: float | str | None) -> None:
        self.now = 0.0
        self.bad = bad
        self.copies = {f"web@{n}": Copy() for n in range(1, replicas + 1)}
        self.state = rollout(replicas, **rules)
        self.least = replicas
        self.most_moved = 0

    def seen(self) -> list[Seen]:
        found = []
        for name, copy in self.copies.items():
            age = self.now - copy.began
            bad = copy.version == "new" and self.bad != "good"
            failed = bad and age >= (self.bad if isinstance(self.bad, float) else 30.0)
            ready = age >= START and not failed and not (bad and self.bad is None)
            found.append(
                Seen(name, copy.up, copy.revision, copy.began + START if ready else None, "failed" if failed else "")
            )
        return found

    def turn(self, *, crash: int | None = None) -> bool:
        """One call of the rule, and its moves; a crash comes after so many of them.  Whether all was done."""
        found = advance(self.state, self.seen(), self.now)
        self.state = read(write(found.rollout))  # saved before anything is done
        for number, name in enumerate(found.moves):
            if number == crash:
                return False
            copy = self.copies[name]
            copy.version, copy.revision = found.rollout.target.command[0], found.rollout.revision
            copy.began = self.now
        self.least = min(self.least, sum(s.ready for s in self.seen()))
        return True

    def run(self, crashes: list[int] | None = None, seconds: float = 2000.0) -> None:
        waiting = list(crashes or [])
        while self.state.moving and self.now < seconds:
            self.now += 0.5
            self.turn(crash=waiting.pop() if waiting else None)


LIMITS: st.SearchStrategy[Any] = st.one_of(st.integers(1, 6), st.sampled_from(["10%", "25%", "50%", "100%"]))


def _rules(*settle: float) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"max_unavailable": LIMITS, "settle": st.sampled_from(settle)})


RULES, SETTLING = _rules(0.0, 5.0, 10.0), _rules(5.0, 10.0)
BAD = st.sampled_from(BAD_AFTER)
REPLICAS = st.integers(2, 8)
CRASHES = st.lists(st.integers(0, 3), max_size=40)


@pytest.mark.slow
@given(REPLICAS, RULES, CRASHES)
@settings(max_examples=150)
def test_a_good_definition_ends_on_all_and_is_never_missing_too_often(
    replicas: int, rules: dict[str, Any], crashes: list[int]
) -> None:
    world = World(replicas, rules, "good")
    world.run(crashes)
    assert world.state.stage is Stage.FINISHED
    assert {copy.version for copy in world.copies.values()} == {"new"}
    assert world.least >= replicas - most_unavailable(world.state, replicas)


@pytest.mark.slow
@given(REPLICAS, SETTLING, BAD, CRASHES)
@settings(max_examples=150)
def test_a_bad_definition_is_always_rolled_back(
    replicas: int, rules: dict[str, Any], bad: float | None, crashes: list[int]
) -> None:
    world = World(replicas, rules, bad)
    world.run(crashes)
    assert world.state.stage is Stage.ROLLED_BACK
    assert {copy.version for copy in world.copies.values()} == {"old"}
    assert world.least >= replicas - most_unavailable(world.state, replicas)


@pytest.mark.slow
@given(REPLICAS, RULES, st.integers(0, 200), st.sampled_from(["good", *BAD_AFTER]))
@settings(max_examples=100)
def test_a_pause_changes_nothing(replicas: int, rules: dict[str, Any], after: int, bad: Any) -> None:
    world = World(replicas, rules, bad)
    for _ in range(after):
        world.now += 0.5
        world.turn()
    world.state = replace(world.state, paused=True)
    before = {name: (copy.version, copy.began) for name, copy in world.copies.items()}
    for _ in range(20):
        world.now += 5.0
        world.turn()
    assert {name: (copy.version, copy.began) for name, copy in world.copies.items()} == before


@pytest.mark.slow
@given(REPLICAS, RULES, st.integers(0, 60), st.sampled_from(["good", *BAD_AFTER]))
@settings(max_examples=100)
def test_an_undo_at_any_moment_ends_on_the_old_definition(
    replicas: int, rules: dict[str, Any], after: int, bad: Any
) -> None:
    world = World(replicas, rules, bad)
    for _ in range(after):
        world.now += 0.5
        world.turn()
    if world.state.moving and not world.state.back:
        world.state = undone(world.state, "x", {}, world.now)
    elif world.state.stage is Stage.FINISHED:
        world.state = replace(undone(world.state, "x", {}, world.now))
    world.run()
    if not world.state.back:
        assert world.state.order is Order.UNDO and world.state.stage is Stage.FINISHED
    assert {copy.version for copy in world.copies.values()} == {"old"}
