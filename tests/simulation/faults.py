"""Faults at random moments: by users, by the machine, by the programs themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from supervisor.core.model import events as ev
from supervisor.core.model.actions import State
from supervisor.daemon.reload import put_in_force
from supervisor.errors import OperationFailed
from tests.simulation.plans import edited

if TYPE_CHECKING:
    from tests.simulation.daemon import Daemon
    from tests.simulation.processes import Process
    from tests.simulation.world import World


def _victim(world: World) -> Process | None:
    living = [p for p in world.processes.by_pid.values() if p.alive]
    return world.dice.choice(living) if living else None


def dies(world: World) -> None:
    victim = _victim(world)
    if victim is not None:
        code, signal = world.dice.choice(((0, None), (1, None), (None, 9), (None, 11)))
        victim.left = world.dice.random() < 0.15
        if victim.left:
            world.faults["leaves descendants"] += 1
            if world.dice.random() < 0.5:
                world.later(world.dice.uniform(0.0, 30.0), lambda: world.empty(victim))
        world.exit(victim, code, signal)


def hangs(world: World) -> None:
    victim = _victim(world)
    if victim is not None:
        victim.hung = True


def is_stopped(world: World) -> None:
    victim = _victim(world)
    if victim is not None:
        victim.stopped = victim.behind = True
        world.later(world.dice.uniform(1.0, 900.0), lambda: setattr(victim, "stopped", False))


def cannot_die(world: World) -> None:
    victim = _victim(world)
    if victim is not None:
        victim.immortal_until = world.now + world.dice.uniform(1.0, 60.0)


def crash_soon(world: World) -> None:
    if world.daemon is not None:
        world.daemon.fuse = world.dice.randrange(12)
    else:
        world.daemon_fuse = world.dice.randrange(12)


def crash_now(world: World) -> None:
    if world.daemon is not None:
        world.crashed("while it waits")


def full_disk(world: World) -> None:
    world.disk.full = True

    world.later(world.dice.uniform(0.1, 60.0), lambda: _room(world))


def _room(world: World) -> None:
    world.disk.full = False
    if world.daemon is not None:
        world.daemon.ledger.append([])


def ledger_lost(world: World) -> None:
    world.disk.lose()
    world.invariants.forgotten()
    world.command(lambda d: d.ledger_lost())


def stall(world: World) -> None:
    world.stall(world.dice.choice((0.5, 5.0, 400.0)))


def person(world: World) -> None:
    """A command: start, stop, restart, reset, reload."""
    daemon = world.daemon
    if daemon is None or daemon.service_set.closing:
        return
    service_set, dice = daemon.service_set, world.dice
    names = dice.sample(list(service_set.instances), k=dice.choice((1, 1, 1, min(3, len(service_set.instances)))))
    names = [n for n in service_set.instances if n in names and service_set.names(n)]
    verb = dice.choice(("start", "start", "stop", "restart", "reset", "reload", "reload", "leave alone", "supervise"))
    world.trace(f"an order: {verb} {' '.join(names)}")
    world.invariants.commanded(verb, names, daemon)
    if verb == "reload":
        world.plan = edited(world.plan, dice)
        reload(world, daemon)
    elif verb == "leave alone":
        lasts = dice.choice((None, 60.0, 3600.0))
        world.invariants.wishes.left_alone(names, lasts, daemon)
        order = ev.BeginMaintenance(daemon.wall_clock(), lasts)
        world.command(lambda d: d.engine.order(service_set.begin_maintenance(names, world.now, order)))
    elif verb == "supervise":
        supervise(world, names)
    else:
        world.command(lambda d: d.engine.order(getattr(service_set, verb)(names, world.now)))


def supervise(world: World, names: Sequence[str]) -> None:
    """The end of maintenance is ordered."""
    world.invariants.wishes.supervised(names)
    world.command(lambda d: d.engine.order(d.service_set.end_maintenance(names, world.now)))


def reload(world: World, daemon: Daemon) -> None:
    """As control does it.  Where a changed service is being rolled out, the file alone is edited."""
    service_set = daemon.service_set
    try:
        service_set.require_not_rolling(service_set.difference(world.plan).changed)
    except OperationFailed:
        world.faults["reload refused"] += 1
        return
    if service_set.rollouts is not None:
        service_set.rollouts.filed(world.plan)
    change = service_set.difference(world.plan)
    world.invariants.wishes.corrected(change.restarted - change.rolled, daemon)
    world.invariants.reloaded(world.plan)
    world.invariants.rollouts.ordered()
    world.command(lambda d: put_in_force(d, world.plan))


def steer(world: World) -> None:
    """An order about rollouts: restart, pause, resume or undo one, or reload a file that was rejected."""
    daemon = world.daemon
    if daemon is None or daemon.service_set.closing:
        return
    service_set, dice = daemon.service_set, world.dice
    names = [spec.name for spec in service_set.plan.services if spec.rollout is not None]
    if not names:
        return
    name, verb = dice.choice(names), dice.choice(("roll", "pause", "resume", "resume", "undo", "reload"))
    world.trace(f"an order: {verb} {name}")
    if verb == "reload":
        reload(world, daemon)
        return
    world.invariants.rollouts.ordered()

    def order(d: Daemon) -> None:
        with suppress(OperationFailed):
            actions = (
                service_set.roll([name], world.now) if verb == "roll" else service_set.steer(verb, name, world.now)
            )
            d.engine.order(actions)

    world.command(order)


def edits_only(world: World) -> None:
    """The file is edited; the next supervisor to start will see it."""
    world.plan = edited(world.plan, world.dice)


def down(world: World) -> None:
    daemon = world.daemon
    if daemon is None:
        return
    world.trace("an order: down")
    daemon.ledger.set_meta("closing", "yes")
    world.invariants.wishes.closes()
    world.command(lambda d: d.engine.order(d.service_set.end(world.now)))


def upgrade(world: World) -> None:
    world.upgrade()


def reboot(world: World) -> None:
    world.reboot()


def unwritten_run(world: World) -> None:
    """The disk takes nothing of a whole run, from the boot on: the ledger tells of the run before."""
    world.disk.full = True
    world.later(world.dice.uniform(100.0, 400.0), lambda: _room(world))
    world.later(world.dice.uniform(30.0, 90.0), lambda: crash_now(world))
    world.reboot()


def stale_news(world: World) -> None:
    """Something about a run that is over, or in a state that has no use for it."""
    daemon = world.daemon
    if daemon is None:
        return
    name = world.dice.choice(list(daemon.service_set.instances))
    instance = daemon.service_set.instances[name]
    old = max(0, instance.incarnation - 1)
    event = world.dice.choice(
        (ev.Exited(old, 1, None, True), ev.Heartbeat(old, world.now), ev.Ready(old, "late"), ev.TreeEmpty(old))
    )
    if instance.state is not State.STOPPED or event:
        daemon.hear(name, event)


FAULTS: dict[str, tuple[int, Callable[[World], None]]] = {
    "process dies": (30, dies),
    "process hangs": (6, hangs),
    "process stopped": (3, is_stopped),
    "state D": (3, cannot_die),
    "supervisor killed soon": (22, crash_soon),
    "supervisor killed now": (5, crash_now),
    "disk full": (3, full_disk),
    "ledger lost": (1, ledger_lost),
    "stall": (4, stall),
    "command": (12, person),
    "file edited": (2, edits_only),
    "rollout": (3, steer),
    "down": (1, down),
    "upgrade": (4, upgrade),
    "reboot": (1, reboot),
    "reboot, disk full": (1, unwritten_run),
    "stale news": (4, stale_news),
}
"""Each with its weight."""
