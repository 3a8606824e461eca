"""Makes and checks the daemon's own directories: one that another user owns, can write to or can replace is refused.

In a directory where every user may create files (/tmp), another user can be the first to take a name. Therefore each
directory of a path is opened below the one before it and checked as it is open. After that only its owner and root can
put another in its place.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress

from supervisor.errors import OperationFailed
from supervisor.trusted_users import trusted_users

_OPEN = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST_LINKS = 40
_ADVICE = "Set runtime_dir / state_dir in [supervisor] to a directory of your own."


class Untrusted(PermissionError):
    """Another user could replace this directory."""

    def __init__(self, reason: str) -> None:
        super().__init__(errno.EPERM, reason)


def open_directory(path: str, make: int | None = None) -> int:
    """Open the directory `path` (O_PATH), with a check of each directory that leads to it.

    Below a directory that every user may write to, each must belong to this user, root or a trusted user
    (trusted_users.py) and be closed to others, and its first name may not be a link. `make`: the mode with which those
    that are missing are made; 0755 for those above the last. Raises Untrusted, OSError.
    """
    root = os.open("/", _OPEN | os.O_DIRECTORY)
    trusted = {
        *trusted_users(),
        os.geteuid(),
        os.fstat(root).st_uid,
    }  # in a user namespace another user may stand for root
    rest = [name for name in reversed(os.path.abspath(path).split("/")) if name]
    here, fd = "", os.dup(root)
    shared = below = False  # the directory is for every user; one above it is
    links = 0
    try:
        while rest:
            name = rest.pop()
            here = f"{here}/{name}"
            found = _opened(fd, name, make if make is None or not rest else 0o755)
            status = os.fstat(found)
            try:
                if below and status.st_uid not in trusted:
                    raise Untrusted(f"{here} belongs to user {status.st_uid}, not to user {os.geteuid()} or root")
                if stat.S_ISLNK(status.st_mode):
                    if shared:
                        raise Untrusted(f"{here} is a link in a directory that every user can write to")
                    links += 1
                    if links > _MOST_LINKS:
                        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                    target = os.readlink("", dir_fd=found)
                    rest += [part for part in reversed(target.split("/")) if part]
                    here = here.rpartition("/")[0]
                    if target.startswith("/"):
                        os.dup2(root, fd, inheritable=False)
                        here, shared, below = "", False, False
                    continue
                if not stat.S_ISDIR(status.st_mode):
                    raise NotADirectoryError(errno.ENOTDIR, f"{here} is not a directory")
                shared = bool(status.st_mode & stat.S_IWOTH)
                foreign = shared or (status.st_mode & stat.S_IWGRP and status.st_gid != os.getegid())
                if below and foreign and not status.st_mode & stat.S_ISVTX:
                    raise Untrusted(f"{here} can be written by others")
                below = below or shared
                fd, found = found, fd
            finally:
                os.close(found)
    except BaseException:
        os.close(fd)
        raise
    finally:
        os.close(root)
    return fd


def open_log_directory(path: str) -> int:
    """Open the directory `path`, in which logs are renamed and removed; a missing one is made. Raises OSError.

    No other user but root may be able to write to it: they could put a link to another file in the place of a log.
    """
    anchor = open_directory(path, make=0o755)
    try:
        status = os.fstat(anchor)
        groups = {os.getegid(), *(os.getgroups() if os.geteuid() != 0 else ())}
        if status.st_mode & stat.S_IWOTH or (status.st_mode & stat.S_IWGRP and status.st_gid not in groups):
            raise Untrusted(f"{path} can be written by others, who could replace the log")
        return os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=anchor)
    finally:
        os.close(anchor)


def _opened(parent: int, name: str, make: int | None) -> int:
    """Open `name` as it is, a link as a link; make a directory of it where it is missing and `make` says its mode."""
    try:
        return os.open(name, _OPEN, dir_fd=parent)
    except FileNotFoundError:
        if make is None:
            raise
    with suppress(FileExistsError):
        os.mkdir(name, make, dir_fd=parent)
    return os.open(name, _OPEN, dir_fd=parent)


def socket_owner(path: str) -> int:
    """The user to whom the directory of the socket `path` belongs.  Raises as `open_directory` does."""
    fd = open_directory(os.path.dirname(os.path.abspath(path)))
    try:
        return os.fstat(fd).st_uid
    finally:
        os.close(fd)


def read_file(directory: str, name: str, most: int = -1) -> str:
    """The text of a file in `directory`, at most so many characters.  Raises as `open_directory` does, and OSError for
    a link."""
    fd = open_directory(directory)
    try:
        found = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=fd)
    finally:
        os.close(fd)
    with open(found, errors="surrogateescape") as file:
        return file.read(most)


def own_directory(path: str, mode: int, group: int | None = None) -> str:
    """Make or check `path`: a directory of this user, writable for no other, with `mode` and, if given, `group`.

    Returns `path`.  OperationFailed where it cannot be made or is not safe to use.
    """
    try:
        fd = open_directory(path, make=mode)
    except Untrusted as error:
        raise OperationFailed(error.strerror or path, _ADVICE) from error
    except NotADirectoryError as error:
        raise OperationFailed(error.strerror or path, "Remove it, or set another directory in [supervisor].") from error
    except OSError as error:
        raise OperationFailed(f"cannot create {path}: {error.strerror}", _ADVICE) from error
    try:
        found = os.fstat(fd)
        if found.st_uid != os.geteuid():
            raise OperationFailed(
                f"{path} belongs to user {found.st_uid}, not to user {os.geteuid()} of this daemon", _ADVICE
            )
        if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise OperationFailed(f"{path} can be written by others", f"chmod go-w {path}")
        itself = f"/proc/self/fd/{fd}"  # the open directory, whatever has its name by now
        if group is not None and found.st_gid != group:
            os.chown(itself, -1, group)
        if stat.S_IMODE(found.st_mode) != mode:  # only where needed: the file system may be read-only at present
            os.chmod(itself, mode)
    finally:
        os.close(fd)
    return path
