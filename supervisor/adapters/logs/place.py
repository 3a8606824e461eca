"""Where the log of an instance is: in the state directory, or at the path that `log.path` names.

For the latter the link X.log.at in the state directory leads to it, so that a reader needs neither the daemon nor its
plan.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import NamedTuple

from supervisor.adapters.logs import rotation

PLACEHOLDER = "{instance}"
"""What stands for the instance in a path."""
LINK = ".at"
"""What the name of a link has behind the name of a log."""
SHARED_LINK = ".in"
"""The same where the log is that of several instances, whose lines have their names in front of them."""
SPOOL = ".raw"
"""What the name of a spool has behind the name of a log (timestamp_spool.py)."""
PART = ".part"
"""What the name of a file has behind the name of a log where its output waits for a place in a shared log."""


class Place(NamedTuple):
    """The file `log` in a directory that is open as `dir_fd`."""

    dir_fd: int
    log: str


def find(directory: str, instance: str) -> tuple[str, str]:
    """The directory and the name of the log of `instance`; `directory` is the one for logs in the state directory."""
    log = rotation.log_name(instance)
    for link in (LINK, SHARED_LINK):
        with suppress(OSError):
            target = os.readlink(f"{directory}/{log}{link}")  # noqa: PTH115 - pathlib would cost the daemon memory
            where, _, name = target.rpartition("/")
            return where, name
    return directory, log


def is_shared(directory: str, instance: str) -> bool:
    """The log of `instance` is that of several."""
    return os.path.lexists(f"{directory}/{rotation.log_name(instance)}{SHARED_LINK}")


def sharers(dir_fd: int, path: str) -> list[str]:
    """The instances, and the standard errors, whose log is the shared one at `path`. Raises OSError."""
    end = rotation.log_name("") + SHARED_LINK
    names = [name for name in os.listdir(dir_fd) if name.endswith(end)]
    return [name.removesuffix(end) for name in names if os.readlink(name, dir_fd=dir_fd) == path]


def note(dir_fd: int, instance: str, path: str | None, *, shared: bool = False) -> None:
    """Let `find` answer `path` from now on; None: the state directory, which is open as `dir_fd`. Raises OSError."""
    log = rotation.log_name(instance)
    link, other = (f"{log}{end}" for end in ((SHARED_LINK, LINK) if shared else (LINK, SHARED_LINK)))
    rotation.remove(dir_fd, other)
    with suppress(FileNotFoundError):
        if path is not None and os.readlink(link, dir_fd=dir_fd) == path:
            return
        os.unlink(link, dir_fd=dir_fd)
    if path is not None:
        os.symlink(path, link, dir_fd=dir_fd)
