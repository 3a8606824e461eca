"""The status: one document about the daemon and a row per instance, made of what its parts know at the moment."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, TypeVar, cast

from supervisor import __version__
from supervisor.adapters.ledger.store import EventQuery
from supervisor.adapters.logs.place import find as find_log
from supervisor.adapters.processes.sampler import host
from supervisor.core.model.spec import Plan, ServiceSpec
from supervisor.core.services.replica import for_instance
from supervisor.core.services.scaling import deviations
from supervisor.core.services.selection import resolve, resolve_one
from supervisor.core.services.status import carried_by, instance_view, probe_problems
from supervisor.core.text.timestamps import to_iso
from supervisor.daemon.parts import Parts

if TYPE_CHECKING:
    from supervisor.core.model.documents import ActiveProfiles, Heartbeat, InstanceDetail, Status, Supervisor
    from supervisor.core.model.evidence_documents import Evidence
    from supervisor.core.model.instance_documents import Instance
    from supervisor.core.model.socket_documents import HeldSocket


T = TypeVar("T")


class StatusView:
    """Makes the documents of `status`, and of one instance in full."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def status(self, services: Sequence[str] = (), *, usage: bool = True) -> Status:
        """The daemon, and the rows of these services, instances and groups, or of all."""
        return _at_once(self.making(services, usage=usage))

    def making(self, services: Sequence[str], *, usage: bool = True) -> Generator[None, None, Status]:
        """`status` in steps, one for each row.  `usage`: with CPU and memory, for which files of the kernel are read.
        NoSuchService, before the first step.

        A row tells of the moment of its step; an instance that is removed before that has none."""
        service_set = self._parts.service_set
        return self._steps(resolve(service_set, services) if services else list(service_set.instances), usage)

    def _steps(self, names: Sequence[str], usage: bool) -> Generator[None, None, Status]:
        rows = yield from self._rows(names, usage)
        return {"supervisor": self.supervisor(self._parts.now()), "instances": rows}

    def _rows(self, names: Sequence[str], usage: bool = True) -> Generator[None, None, list[Instance]]:
        parts, service_set = self._parts, self._parts.service_set
        carried = carried_by(parts.balancer.view()) if parts.balancer is not None else {}
        queues: dict[str, list[HeldSocket]] = {}
        if parts.sockets.listening:
            from supervisor.daemon.socket_queues import queues_of

            queues = queues_of(parts, [i for name in names if (i := service_set.instances.get(name)) is not None])
        rows = []
        for name in names:
            instance = service_set.instances.get(name)
            if instance is None:
                continue
            now = parts.now()
            row = instance_view(instance, now)
            sampled = usage and instance.pid is not None
            sample = parts.sampler.read_now([name]).get(name) if sampled else None
            row["cpu_percent"] = round(sample.cpu_percent, 1) if sample else None
            row["memory_bytes"] = sample.memory_bytes if sample else None
            row["paused"] = (parts.sampler if sampled else parts.processes).paused(name)
            row["balanced"] = carried.get(name)
            if service_set.rollouts is not None and not service_set.rollouts.current(instance):
                row["current"] = False
            row["sockets"] = queues.get(name)
            if parts.stored is not None and (stored := parts.stored.of(name)):
                row["stored"] = [one.name for one in stored]
            if service_set.roster.gate is not None and instance.spec.exclusive:
                row["placed"] = service_set.roster.gate.view(instance, now)
            rows.append(row)
            yield
        return rows

    def supervisor(self, now: float) -> Supervisor:
        """What concerns the daemon as a whole."""
        parts = self._parts
        settings, instances = parts.service_set.plan.supervisor, parts.service_set.instances.values()
        rollouts = parts.service_set.rollouts
        return {
            "pid": os.getpid(),
            "name": settings.name,
            "version": __version__,
            "upgraded_from": parts.upgraded_from,
            "uptime_s": round(now - parts.began, 3),
            "started_at": to_iso(parts.started),
            "host_starved": parts.loop_lag.starved(now),
            "config": parts.service_set.plan.path,
            "runtime_dir": parts.runtime_dir,
            "state_dir": parts.state_dir,
            "lag_ms": round(parts.loop_lag.lag * 1e3, 1),
            "trees": parts.trees.kind,
            "instances": len(instances),
            "ready": sum(i.ready_for_dependants for i in instances),
            "failed": sum(i.state.value == "failed" for i in instances),
            "closing": parts.service_set.closing,
            "deviations": [
                {"service": name, "replicas": number, "configured": written}
                for name, (number, written) in deviations(parts.service_set.plan).items()
            ],
            "problems": [
                *parts.problems,
                *probe_problems(parts.service_set.instances.values()),
                *self._maintenance_problems(now),
                *(parts.cluster.problems() if parts.cluster is not None else ()),
                *(rollouts.problems(now) if rollouts is not None else ()),
            ],
            "rollouts": rollouts.shown(now) if rollouts is not None else [],
            **host(),
            **_profiles(parts.service_set.plan),
        }

    def instance(self, name: str) -> InstanceDetail:
        """All about one instance.  NoSuchService."""
        from supervisor.core.text.redact import without_secrets

        parts, now = self._parts, self._parts.loop.now()
        name = resolve_one(parts.service_set, name)
        found = parts.service_set.instances[name]
        spec = found.spec
        return {
            **_at_once(self._rows([name]))[0],
            "command": without_secrets(for_instance(spec, name).command),
            "description": spec.description,
            "depends_on": list(spec.depends_on),
            "directory": spec.directory,
            "tree": parts.sampler.tree(parts.processes.members(name)),
            "intervals_s": [round(i, 4) for i in found.detector.intervals()] if found.detector else [],
            "transitions": parts.ledger.events(EventQuery(services=(name,), limit=20)),
            "log_path": "/".join(find_log(f"{parts.state_dir}/log", name)),
            "stop_timeout_s": spec.longest_stop,
            "start_timeout_s": spec.start_timeout,
            "max_restarts": spec.restart.max_restarts,
            "window_s": spec.restart.window,
            "policy": spec.restart.policy.value,
            "restarts_in_window": found.tracker.restarts_in_window(now),
            "heartbeat": _heartbeat(spec),
            "evidence": cast("Evidence", dict(found.evidence)),
        }

    def _maintenance_problems(self, now: float) -> list[str]:
        instances = self._parts.service_set.instances.values()
        if not any(i.maintenance is not None for i in instances):
            return []  # the usual case loads nothing
        from supervisor.core.services.maintenance import problems

        return problems(instances, now)


def _at_once(work: Generator[None, None, T]) -> T:
    while True:
        try:
            next(work)
        except StopIteration as made:
            return cast("T", made.value)


def _heartbeat(spec: ServiceSpec) -> Heartbeat | None:
    beat = spec.heartbeat
    if beat is None:
        return None
    return {
        "source": beat.source,
        "interval_s": beat.interval,
        "detector": beat.detector,
        "threshold": beat.threshold,
        "min_timeout_s": beat.min_timeout,
        "max_timeout_s": beat.max_timeout,
        "on_suspect": beat.on_suspect.value,
    }


def _profiles(plan: Plan) -> ActiveProfiles:
    if plan.kept_profiles is None:
        return {}
    return {"profiles": list(plan.profiles), "inactive": {name: list(found) for name, found in plan.inactive}}
