"""Compares how a tool itself reads its files with how the import reads them.

The reader of the installed tool runs in a process of its own, and starts no program of the user.  The values of
variables are compared, and never shown.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from supervisor.config.importers.imported import Expanded, Imported, ImportedService
from supervisor.config.source.expand import expand, parse_environment_file
from supervisor.config.units import parse_duration, parse_size
from supervisor.errors import ConfigError

TIMEOUT = 30.0
"""Seconds that a tool may take to read its files."""
ENDLESS = 36500 * 86400.0
"""Seconds from which on a time is none."""
_OPEN = ("PORT", "PATH", "HOME")
"""Variables whose values may stand in a command line that is shown."""
_SHORTEST_SECRET = 4
NOBODY = 65534
"""The number of the user and of the group nobody."""
_SHEBANG = b"#!"


class CheckFailed(ConfigError):
    """The two readings cannot be compared: the tool is not installed, or refuses the files."""


WITHOUT_END = 1_000_000
"""So many restarts and more are shown as without end."""


class Hidden(str):
    """A text in which the value of a variable may stand: it is compared, and not shown."""

    __slots__ = ()


class Facts(NamedTuple):
    """How one process is run.  What is None, or a setting that only one of the two has, is not compared."""

    words: tuple[str, ...] | None
    variables: Mapping[str, str] | None
    settings: dict[str, str]


@dataclass(frozen=True)
class Row:
    """A service: `where` it stands, and the differences, a text each."""

    service: str
    where: str
    differences: tuple[str, ...]


@dataclass
class Comparison:
    """`tool`: the program that read the files, with its version.  `compared`: the names of what was."""

    tool: str
    compared: set[str] = field(default_factory=set)
    rows: list[Row] = field(default_factory=list)

    def add(self, service: str, where: str, real: Facts | None, ours: Facts | None) -> None:
        """Compare one service; None: one of the two does not have it."""
        found: tuple[str, ...]
        if real is None or ours is None:
            short = self.tool.split()[0]
            found = (f"{short} has no such process" if real is None else f"{short} runs it, and the import does not",)
        else:
            found = tuple(self._differences(real, ours))
        self.rows.append(Row(service, where, found))

    def _differences(self, real: Facts, ours: Facts) -> Iterator[str]:
        def differ(what: str, there: str, here: str) -> str:
            return f"{what}: {there or 'none'} in {self.tool.split()[0]}, {here or 'none'} here"

        if real.words is not None and ours.words is not None:
            self.compared.add("command line")
            if real.words != ours.words:
                there, here = _shown(real.words, real, ours), _shown(ours.words, real, ours)
                yield differ("command line", *(("another value",) * 2 if there == here else (there, here)))
        if real.variables is not None and ours.variables is not None:
            self.compared.add("variables")
            for name in sorted(real.variables.keys() | ours.variables.keys()):
                if (name in real.variables) != (name in ours.variables):
                    there, here = ("set" if name in one else "not set" for one in (real.variables, ours.variables))
                    yield differ(f"variable {name}", there, here)
                elif real.variables[name] != ours.variables[name]:
                    yield differ(f"variable {name}", "another value", "another value")
        for name in real.settings:
            if name in ours.settings:
                self.compared.add(name)
                there, here = real.settings[name], ours.settings[name]
                if there != here:
                    hidden = isinstance(there, Hidden) or isinstance(here, Hidden)
                    yield differ(name, *(("another value",) * 2 if hidden else (there, here)))


def _shown(words: Sequence[str], *facts: Facts) -> str:
    """A command line with the name of a variable in the place of its value."""
    text = shlex.join(words)
    named = {value: name for one in facts for name, value in (one.variables or {}).items() if name not in _OPEN}
    for value in sorted(named, key=len, reverse=True):
        if len(value) >= _SHORTEST_SECRET:
            text = text.replace(value, f"${named[value]}")
    return text


def check(
    of: Mapping[str, Sequence[Path]], environment: Mapping[str, str], pm2_env: str | None = None
) -> list[Comparison]:
    """The comparisons of the files of each tool.  Raises CheckFailed, ImportRefused and OSError."""
    found: list[Comparison] = []
    for tool, paths in of.items():
        further = {"env": pm2_env} if tool == "pm2" else {}
        module = import_module(f"{__package__}.{tool}.check")
        found += module.side_by_side(paths, environment, **further)
    return found


def services_of(imported: Imported) -> dict[str, ImportedService]:
    """The services by name."""
    return {service.name: service for service in imported.services}


def where(service: ImportedService) -> str:
    """The place of a service in its file."""
    return f"{service.file}:{service.line}" if service.line else service.file


def facts_of(service: ImportedService, environment: Mapping[str, str], number: int = 1) -> Facts:
    """What a service of the import is: instance `number`, in a daemon with that environment."""
    table = service.table
    port = ""
    if "ports" in table:
        port = str(int(str(table["ports"]).partition("-")[0]) + number - int(table.get("first_replica", 1)))

    def text(value: Any) -> str:
        written = expand(value, environment) if isinstance(value, Expanded) else str(value)
        return written.replace("{replica}", str(number)).replace("{port}", port)

    variables: dict[str, str] = {"PORT": port} if port else {}
    for one in _listed(table.get("environment_file")):
        path = Path(one["path"] if isinstance(one, Mapping) else one)
        if path.is_file():
            variables |= parse_environment_file(path.read_text())[0]
    variables |= {name: text(value) for name, value in table.get("environment", {}).items()}
    restart = table.get("restart", {})
    settings = {
        "directory": os.path.normpath(text(table["directory"])) if "directory" in table else "",
        "user": str(table.get("user", "")),
        "group": str(table.get("group", "")),
        "stop signal": signal_name(table.get("stop_signal", "TERM")),
        "stop timeout": seconds(parse_duration(str(table.get("stop_timeout", "10s")))),
        "restart": str(restart.get("policy", "on-failure")),
        "replicas": str(table.get("replicas", 1)),
        "autostart": "yes" if table.get("autostart", True) else "no",
        "depends_on": dependencies((one["service"], one["condition"]) for one in table.get("depends_on", ())
                                   if isinstance(one, Mapping)),
        "exit codes without a restart": ", ".join(map(str, restart.get("exit_codes", {}).get("never", ()))),
        "memory": str(parse_size(str(table["resources"]["max_memory"]))) if "resources" in table else "",
    }  # fmt: skip
    if "max_restarts" in restart:
        settings["most restarts"] = most_restarts(restart["max_restarts"])
    if "initial" in restart:
        settings["first delay of a restart"] = seconds(parse_duration(str(restart["initial"])))
    if "umask" in table:
        settings["umask"] = f"{int(str(table['umask']), 8):04o}"
    if "stop" in table:  # its steps say when, and with what
        del settings["stop signal"], settings["stop timeout"]
    return Facts(tuple(map(text, table["command"])), variables, settings)


def dependencies(of: Iterable[tuple[str, str]]) -> str:
    """Services and what is waited for, in the order of the names."""
    return ", ".join(f"{name} {condition}" for name, condition in sorted(of))


def most_restarts(number: int) -> str:
    return "without end" if number >= WITHOUT_END else str(number)


def _listed(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def signal_name(written: Any) -> str:
    """The name of a signal, without SIG."""
    text = str(written).upper().removeprefix("SIG")
    if text.isdigit():
        try:
            return signal.Signals(int(text)).name.removeprefix("SIG")
        except ValueError:
            return text
    return text


def seconds(time: float) -> str:
    """A time as it is compared and shown."""
    return "none" if time >= ENDLESS else f"{time:g} s"


def program(name: str, environment: Mapping[str, str], hint: str) -> str:
    """The path of the program.  CheckFailed where PATH does not have it."""
    found = shutil.which(name, path=environment.get("PATH"))
    if found is None:
        raise CheckFailed(f"--check looks for the program {name} in PATH, and there is none", hint)
    return found


def interpreter_of(path: str) -> str:
    """The interpreter of a script by its first line; the program itself where it is no script."""
    with open(path, "rb") as file:
        first = file.readline(500)
    words = first[2:].decode(errors="replace").split() if first.startswith(_SHEBANG) else []
    if words and os.path.basename(words[0]) == "env":  # noqa: PTH119
        words = words[1:]
    return words[0] if words else path


def output_of(
    command: Sequence[str],
    environment: Mapping[str, str],
    cwd: Path | str,
    *,
    tool: str,
    given: str = "",
    nobody: bool = False,
) -> str:
    """What a tool prints.  CheckFailed where it ends with an error, which may hold values, and is not shown."""
    try:
        done = subprocess.run(
            command,
            env=dict(environment),
            cwd=cwd,
            input=given.encode(),
            capture_output=True,
            timeout=TIMEOUT,
            check=False,
            user=NOBODY if nobody else None,
            group=NOBODY if nobody else None,
            extra_groups=() if nobody else None,
        )
    except OSError as error:
        raise CheckFailed(f"{command[0]} cannot be run: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise CheckFailed(f"{tool} did not read the file within {TIMEOUT:g} s") from None
    if done.returncode:
        raise CheckFailed(f"{tool} refuses the file (exit code {done.returncode})", "Run the tool itself to see why.")
    return done.stdout.decode(errors="replace")
