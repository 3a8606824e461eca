"""Finds the directories of a configuration's daemon, at little cost, because every command needs them.

It reads `[supervisor]` only, and ignores errors elsewhere, so that a daemon can still be reached while its file is
being edited.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from supervisor.config.source.expand import expand
from supervisor.config.source.read import read_text
from supervisor.errors import ConfigError
from supervisor.last_directories import Locations, look_up, runtime_root

SYSTEM_WIDE = Path("/etc/supervisor/services.toml")

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]+")
_HEADER = re.compile(r"^[ \t]*\[", re.MULTILINE)
_OURS = re.compile(r"^[ \t]*\[[ \t]*supervisor[ \t]*\]", re.MULTILINE)


def default_path() -> Path:
    """services.toml in the current directory, else the system-wide one. It need not exist."""
    here = Path("services.toml")
    return SYSTEM_WIDE if not here.exists() and SYSTEM_WIDE.exists() else here


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
    name = supervisor.get("name")
    if not isinstance(name, str) or not name or _NOT_IN_NAMES.search(name):
        name = default_name(file)
    root = os.geteuid() == 0
    state = env.get("XDG_STATE_HOME")
    kept = Path(state) if state else Path.home() / ".local/state"
    return Locations(
        name,
        _directory(file, supervisor.get("runtime_dir"), env) or str(runtime_root(env) / name),
        _directory(file, supervisor.get("state_dir"), env)
        or str((Path("/var/lib/supervisor") if root else kept / "supervisor") / name),
    )


def default_name(file: Path) -> str:
    """The name of the file's folder, reduced to characters that a name may have."""
    return _NOT_IN_NAMES.sub("-", file.parent.name).strip("-.")[:64] or "default"


def absolute(path: str | os.PathLike[str]) -> Path:
    """The absolute path, links unresolved: a folder `current` that moves between releases keeps its name."""
    return Path(os.path.abspath(path))  # noqa: PTH100


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
