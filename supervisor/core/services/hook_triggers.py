"""Hook triggers: the names of the hook events that a record means."""

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
        Cause.SIGNALLED_BY_USER,
        Cause.RELOADED,
        Cause.ROLLED_OUT,
        Cause.PUT_BACK,
        Cause.GROUP_RESTARTED,
        Cause.DEPENDENCY_RESTARTED,
        Cause.DEPENDENCY_FAILED,
        Cause.LEASE_ENDING,
    }
)


def triggers(record: Record, *, oneshot: bool = False) -> set[str]:
    """The events that this record means, by their names in `hooks.on`.

    `started`: a process was spawned.
    `ready`: it became ready, or runs without a readiness check; a oneshot is never ready.
    `suspected`: it was found silent, late or over a limit.
    `failed`: it ended, or was ended, because of a failure.
    `restarted`: it is spawned again after it ran before.
    `breaker-open`: it failed too often and is not started again before the cooldown is over.
    `stopped`: it ended and is not started again.
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
    """A limit is exceeded, and the configuration only wants that reported."""
    return record.cause in LIMITS and record.before is record.after and record.detail.get("action") == "report"
