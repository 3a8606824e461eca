"""How a process is known to be ours, and whose it is.

Its environment says it in words (SUPERVISOR_ID, SUPERVISOR_INSTANCE), which a program can clear.  A resource limit says
it as a number: the kernel hands RLIMIT_LOCKS down over fork and exec, through `setsid` and past the death of every
ancestor, and limits nothing by it since Linux 2.4.25 (getrlimit(2)).  Only a program that sets this very limit
(`ulimit -x`) takes the number off; and a number is read with one system call, an environment with three.
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

Identity = tuple[str, str]
"""The supervisor's id and the instance's name, as a child's environment carries them."""

_LOCKS = 10  # RLIMIT_LOCKS, on every architecture; the module `resource` has no name for it


def identity(pid: int) -> Identity | None:
    """(supervisor's id, instance) by the environment that a process was started with, or None where it says nothing."""
    supervisor, instance = procfs.environment_values(pid, MARKER, "SUPERVISOR_INSTANCE")
    return None if supervisor is None or instance is None else (supervisor, instance)


@lru_cache(maxsize=16)  # who spawns asks, and who takes up what was spawned
def mark_for(supervisor_id: str, instance: str) -> int:
    """The number that all processes of an instance bear: the same for every daemon of this id, no other one's."""
    return 1 + random.Random(f"{supervisor_id}/{instance}").getrandbits(62)


def mark_of(pid: int) -> int | None:
    """The number that a process bears (any limit at all, if it is not ours); None where it cannot be read."""
    try:
        return resource.prlimit(pid, _LOCKS)[0]
    except OSError:
        return None


@contextmanager
def inherited_by_children(mark: int) -> Iterator[None]:
    """Bear `mark` ourselves, so that what is forked meanwhile has it from its first instruction."""
    before = resource.getrlimit(_LOCKS)
    with suppress(OSError, ValueError):  # somebody has lowered the hard limit: it is done without
        resource.setrlimit(_LOCKS, (mark, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(_LOCKS, before)


def clear_own_mark() -> None:
    """Bear none ourselves: we may have been started from within somebody's service."""
    hard = resource.getrlimit(_LOCKS)[1]
    resource.setrlimit(_LOCKS, (hard, hard))
