"""Recovery: the start of every daemon.  It restores what an earlier daemon left, kills orphans, and starts the rest.

After an orderly end, or in another boot, only history is restored; processes of earlier daemons are looked for all the
same, whatever the boot is called.  After a crash, and in an upgrade, every instance continues where it was, under the
plan that was in force then.  If the file has changed since, the change is applied as by a reload, before anything is
started: what was taken out is not started once more, and what was changed not by its old definition, a rollout aside.

The daemon and the simulation run this same code; `HostProcesses` is what it needs of the host.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from supervisor.core.model import events as ev
from supervisor.core.model.actions import Goal
from supervisor.core.model.causes import Cause
from supervisor.core.model.spec import Plan
from supervisor.core.services.adoption import MarkedProcess, is_kept, plan_adoption
from supervisor.core.services.scaling import configured, kept
from supervisor.core.services.selection import resolve, started_at_boot
from supervisor.core.services.unresolved import review
from supervisor.daemon.reload import Reloadable, keep_plan, put_in_force


class Recoverable(Reloadable, Protocol):
    """What recovery needs of the daemon."""

    def save_history(self, instance: str) -> None:
        """Save the history of an instance in place of the state that it had in another run; `begin` writes it."""

    def refuse(self, message: str) -> None:
        """Report what is wrong with the configuration."""

    def call_soon(self, callback: Callable[[], None]) -> None: ...

    def wall_clock(self) -> float:
        """Seconds since the epoch."""


class HostProcesses(Protocol):
    """What recovery needs of the host: the processes that an earlier daemon left."""

    def marked(self) -> list[MarkedProcess]:
        """All processes that carry the id of this supervisor in their environment."""
        ...

    def end_orphans(self, orphans: Sequence[MarkedProcess]) -> list[MarkedProcess]:
        """Kill these processes; returns those that are still there."""
        ...

    def describe(self, orphan: MarkedProcess) -> str: ...

    def adopt(self, name: str, incarnation: int, main: tuple[int, int] | None) -> ev.Adopted | ev.NotFoundOnAdoption:
        """Watch the process with this (pid, start time); returns what was found."""
        ...


def recover(
    daemon: Recoverable,
    host: HostProcesses,
    plan: Plan,
    only: Sequence[str] | None,
    announce: Callable[[int], None],
) -> None:
    """Restore and adopt instances, kill orphans, apply the configured `plan`, and start services.  NoSuchService.

    `only`: start only these services and what they depend on.  `announce` is called with the number of adopted
    instances before anything is started."""
    service_set, previous, now = daemon.service_set, daemon.previous_run, daemon.now()
    ahead = None if previous.current else daemon.wall_clock() - now
    for name in service_set.instances:
        service_set.restore(name, previous.instances.get(name, {}), crashed=previous.current, ahead=ahead)
        if name in previous.instances and not previous.current and not previous.renamed:
            # Else a later daemon would take the state from another run for one of this run.
            daemon.save_history(name)
    if not previous.crashed:
        # Before this run is marked as one that may have crashed: the next daemon would take up the plan of another run.
        daemon.keep_rollouts()
        keep_plan(daemon, plan)
    daemon.forget(previous.instances.keys() - service_set.instances.keys())
    try:
        previous.begin(closing=previous.closing)
    except OSError as error:
        daemon.problem(f"the runtime directory cannot be written, a later daemon may not find the services: {error}")
    service_set.starts_held = True
    adopted = _adopt_processes(daemon, host, now) if previous.known else 0
    stopped = {n for n, saved in previous.instances.items() if previous.renamed and saved.get("goal") == Goal.DOWN}
    still = [name for name in stopped & set(service_set.instances) if service_set.instances[name].alive]
    daemon.engine.order(service_set.stop(still, now))
    if previous.plan is not None or previous.rollouts:
        plan = _reviewed(daemon, plan)
    if previous.damaged or (previous.crashed and previous.plan is None):
        from supervisor.daemon.lost_records import tell

        tell(daemon, previous, adopted)
    if previous.crashed:
        daemon.keep_rollouts()
    known = {name for name, saved in previous.instances.items() if is_kept(saved)}
    restored = known if previous.current and not previous.closing else stopped
    edited = service_set.plan.services != plan.services
    if edited and restored is known and only is None:  # the change of one that was never started is saved as a state
        taken_out = service_set.instances.keys() - {name for spec in plan.services for name in spec.instances}
        keep = restored | taken_out
        daemon.engine.order(service_set.start(started_at_boot(service_set, keep), now, Cause.AUTOSTART, keep=keep))
    service_set.starts_held = False
    if edited:
        put_in_force(daemon, plan)
    elif previous.crashed:
        daemon.call_soon(lambda: keep_plan(daemon, plan))
    announce(adopted)
    if only is None:
        wanted, keep = started_at_boot(service_set, restored), restored
    else:
        wanted, keep = [n for service in only for n in resolve(service_set, [service])], set()
    daemon.engine.order(service_set.start(wanted, now, Cause.AUTOSTART, keep=keep))
    previous.instances = {}  # of thousands it takes more memory than their states
    if previous.closing:
        previous.shutdown_over()  # only now: what was stopped by that shutdown is recorded as started


def _reviewed(daemon: Recoverable, plan: Plan) -> Plan:
    """The configured plan as a reload would take it, or the one in force where a reload would refuse it."""
    in_force = daemon.service_set.plan
    reviewed = review(configured(in_force), plan)
    for what in reviewed.refused:
        daemon.refuse(f"the configuration is refused, the services continue under the plan that was in force: {what}")
    if reviewed.refused:
        from supervisor.core.services.kept_plan import without_taken_out

        return replace(plan, services=without_taken_out(in_force, daemon.previous_run.instances).services)
    for what in reviewed.lacking:
        daemon.refuse(f"{what}; the service is left as it is")
    rollouts = daemon.service_set.rollouts
    held = reviewed.plan if rollouts is None else rollouts.held_back(reviewed.plan)
    return daemon.service_set.named(kept(in_force, held))


def _adopt_processes(daemon: Recoverable, host: HostProcesses, now: float) -> int:
    """Adopt live processes, report those that are gone, kill orphans.  Returns the number of adopted instances."""
    service_set, previous = daemon.service_set, daemon.previous_run
    valid = previous.current or not previous.crashed
    started = {name: one.get("start") for name, one in previous.instances.items()} if valid else {}
    plan = plan_adoption(service_set.instances, started, host.marked())
    for name, incarnation in plan.unrecorded.items():
        service_set.assume_spawning(name, incarnation)
    if plan.unrecorded:
        daemon.problem(f"adopted by their marks, though not in the ledger: {', '.join(plan.unrecorded)}")
    for orphan in plan.orphans:
        daemon.problem(f"process {orphan.pid} of {orphan.instance} was left behind by an earlier daemon: killed")
    for orphan in host.end_orphans(plan.orphans):
        daemon.problem(f"process {host.describe(orphan)} of {orphan.instance} cannot be killed")
    found = {
        name: host.adopt(name, instance.incarnation, plan.main_processes.get(name))
        for name, instance in service_set.instances.items()
        if instance.alive
    }
    daemon.engine.order(service_set.resume(found, now))
    return sum(isinstance(event, ev.Adopted) for event in found.values())
