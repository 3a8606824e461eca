"""The rule of the fleet: what is there and what is wanted → the steps that are left.

Each command is one function of what was found on a host.  Where everything is as wanted there are no steps.  So a
second run changes nothing, and the run after one that was cut off goes on where that one ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Step(StrEnum):
    """One thing that is done on a host; the value is what the user reads."""

    SEND = "send wheels"
    BUILD = "build environment"
    ACTIVATE = "switch release"
    CONFIGURE = "place services.toml"
    UNIT = "write unit"
    START = "start"
    RELOAD = "reload"
    UPGRADE = "upgrade"
    HEALTH = "await ready"
    STOP = "stop"


class Daemon(StrEnum):
    """What `status` says of a host."""

    NOT_INSTALLED = "not installed"
    DOWN = "down"
    DEGRADED = "degraded"
    READY = "ready"
    UNKNOWN = "unknown"

    @property
    def runs(self) -> bool:
        """Whether a daemon answers."""
        return self in (Daemon.READY, Daemon.DEGRADED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What wheels must fit."""

    python: str
    machine: str
    libc: str = ""
    libc_version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What is there.  `config`: SHA-256 of its services.toml.  `pending`: the daemon has not taken it as it is now.
    `unit`: path of the unit that is installed.  `said`: what `status` wrote where it failed."""

    directory: str = ""
    target: Target = field(default_factory=lambda: Target(python="3.11", machine="x86_64"))
    root: bool = True
    systemd: bool = False
    releases: frozenset[str] = frozenset()
    current: str | None = None
    config: str | None = None
    pending: bool = False
    unit: str | None = None
    said: str = ""
    daemon: Daemon = Daemon.NOT_INSTALLED


@dataclass(frozen=True, slots=True, kw_only=True)
class Todo:
    """The steps, in order, and what the user should know beside them; `problem`: why nothing can be done."""

    steps: tuple[Step, ...] = ()
    notes: tuple[str, ...] = ()
    problem: str = ""


_NOT_INSTALLED = Todo(problem="not installed: `supervisor fleet install`")


CODES = {0: Daemon.READY, 3: Daemon.DEGRADED, 5: Daemon.DOWN}


def understood(answer: Mapping[str, Any]) -> Found:
    """What `look` on the host has answered."""
    given, status = answer["target"], answer["status"]
    daemon = Daemon.NOT_INSTALLED if status is None else CODES.get(status["code"], Daemon.UNKNOWN)
    libc, version = given["libc"]
    return Found(
        directory=answer["directory"],
        target=Target(python=given["python"], machine=given["machine"], libc=libc, libc_version=version),
        root=answer["root"],
        systemd=answer["systemd"],
        releases=frozenset(answer["releases"]),
        current=answer["current"],
        config=answer["config"],
        pending=answer["pending"],
        unit=answer["unit"],
        said=status["said"] if status is not None else "",
        daemon=daemon,
    )


def _unknown(found: Found) -> Todo:
    return Todo(problem=f"the state of the daemon cannot be read: {found.said}")


def _bring(found: Found, release: str) -> tuple[Step, ...]:
    return () if release in found.releases else (Step.SEND, Step.BUILD)


def install(found: Found, release: str, config: str, *, user: bool) -> Todo:
    """What is missing of an installation that runs.  What is there is left as it is: `push` and `upgrade` change it."""
    steps: list[Step] = []
    notes: list[str] = []
    if found.current is None:
        steps += [*_bring(found, release), Step.ACTIVATE]
    elif found.current != release:
        notes.append(f"keeps release {found.current}: `supervisor fleet upgrade` brings {release}")
    if found.config is None:
        steps.append(Step.CONFIGURE)
    elif found.config != config:
        notes.append("keeps its services.toml, which differs: `supervisor fleet push` replaces it")
    if found.systemd and (found.root or user) and found.unit is None:
        steps.append(Step.UNIT)
    if not found.daemon.runs:
        steps += [Step.START, Step.HEALTH]
    elif found.daemon is Daemon.DEGRADED:
        notes.append("not all services are ready: `supervisor fleet status`")
    return Todo(steps=tuple(steps), notes=tuple(notes))


def push(found: Found, config: str) -> Todo:
    """Another services.toml: placed if `check` takes it there, then taken by the daemon."""
    if found.current is None:
        return _NOT_INSTALLED
    if found.daemon is Daemon.UNKNOWN:
        return _unknown(found)
    place = (Step.CONFIGURE,) if found.config != config else ()
    if not found.daemon.runs:
        return Todo(steps=place, notes=("the daemon is down: `supervisor fleet start`",))
    if not place and not found.pending:
        return Todo()
    return Todo(steps=(*place, Step.RELOAD, Step.HEALTH))


def upgrade(found: Found, release: str) -> Todo:
    """Another release: the running daemon becomes it in place; it is made current only once all services are ready."""
    if found.current is None:
        return _NOT_INSTALLED
    if found.daemon is Daemon.UNKNOWN:
        return _unknown(found)
    if found.current == release:
        return Todo()
    bring = _bring(found, release)
    if not found.daemon.runs:
        return Todo(steps=(*bring, Step.ACTIVATE), notes=("the daemon is down: `supervisor fleet start`",))
    return Todo(steps=(*bring, Step.UPGRADE, Step.HEALTH, Step.ACTIVATE))


def start(found: Found) -> Todo:
    """A daemon that runs."""
    if found.current is None or found.config is None:
        return _NOT_INSTALLED
    return Todo() if found.daemon.runs else Todo(steps=(Step.START, Step.HEALTH))


def down(found: Found) -> Todo:
    """No daemon and no service."""
    return Todo(steps=(Step.STOP,)) if found.daemon.runs or found.daemon is Daemon.UNKNOWN else Todo()
