"""Tells in words what runs otherwise than the file says, and which of its services are not there."""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing takes time
if TYPE_CHECKING:
    from supervisor.core.model.documents import Supervisor


MOST_NAMED = 5
"""Services that a line lists."""


def deviation_lines(supervisor: Supervisor) -> list[str]:
    """One line for each service that has another number of replicas, and one about profiles."""
    found = supervisor.get("deviations", [])
    scaled = [
        f"{one['service']} has {replicas(one['replicas'])} by `supervisor scale`, {one['configured']} in the file, "
        "which the next reload applies"
        for one in found
    ]
    return scaled + profile_lines(supervisor)


def profile_lines(supervisor: Supervisor) -> list[str]:
    """One line about the active profiles, where any service has profiles."""
    if "profiles" not in supervisor:
        return []
    active = ", ".join(supervisor["profiles"]) or "none"
    gone = [f"{name} ({', '.join(profiles)})" for name, profiles in sorted(supervisor.get("inactive", {}).items())]
    more = f" and {len(gone) - MOST_NAMED} more" if len(gone) > MOST_NAMED else ""
    rest = f"; not there: {', '.join(gone[:MOST_NAMED])}{more}" if gone else ""
    return [f"active profiles: {active}{rest}"]


def replicas(number: int) -> str:
    """`1 replica`, `4 replicas`."""
    return f"{number} replica{'' if number == 1 else 's'}"
