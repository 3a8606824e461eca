"""One daemon per runtime directory, and per state directory: locks that the kernel holds, so a crash releases them."""

from __future__ import annotations

import fcntl
import os
import time

from supervisor.adapters.linux import procfs
from supervisor.errors import OperationFailed

WAIT_FOR_THE_DEAD = 10.0
"""Seconds in which what a killed daemon was just spawning must have reached its exec."""
WAIT_FOR_THE_CLAIM = 1.0
"""The same for the state directory, of whose holder nothing is known; mostly the first lock has been waited for."""
_LOOK_EVERY = 0.005


class RuntimeLock:
    """Held for as long as this process lives, or until `release`.

    A child between its fork and its exec still holds the descriptor of the daemon that began it.  So where the holder
    itself is dead, this waits: once the lock is ours, every process that it spawned has its final environment, and
    recovery sees them all.
    """

    def __init__(self, runtime_dir: str, inherited: int | None = None) -> None:
        """`inherited`: the descriptor that a predecessor in this very process handed over."""
        self._runtime_dir = runtime_dir
        if inherited is not None:
            self.fd = inherited
            return
        self.fd = os.open(f"{runtime_dir}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._take(runtime_dir)
        except BaseException:
            os.close(self.fd)
            raise
        os.ftruncate(self.fd, 0)
        os.pwrite(self.fd, f"{os.getpid()} {procfs.start_time(os.getpid())}\n".encode(), 0)

    def _take(self, runtime_dir: str) -> None:
        give_up = time.monotonic() + WAIT_FOR_THE_DEAD
        while True:
            try:
                fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                holder, _, start = os.pread(self.fd, 64, 0).decode(errors="replace").strip().partition(" ")
                alive = not holder.isdecimal() or _lives(int(holder), start)
                if alive or time.monotonic() >= give_up:
                    raise OperationFailed(
                        f"a daemon already runs on {runtime_dir} (pid {holder or 'unknown'})",
                        "Use `supervisor status` and `supervisor reload`, or give this one its own [supervisor] name.",
                    ) from None
            time.sleep(_LOOK_EVERY)

    def reacquire(self) -> None:
        """Hold the lock under its name again, where somebody has removed the file.  OperationFailed where another
        supervisor was quicker."""
        try:
            held = os.path.samestat(os.stat(f"{self._runtime_dir}/lock"), os.fstat(self.fd))  # noqa: PTH116
        except FileNotFoundError:
            held = False
        if not held:
            another = RuntimeLock(self._runtime_dir)
            os.dup2(another.fd, self.fd, inheritable=False)
            os.close(another.fd)

    def release(self) -> None:
        os.close(self.fd)


class StateLock:
    """The state directory is one daemon's alone, whatever runtime directory another one has, or finds removed.

    It is the directory itself that is locked, for it can be on a disk that takes no file.  A file system that locks no
    directory (NFS) claims nothing."""

    def __init__(self, state_dir: str, inherited: int | None = None) -> None:
        """`inherited`: as with Lock.  OperationFailed where another daemon has it."""
        if inherited is not None:
            self.fd = inherited
            return
        self.fd = os.open(state_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        give_up = time.monotonic() + WAIT_FOR_THE_CLAIM
        while True:
            try:
                fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() >= give_up:
                    os.close(self.fd)
                    raise OperationFailed(
                        f"another daemon keeps its state in {state_dir}",
                        "Stop that one, or give this one its own [supervisor] name or state_dir.",
                    ) from None
            except OSError:
                return
            time.sleep(_LOOK_EVERY)

    def release(self) -> None:
        os.close(self.fd)


def _lives(pid: int, start: str) -> bool:
    found = procfs.stat(pid)
    return found is not None and found.state not in "ZX" and str(found.start) == start
