"""Compares the edited configuration with the plan in force, and puts it in force: the work of `supervisor reload`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from supervisor.core.model.daemon_records import unchanged
from supervisor.core.model.spec import Plan
from supervisor.core.services.scaling import configured, deviations
from supervisor.core.services.service_set import By
from supervisor.core.services.unresolved import review
from supervisor.daemon.parts import Parts
from supervisor.daemon.reload import put_in_force
from supervisor.errors import ConfigError, OperationFailed, SupervisorError

if TYPE_CHECKING:
    from supervisor.core.model.documents import Difference


def apply_edits(parts: Parts, compiled: Plan | ConfigError, dry_run: bool, by: By) -> Difference | SupervisorError:
    """Put the plan that the file was compiled to in force, or with `dry_run` only compare it; returns what changes, or
    why nothing does.  An order is recorded also where it changes nothing."""
    if isinstance(compiled, ConfigError):
        return compiled
    service_set = parts.service_set
    scales = deviations(service_set.plan)
    plan, lacking, refused = review(configured(service_set.plan), compiled)
    if refused:
        return ConfigError("\n".join(refused))
    rollouts = service_set.rollouts
    retried = rollouts.retried(plan, parts.now()) if rollouts is not None else {}
    change = service_set.difference(plan)
    profiles = None if plan.profiles == service_set.plan.profiles else list(plan.profiles)
    try:
        service_set.require_not_rolling(change.changed)
    except OperationFailed as held:
        return held
    if not dry_run:
        if rollouts is not None:
            rollouts.filed(plan)
        put_in_force(parts, plan, by)
        parts.accept(lacking)
        parts.say("info", "configuration reloaded")
        if by and not (change.added or change.removed or change.changed):
            parts.engine.order([unchanged("reload", by)])
    found: Difference = {
        "applied": not dry_run,
        "added": list(change.added),
        "removed": list(change.removed),
        "changed": {name: list(keys) for name, keys in change.changed.items()},
        "restarted": [n for n in change.changed if change.needs_restart(n) and n not in change.rolled],
        "started": sorted(change.started),
        "resting": sorted(change.resting),
        "rolled": [name for name in change.changed if name in change.rolled],
        "retried": retried,
        "unchanged": change.unchanged,
        "supervisor": list(change.supervisor),
        "scale_ended": {name: number for name, (number, _) in scales.items()},
    }
    if profiles is not None:
        found["profiles"] = profiles
    return found
