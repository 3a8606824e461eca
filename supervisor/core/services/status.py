"""The rows of the status, made from instances.  Times are seconds; None means that the value does not exist now."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the command `status` uses rows without importing the rules
    from supervisor.core.lifecycle.instance import Instance
    from supervisor.core.model import documents


PROBED = ("http", "tcp", "exec")
"""Sources of heartbeats that are asked."""


def instance_view(i: Instance, now: float) -> documents.Instance:
    """One row of `status --json`.  `cpu_percent`, `memory_bytes` and `paused` are None; the caller fills them in."""
    detector = i.detector
    heard = detector is not None and detector.last is not None and i.pid is not None
    return {
        "name": i.name,
        "service": i.spec.name,
        "goal": i.goal.value,
        "state": i.state.value,
        "ready": i.ready,
        "pid": i.pid,
        "incarnation": i.incarnation,
        "uptime_s": _ago(i.started_at, now),
        "restarts": i.restarts,
        "detector": detector.name if detector else None,
        "phi": round(detector.suspicion(now), 3) if detector and heard and i.blind_since is None else None,
        "threshold": detector.threshold if detector else None,
        "last_heartbeat_age_s": _ago(detector.last, now) if detector and heard else None,
        "suspect_in_s": _left(i.suspect_at, now),
        "false_suspicions": i.false_suspicions,
        "target": _target(i),
        "cause": i.cause.value,
        "since_s": _ago(i.cause_at, now),
        "exit_code": i.exit_code,
        "signal": i.signal,
        "out_of_memory": i.out_of_memory,
        "next_restart_in_s": _left(i.until, now) if i.state.value in ("backoff", "failed") else None,
        "kill_in_s": _left(i.until, now) if i.state.value == "stopping" else None,
        "ready_within_s": _left(i.deadline, now) if i.state.value == "starting" else None,
        "breaker": i.tracker.breaker.value,
        "attempt": i.tracker.attempt,
        "waiting_for": i.waiting_for or None,
        "held": i.held,
        "paused": None,
        "on_suspect": i.spec.heartbeat.on_suspect.value if i.spec.heartbeat is not None else None,
        "lingering": list(i.lingering),
        "stuck": i.unkillable(now),
        "detach": i.spec.detach,
        "status": i.status_text or None,
        "status_age_s": _ago(i.status_at, now) if i.status_text else None,
        "probe_error": i.last_probe_error or None,
        "probe": _probe(i, now),
        "current": i.running_spec is i.spec,
        "group": i.spec.group_name,
        "type": i.spec.type.value,
        "cpu_percent": None,
        "memory_bytes": None,
    }


def _target(i: Instance) -> documents.Target | None:
    if i.assessment is None or i.spec.heartbeat is None or i.spec.heartbeat.target is None:
        return None
    from supervisor.core.text.target import shown

    return shown(i.assessment, i.spec.heartbeat.target)


def _probe(i: Instance, now: float) -> documents.Probe | None:
    ready, beat = i.spec.ready, i.spec.heartbeat
    asked = ready is not None and (ready.http or ready.tcp or ready.exec)
    if not asked and (beat is None or beat.source not in PROBED):
        return None
    return {
        "failures": i.probe_failures,
        "error": i.probe_fault or None,
        "blind_s": None if i.probe_delayed else _ago(i.blind_since, now),
    }


def probe_problems(instances: Iterable[Instance]) -> list[str]:
    """The instances whose probes cannot ask now, each with the reason."""
    blind = (i for i in instances if i.blind_since is not None and not i.probe_delayed)
    return [f"{i.name}: its probe cannot ask, so that its silence is not counted: {i.probe_fault}" for i in blind]


def should_be_up_but_is_not(view: documents.Instance) -> bool:
    """The goal is UP, and the instance is neither ready nor done; `status` then exits with 3."""
    if view["goal"] != "up":
        return False
    if view["state"] == "exited":
        return view["cause"] != "succeeded"
    return not view["ready"] and not (view["type"] == "oneshot" and view["state"] == "running")


def _ago(then: float | None, now: float) -> float | None:
    return None if then is None else round(max(0.0, now - then), 3)


def _left(then: float | None, now: float) -> float | None:
    return None if then is None else round(max(0.0, then - now), 3)
