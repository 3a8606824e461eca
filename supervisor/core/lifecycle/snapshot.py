"""What refines the state of an instance (`Phase`, `After`), and how an instance is saved for a later daemon.

Moments are CLOCK_MONOTONIC seconds.  That clock is the same for all processes of one boot, so saved moments stay valid
when the daemon that wrote them has died.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import IntEnum
from operator import attrgetter
from typing import Any, Literal, NamedTuple

from supervisor.core.model.actions import Goal, State
from supervisor.core.model.causes import Cause
from supervisor.core.model.events import NOTHING
from supervisor.core.model.saved import MOST_SECONDS, integer, number, optional_number


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


class Maintenance(NamedTuple):
    """That an instance is left alone (maintenance.py).

    `since` and `ends_at` are seconds since the epoch, so that they hold in another boot too; `until` is the end by the
    monotonic clock.  `reload_due`: its configuration was changed since, which needs a new process, or starts what has
    failed."""

    since: float
    ends_at: float | None
    until: float | None
    reason: str = ""
    by: Mapping[str, Any] = NOTHING
    reload_due: bool = False


class Reload(NamedTuple):
    """The last reload of a process (own_reload.py).

    `state`: `asked` (the signal was sent), `begun`, `done` or `timed-out`.  `since` and `until`: monotonic seconds."""

    state: Literal["asked", "begun", "done", "timed-out"]
    since: float
    until: float

    @property
    def pending(self) -> bool:
        """It has not ended."""
        return self.state in ("asked", "begun")


Failure = tuple[Cause, dict[str, Any]]
"""The cause of a failure, and its details."""


def _moment(value: object) -> float | None:
    return optional_number(value, -MOST_SECONDS, MOST_SECONDS)


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


def maintenance(value: Any, ahead: float | None) -> Maintenance | None:
    """The saved maintenance.  `ahead`: by how much the wall clock is ahead of the monotonic one, where the saved moment
    is of another boot or of a run that ended."""
    if value is None:
        return None
    since, ends_at = number(value["since"], -MOST_SECONDS, MOST_SECONDS), _moment(value["ends_at"])
    until = _moment(value["until"])
    if ahead is not None and ends_at is not None:
        until = ends_at - ahead
    return Maintenance(since, ends_at, until, str(value["reason"]), dict(value["by"]), _boolean(value["reload_due"]))


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
    "stop_step": ("stop_step", lambda value: integer(value, 0, 1000)),
    "draining": ("draining", _boolean),
    "says_stopping": ("says_stopping", _boolean),
    "ran": ("ran", lambda value: number(value, 0.0, MOST_SECONDS)),
    "revision": ("revision", str),
    "epoch": ("epoch", lambda value: integer(value, 0, 2**63 - 1)),
}
"""The saved key of each value, with its attribute and the function that reads the value back.

Other versions read and write the keys, so a key never changes (tests/golden); an attribute may."""


_WHERE_ABSENT: dict[str, Any] = {
    "status_at": None,
    "had_beaten": False,
    "says_stopping": False,
    "stop_step": 0,
    "ran": 0.0,
    "draining": False,
    "revision": "",
    "epoch": 0,
}
"""The values of keys that earlier versions did not save; they are saved only where they have another value."""


_WRITTEN = tuple((key, _WHERE_ABSENT.get(key, ...)) for key in _FIELDS)
"""The key of each value, and with which value it is not saved; `...`: it always is."""
_values = attrgetter(*(name for name, _ in _FIELDS.values()))
"""The values of an instance, in this order."""


def write(instance: object) -> dict[str, Any]:
    """The saved values of an instance as JSON-able data."""
    written = zip(_WRITTEN, _values(instance), strict=True)
    return {key: value for (key, absent), value in written if value != absent}


def read(saved: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes by name, from what `write` returned.  Raises one of `saved.GARBAGE` for damaged data."""
    number(saved["at"], -MOST_SECONDS, MOST_SECONDS)
    known = _WHERE_ABSENT | dict(saved)
    return {attribute: reader(known[key]) for key, (attribute, reader) in _FIELDS.items()}


def count(saved: Mapping[str, Any], key: str, unknown: int) -> int:
    """The count that is saved under `key`, or `unknown` where there is none."""
    value = saved.get(key)
    return value if isinstance(value, int) and value >= 0 else unknown
