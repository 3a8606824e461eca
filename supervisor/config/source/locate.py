"""Finds the directories of a configuration's daemon, at little cost, because every command needs them.

It reads `[supervisor]` only, and ignores errors elsewhere, so that a daemon can still be reached while its file is
being edited.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping

from supervisor.config.source.project import find_name, folder_name, is_name, known_as
from supervisor.config.source.read import read_text
from supervisor.errors import ConfigError
from supervisor.last_directories import Locations, look_up, runtime_root
from supervisor.trusted_users import trusted_users

TYPE_CHECKING = False  # typing, pathlib and tomllib cost
if TYPE_CHECKING:
    from typing import Any

NAME = "services.toml"
SYSTEM_WIDE = "/etc/supervisor/services.toml"

_LINE = re.compile(
    r"""[ \t]*(?:(\[[ \t]*supervisor[ \t]*\])|([A-Za-z0-9_-]+)[ \t]*=[ \t]*"""
    r"""("[^"\\\0-\x08\x0a-\x1f\x7f]*"|'[^'\0-\x08\x0a-\x1f\x7f]*'|true|false|0|[1-9][0-9]{0,17}))?"""
    r"""[ \t]*(?:#[^\0-\x08\x0a-\x1f\x7f]*)?\r?"""
)
"""A line of TOML: the header [supervisor], or a key with a string without escapes, a truth value or a whole number."""
_HEADER = re.compile(r"^[ \t]*\[", re.MULTILINE)
_OURS = re.compile(r"^[ \t]*\[[ \t]*supervisor[ \t]*\]", re.MULTILINE)


def default_path(env: Mapping[str, str] = os.environ) -> str:
    """services.toml in the current directory, else in the nearest one above that has one (`_above`), else the
    system-wide one.  It need not exist."""
    if os.path.exists(NAME):
        return NAME
    return _above(env) or (SYSTEM_WIDE if os.path.exists(SYSTEM_WIDE) else NAME)


def _above(env: Mapping[str, str]) -> str:
    """services.toml in the nearest directory above the current one that has one to be trusted; empty where there is
    none.

    The search ends at the border of the file system, as that of git does.  There is none where a daemon of the current
    directory runs on although its file is gone: commands have to reach that one."""
    try:
        folder = _working_directory()
        if look_up(os.path.join(folder, NAME), env) is not None:
            return ""
        device = os.stat(folder).st_dev
        while (parent := os.path.dirname(folder)) != folder and os.stat(parent).st_dev == device:
            if _is_trusted(parent):
                return os.path.join(parent, NAME)
            folder = parent
    except (OSError, ConfigError):
        pass
    return ""


def _is_trusted(folder: str) -> bool:
    """Whether services.toml is in this directory, and only this user, root and trusted users could have put it there:
    a user may be in a directory below one of another user, or below /tmp, without meaning a file there."""
    file = os.path.join(folder, NAME)
    try:
        found = [os.stat(folder), os.lstat(file), os.stat(file)]
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
        if (known := look_up(file, env)) is None:
            raise
        return known
    if not table and (known := look_up(file, env)) is not None:
        return known
    return locate(file, table, env)


def last_locations(path: str | os.PathLike[str], env: Mapping[str, str] = os.environ) -> Locations:
    """The locations of the daemon that ran this file last, whatever has become of the file since."""
    file = absolute(path)
    if (known := look_up(file, env)) is not None:
        return known
    try:
        return locations(file, env)
    except ConfigError:
        return locate(file, {}, env)


def locate(file: str, supervisor: Mapping[str, Any], env: Mapping[str, str]) -> Locations:
    """The locations by the `[supervisor]` table of `file`, with defaults for missing keys."""
    root = os.geteuid() == 0
    state = env.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    all_runtime = runtime_root(env)
    all_state = "/var/lib/supervisor" if root else os.path.join(state, "supervisor")
    runtime_dir = _directory(file, supervisor.get("runtime_dir"), env)
    state_dir = _directory(file, supervisor.get("state_dir"), env)
    given = supervisor.get("name")
    if is_name(given):
        name = str(given)
    else:
        parents = [parent for given, parent in ((runtime_dir, all_runtime), (state_dir, all_state)) if not given]
        name = find_name(file, parents) if parents else folder_name(file)
    runtime_dir = runtime_dir or f"{all_runtime}/{name}"
    state_dir = state_dir or f"{all_state}/{name}"
    return Locations(name, runtime_dir, state_dir, known_as(file, (runtime_dir, state_dir)))


def absolute(path: str | os.PathLike[str]) -> str:
    """The absolute path, links unresolved: a folder `current` that moves between releases keeps its name."""
    return os.path.normpath(path if os.path.isabs(path) else os.path.join(_working_directory(), path))


def _working_directory() -> str:
    """The directory as the shell calls it, with its links, where PWD names it; else as the kernel does.  ConfigError
    where it is gone."""
    named = os.environ.get("PWD", "")
    try:
        if named.startswith("/") and named == os.path.normpath(named) and os.path.samefile(named, "."):
            return named
    except OSError:  # PWD is out of date
        pass
    try:
        return os.getcwd()
    except OSError:
        raise ConfigError(
            "the current directory no longer exists", "Name the file by its full path: -f PATH."
        ) from None


def _directory(file: str, given: object, env: Mapping[str, str]) -> str:
    if not isinstance(given, str) or not given:
        return ""
    if "$" in given:
        from supervisor.config.source.expand import expand

        try:
            given = expand(given, env)
        except ValueError:
            return ""
    parts = os.path.join(os.path.dirname(file), given).split("/")
    return "/" + "/".join(part for part in parts if part not in ("", "."))


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
    in_strings = '"""' in text or "'''" in text
    if not in_strings and (table := _one_line_values(section)) is not None:
        return table
    import tomllib

    for candidate in (text, section) if in_strings else (section,):
        try:
            table = tomllib.loads(candidate).get("supervisor")
        except (ValueError, RecursionError):
            continue
        return table if isinstance(table, dict) else {}
    return {}


def _one_line_values(section: str) -> dict[str, Any] | None:
    """The table of a section in which each line is a key with a plain value, a comment or blank; else None.

    Most files are like this, and the parser of the standard library takes half as long to import as an interpreter to
    start."""
    found: dict[str, Any] = {}
    inside = False
    for line in section.split("\n"):
        match = _LINE.fullmatch(line)
        if match is None:
            return None
        header, key, value = match.groups()
        inside = inside or header is not None
        if key is None:
            continue
        if key in found or not inside:
            return None
        found[key] = value[1:-1] if value[0] in "\"'" else value == "true" if value.isalpha() else int(value)
    return found
