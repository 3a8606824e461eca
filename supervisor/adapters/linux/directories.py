"""Makes and checks the daemon's own directories: one that another user owns or can write to is refused."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from supervisor.errors import OperationFailed


def own_directory(path: str, mode: int, group: int | None = None) -> str:
    """Make or check `path`: a directory of this user, writable for no other, with `mode` and, if given, `group`.

    Returns `path`.  OperationFailed where it cannot be made or is not safe to use.
    """
    place = Path(path)
    try:
        place.mkdir(mode=mode, parents=True, exist_ok=True)
        found = place.lstat()
    except OSError as error:
        raise OperationFailed(
            f"cannot create {path}: {error.strerror}",
            "Set runtime_dir / state_dir in [supervisor] to a directory of your own.",
        ) from error
    if not stat.S_ISDIR(found.st_mode):
        raise OperationFailed(f"{path} is not a directory", "Remove it, or set another directory in [supervisor].")
    if found.st_uid != os.geteuid():
        raise OperationFailed(
            f"{path} belongs to user {found.st_uid}, not to user {os.geteuid()} of this daemon",
            "Set runtime_dir / state_dir in [supervisor] to a directory of your own.",
        )
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise OperationFailed(f"{path} can be written by others", f"chmod go-w {path}")
    if group is not None and found.st_gid != group:
        os.chown(path, -1, group)
    if stat.S_IMODE(found.st_mode) != mode:  # only where needed: the file system may be read-only at present
        place.chmod(mode)
    return path
