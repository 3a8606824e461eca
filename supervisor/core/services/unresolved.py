"""What the host lacks of a changed plan: which of it is tolerated, and how a service is completed once it is there.

A service that an edit does not touch continues as it is, although its program is away at present.  One that is new or
edited makes the plan wrong, as any other error in it would.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from supervisor.core.model.spec import Plan, ServiceSpec
from supervisor.core.services.scaling import as_configured


class Reviewed(NamedTuple):
    """`plan`: the changed plan, with the services in force where only the host lacks something.  `lacking`: what that
    is, for the user.  `refused`: the same of services that are new or edited."""

    plan: Plan
    lacking: list[str]
    refused: list[str]


def review(in_force: Plan, changed: Plan) -> Reviewed:
    """Review a changed plan against the one in force."""
    known = {spec.name: spec for spec in in_force.services}
    as_before = dict(in_force.fingerprints.items() & changed.fingerprints.items())
    found = Reviewed(changed, [], [])
    services = []
    for spec in changed.services:
        if spec.unresolved:
            before = known.get(spec.name)
            untouched = before is not None and _untouched(before, spec, spec.name in as_before)
            (found.lacking if untouched else found.refused).extend(lacks(spec))
            if untouched and before is not None and not before.unresolved:
                spec = before
        services.append(spec)
    return found._replace(plan=replace(changed, services=tuple(services)))


def lacks(spec: ServiceSpec) -> Iterable[str]:
    """What the host lacks of a service, each with its key."""
    return (f"{key}: {reason}" for key, reason in spec.unresolved)


def why(spec: ServiceSpec) -> str:
    """Why it cannot be started: the first thing that is missing, with its key where that is another command than its
    own."""
    where, reason = spec.unresolved[0]
    key = where.rpartition(f"services.{spec.name}.")[2]
    return f"{key}: {reason}" if key.endswith(("reload_check", ".exec", ".run")) else reason


def completed(spec: ServiceSpec, compiled: Plan) -> ServiceSpec | str:
    """`spec` with what was missing, from the file as it was `compiled` now; or why it cannot be started."""
    found = compiled.service(spec.name)
    resolved = found is not None and replace(
        as_configured(spec),
        user=found.user,
        group=found.group,
        extra_groups=found.extra_groups,
        environment=found.environment,
        unset_environment=found.unset_environment,
        unresolved=(),
    )
    if found is None or resolved != replace(found, unresolved=()):
        return f"{why(spec)}; the file was edited since, `supervisor reload` applies it"
    if found.unresolved:
        return why(found)
    number, written = spec.replicas, spec.configured_replicas
    return replace(found, replicas=number, configured_replicas=written, first_name=spec.first_name, surge=spec.surge)


def _untouched(before: ServiceSpec, spec: ServiceSpec, table_unchanged: bool) -> bool:
    """Whether an edit left a service as it was.  A user or an environment file that is away now cannot be compared, but
    the table in the file can."""
    if _as_written(before) == _as_written(spec):
        return True
    return table_unchanged and _without_resolved(before) == _without_resolved(spec)


def _without_resolved(spec: ServiceSpec) -> ServiceSpec:
    return replace(
        _as_written(spec),
        user=None,
        group=None,
        extra_groups=None,
        environment=(),
        unset_environment=(),
        log=replace(spec.log, owner=None, group=None),
    )


def _as_written(spec: ServiceSpec) -> ServiceSpec:
    return replace(spec, unresolved=())
