"""The previous run: what an earlier daemon saved of itself, and what this one saves for the next.

The ledger holds the facts.  It may be lost, or a full disk may have prevented every write of a run, so the id, the boot
and the fact that a daemon runs are in the runtime directory as well.  The id serves to find the processes, and their
environments tell the rest (core/services/adoption.py).
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from supervisor.adapters.linux import procfs
from supervisor.core.model.plain import from_plain, to_plain
from supervisor.core.model.saved import GARBAGE
from supervisor.core.model.spec import Plan

if TYPE_CHECKING:
    from supervisor.core.model.documents import JSON


ID, PLAN, RUNNING, SOURCE = "id", "plan.json", "running", "source"
"""Files in the runtime directory: the id with its boot, the plan in force, the boot of a daemon that has not ended in
order, and the file that the daemon runs (config/source/project.py)."""


class Facts(Protocol):
    """What the ledger has to offer."""

    def get_meta(self, key: str) -> str | None: ...

    def set_meta(self, key: str, value: str) -> None: ...

    def load(self) -> dict[str, JSON]:
        """The saved instances by name."""
        ...


class Files(Protocol):
    """What the runtime directory has to offer.  Writing raises OSError."""

    def read_id(self) -> tuple[str, str]:
        """The id and the epoch that the last daemon wrote; empty where there are none."""
        ...

    def write_id(self, supervisor_id: str, epoch: str) -> None: ...

    def read_running(self) -> str:
        """The epoch of the last daemon if it has not ended in order; else empty."""
        ...

    def write_running(self, epoch: str) -> None:
        """A daemon runs in this epoch; empty: it has ended in order."""
        ...

    def read_plan(self) -> Plan | None:
        """The plan that a daemon has, or had, in force; None where none can be read."""
        ...

    def write_plan(self, plan: Plan) -> None: ...


class PreviousRun:
    """What is known of the run before this one.

    `id`: the mark in the environment of the children, the same for every daemon of this state directory.  `crashed`:
    the previous daemon did not end in order, and the epoch is the same, so that its processes may be alive.
    `instances`: what is saved of each.  `current`: the previous daemon saved it, so that its moments are valid; else an
    earlier one did, because the ledger could not be written.  `closing`: it was shutting down.  `plan`: the one it had
    in force; None unless it crashed."""

    def __init__(self, facts: Facts, files: Files, epoch: str) -> None:
        self._facts = facts
        self._files = files
        self._epoch = epoch
        written_id, written_epoch = files.read_id()
        self.id = facts.get_meta("supervisor_id") or written_id or os.urandom(8).hex()
        known = facts.get_meta("epoch")
        unclean = (
            written_epoch == epoch if known is None else known == epoch and facts.get_meta("clean_shutdown") == "no"
        )
        self.crashed = unclean or files.read_running() == epoch
        self.current = unclean
        self.closing = unclean and facts.get_meta("closing") == "yes"
        self.instances = facts.load()
        self.plan = files.read_plan() if self.crashed else None

    def plan_in_force(self, configured: Plan) -> Plan:
        """The plan to begin with: the configured one, with the services of a run that crashed."""
        return configured if self.plan is None else replace(configured, services=self.plan.services)

    def begin(self, *, closing: bool = False) -> None:
        """Mark this run as unclean until an orderly end.  Called again when the ledger or the directory is replaced."""
        facts = {
            "supervisor_id": self.id,
            "epoch": self._epoch,
            "clean_shutdown": "no",
            "closing": "yes" if closing else "no",
        }
        for key, value in facts.items():
            self._facts.set_meta(key, value)
        self._files.write_id(self.id, self._epoch)
        self._files.write_running(self._epoch)

    def end(self) -> None:
        """Mark this run as ended in order: it has left no process."""
        self._facts.set_meta("clean_shutdown", "yes")
        self._files.write_running("")

    def other_file(self, configured: Plan) -> str:
        """The file of the daemon that crashed, where that is another one and is still there; else empty.  Its services
        may run, and to put `configured` in force would stop them."""
        was = self.plan
        if was is None or was.path in ("", configured.path) or was.folder == configured.folder != "":
            return ""
        with suppress(OSError):
            return "" if os.path.samefile(was.path, configured.path) else was.path  # noqa: PTH121 - pathlib costs
        return ""

    def keep(self, plan: Plan) -> None:
        """Save `plan` as the one in force.  OSError."""
        self._files.write_plan(plan)


class RuntimeFiles:
    """The files in the runtime directory `path`.  A plan holds the environment of services, so only the owner may read
    them.  Each is replaced as a whole.  Which file the daemon runs stands in the state directory as well, which
    outlasts a boot."""

    def __init__(self, path: str, state_dir: str = "") -> None:
        self._sources = [f"{place}/{SOURCE}" for place in (path, state_dir) if place]
        self._id = f"{path}/{ID}"
        self._plan = f"{path}/{PLAN}"
        self._running = f"{path}/{RUNNING}"

    def read_id(self) -> tuple[str, str]:
        with suppress(OSError, ValueError), open(self._id) as file:
            supervisor_id, epoch = file.read(200).split()
            return supervisor_id, epoch
        return "", ""

    def write_id(self, supervisor_id: str, epoch: str) -> None:
        _write(self._id, f"{supervisor_id} {epoch}\n")

    def read_running(self) -> str:
        with suppress(OSError, ValueError), open(self._running) as file:
            return file.read(200).strip()
        return ""

    def write_running(self, epoch: str) -> None:
        if epoch:
            _write(self._running, f"{epoch}\n")
        else:
            with suppress(OSError):
                os.unlink(self._running)  # noqa: PTH108 - pathlib costs

    def read_plan(self) -> Plan | None:
        with suppress(OSError, *GARBAGE), open(self._plan) as file:
            plan = from_plain(Plan, json.load(file))
            return replace(plan, folder=self._read_folder(plan.path))
        return None

    def _read_folder(self, path: str) -> str:
        with suppress(OSError, ValueError), open(self._sources[0], errors="surrogateescape") as file:
            folder, written = file.read().split("\n", 1)
            return folder if written == f"{path}\n" else ""
        return ""

    def write_plan(self, plan: Plan) -> None:
        """The folder is in a file of its own: an earlier version does not read a plan with a key that it does not
        know."""
        _write(self._plan, json.dumps(to_plain(replace(plan, folder="")), separators=(",", ":")))
        for source in self._sources:
            with suppress(OSError):  # without it only a folder that is moved is not found
                _write(source, f"{plan.folder}\n{plan.path}\n")


def current_epoch() -> str:
    """Names the boot, or the container: the span within which pids and CLOCK_MONOTONIC mean the same."""
    return f"{procfs.boot_id()}.{procfs.start_time(1)}"


def _write(path: str, text: str) -> None:
    fd = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(fd, "w", errors="surrogateescape") as file:
        file.write(text)
    os.replace(f"{path}.new", path)  # noqa: PTH105 - pathlib costs
