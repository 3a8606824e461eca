"""Rates the state of an instance; rows are sorted, coloured and filtered by this."""

from __future__ import annotations

from enum import IntEnum

from supervisor.core.text.waiting import runs_elsewhere

TYPE_CHECKING = False  # importing typing takes time
if TYPE_CHECKING:
    from supervisor.core.model.instance_documents import Instance


FLAPPING = 3
"""Failures without a healthy time between them (restart.reset_after) from which an instance is flapping."""


class Severity(IntEnum):
    """From no action needed to most urgent."""

    FINE = 0
    UNDERWAY = 1
    WRONG = 2
    BROKEN = 3


def is_flapping(row: Instance) -> bool:
    """Whether it fails again and again: it may run at this moment, but it has not been healthy for long enough."""
    if row.get("maintenance"):
        return False
    return row["goal"] == "up" and row["attempt"] >= FLAPPING and row["state"] in ("starting", "running", "backoff")


def awaits_connection(row: Instance) -> bool:
    """Whether it starts on demand and waits for a connection.  It is not down: the connection is answered."""
    return row["state"] == "stopped" and row["goal"] == "up" and bool(row.get("on_demand"))


def severity(row: Instance) -> Severity:
    """The severity of one row of the status.  Of an instance in maintenance nothing is urgent."""
    state, wanted = row["state"], row["goal"] == "up"
    if row.get("maintenance"):
        return Severity.UNDERWAY
    if runs_elsewhere(row):
        return Severity.FINE
    if row.get("lingering") or state == "failed":
        return Severity.BROKEN
    if state == "exited":
        return Severity.BROKEN if wanted and row["cause"] != "succeeded" else Severity.FINE
    unsettled = state in ("suspect", "backoff") or (wanted and row["breaker"] != "closed")
    if unsettled or row.get("paused") or is_flapping(row):
        return Severity.WRONG
    if state == "running":
        as_wanted = wanted and (row["ready"] or row["type"] == "oneshot")
        return Severity.FINE if as_wanted else Severity.UNDERWAY
    return Severity.FINE if state == "stopped" else Severity.UNDERWAY
