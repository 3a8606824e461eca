"""Writes one line per event to stderr, as text or as JSON.

It never blocks: lines that stderr cannot take are dropped, and their number is written once there is room again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from supervisor.adapters.eventloop.outlet import Outlet
from supervisor.core.text.causes import phrase
from supervisor.core.text.timestamps import local_time

if TYPE_CHECKING:
    from supervisor.core.model.documents import Event

_COLOURS = {
    "running": "32",
    "starting": "36",
    "suspect": "33;1",
    "stopping": "36",
    "backoff": "33",
    "failed": "31;1",
    "exited": "2",
    "stopped": "2",
}


def _is_plain_terminal() -> bool:
    return bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"


class ConsoleLog:
    """Writes state changes with `event` and messages about the supervisor itself with `say`."""

    def __init__(self, log_format: str, outlet: Callable[[], Outlet]) -> None:
        """`outlet` opens a way to stderr, or raises OSError where there is none."""
        self._json = log_format == "json"
        self._colour = not self._json and os.isatty(2) and not _is_plain_terminal()
        self._dropped = 0
        self._moment = "", ""  # of the last event, as it has it and as it was written
        self._said: tuple[str, Mapping[str, Any], str] = "", {}, ""  # its cause and detail, and the phrase for them
        self._begun = b""  # the rest of a line of which a part is written
        self._outlet: Outlet | None = None
        with suppress(OSError):
            self._outlet = outlet()

    def event(self, event: Event, place: str = "") -> None:
        """Write an event, given as an object of `events --json`.  `place`: where a suspect was, for the text."""
        if self._json:
            self._write(json.dumps(event, separators=(",", ":")))
            return
        state = event["to"]
        if event["from"] == state and event["detail"].get("phase") == "spawn":
            return  # recorded for recovery, of no interest to a reader
        tag = f"\x1b[{_COLOURS.get(state, '0')}m{state:<8}\x1b[0m" if self._colour else f"{state:<8}"
        cause, detail, said = self._said
        if cause != event["cause"] or detail != event["detail"]:  # an order stops many for the same reason
            said = phrase(event["cause"], event["detail"])
            self._said = event["cause"], event["detail"], said
        said += f"; {place}" if place else ""
        if self._moment[0] != event["at"]:  # many events have the same
            self._moment = event["at"], local_time(event["at"])
        self._write(f"{self._moment[1]} {event['instance']:<16} {tag} {said}")

    def say(self, level: str, message: str, at: str) -> None:
        """Write a message.  `level`: info, warning or error.  `at`: ISO 8601."""
        if self._json:
            self._write(json.dumps({"at": at, "level": level, "message": message}, separators=(",", ":")))
        else:
            mark = {"info": "", "warning": "warning: ", "error": "error: "}[level]
            self._write(f"{local_time(at)} supervisor       {mark}{message}")

    def _write(self, line: str) -> None:
        if self._dropped:
            line = f"({self._dropped} lines lost: stderr was not read)\n{line}"
        data = f"{line}\n".encode(errors="replace")
        if self._outlet is None:
            return
        try:
            if self._begun:
                self._begun = self._begun[self._outlet.write(self._begun) :]
            if self._begun:
                raise BlockingIOError
            self._begun = data[self._outlet.write(data) :]
            self._dropped = 0
        except OSError:
            self._dropped += 1
