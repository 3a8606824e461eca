"""Remembers which directories the daemon of a configuration file uses.

The file itself says that, until it is removed or its [supervisor] table cannot be read.  Then daemon and commands still
find what runs: each daemon writes a small file here when it starts, and removes it when it ends in order.
"""

from __future__ import annotations

import os
import stat
import zlib
from collections import namedtuple
from collections.abc import Callable, Mapping
from contextlib import suppress

FOLDER = "@files"
"""In the directory above the runtime directories; no daemon can have this name."""
_SEPARATOR = b"\0"
"""Between the path of the file and the locations; no path has it."""
_LONGEST = 16384


class Locations(namedtuple("Locations", "name runtime_dir state_dir file")):
    """Absolute paths; `name` is the daemon's.  `file`: the path by which the daemon knows its file, another one where
    the folder was moved."""

    __slots__ = ()
    name: str
    runtime_dir: str
    state_dir: str
    file: str


def runtime_root(env: Mapping[str, str]) -> str:
    """The directory in which each daemon of this user has its runtime directory, unless it is told otherwise."""
    if os.geteuid() == 0:
        return "/run/supervisor"
    runtime = env.get("XDG_RUNTIME_DIR")
    return os.path.join(runtime, "supervisor") if runtime else f"/tmp/supervisor-{os.geteuid()}"


def entry(file: str, env: Mapping[str, str]) -> str:
    """Where the directories of the daemon of `file` are written down."""
    return f"{runtime_root(env)}/{FOLDER}/{zlib.crc32(file.encode(errors='surrogateescape')):08x}"


def remember(places: Locations, env: Mapping[str, str]) -> None:
    """Write them down, for this user alone.  Does nothing where that is not possible."""
    path = entry(places.file, env)
    folder = os.path.dirname(path)
    with suppress(OSError):
        with suppress(FileExistsError):
            os.makedirs(folder, 0o700)
        if not _is_ours(os.lstat(folder), stat.S_ISDIR):
            return
        fresh = f"{path}.{os.getpid()}"
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as out:
            out.write(_SEPARATOR.join(map(os.fsencode, (places.file, *places[:-1]))))
        os.replace(fresh, path)


def forget(file: str, env: Mapping[str, str]) -> None:
    """The daemon has ended in order: nothing of it runs."""
    with suppress(OSError):
        os.unlink(entry(file, env))


def look_up(file: str, env: Mapping[str, str]) -> Locations | None:
    """The directories of the daemon of `file` that has not ended in order; None where none is known."""
    found = _read(entry(file, env))
    return found if found is not None and found.file == file else None


def not_ended(env: Mapping[str, str]) -> list[Locations]:
    """The directories of all daemons of this user that have not ended in order: they run, or were killed."""
    try:
        names = sorted(os.listdir(f"{runtime_root(env)}/{FOLDER}"))
    except OSError:
        return []
    found = (_read(f"{runtime_root(env)}/{FOLDER}/{name}") for name in names if "." not in name)
    return [one for one in found if one is not None]


def _read(path: str) -> Locations | None:
    """What this user's daemon wrote to the entry `path`; None where there is none, or another user could have written
    it."""
    with suppress(OSError, ValueError):
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, "rb") as source:
            if _is_ours(os.fstat(fd), stat.S_ISREG):
                file, name, runtime_dir, state_dir = map(os.fsdecode, source.read(_LONGEST).split(_SEPARATOR))
                return Locations(name, runtime_dir, state_dir, file)
    return None


def _is_ours(status: os.stat_result, is_kind: Callable[[int], bool]) -> bool:
    """Whether it is of that kind, and no other user can write to it."""
    return is_kind(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o022
