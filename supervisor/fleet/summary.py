"""What `supervisor fleet` prints at the end: a line for each host, or one JSON document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from supervisor.core.model.fleet_spec import FleetHost
from supervisor.fleet import steps
from supervisor.fleet.host import Done
from supervisor.fleet.parallel import Outcome
from supervisor.fleet.rollout import NotBegun, told
from supervisor.fleet.steps import Daemon

Outcomes = Mapping[str, Outcome[Done]]
COLUMNS = ("HOST", "ADDRESS", "STATE", "READY", "VERSION", "RELEASE", "NOTE")


def document(command: str, hosts: Sequence[FleetHost], outcomes: Outcomes) -> dict[str, Any]:
    """The result of a command."""
    return {"command": command, "hosts": [_row(host, outcomes[host.name]) for host in hosts]}


def _row(host: FleetHost, outcome: Outcome[Done]) -> dict[str, Any]:
    done, problem = outcome.value, outcome.problem
    return {
        "name": host.name,
        "address": host.address,
        "labels": dict(host.labels),
        "state": state(outcome),
        "steps": [step.name.lower() for step in done.todo.steps] if done is not None else [],
        "notes": list(done.todo.notes) if done is not None else [],
        "release": done.found.current if done is not None else None,
        "config_sha256": done.found.config if done is not None else None,
        "status": done.status if done is not None else None,
        "error": None
        if problem is None
        else {
            "kind": "not-begun" if isinstance(problem, NotBegun) else str(problem.kind),
            "step": outcome.step,
            "message": problem.message,
            "hint": problem.hint,
        },
        "seconds": round(outcome.seconds, 3),
    }


def state(outcome: Outcome[Done]) -> str:
    """One word for a host."""
    if outcome.value is not None:
        if (status := outcome.value.status) is None:
            return Daemon.NOT_INSTALLED.value
        return steps.CODES.get(status["code"], Daemon.UNKNOWN).value
    return str(outcome.problem.kind) if outcome.problem is not None else ""


def summary_lines(hosts: Sequence[FleetHost], outcomes: Outcomes) -> Iterator[str]:
    """What became of each host, what to do where it failed, and how many are done."""
    width = max(len(host.name) for host in hosts)
    for host in hosts:
        outcome = outcomes[host.name]
        mark = "ok    " if outcome.problem is None else "-     " if isinstance(outcome.problem, NotBegun) else "FAILED"
        took = f"  ({outcome.seconds:.1f} s)" if outcome.seconds else ""
        first, *rest = told(outcome).splitlines() or [""]
        yield f"{host.name:<{width}}  {mark}  {first}{took}"
        yield from (f"{'':<{width}}          {line}" for line in rest)
        if outcome.problem is not None and outcome.problem.hint:
            yield f"{'':<{width}}          {outcome.problem.hint}"
    failed = [host.name for host in hosts if outcomes[host.name].problem is not None]
    unchanged = sum((done := outcomes[host.name].value) is not None and not done.todo.steps for host in hosts)
    counted = f"{len(hosts) - len(failed)} of {len(hosts)} hosts as wanted"
    if unchanged == len(hosts):
        counted += ", nothing was changed"
    elif failed:
        counted += f"; not: {', '.join(failed)}"
    yield counted


def status_lines(hosts: Sequence[FleetHost], outcomes: Outcomes) -> Iterator[str]:
    """A table of the hosts with their state."""
    rows = [COLUMNS, *(_cells(host, outcomes[host.name]) for host in hosts)]
    widths = [max(len(row[index]) for row in rows) for index in range(len(COLUMNS))]
    for row in rows:
        yield "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
    for host in hosts:
        problem = outcomes[host.name].problem
        if problem is not None and problem.hint:
            yield f"! {host.name}: {problem.hint}"


def _cells(host: FleetHost, outcome: Outcome[Done]) -> tuple[str, ...]:
    address = host.address if host.port is None else f"{host.address}:{host.port}"
    if outcome.value is None:
        return (host.name, address, state(outcome), "–", "–", "–", " ".join(told(outcome).split()))
    found, status = outcome.value.found, outcome.value.status or {}
    ready = f"{status['ready']} of {status['wanted']}" if status.get("code") in (0, 3) and "ready" in status else "–"
    note = status.get("said", "") if status.get("code") != 0 else ""
    if state(outcome) == Daemon.NOT_INSTALLED:
        note = "supervisor fleet install"
    version, release = status.get("version") or "–", found.current or "–"
    return (host.name, address, state(outcome), ready, version, release, " ".join(note.split()))
