"""Adoption after a crash: at most one main process for each instance, and no orphan is overlooked."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.lifecycle.instance import Instance
from supervisor.core.lifecycle.transitions import step
from supervisor.core.model import events as ev
from supervisor.core.model.causes import Cause
from supervisor.core.model.plain import from_plain
from supervisor.core.model.spec import ServiceSpec
from supervisor.core.services.adoption import (
    MarkedProcess,
    adoption_event,
    has_state,
    is_kept,
    is_main,
    plan_adoption,
    saved,
)
from tests.core.services.test_service_set import spec

STARTS: dict[str, list[ev.Event]] = {
    "stopped": [],
    "waiting": [ev.Start()],
    "spawning": [ev.Start(), ev.StartPermitted()],
    "running": [ev.Start(), ev.StartPermitted(), ev.Spawned(1, 77)],
}


def instance(name: str, how: str) -> Instance:
    made = Instance(name, spec(name), lambda: 0.5)
    for event in STARTS[how]:
        step(made, event, 100.0)
    return made


def found(
    pid: int, name: str = "web", incarnation: int | None = 1, leader: bool = True, start: int = 0
) -> MarkedProcess:
    return MarkedProcess(pid, start or pid, name, incarnation, leader)


@pytest.mark.parametrize(
    ("how", "processes", "main", "orphans"),
    [
        ("running", [found(77)], (77, 5), []),
        ("running", [], (77, 5), []),
        ("running", [found(77), found(78, leader=False)], (77, 5), []),
        ("running", [found(77), found(66, incarnation=0)], (77, 5), [66]),
        ("spawning", [found(80)], (80, 80), []),
        ("spawning", [found(81), found(80)], (80, 80), []),
        ("spawning", [found(81, start=9), found(80)], (81, 9), []),
        ("spawning", [found(80, leader=False)], None, []),
        ("spawning", [found(80, incarnation=None)], None, []),
        ("spawning", [found(70, incarnation=0)], None, [70]),
        ("spawning", [], None, []),
        ("waiting", [found(80, incarnation=0)], None, [80]),
        ("stopped", [found(80, incarnation=0)], None, [80]),
        ("running", [found(90, name="gone")], (77, 5), [90]),
    ],
)
def test_takeover(how: str, processes: list[MarkedProcess], main: Any, orphans: list[int]) -> None:
    result = plan_adoption({"web": instance("web", how)}, {"web": 5}, processes)
    assert result.main_processes.get("web") == main
    assert [s.pid for s in result.orphans] == orphans


@pytest.mark.parametrize(
    ("how", "processes", "main", "incarnation", "orphans"),
    [
        ("running", [found(80, incarnation=2), found(77)], (80, 80), 2, [77]),
        ("running", [found(80, incarnation=2), found(79, incarnation=2)], (79, 79), 2, []),
        (
            "running",
            [found(80, incarnation=2), found(85, incarnation=3), found(81, incarnation=2)],
            (85, 85),
            3,
            [80, 81],
        ),
        ("running", [found(80, incarnation=2, leader=False)], (77, 5), None, [80]),
        ("stopped", [found(80, incarnation=4), found(81, incarnation=4, leader=False)], (80, 80), 4, []),
        ("stopped", [found(80, incarnation=None)], None, None, [80]),
        ("waiting", [found(80, incarnation=2)], (80, 80), 2, []),
        ("running", [found(90, name="gone", incarnation=7)], (77, 5), None, [90]),
    ],
)
def test_who_says_what_the_record_does_not(
    how: str, processes: list[MarkedProcess], main: Any, incarnation: int | None, orphans: list[int]
) -> None:
    result = plan_adoption({"web": instance("web", how)}, {"web": 5}, processes)
    assert result.unrecorded.get("web") == incarnation
    assert result.main_processes.get("web") == main
    assert [s.pid for s in result.orphans] == orphans


@pytest.mark.parametrize(
    ("processes", "main"),
    [
        ([found(77, start=5), found(76)], (77, 5)),
        ([found(77, incarnation=None)], (77, 77)),
        ([found(77, leader=False)], None),
        ([found(76)], None),
        ([], None),
    ],
)
def test_a_main_process_without_a_start_time_is_known_by_its_mark(processes: list[MarkedProcess], main: Any) -> None:
    """It could not be read where no descriptor was free.  Else the service would be stopped and started again."""
    result = plan_adoption({"web": instance("web", "running")}, {"web": None}, processes)
    assert result.main_processes.get("web") == main


def test_of_whom_nothing_is_recorded_even_an_overwritten_environment_is_enough() -> None:
    result = plan_adoption({"web": instance("web", "stopped")}, {}, [found(80, incarnation=None)])
    assert (result.main_processes, result.unrecorded, result.orphans) == ({"web": (80, 80)}, {"web": 1}, [])


def test_of_whom_nothing_is_recorded_an_incarnation_may_be_older_than_in_history() -> None:
    """A daemon that could not read the ledger counted from 1 again; what it started is no orphan."""
    web = instance("web", "stopped")
    web.incarnation = 7
    result = plan_adoption({"web": web}, {}, [found(80, incarnation=1)])
    assert (result.main_processes, result.unrecorded, result.orphans) == ({"web": (80, 80)}, {"web": 1}, [])


@given(
    st.lists(st.sampled_from(sorted(STARTS)), min_size=1, max_size=3),
    st.lists(
        st.builds(
            found,
            st.integers(2, 9),
            st.sampled_from(["0", "1", "2", "x"]),
            st.sampled_from([None, 0, 1, 2]),
            st.booleans(),
        ),
        unique_by=lambda f: f.pid,
    ),
)
def test_everything_found_is_either_an_instances_or_a_stray(states: list[str], processes: list[MarkedProcess]) -> None:
    instances = {str(n): instance(str(n), how) for n, how in enumerate(states)}
    result = plan_adoption(instances, {}, processes)
    kept = [p for group in result.candidates.values() for p in group]
    assert sorted(kept + result.orphans) == sorted(processes)
    assert all(instances[name].alive or name in result.unrecorded for name in result.main_processes)
    assert result.unrecorded.keys() <= result.main_processes.keys()


class Seen(NamedTuple):
    start: int
    state: str


@pytest.mark.parametrize(
    ("seen", "same"),
    [
        (None, False),
        (Seen(5, "S"), True),
        (Seen(5, "T"), True),
        (Seen(5, "D"), True),
        (Seen(5, "Z"), True),
        (Seen(5, "X"), False),
        (Seen(6, "S"), False),
        (Seen(6, "Z"), False),
    ],
)
def test_a_process_is_known_again_by_the_time_it_began(seen: Seen | None, same: bool) -> None:
    assert is_main(5, seen) is same


@pytest.mark.parametrize(
    ("pid", "tree_empty", "event"),
    [
        (77, False, ev.Adopted(3, 77, 1.5)),
        (None, False, ev.NotFoundOnAdoption(3, tree_empty=False)),
        (None, True, ev.NotFoundOnAdoption(3, tree_empty=True)),
    ],
)
def test_an_instance_is_told_what_became_of_its_process(
    pid: int | None, tree_empty: bool, event: ev.Adopted | ev.NotFoundOnAdoption
) -> None:
    assert adoption_event(3, pid, 1.5, tree_empty=tree_empty) == event


class Running(NamedTuple):
    incarnation: int
    pid: int
    start: int | None


@pytest.mark.parametrize(
    ("how", "process", "known"),
    [
        ("running", Running(1, 77, 5), (77, 5)),
        ("running", Running(1, 78, 6), (78, 6)),
        ("running", Running(0, 77, 5), (77, None)),
        ("running", None, (77, None)),
        ("spawning", Running(1, 77, 5), (None, None)),
        ("stopped", None, (None, None)),
    ],
)
def test_the_start_time_is_saved_with_the_pid(
    how: str, process: Running | None, known: tuple[int | None, int | None]
) -> None:
    """The main process may be another than the one that was spawned (MAINPID=), but not one of another incarnation."""
    snapshot = saved(instance("web", how), process, 100.0)
    assert (snapshot["pid"], snapshot.get("start")) == known


def test_history_alone_is_no_state() -> None:
    one = Instance("web", from_plain(ServiceSpec, {"name": "web", "command": ["x"]}), lambda: 0.5)
    one.incarnation = 3
    assert has_state(one.snapshot(1.0))
    assert not has_state(one.history(1.0))
    other = Instance("web", one.spec, lambda: 0.5)
    other.restore(one.history(1.0), crashed=True)
    assert (other.incarnation, other.alive) == (3, False)


@pytest.mark.parametrize(
    ("how", "orders", "kept"),
    [
        ("stopped", [], True),
        ("running", [ev.Stop(Cause.STOPPED_BY_USER)], True),
        ("running", [ev.Stop(Cause.REMOVED)], False),
        ("running", [ev.Stop(Cause.REMOVED, later=True)], False),
        ("running", [ev.Stop(Cause.STOPPED_BY_USER), ev.Stop(Cause.REMOVED)], False),
        ("running", [ev.Stop(Cause.REMOVED), ev.Exited(1, 0, None, True)], False),
        ("running", [ev.Stop(Cause.REMOVED), ev.Start(Cause.ADDED, lazy=True)], True),
        ("waiting", [ev.Stop(Cause.REMOVED)], False),
        ("running", [ev.Stop(Cause.REMOVED), ev.Exited(1, 0, None, True), ev.Start(), ev.Stop()], True),
    ],
)
def test_what_was_taken_out_does_not_keep_its_goal(how: str, orders: list[ev.Event], kept: bool) -> None:
    """Where the file has it again, it is started as one that is new."""
    web = instance("web", how)
    for order in orders:
        step(web, order, 200.0)
    assert is_kept(saved(web, None, 200.0)) is kept
    assert not is_kept({})
