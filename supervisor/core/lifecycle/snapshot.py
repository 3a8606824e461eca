"""What refines the state of an instance (`Phase`, `After`), and how an instance is saved for a later daemon.

Moments are CLOCK_MONOTONIC seconds.  That clock is the same for all processes of one boot, so saved moments stay valid
when the daemon that wrote them has died.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Any

from supervisor.core.model.actions import Goal, State
from supervisor.core.model.causes import Cause
from supervisor.core.model.saved import integer, number, optional_number

_FAR = 2.0**33


class Phase(IntEnum):
    """How far a start has come (see transitions.py)."""

    NONE = 0
    WAITING = 1
    SPAWNING = 2
    UP = 3


class After(IntEnum):
    """What follows when the process and its tree are gone."""

    DECIDE = 0
    """It ended by itself, or because of a failure that was detected: the restart tracker decides."""
    STOP = 1
    RESTART = 2


Failure = tuple[Cause, dict[str, Any]]
"""The cause of a failure, and its details."""


def _moment(value: object) -> float | None:
    return optional_number(value, -_FAR, _FAR)


def _boolean(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError(f"neither true nor false: {value!r:.60}")


def _failure(value: Any) -> Failure | None:
    if value is None:
        return None
    cause, detail = value
    return Cause(cause), dict(detail)


def _optional_integer(low: int, high: int) -> Callable[[object], int | None]:
    return lambda value: None if value is None else integer(value, low, high)


_FIELDS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "goal": ("goal", Goal),
    "state": ("state", State),
    "phase": ("phase", Phase),
    "cause": ("cause", Cause),
    "cause_at": ("cause_at", _moment),
    "until": ("until", _moment),
    "healthy_at": ("healthy_at", _moment),
    "after": ("after", After),
    "wanted_by": ("wanted_by", Cause),
    "failure": ("failure", _failure),
    "pid": ("pid", _optional_integer(1, 2**31 - 1)),
    "started_at": ("started_at", _moment),
    "ready": ("ready", _boolean),
    "recovering": ("recovering", _boolean),
    "exit_code": ("exit_code", _optional_integer(0, 255)),
    "signal": ("signal", _optional_integer(1, 127)),
    "status_text": ("status_text", str),
    "status_at": ("status_at", _moment),
    "had_beaten": ("had_beaten", _boolean),
    "ran": ("ran", lambda value: number(value, 0.0, _FAR)),
}
"""The saved key of each value, with its attribute and the function that reads the value back.

Other versions read and write the keys, so a key never changes (tests/golden); an attribute may."""


_WHERE_ABSENT: dict[str, Any] = {"status_at": None, "had_beaten": False, "ran": 0.0}
"""The values of keys that earlier versions did not save; they are saved only where they have another value."""


def write(instance: object) -> dict[str, Any]:
    """The saved values of an instance as JSON-able data."""
    values = {key: getattr(instance, attribute) for key, (attribute, _) in _FIELDS.items()}
    return {key: value for key, value in values.items() if key not in _WHERE_ABSENT or value != _WHERE_ABSENT[key]}


def read(saved: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes by name, from what `write` returned.  Raises one of `saved.GARBAGE` for damaged data."""
    number(saved["at"], -_FAR, _FAR)
    known = _WHERE_ABSENT | dict(saved)
    return {attribute: reader(known[key]) for key, (attribute, reader) in _FIELDS.items()}


def count(saved: Mapping[str, Any], key: str, unknown: int) -> int:
    """The count that is saved under `key`, or `unknown` where there is none."""
    value = saved.get(key)
    return value if isinstance(value, int) and value >= 0 else unknown
