"""What must hold of rollouts: enough instances stay ready, each ends, a bad definition goes back and stays away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from supervisor.core.model.actions import Goal, Record, State
from supervisor.core.model.causes import Cause
from supervisor.core.model.spec import ServiceSpec
from supervisor.core.services import rollout as rules
from tests.simulation.plans import BAD

if TYPE_CHECKING:
    from tests.simulation.daemon import Daemon
    from tests.simulation.world import World

MOVES = (Cause.ROLLED_OUT, Cause.PUT_BACK)
BEGINS_ANEW = (Cause.ROLLOUT_STARTED, Cause.ROLLOUT_RESUMED)


def _most_unavailable(limit: int | str, replicas: int) -> int:
    """As documented: a number, or a part that is rounded down, but at least one."""
    return limit if isinstance(limit, int) else max(1, int(limit[:-1]) * replicas // 100)


def _most_surge(spec: ServiceSpec) -> int:
    """As documented: a number, or a part that is rounded up."""
    limit = spec.rollout.max_surge if spec.rollout is not None else 0
    return limit if isinstance(limit, int) else -(-int(limit[:-1]) * spec.replicas // 100)


def _told_apart(spec: ServiceSpec) -> object:
    """What an edit changes in a definition: with another description it is a new one."""
    return spec.environment, spec.description


class Releases:
    """Methods that judge return what is wrong, or an empty text."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._ordered = False
        self._rejected: dict[str, object] = {}
        """What distinguishes the definition of each service that was rolled back last."""
        self._moved: set[tuple[str, str]] = set()
        """The (instance, revision) of each move."""

    def forgotten(self) -> None:
        """An orderly end or a reboot: a later daemon takes what the file says."""
        self._rejected.clear()

    def ordered(self) -> None:
        """The world ordered something about rollouts."""
        self._ordered = True

    def recorded(self, records: Sequence[Record], daemon: Daemon, doubtful: set[str]) -> str:
        for record in records:
            problem = self._recorded(record, records, daemon, doubtful)
            if problem:
                return problem
        return ""

    def _recorded(self, record: Record, records: Sequence[Record], daemon: Daemon, doubtful: set[str]) -> str:
        service = record.service
        rollouts = daemon.service_set.rollouts
        known = rollouts.by_service.get(service) if rollouts is not None else None
        if known is None:
            return ""
        if record.cause in BEGINS_ANEW:
            self._moved = {(name, revision) for name, revision in self._moved if name not in known.wanted.instances}
        if record.cause is Cause.ROLLOUT_STARTED:
            again = _told_apart(known.wanted) == self._rejected.get(service) and not known.restarts
            if again and not self._ordered:
                return f"{service} takes a definition without an order that was rolled back"
        if record.cause is Cause.ROLLOUT_ROLLED_BACK:
            self._rejected[service] = _told_apart(known.wanted)
        if record.cause is Cause.ROLLOUT_FINISHED and known.wanted.ready is not None:
            up = [n for n in known.wanted.instances if daemon.service_set.instances[n].goal is Goal.UP]
            if BAD in known.wanted.environment and up:
                return f"a definition that is never ready was rolled out to {up}"
        judged = record.cause in (*MOVES, Cause.SURGE_OVER)
        return self._move(record, records, known, daemon, doubtful) if judged else ""

    def _move(
        self, record: Record, records: Sequence[Record], known: rules.Rollout, daemon: Daemon, doubtful: set[str]
    ) -> str:
        name, now = record.instance, self._world.now
        instances = [i for i in daemon.service_set.instances.values() if i.spec.name == record.service]
        ends_one = record.after in (State.STOPPING, State.STARTING) and record.before is not State.STOPPING
        if record.cause in MOVES and ends_one and "phase" not in record.detail:
            move = name, daemon.service_set.instances[name].revision
            if move in self._moved and not doubtful:
                return f"{name} is replaced twice by {move[1]}"
            self._moved.add(move)
        if record.before is not State.RUNNING or record.after is not State.STOPPING:
            return ""
        beside = sum(i.name in known.beside and i.goal is Goal.UP for i in instances)
        up = [i for i in instances if i.goal is Goal.UP]
        missing = sum(not (i.ready and i.state is State.RUNNING) and i.cause_at != now for i in up)
        missing += sum(r.cause in MOVES and r.before is State.RUNNING and r.service == record.service for r in records)
        most = _most_unavailable(known.rules.max_unavailable, len(up) - beside) + beside
        return f"{name} is replaced, and {missing} of {len(up)} are missing then" if missing > most else ""

    def spawning(self, spec: ServiceSpec, daemon: Daemon) -> str:
        """Never more than `replicas` and what may run beside them, but for what still ends."""
        removed, name = daemon.service_set.removed, spec.name
        there = [i.name for i in daemon.service_set.instances.values() if i.spec.name == name and i.alive]
        there = [instance for instance in there if instance not in removed]
        most = spec.replicas + _most_surge(spec)
        return f"{name} has {there}, and may have {most} instances" if len(there) > most else ""

    def at_rest(self) -> None:
        self._ordered = False

    def cannot_run(self, name: str, daemon: Daemon) -> bool:
        """The definition of the instance is a bad one, and nothing has to replace it by a good one: it was put in force
        without a rollout, that is paused or halted, or it goes back to what was bad before."""
        instance, rollouts = daemon.service_set.instances[name], daemon.service_set.rollouts
        known = rollouts.by_service.get(instance.spec.name) if rollouts is not None else None
        goes_on = known is not None and known.moving and not known.paused
        back_to_bad = known is not None and known.back and BAD in known.target.environment
        return BAD in instance.spec.environment and (not goes_on or back_to_bad)

    def at_peace(self, daemon: Daemon) -> str:
        """Every rollout has ended, and what runs is what is in force."""
        rollouts = daemon.service_set.rollouts
        for spec in daemon.service_set.plan.services:
            known = rollouts.by_service.get(spec.name) if rollouts is not None else None
            instances = [daemon.service_set.instances[name] for name in spec.instances]
            if spec.rollout is None or (known is not None and (known.paused or known.stage is rules.Stage.HALTED)):
                continue
            if known is not None and known.moving:
                if all(i.goal is Goal.DOWN or i.state is State.RUNNING for i in instances):
                    return f"the rollout of {spec.name} is still {known.stage.value}"
                continue
            for instance in instances:
                process = daemon.processes.get(instance.name)
                if process is not None and process.alive and process.environment != spec.environment:
                    return f"{instance.name} runs {process.environment}, and {spec.environment} is in force"
        return ""
