"""The faults that are injected, each with its weight.  Each ends by itself."""

from __future__ import annotations

from collections.abc import Callable

from supervisor.core.cluster.orders import Order
from supervisor.core.cluster.pushes import Push
from supervisor.core.cluster.requests import DRAINS, Verb
from supervisor.core.cluster.versions import Phase
from supervisor.core.model.actions import Goal
from tests.simulation.cluster.host import USUAL, Host
from tests.simulation.cluster.world import World

Fault = Callable[[World], bool]
"""Whether it was possible now."""


def _host(world: World) -> Host:
    return world.dice.choice(world.hosts)


def _long(world: World) -> float:
    """Seconds: mostly shorter than a session, sometimes longer."""
    longest = 4.0 if world.failsafe else 2.2
    return world.dice.choice((0.2, 0.5, 1.0, 1.5, longest)) * world.dice.uniform(0.3, 1.0) * world.granted


def cut(world: World) -> bool:
    host = _host(world)
    if host.cut:
        return False
    host.cut, host.cut_since = True, world.now
    host.alone = bool(world.failsafe) and world.dice.random() < 0.4

    def heal() -> None:
        host.cut = host.alone = False

    world.later(_long(world), heal)
    return True


def pair_cut(world: World) -> bool:
    """Two hosts that do not reach each other."""
    pair = frozenset((_host(world).node, _host(world).node))
    if not world.failsafe or len(pair) < 2 or pair in world.apart:
        return False
    world.apart.add(pair)
    world.later(_long(world), lambda: world.apart.discard(pair))
    return True


def host_joins(world: World) -> bool:
    """A host that has never belonged to the cluster."""
    number = len(world.hosts)
    if not world.failsafe or number > 4 or (world.stormy and world.dice.random() < 0.8):
        return False
    world.hosts.append(Host(world, "abcde"[number], f"z{number % 2}"))
    return True


def slow_network(world: World) -> bool:
    host = _host(world)
    host.slow_net = world.dice.choice((0.05, 0.3, 1.0))

    def heal() -> None:
        host.slow_net = USUAL

    world.later(_long(world), heal)
    return True


def bad_network(world: World) -> bool:
    world.bad_net = world.dice.choice((0.1, 0.3))

    def heal() -> None:
        world.bad_net = 0.03 if world.stormy else 0.0

    world.later(_long(world), heal)
    return True


def _may_break(host: Host, kinds: tuple[str, ...]) -> bool:
    """One of our processes at a time, or daemon and agent; never the dead-man beside another one."""
    broken = host.broken | set(kinds)
    return (
        host.up
        and "all" not in broken
        and ("dead-man" not in broken or broken == {"dead-man"})
        and not host.broken & set(kinds)
    )


def _break(world: World, how: Callable[[Host, str], float], *, pairs: bool) -> bool:
    host = _host(world)
    kinds = world.dice.choice((("agent",), ("daemon",), ("dead-man",)) + ((("daemon", "agent"),) if pairs else ()))
    if not _may_break(host, kinds):
        return False
    for kind in kinds:
        host.broken.add(kind)
        world.trace(f"  {host.node}: {kind}")
        world.later(how(host, kind) + world.granted, lambda kind=kind: host.broken.discard(kind))  # type: ignore[misc]
    return True


def kill_process(world: World) -> bool:
    def kill(host: Host, kind: str) -> float:
        back = world.dice.choice((0.1, 0.5, 3.0, 1.5 * world.granted))
        host.kill(kind, back, keep=world.dice.random() < 0.7)
        return back + 1.0

    return _break(world, kill, pairs=True)


def stop_process(world: World) -> bool:
    """SIGSTOP; afterwards it goes on, or its watchdog kills it."""

    def stop(host: Host, kind: str) -> float:
        process, seconds = host.process(kind), _long(world)
        process.stop()
        if kind != "daemon" and world.dice.random() < 0.4:
            world.later(seconds, lambda: host.kill(kind, 0.2) if host.process(kind) is process else None)
        else:
            world.later(seconds, process.resume)
        return seconds + 1.0

    return _break(world, stop, pairs=True)


def starve_process(world: World) -> bool:
    def starve(host: Host, kind: str) -> float:
        process, seconds = host.process(kind), _long(world)
        if kind == "dead-man":
            return 0.0  # it has its memory locked and runs before others
        process.slow = world.dice.choice((0.3, 1.0, 4.0))

        def feed() -> None:
            process.slow = 0.0

        world.later(seconds, feed)
        return seconds + 1.0

    return _break(world, starve, pairs=True)


def host_dies(world: World) -> bool:
    host = _host(world)
    if not host.up or "all" in host.broken or sum(one.up for one in world.hosts) < 2:
        return False
    host.die(_long(world))
    return True


def server_cut(world: World) -> bool:
    server = world.dice.randrange(3)
    if sum(one.up and one.old is None for one in world.ensemble.servers) < 3:
        return False
    world.ensemble.cut_server(server)
    return True


def leader_changes(world: World) -> bool:
    world.ensemble.new_leader()
    return True


def outage(world: World) -> bool:
    if world.ensemble.outage:
        return False
    world.ensemble.fall(_long(world))
    return True


def hasty_servers(world: World) -> bool:
    """A leader that heard of its followers' clients at the earliest possible moment."""
    ensemble = world.ensemble
    if ensemble.hasty:
        return False
    ensemble.hasty = True
    ensemble.judge_all()

    def end() -> None:
        ensemble.hasty = False

    world.later(_long(world) * 2, end)
    return True


def data_lost(world: World) -> bool:
    """The servers come back empty.  An agent that starts just then cannot know that there was anything."""
    hosts = world.hosts
    if world.ensemble.outage or not all(host.up and not host.broken and host.agent.agent.knows for host in hosts):
        return False
    for host in hosts:  # for as long as leases last
        host.broken |= {"agent", "all"}
        world.later(1.5 * world.granted, lambda host=host: host.broken.clear())  # type: ignore[misc]
    world.ensemble.lose_data()
    world.observer.lost()
    return True


def drain(world: World) -> bool:
    node = _host(world).node
    path = f"{DRAINS}/{node}"
    if path in world.ensemble.nodes or DRAINS not in world.ensemble.nodes:
        return False
    world.ensemble.write(Verb.CREATE, path, "{}")
    world.observer.drained(node, world.now)
    world.later(_long(world) * 2, lambda: undrain(world, node))
    return True


def undrain(world: World, node: str) -> None:
    world.ensemble.write(Verb.DELETE, f"{DRAINS}/{node}")
    world.observer.drained(node, None)


def _order(world: World, verb: str) -> bool:
    host, goal = _host(world), _host(world)
    slot = world.dice.choice(world.slots) if verb == "move" else None
    number = str(world.serial())
    host.daemon.orders[number] = Order(number, verb, goal.node, slot)
    host.daemon.wake(world.now)
    return host.daemon.alive


def move(world: World) -> bool:
    return _order(world, "move")


def evict(world: World) -> bool:
    if world.dice.random() < 0.5 or not _order(world, "evict"):
        return False
    for host in world.hosts:
        world.later(3 * world.granted, lambda node=host.node: undrain(world, node))  # type: ignore[misc]
    return True


def stop_service(world: World) -> bool:
    host, service = _host(world), world.dice.choice(world.rules).service
    if not host.daemon.alive or host.daemon.stopped:
        return False
    host.rules_since = world.now
    host.daemon.set_goal(service, Goal.DOWN)
    world.later(_long(world), lambda: start_service(host, service))
    return True


def start_service(host: Host, service: str) -> None:
    host.saved.down.discard(service)
    host.rules_since = host.world.now
    if host.daemon.alive:
        host.daemon.set_goal(service, Goal.UP)


def other_rules(world: World) -> bool:
    """A reload of one host's configuration, which differs from that of the others for a while."""
    host = _host(world)
    if world.pushes or any(one.digest != "d1" for one in world.hosts):
        return False
    host.digest, host.rules_since = "d2", world.now
    host.daemon.wake(world.now)

    def mend() -> None:
        host.digest, host.rules_since = "d1", world.now
        host.daemon.wake(world.now)

    world.later(_long(world) * 2, mend)
    return True


def push(world: World, text: str = "") -> bool:
    """A person pushes a configuration, on any host.  It changes some services, and fails on some hosts."""
    host, dice = _host(world), world.dice
    if not world.pushes or not host.daemon.alive:
        return False
    number = str(world.serial())
    if not text:
        bad = ",".join(one.node for one in world.hosts if dice.random() < 0.5) if dice.random() < 0.3 else ""
        text = f"{number}: beat={dice.randrange(3)} web={dice.randrange(3)} bad={bad}"
    share = world.share
    host.daemon.pushed.orders[number] = Push(number, text, "root", 5.0, number, share, world.push_timeout)
    host.daemon.wake(world.now)
    return True


def undo(world: World) -> bool:
    """A person takes a push back, or has the version before."""
    host, record = _host(world), world.record
    if not world.pushes or not host.daemon.alive or record is None:
        return False
    number = str(world.serial())
    seen = record.number if record.phase is Phase.ROLLING else 0
    host.daemon.pushed.orders[number] = Push(
        number, "", "root", 5.0, number, world.share, world.push_timeout, undo=True, takes_back=seen
    )
    host.daemon.wake(world.now)
    return True


PUSHES: dict[str, tuple[int, Fault]] = {"push": (8, push), "undo": (2, undo)}
"""Injected where configurations are pushed."""
FAULTS: dict[str, tuple[int, Fault]] = {
    "host cut off": (12, cut),
    "pair cut": (3, pair_cut),
    "host joins": (1, host_joins),
    "slow network": (4, slow_network),
    "bad network": (4, bad_network),
    "process killed": (12, kill_process),
    "process stopped": (12, stop_process),
    "process starved": (6, starve_process),
    "host dies": (3, host_dies),
    "server cut off": (5, server_cut),
    "leader changes": (2, leader_changes),
    "all of ZooKeeper away": (1, outage),
    "sessions end early": (5, hasty_servers),
    "data lost": (4, data_lost),
    "drain": (4, drain),
    "move": (6, move),
    "evict": (1, evict),
    "service stopped": (4, stop_service),
    "other rules": (3, other_rules),
}
