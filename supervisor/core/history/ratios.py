"""Computes the ratios of the report and of the metrics: replication, consistency, load, faults and recoveries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from supervisor.core.model.instance_documents import Instance
    from supervisor.core.model.story_documents import Ratios


@dataclass(slots=True)
class Counts:
    """How many of a number of instances are what they should be now."""

    instances: int = 0
    wanted: int = 0
    ready: int = 0
    """Of those that are wanted."""
    running: int = 0
    current: int = 0
    """Of those that run: they run the configuration now in force."""
    balanced: int = 0
    requests: int = 0
    """Of the balanced ones."""

    def add(self, wanted: bool, ready: bool, running: bool, current: bool) -> None:
        """Count one instance."""
        self.instances += 1
        self.wanted += wanted
        self.ready += wanted and ready
        self.running += running
        self.current += running and current

    def carried(self, requests: int) -> None:
        """Count a balanced instance with the requests that it was sent."""
        self.balanced += 1
        self.requests += requests

    def include(self, other: Counts) -> None:
        """Count all that `other` has counted."""
        self.instances += other.instances
        self.wanted += other.wanted
        self.ready += other.ready
        self.running += other.running
        self.current += other.current
        self.balanced += other.balanced
        self.requests += other.requests

    def ratios(self, failures: int, recovered: int) -> Ratios:
        """The ratios of these instances and their failures in a period.  None: there is nothing to divide by.

        replication R = N/M: instances ready / wanted; a oneshot is meant to end, so it is not counted.
        consistency C: running instances that run the configuration now in force / running instances.
        load L = T/S: requests per instance since the daemon began, where a balancer is in front.
        fault_ratio F = D/T: failures detected / instances.  recovery_ratio: recovered without user action / failures.
        """
        return {
            "replication": divide(self.ready, self.wanted),
            "consistency": divide(self.current, self.running),
            "load": divide(self.requests, self.balanced),
            "fault_ratio": divide(failures, self.instances),
            "recovery_ratio": divide(recovered, failures),
        }


def ratios(rows: Sequence[Instance], instances: int, failures: int, recovered: int) -> Ratios:
    """The ratios of status rows, and of the failures of `instances` in a period."""
    counts = Counts()
    for row in rows:
        wanted = is_wanted(row["goal"], row["type"], row["state"], row["cause"])
        counts.add(wanted, bool(row["ready"]), row["pid"] is not None, bool(row["current"]))
        if balanced := row.get("balanced"):
            counts.carried(balanced["requests"])
    counts.instances = instances
    return counts.ratios(failures, recovered)


def is_wanted(goal: str, kind: str, state: str, cause: str) -> bool:
    """Whether an instance should be ready now: its goal is up, it is not a oneshot, and it is not done."""
    return goal == "up" and kind != "oneshot" and not (state == "exited" and cause == "succeeded")


def divide(part: float, whole: float) -> float | None:
    """The quotient to six places; None where there is nothing to divide by."""
    return round(part / whole, 6) if whole else None
