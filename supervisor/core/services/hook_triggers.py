"""Which hooks a transition calls for."""

from __future__ import annotations

from supervisor.core.history.incidents import is_decision
from supervisor.core.model.actions import Record, State
from supervisor.core.model.causes import FAILURES, LIMITS, Cause

_AT_REST = (State.STOPPED, State.EXITED, State.BACKOFF, State.FAILED)
_RESTARTS = frozenset(
    {
        Cause.BACKOFF_ELAPSED,
        Cause.BREAKER_TRIAL,
        Cause.RESTARTED_BY_USER,
        Cause.RELOADED,
        Cause.GROUP_RESTARTED,
        Cause.DEPENDENCY_RESTARTED,
    }
)


def triggers(record: Record, *, oneshot: bool = False) -> set[str]:
    """Names as in `hooks.on`, of everything that this record says has happened.

    `started`: a process was spawned.
    `ready`: its readiness was seen, or is not asked for; a oneshot is never ready.
    `suspected`: it was found silent, late or over a limit.
    `failed`: it ended, or was ended, because of a failure.
    `restarted`: it is being started again after it ran before.
    `breaker-open`: it will not be started again for the time being.
    `stopped`: it ended and is to stay so.
    """
    found: set[str] = set()
    before, after, cause = record.before, record.after, record.cause
    moved = before is not after
    if cause is Cause.SPAWNED and after in (State.STARTING, State.RUNNING):
        found.add("started")
    if moved and before is State.STARTING and after is State.RUNNING and cause is not Cause.ADOPTED and not oneshot:
        found.add("ready")
    if (moved and after is State.SUSPECT) or _only_reported(record):
        found.add("suspected")
    if is_decision(before, after, cause, record.detail):
        found.add("failed")
    if record.detail.get("phase") == "spawn" and (cause in _RESTARTS or cause in FAILURES):
        found.add("restarted")
    if moved and after is State.FAILED:
        found.add("breaker-open")
    if moved and before not in _AT_REST and after in (State.STOPPED, State.EXITED):
        found.add("stopped")
    return found


def _only_reported(record: Record) -> bool:
    """A limit is exceeded, and nothing more is wanted than to hear of it."""
    return record.cause in LIMITS and record.before is record.after and record.detail.get("action") == "report"
