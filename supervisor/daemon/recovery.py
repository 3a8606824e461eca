"""Start is recovery: what an earlier daemon left is taken up, what belongs to nobody is ended, the rest is started.

There is no other way to start.  After an orderly end, or in another boot, there is nothing to take up but history.
After a crash or for an upgrade, everything goes on where it was, under the plan that was in force then; if the file
has changed since, what changed is applied last, as a reload would.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from supervisor import __version__
from supervisor.adapters.ledger.store import Ledger, read_only
from supervisor.adapters.linux import procfs
from supervisor.adapters.processes import orphans as strays
from supervisor.core.model import events as ev
from supervisor.core.model.causes import Cause
from supervisor.core.model.plain import from_plain, to_plain
from supervisor.core.model.saved import GARBAGE
from supervisor.core.model.spec import Plan
from supervisor.core.services.adoption import takeover
from supervisor.core.services.service_set import Fleet
from supervisor.errors import OperationFailed

if TYPE_CHECKING:
    from supervisor.daemon.runtime import Runtime

JSON = dict[str, Any]

ID, PLAN = "id", "plan.json"
"""In the runtime directory: whose processes these are, and the plan in force."""


class Past:
    """What an earlier daemon left behind in words.

    `id`: what our children carry in their environment, the same for every daemon of this state directory.  `crashed`:
    the daemon before did not end in order, and this is the same boot (or the same container), so that its processes
    may live and its moments hold.  `closing`: it was about to end in order.  `plan`: what it had in force.

    The ledger may be lost, with all that it knew.  So the id and the boot stand in the runtime directory as well: who
    has them finds the processes, and what these say of themselves (core/takeover.py)."""

    def __init__(self, ledger: Ledger, runtime_dir: str) -> None:
        self._ledger = ledger
        self._runtime_dir = runtime_dir
        said, epoch = _read_id(runtime_dir)
        self.id = ledger.get_meta("supervisor_id") or said or os.urandom(8).hex()
        known = ledger.get_meta("epoch")
        self.crashed = (
            epoch == _epoch() if known is None else known == _epoch() and ledger.get_meta("clean_shutdown") == "no"
        )
        self.closing = ledger.get_meta("closing") == "yes"
        self.instances: dict[str, JSON] = ledger.load()
        self.plan = read_plan(runtime_dir) if self.crashed else None

    def begin(self, *, closing: bool = False) -> None:
        """From now on it is us who may crash.  Said again where what was said is lost."""
        facts = {
            "supervisor_id": self.id,
            "epoch": _epoch(),
            "clean_shutdown": "no",
            "closing": "yes" if closing else "no",
        }
        for key, value in facts.items():
            self._ledger.set_meta(key, value)
        _write(_id_file(self._runtime_dir), f"{self.id} {_epoch()}\n")

    def keep(self, plan: Plan) -> None:
        """This plan is in force.  It holds the environment of services, so it is ours alone to read."""
        _write(_plan_file(self._runtime_dir), json.dumps(to_plain(plan), separators=(",", ":")))


def read_plan(runtime_dir: str) -> Plan | None:
    """The plan that a daemon has, or had, in force; None where there is none that can be read."""
    with suppress(OSError, *GARBAGE), open(_plan_file(runtime_dir)) as file:
        return from_plain(Plan, json.load(file))
    return None


def _plan_file(runtime_dir: str) -> str:
    return f"{runtime_dir}/{PLAN}"


def _id_file(runtime_dir: str) -> str:
    return f"{runtime_dir}/{ID}"


def _read_id(runtime_dir: str) -> tuple[str, str]:
    """The id and the boot that the last daemon wrote down; empty where there is nothing of the kind."""
    with suppress(OSError, ValueError), open(_id_file(runtime_dir)) as file:
        said, epoch = file.read(200).split()
        return said, epoch
    return "", ""


def _write(path: str, text: str) -> None:
    """The whole of it or nothing; ours alone to read."""
    fd = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(fd, "w") as file:
        file.write(text)
    os.replace(f"{path}.new", path)  # noqa: PTH105 - pathlib costs


def _epoch() -> str:
    """Names the boot, or the container, whose processes and whose monotonic clock these are."""
    return f"{procfs.boot_id()}.{procfs.start_time(1)}"


def plan_in_force(past: Past, plan: Plan) -> Plan:
    """The services to begin with; `plan` is what the file says now."""
    return plan if past.plan is None else replace(plan, services=past.plan.services)


def rehearse(plan: Plan) -> JSON:
    """Show that this version could take over, without touching anything.  OperationFailed says why not."""
    reader = read_only(f"{plan.supervisor.state_dir}/ledger.db")
    snapshots = reader.snapshots()
    reader.close()
    in_force = read_plan(plan.supervisor.runtime_dir)
    if in_force is None:
        raise OperationFailed("the plan in force means nothing to this version")
    fleet = Fleet(in_force, lambda: 0.5)
    for name, instance in fleet.instances.items():
        saved = snapshots.get(name, {})
        fleet.restore(name, saved, crashed=True)
        if instance.state != saved.get("state", instance.state):
            raise OperationFailed(f"what is saved of {name} means nothing to version {__version__}")
    return {"version": __version__, "plan": to_plain(plan)}


def recover(runtime: Runtime, past: Past, plan: Plan, only: Sequence[str] | None) -> None:
    """Take up, clear, go on, apply what is new, start.  `only`: start these services and what they need, not all."""
    fleet, now = runtime.fleet, runtime.reactor.now()
    past.begin()
    for name in fleet.instances:
        fleet.restore(name, past.instances.get(name, {}), crashed=past.crashed)
    adopted = _take_up(runtime, past, now) if past.crashed else 0
    for name in set(past.instances) - set(fleet.instances):
        runtime.ledger.save(name, None)
    if fleet.plan.services != plan.services:
        runtime.put_in_force(plan)
    else:
        runtime.reactor.call_soon(lambda: past.keep(plan))
    known = set(past.instances) if past.crashed and not past.closing else set()
    count, kind = len(fleet.instances), runtime.forest.kind
    if runtime.upgraded_from:
        runtime.say("info", f"upgraded from {runtime.upgraded_from} to {__version__}")
    runtime.say("info", f"{count} instances, trees by {kind}" + (f", {adopted} adopted" if adopted else ""))
    if only is None:
        wanted = [n for n, i in fleet.instances.items() if i.spec.autostart and n not in known and fleet.names(n)]
    else:
        wanted = [n for service in only for n in runtime.operations.resolve([service])]
    runtime.engine.order(fleet.start(wanted, now, Cause.AUTOSTART))


def _take_up(runtime: Runtime, past: Past, now: float) -> int:
    """Adopt what lives, say what vanished, end what is nobody's; the number of the adopted."""
    fleet = runtime.fleet
    started = {name: saved.get("start") for name, saved in past.instances.items()}
    plan = takeover(fleet.instances, started, runtime.marked())
    for name, incarnation in plan.unheard.items():
        fleet.presume(name, incarnation)
    if plan.unheard:
        runtime.problem(f"not in the ledger, and taken up by their marks: {', '.join(plan.unheard)}")
    for stray in plan.strays:
        runtime.problem(f"process {stray.pid} of {stray.instance} was left behind by an earlier supervisor: killed")
    for stray in runtime.end_strays(plan.strays):
        runtime.problem(f"process {strays.describe(stray)} of {stray.instance} cannot be killed")
    found = {
        name: runtime.adopt(name, instance.incarnation, plan.mains.get(name))
        for name, instance in fleet.instances.items()
        if instance.alive
    }
    runtime.engine.order(fleet.resume(found, now))
    return sum(isinstance(event, ev.Adopted) for event in found.values())
