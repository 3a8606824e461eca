"""Finds the directories of a configuration's daemon, at little cost, because every command needs them.

It reads `[supervisor]` only, and ignores errors elsewhere, so that a daemon can still be reached while its file is
being edited.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from supervisor.config.source.expand import expand
from supervisor.config.source.project import find_name, folder_name, is_name, known_as
from supervisor.config.source.read import read_text
from supervisor.errors import ConfigError
from supervisor.last_directories import Locations, look_up, runtime_root
from supervisor.trusted_users import trusted_users

NAME = "services.toml"
SYSTEM_WIDE = Path("/etc/supervisor/services.toml")

_HEADER = re.compile(r"^[ \t]*\[", re.MULTILINE)
_OURS = re.compile(r"^[ \t]*\[[ \t]*supervisor[ \t]*\]", re.MULTILINE)


def default_path(env: Mapping[str, str] = os.environ) -> Path:
    """services.toml in the current directory, else in the nearest one above that has one (`_above`), else the
    system-wide one.  It need not exist."""
    here = Path(NAME)
    if here.exists():
        return here
    return _above(env) or (SYSTEM_WIDE if SYSTEM_WIDE.exists() else here)


def _above(env: Mapping[str, str]) -> Path | None:
    """services.toml in the nearest directory above the current one that has one to be trusted; None where there is
    none.

    The search ends at the border of the file system, as that of git does.  There is none where a daemon of the current
    directory runs on although its file is gone: commands have to reach that one."""
    try:
        here = Path(_working_directory())
        if look_up(str(here / NAME), env) is not None:
            return None
        device = here.stat().st_dev
        for folder in here.parents:
            if folder.stat().st_dev != device:
                break
            if _is_trusted(folder):
                return folder / NAME
    except (OSError, ConfigError):
        pass
    return None


def _is_trusted(folder: Path) -> bool:
    """Whether services.toml is in this directory, and only this user, root and trusted users could have put it there:
    a user may be in a directory below one of another user, or below /tmp, without meaning a file there."""
    file = folder / NAME
    try:
        found = [folder.stat(), file.lstat(), file.stat()]
    except OSError:
        return False
    users = {os.geteuid(), *trusted_users()}
    return stat.S_ISREG(found[2].st_mode) and all(
        one.st_uid in users and (stat.S_ISLNK(one.st_mode) or not one.st_mode & stat.S_IWOTH) for one in found
    )


def locations(path: str | os.PathLike[str], env: Mapping[str, str] = os.environ) -> Locations:
    """The locations of the daemon that runs this file.

    Where the file is gone, or has no [supervisor] that can be read, they are those that its daemon used last.
    ConfigError where none is known to have run, and the file cannot be read at all.
    """
    file = absolute(path)
    try:
        table = _supervisor_table(read_text(file))
    except ConfigError:
        if (known := look_up(str(file), env)) is None:
            raise
        return known
    if not table and (known := look_up(str(file), env)) is not None:
        return known
    return locate(file, table, env)


def last_locations(path: str | os.PathLike[str], env: Mapping[str, str] = os.environ) -> Locations:
    """The locations of the daemon that ran this file last, whatever has become of the file since."""
    file = absolute(path)
    if (known := look_up(str(file), env)) is not None:
        return known
    try:
        return locations(file, env)
    except ConfigError:
        return locate(file, {}, env)


def locate(file: Path, supervisor: Mapping[str, Any], env: Mapping[str, str]) -> Locations:
    """The locations by the `[supervisor]` table of `file`, with defaults for missing keys."""
    root = os.geteuid() == 0
    state = env.get("XDG_STATE_HOME")
    kept = Path(state) if state else Path.home() / ".local/state"
    all_runtime = runtime_root(env)
    all_state = Path("/var/lib/supervisor") if root else kept / "supervisor"
    runtime_dir = _directory(file, supervisor.get("runtime_dir"), env)
    state_dir = _directory(file, supervisor.get("state_dir"), env)
    given = supervisor.get("name")
    if is_name(given):
        name = str(given)
    else:
        parents = [parent for given, parent in ((runtime_dir, all_runtime), (state_dir, all_state)) if not given]
        name = find_name(file, parents) if parents else folder_name(file)
    runtime_dir = runtime_dir or str(all_runtime / name)
    state_dir = state_dir or str(all_state / name)
    return Locations(name, runtime_dir, state_dir, known_as(file, (runtime_dir, state_dir)))


def absolute(path: str | os.PathLike[str]) -> Path:
    """The absolute path, links unresolved: a folder `current` that moves between releases keeps its name."""
    return Path(os.path.normpath(path if os.path.isabs(path) else os.path.join(_working_directory(), path)))  # noqa: PTH117, PTH118


def _working_directory() -> str:
    """The directory as the shell calls it, with its links, where PWD names it; else as the kernel does.  ConfigError
    where it is gone."""
    named = os.environ.get("PWD", "")
    try:
        if named.startswith("/") and named == os.path.normpath(named) and os.path.samefile(named, "."):  # noqa: PTH121
            return named
    except OSError:  # PWD is out of date
        pass
    try:
        return os.getcwd()  # noqa: PTH109
    except OSError:
        raise ConfigError(
            "the current directory no longer exists", "Name the file by its full path: -f PATH."
        ) from None


def _directory(file: Path, given: object, env: Mapping[str, str]) -> str:
    if not isinstance(given, str) or not given:
        return ""
    try:
        return str(file.parent / expand(given, env))
    except ValueError:
        return ""


def _supervisor_table(text: str) -> Mapping[str, Any]:
    """The [supervisor] table; empty where there is none or it cannot be read.

    Only the head of the text and the section [supervisor] are parsed, unless a multi-line string could contain
    something that looks like it.
    """
    first, ours = _HEADER.search(text), _OURS.search(text)
    section = text[: first.start()] if first else text
    if ours:
        following = _HEADER.search(text, ours.end())
        section += text[ours.start() : following.start() if following else len(text)]
    candidates = [text, section] if '"""' in text or "'''" in text else [section]
    for candidate in candidates:
        try:
            table = tomllib.loads(candidate).get("supervisor")
        except (ValueError, RecursionError):
            continue
        return table if isinstance(table, dict) else {}
    return {}
