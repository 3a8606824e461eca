"""The effects: the table of what carries out each action, and what is saved beside records."""

from __future__ import annotations

import typing
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from supervisor.core.model.actions import Action, Goal, Record, State
from supervisor.core.model.causes import Cause
from supervisor.core.model.spec import ServiceType
from supervisor.daemon.effects import _PERFORM, AT_ONCE, Effects


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
