"""The files of one log and their rotation: X.log → X.log.1 → X.log.2 …, each with its index, some as .gz.

A rotation has four steps:

1. `make_room` frees the name X.log.1 by renames alone;
2. the unfinished last line is copied to X.log.new;
3. X.log is cut after its last whole line (from here on X.log.new counts);
4. X.log becomes X.log.1, its index likewise, and X.log.new becomes X.log.

If the daemon is killed in between, `recover` completes or undoes the rotation; no step leaves the only copy of a byte
where the next start would not find it. All names are relative to a directory descriptor.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress

from supervisor.adapters.logs import time_index

CREATE = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
MODE = 0o640

_SUFFIXES = ("", ".gz", ".idx")


def log_name(instance: str) -> str:
    """The name of the file to which the output of `instance` is written."""
    return f"{instance}.log"


def make_room(dir_fd: int, log: str, keep: int) -> None:
    """Free the name `log`.1: rename the rotated files upwards to the first gap, and remove number keep + 1."""
    free = next((k for k in range(1, keep + 1) if not _taken(dir_fd, log, k)), max(keep, 1))
    _remove_number(dir_fd, log, free)
    for k in range(free, 1, -1):
        for suffix in _SUFFIXES:
            _move(dir_fd, f"{log}.{k - 1}{suffix}", f"{log}.{k}{suffix}")


def forget_beyond(dir_fd: int, log: str, keep: int) -> None:
    """Remove rotated files beyond number `keep`."""
    k = keep + 1
    while _taken(dir_fd, log, k):
        _remove_number(dir_fd, log, k)
        k += 1


def supersede(dir_fd: int, log: str) -> None:
    """Step 4: the cut `log` becomes number 1, and `log`.new takes its place."""
    _move(dir_fd, log, f"{log}.1")
    if not exists(dir_fd, f"{log}.1.idx"):
        _move(dir_fd, f"{log}.idx", f"{log}.1.idx")
    os.rename(f"{log}.new", log, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)


def recover(dir_fd: int, log: str, keep: int) -> None:
    """Finish or undo what a killed daemon had begun.

    A rotation is completed, or undone if the old file still has everything. Of a compression one form stays: the
    compressed one if it is complete, else the plain one.
    """
    begun = exists(dir_fd, f"{log}.new")
    if not begun and not exists(dir_fd, log):
        return
    remove(dir_fd, f"{log}.gz.new")
    for k in range(1, keep + 1):
        if exists(dir_fd, f"{log}.{k}.gz"):
            remove(dir_fd, f"{log}.{k}")
    if begun and _ends_within_a_line(dir_fd, log):
        remove(dir_fd, f"{log}.new")
    elif begun:
        if exists(dir_fd, log):
            make_room(dir_fd, log, keep)
        supersede(dir_fd, log)


def follow_move(dir_fd: int, log: str, moved: os.stat_result) -> bool:
    """Let the indexes follow a `log` that another program renamed to number 1, and those before it likewise.

    False: the file that was `moved` is not there.
    """
    try:
        if not os.path.samestat(os.stat(f"{log}.1", dir_fd=dir_fd, follow_symlinks=False), moved):
            return False
    except FileNotFoundError:
        return False
    free = 1
    while exists(dir_fd, f"{log}.{free}.idx"):
        free += 1
    for k in range(free, 1, -1):
        _move(dir_fd, f"{log}.{k - 1}.idx", f"{log}.{k}.idx")
    _move(dir_fd, f"{log}.idx", f"{log}.1.idx")
    if not _taken(dir_fd, log, free):
        remove(dir_fd, f"{log}.{free}.idx")
    return True


def like(source: int, target: int) -> None:
    """Give the open file `target` the owner, group and mode of `source`, as far as this user may."""
    wanted, found = os.fstat(source), os.fstat(target)
    with suppress(OSError):
        if (wanted.st_uid, wanted.st_gid) != (found.st_uid, found.st_gid):
            os.fchown(target, wanted.st_uid, wanted.st_gid)
        if wanted.st_mode != found.st_mode:
            os.fchmod(target, stat.S_IMODE(wanted.st_mode))


def oldest_plain(dir_fd: int, log: str, keep: int) -> int | None:
    """The highest number whose file is not compressed yet, or None."""
    return next((k for k in range(keep, 0, -1) if exists(dir_fd, f"{log}.{k}")), None)


def adopt_compressed(dir_fd: int, log: str, keep: int, plain: os.stat_result) -> None:
    """Replace the rotated file that is `plain` by `log`.gz.new, whatever its number is by now."""
    for k in range(1, keep + 1):
        with suppress(FileNotFoundError):
            if os.path.samestat(os.stat(f"{log}.{k}", dir_fd=dir_fd, follow_symlinks=False), plain):
                os.rename(f"{log}.gz.new", f"{log}.{k}.gz", src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
                remove(dir_fd, f"{log}.{k}")
                return
    remove(dir_fd, f"{log}.gz.new")


def next_sequence(dir_fd: int, log: str) -> int:
    """The sequence number of a new `log`: one more than that of its predecessor."""
    for k in (1, 2, 3):  # the index of the newest rotated file may be lost
        with suppress(FileNotFoundError):
            fd = os.open(f"{log}.{k}.idx", READ, dir_fd=dir_fd)
            try:
                return (time_index.sequence(fd) or 0) + k
            finally:
                os.close(fd)
    return 1


def require_plain(dir_fd: int, log: str) -> None:
    """Raise OSError unless `log` is a plain file of one name, or nothing yet."""
    with suppress(FileNotFoundError):
        status = os.stat(log, dir_fd=dir_fd, follow_symlinks=False)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is not a plain file", log)
        if status.st_nlink > 1:
            raise OSError(errno.EMLINK, "it has another name, too (a hard link)", log)


def exists(dir_fd: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def remove(dir_fd: int, name: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=dir_fd)


def _ends_within_a_line(dir_fd: int, log: str) -> bool:
    try:
        fd = os.open(log, READ, dir_fd=dir_fd)
    except FileNotFoundError:
        return False
    try:
        size = os.fstat(fd).st_size
        return size > 0 and os.pread(fd, 1, size - 1) != b"\n"
    finally:
        os.close(fd)


def _taken(dir_fd: int, log: str, k: int) -> bool:
    return exists(dir_fd, f"{log}.{k}") or exists(dir_fd, f"{log}.{k}.gz")


def _remove_number(dir_fd: int, log: str, k: int) -> None:
    for suffix in _SUFFIXES:
        remove(dir_fd, f"{log}.{k}{suffix}")


def _move(dir_fd: int, source: str, target: str) -> None:
    with suppress(FileNotFoundError):
        os.rename(source, target, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
