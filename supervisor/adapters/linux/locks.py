"""Locks that allow one daemon per runtime directory and one per state directory.

They are kernel locks (flock), so a crash releases them.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress

from supervisor.adapters.linux import procfs
from supervisor.errors import OperationFailed

WAIT_FOR_THE_DEAD = 10.0
"""Seconds in which a child that a killed daemon was spawning must have reached its exec."""
WAIT_FOR_THE_CLAIM = 1.0
"""The same for the state directory.  Shorter, because mostly the wait for the runtime lock has covered it."""
_LOOK_EVERY = 0.005  # seconds


class RuntimeLock:
    """The lock of a runtime directory, held until `release` or the end of this process.

    A child between its fork and its exec still holds the descriptor of the daemon that forked it.  So where the holder
    itself is dead, this waits: once the lock is taken, every process that the dead daemon spawned has its final
    environment, and recovery finds them all.
    """

    def __init__(self, runtime_dir: str, inherited: int | None = None) -> None:
        """Take the lock.  OperationFailed where a living supervisor holds it.

        `inherited`: the descriptor that a predecessor handed over, already locked.
        """
        self._runtime_dir = runtime_dir
        if inherited is not None:
            self.fd = inherited
            return
        try:
            self.fd = os.open(f"{runtime_dir}/lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise OperationFailed(
                f"the runtime directory {runtime_dir} cannot be used: {error.strerror} (lock)",
                "Make it writable or make room in it, or set another.  Services of an earlier daemon keep running.",
            ) from error
        try:
            self._take(runtime_dir)
        except BaseException:
            os.close(self.fd)
            raise
        with suppress(OSError):  # the disk is full; then another daemon is told that the holder is unknown
            written = os.pwrite(self.fd, f"{os.getpid()} {procfs.start_time(os.getpid())}\n".encode(), 0)
            os.ftruncate(self.fd, written)

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
        """Make and lock the file again where it was removed.  OperationFailed where another supervisor locked it
        first."""
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


def holder_lives(runtime_dir: str) -> bool:
    """Whether the daemon that took the lock last is alive: it may be about to listen, or about to end.  The lock itself
    is not touched, because a daemon that starts could take that for another one."""
    try:
        with open(f"{runtime_dir}/lock", "rb") as file:
            pid, _, start = file.read(64).decode(errors="replace").strip().partition(" ")
    except OSError:
        return False
    return pid.isdecimal() and _lives(int(pid), start)


class StateLock:
    """The lock of a state directory: only one daemon uses it, whatever runtime directories several daemons have.

    The directory itself is locked, because the disk may take no new file.  On a file system that cannot lock a
    directory (NFS) nothing is locked.
    """

    def __init__(self, state_dir: str, inherited: int | None = None) -> None:
        """Take the lock; `inherited` as for RuntimeLock.  OperationFailed where another daemon holds it."""
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
    return found is not None and not found.ended and str(found.start) == start
