"""The pipe between an instance and the daemon: a named FIFO that outlives both.

Both sides hold it open for reading and writing. So the daemon never sees an end of file, and a child whose daemon is
killed gets no SIGPIPE: it runs on until the pipe is full, and the next daemon finds every unread byte under the same
name. All names are relative to the descriptor of a directory that only the daemon's user can enter.
"""

from __future__ import annotations

import os
import stat

# A service that runs as another user may open /dev/stdout, which is subject to the pipe's own permissions. Other
# processes cannot reach the pipe, because its directory is closed to them.
_MODE = 0o622
_OURS = os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW
_CHILDS = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW


def open_fifo(dir_fd: int, name: str) -> int:
    """Open the daemon's end of FIFO `name`: the existing one if the daemon's user owns it, else a new one.

    Any other file of that name is renamed to `name`.aside. Raises OSError when the FIFO cannot be made or opened.
    """
    try:
        os.mkfifo(name, _MODE, dir_fd=dir_fd)
    except FileExistsError:
        if not _is_ours(os.stat(name, dir_fd=dir_fd, follow_symlinks=False)):
            os.rename(name, f"{name}.aside", src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
            os.mkfifo(name, _MODE, dir_fd=dir_fd)
    fd = os.open(name, _OURS, dir_fd=dir_fd)
    os.fchmod(fd, _MODE)  # mkfifo applies the umask
    return fd


def open_for_child(dir_fd: int, name: str, fd: int) -> int | None:
    """Open a blocking descriptor of the FIFO behind `fd`; None when the name no longer leads to that FIFO.

    It is a separate open file description, because O_NONBLOCK belongs to the description and must not reach the child.
    """
    try:
        status = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not os.path.samestat(status, os.fstat(fd)):
        return None
    return os.open(name, _CHILDS, dir_fd=dir_fd)


def _is_ours(status: os.stat_result) -> bool:
    return stat.S_ISFIFO(status.st_mode) and status.st_uid == os.geteuid()
