"""What a follower of the status is sent after its first one: the rows that changed.

A row that is left out is as it was; only its ages grew by the time that `uptime_s` of the daemon tells.  Both ends are
here: `changed` says what is sent, `merged` makes a whole status of it.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from operator import itemgetter

TYPE_CHECKING = False  # importing typing takes time
if TYPE_CHECKING:
    from typing import Any

    from supervisor.core.model.documents import Status
    from supervisor.core.model.instance_documents import Instance

AGES = ("uptime_s", "since_s", "last_heartbeat_age_s", "status_age_s")
"""The values of a row that grow by themselves.  A row with any other value that moves is sent each time."""
_AGES_OF = itemgetter(*AGES)
TOLERANCE = 0.25
"""Seconds by which an age may differ from what it grew to: the rows of a status are made one after the other."""


def changed(status: Status, sent: Mapping[str, tuple[Instance, float]]) -> Generator[None, None, Status | None]:
    """The status with the rows that are not as they were `sent`, each at an `uptime_s`; in steps, one for each row.

    None where instances came, went or changed places: that needs the whole status."""
    rows, uptime = status["instances"], status["supervisor"]["uptime_s"]
    if len(rows) != len(sent):
        return None
    found: list[Instance] = []
    for row, (name, (before, at)) in zip(rows, sent.items(), strict=True):
        if row["name"] != name:
            return None
        if not _as_before(row, before, uptime - at):
            found.append(row)
        yield
    return {"supervisor": status["supervisor"], "instances": found}


def _as_before(row: Mapping[str, Any], before: Mapping[str, Any], passed: float) -> bool:
    ages = _AGES_OF(row)
    for age, was in zip(ages, _AGES_OF(before), strict=True):
        if age is None or was is None:
            if age is not was:
                return False
        elif abs(age - was - passed) > TOLERANCE:
            return False
    return {**before, **dict(zip(AGES, ages, strict=True))} == row


def merged(before: Status, changes: Status) -> Status:
    """The whole status after the changes to the one before it, which stays as it is."""
    passed = changes["supervisor"]["uptime_s"] - before["supervisor"]["uptime_s"]
    fresh = {row["name"]: row for row in changes["instances"]}
    rows = [fresh.get(row["name"]) or _grown(row, passed) for row in before["instances"]]
    return {"supervisor": changes["supervisor"], "instances": rows}


def _grown(row: Instance, passed: float) -> Instance:
    values: Any = {**row}
    for key in AGES:
        age = values[key]
        if age is not None:
            values[key] = age + passed
    grown: Instance = values
    return grown
