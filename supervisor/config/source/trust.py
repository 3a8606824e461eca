"""Refuses, when running as root, files that anyone but root could change: such a user could run anything as root.

A file is trusted when only root, or a user named in SUPERVISOR_TRUSTED_USERS, owns it and every directory that leads to
it, by its own path and by the path that links resolve to, and no other user may write there. In a directory with the
sticky bit, such as /tmp, entries can only be replaced by their owner.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache

from supervisor.trusted_users import VARIABLE, trusted_users

TYPE_CHECKING = False  # importing typing and pathlib takes time, and every command reads its file
if TYPE_CHECKING:
    from pathlib import Path

_INTERPRETER = r"((?:ba|da|z|k)?sh)|python[\d.]*|perl|ruby|node|php[\d.]*|lua[\d.]*"


def require_trusted(path: str | os.PathLike[str], could: str = "run commands as root") -> None:
    """Raise ValueError, with the remedy, if another user could change this file. Checks nothing unless run as root.

    `could`: what such a user could do."""
    if os.geteuid() == 0:
        for place in (os.path.join(os.getcwd(), path), os.path.realpath(path)):
            for component in _with_parents(place):
                if problem := _problem(component, could):
                    raise ValueError(problem)


def _with_parents(path: str) -> Iterator[str]:
    yield path
    while (parent := os.path.dirname(path)) != path:
        yield parent
        path = parent


def require_own_directory(directory: Path) -> None:
    """Raise ValueError, with the remedy, if another user could put a link in the place of a log in `directory`.

    As root each directory that leads to it must be trusted. A missing one is made later, below one that exists.
    """
    existing = directory
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    require_trusted(existing, "overwrite files as root")
    if existing != directory:
        return
    if not directory.is_dir():
        raise ValueError(f"{directory} is not a directory")
    status = directory.stat()
    groups = {os.getegid(), *(os.getgroups() if os.geteuid() != 0 else ())}
    if status.st_mode & stat.S_IWOTH or (status.st_mode & stat.S_IWGRP and status.st_gid not in groups):
        raise ValueError(
            f"{directory} can be written by other users, who could replace the log; choose a directory in it that is "
            "only yours"
        )


def script(command: Sequence[str]) -> str | None:
    """The file that an interpreter would run: `sh -e hook.sh`; None if there is none."""
    import re

    known = re.fullmatch(_INTERPRETER, os.path.basename(command[0])) if command else None
    if known is None:
        return None
    code = ("-c",) if known[1] else ("-c", "-m", "-e", "-r")
    for word in command[1:]:
        if not word.startswith("-"):
            return word
        if word in code:
            return None
    return None


_trusted = cache(trusted_users)


@cache
def _problem(path: str, could: str) -> str:
    """What is wrong with one file or directory, or "". Each is examined once."""
    try:
        status = os.lstat(path)
    except OSError:
        return ""  # opening it reports the error
    if status.st_uid not in _trusted():
        owner = _name(status.st_uid)
        return (
            f"{path} belongs to {owner}, which lets {owner} {could}; `chown root {path}`, run as {owner}, "
            f"or set {VARIABLE}={owner}"
        )
    if stat.S_ISLNK(status.st_mode):
        return ""
    if status.st_mode & stat.S_IWOTH and not (stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX):
        return f"{path} is writable by everyone, which lets everyone {could}; `chmod o-w {path}`"
    if status.st_mode & stat.S_IWGRP and status.st_gid not in _administrators():
        group = _group(status.st_gid)
        return f"{path} is writable by the group {group}, which lets it {could}; `chmod g-w {path}`"
    return ""


@cache
def _administrators() -> frozenset[int]:
    """Groups that may install programs: root, and Debian's staff, to which /usr/local belongs."""
    import grp

    found = {0}
    with suppress(KeyError):
        found.add(grp.getgrnam("staff").gr_gid)
    return frozenset(found)


def _name(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    import grp

    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
