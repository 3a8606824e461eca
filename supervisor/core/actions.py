"""Orders out, imperative: what the rules want done to the world.

The engine writes every `Record` of one turn in one commit before it carries out anything else of that turn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from supervisor.core.causes import Cause


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


class Action:
    """Base of everything `step` gives back."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Record(Action):
    """One state change (or, where `before` is `after`, one thing worth remembering): the single record that the
    ledger, the log line, the metrics, the hooks and the dashboard all consume."""

    instance: str
    service: str
    incarnation: int
    goal: Goal
    before: State
    after: State
    cause: Cause
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Spawn(Action):
    instance: str
    incarnation: int


@dataclass(frozen=True, slots=True)
class Signal(Action):
    """Send `number` to the main process, or to everything in its tree."""

    instance: str
    incarnation: int
    number: int
    tree: bool = False


@dataclass(frozen=True, slots=True)
class Kill(Action):
    """SIGKILL to the whole tree."""

    instance: str
    incarnation: int


@dataclass(frozen=True, slots=True)
class Watch(Action):
    """Begin to observe: readiness or heartbeats, as the service's configuration says."""

    instance: str
    incarnation: int
    purpose: Purpose


@dataclass(frozen=True, slots=True)
class Examine(Action):
    """Look closely at a suspect, gather evidence, and answer `Examined` within `within` seconds.
    `confirm`: ask it once more whether it lives, where its heartbeat source can be asked."""

    instance: str
    incarnation: int
    within: float
    confirm: bool


@dataclass(frozen=True, slots=True)
class Release(Action):
    """The incarnation is over, its tree empty: let go of everything held for it."""

    instance: str
    incarnation: int
