"""What the status says of an exclusive instance's place in the cluster."""

from __future__ import annotations

from typing import Annotated, TypedDict


class Placed(TypedDict):
    """The slot of an instance that runs on one host of the cluster only."""

    slot: Annotated[int, "counted from 0"]
    node: Annotated[str | None, "the host that holds the slot; null: none does, or it is not known"]
    here: Annotated[bool, "this host holds it"]
    epoch: Annotated[int | None, "SUPERVISOR_EPOCH of the run on this host"]
    lease_s: Annotated[float | None, "seconds until the lease is over, unless ZooKeeper answers again"]
    reason: Annotated[str | None, "why no host holds it; null: one does, or is about to"]
    done: Annotated[bool, "a oneshot that has completed in the cluster, on any host"]
