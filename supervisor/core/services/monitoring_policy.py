"""Monitoring policy: what a recorded change means for the monitoring of an instance.

Resource limits apply to a running process.  Probes and heartbeats of a process that is being stopped mean nothing.
"""

from __future__ import annotations

from typing import NamedTuple

from supervisor.core.model.actions import Record, State
from supervisor.core.model.causes import Cause

MONITORED = frozenset({State.STARTING, State.RUNNING, State.SUSPECT})


class MonitoringChange(NamedTuple):
    """`sample`: compare usage with the configured limits from now on.  `apply_limits`: set the limits that the kernel
    enforces again.  `end`: end probes and the observation of heartbeats."""

    sample: bool
    apply_limits: bool
    end: bool


def monitoring_change(record: Record) -> MonitoringChange:
    """The change that follows from `record`."""
    reloaded = record.cause is Cause.RELOADED
    changed = record.before is not record.after or reloaded
    running = changed and record.after is State.RUNNING
    return MonitoringChange(running, running and reloaded, changed and record.after not in MONITORED)
