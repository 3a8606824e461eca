"""The causes of state changes: the words that the ledger, `status` and `why` use."""

from __future__ import annotations

from enum import StrEnum


class Cause(StrEnum):
    """One word per cause; `core/history/incidents.py` decides which records mean a failure."""

    # commands of a user
    STARTED_BY_USER = "started-by-user"
    STOPPED_BY_USER = "stopped-by-user"
    RESTARTED_BY_USER = "restarted-by-user"
    RESET_BY_USER = "reset-by-user"
    SIGNALLED_BY_USER = "signalled-by-user"
    RELOAD_REFUSED = "reload-refused"
    RELOADED = "reloaded"
    SCALED = "scaled-by-user"
    ADDED = "added"
    MAINTENANCE_BEGUN = "maintenance-begun"
    MAINTENANCE_OVER = "maintenance-over"
    # consequences of the configuration
    AUTOSTART = "autostart"
    SHUTDOWN = "shutdown"
    REMOVED = "removed"
    DEPENDENCY_RESTARTED = "dependency-restarted"
    DEPENDENCY_FAILED = "dependency-failed"
    LEASE_ENDING = "lease-ending"
    GROUP_RESTARTED = "group-restarted"
    FALLBACK_WANTED = "fallback-wanted"
    FALLBACK_OVER = "fallback-over"
    # rollouts: first what happens to an instance
    ROLLED_OUT = "rolled-out"
    PUT_BACK = "put-back"
    SURGE_STARTED = "surge-started"
    SURGE_OVER = "surge-over"
    ROLLOUT_STARTED = "rollout-started"
    ROLLOUT_ADVANCED = "rollout-advanced"
    ROLLOUT_PAUSED = "rollout-paused"
    ROLLOUT_RESUMED = "rollout-resumed"
    ROLLOUT_UNDONE = "rollout-undone"
    ROLLOUT_FAILED = "rollout-failed"
    ROLLOUT_FINISHED = "rollout-finished"
    ROLLOUT_ROLLED_BACK = "rollout-rolled-back"
    # on demand
    ON_DEMAND = "on-demand"
    CONNECTED = "connection"
    IDLE = "idle"
    # failures
    EXITED = "exited"
    KILLED = "killed-by-signal"
    EXIT_UNKNOWN = "exit-status-unknown"
    SPAWN_FAILED = "spawn-failed"
    START_TIMEOUT = "start-timeout"
    SILENT = "heartbeat-silent"
    TRIGGERED = "watchdog-triggered"
    MEMORY_LIMIT = "memory-limit"
    CPU_LIMIT = "cpu-limit"
    TASKS_LIMIT = "tasks-limit"
    # progress and recovery
    SPAWNED = "spawned"
    ADOPTED = "adopted"
    SPAWN_INTERRUPTED = "spawn-interrupted"
    READY = "ready"
    HEARTBEAT_RESUMED = "heartbeat-resumed"
    CONFIRMED_ALIVE = "confirmed-alive"
    HELD = "held"
    HOLD_OVER = "hold-over"
    PROCESS_SILENT = "process-silent"
    PROCESS_HELD = "process-held"
    PROCESS_RESUMED = "process-resumed"
    PROCESS_ENDED = "process-ended"
    PROCESS_REPLACED = "process-replaced"
    STOPPING_BY_ITSELF = "stopping-by-itself"
    NOTIFY_REFUSED = "notify-refused"
    RELOAD_BEGUN = "reload-begun"
    RELOAD_DONE = "reload-done"
    RELOAD_TIMEOUT = "reload-timeout"
    DELAY_RESET = "delay-reset"
    PROBE_UNKNOWN = "probe-unknown"
    PROBE_KNOWN = "probe-known"
    TARGET_INFEASIBLE = "target-infeasible"
    TARGET_FEASIBLE = "target-feasible"
    BACKOFF_ELAPSED = "backoff-elapsed"
    BREAKER_OPEN = "breaker-open"
    BREAKER_TRIAL = "breaker-trial"
    BREAKER_CLOSED = "breaker-closed"
    SUCCEEDED = "succeeded"
    STOPPED = "stopped"
    STOP_ESCALATED = "stop-escalated"
    DRAIN_TIMEOUT = "drain-timeout"
    STOP_TIMEOUT = "stop-timeout"
    LINGERING = "lingering"
    LEFT_RUNNING = "left-running"
    # the daemon itself (daemon_records.py)
    CLOCK_SET = "clock-set"
    UPGRADED = "upgraded"
    UNCHANGED = "unchanged"
    HOST_SUSPECTED = "host-suspected"
    HOST_HEARD = "host-heard"


FAILURES = frozenset(
    {
        Cause.EXITED,
        Cause.KILLED,
        Cause.EXIT_UNKNOWN,
        Cause.SPAWN_FAILED,
        Cause.START_TIMEOUT,
        Cause.SILENT,
        Cause.TRIGGERED,
        Cause.MEMORY_LIMIT,
        Cause.CPU_LIMIT,
        Cause.TASKS_LIMIT,
    }
)

ROLLOUT = frozenset(
    {
        Cause.ROLLOUT_STARTED,
        Cause.ROLLOUT_ADVANCED,
        Cause.ROLLOUT_PAUSED,
        Cause.ROLLOUT_RESUMED,
        Cause.ROLLOUT_UNDONE,
        Cause.ROLLOUT_FAILED,
        Cause.ROLLOUT_FINISHED,
        Cause.ROLLOUT_ROLLED_BACK,
    }
)
"""Causes of records about a whole rollout: no state changes with them."""

SURGE = frozenset({Cause.SURGE_STARTED, Cause.SURGE_OVER})
"""Causes of the start and the stop of what a rollout runs beside the other instances."""

LIMITS = frozenset({Cause.MEMORY_LIMIT, Cause.CPU_LIMIT, Cause.TASKS_LIMIT})
"""Causes that mean a breach of a limit of [resources]."""

ENDED_BY_ITSELF = frozenset({Cause.EXITED, Cause.KILLED, Cause.EXIT_UNKNOWN})
"""Causes where the process ended by itself, and its exit status decides whether that was a failure."""

DETECTED = FAILURES - ENDED_BY_ITSELF
"""Failures that the supervisor detected: the exit status does not change that they are failures."""
