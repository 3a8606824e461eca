"""Monitoring policy: what a recorded change means for the monitoring of an instance.

Resource limits apply to what runs.  Probes and beats of a process that is on its way out say nothing any more.
"""

from __future__ import annotations

from typing import NamedTuple

from supervisor.core.model.actions import Record, State
from supervisor.core.model.causes import Cause

MONITORED = frozenset({State.STARTING, State.RUNNING, State.SUSPECT})


class MonitoringChange(NamedTuple):
    """`sample`: usage is compared with the limits of the configuration from now on.  `apply_limits`: the limits that
    the kernel enforces are set again.  `end`: probes end, and beats are no longer awaited."""

    sample: bool
    apply_limits: bool
    end: bool


def monitoring_change(record: Record) -> MonitoringChange:
    """What follows from `record`."""
    reloaded = record.cause is Cause.RELOADED
    changed = record.before is not record.after or reloaded
    running = changed and record.after is State.RUNNING
    return MonitoringChange(running, running and reloaded, changed and record.after not in MONITORED)
