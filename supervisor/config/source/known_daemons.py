"""Finds the runtime directories of all daemons of this host that this user may see.

These are the directories in the usual places, of this user and of root, and those that a daemon of this user wrote down
when it started, wherever they are.  Whether a directory can be trusted is for the caller to check.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from supervisor.last_directories import FOLDER, not_ended, runtime_root

SYSTEM_WIDE = "/run/supervisor"


class Known(NamedTuple):
    """The runtime directory of a daemon.  `file`: its configuration; empty where only the directory tells it.
    `ended`: False where it runs or was killed; None: not known."""

    name: str
    runtime_dir: str
    file: str = ""
    ended: bool | None = None


def known_daemons(env: Mapping[str, str] = os.environ) -> list[Known]:
    """Each once, by name.  Reads only directories that belong to this user or root."""
    found: dict[str, Known] = {}
    for places in not_ended(env):
        found[places.runtime_dir] = Known(places.name, places.runtime_dir, places.file, ended=False)
    for root in _roots(env):
        for name in _entries(root):
            found.setdefault(f"{root}/{name}", Known(name, f"{root}/{name}"))
    return sorted(found.values())


def _roots(env: Mapping[str, str]) -> list[str]:
    """The directories in which daemons of this user, with and without a login session, and of root have theirs."""
    user = os.geteuid()
    own = [f"/run/user/{user}/supervisor", f"/tmp/supervisor-{user}"] if user else []
    return list(dict.fromkeys([runtime_root(env), *own, SYSTEM_WIDE]))


def _entries(root: str) -> Iterator[str]:
    with suppress(OSError):
        if Path(root).lstat().st_uid not in (os.geteuid(), 0):
            return
        with os.scandir(root) as entries:
            yield from [entry.name for entry in entries if entry.name != FOLDER and entry.is_dir(follow_symlinks=False)]
