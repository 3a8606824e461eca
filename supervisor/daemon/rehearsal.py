"""The rehearsal of an upgrade: the new version checks, in a process of its own, that it could take over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from supervisor import __version__
from supervisor.adapters.ledger.store import read_only
from supervisor.core.model.plain import to_plain
from supervisor.core.model.spec import Plan
from supervisor.core.services.service_set import ServiceSet
from supervisor.core.services.unresolved import review
from supervisor.daemon.previous_run import RuntimeFiles, for_any_version, readable
from supervisor.errors import ConfigError, OperationFailed

if TYPE_CHECKING:
    from supervisor.core.model.document_types import JSON


def rehearse(plan: Plan) -> JSON:
    """Restore what the running daemon has saved, without changing anything.  OperationFailed: it cannot be restored.

    What an earlier version does not know stands beside the plan, because it reads this."""
    reader = read_only(f"{plan.supervisor.state_dir}/ledger.db")
    snapshots = reader.snapshots()
    reader.close()
    files = RuntimeFiles(plan.supervisor.runtime_dir)
    in_force = files.read_plan()
    if in_force is None:
        raise OperationFailed("this version cannot read the plan in force")
    kept = files.read_rollouts()
    rollouts = readable(kept)
    if len(rollouts) < len(kept):
        raise OperationFailed(f"version {__version__} cannot read the saved rollouts")
    reviewed = review(in_force, plan)
    if reviewed.refused:
        raise ConfigError("\n".join(reviewed.refused))
    service_set = ServiceSet(in_force, lambda: 0.5, rollouts)
    for name, instance in service_set.instances.items():
        saved = snapshots.get(name, {})
        service_set.restore(name, saved, crashed=True)
        if instance.state != saved.get("state", instance.state):
            raise OperationFailed(f"version {__version__} cannot read the saved state of {name}")
    plan = reviewed.plan
    more = {"written": plan.fingerprints, "lacking": reviewed.lacking}
    return {"version": __version__, "plan": to_plain(for_any_version(plan)), **more}
