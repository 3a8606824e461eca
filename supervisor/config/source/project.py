"""Tells projects apart: which name, and with it which directories, the daemon of a file has.

Two folders of one name are two projects, so a name that is not given has a short hash of the folder's path.  What an
earlier daemon left says where it is: in its directories it writes which file it runs, and which folder that was.
Therefore a folder that was moved keeps its daemon, and so does one whose daemon has the name without the hash, which
earlier versions gave it.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from zlib import crc32

SOURCE = "source"
"""The file in which a daemon writes the identity of the folder of its services.toml, and in the next line the path."""
MOST = 8192
"""Bytes of that file that are read: a path has at most 4096."""
LONGEST_FOLDER = 32
"""Characters of the folder's name in a name with a hash; sockets have short paths."""

_PLAN = "plan.json"
AT_FDCWD, STATX_BTIME = -100, 0x800
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]+")


class Record:
    """What a daemon wrote of its file.  `folder`: the identity of its folder; empty in what an earlier version left."""

    __slots__ = ("folder", "path")

    def __init__(self, path: str, folder: str) -> None:
        self.path, self.folder = path, folder


def is_name(given: object) -> bool:
    """Whether `given` can be the name of a project."""
    return isinstance(given, str) and bool(given) and not _NOT_IN_NAMES.search(given)


def folder_name(file: str) -> str:
    """The name of the file's folder, reduced to characters that a name may have."""
    return _NOT_IN_NAMES.sub("-", os.path.basename(os.path.dirname(file))).strip("-.")[:64] or "default"


def default_name(file: str) -> str:
    """The name of a project to which none is given: that of its folder, and a hash of the folder's path."""
    return f"{folder_name(file)[:LONGEST_FOLDER]}-{crc32(os.fsencode(os.path.dirname(file))) & 0xFFFFFF:06x}"


def find_name(file: str, parents: Sequence[str]) -> str:
    """The name of the project of `file`; `parents` have the directories of all projects, each by its name."""
    name = default_name(file)
    here = _places(parents, name)
    records = [record for record in map(recorded, here) if record is not None]
    if any(_is_here(record, file) for record in records):
        return name
    for other in sorted({entry.name for parent in parents for entry in _entries(parent)} - {name}):
        if any(record is not None and _is_here(record, file) for record in map(recorded, _places(parents, other))):
            return other
    if records or any(map(os.path.exists, here)):
        return name
    return _former_name(file, parents) or name


def known_as(file: str, places: Sequence[str]) -> str:
    """The path by which the daemon with one of these directories knows the file; `file` where it does not know it.

    A path that leads to another file today is not that of `file`: the daemon would read the other one."""
    for place in places:
        record = recorded(place)
        if record is not None and _is_here(record, file) and not _is_other(record.path, file):
            return record.path
    return file


def recorded(place: str) -> Record | None:
    """What the daemon with this directory wrote of its file; None where it wrote nothing that can be read."""
    with suppress(OSError, ValueError), open(f"{place}/{SOURCE}", "rb") as file:
        folder, path = file.read(MOST).removesuffix(b"\n").split(b"\n", 1)
        return Record(os.fsdecode(path), os.fsdecode(folder))
    return None


def folder_identity(folder: str) -> str:
    """Names a folder wherever it is moved: device, number and time of birth, because a number is used again after a
    removal.  Empty where there is no such folder."""
    try:
        status = os.stat(folder)
    except OSError:
        return ""
    return f"{status.st_dev}:{status.st_ino}:{_born(folder)}"


def _is_here(record: Record, file: str) -> bool:
    """Whether the folder of the record is that of `file`, and the file's name is the same."""
    folder, name = os.path.split(file)
    if os.path.basename(record.path) != name:
        return False
    with suppress(OSError):
        status = os.stat(folder)
        return record.folder.startswith(f"{status.st_dev}:{status.st_ino}:") and (
            record.path == file or record.folder == folder_identity(folder)
        )
    return False


def _former_name(file: str, parents: Sequence[str]) -> str:
    """The name without a hash, where what a daemon of an earlier version left under it is of this file, or of none that
    is known; else empty."""
    for name in dict.fromkeys((folder_name(file), folder_name(os.path.realpath(file)))):
        left = [place for place in _places(parents, name) if os.path.isdir(place)]
        paths = [path for path in map(_path_in_plan, left) if path]
        if left and all(recorded(place) is None for place in left) and all(_same(path, file) for path in paths):
            return name
    return ""


def _path_in_plan(place: str) -> str:
    import json

    with suppress(OSError, ValueError, KeyError, TypeError), open(f"{place}/{_PLAN}", "rb") as file:
        return str(json.load(file)["path"])
    return ""


def _same(path: str, file: str) -> bool:
    with suppress(OSError):
        return path == file or os.path.samefile(path, file)  # a path may be gone
    return False


def _is_other(path: str, file: str) -> bool:
    return os.path.exists(path) and not _same(path, file)


def _places(parents: Sequence[str], name: str) -> list[str]:
    return [f"{parent}/{name}" for parent in parents]


def _entries(parent: str) -> Iterator[os.DirEntry[str]]:
    with suppress(OSError), os.scandir(parent) as entries:
        yield from entries


def _born(folder: str) -> int:
    """The time of birth in nanoseconds, by statx(2), which Python does not have; 0 where the file system has none."""
    import ctypes

    buffer = ctypes.create_string_buffer(256)
    try:
        failed = ctypes.CDLL(None).statx(AT_FDCWD, os.fsencode(folder), 0, STATX_BTIME, buffer)
    except AttributeError:  # a C library without statx
        return 0
    mask, seconds, nanoseconds = (
        int.from_bytes(buffer.raw[a:b], sys.byteorder) for a, b in ((0, 4), (80, 88), (88, 92))
    )
    return 0 if failed or not mask & STATX_BTIME else seconds * 10**9 + nanoseconds
