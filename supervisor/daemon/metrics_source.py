"""What `/metrics` reads of the daemon.

A look at the kernel's counters of a process tree costs more than all the rest of an instance's metrics. One page takes
at most `MOST_LOOKS` of them; where there are more instances they take turns, and the others keep their last reading.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from supervisor.adapters.metrics.page import MOST_LOOKS, Reading
from supervisor.adapters.metrics.turns import Turns
from supervisor.adapters.processes.sampler import Sample
from supervisor.core.services.status import carried_by

if TYPE_CHECKING:
    from supervisor.core.model.balance_documents import Balance, Balanced
    from supervisor.core.model.cluster_documents import ClusterWord
    from supervisor.core.model.documents import Supervisor
    from supervisor.core.model.socket_documents import HeldSocket
    from supervisor.core.services.rollout import Rollout
    from supervisor.daemon.parts import Parts


class MetricsSource:
    """Implements `Source` of adapters/metrics/page.py."""

    def __init__(self, parts: Parts, supervisor: Callable[[float], Supervisor]) -> None:
        self._parts, self._supervisor = parts, supervisor
        self._samples: dict[str, tuple[int, Sample]] = {}
        """The last reading of each instance, with its incarnation."""
        self._turns = Turns(MOST_LOOKS)
        self._due: set[str] = set()
        self._balances: list[Balance] = []
        self._carried: dict[str, Balanced] = {}

    def now(self) -> float:
        return self._parts.loop.now()

    def names(self) -> Iterable[str]:
        """Also chooses the instances whose resources this page reads, and looks what the balancer does."""
        instances = self._parts.service_set.instances
        self._samples = {name: kept for name, kept in self._samples.items() if name in instances}
        balancer = self._parts.balancer
        self._balances = balancer.view() if balancer is not None else []
        self._carried = carried_by(self._balances)
        self._due = self._turns.choose([name for name, i in instances.items() if i.pid is not None])
        return instances

    def read(self, name: str) -> Reading | None:
        instance = self._parts.service_set.instances.get(name)
        if instance is None:
            return None
        stream = self._parts.logs.stream(name)
        written, lost = stream.totals() if stream is not None else (None, None)
        usage = self._usage(name, instance.incarnation, instance.pid)
        rollouts = self._parts.service_set.rollouts
        outdated = rollouts is not None and not rollouts.current(instance)
        return Reading(instance, usage, written, lost, self._carried.get(name), outdated)

    def sockets(self) -> dict[tuple[str, str], HeldSocket]:
        if not self._parts.sockets.listening:
            return {}
        from supervisor.daemon.socket_queues import queues_of

        instances = self._parts.service_set.instances
        held = queues_of(self._parts, instances.values())
        return {(instances[name].spec.name, row["url"]): row for name, rows in held.items() for row in rows}

    def rollouts(self) -> Iterable[Rollout]:
        rollouts = self._parts.service_set.rollouts
        return list(rollouts.by_service.values()) if rollouts is not None else []

    def balances(self) -> Iterable[Balance]:
        return self._balances

    def cluster(self) -> ClusterWord | None:
        return self._parts.cluster.view()["word"] if self._parts.cluster is not None else None

    def _usage(self, name: str, incarnation: int, pid: int | None) -> Sample | None:
        if name in self._due:
            found = self._parts.sampler.read_now([name], keep=True).get(name)
            if found is not None:
                self._samples[name] = (incarnation, found)
        kept = self._samples.get(name)
        return kept[1] if kept is not None and kept[0] == incarnation and pid is not None else None

    def supervisor(self) -> Supervisor:
        """Maintenance is none of its problems: a user ordered it, and each instance has a metric for it."""
        now, instances = self.now(), self._parts.service_set.instances.values()
        found = self._supervisor(now)
        if any(i.maintenance is not None for i in instances):
            from supervisor.core.services.maintenance import problems

            ordered = problems(instances, now)
            found["problems"] = [one for one in found["problems"] if one not in ordered]
        return found
