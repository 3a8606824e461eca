"""The previous run: what an earlier daemon saved of itself, and what this one saves for the next.

The ledger holds the facts.  It may be lost, so the id and the boot are in the runtime directory as well.  With the id
the processes are found, and their environments tell the rest (core/services/adoption.py).
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


ID, PLAN = "id", "plan.json"
"""Files in the runtime directory: the id with its boot, and the plan in force."""


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

    def read_plan(self) -> Plan | None:
        """The plan that a daemon has, or had, in force; None where none can be read."""
        ...

    def write_plan(self, plan: Plan) -> None: ...


class PreviousRun:
    """What is known of the run before this one.

    `id`: the mark in the environment of the children, the same for every daemon of this state directory.  `crashed`:
    the previous daemon did not end in order, and the epoch is the same, so that its processes may be alive and its
    moments are valid.  `closing`: it was shutting down.  `instances`: what is saved of each.  `plan`: the one it had in
    force; None unless it crashed."""

    def __init__(self, facts: Facts, files: Files, epoch: str) -> None:
        self._facts = facts
        self._files = files
        self._epoch = epoch
        written_id, written_epoch = files.read_id()
        self.id = facts.get_meta("supervisor_id") or written_id or os.urandom(8).hex()
        known = facts.get_meta("epoch")
        self.crashed = (
            written_epoch == epoch if known is None else known == epoch and facts.get_meta("clean_shutdown") == "no"
        )
        self.closing = facts.get_meta("closing") == "yes"
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

    def keep(self, plan: Plan) -> None:
        """Save `plan` as the one in force.  OSError."""
        self._files.write_plan(plan)


class RuntimeFiles:
    """The files in the runtime directory `path`.  A plan holds the environment of services, so only the owner may read
    them.  Each is replaced as a whole."""

    def __init__(self, path: str) -> None:
        self._id = f"{path}/{ID}"
        self._plan = f"{path}/{PLAN}"

    def read_id(self) -> tuple[str, str]:
        with suppress(OSError, ValueError), open(self._id) as file:
            supervisor_id, epoch = file.read(200).split()
            return supervisor_id, epoch
        return "", ""

    def write_id(self, supervisor_id: str, epoch: str) -> None:
        _write(self._id, f"{supervisor_id} {epoch}\n")

    def read_plan(self) -> Plan | None:
        with suppress(OSError, *GARBAGE), open(self._plan) as file:
            return from_plain(Plan, json.load(file))
        return None

    def write_plan(self, plan: Plan) -> None:
        _write(self._plan, json.dumps(to_plain(plan), separators=(",", ":")))


def current_epoch() -> str:
    """Names the boot, or the container: the span within which pids and CLOCK_MONOTONIC mean the same."""
    return f"{procfs.boot_id()}.{procfs.start_time(1)}"


def _write(path: str, text: str) -> None:
    fd = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(fd, "w") as file:
        file.write(text)
    os.replace(f"{path}.new", path)  # noqa: PTH105 - pathlib costs
