"""Imports circus.ini as circus 0.19.0 runs it."""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence
from pathlib import Path

from supervisor.config.importers.circus.environment import Environments
from supervisor.config.importers.circus.syntax import Option, Section, parse, referred
from supervisor.config.importers.circus.watcher import Watcher
from supervisor.config.importers.imported import Imported, ImportedService, Kind
from supervisor.config.importers.reading import utf8

_DAEMON = ("include", "include_dir", "umask")
"""The keys of [circus] that are taken over; the others concern circusd alone."""
_SOCKET = ("host", "port", "path", "type", "family", "so_reuseport")
_NOT_HERE = {
    "plugin:": "Plugins are not taken over; [[services.NAME.hooks]] run a command on events.",
    "socket:": "",
    "watcher:": "",
    "env:": "",
}


def read(paths: Sequence[Path], environment: Mapping[str, str], folder: Path | None = None) -> Imported:
    """The services of files of circus. `environment` is that of circusd, and `folder` (the working directory, unless
    given) the one in which circusd is started.

    Raises ImportRefused where circus refuses a file, and OSError.
    """
    together = Imported("circus")
    taken: set[str] = set()
    files: list[str] = []
    for path in paths:
        sections: dict[str, Section] = {}
        parse(utf8(path), str(path), sections)
        included = _includes(path, sections, environment, together)
        for file in included:
            parse(utf8(file), str(file), sections)
        services(sections, str(path), environment, folder or Path.cwd(), together, taken)
        files += map(str, [path, *included])
    together.losses.sort(key=lambda loss: (files.index(loss.file), loss.line))
    return together


def services(
    sections: Mapping[str, Section],
    file: str,
    environment: Mapping[str, str],
    folder: Path,
    result: Imported,
    taken: set[str],
) -> None:
    """Add the services of the sections of one circus.ini, whose name is `file`, to `result`. `taken` are names."""
    if default := sections.get("DEFAULT"):
        for section in sections.values():
            section.options = {**default.options, **section.options}
    daemon = sections.get("circus")
    _tell_of_daemon(sections, result)
    environments = Environments(sections, environment, result)
    first = len(result.services)
    for section in sections.values():
        if not section.name.startswith("watcher:") or not section.options:
            continue
        watcher = Watcher(section, environments, folder, sections, result)
        name = watcher.named(taken)
        table = watcher.table(name, daemon.options.get("umask") if daemon else None)
        if table is not None:
            result.services.append(ImportedService(name, section.file, section.line, table))
    if len(result.services) > first:
        told = (
            "circus starts a process again at once, after any end and without a limit; the values of [restart] say so. "
        )
        told += "Take them out for delays that grow and for the breaker. Where a program cannot be started at all, "
        told += "circus gives up after max_retry tries (5), and this supervisor does not."
        result.lose(Kind.CHOSEN, file, 0, "", told)
        told = f"A watcher without working_dir runs in {folder}, where the import ran: circus uses the working "
        told += "directory of circusd."
        if any("working_dir" not in s.options for s in sections.values() if s.name.startswith("watcher:")):
            result.lose(Kind.CHOSEN, file, 0, "", told)


def _includes(
    path: Path, sections: Mapping[str, Section], environment: Mapping[str, str], result: Imported
) -> list[Path]:
    """The files that [circus] names, in the order of the patterns, those of one pattern sorted."""
    options = sections["circus"].options if "circus" in sections else {}
    known = {f"env.{name.lower()}": value for name, value in environment.items()}
    found: list[Path] = []
    for key, end in (("include", ""), ("include_dir", "/*.ini")):
        for pattern in referred(options[key].value, known).split() if key in options else ():
            matches = sorted(glob.glob(str(path.parent / (pattern + end))))  # noqa: PTH207 - it may be absolute
            found += map(Path, matches)
            if not matches:
                _lose(Kind.IGNORED, options[key], key, "A pattern matches no file; circus only warns.", result)
    return found


def _tell_of_daemon(sections: Mapping[str, Section], result: Imported) -> None:
    defaults = list(sections["DEFAULT"].options.values()) if "DEFAULT" in sections else []
    for section in sections.values():
        for file, line, key in section.later:
            result.lose(
                Kind.IGNORED, file, line, key, f"[{section.name}] has this key already; the first value counts."
            )
        if section.name == "circus":
            for key, option in section.options.items():
                if key not in _DAEMON and option not in defaults:
                    _lose(Kind.DROPPED, option, key, "It concerns circusd itself.", result)
        elif section.name not in ("env", "DEFAULT"):
            told = next((text for begin, text in _NOT_HERE.items() if section.name.startswith(begin)), None)
            if told is None:
                told = "circus knows no such section."
                result.lose(Kind.IGNORED, section.file, section.line, f"[{section.name}]", told)
            elif section.name.startswith("socket:"):
                for key, option in section.options.items():
                    if key not in _SOCKET and option not in defaults:
                        _lose(
                            Kind.DROPPED,
                            option,
                            key,
                            "`sockets` has no such option, or a different one (docs/sockets.md).",
                            result,
                        )
            elif told:
                result.lose(Kind.DROPPED, section.file, section.line, f"[{section.name}]", told)


def _lose(kind: Kind, option: Option, key: str, text: str, result: Imported) -> None:
    result.lose(kind, option.file, option.line, key, text)
