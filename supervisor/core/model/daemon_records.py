"""Records of the daemon itself, not of an instance: they stand in the ledger beside the others, in one order.

Their instance has a name that no service can have.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from supervisor.core.model.actions import Goal, Record, State
from supervisor.core.model.causes import Cause

DAEMON = "(daemon)"


def clock_set(seconds: float) -> Record:
    """The wall clock was set by `seconds`, negative for backwards, between the record before and this one."""
    return _record(Cause.CLOCK_SET, {"stepped_s": round(seconds, 3)})


def upgraded(before: str, after: str, by: Mapping[str, Any]) -> Record:
    """Version `after` took over from version `before`, ordered `by` this client (empty: not known)."""
    return _record(Cause.UPGRADED, {"from": before, "to": after, **({"by": by} if by else {})})


def unchanged(order: str, by: Mapping[str, Any]) -> Record:
    """An order changed no service, so that no other record tells of it."""
    return _record(Cause.UNCHANGED, {"order": order, "by": by})


def host_suspected(node: str) -> Record:
    """The heartbeats of another host of the cluster fail to come."""
    return _record(Cause.HOST_SUSPECTED, {"host": node})


def host_heard(node: str) -> Record:
    """A host that was under suspicion beats again, or is not judged any more."""
    return _record(Cause.HOST_HEARD, {"host": node})


def _record(cause: Cause, detail: Mapping[str, Any]) -> Record:
    return Record(DAEMON, DAEMON, 0, Goal.UP, State.RUNNING, State.RUNNING, cause, detail)
