"""What the processes of one service share, and what explains that they are silent: a service that it depends on.

A worker that waits for its broker or its database is silent like one that hangs, and a restart does not help.  So a
silence is held for as long as such a service is not ready.  This holds only where processes beat for themselves,
because elsewhere a service that is not ready keeps no hung one from being restarted.  One that cannot run (stopped,
traced, frozen) explains the silence of any: that comes with the examination.
"""

from __future__ import annotations

from collections.abc import Callable

from supervisor.core.lifecycle.instance import Instance
from supervisor.core.model import events as ev

Examined = ev.SuspectExamined | ev.MemberExamined


def shared_cause(instance: Instance, event: Examined, missing: Callable[[Instance], str]) -> Examined:
    """The result of an examination; it is held where an instance that this one needs is `missing` (empty: none is)."""
    beat = instance.spec.heartbeat
    if beat is None or not beat.by_process or event.shared:
        return event
    name = missing(instance)
    return event._replace(held=f"{name}, which it depends on, is not ready", shared=True) if name else event
