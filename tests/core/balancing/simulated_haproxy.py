"""A model of HAProxy for the rules of slots: it serves, reloads, dies, hangs, and loses answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from supervisor.core.balancing.slots import Command, Seen, Slot, SlotState


@dataclass
class SimulatedWorker:
    """`slots`: whether it takes requests, and its address.  `sessions`: the addresses of those that run, by slot."""

    slots: dict[int, tuple[bool, str]]
    sessions: dict[int, list[str]] = field(default_factory=dict)

    def running(self, number: int) -> list[str]:
        return self.sessions.get(number, [])


class SimulatedHaproxy:
    """The present worker, and old ones that finish their sessions."""

    def __init__(self, count: int) -> None:
        self.present = SimulatedWorker(dict.fromkeys(range(1, count + 1), (False, "")))
        self.old: list[SimulatedWorker] = []
        self.file: dict[int, tuple[bool, str]] = dict(self.present.slots)
        self.hung = False

    @property
    def workers(self) -> list[SimulatedWorker]:
        return [self.present, *self.old]

    def write(self, slots: list[Slot]) -> None:
        """The file, as the daemon writes it."""
        self.file = {s.number: (s.state is SlotState.ACTIVE, s.address) for s in slots}

    def reload(self) -> None:
        self.old.append(self.present)
        self.present = SimulatedWorker(dict(self.file))

    def die(self) -> None:
        """It is started again from the file; its sessions are gone, as those of its old workers."""
        self.present, self.old, self.hung = SimulatedWorker(dict(self.file)), [], False

    def take(self, command: Command) -> None:
        """Carry out a command; maintenance is for old workers as well."""
        if command.ready:
            for worker in self.workers:
                others = [a for a in worker.running(command.number) if a != command.address]
                assert not others, f"slot {command.number} is given to {command.address} and still serves {others}"
        if command.number in self.present.slots:
            there = command.address if command.ready else self.present.slots[command.number][1]
            self.present.slots[command.number] = (command.ready, there)
        for worker in self.old:
            if not command.ready and command.number in worker.slots:
                worker.slots[command.number] = (False, worker.slots[command.number][1])

    def look(self) -> list[Seen]:
        return [
            Seen(
                number,
                ready,
                address,
                sum(len(w.running(number)) for w in self.workers),
                lingering=any(w.slots.get(number, (False, ""))[0] for w in self.old),
            )
            for number, (ready, address) in self.present.slots.items()
        ]

    def serve(self, random: Random) -> None:
        """Some requests begin, some end.  An old worker takes some more on connections that it has."""
        for worker in self.workers:
            for number, (ready, address) in worker.slots.items():
                running = worker.sessions.setdefault(number, [])
                if ready and random.random() < 0.5:
                    running.append(address)
                if running and random.random() < 0.6:
                    running.pop()
        self.old = [worker for worker in self.old if any(worker.sessions.values()) or random.random() < 0.5]

    def end(self, address: str) -> None:
        """The instance with this address ended, and its sessions with it."""
        for worker in self.workers:
            for number, running in worker.sessions.items():
                worker.sessions[number] = [one for one in running if one != address]

    def serving(self, address: str) -> int:
        return sum(running.count(address) for worker in self.workers for running in worker.sessions.values())
