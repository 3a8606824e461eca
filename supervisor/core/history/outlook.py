"""Describes the present state of an instance, and what happens next and when."""

from __future__ import annotations

from typing import TYPE_CHECKING

from supervisor.core.text.causes import ending, phrase
from supervisor.core.text.units import span
from supervisor.core.text.waiting import held_under, runs_elsewhere, waits_for, where

if TYPE_CHECKING:
    from supervisor.core.model.instance_documents import Instance
    from supervisor.core.model.story_documents import Outlook


_LONGEST = 300  # characters of a cause: a whole sentence, which may fill several lines
_SAID = {"suspect": "under suspicion", "backoff": "in backoff", "failed": "failed, breaker open"}


def standing(view: Instance) -> str:
    """One sentence: the state, since when, and its cause."""
    kept = view.get("maintenance")
    if kept:
        from supervisor.core.text.maintenance import told

        return f"{told(kept)}; {_standing(view)}"
    return _standing(view)


def _standing(view: Instance) -> str:
    state, since = view["state"], view["since_s"]
    lasting = "" if since is None else f", for {span(since)}"
    run = f" (run {view['incarnation']}, pid {view['pid']})" if view["pid"] else ""
    if state == "running":
        ready = "running and ready" if view["ready"] else "running"
        lasts = f", for {span(view['uptime_s'])}" if view["uptime_s"] is not None else ""
        return f"{ready}{run}{lasts}{held_under(view)}{_reload(view)}{_said(view)}{_stored(view)}{_unasked(view)}"
    if runs_elsewhere(view):
        return f"not run here: it {where(view)}"
    if _awaits_connection(view):
        return f"on demand: it waits for a connection{lasting}"
    found = ending(view)
    detail = {key: value for key, value in found.items() if value is not None}
    said = phrase(view["cause"], detail, _LONGEST)
    own = _said(view) if state in ("starting", "suspect") else ""
    return f"{_SAID.get(state, state)}{run}{lasting}" + ("" if said == state else f": {said}") + own + _unasked(view)


def _awaits_connection(view: Instance) -> bool:
    return view["state"] == "stopped" and view["goal"] == "up" and bool(view.get("on_demand"))


def _said(view: Instance) -> str:
    """The last STATUS of the process, and how old it is."""
    status, age = view["status"], view.get("status_age_s")
    return "" if not status else f"; its STATUS: {status}" + ("" if age is None else f" ({span(age)} ago)")


def _stored(view: Instance) -> str:
    """What it has stored for its next process."""
    names = view.get("stored")
    if not names:
        return ""
    counts = {name: names.count(name) for name in names}
    each = ", ".join(name if count == 1 else f"{name} ({count})" for name, count in counts.items())
    return f"; for its next process it has stored {'a descriptor' if len(names) == 1 else 'descriptors'}: {each}"


def _reload(view: Instance) -> str:
    """That its process reloads its configuration, or that it did not end to."""
    if not (found := view.get("reload")) or found["state"] == "done":
        return ""
    lasts = span(found["since_s"])
    return {
        "asked": f"; it has not answered its reload signal for {lasts}",
        "begun": f"; it has been reloading its configuration for {lasts}",
        "timed-out": f"; its reload, begun {lasts} ago, did not end in time",
    }[found["state"]]


def _unasked(view: Instance) -> str:
    probe = view.get("probe")  # an older daemon does not tell
    if not probe or probe["blind_s"] is None:
        return ""
    lasts = span(probe["blind_s"])
    return f"; for {lasts} its probe could not ask, so that its silence is not counted: {probe['error']}"


def prospect(view: Instance) -> Outlook:
    """`what` comes next, and `in_s`: seconds until then, None where no timer decides."""
    what, seconds = _left_alone(view) or _PROSPECTS[view["state"]](view)
    return {"what": what, "in_s": seconds}


def _left_alone(view: Instance) -> tuple[str, float | None] | None:
    """What follows in maintenance; None where it is supervised, or is on its way to where a user wants it."""
    kept = view.get("maintenance")
    if not kept or view["state"] == "stopping" or (view["state"] == "stopped" and view["goal"] == "down"):
        return None
    over = f"until it is ended (supervisor maintenance off {view['name']})"
    until = over if kept["ends_in_s"] is None else "before its maintenance is over"
    if kept["ended"]:
        return f"nothing {until}; then its restart policy decides", kept["ends_in_s"]
    return f"nothing {until}, whatever is found", kept["ends_in_s"]


def _running(view: Instance) -> tuple[str, float | None]:
    if not view["ready"]:
        return "it runs to completion", None
    if view.get("paused"):
        return f"nothing until it can run again: {view['paused']}", None
    if _unasked(view):
        return "its silence counts again when its probe can ask", None
    if view["breaker"] == "half-open":
        return "it is on trial: the breaker closes if it stays healthy, and opens again if it fails", None
    if view["suspect_in_s"] is not None:
        return "suspicion, unless a heartbeat comes; it is healthy now", view["suspect_in_s"]
    return "nothing, it is healthy", None


def _starting(view: Instance) -> tuple[str, float | None]:
    if view["waiting_for"]:
        return f"it is started; it still waits for {waits_for(view)}", None
    if _unasked(view):
        return "it becomes ready, or its start timeout goes on, when its probe can ask", None
    if view["ready_within_s"] is not None:
        return "the start fails, unless it becomes ready before", view["ready_within_s"]
    return "its process is being started", None


def _suspect(view: Instance) -> tuple[str, float | None]:
    if view["held"]:
        return f"it is examined again; silence is not counted: {view['held']}", None
    if view["cause"] == "heartbeat-silent" and view.get("on_suspect") == "report":
        return 'nothing is done to it (on_suspect = "report"); a heartbeat clears it', None
    return "it is being examined, then cleared or restarted", None


def _stopping(view: Instance) -> tuple[str, float | None]:
    if view["lingering"]:
        return f"it is killed again; still present: {', '.join(view['lingering'])}", view["kill_in_s"]
    then = "; then it is started again" if view["goal"] == "up" else ""
    if (drain := view.get("drain_s")) is not None:
        return f"its requests are answered, then it is stopped{then}; it is stopped in any case", drain
    step = view.get("stop_step")
    if step and step["step"] < step["of"]:
        from supervisor.core.text.units import signal_name

        sent = f"{signal_name(step['next_signal'])} is sent, unless it ends before (step {step['step']} of {step['of']}"
        return f"{sent}: {signal_name(step['signal'])}){then}", step["next_in_s"]
    return f"it is killed, unless it ends before{then}", view["kill_in_s"]


def _backoff(view: Instance) -> tuple[str, float | None]:
    return f"it is started again (attempt {view['attempt']})", view["next_restart_in_s"]


def _failed(view: Instance) -> tuple[str, float | None]:
    if view["next_restart_in_s"] is None:
        return f"nothing until it is reset (supervisor reset {view['name']})", None
    return f"it is tried once more (at once with: supervisor reset {view['name']})", view["next_restart_in_s"]


def _exited(view: Instance) -> tuple[str, float | None]:
    if view["cause"] == "succeeded":
        return "nothing, it is done", None
    return f"nothing: its policy does not restart it (supervisor start {view['name']})", None


def _stopped(view: Instance) -> tuple[str, float | None]:
    if _awaits_connection(view):
        return f"the next connection starts it (at once with: supervisor start {view['name']})", None
    return f"nothing until it is started (supervisor start {view['name']})", None


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
