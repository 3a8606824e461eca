"""Imports supervisord.conf, as supervisord 4.3.0 understands it.

`read` gives one service for each program, or one for each copy where numprocs makes copies that differ in more than a
number that counts.  Priorities become `depends_on` with the condition "started", which orders without waiting until
something is ready, as supervisord does.
"""

from __future__ import annotations

import os
import platform
import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from supervisor.config.importers.imported import Expanded, Imported, ImportedService, Kind, Loss
from supervisor.config.importers.supervisord.copies import Translated, Translator, as_replicas
from supervisor.config.importers.supervisord.logs import log_table
from supervisor.config.importers.supervisord.other import other_sections
from supervisor.config.importers.supervisord.programs import Program, Reader
from supervisor.config.importers.supervisord.syntax import Ini, Source, sources
from supervisor.config.importers.supervisord.tables import (
    start_and_restart,
    stop,
    tell_dropped,
    tell_shell,
)

TOOL = "supervisord"
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]+")
_ONLY_ROOM = 1024
"""Open files that supervisord asks for unless minfds says otherwise."""
_SOCKET_AS_STDIN = 'unset LISTEN_FDS LISTEN_FDNAMES LISTEN_PID; exec "$0" "$@" <&3 3<&-'
"""Gives the socket, which is descriptor 3 here, to a FastCGI program as its stdin."""
_MARKS = ("{replica}", "{port}")


@dataclass(frozen=True)
class Process:
    """A process of supervisord, by the names that supervisorctl shows, and the section that it comes from."""

    group: str
    name: str
    section: str


@dataclass
class Programs:
    """What was imported, and of each service the processes that its instances are, in their order."""

    imported: Imported
    processes: dict[str, list[Process]] = field(default_factory=dict)


def read(
    paths: Sequence[Path], environment: Mapping[str, str], *, cwd: Path | None = None, host: str | None = None
) -> Imported:
    """The services of supervisord.conf and of the files that it includes.

    `environment`, `cwd` and `host` (the name of this host) are those with which supervisord is started; None: those of
    this process.  A file without [supervisord] counts as one that the main file includes.  Raises ImportRefused where
    supervisord refuses a file, and OSError where one cannot be read.
    """
    together = Imported(TOOL)
    for source in sources(paths):
        imported = read_source(source, environment, cwd=cwd, host=host).imported
        together.services += imported.services
        together.losses += imported.losses
        together.files += imported.files
    return together


def read_source(
    source: Source, environment: Mapping[str, str], *, cwd: Path | None = None, host: str | None = None
) -> Programs:
    """As `read`, of the files that one supervisord reads, with the processes of each service."""
    host = platform.node() if host is None else host
    cwd = Path.cwd() if cwd is None else cwd
    ini = Ini(source, environment, host, cwd)
    found = _Importer(ini, Reader(ini, environment, host), environment, cwd).programs()
    if source.main is None:
        text = "There is no [supervisord]: it is read as a file that a supervisord.conf without settings includes."
        found.imported.losses.insert(0, Loss(Kind.CHOSEN, ini.file, 0, "[supervisord]", text))
    return found


class _Importer:
    def __init__(self, ini: Ini, reader: Reader, environment: Mapping[str, str], cwd: Path) -> None:
        self._ini, self._reader, self._environment = ini, reader, environment
        self._daemon = reader.daemon
        self._found = Programs(Imported(TOOL))
        self._by_section: dict[str, list[str]] = {}
        self._order: list[tuple[str, Program]] = []
        """Each service with its program."""
        self._guessed_directory = False
        self._cwd = self._own_directory(str(cwd))
        self._translator = Translator(reader.marks, environment, self._cwd)

    def programs(self) -> Programs:
        programs = self._reader.programs()
        several = [program.section for program in programs]
        for program, reason in self._reader.unstarted:
            text = f"supervisord does not start it, because {reason}."
            self._lose(Kind.IGNORED, program.section, "", text)
        for program in programs:
            if program.kind == "eventlistener":
                self._lose(
                    Kind.DROPPED,
                    program.section,
                    "",
                    "There are no event listeners: write [[services.NAME.hooks]], or follow `supervisor events`.",
                )
                continue
            self._program(program, clash=several.count(program.section) > 1)
        self._depend()
        self._rename_groups()
        self._agree_on_logs()
        imported = self._found.imported
        for key, names in self._reader.fixed.items():
            self._tell_fixed(*key, names)
        if self._reader.shared.cut:
            self._tell_cut("supervisord", self._reader.shared.cut, None)
        other_sections(self._ini, self._reader, imported, self._by_section)
        if imported.services:
            self._tell_of_all()
        imported.files += map(Path, self._ini.files)
        files = {file: index for index, file in enumerate(self._ini.files)}
        imported.losses.sort(key=lambda loss: (files.get(loss.file, 0), loss.line))
        imported.services.sort(key=lambda service: (files.get(service.file, 0), service.line))
        return self._found

    # -- one program ---------------------------------------------------------------------------------------------

    def _program(self, program: Program, *, clash: bool) -> None:
        section = program.section
        if not program.copies:
            self._lose(Kind.IGNORED, section, "numprocs", "It asks for no process, so there is no service.")
            return
        shared, marked = self._reader.shared.values, self._reader.shared_marked
        try:
            copies = [self._translator.copy(copy, shared, marked.values if marked else None) for copy in program.copies]
            if not all(copy.command for copy in copies):
                raise ValueError("it is empty")
        except ValueError as error:
            text = (
                f"The command has no words ({str(error).lower()}): supervisord never starts it, so there is no service."
            )
            self._lose(Kind.DROPPED, section, "command", text)
            return
        together = copies[0] if len(copies) == 1 else as_replicas(copies)
        base = f"{program.group}-{program.name}" if clash and program.group else program.name
        processes = [Process(program.owner, copy.name, section) for copy in copies]
        if isinstance(together, Translated):
            name = self._name(base, section)
            self._add(name, program, together, processes)
            self._tell_names(name, program, processes)
            return
        text = f"The copies differ in {together}: each is a service, in the group {program.owner}."
        prefix = f"{program.group}-" if clash and program.group else ""
        for copy, process in zip(copies, processes, strict=True):
            name = self._name(prefix + copy.name, section)
            if process is processes[0]:
                self._lose(Kind.CHANGED, section, "numprocs", text, name)
            self._add(name, program, copy, [process])

    def _name(self, wanted: str, section: str) -> str:
        """A valid name of a service that is not taken."""
        plain = _valid(wanted)
        name, number = plain, 2
        while name in self._found.processes:
            name, number = f"{plain[:95]}-{number}", number + 1
        self._found.processes[name] = []
        self._by_section.setdefault(section, []).append(name)
        if name != wanted:
            self._lose(Kind.CHANGED, section, "", f"The service {wanted} is called {name} here.", name)
        return name

    def _tell_names(self, name: str, program: Program, processes: Sequence[Process]) -> None:
        section = program.section
        first, last = processes[0].name, processes[-1].name
        if len(processes) > 1:
            text = f"The processes {first} to {last} are called {name}@1 to {name}@{len(processes)} here."
            self._lose(Kind.CHANGED, section, "process_name", text, name)
        elif first != program.name:
            self._lose(Kind.CHANGED, section, "process_name", f"{first} is called {name} here.", name)

    def _add(self, name: str, program: Program, copy: Translated, processes: list[Process]) -> None:
        section, settings = program.section, program.settings | {"given": self._ini.keys(program.section)}

        def tell(kind: Kind, key: str, text: str) -> None:
            self._lose(kind, section, key, text, name)

        table: dict[str, Any] = {"command": copy.command, "directory": self._directory(copy, program, name)}
        user = settings["user"] or self._daemon["user"]
        if user is not None:
            table["user"] = int(user) if user.strip().isdecimal() else user
            if settings["user"] is not None:
                tell(
                    Kind.CHANGED,
                    "user",
                    "HOME, USER, LOGNAME and SHELL are those of the account; in supervisord they stay root's.",
                )
        umask = self._umask(settings)
        if umask is not None:
            table["umask"] = f"{umask & 0o777:03o}"
        if copy.environment:
            table["environment"] = dict(sorted(copy.environment.items()))
        if len(processes) > 1:
            table["replicas"] = len(processes)
            if copy.first is not None and copy.first != 1:
                table["first_replica"] = copy.first
        if program.group or (len(program.copies) > 1 and len(processes) == 1):
            table["group_name"] = program.owner
        if not settings["autostart"]:
            table["autostart"] = False
        if self._daemon["minfds"] > _ONLY_ROOM:
            table["limits"] = {"nofile": self._daemon["minfds"]}
        if program.kind == "fcgi-program":
            self._socket(table, program, name)
        table |= stop(settings, tell) | start_and_restart(settings, tell)
        table["log"] = log_table(copy.logs, settings, self._log_umask(), tell)
        if len(processes) > 1:
            self._tell_shared_log(table["log"], tell)
        tell_dropped(settings, tell)
        tell_shell(copy.command, self._ini.raw(section, "command"), tell)
        if copy.literal:
            self._tell_literal(section, copy.literal, name)
        cut = [key for one in program.copies[:1] for key in one.texts.environment.cut]
        if cut:
            self._tell_cut(section, cut, name)
        self._tell_marks(section, program, name)
        self._found.imported.services.append(ImportedService(name, program.where.file, program.where.line, table))
        self._found.processes[name] = processes
        self._order.append((name, program))

    def _directory(self, copy: Translated, program: Program, name: str) -> str:
        """The working directory; a loss where it is not what the file says."""
        if copy.directory is None:
            self._guessed_directory = True
            return self._cwd
        section, given = program.section, program.copies[0].texts.directory
        if not given:
            text = f"supervisord never starts it, because there is no directory without a name; here it is {self._cwd}."
            self._lose(Kind.CHANGED, section, "directory", text, name)
        elif given.startswith("~"):
            text = "~ is part of the name, in supervisord too: it expands ~ in the paths of logs alone."
            self._lose(Kind.IGNORED, section, "directory", text, name)
        word = copy.command[0]
        relative = "/" in word and not word.startswith("/") and not isinstance(word, Expanded)
        if relative and not os.path.exists(os.path.join(self._cwd, word)):  # noqa: PTH110, PTH118
            text = f"supervisord starts the program only if it is in {self._cwd}, too; here `directory` alone counts."
            self._lose(Kind.CHANGED, section, "command", text, name)
        return copy.directory

    def _umask(self, settings: Mapping[str, Any]) -> int | None:
        """The program's, else the one that supervisord sets for itself as a daemon; None: that of its caller."""
        if settings["umask"] is not None:
            return int(settings["umask"])
        return None if self._daemon["nodaemon"] else int(self._daemon["umask"])

    def _log_umask(self) -> int:
        """The umask with which supervisord makes logs: its own, not the program's."""
        return 0o22 if self._daemon["nodaemon"] else int(self._daemon["umask"])

    def _own_directory(self, cwd: str) -> str:
        """The working directory of supervisord."""
        directory = self._daemon["directory"]
        if directory is None or self._daemon["nodaemon"]:
            return cwd
        home = self._environment.get("HOME")
        if home and (directory == "~" or directory.startswith("~/")):
            directory = home + directory[1:]
        return os.path.normpath(os.path.join(cwd, os.path.expanduser(directory)))  # noqa: PTH111, PTH118

    def _socket(self, table: dict[str, Any], program: Program, name: str) -> None:
        """The socket of an fcgi-program becomes its stdin.  In a group supervisord opens none."""
        section = program.section
        if program.group:
            self._lose(Kind.IGNORED, section, "socket", "supervisord opens no socket for a member of a [group].", name)
            return
        table["sockets"] = [self._reader.socket(program)]
        table["command"] = ["/bin/sh", "-c", _SOCKET_AS_STDIN, *table["command"]]
        self._lose(
            Kind.CHANGED,
            section,
            "socket",
            "The socket is descriptor 3 here, and a shell makes it the stdin of the program.",
            name,
        )
        for key in ("socket_owner", "socket_backlog"):
            if self._ini.has(section, key):
                text = {
                    "socket_owner": "The socket belongs to the user and group of the service.",
                    "socket_backlog": "The queue of the socket has the length that the kernel allows.",
                }[key]
                self._lose(Kind.CHANGED, section, key, text, name)

    # -- all services together -----------------------------------------------------------------------------------

    def _depend(self) -> None:
        """Order the services as priorities do."""
        services = {service.name: service for service in self._found.imported.services}
        order = _Order(self._order)
        for name, program in self._order:
            before, within = order.before(program)
            if before:
                table = services[name].table
                table["depends_on"] = [
                    {"service": other, "condition": "started", "required": False} for other in before
                ]
                names = " and ".join(before[:3]) + (" and others" if len(before) > 3 else "")
                text = (
                    f"It starts after {names}, without waiting for readiness, and stops before: write condition = "
                    '"ready" where it has to wait.'
                )
                where = ("group:" + program.group) if program.group and not within else program.section
                where = where if self._ini.has(where, "priority") else program.section
                self._lose(Kind.CHANGED, where, "priority", text, name)

    def _rename_groups(self) -> None:
        """A group cannot have the name of a service."""
        for service in self._found.imported.services:
            group = service.table.get("group_name")
            if group is None:
                continue
            name = _valid(group)
            while name in self._found.processes:
                name = f"{name[:90]}-group"
            if name != group:
                section = self._found.processes[service.name][0].section
                self._lose(Kind.CHANGED, section, "", f"The group {group} is called {name} here.", service.name)
            service.table["group_name"] = name

    def _agree_on_logs(self) -> None:
        """Give services that write the same file the same rotation."""
        first: dict[str, dict[str, Any]] = {}
        about = ("max_size", "keep", "compress", "mode", "rotate")
        for service in self._found.imported.services:
            log = service.table["log"]
            for path in (log.get("path"), log.get("stderr")):
                if not isinstance(path, str):
                    continue
                other = first.setdefault(path, log)
                if other is log or all(other.get(key) == log.get(key) for key in about):
                    continue
                for key in about:
                    log.pop(key, None)
                log |= {key: other[key] for key in about if key in other}
                section = self._found.processes[service.name][0].section
                text = "Another service writes the same file: the rotation that is set there counts for both."
                self._lose(Kind.CHANGED, section, "stdout_logfile", text, service.name)

    # -- losses --------------------------------------------------------------------------------------------------

    def _lose(self, kind: Kind, section: str, key: str, text: str, service: str | None = None) -> None:
        where = self._ini.where(section, key)
        self._found.imported.lose(kind, where.file, where.line, key or f"[{section}]", text, service)

    def _tell_shared_log(self, log: Mapping[str, Any], tell: Any) -> None:
        for key, name in (("path", "stdout_logfile"), ("stderr", "stderr_logfile")):
            path = log.get(key)
            if not isinstance(path, str):
                continue
            if "{instance}" in path:
                text = "The files are named after the instances: NAME@1, NAME@2 … in place of the number."
            else:
                text = "All instances write this file: each line begins with the name of its instance."
            tell(Kind.CHANGED, name, text)

    def _tell_literal(self, section: str, names: Sequence[str], service: str) -> None:
        text = f"The value that {', '.join(names)} has now is written out, because ${{…}} would not mean the same."
        self._lose(Kind.CHANGED, section, "", text, service)

    def _tell_fixed(self, section: str, key: str, names: Sequence[str]) -> None:
        services = self._by_section.get(section) or [None]  # type: ignore[list-item]
        text = f"The value that {', '.join(dict.fromkeys(names))} has now decides it."
        self._lose(Kind.CHANGED, section, key, text, services[0])

    def _tell_cut(self, section: str, names: Sequence[str], service: str | None) -> None:
        after = [name for name in names if name]
        if after:
            text = (
                f"supervisord reads only the beginning of {', '.join(dict.fromkeys(after))}, and drops what follows or "
                "takes it for another variable: values with other characters need quotes."
            )
            self._lose(Kind.IGNORED, section, "environment", text, service)
        if "" in names:
            text = "supervisord drops what follows a # outside quotes, to the end of the line."
            self._lose(Kind.IGNORED, section, "environment", text, service)

    def _tell_marks(self, section: str, program: Program, service: str) -> None:
        texts = program.copies[0].texts
        for key, given in (("command", [texts.command]), ("environment", list(texts.environment.values.values()))):
            for mark in _MARKS:
                if any(mark in text for text in given):
                    means = (
                        "the number of the instance"
                        if mark == "{replica}"
                        else "a port of `ports`, and is refused without"
                    )
                    self._lose(Kind.CHANGED, section, key, f"{mark} in it stands for {means} here.", service)

    def _tell_of_all(self) -> None:
        """Add losses that concern all services, and what was chosen for them."""
        imported, file = self._found.imported, self._ini.file
        tables = [service.table for service in imported.services]
        if self._guessed_directory and (self._daemon["directory"] is None or self._daemon["nodaemon"]):
            text = (
                f"Programs without directory run where supervisord is started; that is assumed to be {self._cwd}, "
                "where the import was started."
            )
            imported.lose(Kind.CHOSEN, file, 0, "directory", text)
        if any("window" in table["restart"] for table in tables):
            text = (
                "supervisord gives up for good after startretries failed starts; here the service has failed then, "
                'too, but is tried again after a cooldown of 1m: write restart.cooldown = "36500d" to prevent that.'
            )
            imported.lose(Kind.CHANGED, file, 0, "startretries", text)
            text = (
                "supervisord starts a program that has run for startsecs again at once and without limit; here after "
                "1s, and such restarts count, too."
            )
            imported.lose(Kind.CHANGED, file, 0, "autorestart", text)
        texts = [
            ("stopasgroup", "What is left of the processes of a service when it has ended is stopped, too; "
             "supervisord leaves it running unless stopasgroup and killasgroup are true."),
            ("", "SUPERVISOR_ENABLED, SUPERVISOR_PROCESS_NAME, SUPERVISOR_GROUP_NAME and SUPERVISOR_SERVER_URL are not "
             "set: write them into environment where a program reads them."),
            ("", "The stdin of a service is /dev/null; in supervisord it is a pipe that stays empty."),
        ]  # fmt: skip
        if any("path" not in table["log"] or table["log"].get("stderr") is True for table in tables):
            texts.append(
                ("childlogdir", "Logs without a path are in the state directory, and are kept over a restart.")
            )
        for key, text in texts:
            imported.lose(Kind.CHANGED, file, 0, key, text)


class _Order:
    """The services by priority: those of each group, and all by the priority of their group."""

    def __init__(self, services: Sequence[tuple[str, Program]]) -> None:
        self._of_groups: dict[str, dict[int, list[str]]] = {}
        self._of_all: dict[int, list[str]] = {}
        for name, program in services:
            self._of_all.setdefault(program.group_priority, []).append(name)
            if program.group:
                own = self._of_groups.setdefault(program.group, {})
                own.setdefault(program.settings["priority"], []).append(name)
        self._priorities = {group: sorted(of) for group, of in self._of_groups.items()}
        self._priorities[""] = sorted(self._of_all)

    def before(self, program: Program) -> tuple[list[str], bool]:
        """The services that supervisord starts just before those of the program; and whether its group has them."""
        if program.group and (found := self._next_lower(program.group, program.settings["priority"])):
            return found, True
        return self._next_lower("", program.group_priority), False

    def _next_lower(self, group: str, priority: int) -> list[str]:
        lower = bisect_left(self._priorities[group], priority)
        of = self._of_groups[group] if group else self._of_all
        return of[self._priorities[group][lower - 1]] if lower else []


def _valid(name: str) -> str:
    """The nearest valid name of a service or group."""
    return _NOT_IN_NAMES.sub("-", name).lstrip(".-")[:100] or "service"
