"""What survives a crash: the ledger's committed events and snapshots, its notes, and the plan in force."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from supervisor.core.model.actions import Record
from supervisor.core.model.spec import Plan


class Disk:
    """One commit is all or nothing.  `full`: nothing is, until it is not full any more.  `said`: the boot that stands
    beside the socket, and outlives the ledger."""

    def __init__(self) -> None:
        self.snapshots: dict[str, str] = {}
        self.meta: dict[str, str] = {}
        self.plan: Plan | None = None
        self.full = False
        self.said = -1
        self.epoch = 0
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

    def load(self) -> dict[str, Any]:
        return {name: json.loads(text) for name, text in self.snapshots.items()}
