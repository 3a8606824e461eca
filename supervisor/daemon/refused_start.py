"""The start of a daemon whose configuration is refused: what runs is taken up under the plan that was in force.

An earlier daemon of the same file left it.  A file that is edited or being deployed in the moment in which the daemon
dies must not leave the services unwatched.  Where nothing was left, the error ends the start as any other would.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from supervisor.adapters.ledger.query import read_only
from supervisor.adapters.processes import orphans
from supervisor.core.model.spec import Plan
from supervisor.core.services.kept_plan import without_taken_out
from supervisor.daemon.previous_run import (
    PLAN,
    RuntimeFiles,
    current_epoch,
    other_file,
    refuse_other_file,
    same_epoch,
)
from supervisor.errors import ConfigError, OperationFailed

if TYPE_CHECKING:
    from supervisor.core.model.document_types import JSON

MOST_NAMED = 10
"""Processes that an error lists."""


def plan_left(refused: Mapping[str, str], path: str) -> Plan:
    """The plan under which the daemon begins.  `refused`: the compiler's report for the file `path`.

    ConfigError where nothing was left; OperationFailed where something runs, but the plan in force is lost too or is of
    another file."""
    error, runtime_dir = refused["error"], refused["runtime_dir"]
    files = RuntimeFiles(runtime_dir)
    facts, saved = _facts(f"{refused['state_dir']}/ledger.db")
    running = files.read_running()
    if not running and facts.get("clean_shutdown") == "yes":
        raise ConfigError(error)
    plan = files.read_plan()
    instances = [name for service in plan.services for name in service.instances] if plan is not None else []
    supervisor_id = facts.get("supervisor_id") or files.read_id()[0]
    left = orphans.find(supervisor_id, f"{runtime_dir}/fifo", instances) if supervisor_id else []
    if not left and (plan is None or not same_epoch(running, current_epoch())):
        raise ConfigError(error)
    if plan is None:
        named = ", ".join(f"{p.instance} (pid {p.pid})" for p in left[:MOST_NAMED])
        more = f" and {len(left) - MOST_NAMED} more" if len(left) > MOST_NAMED else ""
        raise OperationFailed(
            f"{error}\n"
            f"processes of an earlier daemon run unwatched: {named}{more}; the plan that was in force cannot be read"
            f" either ({runtime_dir}/{PLAN})",
            "Correct the configuration and start the daemon again: it takes them up.",
        )
    refuse_other_file(other_file(plan, path, refused["folder"]), runtime_dir)
    places = replace(plan.supervisor, runtime_dir=runtime_dir, state_dir=refused["state_dir"])
    return replace(without_taken_out(plan, saved), supervisor=places, path=path)


def _facts(ledger: str) -> tuple[dict[str, str], dict[str, JSON]]:
    """What the ledger says of the previous run and of its instances; empty where it cannot be read."""
    try:
        reader = read_only(ledger)
    except OperationFailed:
        return {}, {}
    try:
        return reader.meta(), reader.snapshots()
    except OperationFailed:
        return {}, {}
    finally:
        reader.close()
