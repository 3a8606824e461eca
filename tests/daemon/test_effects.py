"""The effects: the table of what carries out each action, and what is saved beside records."""

from __future__ import annotations

import typing
from types import SimpleNamespace
from typing import Any

from supervisor.core.model.actions import Action, Goal, Record, State
from supervisor.core.model.causes import Cause
from supervisor.daemon.effects import _PERFORM, Effects


def test_every_action_is_carried_out() -> None:
    """A record is written by the engine, before the actions of its round."""
    assert set(_PERFORM) == set(typing.get_args(Action)) - {Record}


def test_what_is_saved_of_a_dropped_instance_goes_with_the_next_records() -> None:
    saved: dict[str, Any] = {}
    unused: Any = SimpleNamespace(unwatch=lambda name: None)
    ledger = SimpleNamespace(
        save=saved.__setitem__,
        write=lambda records, now: [{} for _ in records],
        get_meta=lambda key: None,
        set_meta=lambda key, value: None,
    )
    parts: Any = SimpleNamespace(
        ledger=ledger,
        previous_run=SimpleNamespace(kept=None, plan_due=False, plan_behind=False),
        service_set=SimpleNamespace(taken_dropped=lambda: {"web@3"}),
        snapshot={"web@4": None, "web@3": None}.__getitem__,
        keep_rollouts=lambda: None,
        observers=unused,
        on_demand=None,
        reporter=None,
        balancer=None,
        stored=None,
    )
    over = Record("web@4", "web", 1, Goal.DOWN, State.STOPPING, State.STOPPED, Cause.SURGE_OVER)
    Effects(parts, lambda event: None).record([over])
    assert saved == {"web@3": None, "web@4": None}
