"""The guard of an upgrade: a process that starts the previous version again where the new one dies or does not start.

An exec cannot be taken back: an interpreter that passed the rehearsal can still fail when it is executed, and then
nothing of the daemon is left in its process.  So a fork of the daemon waits until the new version has taken over.  It
holds the same descriptors, and the daemon that it executes recovers as after a crash, in a process of its own.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Mapping
from contextlib import suppress

from supervisor.adapters.eventloop.fd_passing import HANDOVER, handover

GUARD = "guard"
"""Name of the descriptor on which the new version reports to the guard."""
STARTED, TAKEN_OVER = b"s", b"t"
"""The reports: the interpreter runs, and recovery is complete."""
START_WITHIN = 30.0
"""Seconds from the exec to the first report; a new version that hangs before is killed."""
DYING_WITHIN = 1.0
"""Seconds in which a process that has closed its descriptors without a report is seen to end."""


def leave_guard(command: list[str], environment: Mapping[str, str], descriptors: Mapping[str, int]) -> int:
    """Fork the guard of this process; returns the descriptor that is passed on as GUARD.

    `command`, `environment` and `descriptors` are those of the previous version.  OSError.
    """
    report, ours = os.pipe()
    try:
        process = os.pidfd_open(os.getpid())
        try:
            if os.fork() == 0:
                try:
                    os.setsid()  # marks it as the daemon's own (adapters/processes/own_children.py)
                    _close_others({0, 1, 2, report, process, *descriptors.values()})
                    if _has_failed(report, process):
                        _write_line("the new version ended before it had taken over: the previous one starts again")
                        os.execve(command[0], command, {**environment, HANDOVER: handover(descriptors)})
                except OSError as error:
                    _write_line(f"the previous version cannot start: {error}")
                finally:
                    os._exit(0)
        finally:
            os.close(process)
    except OSError:
        os.close(ours)
        raise
    finally:
        os.close(report)
    return ours


def report(descriptors: Mapping[str, int], what: bytes) -> None:
    """Tell the guard, if there is one, how far the new version is."""
    if GUARD in descriptors:
        with suppress(OSError):
            os.write(descriptors[GUARD], what)


def _has_failed(reports: int, process: int) -> bool:
    """Wait until the new version has taken over (False), or its process has ended (True)."""
    waiting = select.poll()
    waiting.register(reports, select.POLLIN)
    dying = select.poll()
    dying.register(process, select.POLLIN)
    if not waiting.poll(1000 * START_WITHIN):
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(process, signal.SIGKILL)
        dying.poll()
        return True
    while said := os.read(reports, 64):
        if TAKEN_OVER in said:
            return False
    # A version that knows no guard closes the descriptor, too, when it has taken over.
    return bool(dying.poll(1000 * DYING_WITHIN))


def _close_others(kept: set[int]) -> None:
    """Close the connections of clients and all else that the previous version has open."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - pathlib costs
        if int(name) not in kept:
            with suppress(OSError):
                os.close(int(name))


def _write_line(text: str) -> None:
    with suppress(OSError):
        os.write(2, f"supervisor: {text}\n".encode())
