"""Marks processes, so that a daemon can tell which ones it (or its predecessor) started, and for which instance.

The environment has SUPERVISOR_ID and SUPERVISOR_INSTANCE, but a program can clear it.  The mark proper is a number in
the resource limit RLIMIT_LOCKS: it is inherited over fork, exec and `setsid` and outlives every ancestor, and the
kernel has limited nothing by it since Linux 2.4.25 (getrlimit(2)).  Only a program that sets this limit (`ulimit -x`)
loses the mark.  Reading a mark takes one system call, reading an environment three.
"""

from __future__ import annotations

import random
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache

from supervisor.adapters.linux import procfs

MARKER = "SUPERVISOR_ID"
"""The environment variable that names the supervisor."""
COMMAND = "SUPERVISOR_COMMAND"
"""The environment variable that tells a probe or a hook, and its place (command_trees.py), from the service itself."""

HOOK = "SUPERVISOR_HOOK"
"""The environment variable that tells a hook from a probe."""

Identity = tuple[str, str]
"""The supervisor's id and the instance's name, as a child's environment carries them."""

_LOCKS = 10  # RLIMIT_LOCKS, on every architecture; the module `resource` has no name for it


def identity(pid: int) -> Identity | None:
    """(supervisor's id, instance) from the environment that the process was started with; None where one is missing."""
    supervisor, instance, place = procfs.environment_values(pid, MARKER, "SUPERVISOR_INSTANCE", COMMAND)
    if supervisor is None or instance is None:
        return None
    return (supervisor, instance) if place is None else command_identity(supervisor, place)


PLACES = 256
"""Trees of probes and hooks at most; those that run at once need fewer, and what cannot be killed keeps its place."""


def command_identity(supervisor_id: str, place: int | str) -> Identity:
    """What stands for (id, instance) of the processes of a probe or hook.  No instance has a space in its name."""
    return supervisor_id, f"command {place}"


@lru_cache(maxsize=16)  # asked at the spawn and again when the process is watched
def mark_for(supervisor_id: str, instance: str) -> int:
    """The mark of all processes of an instance: the same for every daemon of this id, another one for other ids."""
    return 1 + random.Random(f"{supervisor_id}/{instance}").getrandbits(62)


def mark_of(pid: int) -> int | None:
    """The mark of a process; None where it cannot be read.  A process without a mark has some other value there."""
    try:
        return resource.prlimit(pid, _LOCKS)[0]
    except OSError:
        return None


@contextmanager
def inherited_by_children(mark: int) -> Iterator[None]:
    """Set `mark` on this process inside the block, so that a child forked there has it from its first instruction."""
    before = resource.getrlimit(_LOCKS)
    with suppress(OSError, ValueError):  # the hard limit was lowered: the child stays without a mark
        resource.setrlimit(_LOCKS, (mark, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(_LOCKS, before)


def clear_own_mark() -> None:
    """Remove the mark of this process, which it has where it was started from within a service."""
    hard = resource.getrlimit(_LOCKS)[1]
    resource.setrlimit(_LOCKS, (hard, hard))
