"""What an instance waits for, in words."""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing takes time
if TYPE_CHECKING:
    from supervisor.core.model.instance_documents import Instance


def waits_for(row: Instance) -> str:
    """For example `db (its breaker is open)`."""
    because = row.get("waiting_because")
    return f"{row['waiting_for']} ({because})" if because else str(row["waiting_for"])


def runs_elsewhere(row: Instance) -> bool:
    """Whether another host of the cluster holds its slot, or a oneshot has completed there: it is not down."""
    placed = row.get("placed")
    if placed is None or placed["here"] or row["state"] not in ("starting", "stopped"):
        return False
    return placed["done"] or placed["node"] is not None


def where(row: Instance) -> str:
    """`runs on b`, of one that runs elsewhere."""
    placed = row.get("placed")
    if placed is None or placed["done"]:
        return "has completed in the cluster"
    return f"runs on {placed['node']}"


def instead_of_running(row: Instance) -> str:
    """Why an instance of a cluster need not run on this host for a command to be done; empty: it must."""
    placed = row.get("placed")
    if runs_elsewhere(row):
        return where(row)
    return f"waits: {placed['reason']}" if placed is not None and placed["reason"] and not row["ready"] else ""


def held_under(row: Instance) -> str:
    """`; it holds its slot in the cluster under epoch 7`, of one that runs under a lease."""
    placed = row.get("placed")
    if placed is None or not placed["here"]:
        return ""
    return f"; it holds its slot in the cluster under epoch {placed['epoch']}"
