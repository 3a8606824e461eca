"""What the host lacks of a changed plan: which of it is tolerated, and how a service is completed once it is there.

A service that an edit does not touch continues as it is, although its program is away at present.  One that is new or
edited makes the plan wrong, as any other error in it would.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from supervisor.core.model.spec import Plan, ServiceSpec


class Reviewed(NamedTuple):
    """`plan`: the changed plan, with the services in force where only the host lacks something.  `lacking`: what that
    is, for the user.  `refused`: the same of services that are new or edited."""

    plan: Plan
    lacking: list[str]
    refused: list[str]


def review(in_force: Plan, changed: Plan) -> Reviewed:
    """Review a changed plan against the one in force."""
    known = {spec.name: spec for spec in in_force.services}
    found = Reviewed(changed, [], [])
    services = []
    for spec in changed.services:
        if spec.unresolved:
            before = known.get(spec.name)
            untouched = before is not None and _as_written(before) == _as_written(spec)
            (found.lacking if untouched else found.refused).extend(lacks(spec))
            if untouched and before is not None and not before.unresolved:
                spec = before
        services.append(spec)
    return found._replace(plan=replace(changed, services=tuple(services)))


def lacks(spec: ServiceSpec) -> Iterable[str]:
    """What the host lacks of a service, each with its key."""
    return (f"{key}: {reason}" for key, reason in spec.unresolved)


def completed(spec: ServiceSpec, compiled: Plan) -> ServiceSpec | str:
    """`spec` with what was missing, from the file as it was `compiled` now; or why it cannot be started."""
    found = compiled.service(spec.name)
    resolved = found is not None and replace(
        spec,
        user=found.user,
        group=found.group,
        extra_groups=found.extra_groups,
        environment=found.environment,
        unset_environment=found.unset_environment,
        unresolved=(),
    )
    if found is None or resolved != replace(found, unresolved=()):
        return f"{spec.unresolved[0][1]}; the file was edited since, `supervisor reload` applies it"
    if found.unresolved:
        return found.unresolved[0][1]
    return found


def _as_written(spec: ServiceSpec) -> ServiceSpec:
    return replace(spec, unresolved=())
