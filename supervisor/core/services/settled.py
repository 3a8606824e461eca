"""Settled: decides whether what a command asked for has been reached, or cannot be reached.

`up -d`, `start`, `stop` and similar commands wait for this.  The daemon reports READY to its service manager by the
same rule.
"""

from __future__ import annotations

from collections.abc import Mapping

from supervisor.core.services.status import service_is_ready
from supervisor.core.text.maintenance import ITS_END
from supervisor.core.text.waiting import instead_of_running

TYPE_CHECKING = False  # importing typing takes time
if TYPE_CHECKING:
    from supervisor.core.model.instance_documents import Instance

Rows = Mapping[str, "Instance"]

TRIES = 3
"""After this many failed attempts a start counts as failed, although the daemon continues to try."""

_LINE = 200
"""Characters of a failure at most."""

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
        ends = row["cause"] == "shutdown"
        return verb == "reset" or Failure("everything is being stopped" if ends else "stopped again by another command")
    if verb == "start" and row.get("min_ready") is not None and service_is_ready(row, rows.values()):
        return True
    if verb == "restart" and row["incarnation"] == before.get(name):
        return _blocked(row, rows, before)
    return _came_up(row, rows, before)


def _came_up(row: Instance, rows: Rows, before: Mapping[str, int]) -> bool | Failure:
    state, tries = row["state"], row["incarnation"] - before.get(row["name"], row["incarnation"])
    if instead_of_running(row):
        return True  # no host may hold its slot for as long as ZooKeeper is away
    if row["ready"]:
        unobserved = row["cause"] == "spawned"  # with a readiness check it would be "ready"
        return not unobserved or (row["uptime_s"] or MIN_UPTIME) >= MIN_UPTIME
    if row.get("maintenance") and (state in ("backoff", "failed") or _ended(row) or row["waiting_for"] == ITS_END):
        return Failure(f"in maintenance; `supervisor start {row['name']}` starts it all the same")
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
        if needed["state"] in ("running", "suspect", "stopping") and not needed["stuck"]:
            return False  # a fallback that makes room; a dependency fails the start once it has ended
        return Failure(f"it waits for {needed['name']}, which is stopped")
    if isinstance(_came_up(needed, rows, before), Failure):
        if needed.get("maintenance"):
            return Failure(f"it waits for {needed['name']}, which is in maintenance")
        return Failure(f"it waits for {needed['name']}, which has failed")
    return False


def _ended(row: Instance) -> bool:
    """Its process ended in maintenance, and is not started again before that is over."""
    kept = row.get("maintenance")
    return bool(kept and kept["ended"])


def _ending(row: Instance) -> str:
    from supervisor.core.text.causes import ending, phrase

    return phrase(row["cause"], ending(row), _LINE)
