"""Compares how the real supervisord reads a file with how the import reads it.

The reader of an installed supervisord runs in an interpreter of its own.  It starts no program.  The values of
variables are compared, and never shown.
"""

from __future__ import annotations

import glob
import json
import os
import pwd
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from supervisor.config.importers.side_by_side import (
    CheckFailed,
    interpreter_of,
    seconds,
    services_of,
    signal_name,
    where,
)
from supervisor.config.importers.side_by_side import (
    Comparison as SideBySide,
)
from supervisor.config.importers.side_by_side import (
    Row as ServiceRow,
)
from supervisor.config.importers.supervisord.importer import Process, Programs, read_source
from supervisor.config.importers.supervisord.syntax import Source, sources
from supervisor.config.source.expand import expand
from supervisor.config.units import parse_duration

TIMEOUT = 20.0
"""Seconds that the real reader may take."""
_SCRIPT = """
import sys
sys.path[:] = [place for place in sys.path if place]  # modules of this directory are not meant
import json
try:
    import supervisor.options
    reader = supervisor.options.ServerOptions
except (ImportError, AttributeError):
    sys.exit(3)
sys.stdout, kept = sys.stderr, sys.stdout
options = reader()
try:
    options.realize(["-c", sys.argv[1]], doc="", progname="supervisord")
except SystemExit:
    sys.exit(2)
processes, seen = [], set()
for group in options.process_group_configs:
    if group.name in seen:
        continue
    seen.add(group.name)
    listener = hasattr(group, "pool_events")
    for process in group.process_configs:
        processes.append({
            "group": group.name, "name": process.name, "command": process.command,
            "environment": process.environment or {}, "directory": process.directory, "listener": listener,
            "settings": {"user": options.uid if process.uid is None else process.uid,
                         "stop signal": int(process.stopsignal), "stop timeout": process.stopwaitsecs,
                         "autostart": process.autostart, "startsecs": process.startsecs,
                         "retries": process.startretries, "exitcodes": list(process.exitcodes),
                         "restart": getattr(process.autorestart, "__name__", str(process.autorestart))},
        })
directory = None if options.nodaemon else options.directory
json.dump({"version": supervisor.options.VERSION, "directory": directory, "processes": processes}, kept)
"""


@dataclass(frozen=True)
class RealProcess:
    """A process as supervisord would start it.  `words` is its command line, or None where it cannot be split.
    `directory` is None where supervisord's own is meant."""

    group: str
    name: str
    words: tuple[str, ...] | None
    environment: Mapping[str, str]
    directory: str | None
    listener: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)


class RealReading(NamedTuple):
    """What the real reader gives.  `directory` is the one to which supervisord changes as a daemon, or None."""

    version: str
    directory: str | None
    processes: tuple[RealProcess, ...]


@dataclass(frozen=True)
class Difference:
    """One difference.  `real` and `ours` are the two values; of a variable they say only that it differs."""

    group: str
    name: str
    what: str
    real: str
    ours: str

    def __str__(self) -> str:
        return f"{self.group}:{self.name}: {self.what}: {self.real} in supervisord, {self.ours} here"


@dataclass(frozen=True)
class Row:
    """A program, side by side: how many processes it has, and the command, the directory and the names of the variables
    of its first one."""

    program: str
    numprocs: tuple[int, int]
    command: tuple[str, str]
    directory: tuple[str, str]
    variables: tuple[tuple[str, ...], tuple[str, ...]]
    differences: tuple[Difference, ...]


class Comparison(NamedTuple):
    """All programs, and the version of the supervisord that read the file."""

    version: str
    rows: tuple[Row, ...]

    @property
    def differences(self) -> tuple[Difference, ...]:
        return tuple(difference for row in self.rows for difference in row.differences)


def real_reading(source: Source, interpreter: str, environment: Mapping[str, str], cwd: str) -> RealReading:
    """What the supervisord of `interpreter` (a python that can import it, or the program supervisord) makes of a file,
    and of those that it includes.

    Raises CheckFailed where there is none, where it refuses the file, or takes longer than TIMEOUT seconds."""
    if source.main is not None:
        return _reading(source.main, interpreter, environment, cwd)
    with tempfile.TemporaryDirectory() as folder:
        main = Path(folder, "supervisord.conf")
        files = " ".join(glob.escape(str(path.absolute())).replace("%", "%%") for path in source.others)
        main.write_text(f"[supervisord]\n[include]\nfiles={files}\n")
        return _reading(main, interpreter, environment, cwd)


def _reading(path: Path, interpreter: str, environment: Mapping[str, str], cwd: str) -> RealReading:
    python = _python_of(interpreter)
    try:
        done = subprocess.run(
            [python, "-c", _SCRIPT, str(path.absolute())],
            env=dict(environment),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT,
            check=False,
        )
    except OSError as error:
        raise CheckFailed(f"{python} cannot be run: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise CheckFailed(f"supervisord did not read {path} within {TIMEOUT:g} s") from None
    if done.returncode == 3:
        raise CheckFailed(f"{python} has no supervisord", "Name a python or a supervisord that has it.")
    if done.returncode == 2:
        raise CheckFailed(f"supervisord refuses {path}", f"`supervisord -n -c {path}` says why.")
    try:
        read = json.loads(done.stdout)
        return RealReading(read["version"], read["directory"], tuple(_real(process) for process in read["processes"]))
    except (ValueError, KeyError, TypeError):
        raise CheckFailed(f"the supervisord of {python} gave an answer that is not understood") from None


def find_supervisord(path: str | None = None) -> str:
    """The program supervisord on `path` (None: PATH of this process).  Raises CheckFailed where there is none."""
    found = shutil.which("supervisord", path=path)
    if found is None:
        raise CheckFailed(
            "--check looks for the program supervisord in PATH, and there is none",
            "Install it into an environment of its own (python3 -m venv DIR; DIR/bin/pip install supervisor), and put "
            "DIR/bin at the end of PATH.",
        )
    return found


def _python_of(program: str) -> str:
    """The interpreter of a Python script by its first line; a program that is none is the interpreter itself."""
    found = shutil.which(program)
    if found is None:
        raise CheckFailed(f"there is no program {program}")
    return found if os.path.basename(found).startswith("python") else interpreter_of(found)  # noqa: PTH119


def _real(process: Mapping[str, Any]) -> RealProcess:
    try:
        words: tuple[str, ...] | None = tuple(shlex.split(process["command"]))
    except ValueError:
        words = None
    return RealProcess(
        process["group"],
        process["name"],
        words or None,
        process["environment"],
        process["directory"],
        process["listener"],
        process.get("settings", {}),
    )


def compare(real: RealReading, programs: Programs, environment: Mapping[str, str], cwd: str) -> Comparison:
    """Both readings of each program.  `environment` and `cwd` are those of supervisord.

    Event listeners, and programs that supervisord never starts because their command has no words, are left out, as the
    import leaves them out."""
    cwd = os.path.normpath(os.path.join(cwd, real.directory or ""))  # noqa: PTH118
    ours = {(process.group, process.name): made for process, made in _ours(programs, environment)}
    theirs = {(one.group, one.name): one for one in real.processes if not one.listener and one.words}
    labels: dict[str, list[tuple[str, str]]] = {}
    for key in theirs:
        labels.setdefault(key[0], []).append(key)
    for key in ours:
        if key not in theirs:
            labels.setdefault(key[0], []).append(key)
    rows = tuple(_row(label, keys, theirs, ours, cwd) for label, keys in labels.items())
    return Comparison(real.version, rows)


class _Made(NamedTuple):
    words: tuple[str, ...]
    environment: Mapping[str, str]
    directory: str


def _ours(programs: Programs, environment: Mapping[str, str]) -> Iterator[tuple[Process, _Made]]:
    """Each process that the import has, with its instance of a service."""
    for service in programs.imported.services:
        table = service.table
        first = table.get("first_replica", 1)

        def text(value: str, number: int) -> str:
            written = expand(value, environment) if type(value) is not str else value
            return written.replace("{replica}", str(number))

        command = table["command"]
        if table.get("sockets"):
            command = command[3:]
        for index, process in enumerate(programs.processes[service.name]):
            number = first + index
            yield (
                process,
                _Made(
                    tuple(text(word, number) for word in command),
                    {name: text(value, number) for name, value in table.get("environment", {}).items()},
                    text(table["directory"], number),
                ),
            )


def _row(
    label: str,
    keys: Sequence[tuple[str, str]],
    theirs: Mapping[tuple[str, str], RealProcess],
    ours: Mapping[tuple[str, str], _Made],
    cwd: str,
) -> Row:
    differences: list[Difference] = []
    for key in keys:
        differences += _differences(key, theirs.get(key), ours.get(key), cwd)
    there = [theirs[key] for key in keys if key in theirs]
    here = [ours[key] for key in keys if key in ours]
    return Row(
        label,
        (len(there), len(here)),
        (shlex.join(there[0].words or ()) if there else "", shlex.join(here[0].words) if here else ""),
        (_directory(there[0], cwd) if there else "", here[0].directory if here else ""),
        (tuple(sorted(there[0].environment)) if there else (), tuple(sorted(here[0].environment)) if here else ()),
        tuple(differences),
    )


def _directory(process: RealProcess, cwd: str) -> str:
    return cwd if process.directory is None else os.path.normpath(os.path.join(cwd, process.directory))  # noqa: PTH118


def _differences(key: tuple[str, str], real: RealProcess | None, made: _Made | None, cwd: str) -> Iterator[Difference]:
    if real is None or made is None:
        there, here = ("a process", "none") if made is None else ("none", "a process")
        yield Difference(*key, "process", there, here)
        return
    if real.words != made.words:
        yield Difference(*key, "command", shlex.join(real.words or ()), shlex.join(made.words))
    if _directory(real, cwd) != os.path.normpath(made.directory):
        yield Difference(*key, "directory", _directory(real, cwd), made.directory)
    for name in sorted(real.environment.keys() | made.environment.keys()):
        given = [name in environment for environment in (real.environment, made.environment)]
        if not all(given):
            yield Difference(*key, f"variable {name}", *("set" if one else "not set" for one in given))
        elif real.environment[name] != made.environment[name]:
            yield Difference(*key, f"variable {name}", "another value", "another value")


def check(
    paths: Sequence[Path], environment: Mapping[str, str], interpreter: str | None = None, cwd: Path | None = None
) -> tuple[Comparison, ...]:
    """Both readings of files side by side, for each main file among them.

    `environment` and `cwd` (None: that of this process) are those with which supervisord is started.  `interpreter`: a
    python that has supervisord, or a supervisord; None: the supervisord on PATH of `environment`.  Raises CheckFailed,
    ImportRefused and OSError."""
    found = find_supervisord(environment.get("PATH")) if interpreter is None else interpreter
    cwd = Path.cwd() if cwd is None else cwd
    return tuple(
        compare(
            real_reading(source, found, environment, str(cwd)),
            read_source(source, environment, cwd=cwd),
            environment,
            str(cwd),
        )
        for source in sources(paths)
    )


_POLICIES = {
    "RestartUnconditionally": "always",
    "RestartWhenExitUnexpected": "on-failure",
    "False": "never",
}


def side_by_side(paths: Sequence[Path], environment: Mapping[str, str]) -> list[SideBySide]:
    """Each main file as supervisord reads it, and as it is imported.  Raises CheckFailed, ImportRefused and OSError."""
    interpreter, cwd = find_supervisord(environment.get("PATH")), Path.cwd()
    found = []
    for source in sources(paths):
        real = real_reading(source, interpreter, environment, str(cwd))
        programs = read_source(source, environment, cwd=cwd)
        made = SideBySide(f"supervisord {real.version}", {"command line", "variables", "directory"})
        for row in compare(real, programs, environment, str(cwd)).rows:
            count = row.numprocs[0]
            differences = [*map(str, row.differences), *_settings(row.program, real, programs, made)]
            name = f"{row.program}, {count} process{'' if count == 1 else 'es'}"
            made.rows.append(ServiceRow(name, _place(row.program, programs), tuple(differences)))
        found.append(made)
    return found


def _place(group: str, programs: Programs) -> str:
    services = services_of(programs.imported)
    places = [
        where(services[name])
        for name, processes in programs.processes.items()
        if any(process.group == group for process in processes)
    ]
    return places[0] if places else programs.imported.services[0].file if programs.imported.services else ""


def _settings(group: str, real: RealReading, programs: Programs, made: SideBySide) -> Iterator[str]:
    """How the policies of the processes of a group differ."""
    services = services_of(programs.imported)
    tables = {
        (process.group, process.name): services[name].table
        for name, processes in programs.processes.items()
        for process in processes
    }
    for process in real.processes:
        table = tables.get((process.group, process.name))
        if process.group != group or table is None or not process.settings:
            continue
        there = {
            "user": str(process.settings["user"] if process.settings["user"] is not None else ""),
            "stop signal": signal_name(process.settings["stop signal"]),
            "stop timeout": seconds(float(process.settings["stop timeout"])),
            "autostart": "yes" if process.settings["autostart"] else "no",
            "restart": _POLICIES.get(process.settings["restart"], process.settings["restart"]),
        }
        here = {
            "user": _uid(table.get("user")),
            "stop signal": signal_name(table.get("stop_signal", "TERM")),
            "stop timeout": seconds(parse_duration(str(table.get("stop_timeout", "10s")))),
            "autostart": "yes" if table.get("autostart", True) else "no",
            "restart": str(table.get("restart", {}).get("policy", "on-failure")),
        }
        if "startsecs" in process.settings:
            there |= _tries(process.settings)
            here |= _tries_here(table)
        made.compared.update(there)
        for name, value in there.items():
            if value != here[name]:
                yield str(Difference(process.group, process.name, name, value or "none", here[name] or "none"))


def _tries(settings: Mapping[str, Any]) -> dict[str, str]:
    """When supervisord takes a start for a success, which ends are one, and how many failures in a row it allows."""
    begin = max(int(settings["startsecs"]), 0)
    found = {"startsecs": seconds(begin), "exitcodes": _codes(settings["exitcodes"])}
    if begin and _POLICIES.get(settings["restart"]) != "never":
        found["startretries"] = str(max(int(settings["retries"]), 1))
    return found


def _tries_here(table: Mapping[str, Any]) -> dict[str, str]:
    restart = table.get("restart", {})
    return {
        "startsecs": seconds(parse_duration(str(table.get("ready", {}).get("delay", "0s")))),
        "exitcodes": _codes(restart.get("success_exit_codes", [0])),
        "startretries": str(restart.get("max_restarts", "")),
    }


def _codes(codes: Sequence[int]) -> str:
    return ", ".join(map(str, dict.fromkeys(codes)))


def _uid(user: Any) -> str:
    if user is None:
        return ""
    try:
        return str(user) if str(user).isdigit() else str(pwd.getpwnam(str(user)).pw_uid)
    except KeyError:
        return str(user)
