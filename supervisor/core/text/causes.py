"""Turns a cause and its detail into one short line, for `status`, `events`, the dashboard and the log."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from supervisor.core.model.causes import Cause
from supervisor.core.text.orders import with_giver
from supervisor.core.text.target import few, needed
from supervisor.core.text.units import level, percent, shorten, signal_name, size, span

LONGEST = 70
_COST = "false_restarts_per_30d"
Detail = Mapping[str, Any]


def phrase(cause: str, detail: Detail | None = None, longest: int = LONGEST) -> str:
    """What happened, in at most `longest` characters.  Keys that `detail` lacks are left out of the line."""
    detail = detail or {}
    if detail.get("phase") == "spawn":
        return "its process is being started"
    if detail.get("mainpid"):
        return f"its main process is now pid {detail.get('pid')}"
    words = _PHRASES.get(cause, cause)
    said = words if isinstance(words, str) else words(detail)
    if isinstance(detail.get("by"), Mapping):
        said = with_giver(said, detail["by"], longest)
    return shorten(said + _then(detail), longest)


def _then(detail: Detail) -> str:
    """What was decided after the failure, as an appendix to the line."""
    if detail.get("action") == "report":
        return " (only reported)"
    if "delay_s" in detail and "attempt" in detail:
        limit = f" ({detail.get('restarts_in_window')} of {detail.get('max_restarts')})"
        return f"; next try {_when(detail['delay_s'])}{limit}"
    if detail.get("breaker") == "open":
        return f"; breaker open, next try {_when(detail['retry_in_s'])}" if "retry_in_s" in detail else "; breaker open"
    return ""


def _when(seconds: object) -> str:
    return f"in {span(seconds)}" if seconds else "at once"


def _exited(detail: Detail) -> str:
    code = detail.get("exit_code")
    said = "exited" if code is None else f"exited with code {code}"
    if code == 0 and "tree" in detail:
        return f"{said} and left processes behind: went to the background?"
    if memory := _out_of_memory(detail):
        return f"{said}{memory}"
    return f"{said} before it was ready" if "before_ready" in detail else said


def _killed(detail: Detail) -> str:
    number = detail.get("signal")
    if memory := _out_of_memory(detail):
        return f"killed by the kernel{memory}"
    return "killed by a signal" if number is None else f"killed by {signal_name(number)}"


def _out_of_memory(detail: Detail) -> str:
    """That memory ran out; with the limit where no decision follows in the line, which matters more then."""
    limit = detail.get("out_of_memory")
    if limit is None:
        return ""
    decided = "delay_s" in detail or "breaker" in detail
    return ": out of memory" + (f" ({limit})" if limit and not decided else "")


def _spawn_failed(detail: Detail) -> str:
    error = detail.get("error")
    return f"cannot be started: {shorten(error, 34)}" if error else "cannot be started"


def _start_timeout(detail: Detail) -> str:
    limit = detail.get("start_timeout_s")
    said = "not ready in time" if limit is None else f"not ready within {span(limit)}"
    if "delay_s" in detail or "breaker" in detail:
        return said
    if error := detail.get("last_probe_error"):
        return f"{said}: {error}"
    return f"{said}; {_spoke(detail)}" if _spoke(detail) else said


def _spoke(detail: Detail) -> str:
    """Whether a service that did not become ready said anything."""
    if status := detail.get("last_status"):
        age = detail.get("last_status_age_s")
        return f"its last STATUS{'' if age is None else f', {span(age)} old'}: {status}"
    if not detail.get("notified", 1):
        return "it sent no notification at all"
    count, age = detail.get("notified"), detail.get("notified_age_s")
    if count is None:
        return ""
    times = "1 notification" if count == 1 else f"{count} notifications"
    return f"it sent {times}{'' if age is None else f', the last {span(age)} before'}"


def _signalled(detail: Detail) -> str:
    if detail.get("sent") is not None:
        return f"{signal_name(detail['sent'])} sent by the user"
    if detail.get("signal") is not None:
        return f"ended by {signal_name(detail['signal'])}, which a user sent"
    code = detail.get("exit_code")
    return "ended by a signal that a user sent" + ("" if code is None else f", with exit code {code}")


def _silent(detail: Detail) -> str:
    silence, score = detail.get("silence_s"), detail.get("suspicion")
    if detail.get("since_adoption"):
        return "no heartbeat since this daemon took it over" + (f", for {span(silence)}" if silence else "")
    if detail.get("never_beat"):
        if detail.get("other_messages"):
            return "no WATCHDOG=1 since it became ready, only other messages"
        return "no heartbeat since it became ready"
    if silence is None:
        return "no heartbeat"
    said = f"no heartbeat for {span(silence)}"
    if score and str(detail.get("detector", "")).startswith("phi"):
        said += f" (φ {level(score)})"
    return said


def _memory(detail: Detail) -> str:
    return "uses too much memory" + _over(detail, size)


def _cpu(detail: Detail) -> str:
    return "uses too much CPU" + _over(detail, percent)


def _tasks(detail: Detail) -> str:
    return "has too many processes and threads" + _over(detail, lambda value: f"{value:g}")


def _over(detail: Detail, say: Callable[[object], str]) -> str:
    if "value" not in detail or "limit" not in detail:
        return ""
    return f": {say(detail['value'])} of {say(detail['limit'])}"


def _spawned(detail: Detail) -> str:
    return f"runs as pid {detail['pid']}" if detail.get("pid") else "runs"


def _adopted(detail: Detail) -> str:
    return f"found running as pid {detail['pid']}, adopted" if detail.get("pid") else "found running, adopted"


def _ready(detail: Detail) -> str:
    after = detail.get("after_s")
    how = f" ({detail['how']})" if detail.get("how") else ""
    return f"ready{how}" if after is None else f"ready after {span(after)}{how}"


def _held(detail: Detail) -> str:
    why = detail.get("held")
    return f"silence not counted: {why}" if why else "silence not counted"


def _probe_unknown(detail: Detail) -> str:
    error = detail.get("error")
    return f"its probe cannot ask: {error}" if error else "its probe cannot ask; silence is not counted"


def _probe_known(detail: Detail) -> str:
    blind = detail.get("blind_s")
    return "its probe can ask again" if blind is None else f"its probe can ask again, after {span(blind)} unknown"


def _wish_refused(detail: Detail) -> str:
    within, wished, cost = (detail.get(key) for key in ("detect_within_s", "max_false_restarts_per_30d", _COST))
    if within is None or cost is None:
        return "its target cannot be met"
    needs = needed(detail.get("needs_s"))
    return f"{span(within)} gives about {few(cost)}/30d; {few(wished)}/30d {needs}"


def _wish_granted(detail: Detail) -> str:
    patience = detail.get("patience_s")
    return "its target can be met" + ("" if patience is None else f": suspected after {span(patience)} of silence")


def _stopped(detail: Detail) -> str:
    if detail.get("signal") is not None:
        return f"stopped, by {signal_name(detail['signal'])}"
    code = detail.get("exit_code")
    return "stopped" if code is None else f"stopped, with exit code {code}"


def _stop_timeout(detail: Detail) -> str:
    limit = detail.get("stop_timeout_s")
    return "did not stop in time; killed" if limit is None else f"did not stop within {span(limit)}; killed"


def _lingering(detail: Detail) -> str:
    processes = detail.get("processes")
    return f"killed, but still present: {', '.join(map(str, processes))}" if processes else "killed, but still present"


_PHRASES: dict[str, str | Callable[[Detail], str]] = {
    Cause.STARTED_BY_USER: "started by the user",
    Cause.STOPPED_BY_USER: "stopped by the user",
    Cause.RESTARTED_BY_USER: "restarted by the user",
    Cause.RESET_BY_USER: "breaker and backoff reset by the user",
    Cause.SIGNALLED_BY_USER: _signalled,
    Cause.RELOADED: "its configuration changed",
    Cause.AUTOSTART: "started with the daemon",
    Cause.SHUTDOWN: "stops because the daemon shuts down",
    Cause.REMOVED: "no longer in the configuration",
    Cause.DEPENDENCY_RESTARTED: "a service it depends on was restarted",
    Cause.GROUP_RESTARTED: "another service of its group failed; restarted with it",
    Cause.FALLBACK_WANTED: "fallback for a service that failed",
    Cause.FALLBACK_OVER: "the service it is the fallback for is tried again",
    Cause.EXITED: _exited,
    Cause.KILLED: _killed,
    Cause.EXIT_UNKNOWN: "ended, exit status unknown",
    Cause.SPAWN_FAILED: _spawn_failed,
    Cause.START_TIMEOUT: _start_timeout,
    Cause.SILENT: _silent,
    Cause.TRIGGERED: "reported that it hangs (WATCHDOG=trigger)",
    Cause.MEMORY_LIMIT: _memory,
    Cause.CPU_LIMIT: _cpu,
    Cause.TASKS_LIMIT: _tasks,
    Cause.SPAWNED: _spawned,
    Cause.ADOPTED: _adopted,
    Cause.SPAWN_INTERRUPTED: "the daemon ended during the start; starts again",
    Cause.READY: _ready,
    Cause.HEARTBEAT_RESUMED: "heartbeat resumed: false alarm",
    Cause.CONFIRMED_ALIVE: "answered when probed: false alarm",
    Cause.HELD: _held,
    Cause.HOLD_OVER: "it can run again; silence counts from now on",
    Cause.PROBE_UNKNOWN: _probe_unknown,
    Cause.PROBE_KNOWN: _probe_known,
    Cause.TARGET_INFEASIBLE: _wish_refused,
    Cause.TARGET_FEASIBLE: _wish_granted,
    Cause.BACKOFF_ELAPSED: "backoff over; starts again",
    Cause.BREAKER_OPEN: "failed too often; breaker open",
    Cause.BREAKER_TRIAL: "cooldown over; next try",
    Cause.BREAKER_CLOSED: "healthy long enough; breaker closed",
    Cause.SUCCEEDED: "ran to completion",
    Cause.STOPPED: _stopped,
    Cause.STOP_TIMEOUT: _stop_timeout,
    Cause.LINGERING: _lingering,
    Cause.LEFT_RUNNING: "left running: it outlives the daemon",
}
