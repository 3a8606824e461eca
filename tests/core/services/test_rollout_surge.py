"""A rollout that runs more instances than `replicas` for a while: single decisions, and properties of a small world."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.core.model.causes import Cause
from supervisor.core.model.spec import RolloutSpec, ServiceSpec
from supervisor.core.services.rollout import (
    Order,
    Rollout,
    Seen,
    Stage,
    advance,
    in_plan_of,
    most_surge,
    most_unavailable,
    read,
    resumed,
    undone,
    write,
)
from supervisor.core.services.scaling import surge_of
from tests.core.services.test_rollout import BAD, BAD_AFTER, CRASHES, Copy, World, new, old, rollout

NONE_MISSING: dict[str, Any] = {"max_unavailable": 0, "max_surge": 1}


def beside(number: int, since: float | None = None, failure: str = "", revision: str = "r", **more: Any) -> Seen:
    return Seen(f"web@{number}", more.pop("up", True), revision, since, failure, surge=True, **more)


def down(number: int, **more: Any) -> Seen:
    return beside(number, revision=more.pop("revision", ""), up=False, there=False, **more)


def with_one(replicas: int = 4, **rules: Any) -> Rollout:
    return replace(rollout(replicas, **(NONE_MISSING | rules)), surge=1)


def test_one_more_is_started_and_nothing_is_touched_before_it_has_settled() -> None:
    first = advance(rollout(**NONE_MISSING), old(1, 2, 3, 4), 0.0)
    assert first.rollout.surge == 1 and first.moves == ()
    assert first.rollout.in_force.instances[4:] == first.rollout.beside == ("web@5",)
    started = advance(first.rollout, [*old(1, 2, 3, 4), down(5)], 0.0)
    assert started.moves == ("web@5",)
    ready = [*old(1, 2, 3, 4), beside(5, 2.0)]
    assert advance(started.rollout, ready, 3.0).moves == ()
    settled = advance(started.rollout, ready, 12.0)
    assert settled.moves == ("web@1",) and settled.facts[0].cause is Cause.ROLLOUT_ADVANCED


def test_one_is_replaced_after_the_other_while_as_many_as_wanted_are_ready() -> None:
    known = replace(with_one(), settled=frozenset({"web@5"}))
    assert advance(known, [new(1), *old(2, 3, 4), beside(5, 0.0)], 20.0).moves == ()
    known = replace(known, settled=frozenset({"web@1", "web@5"}))
    assert advance(known, [new(1, 0.0), *old(2, 3, 4), beside(5)], 20.0).moves == (), "the fifth is not ready just now"
    assert advance(known, [new(1, 0.0), *old(2, 3, 4), beside(5, 0.0)], 20.0).moves == ("web@2",)


def test_it_is_stopped_after_the_last_has_settled_and_then_the_rollout_is_finished() -> None:
    known = replace(with_one(2), settled=frozenset({"web@1", "web@3"}))
    seen = [new(1, 0.0), new(2, 5.0), beside(3, 0.0)]
    assert advance(known, seen, 6.0).stops == ()
    last = advance(known, seen, 15.0)
    assert last.stops == ("web@3",) and last.rollout.moving and last.rollout.surge == 1
    leaving = advance(last.rollout, [*seen[:2], beside(3, up=False)], 16.0)
    assert leaving.rollout.moving and leaving.moves == leaving.stops == ()
    gone = advance(last.rollout, [*seen[:2], down(3, revision="r")], 17.0)
    assert gone.rollout.stage is Stage.FINISHED and gone.rollout.surge == 0


def test_it_stays_where_others_are_not_ready_at_the_end() -> None:
    known = replace(with_one(2), settled=frozenset({"web@1", "web@2", "web@3"}))
    assert advance(known, [new(1, 0.0), new(2), beside(3, 0.0)], 20.0).stops == ()
    assert advance(known, [new(1, 0.0), new(2), beside(3)], 20.0).stops == ("web@3",), "it is of no use"


def test_the_first_that_fails_is_removed_and_nothing_else_is_touched() -> None:
    failed = advance(with_one(), [*old(1, 2, 3, 4), beside(5, failure="exited")], 1.0)
    assert failed.rollout.stage is Stage.ROLLING_BACK and failed.moves == () and failed.stops == ("web@5",)
    done = advance(failed.rollout, [*old(1, 2, 3, 4), down(5, revision="r")], 2.0)
    assert done.rollout.stage is Stage.ROLLED_BACK and done.rollout.surge == 0


def test_a_later_failure_goes_back_with_the_help_of_the_new_one_beside() -> None:
    known = replace(with_one(), settled=frozenset({"web@1", "web@5"}))
    seen = [new(1, 0.0), new(2, failure="exited"), *old(3, 4), beside(5, 0.0)]
    back = advance(known, seen, 20.0)
    assert back.moves == ("web@2",) and back.stops == (), "three of four and the one beside them are ready"
    seen[1] = Seen("web@2", True, "r<", 21.0)
    assert advance(back.rollout, seen, 31.0).moves == ("web@1",)
    broken = advance(back.rollout, [new(1, 0.0), seen[1], *old(3, 4), beside(5)], 31.0)
    assert broken.moves == ("web@5",), "the one beside is put back where it is not ready"


def test_what_was_stopped_by_the_rollout_is_started_again_where_it_turns() -> None:
    """Everything was replaced, and its last step is undone."""
    turned = undone(replace(with_one(2), settled=frozenset({"web@1", "web@2"})), "x", {}, 0.0)
    seen = [new(1, 0.0), new(2, 0.0), beside(3, up=False)]
    assert advance(turned, seen, 1.0).moves == ("web@3",)


def test_what_a_user_has_stopped_stays_down() -> None:
    stopped = down(5, revision="r", left_alone=True)
    assert advance(with_one(), [*old(1, 2, 3, 4), stopped], 1.0).moves == ()
    assert advance(with_one(max_unavailable=1), [*old(1, 2, 3, 4), stopped], 1.0).moves == ("web@1",)
    nothing_up = [Seen(f"web@{n}", False, "", None) for n in (1, 2)]
    took = advance(with_one(2), [*nothing_up, down(3, left_alone=True)], 1.0)
    assert took.moves == ("web@1", "web@2") and took.rollout.surge == 0


def test_a_halted_one_keeps_what_is_missed_and_lets_the_rest_go() -> None:
    rules = with_one(on_failure="halt")
    first = advance(rules, [*old(1, 2, 3, 4), beside(5, failure="exited")], 1.0)
    assert first.rollout.stage is Stage.HALTED and first.stops == ("web@5",)
    gone = advance(first.rollout, [*old(1, 2, 3, 4), down(5, revision="r")], 2.0)
    assert gone.rollout.surge == 0 and gone.rollout.stage is Stage.HALTED
    again = resumed(gone.rollout, old(1, 2, 3, 4), 3.0)
    assert advance(again, old(1, 2, 3, 4), 3.0).rollout.surge == 1
    known = replace(rules, settled=frozenset({"web@5"}))
    seen = [new(1, failure="exited"), *old(2, 3, 4), beside(5, 0.0)]
    later = advance(known, seen, 20.0)
    assert later.rollout.stage is Stage.HALTED and later.stops == () and later.rollout.surge == 1
    assert advance(later.rollout, [new(1, 20.0), *seen[1:]], 21.0).stops == ("web@5",)


def test_what_is_there_of_an_earlier_surge_is_replaced_and_no_more_than_the_limit_stays() -> None:
    """The file was corrected after a halt, and has a smaller limit."""
    known = replace(rollout(**NONE_MISSING), surge=2)
    seen = [*old(1, 2, 3), *old(4, ready=False), beside(5, revision=""), beside(6, 0.0, revision="")]
    found = advance(known, seen, 1.0)
    assert found.moves == ("web@5",) and found.stops == () and found.rollout.surge == 2
    ready = [*old(1, 2, 3, 4), beside(5, 0.0, revision=""), beside(6, 0.0, revision="")]
    assert advance(known, ready, 1.0).stops == ("web@6",)
    assert advance(known, [*ready[:5], down(6)], 1.0).rollout.surge == 1


def test_fewer_are_started_where_fewer_are_up() -> None:
    seen = [*old(1), *(Seen(f"web@{n}", False, "", None) for n in (2, 3))]
    assert advance(rollout(3, max_unavailable=1, max_surge=3), seen, 0.0).rollout.surge == 1


@pytest.mark.parametrize(
    ("limit", "replicas", "most"), [(0, 4, 0), (3, 2, 3), ("25%", 4, 1), ("25%", 5, 2), ("100%", 3, 3), ("1%", 9, 1)]
)
def test_how_many_may_run_beside(limit: int | str, replicas: int, most: int) -> None:
    assert surge_of(RolloutSpec(max_surge=limit), replicas) == most
    assert surge_of(None, replicas) == 0


def with_ports(first: int, count: int, replicas: int, **rules: Any) -> ServiceSpec:
    return ServiceSpec(
        name="web", command=("x",), replicas=replicas, ports=(first, first + count - 1), rollout=RolloutSpec(**rules)
    )


def moving(wanted: ServiceSpec, before: ServiceSpec) -> Rollout:
    previous = in_plan_of(wanted, before)
    return Rollout(id="r", service="web", order=Order.RELOAD, wanted=wanted, previous=previous, filed=wanted)


def test_both_definitions_need_a_port_for_what_runs_beside() -> None:
    """Else it could not be put back; where none is free, one instance has to be missing."""
    few = moving(with_ports(2000, 8, 4, **NONE_MISSING), with_ports(1000, 4, 4))
    assert (most_surge(few), most_unavailable(few, 4)) == (0, 1)
    enough = moving(with_ports(2000, 8, 4, **NONE_MISSING), with_ports(1000, 5, 4))
    assert (most_surge(enough), most_unavailable(enough, 4)) == (1, 0)
    longer = moving(with_ports(1000, 8, 4, **NONE_MISSING), with_ports(1000, 4, 4))
    assert (most_surge(longer), longer.previous.ports) == (1, (1000, 1007)), "each keeps its port in a longer range"


def test_the_way_back_to_fewer_ports_leaves_fewer_instances_and_says_so() -> None:
    known = moving(with_ports(2000, 8, 4), with_ports(1000, 3, 3))
    assert known.previous.replicas == 3
    back = advance(known, [new(1, failure="exited"), *old(2, 3, 4)], 1.0).rollout
    assert back.reason == "web@1: exited; the previous ports = 1000-1002 hold 3 of 4 instances"
    assert back.in_force.instances == ("web@1", "web@2", "web@3")


def test_the_surge_is_read_as_it_was_written_and_is_none_where_it_is_absent() -> None:
    assert read(write(with_one())) == with_one()
    saved = {key: value for key, value in write(with_one()).items() if key != "surge"}
    assert read(saved).surge == 0


# -- a small world ---------------------------------------------------------------------------------------------------


class Surging(World):
    """A world that makes the instances of the surge, and stops them in `STOPPING` seconds."""

    STOPPING = 1.5

    def __init__(self, replicas: int, rules: dict[str, Any], bad: float | str | None) -> None:
        super().__init__(replicas, rules, bad)
        self.copies = {name: Copy() for name in self.state.wanted.instances}
        self.replicas = replicas
        self.leaving: dict[str, float] = {}
        self.most = replicas

    def seen(self) -> list[Seen]:
        found = [s._replace(surge=s.name not in self.state.wanted.instances) for s in super().seen()]
        gone = {name for name, since in self.leaving.items() if self.now - since >= self.STOPPING}
        never = {name for name, copy in self.copies.items() if not copy.up and name not in self.leaving}
        return [
            s._replace(ready_since=None, failure="", there=s.name not in gone | never) if not s.up else s for s in found
        ]

    def turn(self, *, crash: int | None = None) -> bool:
        while True:
            found = advance(self.state, self.seen(), self.now)
            grown = found.rollout.surge != self.state.surge
            self.state = read(write(found.rollout))
            steps = [*(("move", name) for name in found.moves), *(("stop", name) for name in found.stops)]
            for number, (what, name) in enumerate(steps):
                if number == crash:
                    return False
                self._take(what, name)
            there = set(self.state.in_force.instances)
            self.copies = {name: copy for name, copy in self.copies.items() if name in there}
            for name in self.state.in_force.instances:
                self.copies.setdefault(name, Copy(up=False))
            self._count()
            if not grown:
                return True

    def _take(self, what: str, name: str) -> None:
        copy = self.copies[name]
        if what == "stop":
            copy.up, self.leaving[name] = False, self.now
        else:
            copy.version, copy.revision = self.state.target.command[0], self.state.revision
            copy.began, copy.up = self.now, True
            self.leaving.pop(name, None)

    def _count(self) -> None:
        seen = self.seen()
        self.least = min(self.least, sum(s.ready for s in seen if s.up))
        self.most = max(self.most, sum(s.there for s in seen))

    def check(self, versions: set[str]) -> None:
        assert tuple(self.copies) == self.state.wanted.instances
        assert {copy.version for copy in self.copies.values()} == versions
        assert self.most <= self.replicas + most_surge(self.state)


SURGES = st.one_of(st.integers(1, 4), st.sampled_from(["10%", "50%", "100%"]))
REPLICAS = st.integers(1, 6)


def _rules(*settle: float) -> st.SearchStrategy[dict[str, Any]]:
    missing = st.one_of(st.integers(0, 4), st.sampled_from(["25%", "100%"]))
    return st.fixed_dictionaries({"max_unavailable": missing, "max_surge": SURGES, "settle": st.sampled_from(settle)})


@pytest.mark.slow
@given(REPLICAS, _rules(0.0, 5.0, 10.0), CRASHES)
@settings(max_examples=150)
def test_a_good_definition_ends_on_all_under_their_names(
    replicas: int, rules: dict[str, Any], crashes: list[int]
) -> None:
    world = Surging(replicas, rules, "good")
    world.run(crashes)
    assert world.state.stage is Stage.FINISHED
    assert world.least >= replicas - most_unavailable(world.state, replicas)
    world.check({"new"})


@pytest.mark.slow
@given(REPLICAS, _rules(5.0, 10.0), BAD, CRASHES)
@settings(max_examples=150)
def test_a_bad_definition_is_rolled_back_and_what_ran_beside_is_gone(
    replicas: int, rules: dict[str, Any], bad: float | None, crashes: list[int]
) -> None:
    world = Surging(replicas, rules, bad)
    world.run(crashes)
    assert world.state.stage is Stage.ROLLED_BACK
    assert world.least >= replicas - most_unavailable(world.state, replicas)
    world.check({"old"})
    assert all(copy.began < 0 for copy in world.copies.values()), "it failed beside the old ones, which run on"


@pytest.mark.slow
@given(REPLICAS, _rules(0.0, 5.0), st.integers(0, 100), st.sampled_from(["good", *BAD_AFTER]))
@settings(max_examples=150)
def test_an_undo_or_a_pause_at_any_moment(replicas: int, rules: dict[str, Any], after: int, bad: Any) -> None:
    world = Surging(replicas, rules, bad)
    for _ in range(after):
        world.now += 0.5
        world.turn()
    before = world.copies.copy()
    world.state = replace(world.state, paused=True)
    for _ in range(10):
        world.now += 5.0
        world.turn()
    assert world.copies == before
    world.state = replace(world.state, paused=False)
    if (world.state.moving and not world.state.back) or world.state.stage is Stage.FINISHED:
        world.state = undone(world.state, "x", {}, world.now)
    world.run()
    assert not world.state.moving
    world.check({"old"})
