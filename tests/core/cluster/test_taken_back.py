"""A person takes a push back that is in progress."""

from __future__ import annotations

from typing import Any

import pytest

from supervisor.core.cluster import push_word
from supervisor.core.cluster.pushes import Pushes
from supervisor.core.cluster.requests import Verb
from supervisor.core.cluster.version_documents import CURRENT, digest_of
from supervisor.core.cluster.versions import Phase, State
from tests.core.cluster.test_pushes import Machine, World


def stuck(text: str = "two", **more: Any) -> tuple[World, Machine]:
    """Version 1 is in force; 2 has reached a, and b never becomes ready with it."""
    world = World()
    world.push("one")
    world.turns()
    slow = world["b"]
    hear = slow.hear
    slow.hear = lambda: hear() if slow.text != text else None  # type: ignore[method-assign]
    world.push(text, timeout=36_000.0, **more)
    world.turns()
    assert world.record.phase is Phase.ROLLING and world["a"].text == slow.text == text
    slow.hear = lambda: hear() if world.record.phase is not Phase.ROLLING else None  # type: ignore[method-assign]
    return world, slow


def test_a_push_that_is_stuck_is_taken_back_from_any_host() -> None:
    world, _ = stuck()
    order = world.push("", "c", undo=True, takes_back=2, timeout=30.0, max_unavailable="2")
    world.turns()
    assert order.outcome == {"id": order.orders[0].id, "done": True, "error": "", "number": 2}
    assert {one.runs for one in world.machines.values()} == {(1, digest_of("one"))}
    version, record = world.record.history[-1], world.record
    assert (version.state, version.reason, version.failed_on) == (State.ROLLED_BACK, "taken back by root on c", "")
    assert (record.number, record.in_force, record.timeout, record.max_unavailable) == (2, 1, 30.0, "2")
    assert all(one.pushes.behind() == "" for one in world.machines.values())
    del world["b"].hear
    world.push("three", "a")
    world.turns()
    assert world.record.in_force == 3


def test_the_way_back_goes_by_waves() -> None:
    world, slow = stuck()
    world["a"].hear = lambda: None  # type: ignore[method-assign]
    world.push("", "c", undo=True, takes_back=2)
    world.turns(50)
    assert slow.text == "one" and world.record.phase is Phase.RETURNING
    assert [host for host, turn in world.record.turns.items() if turn.number == 1] == ["a", "b"], "b was not ready"
    assert world["c"].text == "one"


def test_a_way_back_that_hangs_ends_as_soon_as_a_person_waits_no_longer() -> None:
    world, slow = stuck()
    slow.hear = lambda: None  # type: ignore[method-assign]
    world.push("", "c", undo=True, takes_back=2, timeout=36_000.0)
    world.turns(50)
    assert world.record.phase is Phase.RETURNING
    refused = world.push("three", "a")
    world.turns()
    assert refused.outcome is not None
    assert refused.outcome["error"].endswith("`supervisor cluster undo --timeout 30s` shortens the wait for it")
    longer = world.push("", "a", undo=True, takes_back=2, timeout=72_000.0)
    world.turns(5)
    assert longer.outcome is not None and longer.outcome["done"] and world.record.timeout == 36_000.0
    order = world.push("", "a", undo=True, takes_back=2, timeout=2.0)
    world.turns(5)
    assert order.outcome is not None and order.outcome["done"] and world.record.timeout == 2.0
    world.turns(60)
    assert world.record.phase is Phase.SETTLED and world.record.in_force == 1
    assert world.record.history[-1].state is State.ROLLED_BACK


def test_the_first_push_of_all_is_taken_back_to_each_hosts_own_file() -> None:
    world = World("ab")
    world["b"].hear = lambda: None  # type: ignore[method-assign]
    world.push("one")
    world.turns(50)
    order = world.push("", undo=True, takes_back=1)
    del world["b"].hear
    world.turns()
    assert order.outcome["done"] and {one.runs for one in world.machines.values()} == {(0, "")}


def test_an_undo_without_that_takes_no_push_back_that_its_giver_has_not_seen() -> None:
    world, _ = stuck()
    order = world.push("", "c", undo=True)
    world.turns(20)
    assert order.outcome["error"].endswith("`supervisor cluster undo` takes it back")
    assert world.record.phase is Phase.ROLLING


def test_a_push_that_has_come_into_force_in_the_moment_before_is_undone_as_any_other() -> None:
    world = World()
    for text in ("one", "two"):
        world.push(text)
        world.turns()
    order = world.push("", "b", undo=True, takes_back=2)
    world.turns()
    assert order.outcome["number"] == 3 and {one.text for one in world.machines.values()} == {"one"}


def test_a_push_that_has_failed_in_the_moment_before_is_not_undone_twice() -> None:
    """Else the version before the one in force would come."""
    world = World()
    for text in ("one", "two", "bad c"):
        world.push(text)
        world.turns()
    order = world.push("", "b", undo=True, takes_back=3)
    world.turns()
    assert order.outcome == {"id": order.orders[0].id, "done": True, "error": "", "number": 3}
    assert world.record.number == 3 and {one.text for one in world.machines.values()} == {"two"}


@pytest.mark.parametrize(("takes_back", "share", "error"), [
    (7, "1", "version 7 is not being rolled out"), (1, "1", "version 1 is not being rolled out"),
    (2, "x", "the order has numbers that make no sense"),
])  # fmt: skip
def test_what_cannot_be_taken_back_is_refused(takes_back: int, share: str, error: str) -> None:
    world, _ = stuck()
    if takes_back == 1:  # replaced by now
        del world["b"].hear
        world.turns()
    order = world.push("", "c", undo=True, takes_back=takes_back, max_unavailable=share)
    world.turns(20)
    assert (order.outcome["done"], order.outcome["error"]) == (False, error)


def test_a_lost_answer_takes_it_back_once() -> None:
    world, _ = stuck()
    order = world.push("", "c", undo=True, takes_back=2)
    order.hear()
    order.ask()
    assert order.out is not None and (order.out.verb, order.out.path) == (Verb.SET, CURRENT)
    order.answer(lost=True)
    world.turns()
    assert order.outcome["number"] == 2 and world.record.phase is Phase.SETTLED


def test_an_order_on_the_way_is_read_also_from_an_earlier_build() -> None:
    pushes, order = Pushes("a"), {"id": "p1", "text": "", "by": "", "at": 1.0, "mark": "m", "max_unavailable": "1",
                                  "timeout": 5.0, "undo": True}  # fmt: skip
    runs = {"number": 1, "digest": "d", "seq": 1, "health": "ready", "reason": "", "differs": False, "wants": None}
    for more, takes_back in (({}, 0), ({"takes_back": 2}, 2)):
        push_word.hear(pushes, {"pushed": runs, "pushes": [{**order, **more}]})
        assert next(iter(pushes._courses.values())).push.takes_back == takes_back
        pushes._courses.clear()
