"""Exclusive instances run under a lease only: transcripts of what the agent says and what the service set does."""

from __future__ import annotations

import pytest

from supervisor.core.cluster.lease import Lease
from supervisor.core.cluster.placement import Slot
from supervisor.core.model import events as ev
from supervisor.core.model.actions import Action, Goal, Record, Signal, Spawn, State
from supervisor.core.model.causes import Cause
from supervisor.core.model.cluster_spec import PlacementMode, PlacementSpec
from supervisor.core.model.instance_documents import Instance
from supervisor.core.model.spec import Condition, DependencySpec, Plan, ServiceSpec, ServiceType, SupervisorSpec
from supervisor.core.services.lease_gate import NOT_YET, Told
from supervisor.core.services.service_set import ServiceSet
from supervisor.core.services.settled import Failure, settled
from supervisor.core.services.status import instance_view
from supervisor.core.text.waiting import held_under, instead_of_running

ONE = PlacementSpec(mode=PlacementMode.ONE)
BEAT = Slot("beat", 0)


def world(*others: ServiceSpec) -> ServiceSet:
    beat = ServiceSpec(name="beat", command=("x",), placement=ONE, stop_timeout=3.0)
    found = ServiceSet(Plan(supervisor=SupervisorSpec(), services=(beat, *others)), lambda: 0.5)
    found.start(["beat"], 0.0, Cause.STARTED_BY_USER)
    return found


def told(epoch: int, *, stop: float = 16.0, start: float = 0.0, released: bool = False) -> Told:
    return Told("a", {BEAT: Lease("beat", 0, epoch, start, stop, stop + 3.0, released)})


def spawned(actions: list[Action]) -> list[str]:
    return [a.instance for a in actions if isinstance(a, Spawn)]


def held(set_: ServiceSet, epoch: int, now: float = 1.0) -> list[Action]:
    """It runs under this epoch."""
    set_.lease(told(epoch), now)
    out = set_.guard(frozenset({("beat", epoch)}), now)
    set_.step("beat", ev.Spawned(set_.instances["beat"].incarnation, 100), now)
    return out


def test_it_waits_until_the_agent_has_spoken() -> None:
    set_ = world()
    assert set_.instances["beat"].waiting_for == NOT_YET
    assert not spawned(set_.lease(Told("a", elsewhere={BEAT: "b"}), 1.0))
    assert set_.instances["beat"].waiting_for == "b, which holds its slot"
    set_.lease(Told("a", nowhere={BEAT: "ZooKeeper does not answer"}), 1.0)
    assert set_.instances["beat"].waiting_for == "its slot in the cluster (ZooKeeper does not answer)"


def test_it_starts_when_the_dead_man_knows_the_lease() -> None:
    set_ = world()
    assert not spawned(set_.lease(told(7), 1.0))
    assert "dead-man" in set_.instances["beat"].waiting_for
    assert not spawned(set_.guard(frozenset({("beat", 6)}), 1.0)), "of another epoch"
    assert spawned(set_.guard(frozenset({("beat", 7)}), 1.0)) == ["beat"]
    assert set_.instances["beat"].epoch == 7


def test_a_start_waits_for_the_processes_of_the_last_owner() -> None:
    set_ = world()
    set_.guard(frozenset({("beat", 7)}), 1.0)
    assert not spawned(set_.lease(told(7, start=3.0), 1.0))
    assert set_.instances["beat"].waiting_for == "the end of what its last owner ran"
    assert set_.deadline == 3.0
    assert not spawned(set_.tick(2.9))
    assert spawned(set_.tick(3.0)) == ["beat"]


@pytest.mark.parametrize("end", ["time", "released", "gone", "other epoch"])
def test_it_is_stopped_in_order_when_the_lease_is_to_end(end: str) -> None:
    set_ = world()
    held(set_, 7)
    beat = set_.instances["beat"]
    assert beat.state is State.RUNNING and set_.deadline == 16.0
    assert not set_.tick(15.9)
    out = {
        "time": lambda: set_.tick(16.0),
        "released": lambda: set_.lease(told(7, released=True), 10.0),
        "gone": lambda: set_.lease(Told("a"), 10.0),
        "other epoch": lambda: set_.lease(told(8), 10.0),
    }[end]()
    assert beat.state is State.STOPPING and beat.goal is Goal.UP
    records = [a for a in out if isinstance(a, Record)]
    assert [(r.before, r.after, r.cause) for r in records] == [(State.RUNNING, State.STOPPING, Cause.LEASE_ENDING)]
    assert [a.number for a in out if isinstance(a, Signal)] == [15]
    set_.step("beat", ev.Exited(1, 0, None, True), 17.0)
    assert (beat.state, beat.waiting, beat.restarts) == (State.STARTING, True, 0), "it waits, and nothing has failed"


def test_a_renewed_lease_goes_on() -> None:
    set_ = world()
    held(set_, 7)
    assert not set_.lease(told(7, stop=17.0), 2.0)
    assert not set_.tick(16.5)
    assert set_.instances["beat"].state is State.RUNNING


def test_without_a_dead_man_what_runs_goes_on_and_nothing_starts() -> None:
    set_ = world()
    held(set_, 7)
    assert not set_.guard(frozenset(), 2.0)
    set_.restart(["beat"], 3.0)
    assert not spawned(set_.step("beat", ev.Exited(1, 0, None, True), 3.1))
    assert "dead-man" in set_.instances["beat"].waiting_for


def test_what_an_earlier_daemon_started_goes_on_until_the_agent_has_spoken() -> None:
    set_ = world()
    held(set_, 7)
    saved = set_.instances["beat"].snapshot(2.0)
    later = ServiceSet(set_.plan, lambda: 0.5)
    later.restore("beat", saved, crashed=True)
    later.resume({"beat": ev.Adopted(1, 100, 2.0)}, 3.0)
    assert later.instances["beat"].epoch == 7
    assert later.instances["beat"].state is State.RUNNING
    assert not [a for a in later.lease(told(7), 4.0) if isinstance(a, Signal)]
    assert [a.number for a in later.lease(told(9), 5.0) if isinstance(a, Signal)] == [15]


def beside_a_dead_daemon(last: Told | None, ended: ev.Exited | None = None) -> ServiceSet:
    """What it ran under epoch 7 has ended: seen by a later daemon, or (`ended`) by this one.  `last`: told after it."""
    set_ = world()
    held(set_, 7)
    if ended is not None:
        set_.step("beat", ended, 4.0)
    else:
        saved = set_.instances["beat"].snapshot(2.0)
        set_ = ServiceSet(set_.plan, lambda: 0.5)
        set_.restore("beat", saved, crashed=True)
        set_.resume({"beat": ev.NotFoundOnAdoption(1, True)}, 4.0)
        set_.guard(frozenset({("beat", 7), ("beat", 9)}), 4.0)
    assert set_.instances["beat"].state is State.BACKOFF
    if last is not None:
        set_.lease(last, 4.01)
    return set_


def test_a_run_that_ended_with_its_lease_waits_for_the_next_lease_and_not_for_the_delay() -> None:
    beat = beside_a_dead_daemon(None).instances["beat"]
    assert (beat.state, beat.cause) == (State.BACKOFF, Cause.EXIT_UNKNOWN), "the agent has not spoken"
    set_ = beside_a_dead_daemon(Told("a", elsewhere={BEAT: "b"}))
    beat = set_.instances["beat"]
    assert (beat.state, beat.waiting_for, beat.cause) == (
        State.STARTING, "b, which holds its slot", Cause.LEASE_ENDING,
    )  # fmt: skip
    assert spawned(set_.lease(told(9), 4.02)) == ["beat"]


def test_a_run_that_the_dead_man_killed_while_the_daemon_stood_still_waits_for_the_next_lease() -> None:
    set_ = beside_a_dead_daemon(Told("a"), ev.Exited(1, None, 9, True))
    assert set_.instances["beat"].waiting_for == "its slot in the cluster"


@pytest.mark.parametrize("ended", [None, ev.Exited(1, None, 9, True)], ids=["while the daemon was dead", "before it"])
@pytest.mark.parametrize("first", [True, False], ids=["the dead-man speaks first", "the agent speaks first"])
def test_a_run_that_the_dead_man_ended_starts_again_under_a_lease_of_the_same_epoch(
    ended: ev.Exited | None, first: bool
) -> None:
    """The session outlived the run: the next agent goes on with it."""
    set_ = beside_a_dead_daemon(None if first else told(7), ended)
    actions = set_.ended_with_lease("beat", 7, 4.02)
    if first:
        actions += set_.lease(told(7), 4.03)
    assert spawned(actions) == ["beat"] and set_.instances["beat"].epoch == 7
    set_.step("beat", ev.Spawned(set_.instances["beat"].incarnation, 101), 4.1)
    set_.step("beat", ev.Exited(set_.instances["beat"].incarnation, None, 9, True), 5.0)
    assert set_.instances["beat"].state is State.BACKOFF, "this one was killed by another"


@pytest.mark.parametrize("epoch", [6, 8])
def test_that_the_dead_man_ended_another_run_explains_nothing(epoch: int) -> None:
    set_ = beside_a_dead_daemon(told(7))
    assert set_.ended_with_lease("beat", epoch, 4.02) == []
    assert set_.instances["beat"].state is State.BACKOFF


@pytest.mark.parametrize(
    ("last", "ended"),
    [
        (told(7), None),
        (told(7), ev.Exited(1, None, 9, True)),
        (Told("a"), ev.Exited(1, 1, None, True)),
        (Told("a"), ev.Exited(1, None, 11, True)),
    ],
    ids=["not known, under its lease", "killed, under its lease", "exited", "crashed"],
)
def test_a_failure_is_followed_by_the_delay(last: Told, ended: ev.Exited | None) -> None:
    assert beside_a_dead_daemon(last, ended).instances["beat"].state is State.BACKOFF


def test_dependants_start_where_another_host_runs_it() -> None:
    set_ = world(ServiceSpec(name="web", command=("y",), depends_on=("beat",)))
    set_.start(["web"], 0.0)
    assert set_.instances["web"].waiting_for == "beat"
    assert spawned(set_.lease(Told("a", elsewhere={BEAT: "b"}), 1.0)) == ["web"]


def test_dependants_start_nowhere_before_a_oneshot_has_completed() -> None:
    once = ServiceSpec(name="migrate", command=("y",), type=ServiceType.ONESHOT, placement=ONE, stop_timeout=3.0)
    begun = (DependencySpec(service="migrate", condition=Condition.STARTED),)
    set_ = world(
        once,
        ServiceSpec(name="web", command=("y",), depends_on=("migrate",)),
        ServiceSpec(name="log", command=("y",), depends_on=("migrate",), dependencies=begun),
    )
    set_.start(["web", "log"], 0.0)
    assert spawned(set_.lease(Told("a", elsewhere={Slot("migrate", 0): "b"}), 1.0)) == ["log"]
    assert set_.instances["web"].waiting_for == "migrate"
    assert spawned(set_.lease(Told("a", done=frozenset({"migrate"})), 2.0)) == ["web"]


def test_a_oneshot_that_has_completed_in_the_cluster_is_not_run() -> None:
    set_ = world(ServiceSpec(name="web", command=("y",), depends_on=("beat",)))
    set_.start(["web"], 0.0)
    assert spawned(set_.lease(Told("a", done=frozenset({"beat"})), 1.0)) == ["web"]
    assert set_.instances["beat"].waiting_for == "nothing: it has completed in the cluster"


def test_what_the_status_says_of_its_place() -> None:
    set_ = world()
    gate = set_.roster.gate
    assert gate is not None
    beat = set_.instances["beat"]
    assert gate.view(beat, 0.0)["node"] is None
    held(set_, 7)
    assert gate.view(beat, 1.0) == {
        "slot": 0, "node": "a", "here": True, "epoch": 7, "lease_s": 18.0, "reason": None, "done": False,
    }  # fmt: skip
    set_.lease(Told("a", elsewhere={BEAT: "b"}), 2.0)
    assert (gate.view(beat, 2.0)["node"], gate.view(beat, 2.0)["here"]) == ("b", False)


def test_without_placed_services_there_is_no_gate() -> None:
    set_ = ServiceSet(Plan(supervisor=SupervisorSpec(), services=(ServiceSpec(name="a", command=("x",)),)), lambda: 0.5)
    assert set_.roster.gate is None
    assert set_.lease(Told("a"), 0.0) == [] and set_.guard(frozenset({("a", 1)}), 0.0) == []
    assert set_.ended_with_lease("a", 1, 0.0) == []


def test_a_start_is_settled_where_nothing_more_is_to_be_waited_for() -> None:
    """`up -d` and READY=1 do not wait for a ZooKeeper that is away, but for a slot that is about to be taken."""
    set_ = world()
    gate = set_.roster.gate
    assert gate is not None

    def row() -> Instance:
        found = instance_view(set_.instances["beat"], 5.0)
        found["placed"] = gate.view(set_.instances["beat"], 5.0)
        return found

    def start_is_settled() -> bool | Failure:
        return settled("start", "beat", {"beat": row()}, {})

    assert start_is_settled() is False, "the agent has not spoken"
    set_.lease(Told("a"), 1.0)
    assert start_is_settled() is False, "this host may take it"
    set_.lease(Told("a", nowhere={BEAT: "ZooKeeper does not answer"}), 1.0)
    assert start_is_settled() is True
    assert instead_of_running(row()) == "waits: ZooKeeper does not answer"
    set_.lease(Told("a", elsewhere={BEAT: "b"}), 1.0)
    assert start_is_settled() is True
    assert (instead_of_running(row()), held_under(row())) == ("runs on b", "")
    set_.lease(Told("a", done=frozenset({"beat"})), 1.0)
    assert instead_of_running(row()) == "has completed in the cluster"
    held(set_, 7)
    assert (instead_of_running(row()), held_under(row())) == ("", "; it holds its slot in the cluster under epoch 7")


def test_when_a_lease_is_over_is_known_of_the_present_epoch_only() -> None:
    set_ = world()
    gate, beat = set_.roster.gate, set_.instances["beat"]
    assert gate is not None
    assert gate.kill_at(beat) is None, "the agent has not spoken"
    held(set_, 7)
    assert gate.kill_at(beat) == 19.0
    set_.lease(told(8), 2.0)
    assert gate.kill_at(beat) is None, "what runs has another epoch"


def test_a_lease_that_was_not_renewed_is_told_as_what_is_waited_for() -> None:
    set_ = world()
    held(set_, 7)
    set_.tick(16.0)
    set_.step("beat", ev.Exited(1, 0, None, True), 20.0)
    assert set_.instances["beat"].waiting_for == "a lease of its slot: the last one is over, and was not renewed"
