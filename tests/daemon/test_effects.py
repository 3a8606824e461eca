"""The effects: the table of what carries out each action, and what is saved beside records."""

from __future__ import annotations

import os
import typing
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.linux import procfs
from supervisor.core.model import actions as act
from supervisor.core.model.actions import Action, Goal, Record, State
from supervisor.core.model.causes import Cause
from supervisor.core.model.spec import ReadySpec, ServiceSpec, ServiceType
from supervisor.daemon.effects import _PERFORM, AT_ONCE, Effects
from supervisor.daemon.member_actions import MemberActions


def test_every_action_is_carried_out() -> None:
    """A record is written by the engine, before the actions of its round."""
    assert set(_PERFORM) == set(typing.get_args(Action)) - {Record}


def parts_with(ledger: Any, **more: Any) -> Any:
    return SimpleNamespace(
        ledger=ledger,
        previous_run=SimpleNamespace(kept=None, plan_due=False, plan_behind=False),
        keep_rollouts=lambda: None,
        observers=SimpleNamespace(unwatch=lambda name: None),
        on_demand=None,
        reporter=None,
        balancer=None,
        stored=None,
        **more,
    )


def test_what_is_saved_of_a_dropped_instance_goes_with_the_next_records() -> None:
    saved: dict[str, Any] = {}
    ledger = SimpleNamespace(
        save=saved.__setitem__,
        write=lambda records, now: [{} for _ in records],
        get_meta=lambda key: None,
        set_meta=lambda key, value: None,
    )
    parts = parts_with(
        ledger,
        service_set=SimpleNamespace(taken_dropped=lambda: {"web@3"}),
        snapshot={"web@4": None, "web@3": None}.__getitem__,
    )
    over = Record("web@4", "web", 1, Goal.DOWN, State.STOPPING, State.STOPPED, Cause.SURGE_OVER)
    Effects(parts, lambda event: None).record([over])
    assert {name: snapshot() for name, snapshot in saved.items()} == {"web@3": None, "web@4": None}


LEDGER = SimpleNamespace(get_meta=lambda key: None, set_meta=lambda key, value: None)


def test_one_timer_is_kept_and_it_is_never_too_early() -> None:
    """A wake-up for a deadline that was postponed costs more than to set the timer anew."""
    loop = EventLoop()
    parts: Any = SimpleNamespace(ledger=LEDGER, loop=loop)
    effects = Effects(parts, lambda event: None)

    def set_for() -> list[float]:
        return [timer.when for _, _, timer in loop._timers if timer._callback is not None]

    for when in (10.0, 12.0, 12.0, 9.0):
        effects.wake_at(when)
        assert set_for() == [when]
    effects.wake_at(None)
    assert set_for() == []
    loop.close()


@pytest.mark.parametrize("of_member", [False, True])
def test_a_beat_that_came_during_an_examination_counts_before_its_result(of_member: bool) -> None:
    posted: list[str] = []
    found: Any = None
    spec = ServiceSpec(name="web", command=("true",))
    parts: Any = SimpleNamespace(
        ledger=LEDGER,
        engine=SimpleNamespace(post=lambda instance, event: posted.append(type(event).__name__)),
        notify=SimpleNamespace(read=lambda: posted.append("Heartbeat")),
        processes=SimpleNamespace(with_settled_tree=lambda instance: "its process", by_instance={}),
        service_set=SimpleNamespace(instances={"web": SimpleNamespace(spec=spec)}),
        observers=SimpleNamespace(
            examiner=SimpleNamespace(
                examine=lambda process, spec, timeout, confirm, answer, again, ran: answer(
                    False, None, found, 0.0, None
                )
            ),
            confirm=lambda *_: None,
        ),
        cluster=None,
    )
    if of_member:
        own = os.getpid()
        start = procfs.start_time(own)
        assert start is not None
        MemberActions(parts).examine(act.ExamineMember("web", 1, (own, start), 1.0))
        assert posted == ["Heartbeat", "MemberExamined"]
    else:
        Effects(parts, lambda event: None).perform(act.Examine("web", 1, 1.0, confirm=False))
        assert posted == ["Heartbeat", "SuspectExamined"]


def test_the_records_of_thousands_are_not_in_memory_at_once() -> None:
    """They are written in parts, each with what is saved of its instances, and published before the next part."""
    done: list[str] = []
    saved: list[str] = []

    def write(records: Sequence[Record], now: float) -> list[Any]:
        done.append(f"{len(records)} written with {len(saved)} saved")
        saved.clear()
        return [SimpleNamespace(at=now, event=lambda stamp: {"at": stamp}) for _ in records]

    ledger = SimpleNamespace(
        save=lambda name, snapshot: saved.append(name), write=write, get_meta=lambda key: None,
        set_meta=lambda key, value: None,
    )  # fmt: skip
    spec = SimpleNamespace(type=ServiceType.SERVICE, hooks=())
    many = 2 * AT_ONCE + 1
    names = [f"web@{number}" for number in range(many)]
    parts = parts_with(
        ledger,
        service_set=SimpleNamespace(
            taken_dropped=set, instances=dict.fromkeys(names, SimpleNamespace(spec=spec)),
        ),
        snapshot=dict.fromkeys(names).__getitem__,
        now=lambda: 5.0,
        log=SimpleNamespace(event=lambda event, place: None),
        metrics=SimpleNamespace(observe=lambda record, now, oneshot: None),
        cluster=None,
    )  # fmt: skip
    effects = Effects(parts, lambda event: done.append("published"))
    effects.record([Record(name, "web", 1, Goal.DOWN, State.RUNNING, State.STOPPING, Cause.SHUTDOWN) for name in names])
    whole = f"{AT_ONCE} written with {AT_ONCE} saved"
    assert done == [whole, whole, *["published"] * 2 * AT_ONCE, "1 written with 1 saved"]
    effects.finish()
    assert done.count("published") == many


@pytest.mark.parametrize("notifies", [True, False])
def test_the_readiness_of_a_process_that_was_started_is_read_soon(notifies: bool) -> None:
    said: list[str] = []
    ready = ReadySpec(notify=True) if notifies else None
    instance = SimpleNamespace(spec=ServiceSpec(name="web", command=("true",), ready=ready))
    parts: Any = SimpleNamespace(
        ledger=LEDGER,
        stored=None,
        balancer=None,
        reporter=None,
        cluster=None,
        reserve=0,
        trees=None,
        stream=lambda name: SimpleNamespace(child_fd=lambda: os.open(os.devnull, os.O_WRONLY), fd=-1, errors=None),
        spawner=SimpleNamespace(remote=lambda spec: None, spawn=lambda *_: 7),
        processes=SimpleNamespace(take=lambda *_: None),
        notify=SimpleNamespace(hurry=lambda: said.append("hurry")),
        engine=SimpleNamespace(post=lambda name, event: said.append(type(event).__name__)),
        service_set=SimpleNamespace(instances={"web": instance}),
    )
    Effects(parts, lambda event: None).perform(act.Spawn("web", 1))
    assert said == (["hurry", "Spawned"] if notifies else ["Spawned"])
