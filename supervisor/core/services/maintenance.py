"""Maintenance over the instances of a service set: which is left alone, until when, and what others see of it.

Wanted × seen → changes: an order names instances and a time; `lifecycle/maintenance.py` says what that is for one
instance.  Here stands what concerns several:

- A time that is over ends the maintenance as an order would.
- A start that no user ordered (a restart with the group, a fallback, the start of the daemon) waits for the end; a
  user's start of a dependant starts no dependency that is left alone.
- A dependant sees the instance as it is: it goes on while that is ready, and waits while it is not.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from supervisor.core.lifecycle.instance import Instance
from supervisor.core.model import events as ev
from supervisor.core.model.causes import Cause
from supervisor.core.text.maintenance import ITS_END as ITS_END

if TYPE_CHECKING:
    from supervisor.core.model.instance_documents import Maintenance

_BY_OTHERS = frozenset({Cause.GROUP_RESTARTED, Cause.DEPENDENCY_RESTARTED, Cause.DEPENDENCY_FAILED})


def is_over(instance: Instance, now: float) -> bool:
    """The time of its maintenance is over."""
    ends = instance.maintenance.until if instance.maintenance is not None else None
    return ends is not None and ends <= now


def refuses(instance: Instance, event: ev.Event) -> bool:
    """The event is a restart for the sake of another instance, which does not reach one that is left alone."""
    return instance.maintenance is not None and isinstance(event, ev.Restart) and event.cause in _BY_OTHERS


def view(instance: Instance, now: float) -> Maintenance | None:
    """What the status says of it."""
    kept = instance.maintenance
    if kept is None:
        return None
    from supervisor.core.text.orders import given
    from supervisor.core.text.timestamps import to_iso

    return {
        "since": to_iso(kept.since),
        "ends_at": None if kept.ends_at is None else to_iso(kept.ends_at),
        "ends_in_s": None if kept.until is None else round(max(0.0, kept.until - now), 3),
        "reason": kept.reason,
        "by": given(kept.by) if kept.by else "",
        "ended": instance.failure is not None and instance.state.value == "exited",
    }


def problems(instances: Iterable[Instance], now: float) -> list[str]:
    """One line for each instance that is left alone."""
    from supervisor.core.text.maintenance import told

    seen = ((i.name, view(i, now)) for i in instances if i.maintenance is not None)
    return [f"{name}: {told(of)}" for name, of in seen if of is not None]
