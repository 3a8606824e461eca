"""The ledger's file: its tables, how it is opened, and how an unusable one is set aside."""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from contextlib import suppress

APPLICATION = 0x50686953
"""PRAGMA application_id: marks an SQLite file as a ledger."""
VERSION = 1
"""PRAGMA user_version: the version of the tables below."""
OPEN_WITHIN = 0.5
"""Seconds that opening may wait for another process's lock. Once the file is open, the daemon never waits."""
KEPT_ASIDE = 3
"""Unusable files that are kept; the oldest is removed first."""

# With many services each indexed event costs a page write of its own. So the newest events are in no index until
# maintenance adds them: those with `indexed = 0` always have the highest ids, and are few.
TABLES = f"""
BEGIN IMMEDIATE;
CREATE TABLE events (
    id INTEGER PRIMARY KEY, at REAL NOT NULL, service TEXT NOT NULL, instance TEXT NOT NULL,
    incarnation INTEGER NOT NULL, goal TEXT NOT NULL, "from" TEXT NOT NULL, "to" TEXT NOT NULL,
    cause TEXT NOT NULL, detail TEXT NOT NULL, indexed INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX events_by_service ON events (service) WHERE indexed = 1;
CREATE TABLE evidence (id INTEGER PRIMARY KEY, at REAL NOT NULL, body TEXT NOT NULL);
CREATE TABLE snapshots (name TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {VERSION};
COMMIT;
"""
BESIDE = ("-wal", "-shm")
"""Endings of the files that SQLite has beside the ledger: the write-ahead log and its index."""
DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class Unusable(Exception):
    """The file exists and is not a ledger that this version can read."""


def is_damage(error: Exception) -> bool:
    """Whether the file's content is at fault, rather than the disk, its free space or another process."""
    code = getattr(error, "sqlite_errorcode", None) or 0
    return isinstance(error, Unusable) or code & 0xFF in DAMAGE


def open_ledger(path: str) -> sqlite3.Connection:
    """Open the ledger, or create one.

    Raises OSError or sqlite3.Error when that is not possible now; if `is_damage` is true of the error, it never will be
    with this file. Opening does not wait for the disk: commits survive a crash of the daemon, and a checkpoint
    (maintenance.py) makes them survive a crash of the machine.
    """
    for part in ("", *BESIDE):
        require_regular(f"{path}{part}")
    os.makedirs(os.path.dirname(path) or ".", 0o700, exist_ok=True)  # noqa: PTH103, PTH120 - pathlib costs
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(fd, 0o600)  # SQLite gives the files beside it the same mode
    finally:
        os.close(fd)
    db = sqlite3.connect(path, timeout=OPEN_WITHIN, isolation_level=None)
    try:
        _prepare(db)
    except BaseException:
        db.close()
        raise
    return db


def require_regular(path: str) -> None:
    """Raise Unusable where something else than a file has this name: opening a FIFO would wait for ever."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - pathlib costs
    except OSError:
        return
    if not stat.S_ISREG(mode):
        raise Unusable(f"{path} is {'a directory' if stat.S_ISDIR(mode) else 'not a regular file'}")


def _prepare(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA synchronous = OFF")
    db.execute("PRAGMA cache_size = -512")
    fresh = not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if not fresh and pragma(db, "application_id") != APPLICATION:
        raise Unusable("it is the database of another program")
    if not fresh and pragma(db, "user_version") != VERSION:
        raise Unusable(f"its version is {pragma(db, 'user_version')}, but this program knows {VERSION}")
    db.execute("PRAGMA auto_vacuum = INCREMENTAL")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA wal_autocheckpoint = 0")
    db.execute("PRAGMA journal_size_limit = 1048576")
    if fresh:
        db.executescript(TABLES)
    for table in ("events", "evidence", "snapshots", "meta"):
        db.execute(f"SELECT * FROM {table} ORDER BY 1 DESC LIMIT 1").fetchone()
    db.execute("PRAGMA busy_timeout = 0")


def uri(path: str, how: str) -> str:
    """The path as an SQLite URI with the query string `how`."""
    quoted = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    return f"file:{quoted}?{how}"


def pragma(db: sqlite3.Connection, name: str) -> int:
    """The value of a numeric PRAGMA."""
    return int(db.execute(f"PRAGMA {name}").fetchone()[0])


def set_aside(path: str) -> str:
    """Rename an unusable ledger, with its write-ahead log; returns the new path. Raises OSError.

    Where only something beside it is unusable, that is renamed, and the ledger stays.
    """
    now = time.time_ns()
    stamp = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(now // 10**9))}.{now // 1000 % 10**6:06}Z"
    target = f"{path}.corrupt-{stamp}"
    for part in BESIDE:
        if not _is_regular(f"{path}{part}") and _is_regular(path):
            os.rename(f"{path}{part}", f"{target}{part}")  # noqa: PTH104 - pathlib costs
            return f"{target}{part}"
    os.rename(path, target)  # noqa: PTH104
    with suppress(OSError):
        os.unlink(f"{path}-shm")  # noqa: PTH108
    with suppress(OSError):
        os.rename(f"{path}-wal", f"{target}-wal")  # noqa: PTH104
    _forget_oldest(path)
    return target


def _is_regular(path: str) -> bool:
    """Also where there is nothing."""
    try:
        require_regular(path)
    except Unusable:
        return False
    return True


def _forget_oldest(path: str) -> None:
    folder, _, ledger = path.rpartition("/")
    folder = folder or "."
    names = os.listdir(folder)  # noqa: PTH208 - pathlib costs
    aside = sorted({name.removesuffix("-wal") for name in names if name.startswith(f"{ledger}.corrupt-")})
    for name in aside[:-KEPT_ASIDE]:
        for old in (name, f"{name}-wal"):
            with suppress(OSError):
                os.unlink(f"{folder}/{old}")  # noqa: PTH108
