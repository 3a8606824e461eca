"""Checks how services refer to each other (dependencies, fallbacks, groups), and computes the start order."""

from __future__ import annotations

from collections.abc import Collection, Container, Mapping, Sequence
from dataclasses import replace
from heapq import heapify, heappop, heappush

from supervisor.config.source.problems import Problems
from supervisor.core.model.spec import ServiceSpec
from supervisor.core.text.nearest import did_you_mean

MOST_CIRCLES = 100
MOST_REACHED = 500
"""Limits for absurdly large graphs, so that a check never takes minutes."""


def with_groups_resolved(specs: Mapping[str, ServiceSpec], known: Container[str]) -> dict[str, ServiceSpec]:
    """The specs with each group in `depends_on` replaced by its members.  A member does not depend on itself by the
    name of its own group.  What is not required and not there is left out."""
    members: dict[str, list[str]] = {}
    for name, spec in specs.items():
        if spec.group_name is not None and spec.group_name not in specs:
            members.setdefault(spec.group_name, []).append(name)
    resolved = {}
    for name, spec in specs.items():
        missing = {
            d.service
            for d in spec.dependencies
            if not d.required and d.service not in known and d.service not in members
        }
        if missing:
            spec = replace(
                spec,
                depends_on=tuple(s for s in spec.depends_on if s not in missing),
                dependencies=tuple(d for d in spec.dependencies if d.service not in missing),
            )
        if members.keys().isdisjoint(spec.depends_on):
            resolved[name] = spec
            continue
        rules = tuple(replace(d, service=m) for d in spec.dependencies for m in members.get(d.service, [d.service]))
        spec = replace(spec, dependencies=tuple(d for d in rules if d.service != name))
        wanted = [m for given in spec.depends_on for m in members.get(given, [given]) if m == given or m != name]
        resolved[name] = replace(spec, depends_on=tuple(dict.fromkeys(wanted)))
    return resolved


def judge_references(specs: Mapping[str, ServiceSpec], known: Collection[str], problems: Problems) -> None:
    """Report unknown names, circles, and groups that are named like a service.

    `known` holds the names of all services of the file, including those that are too broken to be in `specs`.
    """
    for name, spec in specs.items():
        for index, wanted in enumerate(spec.depends_on):
            if wanted not in known:
                groups = {other.group_name for other in specs.values() if other.group_name is not None}
                nearest = did_you_mean(wanted, {*known, *groups})
                problems.of(name)(f'there is no service or group "{wanted}"{nearest}', "depends_on", index)
        fallback = spec.restart.fallback
        if fallback is not None and fallback not in known:
            problems.of(name)(f'there is no service "{fallback}"{did_you_mean(fallback, known)}', "restart", "fallback")
        if spec.group_name in known:
            problems.of(name)(f'"{spec.group_name}" is already the name of a service', "group_name")
    _judge_circles(specs, problems)


def _judge_circles(specs: Mapping[str, ServiceSpec], problems: Problems) -> None:
    waits = {name: spec.depends_on for name, spec in specs.items()}
    for circle in _circles(waits):
        problems.of(circle[0])(f"dependency cycle: {_shown(circle)}; none of them could start", "depends_on")
    stands_in = {name: (spec.restart.fallback,) for name, spec in specs.items() if spec.restart.fallback}
    for circle in _circles(stands_in):
        if len(circle) == 2:
            problems.of(circle[0])("a service cannot be its own fallback", "restart", "fallback")
        else:
            problems.of(circle[0])(f"fallback cycle: {_shown(circle)}", "restart", "fallback")
    for name, (fallback,) in stands_in.items():
        if name != fallback and name in _reachable(fallback, waits):
            problems.of(name)(
                f'"{fallback}" depends on "{name}" and could not start when needed', "restart", "fallback"
            )
        elif name != fallback and fallback in _reachable(name, waits):
            problems.of(name)(
                f'"{name}" depends on "{fallback}", which is stopped before "{name}" is tried again',
                "restart",
                "fallback",
            )


def _shown(circle: list[str]) -> str:
    return " → ".join(circle if len(circle) <= 12 else [*circle[:8], "…", *circle[-3:]])


def start_order(specs: Mapping[str, ServiceSpec]) -> tuple[ServiceSpec, ...]:
    """Dependencies first, otherwise as in the file (Kahn's algorithm). The graph must have no circles."""
    index = {name: i for i, name in enumerate(specs)}
    names = list(specs)
    missing = {name: len(spec.depends_on) for name, spec in specs.items()}
    dependants: dict[str, list[str]] = {name: [] for name in specs}
    for name, spec in specs.items():
        for wanted in spec.depends_on:
            dependants[wanted].append(name)
    startable = [index[name] for name, count in missing.items() if not count]
    heapify(startable)
    order = []
    while startable:
        name = names[heappop(startable)]
        order.append(specs[name])
        for dependant in dependants[name]:
            missing[dependant] -= 1
            if not missing[dependant]:
                heappush(startable, index[dependant])
    return tuple(order)


def _circles(edges: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Circles of the graph, each as [a, b, …, a]: at least one if there are any (depth-first search)."""
    found: list[list[str]] = []
    done: set[str] = set()
    for root in edges:
        stack = [(root, iter(edges[root]))] if root not in done else []
        path: dict[str, None] = {root: None}
        while stack:
            node, rest = stack[-1]
            for following in rest:
                if following in path:
                    if len(found) < MOST_CIRCLES:
                        nodes = list(path)
                        found.append([*nodes[nodes.index(following) :], following])
                elif following not in done:
                    path[following] = None
                    stack.append((following, iter(edges.get(following, ()))))
                    break
            else:
                stack.pop()
                del path[node]
                done.add(node)
    return found


def _reachable(start: str, edges: Mapping[str, Sequence[str]]) -> set[str]:
    """The nodes that can be reached from `start`; not all of them if there are more than MOST_REACHED."""
    seen: set[str] = set()
    rest = [start]
    while rest and len(seen) < MOST_REACHED:
        node = rest.pop()
        if node not in seen:
            seen.add(node)
            rest += edges.get(node, ())
    return seen
