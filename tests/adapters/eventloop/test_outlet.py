"""The daemon's own stdout and stderr, whatever they lead to, never make it wait."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from supervisor.adapters.eventloop import console_log
from supervisor.adapters.eventloop.console_log import ConsoleLog
from supervisor.adapters.eventloop.outlet import Outlet
from supervisor.core.text.causes import phrase
from tests.doubles import fake_client

AT = "2026-01-01T00:00:00.000Z"


@pytest.mark.parametrize("reopened", [True, False])
def test_the_log_of_the_daemon_does_not_wait_for_a_full_pipe(reopened: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where another user made the pipe, /proc does not let it be opened anew."""
    reader, writer = os.pipe()
    if not reopened:
        monkeypatch.setattr(os, "open", lambda *_: (_ for _ in ()).throw(PermissionError()))
    log = ConsoleLog("human", lambda: Outlet(writer))
    monkeypatch.undo()
    for i in range(5000):
        log.say("info", f"{i:04} {'x' * 60}", AT)
    assert os.get_blocking(writer), "it is shared with others"
    assert log._dropped > 0
    said, sent = b"", 5000
    while b"again" not in said:
        said += os.read(reader, 65536)
        log.say("info", "again", AT)
        sent += 1
    while True:
        lines = said.decode().splitlines()
        notes = [int(line[1:].split()[0]) for line in lines if line.endswith("lines lost: stderr was not read)")]
        if len(lines) - len(notes) + sum(notes) == sent - log._dropped:
            break
        said += os.read(reader, 65536)
    assert notes
    whole = re.compile(
        r"2026-01-01 00:00:00.000 supervisor       (\d{4} x{60}|again)|\(\d+ lines lost: stderr was not read\)"
    )
    assert [line for line in lines if not whole.fullmatch(line)] == []


def test_a_file_is_written_at_the_position_that_all_share(tmp_path: Path) -> None:
    fd = os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"one ")
    outlet = Outlet(fd)
    outlet.write(b"two ")
    os.write(fd, b"three")
    assert (tmp_path / "out").read_bytes() == b"one two three"


def test_what_is_closed_is_an_error_and_costs_the_log_nothing() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    os.close(writer)
    with pytest.raises(OSError, match="Bad file descriptor"):
        Outlet(writer)
    ConsoleLog("human", lambda: Outlet(writer)).say("info", "unheard", AT)


def test_what_is_said_of_many_alike_is_worded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    worded: list[str] = []

    def wording(cause: str, detail: Mapping[str, Any]) -> str:
        worded.append(cause)
        return phrase(cause, detail)

    monkeypatch.setattr(console_log, "phrase", wording)
    log = ConsoleLog("human", lambda: Outlet(writer))
    for number, cause, by in (
        (1, "stopped-by-user", {"user": "root"}),
        (2, "stopped-by-user", {"user": "root"}),
        (3, "stopped-by-user", {"user": "ann"}),
        (4, "shutdown", {"user": "ann"}),
    ):
        event = fake_client.event(number, f"web@{number}", "running", "stopping", cause, by=by)
        log.event(event, "here" if number == 2 else "")
    said = [line.partition("stopping ")[2] for line in os.read(reader, 65536).decode().splitlines()]
    assert said == [
        "stopped by root", "stopped by root; here", "stopped by ann", phrase("shutdown", {"by": {"user": "ann"}})
    ]  # fmt: skip
    assert len(worded) == 3
    os.close(reader)
    os.close(writer)
