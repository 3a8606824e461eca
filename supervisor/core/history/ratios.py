"""The mission's ratios: replication, consistency, load, faults and recoveries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from supervisor.core.model.documents import Instance, Ratios


def ratios(rows: Sequence[Instance], instances: int, failures: int, recovered: int) -> Ratios:
    """Of status rows, and of failures of so many instances over some time.  None: there is nothing to divide by.

    replication R = N/M: instances ready / wanted; a oneshot is wanted to end, so it counts for neither.
    consistency C: running instances that run the configuration now in force / running instances.
    load L = T/S: connections per instance, where the supervisor holds the socket; none is held by now.
    fault_ratio F = D/T: failures detected / instances.  recovery_ratio: recovered without a person / failures.
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
    """It is to be ready now: wanted up, no oneshot, and not done."""
    done = row["state"] == "exited" and row["cause"] == "succeeded"
    return row["goal"] == "up" and row["type"] != "oneshot" and not done


def divide(part: float, whole: float) -> float | None:
    """The quotient to six places; None where there is nothing to divide by."""
    return round(part / whole, 6) if whole else None
