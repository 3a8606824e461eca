"""What a unit runs, and with which environment: `Exec…=` and `Environment…=` as a command and variables here.

Variables are replaced as systemd 252 replaces them. One that comes from a file is left to /bin/sh: its value may be a
secret, and changes with the file.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from supervisor.config.importers.imported import Kind
from supervisor.config.importers.systemd.files import Unit
from supervisor.config.importers.systemd.specifiers import UnknownSpecifier
from supervisor.config.importers.systemd.syntax import (
    SPACE,
    ExecLine,
    Setting,
    Unbalanced,
    Variable,
    Word,
    assignments,
    environment_file,
    exec_lines,
    is_name,
    substituted,
)
from supervisor.config.source.expand import parse_environment_file

_TO_BE_SPLIT = frozenset("\"'\\")
_PRIVILEGED = "+!"
_FOLDERS = ("Runtime", "State", "Cache", "Logs", "Configuration")
_GLOB = frozenset("*?[")


@dataclass
class Surroundings:
    """The environment of a unit.

    `known` are the variables that commands may use. `in_files` are those whose values files have at present, and
    `read_here` what services.toml makes of these files. `open_ended`: a file is not there yet, and may set any other.
    `gone` are those that are taken out in the end. `folders`: the directories that systemd would make.
    """

    known: dict[str, str]
    in_files: dict[str, str] = field(default_factory=dict)
    read_here: dict[str, str] = field(default_factory=dict)
    open_ended: bool = False
    gone: set[str] = field(default_factory=set)
    folders: list[str] = field(default_factory=list)


def surroundings(unit: Unit, account: str | None, table: dict[str, Any]) -> Surroundings:
    """Write the environment into `table`."""
    base = dict(unit.manager.variables)
    own = _folders(unit, found := Surroundings(base))
    if pid_file := unit.text("PIDFile"):
        own["PIDFILE"] = pid_file if pid_file.startswith("/") else f"{unit.manager.runtime}/{pid_file}"
        unit.lose(Kind.DROPPED, unit.last("Service", "PIDFile"), "Here no pid file names the main process.")
    own |= _assigned(unit)
    inherited = [name for one in unit.many("Service", "PassEnvironment") for name in one.value.split()]
    for one in unit.many("Service", "PassEnvironment"):
        unit.lose(Kind.CHANGED, one, "The variables are those of the daemon here, not of the systemd manager.")
    files = _files(unit, own, found)
    unset = [word for one in unit.many("Service", "UnsetEnvironment") for word in _words(unit, one)]
    everything = base | own | found.in_files
    found.gone = {word for word in unset if "=" not in word}
    found.gone |= {name for name, value in everything.items() if f"{name}={value}" in unset}
    if kept := [name for name in found.in_files if name in found.gone]:
        said = f"{', '.join(kept)} of a file of `environment_file` cannot be left out here."
        unit.lose(Kind.CHANGED, unit.last("Service", "UnsetEnvironment"), said)
    variables = {name: value for name, value in (base | own).items() if name not in found.gone}
    table["inherit_environment"] = inherited or False
    table["environment"] = {name: value for name, value in variables.items() if name not in found.in_files} | {
        name: value
        for name, value in found.in_files.items()
        if found.read_here.get(name) != value and name not in found.gone
    }
    if "PATH" in found.gone:
        table["unset_environment"] = ["PATH"]
    if files:
        table["environment_file"] = files
    home = unit.manager.home_of(account) if account else None
    if account:
        found.known |= {"HOME": home or "", "USER": account, "LOGNAME": account}
        if home is None:
            unit.lose(Kind.CHANGED, unit.last("Service", "User"), "HOME is set here though the account has no home.")
    found.known |= own
    return found


def _words(unit: Unit, setting: Setting) -> list[str]:
    found, reason = assignments(setting.value)
    if reason:
        unit.ignored(setting, f"{reason}; what stands before that counts")
    return found


def _assigned(unit: Unit) -> dict[str, str]:
    found: dict[str, str] = {}
    for setting in unit.many("Service", "Environment"):
        for word in _words(unit, setting):
            expanded = unit.expanded(setting, word)
            name, equals, value = (expanded or "").partition("=")
            if equals and is_name(name):
                found[name] = value
            elif expanded is not None:
                unit.ignored(setting, "has a word that is no NAME=VALUE: quote a value that has spaces")
    return found


def _folders(unit: Unit, found: Surroundings) -> dict[str, str]:
    """RUNTIME_DIRECTORY and its like, and a loss for each: nothing makes them here."""
    roots = unit.manager
    places = (roots.runtime, roots.state, roots.cache, roots.logs, roots.settings)
    variables: dict[str, str] = {}
    for kind, place in zip(_FOLDERS, places, strict=True):
        unit.used |= {("Service", f"{kind}DirectoryMode"), ("Service", f"{kind}DirectoryPreserve")}
        paths: list[str] = []
        for setting in unit.many("Service", f"{kind}Directory"):
            names = [unit.expanded(setting, word.partition(":")[0]) for word in _words(unit, setting)]
            paths += (made := [f"{place}/{name}" for name in names if name])
            when = " at each boot, for example by tmpfiles.d" if kind == "Runtime" else ""
            unit.lose(Kind.DROPPED, setting, f"Nothing here makes {', '.join(made)} for its user: make it{when}.")
        if paths:
            variables[f"{kind.upper()}_DIRECTORY"] = ":".join(paths)
            found.folders += paths
    return variables


def _files(unit: Unit, own: Mapping[str, str], found: Surroundings) -> list[Any]:
    """The entries of `environment_file`."""
    entries: list[Any] = []
    for setting in unit.many("Service", "EnvironmentFile"):
        value = unit.expanded(setting)
        if value is None:
            continue
        optional, path = value.startswith("-"), value.removeprefix("-")
        if not path.startswith("/"):
            unit.ignored(setting, "has no absolute path")
            continue
        places = [path]
        if _GLOB & set(path):
            places = sorted(map(str, Path("/").glob(path[1:])))
            said = "The files that match at present are named one by one."
            if not places and not optional:
                said = "No file matches at present, so systemd would not start the unit; here it starts without."
            unit.lose(Kind.CHANGED, setting, said)
        for place in places:
            if _one_file(unit, setting, Path(place), own, found, optional):
                entries.append({"path": place, "required": False} if optional else place)
    return entries


def _one_file(
    unit: Unit, setting: Setting, path: Path, own: Mapping[str, str], found: Surroundings, optional: bool
) -> bool:
    """Compare one file with what is made of it here. False: it cannot be read here as it stands."""
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError:
        raise unit.refuse(setting, f"{path} is not UTF-8") from None
    except OSError as error:
        found.open_ended = True
        what = f"{path} cannot be read now ({(error.strerror or '').lower()})"
        over = "; where it sets a variable of `environment`, `environment` counts here" if own else ""
        if not optional or not isinstance(error, FileNotFoundError):
            unit.lose(Kind.CHANGED, setting, f"{what}, so its variables were not compared{over}.")
        elif own:
            unit.lose(Kind.CHANGED, setting, f"{what}{over}.")
        return True
    unit.imported.files.append(path)
    values, ignored = environment_file(text)
    found.in_files |= values
    ours, errors = parse_environment_file(text.removeprefix("\ufeff"))
    if errors:
        said = (
            f"{path}, line {errors[0][0]} cannot be read here, so `environment` has the present values of the file: "
            "rewrite it for `environment_file` if it has secrets."
        )
        unit.lose(Kind.CHANGED, setting, said)
        ours = {}
    found.read_here |= ours
    for line, _ in ignored if not errors else ():
        said = f"{path}, line {line}: systemd takes no variable from this line; here it sets one."
        unit.lose(Kind.CHANGED, setting, said)
    if not errors and (strange := [name for name, value in values.items() if ours.get(name) != value]):
        said = f"{path}: {', '.join(strange)} would be read differently here, so `environment` has the present value."
        unit.lose(Kind.CHANGED, setting, said)
    if both := [name for name in values if name in own]:
        said = f"{path} sets {', '.join(both)} over `Environment=`, so `environment` leaves out what it would override."
        unit.lose(Kind.CHANGED, setting, said)
    return not errors


def commands(unit: Unit, *keys: str) -> list[ExecLine]:
    """The commands of these keys with their specifiers replaced. Raises ImportRefused where systemd refuses them."""
    found: list[ExecLine] = []
    for setting in unit.many("Service", *keys):
        try:
            lines = exec_lines(setting)
            for line in lines:
                words = tuple(map(unit.expand, line.words))
                if not words[0].startswith("/") and ("/" in words[0] or words[0] in (".", "..")):
                    raise Unbalanced("names a program by a relative path")
                if words[0].endswith("/"):
                    raise Unbalanced("names a directory")
                for word in words:
                    word.encode()
                found.append(ExecLine(words, line.prefixes, line.file, line.line))
        except UnicodeEncodeError:
            raise unit.refuse(setting, f"{setting.key} has bytes that are not UTF-8") from None
        except (Unbalanced, UnknownSpecifier) as error:
            if not setting.value.startswith("-"):
                raise unit.refuse(setting, f"{setting.key} {error}: systemd refuses the unit") from None
            unit.ignored(setting, str(error))
    return found


def arguments(unit: Unit, line: ExecLine, around: Surroundings) -> list[str | Variable | Word]:
    """The words of a command after variables are replaced; those that come from files are left."""
    if ":" in line.prefixes:
        return list(line.words)
    names = around.in_files.keys() - around.gone
    for name, value in around.in_files.items():
        if f"${name}" in line.words and _TO_BE_SPLIT & set(value):
            names.discard(name)
            said = f"${name} has quotes in its file, which no shell splits as systemd does: its present value is here."
            unit.lose(Kind.CHANGED, _at(line), said)
    every = around.known | around.in_files
    known = {name: value for name, value in every.items() if name not in around.gone}
    if around.open_ended:
        names |= _mentioned(line) - known.keys() - around.gone
    return [line.words[0], *substituted(line.words[1:], known, names)]


def _at(line: ExecLine, key: str = "ExecStart") -> Setting:
    return Setting("Service", key, "", line.file, line.line)


def _mentioned(line: ExecLine) -> set[str]:
    """Names of variables that a command may use."""
    found = set()
    for word in line.words[1:]:
        found |= {part.partition("}")[0] for part in word.split("${")[1:]} | {word[1:]}
    return {name for name in found if is_name(name)}


def combined(unit: Unit, lines: list[ExecLine], around: Surroundings, oneshot: bool) -> list[str]:
    """One command that runs all of `lines` in turn, until one fails."""
    parts = [arguments(unit, line, around) for line in lines]
    if len(parts) == 1 and all(isinstance(part, str) for part in parts[0]):
        return [str(part) for part in parts[0]]
    script = ""
    if any(isinstance(part, Variable) for words in parts for part in words):
        script = "set -f; "
    steps = []
    for index, (line, words) in enumerate(zip(lines, parts, strict=True)):
        text = " ".join(map(_for_shell, words))
        last = index == len(lines) - 1
        if "-" in line.prefixes and not (last and not oneshot):
            text = f"{{ {text} || :; }}"
        elif last:
            text = f"exec {text}"
        steps.append(text)
    return ["/bin/sh", "-c", script + " && ".join(steps)]


def _for_shell(word: str | Variable | Word) -> str:
    if isinstance(word, str):
        return shlex.quote(word)
    if isinstance(word, Variable):
        return f"${{{word.name}}}"
    return "".join(f'"${{{part.name}}}"' if isinstance(part, Variable) else shlex.quote(part) for part in word if part)


def tell_prefixes(unit: Unit, lines: list[ExecLine], key: str) -> None:
    """Add a loss for each prefix that nothing here has."""
    for line in lines:
        if any(one in line.prefixes for one in _PRIVILEGED):
            unit.lose(
                Kind.CHANGED,
                _at(line, key),
                "It runs as the service's user here, with its rights: + and ! are not known.",
            )
        if "@" in line.prefixes:
            unit.lose(
                Kind.CHANGED,
                _at(line, key),
                "The first argument is the program here: another name after @ is left out.",
            )


def without_argument_zero(lines: list[ExecLine]) -> list[ExecLine]:
    """Leave out the name that `@` gives a program."""
    return [
        ExecLine((line.words[0], *line.words[2:]), line.prefixes, line.file, line.line)
        if "@" in line.prefixes
        else line
        for line in lines
    ]


def signal_sent(line: ExecLine) -> str | None:
    """The signal of `kill -SIGNAL $MAINPID`; None for another command."""
    words = list(line.words)
    if words[0].rpartition("/")[2] != "kill" or words[-1] not in ("$MAINPID", "${MAINPID}"):
        return None
    options = words[1:-1]
    if not options:
        return "TERM"
    if len(options) == 2 and options[0] in ("-s", "--signal", "-n"):
        return options[1].removeprefix("SIG")
    if len(options) == 1 and options[0].startswith("-"):
        name = options[0].removeprefix("--signal=").removeprefix("-s").lstrip("-").removeprefix("SIG")
        return name.strip(SPACE) or None
    return None
