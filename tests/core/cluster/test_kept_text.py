"""A push where ZooKeeper has lost the record, and perhaps all texts: the way back is written first."""

from __future__ import annotations

from supervisor.core.cluster import push_word
from supervisor.core.cluster import version_documents as documents
from supervisor.core.cluster.kept_text import KeptText
from supervisor.core.cluster.pushes import Push, Pushes, There
from supervisor.core.cluster.requests import Node, Request, Result, Verb
from supervisor.core.cluster.version_documents import CURRENT, digest_of, dump_text, text_path
from supervisor.core.cluster.versions import Report, State
from tests.core.cluster.test_pushes import BAD, World

PATH = text_path(1)


def after_a_loss() -> World:
    """Hosts a and b run version 1; c was away and runs its own file.  ZooKeeper has nothing of that."""
    world = World()
    world.push("one")
    world["c"].die()
    world.turns()
    assert world.record.in_force == 1
    world["a"].orders = []
    lose(world)
    world["c"].come_back()
    world.turns(20)
    return world


def lose(world: World) -> None:
    for path in [path for path in world.engine.nodes if path.startswith(("/config", "/applied"))]:
        del world.engine.nodes[path]
    for one in world.machines.values():
        if one.alive:
            one.connect()


def test_a_push_that_fails_after_a_loss_brings_back_what_its_host_runs_also_where_that_never_ran() -> None:
    world = after_a_loss()
    assert world["c"].runs == (0, "")
    world.push(f"{BAD} b")
    world.turns(400)
    assert world.record.history[-1].state is State.ROLLED_BACK
    assert {(one.runs[0], one.text) for one in world.machines.values()} == {(1, "one")}
    word = world["c"].pushes.word(world.there())
    assert word is not None and word["problem"] == "" and "keep" not in word


def test_a_push_of_the_same_text_after_a_loss_begins_anew() -> None:
    """Else the record stays lost, and what was away never hears of it."""
    world = after_a_loss()
    a = world.push("one")
    world.turns()
    assert a.outcome["done"] and a.outcome["number"] == world.record.in_force == 2
    assert {(one.runs[0], one.text) for one in world.machines.values()} == {(2, "one")}
    word = world["a"].pushes.word(world.there())
    assert word is not None and word["problem"] == ""


def test_an_undo_after_a_loss_finds_the_text_that_was_in_force() -> None:
    world = after_a_loss()
    world.push("two")
    world.turns()
    world.push("", "b", undo=True)
    world.turns()
    assert {one.text for one in world.machines.values()} == {"one"}


def test_the_text_of_a_push_that_came_to_nothing_is_overwritten() -> None:
    world = after_a_loss()
    world.engine.nodes[PATH] = Node(dump_text("another one", "m"), 4, 1)
    world.push(f"{BAD} b")
    world.turns(400)
    assert {one.text for one in world.machines.values()} == {"one"}


def test_a_push_begins_without_a_way_back_where_the_daemon_has_none() -> None:
    """Its file is damaged; or it is one of an earlier build, which is not asked."""
    for text in ("", "damaged"):
        world = after_a_loss()
        world["a"].text = text
        world.push("two")
        world.turns()
        assert world.record.number == 2 and PATH not in world.engine.nodes
        assert {one.text for one in world.machines.values()} == {"two"}


def test_a_push_waits_until_its_daemon_has_said_what_it_runs() -> None:
    pushes, there = Pushes("a"), There({"a": 1}, frozenset("a"))
    pushes._record_read(None, 0.0)
    runs = {"number": 3, "digest": digest_of("x"), "seq": 0, "health": "ready", "reason": "", "differs": False}
    plan = {"wants": None, "plan": [3, digest_of("x")]}
    push = Push("1", "two", "root", 5.0, "m")
    answer = {"pushed": {**runs, **plan}, "pushes": [push._asdict()]}
    push_word.hear(pushes, answer)
    word = pushes.word(there)
    assert word is not None and word["keep"] is True
    (course,), record = pushes._open(), pushes._read.record
    assert record is not None and pushes._pushed(course, record) is None and course.outcome is None
    push_word.hear(pushes, {**answer, "pushed": {**runs, **plan, "text": "x"}})
    wanted = Request(Verb.CREATE, text_path(3), dump_text("x", "m"))
    assert pushes._pushed(course, record) == wanted
    other = Report(2, digest_of("y"))  # it changes its version meanwhile
    pushes.told(other, None, [push], None, "y")
    record = pushes._read.record
    assert record is not None
    assert pushes._pushed(course, record) == Request(Verb.CREATE, text_path(2), dump_text("y", "m"))
    push_word.hear(pushes, {"pushed": {**runs, "wants": None}, "pushes": [push._asdict()]})  # of an earlier build
    request = pushes._pushed(course, record)
    assert request == Request(Verb.CREATE, text_path(4), dump_text("two", "m"))


def test_texts_are_written_again_where_they_were_lost_before_the_record() -> None:
    world = World()
    a = world.push("one")
    while PATH not in world.engine.nodes:
        world.turn()
    assert CURRENT not in world.engine.nodes
    lose(world)
    world.turns()
    assert a.outcome["done"] and {one.text for one in world.machines.values()} == {"one"}


def test_the_steps_to_keep_a_text() -> None:
    kept = KeptText(1, digest_of("x"), "m")
    create, get = Request(Verb.CREATE, PATH, dump_text("x", "m")), Request(Verb.GET, PATH)
    assert kept.request("x") == create
    kept.answered(create, Result.EXISTS, None)
    assert kept.request("x") == get
    kept.answered(get, Result.NO_NODE, None)  # it was removed meanwhile
    assert kept.request("x") == create and not kept.done
    kept.answered(create, Result.EXISTS, None)
    kept.answered(get, Result.DONE, Node(dump_text("y", "n"), 4, 1))
    write = Request(Verb.SET, PATH, dump_text("x", "m"), 4)
    assert kept.request("x") == write and not kept.done
    kept.answered(write, Result.BAD_VERSION, None)
    assert kept.request("x") == create and not kept.done
    kept.answered(create, Result.EXISTS, None)
    kept.answered(get, Result.DONE, Node(dump_text("x", "n"), 5, 1))
    assert kept.done
    assert documents.text_and_mark(create.data) == ("x", "m")
