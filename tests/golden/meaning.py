"""What the saved instances of a golden directory mean: every field of each, as this version restores it.

    CHECKOUT/.venv/bin/python tests/golden/meaning.py tests/golden/COMMIT

writes it to COMMIT/meaning.json; the file of a version that is finished stays as that version wrote it.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from pathlib import Path
from typing import Any

from supervisor.core.lifecycle.instance import Instance
from supervisor.core.model.plain import from_plain
from supervisor.core.model.spec import Plan
from supervisor.core.services.service_set import ServiceSet

JSON = dict[str, Any]


def database(directory: Path) -> sqlite3.Connection:
    """The golden ledger, in memory."""
    db = sqlite3.connect(":memory:")
    db.executescript((directory / "ledger.sql").read_text())
    return db


def snapshots(directory: Path) -> dict[str, JSON]:
    """What is saved of each instance."""
    return {name: json.loads(body) for name, body in database(directory).execute("SELECT name, body FROM snapshots")}


def service_set(directory: Path, *, crashed: bool = True) -> ServiceSet:
    """The golden plan, with every instance restored as after a crash, or else after an orderly end."""
    restored = ServiceSet(from_plain(Plan, json.loads((directory / "plan.json").read_text())), lambda: 0.5)
    for name, saved in snapshots(directory).items():
        restored.restore(name, saved, crashed=crashed)
    return restored


def facts(instance: Instance, at: float) -> JSON:
    """Every field of a restored instance, and what follows from it at the moment of its snapshot."""
    tracker = instance.tracker
    return {
        "goal": instance.goal,
        "state": instance.state,
        "phase": int(instance.phase),
        "cause": instance.cause,
        "cause_at": instance.cause_at,
        "until": instance.until,
        "healthy_at": instance.healthy_at,
        "after": int(instance.after),
        "wanted_by": instance.wanted_by,
        "failure": instance.failure,
        "pid": instance.pid,
        "started_at": instance.started_at,
        "ready": instance.ready,
        "recovering": instance.recovering,
        "exit_code": instance.exit_code,
        "signal": instance.signal,
        "status_text": instance.status_text,
        "incarnation": instance.incarnation,
        "restarts": instance.restarts,
        "false_suspicions": instance.false_suspicions,
        "deadline": instance.deadline,
        "alive": instance.alive,
        "waiting": instance.waiting,
        "spawning": instance.spawning,
        "satisfied": instance.ready_for_dependants,
        "silence": instance.silence,
        "breaker": tracker.breaker,
        "attempt": tracker.attempt,
        "cooldown": tracker.cooldown,
        "retry_at": tracker.retry_at,
        "previous_delay": tracker._previous,
        "restarts_in_window": tracker.restarts_in_window(at),
        "restarts_granted": list(tracker._restarts),
        "detector": _detector(instance, at),
        "recording": _histogram(instance),
    }


def _detector(instance: Instance, at: float) -> JSON | None:
    one = instance.detector
    if one is None:
        return None
    last = one.last or at
    return {
        "name": one.name,
        "threshold": one.threshold,
        "last": one.last,
        "ignored": one.ignored,
        "intervals": list(one.intervals()),
        "suspect_at": one.suspect_at(),
        "suspect_at_half": one.suspect_at(one.threshold / 2.0),
        "suspicions": [one.suspicion(last + seconds) for seconds in (0.02, 0.06, 0.1, 0.2, 0.5, 2.0)],
    }


def _histogram(instance: Instance) -> JSON:
    record = instance.histogram
    return {
        "count": record.count,
        "total": record.total,
        "longest": record.longest,
        "classes": [list(one) for one in record.classes()],
        "beyond": [record.beyond(seconds) for seconds in (0.01, 0.03, 0.06, 1.0)],
        "verdict": list(instance.assessment) if instance.assessment is not None else None,
    }


def meaning(directory: Path) -> JSON:
    """The facts of every instance by name."""
    saved = snapshots(directory)
    return {name: facts(one, saved[name]["at"]) for name, one in service_set(directory).instances.items()}


def main(directory: Path) -> None:
    text = ",\n".join(f" {json.dumps(name)}: {json.dumps(found)}" for name, found in meaning(directory).items())
    (directory / "meaning.json").write_text(f"{{\n{text}\n}}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
