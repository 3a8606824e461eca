"""How the installed systemd reads units, beside the import.

`systemd --test` reads them in a process of its own, prints what it would do and starts nothing: no manager has to run.
It gets copies of the units and of their drop-ins, and no other unit of the host.  It refuses to run as root, and so it
runs as the user nobody then.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from supervisor.config.importers.side_by_side import (
    NOBODY,
    CheckFailed,
    Comparison,
    Facts,
    facts_of,
    output_of,
    seconds,
    services_of,
    signal_name,
    where,
)
from supervisor.config.importers.systemd.importer import read, units_of
from supervisor.config.importers.systemd.syntax import substituted

PLACES = ("/lib/systemd", "/usr/lib/systemd")
"""Where systemd is installed."""
_UNIT = re.compile("\t(?:->|→) Unit ")  # 252 prints the first arrow, 262 the second
_PART = re.compile("\t\t(?:->|→) ")
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)', re.DOTALL)
_ESCAPE = re.compile(r"\\(?:([0-7]{3})|(.))", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_TARGETS = ("sysinit", "basic", "shutdown", "multi-user", "check")
_UNITS = {"y": 31557600.0, "month": 2629800.0, "w": 604800.0, "d": 86400.0, "h": 3600.0, "min": 60.0, "s": 1.0,
          "ms": 1e-3, "us": 1e-6}  # fmt: skip
_TIME = re.compile(r"([0-9.]+)(month|min|ms|us|y|w|d|h|s)")
_POLICIES = {"no": "never", "always": "always", "on-failure": "on-failure"}
_SHELL = ["/bin/sh", "-c"]

Dump = Mapping[str, Mapping[str, list[str]]]
"""Of each unit the values of each key that systemd prints."""


def side_by_side(paths: Sequence[Path], environment: Mapping[str, str]) -> list[Comparison]:
    """The units as systemd reads them, and as they are imported.  Raises CheckFailed, ImportRefused and OSError."""
    systemd = shutil.which("systemd", path=os.pathsep.join(PLACES))
    if systemd is None:
        text = f"--check looks for the program systemd in {' and '.join(PLACES)}, and there is none"
        raise CheckFailed(text, "Compare on a host that runs systemd.")
    imported = read(paths, environment)
    services, units = services_of(imported), units_of(paths)
    dump = dump_of(systemd, {path.name: path for path in units.values()}, imported.files)
    version = output_of([systemd, "--version"], {}, "/", tool="systemd").split("\n", 1)[0]
    made = Comparison(version)
    for name, path in units.items():
        service = services.get(name)
        real = _real(dump.get(path.name, {}))
        if service is None and (real is None or real.words is None):
            continue
        ours = facts_of(service, environment) if service else None
        if real is not None and ours is not None:
            real, ours = _comparable(real, ours, steps="ExecStartPre" in dump[path.name])
        made.add(name, where(service) if service else str(path), real, ours)
    return [made]


def dump_of(systemd: str, units: Mapping[str, Path], files: Sequence[Path]) -> Dump:
    """What systemd prints of the units, by their names.  `files`: those that make them up."""
    with tempfile.TemporaryDirectory(prefix="phi-import-") as folder:
        place = Path(folder)
        for file in (*units.values(), *files):
            own = place / file.parent.name if file.parent.name.endswith(".d") else place
            if file.is_file() and (own != place or file.suffix in (".service", ".socket", ".timer")):
                own.mkdir(exist_ok=True)
                shutil.copyfile(file, own / file.name)
        for target in _TARGETS:
            wants = f"Wants={' '.join(units)}\n" if target == "check" else ""
            (place / f"{target}.target").write_text(f"[Unit]\nDefaultDependencies=no\n{wants}")
        nobody = os.geteuid() == 0
        if nobody:
            for one in (place, *place.rglob("*")):
                os.chown(one, NOBODY, NOBODY)
        environment = {"PATH": os.environ.get("PATH", ""), "HOME": "/root", "SYSTEMD_UNIT_PATH": folder}
        for kind in ("GENERATOR", "ENVIRONMENT_GENERATOR"):
            environment[f"SYSTEMD_{kind}_PATH"] = f"{folder}/none"
        command = [systemd, "--test", "--system", "--unit=check.target"]
        return dict(_parsed(output_of(command, environment, "/", tool="systemd", nobody=nobody)))


def _parsed(text: str) -> Iterator[tuple[str, dict[str, list[str]]]]:
    block: dict[str, list[str]] = {}
    part = ""
    for line in text.splitlines():
        if found := _UNIT.match(line):
            block, part = {}, ""
            yield line[found.end() :].rstrip(":"), block
        elif found := _PART.match(line):
            part = line[found.end() :].rstrip(":")
        elif line.startswith("\t\t"):
            key, _, value = line.strip().partition(": ")
            block.setdefault(part if key == "Command Line" else key, []).append(value)


def _real(unit: Mapping[str, list[str]]) -> Facts | None:
    if unit.get("Unit Load State") != ["loaded"]:
        return None

    def one(key: str) -> str:
        return unit.get(key, [""])[-1]

    commands = unit.get("ExecStart", [])
    words = tuple(_words(commands[0])) if len(commands) == 1 else None
    settings = {
        "directory": one("WorkingDirectory").lstrip("!-") or "/",
        "user": one("User"),
        "group": one("Group"),
        "umask": one("UMask"),
        "stop signal": signal_name(one("KillSignal")),
        "stop timeout": _seconds(one("TimeoutStopSec")),
        "first delay of a restart": _seconds(one("RestartSec")),
    }
    if one("DynamicUser") == "yes":  # the import takes the user nobody, and says so
        del settings["user"], settings["group"]
    if one("Restart") in _POLICIES:
        settings["restart"] = _POLICIES[one("Restart")]
    assigned = (entry.partition("=") for entry in unit.get("Environment", []))
    return Facts(words, {name: value for name, _, value in assigned}, settings)


def _comparable(real: Facts, ours: Facts, *, steps: bool) -> tuple[Facts, Facts]:
    """The command lines with the variables replaced, and the variables that the unit itself sets.

    `steps`: commands run before, which the import puts into one with the last."""
    variables = {name: value for name, value in (ours.variables or {}).items() if name in (real.variables or {})}
    words = ours.words
    by_shell = real.words is not None and list(real.words[:2]) == _SHELL
    if words is not None and list(words[:2]) == _SHELL and (steps or not by_shell):
        words = None  # the shell takes a value from a file, or runs what stands in ExecStartPre= before
    known = {**(ours.variables or {}), **(real.variables or {})}
    there = None if real.words is None else tuple(map(str, substituted(real.words, known)))
    if words == real.words:  # the prefix `:`, which systemd does not print, replaces nothing
        there = words
    settings = {key: value for key, value in ours.settings.items() if key != "user" or real.settings.get("user")}
    if settings["directory"] == _home(real.settings.get("user", "")):  # `~`, which systemd prints as /
        del settings["directory"]
    if settings.get("restart") == "never" or "restart" not in real.settings:
        settings.pop("first delay of a restart", None)
    return Facts(there, real.variables, real.settings), Facts(words, variables, settings)


def _home(user: str) -> str:
    try:
        return pwd.getpwnam(user).pw_dir
    except KeyError:
        return ""


def _words(line: str) -> Iterator[str]:
    for match in _WORD.finditer(line):
        yield _ESCAPE.sub(_unescaped, match[1]) if match[1] is not None else match[2]


def _unescaped(match: re.Match[str]) -> str:
    return chr(int(match[1], 8)) if match[1] else _ESCAPES.get(match[2], match[2])


def _seconds(text: str) -> str:
    if text == "infinity":
        return "none"
    return seconds(sum(float(number) * _UNITS[unit] for number, unit in _TIME.findall(text)))
