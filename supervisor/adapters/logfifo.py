"""The pipe between an instance and the daemon: a named FIFO that outlives either.

Both hold it open for reading and writing.  So the daemon never sees an end of file, and a child whose daemon is killed
gets no SIGPIPE: it goes on until the pipe is full, and the next daemon finds every unread byte under the same name.
All names are relative to a directory descriptor.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress

_MODE = 0o600
_OURS = os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW
_CHILDS = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW


def open_fifo(dir_fd: int, name: str) -> int:
    """The daemon's descriptor of FIFO `name`: the one that is there, if it is ours, else a new one.

    Whatever else bears the name is set aside as `name`.aside.  OSError where there is no way.
    """
    with suppress(FileExistsError):
        os.mkfifo(name, _MODE, dir_fd=dir_fd)
    status = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    if not _is_ours(status):
        os.rename(name, f"{name}.aside", src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
        os.mkfifo(name, _MODE, dir_fd=dir_fd)
    fd = os.open(name, _OURS, dir_fd=dir_fd)
    if not _is_ours(os.fstat(fd)):
        os.close(fd)
        raise PermissionError(1, "somebody is replacing the log pipe", name)
    return fd


def open_for_child(dir_fd: int, name: str, fd: int) -> int | None:
    """A blocking descriptor of the FIFO behind `fd`, or None when the name does not lead there any more.

    It is a description of its own, because O_NONBLOCK belongs to the description and must not reach the child.
    """
    try:
        status = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not os.path.samestat(status, os.fstat(fd)):
        return None
    return os.open(name, _CHILDS, dir_fd=dir_fd)


def _is_ours(status: os.stat_result) -> bool:
    return stat.S_ISFIFO(status.st_mode) and stat.S_IMODE(status.st_mode) == _MODE and status.st_uid == os.geteuid()
