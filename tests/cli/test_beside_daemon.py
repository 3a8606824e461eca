"""All events of a period are read from the ledger's file, where it is that of the daemon and has all events."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from supervisor.adapters.ledger.store import EventQuery, Ledger
from supervisor.cli.events import BesideDaemon
from supervisor.core.model.actions import Goal, Record, State
from supervisor.core.model.causes import Cause
from supervisor.core.model.documents import Event
from supervisor.display.recorded import everything
from supervisor.errors import ConfigError

AT = 1_700_000_000.0


def record(number: int) -> Record:
    return Record("web", "web", number, Goal.UP, State.STARTING, State.RUNNING, Cause.SPAWNED, {"pid": number})


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    made = Ledger(str(tmp_path / "ledger.db"), print)
    for number in range(7):
        made.append([record(number)], AT + number)
    return made


class Daemon:
    """Answers from a ledger, and counts the events that it sends."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.sent = ledger, 0

    def events(self, services: Sequence[str] = (), *, limit: int | None = None, **query: Any) -> list[Event]:
        found = self.ledger.events(EventQuery(tuple(services), limit=limit or 100, **query))
        self.sent += len(found)
        return found


def read(daemon: Daemon, state_dir: object) -> tuple[list[Event], int]:
    """The events since the third, and how many of all the daemon sent."""
    target: Any = SimpleNamespace(client=daemon, state_dir=state_dir)
    return list(everything(BesideDaemon(target), (), AT + 2)), daemon.sent


def test_the_daemon_sends_one_event_however_many_there_are(ledger: Ledger, tmp_path: Path) -> None:
    found, sent = read(Daemon(ledger), tmp_path)
    assert [event["incarnation"] for event in found] == [2, 3, 4, 5, 6]
    assert sent == 1


def test_a_file_without_its_newest_event_is_not_read(ledger: Ledger, tmp_path: Path) -> None:
    """The file is that of another daemon, or the disk takes nothing."""
    (tmp_path / "other").mkdir()
    other = Ledger(str(tmp_path / "other" / "ledger.db"), print)
    other.append([record(number + 90) for number in range(7)], AT)
    for elsewhere in (tmp_path / "other", tmp_path / "nothing"):
        found, sent = read(Daemon(ledger), elsewhere)
        assert [event["incarnation"] for event in found] == [2, 3, 4, 5, 6]
        assert sent == 6


def test_where_the_file_is_damaged_the_daemon_is_asked(ledger: Ledger, tmp_path: Path) -> None:
    target: Any = SimpleNamespace(client=Daemon(ledger), state_dir=tmp_path)
    source = BesideDaemon(target)
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as db:
        db.execute("ALTER TABLE events RENAME TO lost")
    target.client.ledger = Ledger(str(tmp_path / "another.db"), print)
    target.client.ledger.append([record(1)], AT)
    assert [event["incarnation"] for event in everything(source, (), AT)] == [1]


def test_where_the_file_of_the_configuration_is_broken_the_daemon_is_asked(ledger: Ledger) -> None:
    class Target:
        client = Daemon(ledger)

        @property
        def state_dir(self) -> str:
            raise ConfigError("cannot be read")

    target: Any = Target()
    assert len(list(everything(BesideDaemon(target), (), AT))) == 7


def test_events_of_services_come_from_the_daemon(ledger: Ledger, tmp_path: Path) -> None:
    """The daemon knows which names mean which services."""
    daemon = Daemon(ledger)
    target: Any = SimpleNamespace(client=daemon, state_dir=tmp_path)
    assert len(BesideDaemon(target).events(["web"], limit=3)) == 3
    assert daemon.sent == 4
