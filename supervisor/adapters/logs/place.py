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


class Place(NamedTuple):
    """The file `log` in a directory that is open as `dir_fd`."""

    dir_fd: int
    log: str


def find(directory: str, instance: str) -> tuple[str, str]:
    """The directory and the name of the log of `instance`; `directory` is the one for logs in the state directory."""
    log = rotation.log_name(instance)
    try:
        target = os.readlink(f"{directory}/{log}{LINK}")  # noqa: PTH115 - pathlib would cost the daemon memory
    except OSError:
        return directory, log
    where, _, name = target.rpartition("/")
    return where, name


def note(dir_fd: int, instance: str, path: str | None) -> None:
    """Let `find` answer `path` from now on; None: the state directory, which is open as `dir_fd`. Raises OSError."""
    link = f"{rotation.log_name(instance)}{LINK}"
    with suppress(FileNotFoundError):
        if path is not None and os.readlink(link, dir_fd=dir_fd) == path:
            return
        os.unlink(link, dir_fd=dir_fd)
    if path is not None:
        os.symlink(path, link, dir_fd=dir_fd)
