"""Whether a dependency is what its dependant waits for: started, ready or completed; and whether it still can be.

A dependency that is not required only orders the starts: it is waited for while it is on its way, and no longer where
it was stopped, has failed or waits for something that is not on its way itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from supervisor.core.lifecycle.instance import Instance
from supervisor.core.lifecycle.snapshot import Phase
from supervisor.core.model.actions import Goal, State
from supervisor.core.model.causes import Cause
from supervisor.core.model.spec import Condition, DependencySpec, ServiceSpec, ServiceType
from supervisor.core.services.scaling import enough_ready

_PLAIN = DependencySpec(service="")
"""How a service depends on one of which only the name is written."""


def is_met(needed: Instance, condition: Condition) -> bool:
    """The instance is what the condition asks for.  A oneshot is ready when it has completed."""
    if condition is Condition.STARTED:
        runs = needed.state in (State.RUNNING, State.SUSPECT) or needed.phase is Phase.UP
        return runs or needed.dormant or _completed(needed)
    if condition is Condition.COMPLETED:
        return _completed(needed)
    return needed.ready_for_dependants


def is_waited_for(needed: Instance, how: DependencySpec, instances: Mapping[str, Instance]) -> bool:
    """The dependant waits for this instance."""
    if is_met(needed, how.condition):
        return False
    return how.required or _on_its_way(needed, instances)


def with_dependencies(
    names: Iterable[str], instances: Mapping[str, Instance], specs: Mapping[str, ServiceSpec]
) -> list[str]:
    """The instances of these names and of all they depend on, in start order."""
    wanted: set[str] = set()
    todo = list(names)
    while todo:
        name = todo.pop()
        if name in wanted:
            continue
        wanted.add(name)
        spec = instances[name].spec
        for service in (s for s in spec.depends_on if not spec.dependencies or spec.dependency(s).required):
            todo += specs[service].instances
    return [name for name in instances if name in wanted]


def first_awaited(
    spec: ServiceSpec,
    specs: Mapping[str, ServiceSpec],
    instances: Mapping[str, Instance],
    is_covered: Callable[[Instance, Condition], bool],
) -> str:
    """The first instance that a dependant waits for; empty where it may start.  `is_covered`: whether the start need
    not wait for that instance although it is not there."""
    for service in spec.depends_on:
        needed = specs[service]
        how = spec.dependency(service) if spec.dependencies else _PLAIN
        unready = [
            name
            for name in needed.instances
            if is_waited_for(instances[name], how, instances) and not is_covered(instances[name], how.condition)
        ]
        if unready and not enough_ready(needed, len(needed.instances) - len(unready)):
            return unready[0]
    return ""


def _completed(needed: Instance) -> bool:
    """It ended by itself, with success."""
    if needed.state is not State.EXITED:
        return False
    if needed.spec.type is ServiceType.ONESHOT:
        return needed.cause is Cause.SUCCEEDED
    return needed.signal is None and needed.exit_code in needed.spec.restart.success_exit_codes


def _on_its_way(needed: Instance, instances: Mapping[str, Instance]) -> bool:
    """Its start, or the run of a oneshot, goes on."""
    if needed.goal is Goal.DOWN or needed.awaits_end_of_maintenance:
        return False
    if needed.waiting:
        other = instances.get(needed.waiting_for)
        return other is None or other is needed or _on_its_way(other, instances) or other.ready_for_dependants
    return needed.state is State.STARTING or (needed.state is State.RUNNING and needed.spec.type is ServiceType.ONESHOT)
