"""The simulated disk, which survives a crash: the ledger's committed events, snapshots and facts, and the files of the
runtime directory."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from supervisor.core.model.actions import Record
from supervisor.core.model.spec import Plan


class Disk:
    """Implements `Files` of daemon/previous_run.py.  One commit is all or nothing.  `full`: nothing is
    written by a commit until there is room again."""

    def __init__(self) -> None:
        self.snapshots: dict[str, str] = {}
        self.meta: dict[str, str] = {}
        self.plan: Plan | None = None
        self.full = False
        self.epoch = 0
        self._id = ("simulated", "")
        """The id and the boot in the runtime directory; they outlive the ledger."""
        self._running = ""
        self._rollouts = "[]"
        self.story: dict[str, Record] = {}
        """The newest record of each instance."""

    def commit(self, records: Sequence[Record], snapshots: dict[str, Any], meta: dict[str, str]) -> None:
        for record in records:
            self.story[record.instance] = record
        for name, snapshot in snapshots.items():
            if snapshot is None:
                self.snapshots.pop(name, None)
                self.story.pop(name, None)
            else:
                self.snapshots[name] = json.dumps(snapshot)
        self.meta.update(meta)

    def lose(self) -> None:
        """The ledger is damaged, and nothing in it can be read."""
        self.snapshots.clear()
        self.meta.clear()
        self.story.clear()

    # -- the files -----------------------------------------------------------------------------------------------

    def read_id(self) -> tuple[str, str]:
        return self._id

    def write_id(self, supervisor_id: str, epoch: str) -> None:
        self._id = supervisor_id, epoch

    def read_running(self) -> str:
        return self._running

    def write_running(self, epoch: str) -> None:
        self._running = epoch

    def read_plan(self) -> Plan | None:
        return self.plan

    def write_plan(self, plan: Plan) -> None:
        self.plan = plan

    def read_rollouts(self) -> list[Any]:
        found: list[Any] = json.loads(self._rollouts)
        return found

    def write_rollouts(self, rollouts: list[Any]) -> None:
        self._rollouts = json.dumps(rollouts)

    def unreadable(self, names: Iterable[str]) -> list[str]:
        return []

    def set_aside(self, name: str) -> str:
        return ""
