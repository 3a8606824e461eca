"""Orders out, imperative: what the rules want done to the world.

The engine writes every `Record` of one turn in one commit before it carries out anything else of that turn.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from supervisor.core.model.causes import Cause

NOTHING: Mapping[str, Any] = {}


class Goal(StrEnum):
    """What is wanted."""

    UP = "up"
    DOWN = "down"


class State(StrEnum):
    """What is."""

    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    SUSPECT = "suspect"
    STOPPING = "stopping"
    BACKOFF = "backoff"
    EXITED = "exited"
    FAILED = "failed"


class Purpose(StrEnum):
    """What a probe or watch is for."""

    READY = "ready"
    HEARTBEAT = "heartbeat"


class Record(NamedTuple):
    """One state change (or, where `before` is `after`, one thing worth remembering): the single record that the
    ledger, the log line, the metrics, the hooks and the dashboard all consume."""

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
    """Send `number` to the main process, or to everything in its tree."""

    instance: str
    incarnation: int
    number: int
    tree: bool = False


class Kill(NamedTuple):
    """SIGKILL to the whole tree."""

    instance: str
    incarnation: int


class StartMonitoring(NamedTuple):
    """Begin to observe: readiness or heartbeats, as the service's configuration says."""

    instance: str
    incarnation: int
    purpose: Purpose


class Examine(NamedTuple):
    """Look closely at a suspect, gather evidence, and answer `SuspectExamined` within `timeout` seconds.
    `confirm`: ask it once more whether it lives, where its heartbeat source can be asked.  `again`: the same suspicion
    as the last time, so that the time in which it could run goes on to be counted."""

    instance: str
    incarnation: int
    timeout: float
    confirm: bool
    again: bool = False


class ReleaseInstance(NamedTuple):
    """The incarnation is over, its tree empty: let go of everything held for it."""

    instance: str
    incarnation: int


Action = Record | Spawn | Signal | Kill | StartMonitoring | Examine | ReleaseInstance
"""Everything that `step` gives back."""
