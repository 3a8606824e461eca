"""Finds the processes that earlier daemons left, by /proc, and kills those that no instance takes over."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterable
from contextlib import suppress

from supervisor.adapters.linux import procfs
from supervisor.adapters.processes import marks
from supervisor.core.model.output_names import instance_of
from supervisor.core.services.adoption import MarkedProcess

_FORKED_ONLY = 0x40  # PF_FORKNOEXEC: it has not executed a program since its fork
_COMMAND = "a probe or hook"
GONE_WITHIN = 2.0
"""Seconds in which a killed process must have ended; only one that the kernel cannot end takes longer."""


def find(supervisor_id: str, fifo_directory: str, instances: Iterable[str] = ()) -> list[MarkedProcess]:
    """Every process that was started under `supervisor_id`, those of probes and hooks included, without this one and
    those that it descends from.

    A process that has cleared its environment is recognised by the mark of one of `instances`.  During an exec there is
    no environment to read; then its stdout tells, which is the pipe of its instance in `fifo_directory`.
    """
    found = []
    by_mark = {marks.mark_for(supervisor_id, name): name for name in instances}
    own = _own_line()
    for place in range(marks.PLACES):
        by_mark[marks.mark_for(*marks.command_identity(supervisor_id, place))] = _COMMAND
    for pid in procfs.pids():
        if pid in own:
            continue
        owner, instance, incarnation, command = procfs.environment_values(
            pid, marks.MARKER, "SUPERVISOR_INSTANCE", "SUPERVISOR_INCARNATION", marks.COMMAND
        )
        if owner is None:
            instance, incarnation = by_mark.get(marks.mark_of(pid) or 0) or _by_output(pid, fifo_directory), None
        elif owner != supervisor_id:
            continue
        elif command is not None:
            instance, incarnation = f"{_COMMAND} of {instance}", None
        stat = procfs.stat(pid) if instance else None
        if instance and stat is not None and not stat.ended:
            number = int(incarnation) if incarnation and incarnation.isdecimal() else None
            # A main process leads a session and has executed its program.  A descendant that calls setsid does, too.
            leader = stat.session == pid and not stat.flags & _FORKED_ONLY
            found.append(MarkedProcess(pid, stat.start, instance, number, leader))
    return found


def _own_line() -> set[int]:
    """This process and its ancestors: a daemon can be started from a shell that descends from one of its services."""
    line, pid = set[int](), os.getpid()
    while pid > 0 and pid not in line:
        line.add(pid)
        found = procfs.stat(pid)
        pid = found.ppid if found is not None else 0
    return line


def describe(orphan: MarkedProcess) -> str:
    """`PID NAME (STATE)`, or the pid alone where the process has ended."""
    stat = procfs.stat(orphan.pid)
    return f"{orphan.pid} {stat.name} ({stat.state})" if stat is not None else str(orphan.pid)


def _by_output(pid: int, fifo_directory: str) -> str | None:
    if procfs.read(f"/proc/{pid}/environ", 1) != b"":
        return None
    with suppress(OSError):
        target = os.readlink(f"/proc/{pid}/fd/1")  # noqa: PTH115
        directory, _, name = target.rpartition("/")
        if directory == fifo_directory:
            return instance_of(name)
    return None


def end(orphans: Iterable[MarkedProcess]) -> list[MarkedProcess]:
    """Send SIGKILL to each through a pidfd whose start time is right; returns those left after GONE_WITHIN seconds."""
    poll = select.poll()
    waiting: dict[int, MarkedProcess] = {}
    for orphan in orphans:
        with suppress(OSError):
            fd = os.pidfd_open(orphan.pid)
            if procfs.start_time(orphan.pid) == orphan.start:
                with suppress(ProcessLookupError, PermissionError):
                    signal.pidfd_send_signal(fd, signal.SIGKILL)
                waiting[fd] = orphan
                poll.register(fd, select.POLLIN)
            else:
                os.close(fd)
    until = time.monotonic() + GONE_WITHIN
    while waiting and (left := until - time.monotonic()) > 0:
        for fd, _ in poll.poll(left * 1e3):
            poll.unregister(fd)
            os.close(fd)
            del waiting[fd]
    for fd in waiting:
        os.close(fd)
    return list(waiting.values())
