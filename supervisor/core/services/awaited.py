"""Awaited: whether an instance is what `supervisor wait` waits for, or cannot become that by itself any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from supervisor.core.services.settled import Failure

if TYPE_CHECKING:
    from supervisor.core.model.instance_documents import Instance

_ROUNDED = 0.001  # seconds by which `since_s` may be less exact
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


def awaits_reload(row: Instance, within: float) -> bool:
    """Whether a reload of the instance was begun or asked for in the last `within` seconds."""
    found = row.get("reload")
    return found is not None and found["since_s"] <= within + _ROUNDED


def reloaded(row: Instance, incarnation: int) -> bool | Failure:
    """Whether this run of the instance has reloaded its configuration, or cannot any more."""
    found = row.get("reload")
    if row["incarnation"] != incarnation or row["pid"] is None or found is None:
        from supervisor.core.text.causes import ending, phrase

        return Failure(f"its process has ended: {phrase(row['cause'], ending(row))}")
    if found["state"] == "timed-out":
        return Failure("it did not say in time that it has reloaded (READY=1 after RELOADING=1); it runs on")
    return found["state"] == "done"


def _over(row: Instance) -> bool | Failure:
    kept = row.get("maintenance")
    if row["state"] != "exited" or (kept and kept["ended"]):
        return False
    from supervisor.core.text.causes import phrase

    found = {"exit_code": row["exit_code"], "signal": row["signal"], "out_of_memory": row.get("out_of_memory")}
    return Failure(f"{phrase(row['cause'], found)}; its policy does not restart it")
