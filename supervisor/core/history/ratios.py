"""Computes the ratios of the report: replication, consistency, load, faults and recoveries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from supervisor.core.model.documents import Instance, Ratios


def ratios(rows: Sequence[Instance], instances: int, failures: int, recovered: int) -> Ratios:
    """The ratios of status rows, and of the failures of `instances` in a period.  None: there is nothing to divide by.

    replication R = N/M: instances ready / wanted; a oneshot is meant to end, so it is not counted.
    consistency C: running instances that run the configuration now in force / running instances.
    load L = T/S: connections per instance, where the supervisor holds the socket; not measured yet.
    fault_ratio F = D/T: failures detected / instances.  recovery_ratio: recovered without user action / failures.
    """
    wanted = [row for row in rows if is_wanted(row)]
    running = [row for row in rows if row["pid"] is not None]
    return {
        "replication": divide(sum(bool(row["ready"]) for row in wanted), len(wanted)),
        "consistency": divide(sum(bool(row["current"]) for row in running), len(running)),
        "load": None,
        "fault_ratio": divide(failures, instances),
        "recovery_ratio": divide(recovered, failures),
    }


def is_wanted(row: Instance) -> bool:
    """Whether an instance should be ready now: its goal is up, it is not a oneshot, and it is not done."""
    done = row["state"] == "exited" and row["cause"] == "succeeded"
    return row["goal"] == "up" and row["type"] != "oneshot" and not done


def divide(part: float, whole: float) -> float | None:
    """The quotient to six places; None where there is nothing to divide by."""
    return round(part / whole, 6) if whole else None
