"""Turns a cause and its detail into one short line, for `status`, `events`, the dashboard and the log."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from supervisor.core.model.causes import Cause
from supervisor.core.text.maintenance import begun
from supervisor.core.text.orders import BY_USER, with_giver
from supervisor.core.text.units import level, percent, shorten, signal_name, size, span

if TYPE_CHECKING:
    from supervisor.core.model.instance_documents import Instance

LONGEST = 70
LEFT_BEHIND = "left behind"
"""`tree` in the detail of an end: processes of the tree were still running."""
_COST = "false_restarts_per_30d"
_FAULT = re.compile(r"(?i)\b(emerg|alert|fatal|error|invalid|unknown|bad)\b")
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


def ending(row: Instance) -> dict[str, Any]:
    """What a status row tells of the last end of its process, as a detail."""
    detail: dict[str, Any] = {
        "exit_code": row["exit_code"],
        "signal": row["signal"],
        "out_of_memory": row.get("out_of_memory"),
    }
    if row["cause"] == Cause.SPAWN_FAILED and row.get("start_error"):
        detail["error"] = row["start_error"]
    if row.get("error"):
        detail["told"] = row["error"]
    return detail | ({"tree": LEFT_BEHIND} if row.get("left_behind") else {})


def _then(detail: Detail) -> str:
    """What was decided after the failure, as an appendix to the line."""
    if rule := detail.get("exit_code_rule"):
        return _by_exit_code(str(rule), detail)
    if detail.get("maintenance"):
        return "; left as it is, in maintenance"
    if detail.get("action") == "report":
        return " (only reported)"
    if "delay_s" in detail and "attempt" in detail:
        limit = f" ({detail.get('restarts_in_window')} of {detail.get('max_restarts')})"
        return f"; next try {_when(detail['delay_s'])}{limit}"
    if detail.get("breaker") == "open":
        return f"; breaker open, next try {_when(detail['retry_in_s'])}" if "retry_in_s" in detail else "; breaker open"
    return ""


def _by_exit_code(rule: str, detail: Detail) -> str:
    """What an exit code decided, and what follows where that is a restart."""
    rest = {key: value for key, value in detail.items() if key != "exit_code_rule"}
    return f" (exit_codes.{rule})" + _then(rest)


def _when(seconds: object) -> str:
    return f"in {span(seconds)}" if seconds else "at once"


def _exited(detail: Detail) -> str:
    code = detail.get("exit_code")
    said = "exited" if code is None else f"exited with code {code}"
    if code == 0 and "tree" in detail:
        return f"{said} and left processes behind: went to the background?"
    if memory := _out_of_memory(detail):
        return f"{said}{memory}"
    said += " before it was ready" if "before_ready" in detail else ""
    return said + _after_signal(detail) + _told(detail)


def _killed(detail: Detail) -> str:
    number = detail.get("signal")
    if memory := _out_of_memory(detail):
        return f"killed by the kernel{memory}"
    said = "killed by a signal" if number is None else f"killed by {signal_name(number)}"
    return said + _after_signal(detail) + _told(detail)


def _out_of_memory(detail: Detail) -> str:
    """That memory ran out; with the limit where no decision follows in the line, which matters more then."""
    limit = detail.get("out_of_memory")
    if limit is None:
        return ""
    decided = "delay_s" in detail or "breaker" in detail
    return ": out of memory" + (f" ({limit})" if limit and not decided else "")


def _spawn_failed(detail: Detail) -> str:
    error = detail.get("error")
    decided = "delay_s" in detail or "breaker" in detail
    return f"cannot be started: {shorten(error, 34) if decided else error}" if error else "cannot be started"


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
        if detail.get("sender_refused"):
            return "its main process sent no notification"
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


def _reload_refused(detail: Detail) -> str:
    why = detail.get("why")
    said = "reload refused, nothing sent" + (f": {why}" if why else "")
    line = telling(detail.get("output", ()))
    return f"{said}: {line}" if line else said


def telling(output: Sequence[str]) -> str:
    """The line of a check's output that tells most: the first one that names a fault, else the last one."""
    return next(filter(_FAULT.search, output), output[-1] if output else "")


def _after_signal(detail: Detail) -> str:
    """That the process ended soon after a user had sent it a signal."""
    if detail.get("after_signal") is None:
        return ""
    return f", {span(detail.get('after_signal_s'))} after {signal_name(detail['after_signal'])}"


def _silent(detail: Detail) -> str:
    silence, score = detail.get("silence_s"), detail.get("suspicion")
    if detail.get("process"):
        return _process_silent(detail) + (f"; {detail['reason']}" if detail.get("reason") else "")
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


def _process(detail: Detail) -> str:
    return f"process {detail['process']}" if detail.get("process") else "a process"


def _process_silent(detail: Detail) -> str:
    silence = detail.get("silence_s")
    said = f"{_process(detail)} silent" + ("" if silence is None else f" for {span(silence)}")
    if detail.get("beat_once"):
        said += " since its first beat"
    if detail.get("stopped_s") is not None:
        said += f", stopped (SIGSTOP) for {span(detail['stopped_s'])}"
    return said + (f", in {detail['doing']}" if detail.get("doing") else "")


def _process_ended(detail: Detail) -> str:
    return f"{_process_silent(detail)}: ended alone" + (
        f" ({detail['kills_in_window']} of {detail['max_restarts']})" if "kills_in_window" in detail else ""
    )


def _process_held(detail: Detail) -> str:
    return f"silence of {_process(detail)} not counted" + (f": {detail['held']}" if detail.get("held") else "")


def _process_replaced(detail: Detail) -> str:
    said = f"{_process(detail)} beats" + (f" instead of {detail['instead_of']}" if detail.get("instead_of") else "")
    after = detail.get("after_s")
    return said if after is None else f"{said}, {span(after)} after its end"


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


def _notify_refused(detail: Detail) -> str:
    sender = f"process {detail['pid']}" if detail.get("pid") else "another process"
    return f'notification of {sender} ignored (notify_access = "main")'


def _after(detail: Detail) -> str:
    after = detail.get("after_s")
    return "" if after is None else f", after {span(after)}"


def _reload_timeout(detail: Detail) -> str:
    within = "in time" if detail.get("after_s") is None else f"within {span(detail['after_s'])}"
    if detail.get("answered", True):
        return f"its reload did not end {within} (no READY=1); it runs on"
    return f"reload signal not answered {within} (no RELOADING=1); it runs on"


def _told(detail: Detail) -> str:
    """What a process said of its failure before it ended; nothing where a decision follows in the line."""
    if "delay_s" in detail or "breaker" in detail:
        return ""
    words = told_error(detail.get("told"))
    return f"; it said: {words}" if words else ""


def told_error(told: object) -> str:
    """What a process said of its failure: `Permission denied (ERRNO=13), org.example.Error`; empty: nothing."""
    if not isinstance(told, Mapping):
        return ""
    number, text = told.get("errno"), told.get("text")
    own = f"{text} (ERRNO={number})" if text else f"ERRNO={number}"
    return ", ".join([own] * bool(number) + [str(told[key]) for key in ("bus", "varlink") if told.get(key)])


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
    from supervisor.core.text.target import few, needed

    needs = needed(detail.get("needs_s"))
    return f"{span(within)} gives about {few(cost)}/30d; {few(wished)}/30d {needs}"


def _wish_granted(detail: Detail) -> str:
    patience = detail.get("patience_s")
    return "its target can be met" + ("" if patience is None else f": suspected after {span(patience)} of silence")


def _stopped(detail: Detail) -> str:
    if "stop_signal" in detail:
        number, code = detail["stop_signal"], detail.get("exit_code")
        step = "" if detail.get("signal") == 9 else f" (step {detail.get('stop_step')} of {detail.get('stop_steps')})"
        said = f"stopped, ended by {signal_name(number)}{step}"
        return said if code is None else f"{said} with exit code {code}"
    if detail.get("signal") is not None:
        return f"stopped, by {signal_name(detail['signal'])}"
    code = detail.get("exit_code")
    return "stopped" if code is None else f"stopped, with exit code {code}"


def _stop_escalated(detail: Detail) -> str:
    if "stop_signal" not in detail:
        return "did not stop in time; the next signal is sent"
    waited = f" within {span(detail['waited_s'])}" if detail.get("waited_s") is not None else ""
    step = f" (step {detail.get('stop_step')} of {detail.get('stop_steps')})"
    return f"did not stop{waited}; {signal_name(detail['stop_signal'])} sent{step}"


def _stop_timeout(detail: Detail) -> str:
    limit = detail.get("stop_timeout_s")
    return "did not stop in time; killed" if limit is None else f"did not stop within {span(limit)}; killed"


def _drain_timeout(detail: Detail) -> str:
    limit = detail.get("drain_s")
    return f"requests were left after {span(limit)} of draining; stopped all the same"


def _lingering(detail: Detail) -> str:
    processes = detail.get("processes")
    return f"killed, but still present: {', '.join(map(str, processes))}" if processes else "killed, but still present"


def _dependency_failed(detail: Detail) -> str:
    if "service" not in detail:
        return "starts again when the breaker of what it depends on closes"
    return f"stopped until the breaker of {detail['service']} closes"


def _clock_set(detail: Detail) -> str:
    seconds = detail.get("stepped_s")
    if not seconds:
        return "the wall clock was set"
    way = "forwards" if seconds > 0 else "back"
    return f"the wall clock was set {way} by {span(abs(seconds))}; no timeout depends on it"


def _host(detail: Detail) -> str:
    return f"host {detail['host']}" if detail.get("host") else "another host"


def _upgraded(detail: Detail) -> str:
    if "from" not in detail or "to" not in detail:
        return "the daemon was upgraded"
    return f"upgraded from {detail['from']} to {detail['to']}" + (BY_USER if "by" in detail else "")


def _rollout_started(detail: Detail) -> str:
    what = {"restart": "rolling restart began", "undo": "rollout of the previous definition began"}
    return what.get(str(detail.get("order")), "rollout of the changed definition began")


def _rollout_advanced(detail: Detail) -> str:
    done, of = detail.get("done"), detail.get("of")
    return "rollout: it stays ready" + ("" if done is None else f", {done} of {of} done")


def _rollout_failed(detail: Detail) -> str:
    then = {"rolling-back": "rolled back", "halted": "halted"}.get(str(detail.get("stage")), "ended")
    reason = detail.get("reason")
    return f"rollout failed, {then}" + (f": {reason}" if reason else "")


def _rolled_back(detail: Detail) -> str:
    reason = detail.get("reason")
    return "all are back on the previous definition" + (f": {reason}" if reason else "")


def _on(detail: Detail) -> str:
    return f" on {detail['socket']}" if "socket" in detail else ""


def _for(seconds: object) -> str:
    return "" if seconds is None else f" for {span(seconds)}"


_PHRASES: dict[str, str | Callable[[Detail], str]] = {
    Cause.STARTED_BY_USER: "started by the user",
    Cause.STOPPED_BY_USER: "stopped by the user",
    Cause.RESTARTED_BY_USER: "restarted by the user",
    Cause.RESET_BY_USER: "breaker and backoff reset by the user",
    Cause.SIGNALLED_BY_USER: _signalled,
    Cause.RELOAD_REFUSED: _reload_refused,
    Cause.MAINTENANCE_BEGUN: begun,
    Cause.MAINTENANCE_OVER: "maintenance is over; supervised again",
    Cause.RELOADED: "its configuration changed",
    Cause.SCALED: "the user scaled the service",
    Cause.ADDED: "added to the configuration",
    Cause.AUTOSTART: "started with the daemon",
    Cause.SHUTDOWN: "stops because the daemon shuts down",
    Cause.REMOVED: "no longer in the configuration",
    Cause.DEPENDENCY_RESTARTED: "a service it depends on was restarted",
    Cause.DEPENDENCY_FAILED: _dependency_failed,
    Cause.LEASE_ENDING: "its lease in the cluster ends here; waits for the next one",
    Cause.GROUP_RESTARTED: "another service of its group failed; restarted with it",
    Cause.FALLBACK_WANTED: "fallback for a service that failed",
    Cause.FALLBACK_OVER: "the service it is the fallback for is tried again",
    Cause.ROLLED_OUT: "replaced by a rollout",
    Cause.PUT_BACK: "put back on the previous definition",
    Cause.SURGE_STARTED: "started beside the others by a rollout",
    Cause.SURGE_OVER: "no longer needed by the rollout",
    Cause.ROLLOUT_STARTED: _rollout_started,
    Cause.ROLLOUT_ADVANCED: _rollout_advanced,
    Cause.ROLLOUT_PAUSED: "rollout paused by the user",
    Cause.ROLLOUT_RESUMED: "rollout resumed by the user",
    Cause.ROLLOUT_UNDONE: "rollout undone by the user",
    Cause.ROLLOUT_FAILED: _rollout_failed,
    Cause.ROLLOUT_FINISHED: "rollout finished",
    Cause.ROLLOUT_ROLLED_BACK: _rolled_back,
    Cause.ON_DEMAND: "waits for a connection",
    Cause.CONNECTED: lambda detail: f"a connection came{_on(detail)}",
    Cause.IDLE: lambda detail: f"stopped, because there was no connection{_for(detail.get('idle_s'))}",
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
    Cause.PROCESS_SILENT: _process_silent,
    Cause.PROCESS_HELD: _process_held,
    Cause.PROCESS_RESUMED: lambda detail: f"{_process(detail)} beats again, or can run again",
    Cause.PROCESS_ENDED: _process_ended,
    Cause.PROCESS_REPLACED: _process_replaced,
    Cause.STOPPING_BY_ITSELF: "ends by itself (STOPPING=1); silence from here on is no hang",
    Cause.NOTIFY_REFUSED: _notify_refused,
    Cause.RELOAD_BEGUN: "reloads its configuration",
    Cause.RELOAD_DONE: lambda detail: f"has reloaded its configuration{_after(detail)}",
    Cause.RELOAD_TIMEOUT: _reload_timeout,
    Cause.DELAY_RESET: "RESTART_RESET=1: its next restart is delayed as the first one",
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
    Cause.STOP_ESCALATED: _stop_escalated,
    Cause.DRAIN_TIMEOUT: _drain_timeout,
    Cause.STOP_TIMEOUT: _stop_timeout,
    Cause.LINGERING: _lingering,
    Cause.LEFT_RUNNING: "left running: it outlives the daemon",
    Cause.CLOCK_SET: _clock_set,
    Cause.UPGRADED: _upgraded,
    Cause.HOST_SUSPECTED: lambda detail: f"{_host(detail)} is under suspicion: its heartbeats fail to come",
    Cause.HOST_HEARD: lambda detail: f"{_host(detail)} is under suspicion no more",
    Cause.UNCHANGED: lambda detail: f"{detail.get('order', 'an order')}: no service changed",
}
