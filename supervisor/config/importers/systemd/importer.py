"""Units of systemd as services: what systemd 252 runs for a .service file, its drop-ins, its .socket and its .timer.

Several files are read together, so that dependencies between them become `depends_on`. A unit is read as a system unit,
with the defaults of the system manager.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from supervisor.config.importers.imported import Imported, ImportedService, ImportRefused, Kind
from supervisor.config.importers.systemd import process as process
from supervisor.config.importers.systemd import relations as relations
from supervisor.config.importers.systemd.command import surroundings
from supervisor.config.importers.systemd.files import TOOL, Unit, load, tell_the_rest
from supervisor.config.importers.systemd.lifecycle import kind_of, program, readiness, restarts, runs_nothing, stopping
from supervisor.config.importers.systemd.socket import sockets
from supervisor.config.importers.systemd.specifiers import Manager, UnitName
from supervisor.config.importers.systemd.syntax import settings

_NOT_IN_NAME = re.compile(r"[^A-Za-z0-9_.-]+")
_OF_USERS = "/systemd/user/"
LONGEST_NAME = 100
_MARKS = ("{replica}", "{port}")
_GENERAL = (
    ("KillMode", "systemd sends the stop signal to every process of a unit; here only its main process gets it, "
                 "and then all are killed."),
    ("IgnoreSIGPIPE", "systemd lets a unit ignore SIGPIPE; here it does not."),
    ("StandardOutput", "The output of a unit is kept in the log of its service here, not in the journal."),
)  # fmt: skip
"""Defaults of systemd that no key here has, told once."""


def read(paths: Sequence[Path], environment: Mapping[str, str], manager: Manager | None = None) -> Imported:
    """Read units as one set. `manager` is what would run them: the system manager of this host unless given.
    `environment` has no effect: a unit gets no variable of the caller of systemctl.

    A .service brings the .socket and the .timer of its name that lie beside it, and these bring their .service. Raises
    ImportRefused where systemd refuses a unit, and OSError where a file cannot be read.
    """
    runs = manager or Manager()
    found = Imported(TOOL)
    services, beside = _sorted_out([path.absolute() for path in paths], found)
    names = _names(services, found)
    for name, path in names.items():
        if _OF_USERS in path.as_posix():
            said = "It is read as a system unit: its environment and its specifiers are not those of a user unit."
            found.lose(Kind.CHANGED, str(path), 0, "", said, name)
    units: dict[str, Unit] = {}
    tables: dict[str, dict[str, Any]] = {}
    for name, path in names.items():
        unit = load(path, runs, found, name)
        kind = kind_of(unit)
        if runs_nothing(unit, kind):
            found.lose(Kind.DROPPED, unit.file, 0, "", "The unit has no ExecStart=, so there is nothing to run.")
            continue
        units[name], tables[name] = unit, _table(unit, kind)
        for kind, other in beside.get(path.name, {}).items():
            _with_socket(load(other, runs, found, name), unit, tables[name]) if kind == "socket" else _with_timer(
                other, unit, tables[name]
            )
    relations.relate(units, tables, {other.name for both in beside.values() for other in both.values()})
    for name, unit in units.items():
        _install(unit, tables[name])
        tell_the_rest(unit)
        _tell_marks(unit, tables[name])
        found.services.append(ImportedService(name, unit.file, 1, tables[name]))
    _general(found, units.values())
    found.losses.sort(key=lambda loss: (loss.service is not None, loss.file, loss.line))
    return found


def units_of(paths: Sequence[Path]) -> dict[str, Path]:
    """The .service files of the paths, by the names of their services.  Raises ImportRefused and OSError."""
    nothing = Imported(TOOL)
    return _names(_sorted_out([path.absolute() for path in paths], nothing)[0], nothing)


def _sorted_out(paths: Iterable[Path], found: Imported) -> tuple[list[Path], dict[str, dict[str, Path]]]:
    """The .service files, and by the name of each its .socket and .timer."""
    services: list[Path] = []
    beside: dict[str, dict[str, Path]] = {}
    for path in paths:
        name = UnitName.of(path.name)
        if name.kind == "service":
            path = _instance(path, name)
            for kind in ("socket", "timer"):
                other = path.with_suffix(f".{kind}")
                template = path.with_name(f"{UnitName.of(path.name).prefix}@.{kind}")
                if other.exists() or (UnitName.of(path.name).instance and template.exists()):
                    beside.setdefault(path.name, {}).setdefault(kind, other)
        elif name.kind in ("socket", "timer"):
            other, path = path, path.with_name(_served(path, name))
            beside.setdefault(path.name, {})[name.kind] = other
            if not path.exists() and not path.with_name(UnitName.of(path.name).template).exists():
                raise ImportRefused(str(other), 0, f"{path.name}, which it starts, is not beside it")
        else:
            found.lose(Kind.DROPPED, str(path), 0, "", f"A .{name.kind} unit has no counterpart here.")
            continue
        if path not in services:
            services.append(path)
    return services, beside


def _instance(path: Path, name: UnitName) -> Path:
    """For a template without an instance: its default instance."""
    if name.instance != "":
        return path
    for setting in settings(path.read_bytes().decode(errors="replace"), str(path))[0]:
        if (setting.section, setting.key) == ("Install", "DefaultInstance") and setting.value:
            return path.with_name(f"{name.prefix}@{setting.value}.service")
    hint = f"give the name of an instance, for example {name.prefix}@1.service: the file need not exist"
    raise ImportRefused(str(path), 0, "a template needs the name of an instance", hint)


def _served(path: Path, name: UnitName) -> str:
    """The name of the service that a socket or a timer starts."""
    key = "Service" if name.kind == "socket" else "Unit"
    own = path if path.exists() else path.with_name(name.template)
    for setting in settings(own.read_bytes().decode(errors="replace"), str(own))[0]:
        if setting.section == name.kind.capitalize() and setting.key == key and setting.value:
            return setting.value
    return f"{name.stem}.service"


def _names(paths: Iterable[Path], found: Imported) -> dict[str, Path]:
    """Each unit by its name here."""
    names: dict[str, Path] = {}
    for path in paths:
        stem = UnitName.of(path.name).stem
        name = _NOT_IN_NAME.sub("-", stem).lstrip(".-")[:LONGEST_NAME] or "unit"
        number = 2
        base = name
        while name in names:
            name, number = f"{base[: LONGEST_NAME - 4]}-{number}", number + 1
        if name != stem:
            found.lose(
                Kind.CHANGED, str(path), 0, "", f"The service is called {name}: {stem} is not a valid name here.", name
            )
        names[name] = path
    return names


def _table(unit: Unit, kind: str) -> dict[str, Any]:
    """The service that a unit is, without its relations to others."""
    table: dict[str, Any] = {}
    if description := unit.text("Description", "Unit"):
        table["description"] = description
    table["command"] = []
    user = process.account(unit, table)
    around = surroundings(unit, user, table)
    process.scheduling(unit, table)
    process.privileges(unit, table)
    process.sandbox(unit, table, around.folders)
    process.resources(unit, table)
    process.output(unit, table)
    start = program(unit, kind, around, table)
    readiness(unit, kind, table)
    restarts(unit, kind, start, table)
    stopping(unit, table, around)
    _path_of_programs(unit, start[0].words[0])
    return table


def _path_of_programs(unit: Unit, program: str) -> None:
    for setting in unit.many("Service", "ExecSearchPath"):
        unit.lose(Kind.CHANGED, setting, "Programs are looked up in PATH here: add the directories to it.")
    path = next((one for one in unit.many("Service", "Environment") if "PATH=" in one.value), None)
    if path is not None and not program.startswith("/"):
        unit.lose(Kind.CHANGED, path, f"{program} is looked up in this PATH here, but not by systemd: write its path.")


def _with_socket(socket: Unit, unit: Unit, table: dict[str, Any]) -> None:
    own = bool(unit.many("Install", "WantedBy", "RequiredBy"))
    sockets(socket, table, own_start=own)
    for key in ("WantedBy", "RequiredBy", "Also", "Alias"):
        socket.used.add(("Install", key))
    socket.used |= {("Unit", "Description"), ("Socket", "Service")}
    tell_the_rest(socket)


def _with_timer(timer: Path, unit: Unit, table: dict[str, Any]) -> None:
    table["autostart"] = False
    said = (
        "There are no timed jobs here, so the service is not started with the daemon: let a timer of systemd or cron "
        "run `supervisor start` for it."
    )
    unit.imported.lose(Kind.DROPPED, str(timer), 0, "", said, unit.service)


def _install(unit: Unit, table: dict[str, Any]) -> None:
    """Add a loss where something other than the daemon starts the unit."""
    unit.used |= {("Install", "DefaultInstance")}
    for setting in unit.many("Install", "Alias"):
        unit.lose(Kind.DROPPED, setting, "A service has one name here.")
    for setting in unit.many("Install", "Also"):
        if not {word.rpartition(".")[2] for word in setting.value.split()} <= {"socket", "timer"}:
            unit.lose(Kind.DROPPED, setting, "No other unit is enabled with it: give its file as well.")
    demand = any("start=demand" in socket for socket in table.get("sockets", ()))
    if not unit.many("Install", "WantedBy", "RequiredBy") and "autostart" not in table and not demand:
        said = "The unit has no WantedBy=, so systemd starts it only on request: add `autostart = false` for the same."
        unit.lose(Kind.CHOSEN, None, said)


def _tell_marks(unit: Unit, table: dict[str, Any]) -> None:
    texts = [*table["command"], *table["environment"].values()]
    if found := [mark for mark in _MARKS if any(mark in text for text in texts)]:
        unit.lose(Kind.CHANGED, None, f"{' and '.join(found)} in its command or environment is replaced here.")


def _general(found: Imported, units: Iterable[Unit]) -> None:
    """Add one loss for each default of systemd that a service here cannot have."""
    some = list(units)
    for key, text in _GENERAL:
        if any(unit.given("Service", key) is None for unit in some):
            found.lose(Kind.CHANGED, some[0].file, 0, key, text)
