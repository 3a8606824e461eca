"""Settled: decides whether what a command asked for has been reached, or cannot be reached.

`up -d`, `start`, `stop` and similar commands wait for this.  The daemon reports READY to its service manager by the
same rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from supervisor.core.model.documents import Instance

Rows = Mapping[str, "Instance"]

TRIES = 3
"""After this many failed attempts a start counts as failed, although the daemon continues to try."""

MIN_UPTIME = 1.0
"""Seconds after which an instance without a readiness check counts as started.  Most that cannot work end sooner: a
port in use, a configuration that is refused."""


class Failure(str):
    """Why what was asked for cannot be reached."""

    __slots__ = ()


def settled(verb: str, name: str, rows: Rows, before: Mapping[str, int]) -> bool | Failure:
    """Whether what `verb` (start, stop, restart, reset) asked of the instance `name` has been reached, or cannot be.

    `rows`: the rows of the status by name.  `before`: the incarnations at the time of asking.  An instance that is no
    longer configured is settled.
    """
    row = rows.get(name)
    if row is None:
        return True
    if row["stuck"] and verb in ("stop", "restart"):
        return Failure(f"killed, but still present: {', '.join(row['lingering'])}")
    if verb == "stop":
        return Failure("started again by another command") if row["goal"] == "up" else bool(row["state"] == "stopped")
    if row["goal"] == "down":
        return verb == "reset" or Failure("stopped again by another command")
    if verb == "restart" and row["incarnation"] == before.get(name):
        return _blocked(row, rows, before)
    return _came_up(row, rows, before)


def _came_up(row: Instance, rows: Rows, before: Mapping[str, int]) -> bool | Failure:
    state, tries = row["state"], row["incarnation"] - before.get(row["name"], row["incarnation"])
    if row["ready"]:
        unobserved = row["cause"] == "spawned"  # with a readiness check it would be "ready"
        return not unobserved or (row["uptime_s"] or MIN_UPTIME) >= MIN_UPTIME
    if state == "exited":
        return row["cause"] == "succeeded" or Failure(_ending(row))
    if state == "failed":
        return Failure(f"{_ending(row)}; breaker open")
    if state == "backoff" and tries >= TRIES:
        return Failure(f"{_ending(row)}, {tries} times; next try follows")
    return _blocked(row, rows, before)


def _blocked(row: Instance, rows: Rows, before: Mapping[str, int]) -> bool | Failure:
    """False (not yet), or a failure because what the instance waits for has failed."""
    needed = rows.get(row["waiting_for"] or "")
    if needed is None or needed is row:
        return False
    if needed["goal"] == "down":
        return Failure(f"it waits for {needed['name']}, which is stopped")
    if isinstance(_came_up(needed, rows, before), Failure):
        return Failure(f"it waits for {needed['name']}, which has failed")
    return False


def _ending(row: Instance) -> str:
    from supervisor.core.text.causes import phrase

    return phrase(
        row["cause"],
        {"exit_code": row["exit_code"], "signal": row["signal"], "out_of_memory": row.get("out_of_memory")},
    )
