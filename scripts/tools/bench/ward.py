"""Nothing outlives the bench: it adopts every orphan of what it starts, and ends them all by pidfd."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import time
from collections.abc import Iterable
from pathlib import Path

from scripts.tools.bench import proc

PR_SET_CHILD_SUBREAPER = 36


def enter() -> None:
    """Adopt the orphans of everything started from here on, and allow as many descriptors as the kernel lets us."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "cannot become a subreaper")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def supervisors(victim: Path) -> list[int]:
    """Every process below us that is not a victim: all that a supervisor needs to do its work."""
    return [pid for pid in proc.descendants(os.getpid()) if proc.executable(pid) != victim]


def end_all(victim: Path, timeout: float = 20.0) -> None:
    """Kill and reap everything below us, those who restart others first.  Raises TimeoutError if something stays."""
    deadline = time.monotonic() + timeout
    while left := proc.descendants(os.getpid()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"these processes do not end: {left}")
        bosses = [pid for pid in left if proc.executable(pid) != victim]
        kill(bosses or left)
        reap()
        time.sleep(0.01)
    reap()


def kill(pids: Iterable[int], number: int = signal.SIGKILL) -> None:
    """Signal those of `pids` that are ours: looked at again once their pidfds are open, so that no stranger is hit."""
    handles: dict[int, int] = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            handles[pid] = os.pidfd_open(pid)
    ours = set(proc.descendants(os.getpid()))
    for pid, fd in handles.items():
        if pid in ours:
            with contextlib.suppress(OSError):
                signal.pidfd_send_signal(fd, number)
        os.close(fd)


def reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0] != 0:
            pass
