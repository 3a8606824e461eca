"""Keeps the ledger small: removes old events in small steps, and runs checkpoints without blocking the event loop."""

from __future__ import annotations

import _thread
import os
import sqlite3
from collections.abc import Callable

from supervisor.adapters.ledger.query import last_indexed
from supervisor.adapters.ledger.schema import pragma, uri

STEP = 500
"""Events removed, or indexed, in one step (a millisecond or two)."""
KEPT = 100
"""The newest events stay, however old or big, so that the latest history is always available."""
EVIDENCE_KEPT = 200
EVIDENCE_STEP = 8
"""Pieces of evidence that are removed in one step (each has up to 16 pages, a millisecond or two together)."""
EVIDENCE_AGE = 7 * 86_400.0
"""Evidence, up to 64 KiB each, is kept for the newest failures only: this many, and for this many seconds."""
WAL_MOST = 2 * 1024 * 1024
"""Bytes of write-ahead log at which a checkpoint is due."""
WAL_BUSY = 4 * WAL_MOST
"""Bytes at which writes are so frequent that a checkpoint in a thread never catches up: the last of the log is then
checkpointed on the event loop, where nothing is written meanwhile."""
LOOP_MOST = 1024 * 1024
"""Bytes of the log that are checkpointed on the event loop at most (some milliseconds)."""
WAL_HELD = 32 * WAL_MOST
"""Bytes at which another process must be holding an old snapshot open, so that the log cannot restart."""
_VACUUM = 128
_FRAME_HEAD = 24
"""Bytes before each page in the log."""


def prune(db: sqlite3.Connection, now: float, max_age: float, max_bytes: int) -> bool:
    """Remove at most STEP of the oldest events that exceed the age or the size limit.

    `now` is in seconds since the epoch. True: there is more to remove.
    """
    pages, free = pragma(db, "page_count"), pragma(db, "freelist_count")
    crowded = (pages - free) * pragma(db, "page_size") > max_bytes
    last = db.execute("SELECT max(id) FROM events").fetchone()[0] or 0
    oldest = f"id IN (SELECT id FROM events WHERE id <= ? ORDER BY id LIMIT {STEP})"
    db.execute("BEGIN IMMEDIATE")
    try:
        gone = db.execute(
            f"DELETE FROM events WHERE {oldest} AND (? OR at < ?)", (last - KEPT, crowded, now - max_age)
        ).rowcount
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    return gone == STEP


def prune_evidence(db: sqlite3.Connection, now: float) -> bool:
    """Remove at most EVIDENCE_STEP pieces of evidence beyond their limits. True: there is more to remove."""
    gone = db.execute(
        "DELETE FROM evidence WHERE id IN (SELECT id FROM evidence"
        " WHERE at < ? OR id < (SELECT min(id) FROM events)"
        " OR id <= (SELECT id FROM evidence ORDER BY id DESC LIMIT 1 OFFSET ?) ORDER BY id LIMIT ?)",
        (now - EVIDENCE_AGE, EVIDENCE_KEPT, EVIDENCE_STEP),
    ).rowcount
    return gone == EVIDENCE_STEP


def shrink(db: sqlite3.Connection) -> None:
    """Give some free pages back to the file system, where a quarter of the file is free."""
    if pragma(db, "freelist_count") > pragma(db, "page_count") // 4:
        db.execute(f"PRAGMA incremental_vacuum({_VACUUM})").fetchall()


def index(db: sqlite3.Connection) -> bool:
    """Put at most STEP of the newest events into the index by service. True: there are more."""
    border = last_indexed(db)
    last = db.execute("SELECT max(id) FROM events").fetchone()[0] or 0
    db.execute("UPDATE events SET indexed = 1 WHERE id > ? AND id <= ?", (border, min(last, border + STEP)))
    return bool(border + STEP < last)


def wal_size(path: str) -> int:
    """Bytes of the write-ahead log; 0 when there is none."""
    try:
        return os.stat(f"{path}-wal").st_size  # noqa: PTH116 - pathlib costs
    except OSError:
        return 0


class Checkpoint:
    """Copies the write-ahead log into the database, in a thread and on a connection of its own.

    A checkpoint waits for the disk twice (log, then database), which may take seconds on a busy one; the event loop
    must not wait. It is a passive checkpoint: neither writers nor readers wait for it.
    """

    def __init__(self, path: str) -> None:
        self.error = ""
        self.reached = 0
        """Bytes of the log that the last one has copied."""
        self._path = path
        self._running = _thread.allocate_lock()

    def start(self) -> None:
        """Start a checkpoint, unless one is running."""
        if not self._running.acquire(blocking=False):
            return
        try:
            _thread.start_new_thread(self._run, ())
        except RuntimeError as error:  # the system allows no more threads
            self.error = str(error)
            self._running.release()

    def wait(self, seconds: float) -> bool:
        """Wait until no checkpoint is running; False when `seconds` pass first."""
        if not self._running.acquire(timeout=seconds):
            return False
        self._running.release()
        return True

    def _run(self) -> None:
        try:
            db = sqlite3.connect(uri(self._path, "mode=rw"), uri=True, timeout=0.0, isolation_level=None)
            try:
                db.execute("PRAGMA synchronous = NORMAL")
                db.execute("SELECT 1 FROM meta LIMIT 1").fetchone()  # SQLite notices the log only when it reads
                _, _, frames = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                self.reached = frames * (pragma(db, "page_size") + _FRAME_HEAD)
                self.error = ""
            finally:
                db.close()
        except sqlite3.Error as error:
            self.error = str(error)
        finally:
            self._running.release()


class Maintenance:
    """Periodic work on the ledger, in steps of some milliseconds. It raises what the database raises."""

    def __init__(self, path: str, on_problem: Callable[[str], None], max_age: float, max_bytes: int) -> None:
        self.checkpoint = Checkpoint(path)
        self.written = STEP
        """Events and other commits since the last step; the writer counts it up."""
        self._path = path
        self._on_problem = on_problem
        self._max_age, self._max_bytes = max_age, max_bytes
        self._told = False
        self._again = self._log_long = False

    @property
    def due(self) -> bool:
        return self.written >= STEP or self._again

    @property
    def soon(self) -> bool:
        """The next step may follow soon.  Where the log is long, a slow disk or a reader holds checkpoints up, and each
        step makes it longer."""
        return not self._log_long

    def step(self, db: sqlite3.Connection, now: float) -> None:
        """Do one step of each kind of work; `due` remains true while there is more. `now`: seconds since the epoch.

        While only evidence is left, no event is removed: evidence that is about to go may be what makes the file large.
        """
        if self.written >= STEP or not self._again:
            self.written = 0
            more = index(db)
            more |= prune(db, now, self._max_age, self._max_bytes)
            self.written = STEP if more else 0
        again = prune_evidence(db, now)
        shrink(db)
        self._log_long = self._shorten_log(db)
        self._again = self._log_long or again

    def _shorten_log(self, db: sqlite3.Connection) -> bool:
        """Checkpoint a long log. SQLite restarts it at the next commit that finds all of it checkpointed.

        True: the last of it is to be checkpointed soon.
        """
        started = False
        size = wal_size(self._path)
        if size > WAL_BUSY and self.checkpoint.wait(0.0) and size - self.checkpoint.reached <= LOOP_MOST:
            db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()  # the few pages written since the last checkpoint
            self.checkpoint.reached = 0
        elif size > WAL_MOST:
            self.checkpoint.start()
            started = size > WAL_BUSY
        if size > WAL_HELD and not self._told:
            why = self.checkpoint.error or "another program keeps a long read open"
            self._on_problem(f"{self._path}-wal cannot be shortened and has grown to {size >> 20} MiB: {why}")
        self._told = size > WAL_BUSY and (self._told or size > WAL_HELD)
        return started
