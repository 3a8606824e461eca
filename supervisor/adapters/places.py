"""The daemon's own directories and its lock: ours alone, or refused."""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path

from supervisor.errors import OperationFailed


def own_directory(path: str, mode: int) -> str:
    """Make sure that `path` is a directory that is ours and that nobody else can write to."""
    place = Path(path)
    try:
        place.mkdir(mode=mode, parents=True, exist_ok=True)
        found = place.lstat()
    except OSError as error:
        raise OperationFailed(
            f"cannot make {path}: {error.strerror}",
            "Set runtime_dir / state_dir in [supervisor] to a place of your own.",
        ) from error
    if not stat.S_ISDIR(found.st_mode):
        raise OperationFailed(f"{path} is not a directory", "Remove it, or set another place in [supervisor].")
    if found.st_uid != os.geteuid():
        raise OperationFailed(
            f"{path} belongs to user {found.st_uid}, not to us ({os.geteuid()})",
            "Set runtime_dir / state_dir in [supervisor] to a place of your own.",
        )
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise OperationFailed(f"{path} can be written by others", f"chmod go-w {path}")
    place.chmod(mode)
    return path


class Lock:
    """One daemon per runtime directory.  Held by the kernel, so a crash releases it."""

    def __init__(self, runtime_dir: str) -> None:
        self._path = f"{runtime_dir}/lock"
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._fd, 32).decode(errors="replace").strip() or "unknown"
            os.close(self._fd)
            raise OperationFailed(
                f"a supervisor already runs on {runtime_dir} (pid {holder})",
                "Use `supervisor status` and `supervisor reload`, or give this one its own [supervisor] name.",
            ) from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        os.close(self._fd)
