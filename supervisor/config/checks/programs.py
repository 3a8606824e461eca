"""Points out what a known program does otherwise than its service expects, and what to write.

It is advice, which the file overrides: a program may have been built or configured in another way.  So these are notes,
not problems.  What is known stands in supervisor/programs/book.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from signal import SIGTERM
from typing import Any

from supervisor.config.source.key_path import Key
from supervisor.config.units import quoted
from supervisor.core.model.sdnotify import WATCHDOG_INTERVALS
from supervisor.core.model.spec import ServiceSpec, ServiceType
from supervisor.programs.book import Program, any_flag, any_option, applies, has_option, recognized
from supervisor.programs.reload import ends_at_reload, reload_check


def program_notes(spec: ServiceSpec) -> Iterator[tuple[Key, str]]:
    """(key, note) of each expectation that the service's program is known not to meet."""
    found = recognized(spec.command)
    if found is None:
        return
    program, arguments = found
    for of in (_foreground, _needs, _ready, _heartbeat, _stop, _reload, _sockets, _ends):
        for key, note in of(spec, program, arguments):
            yield ("services", spec.name, *key), note


def _words(options: Sequence[str]) -> str:
    """The options to choose from; of one that stands with and without a value, the one with it."""
    options = [option for option in options if not any(other.startswith(f"{option} ") for other in options)]
    return " or ".join(" ".join(quoted(word) for word in option.split(" ", 1)) for option in options)


Notes = Iterator[tuple[Key, str]]


def _foreground(spec: ServiceSpec, program: Program, arguments: Sequence[str]) -> Notes:
    if not applies(program.foreground, arguments):
        return
    wanted: Sequence[str] = program.foreground.get("one_of", ())
    for option in program.foreground.get("none_of", ()):
        if has_option(arguments, option):
            instead = program.foreground.get("instead")
            advice = f"write {quoted(instead)} in its place" if instead else "leave it out"
            yield ("command",), f"{program.title} goes to the background with {option} and counts as ended; {advice}"
            return
    if wanted and not any_flag(arguments, wanted):
        unless = _unless(program.foreground)
        option, _, value = wanted[0].partition(" ")
        add = f"{quoted(value)} to its {option}" if value.endswith(";") and option in arguments else _words(wanted)
        yield ("command",), f"{program.title} goes to the background and counts as ended; add {add}{unless}"


def _unless(table: Mapping[str, Any]) -> str:
    return f", unless its configuration has {table['file']}" if "file" in table else ""


def _needs(spec: ServiceSpec, program: Program, arguments: Sequence[str]) -> Notes:
    for needed in program.needs:
        if applies(needed, arguments) and not has_option(arguments, needed["option"]):
            yield ("command",), f"{needed['because']}; add {quoted(needed['option'])}{_unless(needed)}"


def _ready(spec: ServiceSpec, program: Program, arguments: Sequence[str]) -> Notes:
    if spec.ready is None or not spec.ready.notify or program.application:
        return
    needs: Sequence[str] = program.ready.get("needs", ())
    if not program.notifies:
        instead = program.ready.get("instead", "ready.tcp")
        yield ("ready", "notify"), f"{program.title} sends no READY=1, so that it is never ready; write {instead}"
    elif needs and not any_option(arguments, needs):
        yield ("ready", "notify"), f"{program.title} sends READY=1 only with {_words(needs)}"


def _heartbeat(spec: ServiceSpec, program: Program, arguments: Sequence[str]) -> Notes:
    if spec.heartbeat is None or spec.heartbeat.source != "notify" or program.application:
        return
    above = program.heartbeat.get("above", 0.0)
    if not program.beats:
        instead = program.heartbeat.get("instead", 'source = "tcp"')
        yield ("heartbeat", "source"), f"{program.title} sends no WATCHDOG=1; write {instead}"
    elif WATCHDOG_INTERVALS * spec.heartbeat.interval <= above:
        least = quoted(f"{above / 2:g}s")
        yield ("heartbeat", "interval"), f"{program.title} sends WATCHDOG=1 only at intervals of {least} or more"


def _stop(spec: ServiceSpec, program: Program, arguments: Sequence[str]) -> Notes:
    stop = program.stop
    if not applies(stop, arguments):
        return
    if "signal" in stop and spec.stop_steps[0].signal == SIGTERM:
        yield ("stop_signal",), f"{stop['because']}; write stop_signal = {quoted(stop['signal'])}{_unless(stop)}"
    if "command" in stop:
        yield ("command",), f"{stop['because']}; write {' '.join(map(quoted, stop['command']))}"
    if spec.longest_stop < stop.get("timeout", 0.0):
        wanted = quoted(f"{stop['timeout']:g}s")
        yield ("stop_timeout",), f"{stop['because']}; write stop_timeout = {wanted}{_unless(stop)}"


def _reload(spec: ServiceSpec, program: Program, arguments: Sequence[str]) -> Notes:
    end = ends_at_reload(program)
    if end and spec.reload_check is None and (check := reload_check(program, spec.command)):
        said = f"a reload with an error in the configuration ends {program.title} ({end})"
        yield ("reload_check",), f"{said}; write reload_check = {json.dumps(check, ensure_ascii=False)}"


def _sockets(spec: ServiceSpec, program: Program, arguments: Sequence[str]) -> Notes:
    if spec.sockets and program.seen.get("sockets") is False:
        yield ("sockets",), f"{program.title} takes no LISTEN_FDS: it opens its own sockets, and these stay unanswered"


def _ends(spec: ServiceSpec, program: Program, arguments: Sequence[str]) -> Notes:
    for end in program.ends:
        policy = end.get("policy")
        if policy and applies(end, arguments) and policy != spec.restart.policy and spec.type is ServiceType.SERVICE:
            yield ("restart", "policy"), f"{end['means']}; write policy = {quoted(policy)}"
