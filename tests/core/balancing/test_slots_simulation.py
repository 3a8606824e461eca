"""The rules of slots against a model of HAProxy, with the daemon's own death between any two of its steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import pytest

from supervisor.core.balancing.slots import Command, Seen, Slots, SlotState, Wanted
from tests.core.balancing.simulated_haproxy import SimulatedHaproxy

INSTANCES, COUNT = 4, 8


@dataclass
class SimulatedInstance:
    name: str
    address: str
    incarnation: int = 1
    state: str = "serving"

    @property
    def wanted(self) -> Wanted:
        serving, leaving = self.state == "serving", self.state == "leaving"
        return Wanted(self.name, self.incarnation, self.address, serving, leaving)


class World:
    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.now = 0.0
        self.haproxy = SimulatedHaproxy(COUNT)
        self.instances = [SimulatedInstance(f"web@{i}", f"127.0.0.1:1810{i}") for i in range(1, INSTANCES + 1)]
        self.slots = Slots(COUNT)
        self.cut = 0
        """Requests of an instance that was stopped although `drained` told that there were none."""

    def want(self) -> None:
        self.now += 0.001
        self.slots.want([one.wanted for one in self.instances], self.now)
        if self.slots.known:
            self.haproxy.write(self.slots.slots)

    def send(self, *, reliable: bool = False) -> None:
        """Send what is to be sent; any of the answers, or any of the commands, may be lost."""
        commands = self.slots.commands()
        fate = 1.0 if reliable else self.random.random()
        for command in commands:
            if not self.haproxy.hung and fate > 0.1:
                self.haproxy.take(command)
        self.now += 0.001
        if self.haproxy.hung or fate < 0.3:
            self.slots.lost(commands, self.now)
        else:
            for command in commands:
                self.slots.confirmed(command, self.now)

    def look(self, *, slow: float = 0.2) -> None:
        if not self.haproxy.hung:
            began, seen = self.now, self.haproxy.look()
            if self.random.random() < slow:  # the answer is slow; what was sent meanwhile counts more
                for _ in range(self.random.randrange(1, 5)):
                    self.haproxy.serve(self.random)
                    self.instance_changes()
                    self.send()
            self.now += 0.001
            self.slots.look(seen, began, self.now, whole=True)

    def instance_changes(self) -> None:
        one = self.random.choice(self.instances)
        if one.state == "serving":
            one.state = self.random.choice(("suspect", "leaving", "down"))
            if one.state == "down":
                self.haproxy.end(one.address)
        elif one.state == "suspect":
            one.state = self.random.choice(("serving", "down"))
            if one.state == "down":
                self.haproxy.end(one.address)
        elif one.state == "down":
            one.state, one.incarnation = "serving", one.incarnation + 1
        self.want()

    def stop_drained(self) -> None:
        for name in self.slots.drained():
            one = next(i for i in self.instances if i.name == name)
            if one.state == "leaving":
                self.cut += self.haproxy.serving(one.address)
                one.state = "down"
        self.want()

    def daemon_dies(self) -> None:
        self.slots = Slots(COUNT)
        self.want()

    def reload(self) -> None:
        """The file holds what is in force; while that is not known, it is left as it is."""
        if self.slots.known:
            self.haproxy.write(self.slots.slots)
        self.haproxy.reload()
        self.slots.begin()

    def haproxy_dies(self) -> None:
        self.haproxy.die()
        self.slots.begin()

    def step(self) -> None:
        steps = [self.send, self.look, self.instance_changes, self.stop_drained] * 4
        steps += [self.daemon_dies, self.reload, self.haproxy_dies]
        if self.random.random() < 0.05:
            self.haproxy.hung = not self.haproxy.hung
        self.haproxy.serve(self.random)
        self.random.choice(steps)()

    def settle(self) -> None:
        """Nothing happens any more but what the rules order."""
        self.haproxy.hung = False
        for worker in self.haproxy.workers:
            worker.sessions.clear()
        for _ in range(6):
            self.look(slow=0.0)
            self.want()
            self.send(reliable=True)
            for worker in self.haproxy.workers:
                worker.sessions.clear()


@pytest.mark.parametrize("block", range(10))
def test_slots_hold_what_they_promise(block: int) -> None:
    for seed in range(block * 40, block * 40 + 40):
        world = World(seed)
        world.want()
        for _ in range(150):
            world.step()
            there = [slot.instance for slot in world.slots.slots if slot.state is SlotState.ACTIVE]
            assert len(there) == len(set(there)), f"seed {seed}: an instance has two slots"
        assert world.cut == 0, f"seed {seed}: {world.cut} requests were cut"
        world.settle()
        serving = {one.address for one in world.instances if one.state == "serving"}
        ready = [address for is_ready, address in world.haproxy.present.slots.values() if is_ready]
        assert sorted(ready) == sorted(serving), f"seed {seed}"
        free = [slot for slot in world.slots.slots if slot.state is SlotState.FREE]
        assert len(free) == COUNT - len(serving), f"seed {seed}: a slot has leaked"


def test_nothing_is_sent_before_the_slots_are_known() -> None:
    slots = Slots(2)
    slots.want([Wanted("web", 1, "127.0.0.1:1", serving=True)], 0.0)
    assert slots.commands() == []
    assert slots.unsettled


def test_what_is_suspect_is_told_at_once() -> None:
    world = World(0)
    world.want()
    world.settle()
    world.instances[1].state = "suspect"
    world.want()
    assert [command.ready for command in world.slots.commands()] == [False]


def test_a_lost_command_is_sent_again() -> None:
    world = World(0)
    world.want()
    world.look()
    world.want()
    sent = world.slots.commands()
    assert {command.ready for command in sent} == {True}
    assert world.slots.commands() == []
    world.slots.lost(sent, world.now)
    assert world.slots.commands() == sent
    world.slots.confirmed(Command(1, ready=False), world.now)  # an answer to what was not sent
    world.slots.lost([Command(1, ready=False)], world.now)
    assert world.slots.slots[0].sent == sent[0]


class TakesLateLooks(Slots):
    def look(self, seen: Sequence[Seen], began: float, now: float, *, whole: bool) -> None:
        for slot in self.slots:
            slot.changed, slot.sent = float("-inf"), None
        super().look(seen, began, now, whole=whole)


class ForgetsOldWorkers(Slots):
    def look(self, seen: Sequence[Seen], began: float, now: float, *, whole: bool) -> None:
        super().look([one._replace(lingering=False) for one in seen], began, now, whole=whole)


class TellsTooEarly(Slots):
    def drained(self) -> list[str]:
        return [one.instance for one in self._wanted.values() if one.leaving]


@pytest.mark.parametrize("broken", [TakesLateLooks, ForgetsOldWorkers, TellsTooEarly])
def test_a_broken_rule_is_found(broken: type[Slots], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.core.balancing.test_slots_simulation.Slots", broken)
    with pytest.raises(AssertionError):
        for block in range(10):
            test_slots_hold_what_they_promise(block)
