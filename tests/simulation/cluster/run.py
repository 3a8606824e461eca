"""One seed: storms of faults, each followed by a calm in which all has to be as wanted, and by a time at rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from supervisor.core.cluster.knowledge import SETTLE
from supervisor.core.cluster.versions import Health, Phase
from tests.simulation.cluster.faults import FAULTS, PUSHES, push, undrain
from tests.simulation.cluster.host import USUAL
from tests.simulation.cluster.observer import Violation
from tests.simulation.cluster.pushed import OWN_FILE
from tests.simulation.cluster.world import World

BETWEEN = (0.3, 0.5, 0.8, 0.8)
"""Seconds between two faults of a storm, on average: one of them for each storm."""


@dataclass
class Result:
    """What came of a seed.  `hours`: of which `played` were played event by event; during the others the cluster was at
    rest, and what it does then was seen to repeat itself."""

    seed: int
    hours: float = 0.0
    played: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    checks: int = 0
    violation: str = ""


def run(
    seed: int,
    storms: int = 2,
    faults: int = 200,
    rest: float = 9000.0,
    trace: Callable[[str], None] | None = None,
    *,
    pushes: bool | None = None,
) -> Result:
    """`rest`: seconds at rest after each storm; `pushes`: as World has it."""
    world = World(seed, trace, pushes=pushes)
    result = Result(seed)
    began = world.now
    skipped = 0.0
    try:
        calm(world, shares)
        for _ in range(storms):
            storm(world, faults)
            skipped += rest if calm(world) else 0.0
    except Violation as violation:
        result.violation = str(violation)
    result.played = (world.now - began) / 3600.0
    result.hours = result.played + skipped / 3600.0
    result.faults, result.checks = world.faults, world.observer.checks
    return result


def storm(world: World, faults: int) -> None:
    faults_of = FAULTS | PUSHES if world.pushes else FAULTS
    names, weights = list(faults_of), [weight for weight, _ in faults_of.values()]
    world.stormy, world.bad_net = True, 0.03
    between = world.dice.choice(BETWEEN)
    for _ in range(faults):
        world.run_until(world.now + world.dice.expovariate(1.0 / between))
        for _ in range(10):
            name = world.dice.choices(names, weights)[0]
            if faults_of[name][1](world):
                world.count(name)
                break


def calm(world: World, then: Callable[[World], None] = lambda _: None) -> bool:
    """No new fault.  What began ends by itself, and then every slot has to be taken within a bound.

    Whether the cluster was then seen at rest."""
    world.stormy, world.bad_net = False, 0.0
    world.trace("calm")
    bound = 2 * world.granted + world.stop_timeout + 4 * world.tick + SETTLE * world.contact_interval + 8.0
    bound += 4 * world.push_timeout if world.pushes else 0.0
    bound += 2 * world.failsafe  # promises, and what a host that has just come is bound for
    since = latest = world.now
    while not (settled(world) and healthy(world) and in_force(world)):
        if not healthy(world):
            since = world.now
        if world.now - since > bound or world.now - latest > 10 * bound:
            raise Violation(f"{world.now - since:.1f} s after the last fault {missing(world)}")
        if world.now - latest > 6 * world.granted:  # an order to evict may have been carried out late
            for node in drains(world):
                undrain(world, node)
        if world.pushes and not world.dice.randrange(20):
            push_good(world)
        world.run_until(world.now + 0.5)
    then(world)
    rested = rest(world)
    if world.dice.random() < 0.3:
        blink(world)
    elif world.dice.random() < 0.2:
        host_returns(world)
    return rested


def healthy(world: World) -> bool:
    """No fault lasts."""
    for host in world.hosts:
        if host.cut or not host.up or host.broken or host.saved.down or host.digest != "d1":
            return False
        if host.slow_net > USUAL:  # a request may be given up, and all is read again
            return False
        if host.daemon.orders or any(host.process(kind).slow for kind in ("agent", "daemon")):
            return False
    return (
        not world.late
        and not world.apart
        and not world.ensemble.outage
        and all(one.up for one in world.ensemble.servers)
        and not drains(world)
    )


def in_force(world: World) -> bool:
    """Every host runs the version that is in force, and none is being pushed."""
    if not world.pushes:
        return True
    record, pushed = world.record, [host.daemon.pushed for host in world.hosts]
    if any(one.orders or one.health is not Health.READY for one in pushed):
        return False
    if record is None:
        return all(one.told == OWN_FILE for one in pushed)
    wanted = record.in_force, record.digest(record.in_force)
    return record.phase is Phase.SETTLED and all(one.told == wanted for one in pushed)


def push_good(world: World) -> None:
    """A person pushes a version without faults, where the one in force fails on a host, or which it is was lost."""
    record, hosts = world.record, world.hosts
    if record is None:
        wanted = any(host.saved.version != OWN_FILE for host in hosts)
    else:
        wanted = record.phase is Phase.SETTLED and any(host.daemon.pushed.health is Health.FAILED for host in hosts)
    if wanted and not any(host.daemon.pushed.orders for host in hosts):
        push(world, f"{world.serial()}: beat=9 web=9")


def drains(world: World) -> list[str]:
    return [host.node for host in world.hosts if f"/drains/{host.node}" in world.ensemble.nodes]


def settled(world: World) -> bool:
    """Each slot runs once, no order is open, no session is left over, and no agent has anything to ask."""
    if not all(len(world.running(slot)) == 1 and not world.running(slot)[0].dying for slot in world.slots):
        return False
    if any(path.startswith("/moves/") for path in world.ensemble.nodes):
        return False
    sessions = {host.agent.agent.session for host in world.hosts}
    members = {node.session for path, node in world.ensemble.nodes.items() if path.startswith("/members/")}
    if not sessions == members == world.ensemble.sessions.keys():
        return False
    stopping = any(one.until < float("inf") for host in world.hosts for one in host.daemon.instances.values())
    return not stopping and not any(host.agent.agent._stale for host in world.hosts)


def missing(world: World) -> str:
    without = [world.name(slot) for slot in world.slots if not world.running(slot)]
    where = [f"{host.node}: {host.agent.agent.obstacle(host.now()) or 'able'}" for host in world.hosts if host.up]
    pushed = "" if in_force(world) else f", not in force: {versions(world)}"
    faults = pushed if healthy(world) else f", a fault lasts: {lasting(world)}"
    return f"{', '.join(without) or 'nothing'} is missing{faults} ({'; '.join(where)})"


def versions(world: World) -> str:
    found = [(host.node, *host.daemon.pushed.answer()) for host in world.hosts]
    return f"{world.record} {found}"


def lasting(world: World) -> str:
    found = [(one.node, one.cut, one.up, one.broken, one.saved.down, one.digest) for one in world.hosts]
    return f"{found}, drained {drains(world)}"


def placed(world: World) -> list[tuple[str, int]]:
    return [(tree.host.node, tree.epoch) for slot in world.slots for tree in world.running(slot)]


def rest(world: World) -> bool:
    """At rest a host asks once in a contact interval, nothing moves, and the state repeats itself: what follows is the
    same again, as long as no fault comes.  Whether it was at rest."""
    world.run_until(world.now + 2 * world.contact_interval)
    if not (settled(world) and healthy(world)):
        return False
    before, asked, intervals = placed(world), world.requests, 4
    states = [state(world)]
    world.run_until(world.now + intervals * world.contact_interval)
    most = len(world.hosts) * (intervals + 2)
    if world.requests - asked > most:
        raise Violation(f"at rest {world.requests - asked} requests in {intervals} contact intervals, {most} at most")
    if placed(world) != before:
        raise Violation(f"at rest the placement moved from {before} to {placed(world)}")
    states.append(state(world))
    waits = any(host.agent.agent._backwards or host.agent.agent._refused for host in world.hosts)
    return states[0] == states[1] and not waits


def state(world: World) -> list[object]:
    """All that decides what happens, but for the moments."""
    found: list[object] = [sorted((p, n) for p, n in world.ensemble.nodes.items() if not p.startswith("/status/"))]
    for host in world.hosts:
        agent, daemon, man = host.agent.agent, host.daemon, host.dead_man.man
        known = {path: node for path, node in agent.facts.nodes.items() if not path.startswith("/status/")}
        kept = (agent.facts.names, agent._stale, agent._starts, agent._spent, agent._released, agent._written)
        found += [agent.session, known, *(dict(one) for one in kept), dict(agent.problems), agent.knows]
        found += [agent.local and dict(agent.local.present)]
        told = daemon.gate.told
        found += [
            told and (sorted((s, x.epoch, x.released) for s, x in told.leases.items()), told.elsewhere, told.done)
        ]
        found += [(one.name, one.goal, one.state, one.epoch, one.tree) for one in daemon.instances.values()]
        found += [daemon.gate.guarded, {key: (tree.killed, tree.forgotten) for key, tree in man.trees.items()}]
    return found


def shares(world: World) -> None:
    """All hosts came at once: each has its share."""
    counts = Counter(node for node, _ in placed(world))
    held = [counts[host.node] for host in world.hosts]
    if max(held) - min(held) > 1:
        raise Violation(f"after all hosts came at once they hold {held} slots")


def host_returns(world: World) -> None:
    """A host dies, others take over, and it comes back: nothing moves to it."""
    world.count("host returns")
    host = world.dice.choice(world.hosts)
    host.die(3 * world.granted + 4 * world.tick)
    world.run_until(world.now + 3 * world.granted + 3 * world.tick)
    before = placed(world)
    if len(before) != len(world.slots):
        raise Violation(f"{host.node} has died, and {missing(world)}")
    world.run_until(world.now + 2 * world.granted)
    if placed(world) != before:
        raise Violation(f"{host.node} came back, and the placement moved from {before} to {placed(world)}")


def blink(world: World) -> None:
    """A host that is cut off for a moment keeps what it has."""
    world.count("blink")
    before, host = placed(world), world.dice.choice(world.hosts)
    host.cut, host.cut_since = True, world.now
    world.run_until(world.now + world.dice.uniform(0.05, 0.8))
    host.cut = False
    world.run_until(world.now + world.granted)
    if placed(world) != before:
        moved = f"the placement moved from {before} to {placed(world)}"
        raise Violation(f"{host.node} was cut off for a moment, and {moved}")
