"""Pushes under faults from a seed: waves, rollbacks, orders of persons, members that die; and rules that are broken on
purpose, each of which is found."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable, Iterator

import pytest

from supervisor.core.cluster import pushes, versions
from supervisor.core.cluster.pushes import Pushes, There
from supervisor.core.cluster.version_documents import CURRENT
from supervisor.core.cluster.versions import Health, Hosts, Phase, Record, advance, limit
from tests.core.cluster.test_pushes import BAD, Machine, World

SEEDS, STEPS, CALM, LAG = range(40), 250, 600, 4
"""Seeds, faults of each, turns in which all has to come to an end, and turns after which a change was heard."""


class Violation(Exception):
    """A promise was broken."""


class Run:
    """`in_force`: what was in force in the last turns; a host may not have heard of the newest yet."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.world = World("abcd"[: self.dice.choice((2, 3, 4))])
        self.share = self.dice.choice(("1", "1", "2", "50%"))
        self.in_force: deque[set[int]] = deque([{0}], maxlen=LAG)
        self.back: dict[str, int] = {}

    @property
    def machines(self) -> Iterable[Machine]:
        return self.world.machines.values()

    def run(self) -> None:
        for _ in range(STEPS):
            self.fault()
            self.turn(0.7)
        for one in self.machines:
            if not one.alive:
                one.come_back()
            one.orders = []
        for _ in range(CALM):
            self.turn(1.0)
        self.ended()

    def turn(self, hears: float) -> None:
        """Each daemon and agent talk in this turn by chance: so changes last, and some hosts know less than others."""
        world = self.world
        world.now += 0.1
        for one in self.machines:
            if one.alive:
                if self.dice.random() < hears:
                    one.hear()
                one.ask()
                one.answer()
        world.fire()
        self.judge()

    def fault(self) -> None:
        one = self.dice.choice(list(self.machines))
        roll = self.dice.random()
        if not one.alive:
            if roll < 0.3:
                one.come_back()
        elif roll < 0.05:
            one.die()
        elif roll < 0.10:
            one.pushes.disconnected()
            one.connect()
        elif roll < 0.16:
            one.ask()
            one.answer(lost=True, done=self.dice.random() < 0.5)
            one.pushes.disconnected()  # a request without an answer costs the connection
            one.connect()
        elif roll < 0.26:
            bad = f"{BAD} {self.dice.choice(self.world.names)}"
            self.world.push(self.dice.choice(("one", "two", "three", bad)), one.node, max_unavailable=self.share)
        elif roll < 0.32:
            seen = self.record().number if self.record().phase is Phase.ROLLING else 0
            self.world.push("", one.node, undo=True, takes_back=seen, max_unavailable=self.share)

    def record(self) -> Record:
        return self.world.record if CURRENT in self.world.engine.nodes else Record()

    def judge(self) -> None:
        record = self.record()
        self.in_force.append({record.in_force, record.number if record.phase is not Phase.SETTLED else record.in_force})
        told = {host: turn for host, turn in record.turns.items() if self.world[host].alive}
        changing = [
            host for host, turn in told.items()
            if turn.number == record.goal and not turn.given_up and self.world[host].health is Health.CHANGING
        ]  # fmt: skip
        if len(changing) > limit_of(self.share, len(self.world.names)):
            raise Violation(f"{changing} change at a time, and {self.share} may")
        known = set().union(*self.in_force)
        for one in self.machines:
            able = one.alive and one.connected and not one.pushes.unread and one.pushes.behind() == ""
            if able and one.runs[0] not in known:
                raise Violation(f"{one.node} may take slots with version {one.runs[0]}, and {known} were in force")

    def ended(self) -> None:
        record = self.record()
        if record.phase is not Phase.SETTLED:
            raise Violation(f"version {record.number} is {record.phase} without end")
        runs = {one.node: one.runs for one in self.machines}
        if set(runs.values()) != {(record.in_force, record.digest(record.in_force))}:
            raise Violation(f"version {record.in_force} is in force, and the hosts run {runs}")


limit_of = limit
"""As it is before a test breaks it."""


def violations(seeds: Iterable[int] = SEEDS) -> Iterator[str]:
    for seed in seeds:
        try:
            Run(seed).run()
        except Violation as violation:
            yield f"{seed}: {violation}"


def test_whatever_happens_waves_are_kept_and_all_hosts_end_on_one_version() -> None:
    assert list(violations()) == []


def all_at_once(_share: str, hosts: int) -> int:
    return hosts


def never_behind(_pushes: Pushes) -> str:
    return ""


def does_not_turn_back(record: Record, hosts: Hosts) -> Record | None:
    return advance(record, hosts) if record.phase is Phase.ROLLING else None


def led_by_its_pusher(own: Pushes, record: Record, there: There, now: float) -> object:
    newest = record.version(record.number)
    return LEAD(own, record, there, now) if newest is not None and newest.host == own.node else iter(())


LEAD = Pushes._lead


@pytest.mark.parametrize(("owner", "name", "rule", "told"), [
    (versions, "limit", all_at_once, "change at a time"),
    (Pushes, "behind", never_behind, "may take slots with version"),
    (pushes, "advance", does_not_turn_back, "without end"),
    (Pushes, "_lead", led_by_its_pusher, "without end"),
])  # fmt: skip
def test_a_broken_rule_is_found(
    monkeypatch: pytest.MonkeyPatch, owner: object, name: str, rule: object, told: str
) -> None:
    monkeypatch.setattr(owner, name, rule)
    assert any(told in one for one in violations())
