"""Keeps processes from outliving the bench: becomes the parent of orphans, and ends all descendants by pidfd."""

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
    """Adopt the orphans of everything started from here on, and raise the limit of descriptors to its maximum."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "cannot become a subreaper")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def supervisors(victim: Path) -> list[int]:
    """Every descendant that is not a victim: all processes that a supervisor needs."""
    return [pid for pid in proc.descendants(os.getpid()) if proc.executable(pid) != victim]


def end_all(victim: Path, timeout: float = 20.0) -> None:
    """Kill and reap all descendants, supervisors before victims. Raises TimeoutError if some remain."""
    deadline = time.monotonic() + timeout
    while left := proc.descendants(os.getpid()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"these processes do not end: {left}")
        supervising = [pid for pid in left if proc.executable(pid) != victim]
        kill(supervising or left)
        reap()
        time.sleep(0.01)
    reap()


def kill(pids: Iterable[int], number: int = signal.SIGKILL) -> None:
    """Signal those of `pids` that are descendants; checked after their pidfds are open, so that no other process is
    hit.
    """
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
