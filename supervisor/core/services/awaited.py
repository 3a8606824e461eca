"""Awaited: whether an instance is what `supervisor wait` waits for, or cannot become that by itself any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from supervisor.core.services.settled import Failure

if TYPE_CHECKING:
    from supervisor.core.model.instance_documents import Instance

WHAT = ("ready", "started", "stopped", "completed")
"""What can be waited for."""


def awaited(what: str, row: Instance) -> bool | Failure:
    """`ready`: it can do its work, or a oneshot has succeeded.  `started`: its process runs.  `stopped`: nothing of it
    runs, and it is not wanted up.  `completed`: it ended by itself with success.

    A failure is only what no timer will change: it ended, and its policy does not start it again."""
    if what == "stopped":
        return row["state"] == "stopped"
    ended_well = row["state"] == "exited" and (row["cause"] == "succeeded" or row["exit_code"] == 0)
    if what == "completed":
        return ended_well or _over(row)
    if row["ready"] or (what == "started" and row["pid"] is not None and row["state"] != "stopping"):
        return True
    return (ended_well and row["type"] == "oneshot") or _over(row)


def _over(row: Instance) -> bool | Failure:
    kept = row.get("maintenance")
    if row["state"] != "exited" or (kept and kept["ended"]):
        return False
    from supervisor.core.text.causes import phrase

    found = {"exit_code": row["exit_code"], "signal": row["signal"], "out_of_memory": row.get("out_of_memory")}
    return Failure(f"{phrase(row['cause'], found)}; its policy does not restart it")
