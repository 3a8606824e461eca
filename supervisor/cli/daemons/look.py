"""Asks each daemon of this host how it is, side by side and for a limited time."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING, NotRequired, TypedDict

from supervisor.adapters.linux.directories import read_file, socket_owner
from supervisor.adapters.linux.locks import holder_lives
from supervisor.client import Client
from supervisor.config.source.known_daemons import Known
from supervisor.config.source.project import recorded
from supervisor.errors import NoAnswer, NoDaemon, NotListening, SupervisorError

if TYPE_CHECKING:
    from supervisor.core.model.documents import Status

ANSWERS_WITHIN = 5.0
"""Seconds after which a daemon counts as one that does not answer."""


class Found(TypedDict):
    """A daemon.  `state`: running, no-answer, starting (it starts or ends), or killed (it did not end in order, and its
    services may run on).  A field is None where its value is not known now.  `profiles`: the active ones, where any
    service has profiles."""

    name: str
    state: str
    pid: int | None
    ready: int | None
    wanted: int | None
    file: str
    file_exists: bool | None
    runtime_dir: str
    profiles: NotRequired[list[str]]


def look(known: Sequence[Known], within: float = ANSWERS_WITHIN) -> list[Found]:
    """What is known of each daemon after `within` seconds, in the given order.  Directories that another user could
    have made are left out, and so are those of daemons that ended in order."""
    answers: SimpleQueue[tuple[int, Found | None]] = SimpleQueue()
    found: dict[int, Found | None] = {}
    for number, one in enumerate(known):
        Thread(target=_ask, args=(number, one, answers), daemon=True).start()
    give_up = monotonic() + within
    while len(found) < len(known):
        try:
            number, row = answers.get(timeout=max(0.0, give_up - monotonic()))
        except Empty:
            break
        found[number] = row
    rows = (found[number] if number in found else _row(one, "no-answer") for number, one in enumerate(known))
    return [row for row in rows if row is not None]


def _ask(number: int, one: Known, answers: SimpleQueue[tuple[int, Found | None]]) -> None:
    row: Found | None = None
    try:
        row = _look_at(one)
    finally:
        answers.put((number, row))


def _look_at(one: Known) -> Found | None:
    path = f"{one.runtime_dir}/control.sock"
    try:
        if socket_owner(path) not in (0, os.geteuid()):
            return None
        status = Client(path).status()
    except NotListening:
        if holder_lives(one.runtime_dir):
            return _with_file(_row(one, "starting"))
        return _with_file(_row(one, "killed")) if one.ended is False else None
    except NoAnswer:
        return _with_file(_row(one, "no-answer"))
    except (NoDaemon, OSError):  # nothing is there, or this user may not ask it
        return None
    except SupervisorError:  # it could not make its status
        return _with_file(_row(one, "no-answer"))
    return _answered(one, status)


def _answered(one: Known, status: Status) -> Found:
    from supervisor.core.history.ratios import is_wanted

    daemon = status["supervisor"]
    wanted = [r for r in status["instances"] if is_wanted(r["goal"], r["type"], r["state"], r["cause"])]
    found: Found = {
        "name": daemon["name"],
        "state": "running",
        "pid": daemon["pid"],
        "ready": sum(row["ready"] for row in wanted),
        "wanted": len(wanted),
        "file": daemon["config"],
        "file_exists": Path(daemon["config"]).exists(),
        "runtime_dir": one.runtime_dir,
    }
    if "profiles" in daemon:
        found["profiles"] = daemon["profiles"]
    return found


def _with_file(row: Found) -> Found:
    """The row with `file_exists`.  It may block: the configuration may be on a file system that does not answer."""
    return {**row, "file_exists": Path(row["file"]).exists() if row["file"] else None}


def _row(one: Known, state: str) -> Found:
    """What is known without the daemon, and without the file system of its configuration."""
    file = one.file
    if not file and (record := recorded(one.runtime_dir)) is not None:
        file = record.path
    return {
        "name": one.name,
        "state": state,
        "pid": None if state == "killed" else _holder(one.runtime_dir),
        "ready": None,
        "wanted": None,
        "file": file,
        "file_exists": None,
        "runtime_dir": one.runtime_dir,
    }


def _holder(runtime_dir: str) -> int | None:
    """The process that took the lock of the directory last."""
    with suppress(OSError, ValueError, IndexError):
        return int(read_file(runtime_dir, "lock", 64).split()[0])
    return None
