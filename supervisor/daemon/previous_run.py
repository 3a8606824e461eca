"""The previous run: what an earlier daemon saved of itself, and what this one saves for the next.

The ledger holds the facts.  It may be lost, or a full disk may have prevented every write of a run, so the id, the boot
and the fact that a daemon runs are in the runtime directory as well.  The id serves to find the processes, and their
environments tell the rest (core/services/adoption.py).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from supervisor.adapters.linux import procfs
from supervisor.adapters.linux.directories import open_directory, read_file
from supervisor.core.model.plain import from_plain, listed, to_plain
from supervisor.core.model.plan_text import plan_from_json
from supervisor.core.model.saved import GARBAGE
from supervisor.core.model.spec import Plan, written_lines
from supervisor.errors import OperationFailed

if TYPE_CHECKING:
    from supervisor.core.model.document_types import JSON
    from supervisor.core.model.spec import ServiceSpec
    from supervisor.core.services.rollout import Rollout


ID, PLAN, RUNNING, SOURCE, WRITTEN, ROLLOUTS = "id", "plan.json", "running", "source", "written.json", "rollouts.json"
"""Files in the runtime directory: the id with its boot, the plan in force, the boot of a daemon that has not ended in
order, the file that the daemon runs (config/source/project.py), the fingerprints of the plan (Plan.written), and the
newest rollout of each service that had one."""


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

    def read_rollouts(self) -> list[JSON]:
        """What `write_rollouts` wrote last; empty where that cannot be read."""
        ...

    def unreadable(self, names: Iterable[str]) -> list[str]:
        """Those of these files that are there and cannot be read."""
        ...

    def set_aside(self, name: str) -> str:
        """Keep a file under another name, before it is replaced; returns its path, empty where that failed."""
        ...

    def write_rollouts(self, rollouts: list[JSON]) -> None: ...


class PreviousRun:
    """What is known of the run before this one.

    `id`: the mark in the environment of the children, the same for every daemon of this state directory.  `crashed`:
    the previous daemon did not end in order, and its processes may be alive: the epoch is the same, or processes that
    carry the mark are there (`lives`), whatever the name of the epoch is.
    `known`: there was an earlier daemon.  `renamed`: only the processes tell that it crashed, because the epoch has
    another name now; what it saved is of this run, but moments and start times may not be valid.
    `instances`: what is saved of each.  `current`: the previous daemon saved it, so that its moments are valid; else an
    earlier one did, because the ledger could not be written.  `closing`: it was shutting down.  `plan`: the one it had
    in force; None unless it crashed.  `rollouts`: those it knew, under way or over.  `damaged`: the files of a crashed
    daemon of which a part at least cannot be read (lost_records.py)."""

    def __init__(
        self, facts: Facts, files: Files, epoch: str, lives: Callable[[str, Iterable[str]], bool] = lambda *_: False
    ) -> None:
        """`lives(id, instances)`: whether any process carries this id, or is marked as one of these instances."""
        self._facts = facts
        self._files = files
        self._epoch = epoch
        written_id, written_epoch = files.read_id()
        known_id = facts.get_meta("supervisor_id") or written_id
        self.known = bool(known_id)
        self.id = known_id or os.urandom(8).hex()
        known, running = facts.get_meta("epoch"), files.read_running()
        self.instances = facts.load()
        self.current = (
            same_epoch(written_epoch, epoch)
            if known is None
            else same_epoch(known, epoch) and facts.get_meta("clean_shutdown") == "no"
        )
        ended = not running and facts.get_meta("clean_shutdown") != "no"
        told = self.current or same_epoch(running, epoch)
        self.renamed = not told and not ended and lives(self.id, self.instances)
        self.crashed = told or self.renamed
        self.closing = self.current and facts.get_meta("closing") == "yes"
        self.plan = files.read_plan() if self.crashed else None
        beside = (PLAN, ROLLOUTS) if self.plan is None else (WRITTEN, ROLLOUTS)
        self.damaged = files.unreadable(beside) if self.crashed else []
        kept = files.read_rollouts() if self.crashed else []
        self.rollouts = readable(kept)
        self.kept = self.plan
        """The plan that was saved last."""
        self.plan_due = self.plan_behind = False
        """The plan is saved once more soon; it has former definitions, because the ledger was not written."""
        if len(self.rollouts) < len(kept):
            self.damaged.append(ROLLOUTS)

    def plan_in_force(self, configured: Plan) -> Plan:
        """The plan to begin with: the configured one, with the services of a run that crashed."""
        return configured if self.plan is None else replace(configured, services=self.plan.services)

    def rollouts_in_force(self, configured: Plan) -> list[Rollout]:
        """The rollouts to begin with.  Where the plan in force is lost, they fit the configured one."""
        return self.rollouts if self.plan is not None else fitted(self.rollouts, configured)

    def set_aside(self, name: str) -> str:
        """Keep a damaged file under another name; returns its path, empty where that failed."""
        return self._files.set_aside(name)

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
        if self._files.read_id() != (self.id, self._epoch):  # a full disk need not take what is there
            self._files.write_id(self.id, self._epoch)
        if self._files.read_running() != self._epoch:
            self._files.write_running(self._epoch)

    def shutdown_over(self) -> None:
        """The shutdown of the previous daemon is over, and what it stopped is started again."""
        self._facts.set_meta("closing", "no")

    def end(self) -> None:
        """Mark this run as ended in order: it has left no process."""
        self._facts.set_meta("clean_shutdown", "yes")
        self._files.write_running("")
        with suppress(OSError):
            self.keep_rollouts([])

    def other_file(self, configured: Plan) -> str:
        """The file of the daemon that crashed, where that is another one and is still there; else empty.  Its services
        may run, and to put `configured` in force would stop them."""
        return other_file(self.plan, configured.path, configured.folder)

    def keep(self, plan: Plan) -> None:
        """Save `plan` as the one in force.  OSError."""
        if self._files.read_plan() != plan:
            self._files.write_plan(plan)
        self.kept = plan

    def keep_rollouts(self, rollouts: list[JSON]) -> None:
        """Save all rollouts.  OSError."""
        if self._files.read_rollouts() != rollouts:
            self._files.write_rollouts(rollouts)


def for_any_version(plan: Plan) -> Plan:
    """The plan without what an earlier version cannot read."""
    return replace(plan, folder="", written="")


class RuntimeFiles:
    """The files in the runtime directory `path`.  A plan holds the environment of services, so only the owner may read
    them.  Each is replaced as a whole, in the directory that was checked and is open: another user could have taken its
    name when it was removed.  Which file the daemon runs stands in the state directory as well, which outlasts a
    boot."""

    def __init__(self, path: str, state_dir: str = "") -> None:
        self._path = path
        self._places = [place for place in (path, state_dir) if place]

    def read_id(self) -> tuple[str, str]:
        with suppress(OSError, ValueError):
            supervisor_id, epoch = self._read(ID, 200).split()
            return supervisor_id, epoch
        return "", ""

    def write_id(self, supervisor_id: str, epoch: str) -> None:
        self._write(ID, f"{supervisor_id} {epoch}\n")

    def read_running(self) -> str:
        with suppress(OSError, ValueError):
            return self._read(RUNNING, 200).strip()
        return ""

    def write_running(self, epoch: str) -> None:
        if epoch:
            self._write(RUNNING, f"{epoch}\n")
        else:
            with suppress(OSError):
                os.unlink(f"{self._path}/{RUNNING}")  # noqa: PTH108 - pathlib costs

    def read_plan(self) -> Plan | None:
        with suppress(OSError, *GARBAGE):
            plan = plan_from_json(self._read(PLAN))
            return replace(plan, folder=self._read_folder(plan.path), written=self._read_written())
        return None

    def _read_folder(self, path: str) -> str:
        with suppress(OSError, ValueError):
            folder, written = self._read(SOURCE).split("\n", 1)
            return folder if written == f"{path}\n" else ""
        return ""

    def _read_written(self) -> str:
        with suppress(OSError, *GARBAGE):
            return written_lines(json.loads(self._read(WRITTEN)))
        return ""

    def write_plan(self, plan: Plan) -> None:
        """The folder and the fingerprints are in files of their own: an earlier version does not read a plan with a key
        that it does not know."""
        self._write(PLAN, json.dumps(to_plain(for_any_version(plan)), separators=(",", ":")))
        with suppress(OSError):  # without it a service that lacks something cannot be compared
            self._write(WRITTEN, json.dumps(plan.fingerprints))
        for place in self._places:
            with suppress(OSError):  # without it only a folder that is moved is not found
                _write(place, SOURCE, f"{plan.folder}\n{plan.path}\n")

    def read_rollouts(self) -> list[JSON]:
        with suppress(OSError, *GARBAGE):
            return list(listed(json.loads(self._read(ROLLOUTS))))
        return []

    def unreadable(self, names: Iterable[str]) -> list[str]:
        return [name for name in names if self._is_damaged(name)]

    def _is_damaged(self, name: str) -> bool:
        try:
            _READERS[name](json.loads(self._read(name)))
        except FileNotFoundError:
            return False
        except (OSError, *GARBAGE):
            return True
        return False

    def set_aside(self, name: str) -> str:
        with suppress(OSError):
            directory = open_directory(self._path)
            try:
                os.replace(name, f"{name}.damaged", src_dir_fd=directory, dst_dir_fd=directory)
            finally:
                os.close(directory)
            return f"{self._path}/{name}.damaged"
        return ""

    def write_rollouts(self, rollouts: list[JSON]) -> None:
        self._write(ROLLOUTS, json.dumps(rollouts, separators=(",", ":")))

    def _read(self, name: str, most: int = -1) -> str:
        return read_file(self._path, name, most)

    def _write(self, name: str, text: str) -> None:
        _write(self._path, name, text)


_READERS: dict[str, Callable[[Any], object]] = {
    PLAN: lambda plain: from_plain(Plan, plain),
    WRITTEN: lambda plain: dict(plain.items()),
    ROLLOUTS: listed,
}
"""What makes sense of each file that holds JSON."""


def readable(kept: Iterable[JSON]) -> list[Rollout]:
    """The rollouts without those that cannot be read: they are damaged, or another version wrote them."""
    found = []
    for one in kept:
        from supervisor.core.services.rollout import read  # most daemons have none

        with suppress(*GARBAGE):
            found.append(read(one))
    return found


def fitted(rollouts: Iterable[Rollout], plan: Plan) -> list[Rollout]:
    """The rollouts as they can go on under another plan than that of their definitions: its services depend on each
    other as it says."""
    return [_fitted(one, spec) for one in rollouts if (spec := plan.service(one.service)) is not None]


def _fitted(rollout: Rollout, spec: ServiceSpec) -> Rollout:
    return replace(rollout, wanted=_depending(rollout.wanted, spec), previous=_depending(rollout.previous, spec))


def _depending(one: ServiceSpec, like: ServiceSpec) -> ServiceSpec:
    return replace(one, depends_on=like.depends_on, dependencies=like.dependencies)


def other_file(was: Plan | None, path: str, folder: str) -> str:
    """The file of the plan `was` in force, where it is another one than `path`, in a folder with the identity `folder`,
    and is still there; else empty.  The folder may have been moved."""
    if was is None or was.path in ("", path):
        return ""
    if was.folder == folder != "" and os.path.basename(was.path) == os.path.basename(path):  # noqa: PTH119 - pathlib costs
        return ""
    try:
        known = os.stat(was.path)  # noqa: PTH116 - pathlib costs
        return "" if os.path.samestat(known, os.stat(path)) else was.path  # noqa: PTH116
    except OSError as error:
        return was.path if error.filename == path else ""


def refuse_other_file(other: str, runtime_dir: str) -> None:
    """OperationFailed where `other` is not empty: to put this file in force would stop the services of that one."""
    if other:
        raise OperationFailed(
            f"{runtime_dir} belongs to {other}, whose daemon was killed and whose services may run",
            f"Start that one (-f {other}), end what it left (`supervisor -f {other} down`), "
            "or give this one its own [supervisor] name.",
        )


def current_epoch() -> str:
    """Names the boot, or the container: the span within which pids and CLOCK_MONOTONIC mean the same.

    `BOOT.START`, with the start time of PID 1, which is None where /proc hides that process (hidepid)."""
    return f"{procfs.boot_id()}.{procfs.start_time(1)}"


def same_epoch(one: str, other: str) -> bool:
    """Whether two names mean the same epoch.  A start time that is not known contradicts none: within one boot a pid
    and its start time still name one process."""
    if one == other:
        return bool(one)
    (boot, _, start), (another, _, began) = one.rpartition("."), other.rpartition(".")
    return boot == another != "" and "None" in (start, began)


def _write(place: str, name: str, text: str) -> None:
    directory = open_directory(place)
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(f"{name}.new", flags, 0o600, dir_fd=directory), "w", errors="surrogateescape") as file:
            file.write(text)
        os.replace(f"{name}.new", name, src_dir_fd=directory, dst_dir_fd=directory)
    except OSError:
        with suppress(OSError):
            os.unlink(f"{name}.new", dir_fd=directory)
        raise
    finally:
        os.close(directory)
