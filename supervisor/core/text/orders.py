"""Names the user and the client of an order, from the `by` of an event's detail.

Example: `by root, with `supervisor stop web` (pid 123)`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from supervisor.core.text.units import shorten, signal_name

BY_USER = " by the user"
"""The end of a phrase whose place `given` takes."""
_SHORTEST_COMMAND = 12
_INTERPRETER = re.compile(r"(?:python|pypy)[\d.]*")


def given(by: Mapping[str, Any], room: int = 10_000) -> str:
    """The giver of the order, in about `room` characters: a long command is shortened, then left out."""
    if by.get("signal"):
        return f"by {signal_name(by['signal'])}"
    if by.get("web"):
        who = by.get("user") or (f"user {by['uid']}" if "uid" in by else "someone")
        return f"by {who}, on the web view from {by['web']}"
    user = by.get("user") or (f"user {by['uid']}" if "uid" in by else "the user")
    pid = f" (pid {by['pid']})" if by.get("pid") else ""
    left = room - len(f"by {user}, with ``{pid}")
    command = _command(by.get("command") or ())
    if not command or left < min(_SHORTEST_COMMAND, len(command)):
        return f"by {user}{pid}"
    return f"by {user}, with `{shorten(command, left)}`{pid}"


def with_giver(said: str, by: Mapping[str, Any], longest: int) -> str:
    """The phrase of an order with its giver, in at most about `longest` characters."""
    said = said.removesuffix(BY_USER) if said.endswith(BY_USER) else f"{said}; ordered"
    return f"{said} {given(by, longest - len(said) - 1)}"


def _command(words: list[str] | tuple[str, ...]) -> str:
    """The command as it is typed: programs without their directory, a script without its interpreter."""
    words = list(words)
    if len(words) > 1 and _INTERPRETER.fullmatch(_name(words[0])) and not words[1].startswith("-"):
        del words[0]
    return " ".join([_name(words[0]), *map(_typed, words[1:])]) if words else ""


def _typed(word: str) -> str:
    """In quotes where a shell would otherwise take it for several words, or for none."""
    if word and not any(map(str.isspace, word)):
        return word
    return "'" + word.replace("'", "'\\''") + "'"


def _name(path: str) -> str:
    return path.rpartition("/")[2] or path
