"""Decides whether a host has come through a change of its configuration, as the cluster waits for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from supervisor.core.services.settled import Failure, settled
from supervisor.core.text.waiting import instead_of_running

if TYPE_CHECKING:
    from supervisor.core.model.instance_documents import Instance
    from supervisor.core.model.order_documents import Rollout


class Change(NamedTuple):
    """What a reload has done.  `replaced`: services that were added or restarted; `rolled`: those that are replaced
    instance by instance; `before`: the incarnations of what was alive."""

    replaced: tuple[str, ...]
    rolled: tuple[str, ...]
    before: Mapping[str, int]


def judged(change: Change, instances: Iterable[Instance], rollouts: Mapping[str, Rollout]) -> bool | Failure:
    """Whether all that changed is ready, or why it cannot be.  `rollouts`: the newest of each service.

    What is not to run, and what waits for its slot in the cluster or runs elsewhere, is not waited for."""
    rows = {row["name"]: row for row in instances}
    waits = False
    for service in change.rolled:
        found = _rolled(service, rollouts.get(service))
        if isinstance(found, Failure):
            return found
        waits |= not found
    for name, row in rows.items():
        if row["service"] not in change.replaced or row["goal"] == "down" or instead_of_running(row):
            continue
        verb = "restart" if name in change.before else "start"
        result = settled(verb, name, rows, change.before)
        if isinstance(result, Failure):
            return Failure(f"{name}: {result}")
        waits |= not result
    return not waits


def _rolled(service: str, rollout: Rollout | None) -> bool | Failure:
    if rollout is None or rollout["state"] == "finished":
        return True
    if rollout["state"] in ("rolled-back", "halted"):
        ended = "was rolled back" if rollout["state"] == "rolled-back" else "was halted"
        return Failure(f"{service} {ended}: {rollout['reason'] or 'by an order'}")
    return False
