"""The ledger: every state change with its cause and evidence, and the saved state that a later daemon adopts from.

Each `append` is one commit that does not wait for the disk: it must survive a crash of the daemon (record before act),
not a power cut, in which the children die too. A broken disk never stops supervision: events that cannot be written are
kept in memory (the newest HELD), the problem is reported once, and writing is tried again every RETRY seconds.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from supervisor.adapters.ledger.entry import INSERT, Entry, encode, entry
from supervisor.adapters.ledger.maintenance import Maintenance
from supervisor.adapters.ledger.query import (
    EventQuery,
    LedgerReader,
    copied,
    cut,
    read_evidence,
    read_meta,
    read_only,
    read_snapshots,
    select,
)
from supervisor.adapters.ledger.schema import BESIDE, Unusable, is_damage, open_ledger, set_aside
from supervisor.core.model.actions import Record
from supervisor.core.text.timestamps import to_iso
from supervisor.errors import OperationFailed

if TYPE_CHECKING:
    from supervisor.core.model.document_types import JSON
    from supervisor.core.model.documents import Event
    from supervisor.core.model.evidence_documents import Evidence

__all__ = ["EventQuery", "Ledger", "LedgerReader", "read_only"]

HELD = 1000
"""Events kept in memory while the disk is broken."""
EVIDENCE_HELD = 16
"""Of the events kept in memory, the number of the newest that keep their evidence."""
RETRY = 3.0
"""Seconds between two attempts to write to a broken disk."""
UPKEEP_AFTER = 1.0
"""Seconds by which maintenance is delayed, so that it does not slow a restart."""
STEP_AFTER = 0.1
"""Seconds from one step to the next where more is left, as after a start of thousands, and checkpoints keep up."""
MAX_AGE = 30 * 86_400.0
MAX_BYTES = 64 * 1024 * 1024

Later = Callable[[float, Callable[[], None]], object]
T = TypeVar("T")
_BROKEN = (sqlite3.Error, OSError, Unusable)


class Ledger:
    """Reads and writes the ledger, from one thread. No method raises because of the disk.

    `on_problem(text)` is called once when the ledger becomes unusable, and once when it is usable again; `problem`
    holds the present problem, or None. `later(seconds, callback)` delays work (a timer of the event loop); without it,
    maintenance runs within `append`, and a broken disk is tried again when there is something to write. `on_loss` is
    called when a new file replaces one that was damaged or removed: saved state may have to be saved again.
    """

    def __init__(
        self,
        path: str,
        on_problem: Callable[[str], None],
        *,
        max_age: float = MAX_AGE,
        max_bytes: int = MAX_BYTES,
        later: Later | None = None,
        clock: Callable[[], float] = time.monotonic,
        on_loss: Callable[[], None] | None = None,
    ) -> None:
        self.problem: str | None = None
        self._path = path
        self._on_problem = on_problem
        self._later, self._clock, self._on_loss = later, clock, on_loss
        self._db: sqlite3.Connection | None = None
        self._opened = (0, 0)
        self._last = 0
        self._held: deque[Entry] = deque()
        self._lost = 0
        self._snapshots: dict[str, JSON | Callable[[], JSON | None] | None] = {}
        self._meta: dict[str, str] = {}
        self._retry_at = 0.0
        self._now = 0.0
        self._maintenance = Maintenance(path, on_problem, max_age, max_bytes)
        self._maintenance_scheduled = False
        self._closed = self._begun = False
        self.flush()
        self._begun = True
        if self._db is None:
            self._load_read_only()

    # -- writing -------------------------------------------------------------------------------------------------

    def append(self, records: Sequence[Record], at: float) -> list[Event]:
        """Write records that happened `at` (seconds since the epoch), and what `save` left to be written, in one
        commit.

        Returns their event objects, whether they could be written or not.
        """
        stamp = to_iso(at)
        return [written.event(stamp) for written in self.write(records, at)]

    def write(self, records: Sequence[Record], at: float) -> list[Entry]:
        """The same without event objects; `Entry.event` makes one later."""
        self._now = at
        new = [entry(number, at, record) for number, record in enumerate(records, self._last + 1)]
        self._last += len(new)
        self._held += new
        self.flush()
        return new

    def save(self, name: str, snapshot: JSON | Callable[[], JSON | None] | None) -> None:
        """Save the state of `name` for adoption after a restart of the daemon; None removes it.

        It is written with the next `append` or `flush`. The caller must not change `snapshot` afterwards. A function is
        called when it is written: the states of thousands need not be in memory at once.
        """
        self._snapshots[name] = snapshot

    def set_meta(self, key: str, value: str) -> None:
        """Store a fact about the supervisor itself, at once."""
        self._meta[key] = value
        self.flush()

    @property
    def behind(self) -> bool:
        """The disk has not taken everything yet."""
        return bool(self._held or self._snapshots or self._meta)

    def flush(self) -> None:
        """Write what is pending, if the disk accepts it."""
        if self._closed or (self.problem is not None and self._clock() < self._retry_at):
            self._shorten()
            return
        try:
            self._write()
        except _BROKEN as error:
            self._recover(error)
        else:
            self._schedule_maintenance()

    def close(self) -> None:
        """Write what is pending, and leave one whole file behind."""
        self._retry_at = 0.0
        self.flush()
        self._closed = True
        self._maintenance.checkpoint.wait(5.0)
        if self._db is not None:
            try:
                self._db.execute("PRAGMA synchronous = NORMAL")  # closing is a checkpoint
            except sqlite3.Error as error:
                self._trouble(error)
            self._disconnect()

    # -- reading -------------------------------------------------------------------------------------------------

    def events(self, query: EventQuery) -> list[Event]:
        """The event objects of `query`, oldest first, including those not written yet."""
        found = self._ask(lambda db: select(db, query)) or []
        return cut([*found, *(held.event(to_iso(held.row[1])) for held in self._held)], query) if self._held else found

    def evidence(self, event_id: int) -> Evidence | None:
        """What was captured when the event happened; None if there is nothing, or it is no longer kept."""
        for held in self._held:
            if held.id == event_id:
                return held.evidence_object()
        return self._ask(lambda db: read_evidence(db, event_id))

    def load(self) -> dict[str, JSON]:
        """All snapshots by name."""
        found = self._ask(read_snapshots) or {}
        for name, snapshot in self._snapshots.items():
            made = _made(snapshot)
            if made is None:
                found.pop(name, None)
            else:
                found[name] = made
        return found

    def get_meta(self, key: str) -> str | None:
        return {**(self._ask(read_meta) or {}), **self._meta}.get(key)

    # -- the disk ------------------------------------------------------------------------------------------------

    def _write(self) -> None:
        db = self._connected()
        if self._held or self._snapshots or self._meta:
            gone: list[tuple[str]] = []
            db.execute("BEGIN IMMEDIATE")
            if self._held:
                db.executemany(INSERT, (e.row for e in self._held))
            evidence = [(e.id, e.row[1], e.evidence) for e in self._held if e.evidence]
            if evidence:
                db.executemany("INSERT OR REPLACE INTO evidence VALUES (?, ?, ?)", evidence)
            if self._snapshots:
                db.executemany("INSERT OR REPLACE INTO snapshots VALUES (?, ?)", self._encoded(gone))
            if gone:
                db.executemany("DELETE FROM snapshots WHERE name = ?", gone)
            if self._meta:
                db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", self._meta.items())
            db.execute("COMMIT")
            self._maintenance.written += len(self._held) or 1
        self._written()

    def _encoded(self, gone: list[tuple[str]]) -> Iterator[tuple[str, str]]:
        """The rows of the states that are to be saved, one by one; the names of the others are added to `gone`."""
        for name, snapshot in self._snapshots.items():
            found = _made(snapshot)
            if found is None:
                gone.append((name,))
            else:
                yield name, encode(found)

    def _written(self) -> None:
        count, lost = len(self._held), self._lost
        self._held.clear()
        self._snapshots.clear()
        self._meta.clear()
        self._lost = 0
        if self.problem is not None:
            self.problem = None
            loss = f"; {lost} older ones are lost" if lost else ""
            self._on_problem(f"the ledger {self._path} can be written again: {count} events were saved{loss}")

    def _connected(self) -> sqlite3.Connection:
        """The open ledger; reopened if the file was removed or replaced."""
        if self._db is not None:
            if self._identity() == self._opened:
                return self._db
            self._on_problem(f"the ledger {self._path} was removed or replaced: it is reopened")
            self._salvage()
        db = open_ledger(self._path)
        self._db, self._opened = db, self._identity()
        known = db.execute("SELECT max(id) FROM events").fetchone()[0] or 0
        self._renumber(max(0, known + 1 - (self._held[0].id if self._held else self._last + 1)))
        return db

    def _identity(self) -> tuple[int, int]:
        try:
            found = os.stat(self._path)  # noqa: PTH116 - pathlib is slower; this is on the restart path
        except OSError:
            return 0, 0
        return found.st_dev, found.st_ino

    def _renumber(self, shift: int) -> None:
        """Shift the numbers of events that were recorded before the file could be read, so that they follow those in
        it.
        """
        if shift:
            self._last += shift
            for held in self._held:
                held.renumber(shift)

    def _recover(self, error: Exception) -> None:
        """Handle a failed write: replace a damaged file at once; retry later after any other error."""
        if is_damage(error):
            try:
                self._replace(error)
                self._write()
                return
            except _BROKEN as another:
                error = another
        self._trouble(error)
        self._shorten()

    def _replace(self, error: Exception) -> None:
        """Set the damaged file aside, so that a new one is created."""
        self._salvage()
        aside = set_aside(self._path)
        beside = next((part for part in BESIDE if aside.endswith(part)), "")
        self._on_problem(
            f"the ledger {self._path} is unusable ({error}): "
            + (f"that was moved to {aside}" if beside else f"it was moved to {aside}, and a new one was begun")
        )

    def _salvage(self) -> None:
        """Close this file, but keep in memory what can still be read of the state that adoption needs."""
        if self._db is not None:
            with suppress(sqlite3.Error):
                self._meta = {**read_meta(self._db), **self._meta}
                self._snapshots = {**read_snapshots(self._db), **self._snapshots}
        self._maintenance.checkpoint.wait(5.0)  # it would mistake the new file's log for its own
        self._disconnect()
        if self._on_loss is not None and self._begun:
            self._on_loss()

    def _load_read_only(self) -> None:
        """Read a file that cannot be opened for writing: on a full or read-only disk, or locked by another process.

        Without the saved state, running services would be started a second time.
        """
        try:
            self._load(self._path)
        except OperationFailed:
            with suppress(OperationFailed, OSError), copied(self._path) as copy:
                self._load(copy)

    def _load(self, path: str) -> None:
        """Take the saved state from a file.  Raises OperationFailed."""
        reader = LedgerReader(path, wait=0.0)
        try:
            self._meta = {**reader.meta(), **self._meta}
            self._snapshots = {**reader.snapshots(), **self._snapshots}
        finally:
            reader.close()

    def _trouble(self, error: Exception) -> None:
        code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
        if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY) and self._db is not None:
            with suppress(sqlite3.Error):
                self._db.rollback()  # the file can still be read
        else:
            self._disconnect()
        self._retry_at = self._clock() + RETRY
        if self.problem is None:
            self.problem = str(error)
            self._on_problem(
                f"the ledger {self._path} cannot be written ({error}): the last {HELD} events are kept in memory"
            )
        if self._later is not None and not self._closed:
            self._later(RETRY, self.flush)

    def _shorten(self) -> None:
        while len(self._held) > HELD:
            self._held.popleft()
            self._lost += 1
        for held in list(self._held)[:-EVIDENCE_HELD]:
            held.evidence = None

    def _disconnect(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            with suppress(sqlite3.Error):  # an error was reported when it happened
                db.close()

    def _ask(self, question: Callable[[sqlite3.Connection], T]) -> T | None:
        if self._db is None:
            return None
        try:
            return question(self._db)
        except sqlite3.Error as error:
            if is_damage(error):
                self._recover(error)
            else:
                self._on_problem(f"cannot read the ledger {self._path}: {error}")
            return None

    # -- maintenance ---------------------------------------------------------------------------------------------

    def _schedule_maintenance(self, delay: float = UPKEEP_AFTER) -> None:
        """Schedule maintenance if it is due. Called after each commit; the delay keeps it away from restarts."""
        if self._maintenance_scheduled or not self._maintenance.due:
            return
        self._maintenance_scheduled = True
        if self._later is None:
            self._tidy()
        else:
            self._later(delay, self._tidy)

    def _tidy(self) -> None:
        """Do one small step; what is left follows later."""
        self._maintenance_scheduled = False
        if self._db is not None and self.problem is None:
            try:
                self._maintenance.step(self._db, self._now)
            except _BROKEN as error:
                self._recover(error)
            else:
                if self._later is not None:
                    self._schedule_maintenance(STEP_AFTER if self._maintenance.soon else UPKEEP_AFTER)


def _made(snapshot: JSON | Callable[[], JSON | None] | None) -> JSON | None:
    return snapshot() if callable(snapshot) else snapshot
