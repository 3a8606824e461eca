"""Reads the ledger: in the daemon, and in other processes while the daemon writes or while none runs."""

from __future__ import annotations

import json
import math
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeVar, cast

from supervisor.adapters.ledger.schema import Unusable, require_regular, uri
from supervisor.core.text.timestamps import from_iso, to_iso
from supervisor.errors import OperationFailed

if TYPE_CHECKING:
    from supervisor.core.model.document_types import JSON
    from supervisor.core.model.documents import Event
    from supervisor.core.model.evidence_documents import Evidence

T = TypeVar("T")
_AT_ONCE = 1 << 24
"""Bytes that are copied by one system call."""


@dataclass(slots=True)
class EventQuery:
    """Selects events of these services or instances (none: all), not older than `since` (seconds since the epoch).

    With `after` (an id) it means the oldest `limit` events that follow it, else the newest `limit`, before the id
    `before` if that is given.  `seconds`: `at` of each event is seconds since the epoch in place of a text, which saves
    the time for the conversion, and back.
    """

    services: tuple[str, ...] = ()
    since: float | None = None
    after: int | None = None
    before: int | None = None
    limit: int = 100
    seconds: bool = False


_SELECT = 'SELECT id, at, service, instance, incarnation, goal, "from", "to", cause, detail FROM events'


def select(db: sqlite3.Connection, query: EventQuery) -> list[Event]:
    """The event objects of `query`, oldest first. Raises sqlite3.Error when the file cannot be read."""
    low = query.after + 1 if query.after is not None else 0
    if query.since is not None:
        low = max(low, _first_since(db, query.since))
    high = query.before if query.before is not None else 2**63 - 1
    end = f"ORDER BY id {'ASC' if query.after is not None else 'DESC'} LIMIT {max(0, query.limit)}"
    if not query.services:
        return _events(db, db.execute(f"{_SELECT} WHERE id >= ? AND id < ? {end}", (low, high)).fetchall(), query)
    # Each service's index is read only as far as the limit; the newest few events are in no index.
    border = max(low, last_indexed(db) + 1)
    rows: list[Sequence[Any]] = []
    for service, instances in _wanted(query).items():
        names = f" AND instance IN ({', '.join('?' * len(instances))})" if instances else ""
        for source, part_low, part_high in (
            ("INDEXED BY events_by_service WHERE indexed = 1", low, min(high, border)),
            ("NOT INDEXED WHERE indexed = 0", border, high),
        ):
            sql = f"{_SELECT} {source} AND service = ?{names} AND id >= ? AND id < ? {end}"
            rows += db.execute(sql, (service, *instances, part_low, part_high)).fetchall()
    return _events(db, rows, query)


def _events(db: sqlite3.Connection, rows: list[Sequence[Any]], query: EventQuery) -> list[Event]:
    """The event objects of rows that match but for the time, in order and at most the limit."""
    since = -math.inf if query.since is None else query.since - 0.0005
    rows = [row for row in rows if row[1] >= since]
    rows.sort(key=itemgetter(0))
    limit = max(0, query.limit)
    rows = rows[:limit] if query.after is not None else rows[len(rows) - min(limit, len(rows)) :]
    if not rows:
        return []
    kept = {
        found[0] for found in db.execute("SELECT id FROM evidence WHERE id BETWEEN ? AND ?", (rows[0][0], rows[-1][0]))
    }
    details = _objects([row[9] for row in rows])
    if kept:
        for row, detail in zip(rows, details, strict=True):
            if row[0] in kept:
                detail["evidence_id"] = row[0]
    told: list[Any] = [round(row[1], 3) for row in rows] if query.seconds else [to_iso(row[1]) for row in rows]
    return [
        {
            "id": number,
            "at": at,
            "service": service,
            "instance": instance,
            "incarnation": incarnation,
            "goal": goal,
            "from": before,
            "to": after,
            "cause": cause,
            "detail": detail,
        }
        for (number, _, service, instance, incarnation, goal, before, after, cause, _), at, detail in zip(
            rows, told, details, strict=True
        )
    ]


def last_indexed(db: sqlite3.Connection) -> int:
    """The highest id in the index by service; 0 if there is none."""
    found = db.execute("SELECT id FROM events NOT INDEXED WHERE indexed = 1 ORDER BY id DESC LIMIT 1").fetchone()
    return int(found[0]) if found else 0


def cut(events: Iterable[Event], query: EventQuery) -> list[Event]:
    """The events that match the query, in order and at most its limit."""
    found = sorted((e for e in events if _matches(e, query)), key=lambda e: int(e["id"]))
    limit = max(0, query.limit)
    return found[:limit] if query.after is not None else found[len(found) - min(limit, len(found)) :]


def read_evidence(db: sqlite3.Connection, event_id: int) -> Evidence | None:
    row = db.execute("SELECT body FROM evidence WHERE id = ?", (event_id,)).fetchone()
    return cast("Evidence", _object(row[0])) if row else None


def read_snapshots(db: sqlite3.Connection) -> dict[str, JSON]:
    return {name: _object(body) for name, body in db.execute("SELECT name, body FROM snapshots")}


def read_meta(db: sqlite3.Connection) -> dict[str, str]:
    return {str(key): str(value) for key, value in db.execute("SELECT key, value FROM meta")}


class LedgerReader:
    """A ledger that another process may be writing. Raises OperationFailed when there is none or it cannot be read.

    A command reads until it ends, and need not close it."""

    def __init__(self, path: str, wait: float = 2.0) -> None:
        """`wait`: seconds for which the lock of another process is waited for."""
        self._path, self._wait = path, wait
        self._db = self._open("mode=ro")

    def __del__(self) -> None:
        if hasattr(self, "_db"):
            self.close()

    def events(self, query: EventQuery) -> list[Event]:
        return self._ask(lambda db: select(db, query))

    def evidence(self, event_id: int) -> Evidence | None:
        return self._ask(lambda db: read_evidence(db, event_id))

    def snapshots(self) -> dict[str, JSON]:
        """The saved state of each instance. Raises OperationFailed."""
        return self._ask(read_snapshots)

    def meta(self) -> dict[str, str]:
        """The facts about the supervisor itself. Raises OperationFailed."""
        return self._ask(read_meta)

    def close(self) -> None:
        self._db.close()

    def _ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return question(self._db)
        except sqlite3.Error as error:
            raise OperationFailed(f"cannot read the ledger {self._path}: {error}") from None

    def _open(self, how: str) -> sqlite3.Connection:
        try:
            require_regular(self._path)
        except Unusable as error:
            raise OperationFailed(f"cannot read the ledger: {error}") from None
        db = None
        try:
            db = sqlite3.connect(uri(self._path, how), uri=True, timeout=self._wait, isolation_level=None)
            db.execute("SELECT id FROM events LIMIT 1").fetchone()
            return db
        except sqlite3.Error as error:
            if db is not None:
                db.close()
            # Without write access to the directory SQLite cannot make its lock file; a closed ledger is one whole file.
            if how == "mode=ro" and error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
                return self._open("mode=ro&immutable=1")
            raise OperationFailed(f"cannot read the ledger {self._path}: {error}", "has a daemon ever run?") from None


@contextmanager
def copied(path: str) -> Iterator[str]:
    """The path of a copy of a ledger that another process has locked.  Raises OSError.

    The lock does not keep anything from reading the files, and whatever that process has not committed is not valid in
    the write-ahead log, so the copy holds every commit.
    """
    copy = f"{path}.copy"
    parts = ("", "-wal")
    try:
        for part in parts:
            with suppress(FileNotFoundError):
                _copy(f"{path}{part}", f"{copy}{part}")
        yield copy
    finally:
        for part in (*parts, "-shm"):
            with suppress(OSError):
                os.unlink(f"{copy}{part}")  # noqa: PTH108 - pathlib costs


def _copy(path: str, target: str) -> None:
    source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as out:
            while os.sendfile(out.fileno(), source, None, _AT_ONCE):
                pass
    finally:
        os.close(source)


def read_only(path: str) -> LedgerReader:
    """Open the ledger for a client while no daemon runs. Raises OperationFailed as LedgerReader does."""
    return LedgerReader(path)


def _wanted(query: EventQuery) -> dict[str, list[str]]:
    """The services that the query's names belong to, each with the instances that are meant (none: all)."""
    wanted: dict[str, list[str]] = {}
    for name in query.services:
        service, at, _ = name.partition("@")
        if at and service not in query.services:
            wanted.setdefault(service, []).append(name)
        else:
            wanted[service] = []
    return wanted


def _first_since(db: sqlite3.Connection, since: float) -> int:
    """The smallest id not older than `since`, by bisection: times rise with ids, unless the clock was stepped."""
    # Each in a query of its own is read from the end of the tree; both in one would read the whole table.
    low, high = (db.execute(f"SELECT {edge}(id) FROM events").fetchone()[0] or 0 for edge in ("min", "max"))
    high += 1
    while low < high:
        middle = (low + high) // 2
        found, at = db.execute("SELECT id, at FROM events WHERE id >= ? ORDER BY id LIMIT 1", (middle,)).fetchone()
        if at < since:
            low = found + 1
        else:
            high = middle
    return low


def _matches(event: Event, query: EventQuery) -> bool:
    return (
        (query.after is None or event["id"] > query.after)
        and (query.before is None or event["id"] < query.before)
        and (query.since is None or from_iso(event["at"]) >= query.since - 0.0005)
        and (not query.services or event["service"] in query.services or event["instance"] in query.services)
    )


def _objects(texts: list[str]) -> list[JSON]:
    """The JSON objects in the texts; parsed together, which takes a third of the time, unless one is damaged."""
    if all(text[:1] == "{" and text[-1:] == "}" for text in texts):
        try:
            found: list[JSON] = json.loads(f"[{','.join(texts)}]")
        except ValueError:
            found = []
        if len(found) == len(texts):
            return found
    return [_object(text) for text in texts]


def _object(text: str) -> JSON:
    """The JSON object in `text`; an empty object if it is damaged, so that the rest can still be read."""
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {}
