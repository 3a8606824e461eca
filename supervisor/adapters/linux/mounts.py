"""Tells which paths lie on a file system that may never answer (NFS, FUSE, 9p, an automounter …), without touching it.

A system call on such a path can keep the caller in state D for good, so the daemon makes none: other processes do.
/proc/self/mountinfo names each mount and its kind, and reading it touches no file system.
"""

from __future__ import annotations

import os
import re
import select
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache

LOCAL = frozenset(
    b"ext2 ext3 ext4 xfs btrfs zfs bcachefs f2fs jfs reiserfs nilfs2 erofs squashfs iso9660 udf vfat exfat msdos ntfs3 "
    b"tmpfs ramfs rootfs overlay aufs proc sysfs devtmpfs devpts cgroup cgroup2 mqueue hugetlbfs debugfs tracefs "
    b"securityfs selinuxfs pstore bpf configfs binfmt_misc fusectl nsfs efivarfs".split()
)
"""Kinds that answer from this kernel's memory or from a disk of this host.  Any other kind may wait for a process or a
network."""

_ESCAPE = re.compile(rb"\\([0-7]{3})")
_MOST_LINKS = 40  # in one path, as in the kernel
_MOST_INTERPRETERS = 4  # of scripts that are each other's interpreter, as in the kernel
_HEAD = 256  # bytes of a program that the kernel looks at


class MountTable:
    """The mounts that the daemon sees.  Where all are local, a question costs one system call.

    The mounts that hold the daemon's own code count as local: without them the daemon could not run either.
    """

    def __init__(self, path: str = "/proc/self/mountinfo") -> None:
        self._points: dict[bytes, bool] = {}
        self._any = False
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 - kept open: its poll tells of a change
        self._poll = select.poll()
        self._poll.register(self._file, select.POLLPRI)
        self._read()

    def remote(self, path: str | bytes, directory: str | None = None) -> str | None:
        """The first mount point on the way to `path` whose file system may not answer; None: there is none.

        A relative path begins in `directory`.  Symbolic links are followed as long as they are local.
        """
        self._refresh()
        return self._remote(os.fsencode(path), directory) if self._any else None

    def is_home_remote(self) -> bool:
        """Whether this process is in a directory whose file system may not answer, by the mounts of the last look."""
        return self._any and self._remote(os.getcwdb(), None) is not None  # noqa: PTH109 - bytes

    def remote_for_exec(self, command: Sequence[str], directory: str | None, search: str | None = None) -> str | None:
        """The same for all that executing `command` in `directory` touches: directory, PATH, program, interpreters.

        `search` is the PATH that counts; None: that of this process."""
        self._refresh()
        if not self._any:
            return None
        if directory is not None and (found := self._remote(os.fsencode(directory), None)) is not None:
            return found
        places = os.environ.get("PATH", os.defpath) if search is None else search
        for program in candidates(os.fsencode(command[0]), os.fsencode(places)):
            found = self._remote_program(program, directory)
            if found is not None:
                return found
            if os.access(_absolute(program, directory), os.X_OK):
                return None
        return None

    def _remote_program(self, program: bytes, directory: str | None) -> str | None:
        for _ in range(_MOST_INTERPRETERS):
            found = self._remote(program, directory)
            if found is not None:
                return found
            head, place = b"", _absolute(program, directory)
            if os.path.isfile(place):  # noqa: PTH113 - a FIFO would block
                with suppress(OSError), open(place, "rb", buffering=0) as file:
                    head = file.read(_HEAD)
            words = head[2:].partition(b"\n")[0].split(None, 1)
            if not head.startswith(b"#!") or not words:
                return None
            program = words[0]
        return None

    def _remote(self, path: bytes, directory: str | None) -> str | None:
        points = self._points
        if not points.get(b"/", True):
            return "/"
        at, links = b"", 0
        todo = _absolute(path, directory).split(b"/")[::-1]
        while todo:
            name = todo.pop()
            if name in (b"", b"."):
                continue
            if name == b"..":
                at = at.rpartition(b"/")[0]
                continue
            here = at + b"/" + name
            local = points.get(here)
            if local is False:
                return os.fsdecode(here)
            at, target = here, b""
            if local is None:
                with suppress(OSError):
                    target = os.readlink(here)  # noqa: PTH115 - bytes
            if target and links < _MOST_LINKS:
                links += 1
                at = b"" if target.startswith(b"/") else here.rpartition(b"/")[0]
                todo += target.split(b"/")[::-1]
        return None

    def _refresh(self) -> None:
        if self._poll.poll(0):
            self._read()

    def _read(self) -> None:
        self._file.seek(0)
        text = b""
        while chunk := self._file.read(1 << 16):
            text += chunk
        points: dict[bytes, bool] = {}
        for line in text.splitlines():
            before, _, after = line.partition(b" - ")
            point = _ESCAPE.sub(lambda octal: bytes([int(octal[1], 8)]), before.split(b" ")[4])
            points[point] = after.partition(b" ")[0] in LOCAL  # of several at one place the last one is seen
        for own in {_holder(os.fsencode(os.path.realpath(path)), points) for path in (__file__, sys.executable)}:
            points[own] = True
        self._points, self._any = points, not all(points.values())


def candidates(program: bytes, search: bytes) -> list[bytes]:
    """Where a program of this name is looked for, in this order: in the places of `search`, unless it has a slash."""
    if b"/" in program:
        return [program]
    return [place + b"/" + program if place else program for place in search.split(b":")]


@cache
def mounts() -> MountTable:
    """The table of this process."""
    return MountTable()


def _absolute(path: bytes, directory: str | None) -> bytes:
    if path.startswith(b"/"):
        return path
    start = os.getcwdb() if directory is None else os.fsencode(directory)  # noqa: PTH109 - bytes
    return start + b"/" + path


def _holder(path: bytes, points: Mapping[bytes, bool]) -> bytes:
    """The mount point that holds a resolved path."""
    while path not in points and path not in (b"", b"/"):
        path = path.rpartition(b"/")[0]
    return path or b"/"
