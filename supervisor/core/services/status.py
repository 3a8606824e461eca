"""The rows of the status, made from instances.  Times are seconds; None means that the value does not exist now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from math import inf

from supervisor.core.text.waiting import runs_elsewhere

TYPE_CHECKING = False  # importing typing takes time
if TYPE_CHECKING:  # the command `status` uses rows without importing the rules
    from typing import Any

    from supervisor.core.detection.members import Members
    from supervisor.core.lifecycle.instance import Instance
    from supervisor.core.model import balance_documents, document_types, documents, instance_documents


SHOWN = 32
"""Processes of an instance in its row at most."""
PROBED = ("http", "tcp", "exec")
"""Sources of heartbeats that are asked."""


def instance_view(i: Instance, now: float) -> instance_documents.Instance:
    """One row of `status --json`.  `cpu_percent`, `memory_bytes` and `paused` are None; the caller fills them in."""
    detector, kept, started = i.detector, i.maintenance is not None, i.started_at
    state: document_types.State = i.state.value
    dormant, waiting_for, source = i.dormant, i.waiting_for, i.spec.heartbeat
    heard = detector is not None and detector.last is not None and i.pid is not None
    row: instance_documents.Instance = {
        "name": i.name,
        "service": i.spec.name,
        "goal": i.goal.value,
        "state": state,
        "ready": i.ready or dormant,
        "pid": i.pid,
        "incarnation": i.incarnation,
        "uptime_s": None if started is None else round(max(0.0, now - started), 3),
        "restarts": i.restarts,
        "detector": detector.name if detector else None,
        "phi": round(detector.suspicion(now), 3) if detector and heard and i.blind_since is None else None,
        "threshold": detector.threshold if detector else None,
        "last_heartbeat_age_s": _ago(detector.last, now) if detector and heard else None,
        "suspect_in_s": _left(i.suspect_at, now) if detector is not None else None,
        "false_suspicions": i.false_suspicions,
        "target": _target(i),
        "cause": i.cause.value,
        "since_s": _ago(i.cause_at, now),
        "exit_code": i.exit_code,
        "signal": i.signal,
        "out_of_memory": i.out_of_memory,
        "left_behind": i.left_behind,
        "next_restart_in_s": _left(i.until, now) if state in ("backoff", "failed") and not kept else None,
        "kill_in_s": _kill_in(i, now) if state == "stopping" and not i.draining else None,
        "stop_step": _stop_step(i, now) if state == "stopping" else None,
        "drain_s": _left(i.until, now) if i.draining else None,
        "ready_within_s": _left(i.deadline, now) if state == "starting" and not kept else None,
        "breaker": i.tracker.breaker.value,
        "attempt": i.tracker.attempt,
        "waiting_for": "a connection" if dormant else waiting_for or None,
        "waiting_because": (waiting_for and i.waiting_because) or None,
        "maintenance": _maintenance(i, now) if kept else None,
        "held": i.held,
        "paused": None,
        "on_suspect": source.on_suspect.value if source is not None else None,
        "lingering": list(i.lingering),
        "stuck": i.unkillable(now),
        "detach": i.spec.detach,
        "status": i.status_text or None,
        "status_age_s": _ago(i.status_at, now) if i.status_text else None,
        "start_error": i.spawn_error or None,
        "probe_error": i.last_probe_error or None,
        "probe": _probe(i, now),
        "current": i.current,
        "group": i.spec.group_name,
        "type": i.spec.type.value,
        "min_ready": i.spec.min_ready,
        "port": _port(i),
        "cpu_percent": None,
        "memory_bytes": None,
        "balanced": None,
        "on_demand": i.spec.on_demand,
        "sockets": None,
    }
    if i.reload is not None:
        row["reload"] = {
            "state": i.reload.state,
            "since_s": round(now - i.reload.since, 3),
            "within_s": _left(i.reload.until, now) if i.reload.pending else None,
        }
    if i.error_told:
        told: Any = dict(i.error_told)
        row["error"] = told
    if i.members is not None:
        row["processes"] = process_views(i.members, now)
        row["ended_process"] = _ended_process(i.members, now)
        if i.only_members_beat:
            row["phi"] = round(i.members.suspicion(now), 3)
            row["suspect_in_s"] = _left(i.members_deadline, now)
    return row


def process_views(members: Members, now: float) -> list[instance_documents.BeatingProcess]:
    """The processes that beat for themselves, the longest silent first, at most `SHOWN`."""
    order = sorted(members, key=lambda m: (m.since is None, -m.silence(now, members.first_at[m.process])))
    return [
        {
            "pid": m.pid,
            "silent_s": round(m.silence(now, members.first_at[m.process]), 3),
            "phi": round(m.detector.suspicion(now), 3) if members.judged else None,
            "suspect_s": _ago(m.since, now) if m.ended_at is None else None,
            "ended_s": _ago(m.ended_at, now),
            "held": m.held,
            "doing": m.doing or None,
            "busy_for_s": _left(m.busy_until, now) if m.busy_until != inf else None,
        }
        for m in order[:SHOWN]
    ]


def _ended_process(members: Members, now: float) -> instance_documents.EndedProcess | None:
    ended = members.ended
    if ended is None:
        return None
    return {
        "pid": ended.pid,
        "ago_s": round(max(0.0, now - ended.at), 3),
        "replaced_by": ended.replaced_by,
        "replaced_after_s": None if ended.replaced_at is None else round(ended.replaced_at - ended.at, 3),
    }


def _maintenance(i: Instance, now: float) -> instance_documents.Maintenance | None:
    from supervisor.core.services.maintenance import view

    return view(i, now)


def _kill_in(i: Instance, now: float) -> float | None:
    left = _left(i.until, now)
    if left is None or i.killed:
        return left
    return round(left + sum(step.wait for step in i.running_spec.stop_steps[i.stop_step + 1 :]), 3)


def _stop_step(i: Instance, now: float) -> instance_documents.StopStep | None:
    if i.draining or not i.running_spec.stop:
        return None
    steps = i.running_spec.stop_steps
    step = min(i.stop_step, len(steps) - 1)
    last = i.killed or step + 1 == len(steps)
    return {
        "step": step + 1,
        "of": len(steps),
        "signal": 9 if i.killed else steps[step].signal,
        "next_signal": 9 if last else steps[step + 1].signal,
        "next_in_s": _left(i.until, now),
    }


def _port(i: Instance) -> int | None:
    if i.spec.ports is None:
        return None
    from supervisor.core.services.replica import port_of

    return port_of(i.spec, i.name)


def carried_by(balances: Iterable[balance_documents.Balance]) -> dict[str, balance_documents.Balanced]:
    """What each balanced instance carries; one without a slot has carried what it had before."""
    found: dict[str, balance_documents.Balanced] = {}
    for one in balances:
        for name, requests in one["carried"].items():
            found[name] = {"slot": None, "sessions": 0, "queue": 0, "rate": 0, "requests": requests, "errors": 0}
        for slot in one["slots"]:
            name = slot["instance"] or ""
            if name in found and (slot["state"] == "active" or found[name]["slot"] is None):
                found[name] = {
                    "slot": slot["state"],
                    "sessions": slot["sessions"],
                    "queue": slot["queue"],
                    "rate": slot["rate"],
                    "requests": slot["requests"],
                    "errors": slot["errors"],
                }
    return found


def _target(i: Instance) -> instance_documents.Target | None:
    if i.assessment is None or i.spec.heartbeat is None or i.spec.heartbeat.target is None:
        return None
    from supervisor.core.text.target import shown

    return shown(i.assessment, i.spec.heartbeat.target)


def _probe(i: Instance, now: float) -> instance_documents.Probe | None:
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


def should_be_up_but_is_not(view: instance_documents.Instance) -> bool:
    """The goal is UP, and the instance is neither ready nor done.  One in maintenance need not be up."""
    if view["goal"] != "up" or view.get("maintenance") or runs_elsewhere(view):
        return False
    if view["state"] == "exited":
        return view["cause"] != "succeeded"
    return not view["ready"] and not (view["type"] == "oneshot" and view["state"] == "running")


def missing(status: documents.Status) -> list[instance_documents.Instance]:
    """The instances that should be up but are not; `status` then exits with 3.  One that a rollout runs beside the
    others is not missed, and where it is ready it stands in for another of its service."""
    beside = {name for r in status["supervisor"].get("rollouts", ()) for name in r.get("surge", ())}
    views = status["instances"]
    standing_in = Counter(v["service"] for v in views if v["name"] in beside and v["ready"])
    found = []
    for view in views:
        if view["name"] in beside or not should_be_up_but_is_not(view):
            continue
        if standing_in[view["service"]]:
            standing_in[view["service"]] -= 1
        else:
            found.append(view)
    return found


def not_ready(views: Sequence[instance_documents.Instance]) -> list[str]:
    """The instances for which readiness waits: those that should be up but are not, without those of a service of which
    enough are ready."""
    waiting = [view for view in views if should_be_up_but_is_not(view)]
    return [view["name"] for view in waiting if not service_is_ready(view, views)]


def service_is_ready(view: instance_documents.Instance, views: Iterable[instance_documents.Instance]) -> bool:
    """Enough instances of the service of `view` are ready, where `min_ready` says how many that is."""
    enough = view.get("min_ready")
    return enough is not None and sum(v["ready"] and v["service"] == view["service"] for v in views) >= enough


def _ago(then: float | None, now: float) -> float | None:
    return None if then is None else round(max(0.0, now - then), 3)


def _left(then: float | None, now: float) -> float | None:
    return None if then is None else round(max(0.0, then - now), 3)
