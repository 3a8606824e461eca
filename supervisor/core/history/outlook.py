"""How an instance stands, and what comes next and when, in words."""

from __future__ import annotations

from typing import Any

from supervisor.core.text.causes import phrase
from supervisor.core.text.units import span

JSON = dict[str, Any]

_SAID = {"suspect": "under suspicion", "backoff": "in backoff", "failed": "failed, its breaker open"}


def standing(view: JSON) -> str:
    """One sentence: what it is doing now."""
    state, since = view["state"], view.get("since_s")
    lasting = "" if since is None else f", for {span(since)}"
    run = f" (incarnation {view['incarnation']}, pid {view['pid']})" if view.get("pid") else ""
    if state == "running":
        ready = "running and ready" if view["ready"] else "running"
        return f"{ready}{run}, for {span(view['uptime_s'])}" if view.get("uptime_s") is not None else f"{ready}{run}"
    detail = {key: view.get(key) for key in ("exit_code", "signal") if view.get(key) is not None}
    said = phrase(view["cause"], detail)
    return f"{_SAID.get(state, state)}{run}{lasting}" + ("" if said == state else f": {said}")


def prospect(view: JSON) -> JSON:
    """`what` comes next, and `in_s`: seconds until then, None where no clock decides."""
    what, seconds = _PROSPECTS[view["state"]](view)
    return {"what": what, "in_s": seconds}


def _running(view: JSON) -> tuple[str, float | None]:
    if not view["ready"]:
        return "it runs to completion", None
    if view["breaker"] == "half-open":
        return "it is on trial: if it stays healthy, the breaker closes; if it fails, the breaker opens again", None
    if view.get("suspect_in_s") is not None:
        return "nothing, it is healthy; without a heartbeat it would fall under suspicion", view["suspect_in_s"]
    return "nothing, it is healthy", None


def _starting(view: JSON) -> tuple[str, float | None]:
    if view.get("waiting_for"):
        return f"it starts when it gets what it waits for: {view['waiting_for']}", None
    if view.get("ready_within_s") is not None:
        return "it must become ready, or it is taken for failed", view["ready_within_s"]
    return "it is being spawned", None


def _suspect(view: JSON) -> tuple[str, float | None]:
    if view.get("held"):
        return f"it is looked at again; its silence proves nothing: {view['held']}", None
    return "it is being examined; then it is cleared, or restarted", None


def _stopping(view: JSON) -> tuple[str, float | None]:
    if view.get("lingering"):
        return f"it is killed again; still there: {', '.join(view['lingering'])}", view.get("kill_in_s")
    then = "then it is started again" if view["goal"] == "up" else "then it is stopped"
    return f"it has been asked to end, and is killed if it does not; {then}", view.get("kill_in_s")


def _backoff(view: JSON) -> tuple[str, float | None]:
    return f"it is started again (attempt {view['attempt']})", view.get("next_restart_in_s")


def _failed(view: JSON) -> tuple[str, float | None]:
    if view.get("next_restart_in_s") is None:
        return f"nothing, until a person resets it (supervisor reset {view['name']})", None
    return f"the breaker lets it try once (supervisor reset {view['name']}: at once)", view["next_restart_in_s"]


def _exited(view: JSON) -> tuple[str, float | None]:
    if view["cause"] == "succeeded":
        return "nothing, it is done", None
    return f"nothing: its policy wants no restart (supervisor start {view['name']})", None


def _stopped(view: JSON) -> tuple[str, float | None]:
    return f"nothing, until it is started (supervisor start {view['name']})", None


_PROSPECTS = {
    "running": _running,
    "starting": _starting,
    "suspect": _suspect,
    "stopping": _stopping,
    "backoff": _backoff,
    "failed": _failed,
    "exited": _exited,
    "stopped": _stopped,
}
