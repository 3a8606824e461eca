"""The effects: the table of what carries out each action."""

from __future__ import annotations

import typing

from supervisor.core.model.actions import Action, Record
from supervisor.daemon.effects import _PERFORM


def test_every_action_is_carried_out() -> None:
    """A record is written by the engine, before the actions of its round."""
    assert set(_PERFORM) == set(typing.get_args(Action)) - {Record}
