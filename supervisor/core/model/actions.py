"""Actions: what the rules order to be done outside.  Their names are imperative.

The engine commits all records of a round together before it carries out any other action of that round.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from supervisor.core.model.causes import Cause

NOTHING: Mapping[str, Any] = {}


class Goal(StrEnum):
    """What the user or the configuration wants of an instance."""

    UP = "up"
    DOWN = "down"


class State(StrEnum):
    """What an instance is (core/lifecycle/transitions.py explains each state)."""

    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    SUSPECT = "suspect"
    STOPPING = "stopping"
    BACKOFF = "backoff"
    EXITED = "exited"
    FAILED = "failed"


class Purpose(StrEnum):
    """What is observed."""

    READY = "ready"
    HEARTBEAT = "heartbeat"


class Record(NamedTuple):
    """One state change or, where `before` is `after`, one noteworthy fact.

    Ledger, log line, metrics, hooks and dashboard all use this one record."""

    instance: str
    service: str
    incarnation: int
    goal: Goal
    before: State
    after: State
    cause: Cause
    detail: Mapping[str, Any] = NOTHING


class Spawn(NamedTuple):
    instance: str
    incarnation: int


class Signal(NamedTuple):
    """Send signal `number` to the main process, or to every process of its tree.

    `resume`: what is stopped in the tree (SIGSTOP) is let go on, because it could not take the signal otherwise."""

    instance: str
    incarnation: int
    number: int
    tree: bool = False
    resume: bool = True


class Kill(NamedTuple):
    """Send SIGKILL to the whole tree."""

    instance: str
    incarnation: int


class StartMonitoring(NamedTuple):
    """Begin to observe readiness or heartbeats, as the service is configured."""

    instance: str
    incarnation: int
    purpose: Purpose


class Examine(NamedTuple):
    """Examine a suspect, gather evidence, and answer `SuspectExamined` within `timeout` seconds.

    `confirm`: probe it once more, where its heartbeat source can be probed.  `again`: the silence is still the one of
    the last examination, so its schedulable time is counted on; else the count begins with `ran` seconds."""

    instance: str
    incarnation: int
    timeout: float
    confirm: bool
    again: bool = False
    ran: float = 0.0


class ExamineMember(NamedTuple):
    """Examine a silent process that beats for itself, and answer `MemberExamined` within `timeout` seconds.  `again`
    and `ran` as in `Examine`."""

    instance: str
    incarnation: int
    process: tuple[int, int]
    timeout: float
    again: bool = False
    ran: float = 0.0


class LookAtMember(NamedTuple):
    """Look whether a process that is at work is stopped, and answer `MemberLookedAt`."""

    instance: str
    incarnation: int
    process: tuple[int, int]


class KillMember(NamedTuple):
    """Send SIGKILL to this one process of the tree, if its pid still belongs to it."""

    instance: str
    incarnation: int
    process: tuple[int, int]


class ReleaseInstance(NamedTuple):
    """The incarnation has ended and its tree is empty: release everything that was held for it."""

    instance: str
    incarnation: int


Action = (
    Record
    | Spawn
    | Signal
    | Kill
    | StartMonitoring
    | Examine
    | ExamineMember
    | LookAtMember
    | KillMember
    | ReleaseInstance
)
"""Every action that `step` returns."""
