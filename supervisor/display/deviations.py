"""Tells in words what runs otherwise than the file says."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from supervisor.core.model.documents import Supervisor


def deviation_lines(supervisor: Supervisor) -> list[str]:
    """One line for each service that has another number of replicas."""
    found = supervisor.get("deviations", [])
    return [
        f"{one['service']} has {replicas(one['replicas'])} by `supervisor scale`, {one['configured']} in the file, "
        "which the next reload applies"
        for one in found
    ]


def replicas(number: int) -> str:
    """`1 replica`, `4 replicas`."""
    return f"{number} replica{'' if number == 1 else 's'}"
