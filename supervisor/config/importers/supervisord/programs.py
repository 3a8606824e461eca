"""The programs of a supervisord.conf, each copy with what supervisord 4.3.0 would start: its command line as text, its
environment and its settings.

Every text is expanded twice: with the values that variables have now, and with a mark in place of each variable of the
environment, so that `%(ENV_X)s` can become `${X}`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from supervisor.config.importers.imported import ImportRefused
from supervisor.config.importers.supervisord import syntax
from supervisor.config.importers.supervisord.syntax import Ini, Names, NoOptionError, Pairs, Where, expand
from supervisor.config.importers.supervisord.tables import socket

T = TypeVar("T")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""What can stand in `${…}`."""
MOST_COPIES = 1000
"""Processes of one program that are read; a larger `numprocs` is a slip of the keyboard."""
_ENV = "ENV_"
_KINDS = ("program", "eventlistener", "fcgi-program")
_IN_GROUPS = ("program", "fcgi-program")


@dataclass(frozen=True)
class Marks:
    """The marks that stand for variables of the environment: each is one word of letters that occurs nowhere else."""

    names: dict[str, str]
    """Mark of each variable."""

    def reals(self, environment: Mapping[str, str]) -> dict[str, str]:
        return {mark: environment[name] for name, mark in self.names.items()}

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Marks:
        names = sorted(name for name in environment if VARIABLE.fullmatch(name))
        return cls({name: f"zqPHIz{_letters(number)}zq" for number, name in enumerate(names)})


def _letters(number: int) -> str:
    return "".join(chr(ord("a") + int(digit)) for digit in f"{number:04d}")


class Texts(NamedTuple):
    """The texts of one copy of a program.  A log is a path, or "" for none, or None for a file that is chosen."""

    name: str
    command: str
    directory: str | None
    environment: Pairs
    logs: dict[str, str | None]


@dataclass(frozen=True)
class Copy:
    """One process.  `marked` has the marks; None where supervisord would not accept them as text.  `literal` are the
    variables whose values are in the texts."""

    number: int
    texts: Texts
    marked: Texts | None
    literal: tuple[str, ...] = ()


@dataclass
class Program:
    """A section with all that is the same for its copies.  `group` is the one of [group:…], else ""."""

    section: str
    name: str
    group: str
    where: Where
    group_priority: int
    settings: dict[str, Any]
    """By the names of the keys: numprocs, priority, autostart, autorestart …"""
    copies: list[Copy] = field(default_factory=list)

    @property
    def kind(self) -> str:
        return self.section.partition(":")[0]

    @property
    def owner(self) -> str:
        """The name of the group, which is that of the program unless it is in another one."""
        return self.group or self.name


class _Kind(NamedTuple):
    convert: Callable[[str], Any]
    default: Any


SETTINGS: dict[str, _Kind] = {
    "priority": _Kind(syntax.integer, 999),
    "autostart": _Kind(syntax.boolean, True),
    "autorestart": _Kind(syntax.restart_policy, "on-failure"),
    "startsecs": _Kind(syntax.integer, 1),
    "startretries": _Kind(syntax.integer, 3),
    "stopsignal": _Kind(syntax.signal_number, 15),
    "stopwaitsecs": _Kind(syntax.integer, 10),
    "stopasgroup": _Kind(syntax.boolean, False),
    "killasgroup": _Kind(syntax.boolean, None),
    "exitcodes": _Kind(syntax.exit_codes, [0]),
    "redirect_stderr": _Kind(syntax.boolean, False),
    "numprocs": _Kind(syntax.integer, 1),
    "numprocs_start": _Kind(syntax.integer, 0),
    "stdout_capture_maxbytes": _Kind(syntax.size, 0),
    "stdout_events_enabled": _Kind(syntax.boolean, False),
    "stderr_capture_maxbytes": _Kind(syntax.size, 0),
    "stderr_events_enabled": _Kind(syntax.boolean, False),
    "serverurl": _Kind(lambda text: None if text.strip().upper() == "AUTO" else text, None),
    "user": _Kind(str, None),
    "umask": _Kind(syntax.octal, None),
    "stdout_logfile_backups": _Kind(syntax.integer, 10),
    "stdout_logfile_maxbytes": _Kind(syntax.size, 50 * 1024**2),
    "stdout_syslog": _Kind(syntax.boolean, False),
    "stderr_logfile_backups": _Kind(syntax.integer, 10),
    "stderr_logfile_maxbytes": _Kind(syntax.size, 50 * 1024**2),
    "stderr_syslog": _Kind(syntax.boolean, False),
}
"""The keys of a program that are the same for all its copies."""
TEXTS = ("command", "process_name", "directory", "environment", "stdout_logfile", "stderr_logfile")
SUPERVISORD: dict[str, _Kind] = {
    "minfds": _Kind(syntax.integer, 1024),
    "minprocs": _Kind(syntax.integer, 200),
    "directory": _Kind(str, None),
    "user": _Kind(str, None),
    "umask": _Kind(syntax.octal, 0o22),
    "logfile": _Kind(str, None),
    "logfile_maxbytes": _Kind(syntax.size, None),
    "logfile_backups": _Kind(syntax.integer, None),
    "loglevel": _Kind(str, None),
    "pidfile": _Kind(str, None),
    "identifier": _Kind(str, None),
    "nodaemon": _Kind(syntax.boolean, False),
    "silent": _Kind(syntax.boolean, False),
    "childlogdir": _Kind(str, None),
    "nocleanup": _Kind(syntax.boolean, False),
    "strip_ansi": _Kind(syntax.boolean, False),
}


class Reader:
    """Reads the programs of a file.  `daemon` has the settings of [supervisord], `shared` its environment."""

    def __init__(self, ini: Ini, environment: Mapping[str, str], host: str) -> None:
        self.ini, self._host = ini, host
        self.marks = Marks.of(environment)
        self.unstarted: list[tuple[Program, str]] = []
        """Programs of which supervisord does not start all, although it accepts the file, and why."""
        self._names = {f"{_ENV}{name}": value for name, value in environment.items()}
        self._marked = self._names | {f"{_ENV}{name}": mark for name, mark in self.marks.names.items()}
        self._outside = set(self._names)
        self.fixed: dict[tuple[str, str], list[str]] = {}
        """Variables whose value decides a setting, by section and key: it is taken as it is now."""
        if "supervisord" not in ini.sections:
            raise ImportRefused(ini.file, 0, "there is no section [supervisord]")
        here = {"here": ini.here}
        self.daemon = {key: self._setting("supervisord", key, kind, here) for key, kind in SUPERVISORD.items()}
        self.shared, self.shared_marked = self._shared_environment()

    def _shared_environment(self) -> tuple[Pairs, Pairs | None]:
        """The environment of [supervisord], which also counts as ENV_… from here on.  It is expanded twice."""
        section = "supervisord"
        names = {"here": self.ini.here}
        first = self._text(section, "environment", Names(self._names, names), "")
        names["host_node_name"] = self._host
        plain = self._converted(section, "environment", lambda: syntax.pairs(expand(first, Names(names, self._names))))
        marked = None
        try:
            once = self._text(section, "environment", Names(self._marked, {"here": self.ini.here}), "")
            marked = syntax.pairs(expand(once, Names(names, self._marked)))
        except (ValueError, ImportRefused):
            marked = None
        for name, value in plain.values.items():
            self._names[f"{_ENV}{name}"] = value
            self._marked[f"{_ENV}{name}"] = marked.values.get(name, value) if marked else value
            self._outside.discard(f"{_ENV}{name}")
        return plain, marked

    def programs(self) -> list[Program]:
        """Programs in the order in which supervisord starts their groups.  Raises ImportRefused."""
        found: list[Program] = []
        grouped: set[str] = set()
        for section in self._of_kind("group"):
            found += self._group(section, grouped)
        for kind in _KINDS:
            for section in self._of_kind(kind):
                if section not in grouped or kind == "eventlistener":
                    found.append(self._alone(section))
        found.sort(key=lambda program: (program.group_priority, program.owner))
        return self._started(found)

    def _started(self, programs: list[Program]) -> list[Program]:
        """Those that supervisord starts.  Of groups with one name it takes the first, of processes with one name in a
        group the last; `unstarted` gets the others."""
        sections: dict[str, str] = {}
        kept = []
        for program in programs:
            section = f"group:{program.group}" if program.group else program.section
            if sections.setdefault(program.owner, section) == section:
                kept.append(program)
            else:
                self.unstarted.append((program, f"the group {program.owner} is [{sections[program.owner]}]"))
        last: dict[tuple[str, str], tuple[Program, Copy]] = {}
        for program in kept:
            last |= {(program.owner, copy.texts.name): (program, copy) for copy in program.copies}
        for program in kept:
            for copy in program.copies[:]:
                other, winner = last[program.owner, copy.texts.name]
                if winner is not copy:
                    program.copies.remove(copy)
                    self.unstarted.append((program, f"{copy.texts.name} is a process of [{other.section}]"))
        return [program for program in kept if program.copies or program.settings["numprocs"] < 1]

    def _of_kind(self, kind: str) -> list[str]:
        return [section for section in self.ini.sections if section.startswith(f"{kind}:")]

    def _group(self, section: str, grouped: set[str]) -> list[Program]:
        here = {"here": self.ini.here}
        group = self._named(section)
        if not self.ini.has(section, "programs"):
            members = []
        else:
            members = syntax.names_of(self._text(section, "programs", Names(self._names, here), ""))
        priority = self._setting(section, "priority", SETTINGS["priority"], here)
        found = []
        for member in members:
            known = [f"{kind}:{member}" for kind in _IN_GROUPS if f"{kind}:{member}" in self.ini.sections]
            if len(known) != 1:
                what = "is both a program and an fcgi-program" if known else "is neither a program nor an fcgi-program"
                raise ImportRefused(*self.ini.where(section, "programs"), f"[{section}]: {member} {what}")
            grouped.add(known[0])
            found.append(self._program(known[0], group, priority))
        return found

    def _alone(self, section: str) -> Program:
        kind = section.partition(":")[0]
        default = SETTINGS["priority"] if kind != "eventlistener" else _Kind(syntax.integer, -1)
        priority = self._setting(section, "priority", default, {"here": self.ini.here})
        program = self._program(section, "", priority)
        self._require_own_keys(program)
        return program

    def _require_own_keys(self, program: Program) -> None:
        """What only an event listener, or a program with a socket, must or must not have."""
        key = {"eventlistener": "events", "fcgi-program": "socket"}.get(program.kind)
        names = {"here": self.ini.here, "program_name": program.name}
        if key is not None and not self._text(program.section, key, Names(self._names, names), ""):
            raise ImportRefused(*program.where, f"[{program.section}] has no {key}")
        if key == "socket":
            self.socket(program)
        if program.kind == "eventlistener" and program.settings["redirect_stderr"]:
            where = self.ini.where(program.section, "redirect_stderr")
            raise ImportRefused(*where, f"[{program.section}]: redirect_stderr=true is refused for an event listener")

    def _program(self, section: str, group: str, group_priority: int) -> Program:
        name = self._named(section)
        names = {
            "here": self.ini.here,
            "program_name": name,
            "host_node_name": self._host,
            "group_name": group or name,
        }
        settings = {key: self._setting(section, key, kind, names) for key, kind in SETTINGS.items()}
        if settings["killasgroup"] is None:
            settings["killasgroup"] = settings["stopasgroup"]
        where = self.ini.where
        if settings["stopasgroup"] and not settings["killasgroup"]:
            raise ImportRefused(
                *where(section, "killasgroup"), f"[{section}]: stopasgroup=true with killasgroup=false is refused"
            )
        process_name = self._converted(section, "process_name", lambda: syntax.name(self._process_name(section)))
        if settings["numprocs"] > 1 and "%(process_num)" not in process_name:
            raise ImportRefused(
                *where(section, "numprocs"), f"[{section}]: numprocs needs %(process_num) in process_name"
            )
        if settings["numprocs"] > MOST_COPIES:
            raise ImportRefused(
                *where(section, "numprocs"), f"[{section}]: more than {MOST_COPIES} processes are not imported"
            )
        program = Program(section, name, group, where(section), group_priority, settings)
        first = settings["numprocs_start"]
        for number in range(first, first + settings["numprocs"]):
            program.copies.append(self._copy(section, names, number, settings["numprocs"], process_name))
        return program

    def _process_name(self, section: str) -> str:
        has = self.ini.has(section, "process_name")
        return self.ini.raw(section, "process_name") if has else "%(program_name)s"

    def _copy(self, section: str, names: Mapping[str, str], number: int, count: int, process_name: str) -> Copy:
        own: dict[str, Any] = {**names, "process_num": number, "numprocs": count}
        texts, asked = self._texts(section, own, self._names, process_name)
        literal = {name for name in asked if name in self._outside and name not in own}
        try:
            marked: Texts | None = self._texts(section, own, self._marked, process_name)[0]
        except ImportRefused:
            marked = None
        return Copy(number, texts, marked, tuple(sorted(name.removeprefix(_ENV) for name in literal)))

    def _texts(
        self, section: str, own: Mapping[str, Any], outer: Mapping[str, str], process_name: str
    ) -> tuple[Texts, list[str]]:
        """One copy's texts, and the names that were used.  Its environment counts as ENV_… in all that follows it."""
        names = Names(own, outer)
        raw = self.ini.raw(section, "environment") if self.ini.has(section, "environment") else ""
        environment = self._converted(section, "environment", lambda: syntax.pairs(expand(raw, names)))
        asked = list(names.asked)
        inner = {f"{_ENV}{name}": value for name, value in environment.values.items()}
        names = Names(outer, own, inner)
        asked_before = [name for name in asked if name not in inner]
        directory = self._text(section, "directory", names, None)
        logs = {}
        for stream in ("stdout", "stderr"):
            key = f"{stream}_logfile"
            text = self._text(section, key, names, None)
            if text is not None:  # supervisord expands it twice
                text = self._converted(section, key, lambda text=text: expand(text, names))  # type: ignore[misc]
            logs[stream] = _log(text)
        if not self.ini.has(section, "command"):
            raise ImportRefused(*self.ini.where(section), f"[{section}] has no command")
        command = self._text(section, "command", names, "")
        name = self._converted(section, "process_name", lambda: expand(process_name, names))
        used = asked_before + [name for name in names.asked if name not in inner]
        return Texts(name, command or "", directory, environment, logs), used

    def socket(self, program: Program) -> str:
        """The socket of an fcgi-program, as services.toml writes it."""
        section = program.section
        url, mode = self.text(section, "socket", program_name=program.name), self.text(section, "socket_mode")
        return self._converted(section, "socket", lambda: socket(url or "", mode))

    # -- single keys ---------------------------------------------------------------------------------------------

    def _named(self, section: str) -> str:
        return self._converted(section, "", lambda: syntax.name(section.split(":", 1)[1]))

    def _setting(self, section: str, key: str, kind: _Kind, names: Mapping[str, str]) -> Any:
        table = Names(self._names, names)
        text = self._text(section, key, table, None)
        if used := [name.removeprefix(_ENV) for name in table.asked if name in self._outside]:
            self.fixed[section, key] = used
        return kind.default if text is None else self._converted(section, key, lambda: kind.convert(text))

    def _text(self, section: str, key: str, names: Names, default: T) -> str | T:
        """The expanded text of a key."""
        try:
            raw = self.ini.raw(section, key)
        except NoOptionError:
            return default
        return self._converted(section, key, lambda: expand(raw, names))

    def text(self, section: str, key: str, **names: str) -> str | None:
        """The expanded text of a key that no program has in common with others.  `names` can stand in it, too."""
        return self._text(section, key, Names(self._names, {"here": self.ini.here}, names), None)

    def _converted(self, section: str, key: str, convert: Callable[[], T]) -> T:
        try:
            return convert()
        except ValueError as error:
            hint = ""
            if unset := re.search(r"%\(ENV_(\w+)\)s has no value", str(error)):
                hint = f"Set the variable {unset[1]} for the import, as it is set where supervisord runs."
            elif "has no value" in str(error):
                more = ", host_node_name, program_name, group_name, process_num, numprocs" if ":" in section else ""
                hint = f"Known here are ENV_NAME, here{more}."
            where = self.ini.where(section, key)
            raise ImportRefused(
                *where, f"[{section}] {key}: {error}" if key else f"[{section}] {error}", hint
            ) from None


def _log(text: str | None) -> str | None:
    """The path of a log; "" for none, None for one that is chosen, "syslog" for syslog."""
    word = "auto" if text is None else text.lower()
    if word in ("none", "off"):
        return ""
    return None if word == "auto" else "syslog" if word == "syslog" else text
