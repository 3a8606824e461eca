"""What is told of processes that beat for themselves, and what explains that they are silent."""

from __future__ import annotations

import json
from typing import Any

import pytest

from supervisor.core.lifecycle.instance import Instance
from supervisor.core.lifecycle.transitions import step
from supervisor.core.model import events as ev
from supervisor.core.model import instance_documents
from supervisor.core.model.actions import Record
from supervisor.core.model.causes import Cause
from supervisor.core.services.relations.shared_cause import shared_cause
from supervisor.core.services.status import instance_view
from supervisor.core.text.processes import told
from supervisor.display.status_row import note
from tests.core.history.test_why import EVIDENCE, Life
from tests.core.services.test_service_set import World, spec

EACH = {"scope": "process", "interval": 1.0, "on_suspect": "kill-process"}
ONE, TWO, THREE = (1, 5), (2, 5), (3, 5)


def beating(*processes: tuple[int, int], **heartbeat: Any) -> Instance:
    instance = Instance("web", spec("web", heartbeat=EACH | heartbeat), lambda: 0.5)
    for event in (ev.Start(), ev.StartPermitted(), ev.Spawned(1, 77)):
        step(instance, event, 100.0)
    for i in range(20):
        beat(instance, 101.0 + i, *processes)
    return instance


def beat(instance: Instance, at: float, *processes: tuple[int, int], **more: Any) -> None:
    for process in processes:
        step(instance, ev.Heartbeat(1, at, process=process, **more), at)


def view(instance: Instance, now: float) -> instance_documents.Instance:
    row = instance_view(instance, now)
    assert json.loads(json.dumps(row, allow_nan=False)) == row
    return row


def test_a_row_tells_which_process_is_silent() -> None:
    instance = beating(ONE, TWO, THREE)
    row = view(instance, 120.5)
    assert [(p["pid"], p["silent_s"], p["suspect_s"]) for p in row.get("processes", [])] == [
        (1, 0.5, None), (2, 0.5, None), (3, 0.5, None),
    ]  # fmt: skip
    assert row["phi"] is not None and row["phi"] > 0.0 and row["suspect_in_s"] is not None
    assert (note(row), told(row)) == ("", [])
    beat(instance, 121.0, ONE, TWO)
    beat(instance, 122.0, ONE, TWO)
    step(instance, ev.Timeout(), 123.0)
    row = view(instance, 124.0)
    assert row["state"] == "running"
    assert note(row) == "process 3 has been silent for 4 s"
    step(instance, ev.MemberExamined(1, THREE, held="starved of CPU"), 124.0)
    assert note(view(instance, 124.0)) == "process 3 has been silent for 4 s; held: starved of CPU"


def test_a_row_tells_what_its_master_did_afterwards() -> None:
    instance = beating(ONE, TWO, THREE)
    beat(instance, 122.0, ONE, TWO)
    step(instance, ev.Timeout(), 123.0)
    step(instance, ev.MemberExamined(1, THREE), 123.0)
    row = view(instance, 124.0)
    assert note(row) == "process 3 was killed 1 s ago and is not gone"
    step(instance, ev.MemberExamined(1, THREE, gone=True), 124.0)
    assert told(view(instance, 125.0)) == [
        "process 3 was silent and was ended 2 s ago; no new process has beaten since"
    ]
    beat(instance, 125.0, (4, 9))
    row = view(instance, 126.0)
    assert told(row) == ["process 3 was silent and was ended 3 s ago; process 4 beats instead, 2 s after that"]
    assert note(row) == ""


@pytest.mark.parametrize(("busy", "left"), [(30.0, 20.0), (float("inf"), None)])
def test_a_row_tells_what_a_process_works_on(busy: float, left: float | None) -> None:
    instance = beating(ONE, TWO)
    beat(instance, 121.0, ONE, busy=busy, doing="shop.pay[1]")
    beat(instance, 131.0, TWO)
    found = {p["pid"]: p for p in view(instance, 131.0).get("processes", [])}[1]
    assert (found["doing"], found["busy_for_s"]) == ("shop.pay[1]", left)


@pytest.mark.parametrize("number", [32, 33])
def test_a_row_has_the_32_that_are_silent_for_longest(number: int) -> None:
    processes = [(pid, 5) for pid in range(1, number + 1)]
    instance = beating(*processes)
    for process in processes:
        beat(instance, 121.0 + process[0] / 100, process)
    assert [p["pid"] for p in view(instance, 122.0).get("processes", [])] == list(range(1, 33))


def test_a_row_tells_what_has_not_run() -> None:
    instance = beating(ONE, TWO, source="activity")
    beat(instance, 180.0, TWO)
    row = view(instance, 190.0)
    assert note(row) == "process 1 has not run for 1 min 10 s"
    assert {p["phi"] for p in row.get("processes", [])} == {None}
    assert instance.members_deadline is None


def test_how_long_a_process_was_under_suspicion_is_recorded() -> None:
    instance = beating(ONE, TWO)
    beat(instance, 122.0, TWO)
    step(instance, ev.Timeout(), 123.0)
    (resumed,) = (
        action
        for action in step(instance, ev.Heartbeat(1, 124.5, process=ONE), 124.5)
        if isinstance(action, Record) and action.cause is Cause.PROCESS_RESUMED
    )
    assert resumed.detail == {"process": 1, "for_s": 1.5}


def test_several_silent_processes_are_counted() -> None:
    instance = beating(ONE, TWO, THREE, (4, 5), (5, 5))
    beat(instance, 122.0, ONE, TWO, THREE)
    step(instance, ev.Timeout(), 123.0)
    assert note(view(instance, 124.0)) == "process 4 has been silent for 4 s (and 1 more)"


def test_why_tells_of_processes_and_where_they_hung() -> None:
    from supervisor.core.model.spec import HeartbeatSpec, Scope, Suspicion

    life = Life(heartbeat=HeartbeatSpec(scope=Scope.PROCESS, on_suspect=Suspicion.KILL_PROCESS)).start()
    for _ in range(20):
        life.now += 1.0
        for process in (ONE, TWO, THREE):
            life.step(ev.Heartbeat(1, life.now, process=process))
    for process in (ONE, TWO):
        life.step(ev.Heartbeat(1, life.now + 1.0, process=process))
    life.deadline().step(ev.MemberExamined(1, THREE, evidence=EVIDENCE))
    told_ = life.told()
    assert "Of its processes:" in told_
    assert "process 3 silent for 2.1 s: ended alone (1 of 2); it hangs at b.py:3 in take()" in told_, told_
    assert "Process 3 was killed 0 s ago and is not gone." in told_
    assert "processes" not in Life().start().why()


def test_what_a_service_depends_on_explains_its_silence() -> None:
    world = World(spec("db"), spec("web", depends_on=["db"], heartbeat=EACH))
    world.take(world.service_set.start(["web"], world.now))
    web, db = world["web"], world["db"]
    examined = ev.MemberExamined(web.incarnation, ONE)
    assert shared_cause(web, examined, lambda _: "") == examined
    for process in (ONE, TWO):
        for i in range(5):
            world.service_set.step("web", ev.Heartbeat(1, world.now + i, process=process), world.now + i)
    world.now += 10.0
    world.service_set.step("web", ev.Heartbeat(1, world.now, process=TWO), world.now)
    world.service_set.tick(world.now)
    world.spawns = False
    world.take(world.service_set.step("db", ev.Exited(db.incarnation, 1, None, True), world.now))
    assert not db.ready
    world.service_set.step("web", examined, world.now)
    assert web.members is not None
    assert web.members.known[ONE].held == "db, which it depends on, is not ready"


def test_that_does_not_hold_where_only_the_instance_beats() -> None:
    instance = Instance("web", spec("web", heartbeat={}), lambda: 0.5)
    found = ev.SuspectExamined(1, False, None)
    assert shared_cause(instance, found, lambda _: "db") is found
    named = shared_cause(beating(ONE), found, lambda _: "db")
    assert isinstance(named, ev.SuspectExamined) and named.shared


def test_a_changed_heartbeat_goes_on_with_the_same_processes() -> None:
    from dataclasses import replace

    instance = beating(ONE, TWO)
    assert instance.spec.heartbeat is not None
    changed = replace(instance.spec, heartbeat=replace(instance.spec.heartbeat, threshold=9.0))
    step(instance, ev.Reconfigure(changed, restart=False), 121.0)
    assert instance.members is not None
    assert set(instance.members.known) == {ONE, TWO}
    step(instance, ev.ProbeUnknown(1, "x", 121.0), 121.0)
    assert instance.deadline is None, "it cannot be asked, so nothing counts"
    step(instance, ev.Heartbeat(1, 131.0), 131.0)
    assert instance.members_deadline is not None and instance.members_deadline > 131.0


def test_the_main_process_may_be_busy_too() -> None:
    instance = beating()
    for i in range(20):
        step(instance, ev.Heartbeat(1, 121.0 + i), 121.0 + i)
    step(instance, ev.Heartbeat(1, 141.0, busy=30.0), 141.0)
    assert instance.suspect_at is not None and instance.suspect_at > 171.0


def test_a_process_of_a_service_that_only_beats_as_a_whole_is_nothing() -> None:
    instance = Instance("web", spec("web", heartbeat={}), lambda: 0.5)
    for event in (ev.Start(), ev.StartPermitted(), ev.Spawned(1, 77)):
        step(instance, event, 100.0)
    assert instance.beat(ev.Heartbeat(1, 101.0, process=ONE)) is None
    assert "processes" not in instance_view(instance, 101.0)


def test_what_happens_in_the_same_moment() -> None:
    """A late turn of the daemon, and what arrives after its decision."""
    instance = beating(ONE, TWO, THREE)
    beat(instance, 121.0, ONE, TWO)
    step(instance, ev.Timeout(patience=4.0), 122.2)
    assert instance.members is not None
    three = instance.members.known[THREE]
    assert three.since is None, "this daemon was late: it waits longer"
    beat(instance, 129.5, ONE, TWO)
    step(instance, ev.Timeout(), 130.0)
    step(instance, ev.MemberExamined(1, THREE), 130.0)
    assert three.ended_at is not None
    beat(instance, 130.1, THREE)
    assert three.ended_at is not None, "that beat was sent before it was killed"
    beat(instance, 130.2, ONE)
    one = instance.members.known[ONE]
    step(instance, ev.MemberExamined(1, ONE), 130.3)
    assert one.ended_at is None, "it beat before it was examined"


def test_a_process_is_gone_before_it_is_looked_at_again() -> None:
    instance = beating(ONE, TWO)
    step(instance, ev.MemberExamined(1, THREE), 121.0)
    assert instance.members is not None
    step(instance, ev.Timeout(), 125.0)  # both are silent, and no examination answers
    step(instance, ev.Timeout(), 127.0)
    assert instance.state.value == "stopping", "what they share is to blame"
    assert not instance.members.known
    assert step(instance, ev.MemberExamined(1, ONE), 127.5) == []


def test_one_that_was_held_after_its_first_beat_has_max_timeout_again() -> None:
    instance = beating(ONE, TWO)
    beat(instance, 120.5, THREE)
    for i in range(30):
        beat(instance, 121.0 + i, ONE, TWO)
    step(instance, ev.Timeout(), 150.6)
    step(instance, ev.MemberExamined(1, THREE, held="frozen"), 150.6)
    assert instance.members is not None
    three = instance.members.known[THREE]
    assert not instance.takes_beats_only
    beat(instance, 159.9, ONE, TWO)
    step(instance, ev.MemberExamined(1, THREE), 160.0)
    assert (three.since, three.deadline) == (None, 190.0)
    instance.members.count_kill(9, 160.0, 60.0)
    assert not instance.takes_beats_only, "the next new process is the one that replaces it"


def test_only_what_is_required_and_missing_explains_a_silence() -> None:
    soft = [{"service": "cache", "required": False}]
    world = World(spec("db"), spec("cache"), spec("web", depends_on=["db", "cache"], dependencies=soft, heartbeat=EACH))
    world.take(world.service_set.start(["web", "cache"], world.now))
    world.service_set.step("web", ev.Heartbeat(1, world.now, process=ONE), world.now)
    world.service_set.tick(world.now + 40.0)
    world.spawns = False
    world.take(world.service_set.step("cache", ev.Exited(1, 1, None, True), world.now + 40.0))
    world.service_set.step("web", ev.MemberExamined(1, ONE, held="frozen"), world.now + 40.0)
    web = world["web"]
    assert web.members is not None and web.members.known[ONE].held == "frozen"
