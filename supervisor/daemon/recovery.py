"""Recovery: how every start goes.  What an earlier daemon left is taken up, orphans are ended, the rest is started.

After an orderly end, or in another boot, only history is taken up.  After a crash, and in an upgrade, everything goes
on where it was, under the plan that was in force then; if the file has changed since, what changed is applied last, as
a reload would.

The daemon and the simulation run this same code: what it asks of the host is in `HostProcesses`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from supervisor.core.model import events as ev
from supervisor.core.model.causes import Cause
from supervisor.core.model.spec import Plan
from supervisor.core.services.adoption import MarkedProcess, plan_adoption
from supervisor.core.services.selection import resolve, started_at_boot
from supervisor.daemon.previous_run import PreviousRun
from supervisor.daemon.reload import Reloadable, put_in_force


class Recoverable(Reloadable, Protocol):
    """What is asked of the daemon."""

    @property
    def previous_run(self) -> PreviousRun: ...

    def forget(self, instance: str) -> None:
        """Remove what is saved of an instance that there is no more."""

    def call_soon(self, callback: Callable[[], None]) -> None: ...


class HostProcesses(Protocol):
    """What is asked of the host: the processes that an earlier daemon left."""

    def marked(self) -> list[MarkedProcess]:
        """All that carry the id of this supervisor in their environment."""
        ...

    def end_strays(self, strays: Sequence[MarkedProcess]) -> list[MarkedProcess]:
        """Kill these; those that are there all the same."""
        ...

    def describe(self, stray: MarkedProcess) -> str: ...

    def adopt(self, name: str, incarnation: int, main: tuple[int, int] | None) -> ev.Adopted | ev.NotFoundOnAdoption:
        """Watch the process that has this (pid, start time); tell what was found."""
        ...


def recover(
    daemon: Recoverable,
    host: HostProcesses,
    plan: Plan,
    only: Sequence[str] | None,
    announce: Callable[[int], None],
) -> None:
    """Restore, adopt, clear away, go on, apply the configured `plan`, start.  NoSuchService.

    `only`: start these services and what they need, not all.  `announce` is called with the number of adopted instances
    before anything is started."""
    service_set, previous, now = daemon.service_set, daemon.previous_run, daemon.now()
    previous.begin()
    for name in service_set.instances:
        service_set.restore(name, previous.instances.get(name, {}), crashed=previous.crashed)
    adopted = _take_up(daemon, host, now) if previous.crashed else 0
    for name in set(previous.instances) - set(service_set.instances):
        daemon.forget(name)
    if service_set.plan.services != plan.services:
        put_in_force(daemon, plan)
    else:
        daemon.call_soon(lambda: previous.keep(plan))
    restored = set(previous.instances) if previous.crashed and not previous.closing else set()
    announce(adopted)
    if only is None:
        wanted = started_at_boot(service_set, restored)
    else:
        wanted = [n for service in only for n in resolve(service_set, [service])]
    daemon.engine.order(service_set.start(wanted, now, Cause.AUTOSTART))


def _take_up(daemon: Recoverable, host: HostProcesses, now: float) -> int:
    """Adopt what lives, report what vanished, end the strays; the number of adopted instances."""
    service_set, saved = daemon.service_set, daemon.previous_run.instances
    plan = plan_adoption(service_set.instances, {name: one.get("start") for name, one in saved.items()}, host.marked())
    for name, incarnation in plan.unheard.items():
        service_set.presume(name, incarnation)
    if plan.unheard:
        daemon.problem(f"adopted by their marks, though not in the ledger: {', '.join(plan.unheard)}")
    for stray in plan.strays:
        daemon.problem(f"process {stray.pid} of {stray.instance} was left behind by an earlier daemon: killed")
    for stray in host.end_strays(plan.strays):
        daemon.problem(f"process {host.describe(stray)} of {stray.instance} cannot be killed")
    found = {
        name: host.adopt(name, instance.incarnation, plan.mains.get(name))
        for name, instance in service_set.instances.items()
        if instance.alive
    }
    daemon.engine.order(service_set.resume(found, now))
    return sum(isinstance(event, ev.Adopted) for event in found.values())
