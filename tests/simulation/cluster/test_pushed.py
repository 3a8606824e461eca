"""Configurations are pushed while hosts, processes and ZooKeeper fail: waves are kept, a host that was away catches up
before it takes anything, no slot runs twice, and all hosts end on one version.  Rules that are broken on purpose are
found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from supervisor.core.cluster import pushes as pushes_module
from supervisor.core.cluster import versions
from supervisor.core.cluster.pushes import Push, Pushes, There
from supervisor.core.cluster.versions import Health, Hosts, Phase, Record, Report, State, advance
from tests.simulation.cluster.faults import PUSHES
from tests.simulation.cluster.pushed import OWN_FILE, Pushed
from tests.simulation.cluster.run import calm, in_force, run
from tests.simulation.cluster.world import World

SEEDS, MUTANT_SEEDS = range(12), 40

Patch = pytest.MonkeyPatch


def test_no_promise_is_broken_while_configurations_are_pushed() -> None:
    faults: Counter[str] = Counter()
    for seed in SEEDS:
        result = run(seed, pushes=True)
        assert not result.violation, f"scripts/simulate cluster --pushes --replay {seed}: {result.violation}"
        faults += result.faults
    assert set(PUSHES) <= set(faults)


@pytest.mark.parametrize("seed", range(4))
def test_a_push_changes_what_runs_without_another_owner(seed: int) -> None:
    """Each run is restarted where it is, under the epoch that it has."""
    world = World(seed, pushes=True)
    calm(world)
    before = {slot: world.running(slot)[0] for slot in world.slots}
    order(world, world.hosts[-1], "1: beat=1 web=1")
    world.run_until(world.now + world.push_timeout)
    assert in_force(world) and world.record is not None and world.record.in_force == 1
    for slot, old in before.items():
        (new,) = world.running(slot)
        assert new is not old and (new.host, new.epoch) == (old.host, old.epoch)


@pytest.mark.parametrize("seed", range(4))
def test_a_host_that_was_away_runs_nothing_by_the_version_before(seed: int) -> None:
    """It takes slots again only with the version that came into force without it."""
    world = World(4 * seed, pushes=True)
    calm(world)
    host = world.running(world.slots[0])[0].host
    host.die(2 * world.push_timeout)
    world.run_until(world.now + 2 * world.granted)  # a push that begins before its session ends fails with it
    order(world, next(one for one in world.hosts if one is not host), "1: beat=1 web=1")
    world.run_until(world.now + world.push_timeout)
    assert world.record is not None and world.record.in_force == 1 and host.saved.version == OWN_FILE
    for other in world.hosts:
        if other is not host:
            other.die(4 * world.granted)
    while not world.running(world.slots[0]):
        world.run_until(world.now + 0.1)
    assert host.saved.version == (1, world.record.digest(1))


def order(world: World, host: object, text: str) -> None:
    """A person pushes a text there."""
    found = next(one for one in world.hosts if one is host)
    found.daemon.pushed.orders["1"] = Push("1", text, "root", 5.0, "1", "1", world.push_timeout)
    found.daemon.wake(world.now)


# -- mutants: each breaks one rule -----------------------------------------------------------------------------------


def tells_all_hosts_at_once(patch: Patch) -> None:
    patch.setattr(versions, "limit", lambda _share, hosts: hosts)


def takes_slots_by_any_version(patch: Patch) -> None:
    patch.setattr(Pushes, "behind", lambda self: "")


def does_not_turn_back(patch: Patch) -> None:
    def rolls(record: Record, hosts: Hosts) -> Record | None:
        return advance(record, hosts) if record.phase is Phase.ROLLING else None

    patch.setattr(pushes_module, "advance", rolls)


def is_led_by_its_pusher(patch: Patch) -> None:
    real = Pushes._lead

    def lead(self: Pushes, record: Record, there: There, now: float) -> object:
        newest = record.version(record.number)
        return real(self, record, there, now) if newest is not None and newest.host == self.node else iter(())

    patch.setattr(Pushes, "_lead", lead)


def believes_a_report_of_another_version(patch: Patch) -> None:
    def health(_record: Record, host: str, reports: dict[str, Report]) -> Health:
        found = reports.get(host)
        return found.health if found is not None else Health.CHANGING

    patch.setattr(versions, "health", health)


def goes_back_to_its_own_file_where_the_record_is_lost(patch: Patch) -> None:
    patch.setattr(Pushes, "_without_node", lambda self: Record())


def puts_a_version_in_force_that_has_failed(patch: Patch) -> None:
    def failed(record: Record, _host: str, _reason: str) -> Record:
        return versions._settled(record, State.IN_FORCE)

    patch.setattr(versions, "_failed", failed)


def does_not_read_the_record_again(patch: Patch) -> None:
    """After a cut it goes on by what it has read before."""
    real = Pushes.connected

    def connected(self: Pushes) -> None:
        known = self._read.record is not None
        real(self)
        if known:
            self._stale, self.unread = {}, False

    patch.setattr(Pushes, "connected", connected)


def a_daemon_forgets_what_it_has_kept(patch: Patch) -> None:
    """It starts from its own file, and says that it runs the version."""
    real = Pushed.__init__

    def begin(self: Pushed, daemon: object) -> None:
        real(self, daemon)  # type: ignore[arg-type]
        self.host.saved.version = OWN_FILE

    patch.setattr(Pushed, "__init__", begin)


MUTANTS: list[Callable[[Patch], None]] = [
    tells_all_hosts_at_once,
    takes_slots_by_any_version,
    does_not_turn_back,
    is_led_by_its_pusher,
    believes_a_report_of_another_version,
    goes_back_to_its_own_file_where_the_record_is_lost,
    puts_a_version_in_force_that_has_failed,
    does_not_read_the_record_again,
    a_daemon_forgets_what_it_has_kept,
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_broken_rules_of_pushes_are_found(mutant: Callable[[Patch], None], monkeypatch: Patch) -> None:
    mutant(monkeypatch)
    for seed in range(MUTANT_SEEDS):
        if run(seed, pushes=True).violation:
            return
    pytest.fail(f"{mutant.__name__} breaks nothing in {MUTANT_SEEDS} seeds")
