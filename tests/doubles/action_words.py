"""The words for actions and their fields in transcripts and in the simulation's traces.

A word stays when a class or a field is renamed, so that transcripts and traces of two versions can be compared.
"""

from __future__ import annotations

from supervisor.core.model import actions as act
from supervisor.core.model.actions import Action

WORDS: dict[type[Action], str] = {act.StartMonitoring: "Watch", act.ReleaseInstance: "Release"}
FIELDS = {"timeout": "within"}


def word(action: Action) -> str:
    """The word for `action`: the name of its class, or what that was when the transcripts were written."""
    return WORDS.get(type(action), type(action).__name__)


def field(name: str) -> str:
    """The word for a field of an action."""
    return FIELDS.get(name, name)
