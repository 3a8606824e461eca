"""What to write for a command whose program is in the book: the keys of its service, each with its reason."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field

from supervisor.programs.book import Program, any_flag, any_option, applies, has_option, recognized
from supervisor.programs.recognition import program_words
from supervisor.programs.reload import ends_at_reload, reload_check

_LONGEST = 100  # letters of a name
_NOT_A_NAME = re.compile(r"[^A-Za-z0-9_-]+")


@dataclass(slots=True)
class Suggestion:
    """`name`: a name for the service; `command`: with the options that it needs; `keys`: those of its table in
    services.toml; `reasons`: a sentence without a full stop for each."""

    name: str
    command: list[str]
    keys: dict[str, object] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)


def suggestion(command: Sequence[str]) -> Suggestion:
    """For a program that the book does not have: the command as it is, under the program's name."""
    found = recognized(command)
    if found is None:
        words = program_words(command) or tuple(command)
        name = _NOT_A_NAME.sub("-", words[0].rpartition("/")[2].partition(".")[0])[:_LONGEST].strip("-")
        return Suggestion(name or "service", list(command))
    program, arguments = found
    made = Suggestion(program.names[0], list(command))
    _foreground(made, program, arguments)
    for needed in program.needs:
        if applies(needed, arguments) and not has_option(arguments, needed["option"]):
            made.command.append(needed["option"])
            made.reasons.append(needed["because"])
    _ready(made, program, arguments)
    if program.beats:
        made.keys["heartbeat"] = {"source": "notify"}
        made.reasons.append(f"{program.title} sends WATCHDOG=1")
    _stop(made, program, arguments)
    if (signal := program.reload.get("signal", "HUP")) != "HUP":
        made.keys["reload_signal"] = signal
        made.reasons.append(f"{program.title} reads its configuration again at {signal}")
    if check := reload_check(program, made.command):
        made.keys["reload_check"] = check
        ends = f", which would end {program.title}" if ends_at_reload(program) else ""
        made.reasons.append(f"{shlex.join(check)} finds a broken configuration before a reload{ends}")
    for end in program.ends:
        if "policy" in end and applies(end, program_words(made.command)[1:]):
            made.keys["restart"] = {"policy": end["policy"]}
            made.reasons.append(end["means"])
    return made


def _foreground(made: Suggestion, program: Program, arguments: Sequence[str]) -> None:
    instead, valued = program.foreground.get("instead"), program.foreground.get("value", False)
    for option in program.foreground.get("none_of", ()):
        if _leave_out(made.command, len(arguments), option, instead, valued=valued):
            made.reasons.append(f"with {option} {program.title} goes to the background and counts as ended")
    wanted: Sequence[str] = program.foreground.get("one_of", ())
    if wanted and applies(program.foreground, arguments) and not any_flag(arguments, wanted):
        at = len(made.command) - (len(arguments) if program.foreground.get("first") else 0)
        words = wanted[0].split(" ", 1)
        if not _joined(made.command, words):
            made.command[at:at] = words
        unless = f", unless its configuration has {program.foreground['file']}" if "file" in program.foreground else ""
        made.reasons.append(
            f"without {shlex.join(words)} {program.title} goes to the background and counts as ended{unless}"
        )


def _leave_out(command: list[str], count: int, option: str, instead: str | None, *, valued: bool) -> bool:
    """Whether an option among the last `count` words was left out, with its value; `instead` comes in its place."""
    name, _, value = option.partition(" ")
    for at in range(len(command) - count, len(command)):
        joined = command[at].startswith(f"{name}=") and has_option(command[at : at + 1], option)
        if joined or (command[at] == name and value in "".join(command[at + 1 : at + 2])):
            width = 2 if (value or valued) and not joined else 1
            command[at : at + width] = [instead] if instead else []
            return True
    return False


def _joined(command: list[str], words: Sequence[str]) -> bool:
    """Whether directives (`daemon off;`) were joined to those that the command has: nginx takes the last -g alone."""
    option, directives = words[0], words[-1]
    if not directives.endswith(";") or option not in command[:-1]:
        return False
    at = len(command) - 1 - command[:-1][::-1].index(option)
    name = re.escape(directives.partition(" ")[0])
    others = re.sub(rf"(^|;)\s*{name}\s[^;]*(?=;|$)", r"\1", command[at]).strip().strip(";").strip()
    command[at] = f"{others}; {directives}" if others else directives
    return True


def _stop(made: Suggestion, program: Program, arguments: Sequence[str]) -> None:
    stop = program.stop
    if not stop or not applies(stop, arguments):
        return
    if "signal" in stop:
        made.keys["stop_signal"] = stop["signal"]
    if "timeout" in stop:
        made.keys["stop_timeout"] = f"{stop['timeout']:g}s"
    if "command" in stop:
        wrapper = made.command[: len(made.command) - len(arguments) - 1]
        made.command = [*wrapper, *stop["command"], *(word for word in arguments if word not in stop["with"])]
    made.reasons.append(stop["because"])


def _ready(made: Suggestion, program: Program, arguments: Sequence[str]) -> None:
    if not program.notifies:
        return
    needs: Sequence[str] = program.ready.get("needs", ())
    if needs and not any_option(arguments, needs):
        made.command += needs[0].split(" ", 1)
        made.reasons.append(f"with {needs[0]} {program.title} sends READY=1")
    else:
        made.reasons.append(f"{program.title} sends READY=1")
    made.keys["ready"] = {"notify": True}
