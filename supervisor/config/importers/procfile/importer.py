"""Imports a Procfile with the `.env` beside it, as foreman 0.87.2 runs them.

Where honcho 2.0.0 would run the file in another way, a loss says so. The folder of the Procfile is the working
directory of all processes, and the folder of `.env`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from supervisor.config.importers.imported import Imported, ImportedService, ImportRefused, Kind
from supervisor.config.importers.procfile import dotenv
from supervisor.config.importers.procfile.command import OWN, Command, command
from supervisor.config.importers.reading import utf8

DOTENV = ".env"
FIRST_PORT = 5000
PORTS_OF_A_LINE = 100
STOP_TIMEOUT = "5s"
RELEASE = "release"
"""On Heroku this process runs to its end before the others are started."""
MARK = "{replica}"
_LINE = re.compile(r"([A-Za-z0-9_-]+):[ \t\r\f\v]*(.+)")
_INTEGER = re.compile(r"\s*([+-]?[0-9]+(?:_[0-9]+)*)")
_OPTION = re.compile(r"\s*([A-Za-z_]+)\s*:.*")
_LONGEST_NAME = 100


def read(paths: Sequence[Path], environment: Mapping[str, str]) -> Imported:
    """The services of Procfiles, from `environment`, in which PORT counts, and the files beside each.

    Raises ImportRefused for a file without processes or that is not UTF-8, and OSError.
    """
    together = Imported("procfile")
    for path in paths:
        beside, options = path.parent / DOTENV, path.parent / ".foreman"
        one = imported(
            utf8(path, as_it_is=True),
            utf8(beside, as_it_is=True) if beside.is_file() else "",
            environment,
            folder=str(path.absolute().parent),
            file=str(path),
            dotenv_file=str(beside),
            options=(str(options), utf8(options, as_it_is=True)) if options.is_file() else ("", ""),
        )
        together.files += filter(Path.is_file, (beside, options))
        together.services += one.services
        together.losses += one.losses
    return together


def imported(
    text: str,
    dotenv_text: str,
    environment: Mapping[str, str],
    *,
    folder: str,
    file: str = "Procfile",
    dotenv_file: str = DOTENV,
    options: tuple[str, str] = ("", ""),
) -> Imported:
    """The services of the text of a Procfile in `folder`, and of its `.env`. `options`: name and text of `.foreman`."""
    result = Imported("procfile")
    lines = _processes(text, file, result)
    if not lines:
        raise ImportRefused(file, 0, "no process is defined", "a process is a line such as `web: ./server`")
    variables = dotenv.foreman(dotenv_text)
    for name, variable in variables.items():
        if "\0" in variable.value:
            raise ImportRefused(dotenv_file, variable.line, f"{name} holds a NUL character")
    shared = _shared_environment(dotenv_text, variables, dotenv_file, result)
    first_port = _first_port(variables, environment, file, result)
    for option_number, line in enumerate(dotenv.lines_of(options[1]), 1):
        if option := _OPTION.fullmatch(line):
            told = "This option of foreman is not taken over; write what it means into services.toml."
            result.lose(Kind.DROPPED, options[0], option_number, option[1], told)
    _tell_what_is_chosen(file, result)
    names = _Names(file, result)
    for index, (number, name, written) in enumerate(lines):
        own = {"PORT": str(first_port + PORTS_OF_A_LINE * index), "PS": f"{name}.1"}
        found = command(written, {key: variable.value for key, variable in variables.items()} | own)
        if "\0" in written:
            raise ImportRefused(file, number, "the command holds a NUL character")
        if found is None:
            result.lose(Kind.IGNORED, file, number, name, "It has no command: foreman finds nothing to run either.")
            continue
        service = names.given(name, number)
        _tell_of_command(found, name, number, file, service, result)
        table: dict[str, Any] = {"command": found.words, "directory": folder, "stop_timeout": STOP_TIMEOUT}
        table |= {"restart": {"policy": "always"}} if service != RELEASE else _release(number, file, result)
        if DOTENV in shared:
            table["environment_file"] = str(Path(folder, DOTENV))
        table["environment"] = own | {key: value for key, value in shared.items() if key != DOTENV}
        result.services.append(ImportedService(service, file, number, table))
    if RELEASE in names.taken:
        for made in result.services:
            if made.name != RELEASE:
                made.table["depends_on"] = [RELEASE]
    files = (file, dotenv_file, options[0])
    result.losses.sort(key=lambda loss: (files.index(loss.file), loss.line))
    return result


def _processes(text: str, file: str, result: Imported) -> list[tuple[int, str, str]]:
    """(line, name, command) of each line that foreman takes for a process; each other line is told."""
    found = []
    for number, line in enumerate(dotenv.lines_of(text), 1):
        if match := _LINE.fullmatch(line):
            found.append((number, match[1], match[2]))
        elif line.strip() and not line.lstrip(" \t\ufeff").startswith("#"):
            told = "It is no process: foreman ignores a line that does not begin with a name of letters, digits, _ "
            told += "and -, a colon, and a command."
            result.lose(Kind.IGNORED, file, number, "", told)
    return found


def _shared_environment(
    text: str, variables: Mapping[str, dotenv.Variable], file: str, result: Imported
) -> dict[str, str]:
    """What `environment` of each service holds because of `.env`; with the key `.env` where `environment_file` is to
    read that file too."""
    found = dotenv.compared(text, variables)
    use = bool(found.same - set(OWN)) and not found.refused
    ignored = dotenv.ignored(text)
    for number in found.refused if variables else ():
        told = "environment_file refuses a file with this line, so all values are written into environment; correct "
        told += 'the line, write environment_file = ".env" and take the values out, so that secrets stay there.'
        result.lose(Kind.CHANGED, file, number, ignored.get(number, ""), told)
    for number, name in ignored.items():
        if use and name in found.more:
            told = f"foreman ignores this line, but environment_file takes it: {name} is set here; remove it "
            told += "from the file if it must not be."
            result.lose(Kind.CHANGED, file, number, name, told)
        elif number not in found.refused or not variables:
            told = "foreman ignores this line: it does not begin with a name and =."
            result.lose(Kind.IGNORED, file, number, name, told)
    for name in sorted(found.more - set(ignored.values())) if use else ():
        result.lose(Kind.CHANGED, file, 0, name, f"foreman does not set {name}, but environment_file does.")
    _tell_of_honcho(text, variables, file, result)
    shared = {}
    for name, variable in variables.items():
        if name in OWN:
            continue
        if MARK in variable.value:
            told = f"{MARK} in the value is replaced here by the number of the instance."
            result.lose(Kind.CHANGED, file, variable.line, name, told)
        if use and name in found.same:
            continue
        if not found.refused:
            told = "environment_file reads another value from this line than foreman, so foreman's is written into "
            told += "environment; if it is a secret, change the line so that both read the same, and take it out."
            result.lose(Kind.CHANGED, file, variable.line, name, told)
        shared[name] = variable.value
    return shared | ({DOTENV: ""} if use else {})


def _tell_of_honcho(text: str, variables: Mapping[str, dotenv.Variable], file: str, result: Imported) -> None:
    try:
        others = dotenv.honcho(text)
    except ValueError:
        result.lose(Kind.CHOSEN, file, 0, "", "honcho refuses this file, as quotes are not closed; foreman takes it.")
        return
    for name, variable in variables.items():
        if others.get(name) != variable.value:
            does = "reads another value" if name in others else "sets nothing"
            result.lose(Kind.CHOSEN, file, variable.line, name, f"foreman's value is taken; honcho {does} here.")
    numbers = {name: number for number, name in dotenv.ignored(text).items()}
    for name in sorted(others.keys() - variables.keys()):
        told = f"honcho sets {name} here, and foreman does not."
        result.lose(Kind.CHOSEN, file, numbers.get(name, 0), name, told)


def _first_port(
    variables: Mapping[str, dotenv.Variable], environment: Mapping[str, str], file: str, result: Imported
) -> int:
    """PORT of `.env`, or of the environment, or 5000; as Ruby's to_i reads it: no number is 0."""
    if "PORT" in variables:
        given = variables["PORT"].value
    elif "PORT" in environment:
        given = environment["PORT"]
        told = "The ports count from the PORT of the environment in which the import ran, as foreman's would."
        result.lose(Kind.CHOSEN, file, 0, "PORT", told)
    else:
        return FIRST_PORT
    number = _INTEGER.match(given)
    return int(number[1].replace("_", "")) if number else 0


def _tell_what_is_chosen(file: str, result: Imported) -> None:
    told = "foreman restarts nothing, and the end of one process ends all. Here each process is started again after "
    told += 'any end, with the delays of [restart]. For what foreman does, write restart.policy = "never" and '
    told += "end_with = true."
    result.lose(Kind.CHOSEN, file, 0, "", told)
    told = "foreman prints the output of all processes. Here it is kept in a log for each, which `supervisor logs -f` "
    told += "follows; log.console = true prints it too."
    result.lose(Kind.CHOSEN, file, 0, "", told)


def _release(number: int, file: str, result: Imported) -> dict[str, Any]:
    told = "foreman starts it beside the others. Here it is run as Heroku runs it: to its end when the daemon "
    told += "starts, once, and the others start after its success. With autostart = false, and without depends_on of "
    told += "the others, it runs only on request."
    result.lose(Kind.CHOSEN, file, number, RELEASE, told, RELEASE)
    return {"type": "oneshot", "restart": {"policy": "never"}}


class _Names:
    """The names of the services: `taken` here, and `written` in the file."""

    def __init__(self, file: str, result: Imported) -> None:
        self.taken: set[str] = set()
        self._written: set[str] = set()
        self._counts: dict[str, int] = {}
        self._file, self._result = file, result

    def given(self, name: str, number: int) -> str:
        """A valid name that no other service has, for the process `name` in line `number`; a change is told."""
        valid = name.lstrip("-")[:_LONGEST_NAME] or "process"
        found, count = valid, self._counts.get(valid, 1)
        while found in self.taken:
            count += 1
            end = f"-{count}"
            found = valid[: _LONGEST_NAME - len(end)] + end
        self._counts[valid] = count
        told = ""
        if name in self._written:
            told = f"The name occurs twice: foreman starts both, and honcho refuses the file. This one is {found} here."
        elif found != valid:
            told = f"Another service has this name here already. This one is {found}."
        elif found != name:
            told = f"A name begins with a letter, a digit or _ here, and has up to {_LONGEST_NAME} characters: {found}."
        if told:
            self._result.lose(Kind.CHANGED, self._file, number, name, told, found)
        self.taken.add(found)
        self._written.add(name)
        return found


def _tell_of_command(found: Command, name: str, number: int, file: str, service: str, result: Imported) -> None:
    def lose(kind: Kind, text: str) -> None:
        result.lose(kind, file, number, name, text, service)

    for variable in found.evaluated:
        told = f"foreman puts the value of {variable} into the command before the shell reads it; eval does the same "
        told += "without the value standing here."
        lose(Kind.CHANGED, told)
    for variable in found.backslashes:
        told = f"foreman takes backslashes from the value of {variable} when it puts it into the command; here they "
        told += "stay."
        lose(Kind.CHANGED, told)
    for variable in found.referring:
        told = f"The value of {variable} holds the name of a variable, which foreman replaces as text; here the shell "
        told += "expands it."
        lose(Kind.CHANGED, told)
    for variable in found.written:
        lose(Kind.CHANGED, f"The value of {variable} is written into the command: a shell knows no such name.")
    for variable in found.only_foreman:
        told = f"foreman replaces ${variable} also within single quotes, after a backslash and at the beginning of a "
        told += "longer name, and so it is here; honcho does not."
        lose(Kind.CHOSEN, told)
    if any(MARK in word for word in found.words):
        lose(Kind.CHANGED, f"{MARK} is replaced here by the number of the instance, 1.")
