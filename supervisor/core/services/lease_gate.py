"""Which exclusive instances may run on this host: those whose slot it holds, and only as long as the lease allows.

The agent sends the leases.  An instance starts only under a lease, and carries its epoch.  When the lease is to end, is
gone, or is one of another epoch, the instance is stopped in order; it is still wanted up, waits for the next lease, and
nothing has failed.  Until the agent has spoken, what an earlier daemon started goes on: the dead-man ends it when its
time is over.  A run that ended in this way while no daemon looked has not failed either: the next one waits for a
lease, and not for the delay of the restart policy.  Where the lease has the same epoch again, the dead-man tells of
such an end.

Moments are monotonic seconds.  `Lease` counts in CLOCK_BOOTTIME, so what tells the gate converts them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from supervisor.core.cluster.lease import Lease, Phase, next_deadline
from supervisor.core.cluster.placement import Slot
from supervisor.core.lifecycle.ending import KILL
from supervisor.core.lifecycle.instance import Instance
from supervisor.core.lifecycle.snapshot import Phase as Step
from supervisor.core.model import events as ev
from supervisor.core.model.actions import Goal, State
from supervisor.core.model.causes import Cause
from supervisor.core.model.spec import Condition, ServiceSpec, ServiceType

if TYPE_CHECKING:
    from supervisor.core.model.placed_document import Placed

_RUNS = (State.RUNNING, State.SUSPECT)
NOT_YET = "the cluster agent, which has not spoken yet"


@dataclass(frozen=True, slots=True)
class Told:
    """The agent's last message.  `elsewhere`: the hosts that hold the slots which this host does not hold; `done`:
    services whose oneshot has completed in the cluster; `nowhere`: why no host holds a slot."""

    node: str
    leases: Mapping[Slot, Lease] = field(default_factory=dict)
    elsewhere: Mapping[Slot, str] = field(default_factory=dict)
    done: frozenset[str] = frozenset()
    nowhere: Mapping[Slot, str] = field(default_factory=dict)


class LeaseGate:
    """The leases of one service set.  `guarded`: instances and epochs that the dead-man knows; nothing else starts."""

    def __init__(self) -> None:
        self.told: Told | None = None
        self.guarded: frozenset[tuple[str, int]] = frozenset()
        self.killed: dict[str, int] = {}
        """The epochs of runs that the dead-man has ended, by instance, until the next one starts."""
        self.due: float | None = None
        """When a lease allows something else than before."""

    def hear(self, told: Told, now: float) -> None:
        """The agent spoke."""
        self.told = told
        self.due = next_deadline(told.leases.values(), now)

    def passed(self, now: float) -> bool:
        """A lease allows something else than at the last look."""
        if self.told is None or self.due is None or self.due > now:
            return False
        self.due = next_deadline(self.told.leases.values(), now)
        return True

    def started(self, instances: Iterable[Instance]) -> None:
        """These start now, under the epochs of their leases."""
        for instance in instances:
            if instance.spec.exclusive:
                instance.epoch = self.epoch(instance)
                self.killed.pop(instance.name, None)

    def awaited(self, instance: Instance, now: float) -> str:
        """What the start of an exclusive instance waits for; empty: it may start."""
        told = self.told
        if told is None:
            return NOT_YET
        slot = slot_of(instance)
        if slot.service in told.done:
            return "nothing: it has completed in the cluster"
        held = told.leases.get(slot)
        if held is not None and held.phase(now) in (Phase.RUN, Phase.WAIT):
            if (instance.name, held.epoch) not in self.guarded:
                return "the dead-man process, without which nothing exclusive starts"
            if held.phase(now) is Phase.RUN:
                return ""
            return "the end of what its last owner ran"
        if slot in told.elsewhere:
            return f"{told.elsewhere[slot]}, which holds its slot"
        over = "a lease of its slot: the last one is over, and was not renewed" if held is not None else ""
        if slot in told.nowhere:
            return f"its slot in the cluster ({told.nowhere[slot]})"
        return over or "its slot in the cluster"

    def epoch(self, instance: Instance) -> int:
        """The epoch under which it starts."""
        held = self.told.leases.get(slot_of(instance)) if self.told is not None else None
        return held.epoch if held is not None else 0

    def kill_at(self, instance: Instance) -> float | None:
        """When its lease is over, by what the agent said last."""
        held = self.told.leases.get(slot_of(instance)) if self.told is not None else None
        return held.kill_at if held is not None and held.epoch == instance.epoch else None

    def orders(self, instances: Iterable[Instance], now: float) -> Iterator[tuple[Instance, ev.Restart]]:
        """Stop what runs without a lease, or under one that is to end.  What has ended with its lease waits for the
        next lease instead of a delay."""
        if self.told is None:
            return
        for instance in instances:
            if not instance.spec.exclusive:
                continue
            covered = self._covered(instance, now)
            ended = not covered or self.killed.get(instance.name) == instance.epoch
            if (not covered and _runs(instance)) or (ended and _may_have_ended_with_its_lease(instance)):
                yield instance, ev.Restart(Cause.LEASE_ENDING)

    def covers(self, needed: Instance, condition: Condition) -> bool:
        """A dependant need not wait for the instance: another host runs it, or it has completed in the cluster.

        That another host runs a oneshot is not enough where its success is waited for: it may fail."""
        told = self.told
        if told is None or not needed.spec.exclusive:
            return False
        slot = slot_of(needed)
        if slot.service in told.done:
            return True
        if needed.spec.type is ServiceType.ONESHOT and condition is not Condition.STARTED:
            return False
        return told.elsewhere.get(slot, told.node) != told.node

    def view(self, instance: Instance, now: float) -> Placed:
        """What the status says of its place in the cluster."""
        told, slot = self.told, slot_of(instance)
        held = told.leases.get(slot) if told is not None else None
        node = None
        if told is not None:
            node = told.node if held is not None else told.elsewhere.get(slot)
        return {
            "slot": slot.number,
            "node": node,
            "here": held is not None,
            "epoch": instance.epoch or (held.epoch if held is not None else None),
            "lease_s": round(held.kill_at - now, 3) if held is not None else None,
            "reason": told.nowhere.get(slot) if told is not None and node is None else None,
            "done": told is not None and slot.service in told.done,
        }

    def _covered(self, instance: Instance, now: float) -> bool:
        assert self.told is not None
        held = self.told.leases.get(slot_of(instance))
        return held is not None and held.epoch == instance.epoch and held.phase(now) in (Phase.RUN, Phase.WAIT)


def slot_of(instance: Instance) -> Slot:
    """The slot of an instance: `web@3` has the third, counted from 0."""
    spec: ServiceSpec = instance.spec
    return Slot(spec.name, spec.instances.index(instance.name) if instance.name in spec.instances else 0)


def _runs(instance: Instance) -> bool:
    started = instance.state is State.STARTING and instance.phase >= Step.SPAWNING
    return instance.goal is Goal.UP and (instance.state in _RUNS or started)


def _may_have_ended_with_its_lease(instance: Instance) -> bool:
    """Its run ended as one does that the dead-man ends, and is followed by the delay of a failure."""
    by_kill = instance.cause is Cause.KILLED and instance.signal == KILL
    return instance.state is State.BACKOFF and (by_kill or instance.cause is Cause.EXIT_UNKNOWN)
