"""Finds the directories of a configuration's daemon, at little cost, because every command needs them.

It reads `[supervisor]` only, and ignores errors elsewhere, so that a daemon can still be reached while its file is
being edited.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping

from supervisor.config.source.project import find_name, folder_name, is_name, known_as
from supervisor.config.source.read import read_text
from supervisor.errors import ConfigError
from supervisor.last_directories import Locations, look_up, runtime_root
from supervisor.trusted_users import trusted_users

TYPE_CHECKING = False  # importing typing, pathlib and tomllib takes time
if TYPE_CHECKING:
    from typing import Any

NAME = "services.toml"
_BLANK = " \t"
_DIGITS = 18
SYSTEM_WIDE = "/etc/supervisor/services.toml"


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
    section = _own_lines(text)
    in_strings = '"""' in text or "'''" in text
    if not in_strings and (plain := _plain_values(section)) is not None:
        return plain
    import tomllib

    own = "\n".join([*section, ""])  # the last line ends, too: it may end with \r
    for candidate in (text, own) if in_strings else (own,):
        try:
            table = tomllib.loads(candidate).get("supervisor")
        except (ValueError, RecursionError):
            continue
        return table if isinstance(table, dict) else {}
    return {}


def _own_lines(text: str) -> list[str]:
    """The lines before the first table, and those of [supervisor] with its header."""
    found: list[str] = []
    head, inside = True, False
    for line in text.split("\n"):
        if line.lstrip(" \t").startswith("["):
            if inside:
                break
            head, inside = False, _is_own_header(line)
        if head or inside:
            found.append(line)
    return found


def _is_own_header(line: str) -> bool:
    name, closed, _ = line.lstrip(" \t")[1:].partition("]")
    return bool(closed) and name.strip(" \t") == "supervisor"


def _plain_values(section: list[str]) -> dict[str, Any] | None:
    """The table of a section in which each line is blank, a comment, or a key with a short value; else None.

    Most files are like this, and to import a parser of TOML takes half as long as to start an interpreter."""
    found: dict[str, Any] = {}
    inside = False
    for line in section:
        text = line.removesuffix("\r").strip(_BLANK)
        if not text.replace("\t", " ").isprintable():
            return None
        if text.startswith("["):
            inside = True
            if text.partition("]")[2].strip(_BLANK)[:1] not in ("", "#"):
                return None
        elif text and text[0] != "#":
            key, _, written = text.partition("=")
            key, value = key.strip(_BLANK), _plain_value(written.strip(_BLANK))
            if not inside or value is None or key in found or not _is_bare(key):
                return None
            found[key] = value
    return found


def _plain_value(text: str) -> str | int | None:
    """A string without escapes, a truth value or a whole number, perhaps before a comment; None: something else."""
    quote = text[:1]
    if quote in ("'", '"'):
        value, closed, rest = text[1:].partition(quote)
        ends = closed and rest.strip(_BLANK)[:1] in ("", "#")
        return value if ends and not (quote == '"' and "\\" in value) else None
    word = text.partition("#")[0].rstrip(_BLANK)
    if word in ("true", "false"):
        return word == "true"
    return int(word) if word.isascii() and word.isdigit() and len(word) <= _DIGITS and str(int(word)) == word else None


def _is_bare(key: str) -> bool:
    """Whether it is a key without dots and quotes."""
    return key.isascii() and key.replace("-", "").replace("_", "a").isalnum()
