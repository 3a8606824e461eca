"""Where an instance stands, beside its state: and how all of it is written down for a later supervisor.

Moments are CLOCK_MONOTONIC seconds.  That clock is the same for all processes of one boot, so they stay true
through the death of the supervisor that wrote them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Any

from supervisor.core.model.actions import Goal, State
from supervisor.core.model.causes import Cause
from supervisor.core.model.saved import maybe, number, whole

_FAR = 2.0**33


class Phase(IntEnum):
    """How far a start has come; NONE outside STARTING and while a process is not there."""

    NONE = 0
    WAITING = 1
    SPAWNING = 2
    UP = 3


class After(IntEnum):
    """What follows once the process and its tree are gone."""

    JUDGE = 0
    """It ended by itself, or because we found it failed: the restart rule decides."""
    STOP = 1
    RESTART = 2


Failure = tuple[Cause, dict[str, Any]]
"""What was found, and its numbers."""


def _moment(value: object) -> float | None:
    return maybe(value, -_FAR, _FAR)


def _switch(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError(f"neither true nor false: {value!r:.60}")


def _failure(value: Any) -> Failure | None:
    if value is None:
        return None
    cause, detail = value
    return Cause(cause), dict(detail)


def _among(low: int, high: int) -> Callable[[object], int | None]:
    return lambda value: None if value is None else whole(value, low, high)


_FIELDS: dict[str, Callable[[Any], Any]] = {
    "goal": Goal,
    "state": State,
    "phase": Phase,
    "cause": Cause,
    "cause_at": _moment,
    "until": _moment,
    "healthy_at": _moment,
    "after": After,
    "wanted_by": Cause,
    "failure": _failure,
    "pid": _among(1, 2**31 - 1),
    "started_at": _moment,
    "ready": _switch,
    "recovering": _switch,
    "exit_code": _among(0, 255),
    "signal": _among(1, 127),
    "status_text": str,
}
"""What makes an instance stand where it stands, and how each is read back."""


def write(instance: object) -> dict[str, Any]:
    """JSON-able, by the attributes' names without their underscore."""
    return {name.lstrip("_"): getattr(instance, name) for name in _FIELDS}


def read(saved: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes that `write` wrote.  Raises one of `saved.GARBAGE` where it did not write this."""
    number(saved["at"], -_FAR, _FAR)
    return {name: reader(saved[name.lstrip("_")]) for name, reader in _FIELDS.items()}
