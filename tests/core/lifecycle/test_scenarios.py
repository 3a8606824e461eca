"""The transcripts; that the table is total; and that every state and cause occurs in some transcript."""

from __future__ import annotations

import os
import typing
from pathlib import Path

import pytest

from supervisor.core.lifecycle.transitions import IGNORED, TRANSITIONS
from supervisor.core.model import events as ev
from supervisor.core.model.actions import State
from supervisor.core.model.causes import ROLLOUT, SURGE, Cause
from tests.core.transcript import play

SCENARIOS = sorted((Path(__file__).parents[1] / "scenarios").glob("*.txt"))
EVENTS = typing.get_args(ev.Event)
OF_THE_FLEET = {
    Cause.AUTOSTART,
    Cause.SHUTDOWN,
    Cause.REMOVED,
    Cause.SCALED,
    Cause.DEPENDENCY_RESTARTED,
    Cause.DEPENDENCY_FAILED,
    Cause.LEASE_ENDING,
    Cause.GROUP_RESTARTED,
    Cause.FALLBACK_WANTED,
    Cause.FALLBACK_OVER,
    Cause.BREAKER_OPEN,
    Cause.ADDED,
    Cause.CLOCK_SET,
    Cause.UPGRADED,
    Cause.UNCHANGED,
    Cause.HOST_SUSPECTED,
    Cause.HOST_HEARD,
    Cause.SURGE_STARTED,
    Cause.SURGE_OVER,
    *ROLLOUT,
    *SURGE,
}


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda p: p.stem)
def test_transcript(path: Path) -> None:
    text = path.read_text()
    played = play(text)
    if os.environ.get("TRANSCRIPTS") == "write":
        path.write_text(played)
    assert played == text


def test_every_event_is_in_the_union() -> None:
    """The table is held against the union, so an event outside it would be ignored without a word."""
    defined = {one for one in vars(ev).values() if isinstance(one, type) and one.__module__ == ev.__name__}
    assert defined == set(EVENTS)


def test_every_pair_of_state_and_event_is_handled_or_ignored_on_purpose() -> None:
    ignored = {(state, event) for event, states in IGNORED.items() for state in states}
    assert not ignored & TRANSITIONS.keys()
    assert ignored | TRANSITIONS.keys() == {(state, event) for state in State for event in EVENTS}


def test_transcripts_tell_of_every_state_and_cause() -> None:
    told = "\n".join(path.read_text() for path in SCENARIOS)
    assert not [s for s in State if f"{s.value.upper()}(" not in told]
    assert not [c for c in Cause if c not in OF_THE_FLEET and f"({c.value})" not in told]
