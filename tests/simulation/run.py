"""Runs one seed: hours of faults, then a time without faults, in which every instance has to recover."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.simulation.faults import FAULTS, supervise
from tests.simulation.invariants import Violation
from tests.simulation.world import World

BETWEEN_FAULTS = 36.0
"""Seconds on average."""
PEACE = 2 * 3600.0
"""Seconds after the last fault within which everything has to be as wanted: longer than any cooldown in use."""


@dataclass
class Result:
    """What came of a seed.  `violation`: the rule that was broken, empty if none was."""

    seed: int
    hours: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    checks: int = 0
    violation: str = ""


def run(seed: int, hours: float = 8.0, trace: Callable[[str], None] | None = None) -> Result:
    """Simulate `hours` of faults and a time of peace."""
    world = World(seed, trace)
    result = Result(seed)
    names, weights = list(FAULTS), [weight for weight, _ in FAULTS.values()]
    began = world.now
    end = began + hours * 3600.0
    try:
        world.start()
        while world.now < end:
            world.run_until(min(end, world.now + world.dice.expovariate(1.0 / BETWEEN_FAULTS)))
            name = world.dice.choices(names, weights)[0]
            world.faults[name] += 1
            world.trace(f"* {name}")
            FAULTS[name][1](world)
            world.turn()
        world.trace("peace")
        _heal(world)
        world.run_until(world.now + PEACE)
        world.invariants.at_peace()
    except Violation as violation:
        result.violation = str(violation)
    result.hours = (world.now - began) / 3600.0
    result.faults = world.faults
    result.checks = world.invariants.checks
    return result


def _heal(world: World) -> None:
    """No fault from now on; processes that hang already may go on hanging."""
    world.peaceful = True
    world.daemon_fuse = None
    if world.daemon is not None:
        world.daemon.fuse = None
    for process in world.processes.by_pid.values():
        process.stubborn = False
    for later in (0.0, 600.0, 1200.0):  # a supervisor may be on its way
        world.later(later, lambda: _supervise_all(world))


def _supervise_all(world: World) -> None:
    if world.daemon is not None:
        supervise(world, list(world.daemon.service_set.instances))
