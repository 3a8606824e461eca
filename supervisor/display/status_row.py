"""Formats a row of the status: state, what happens next, and why.  Plain text; the caller adds colour."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from supervisor.core.text.waiting import runs_elsewhere, waits_for, where
from supervisor.display.numbers import duration, percent, score, size
from supervisor.display.severity import awaits_connection, is_flapping

TYPE_CHECKING = False  # importing typing takes time
if TYPE_CHECKING:
    from supervisor.core.model.instance_documents import Instance, StopStep, Target


COLUMNS = ("NAME", "STATE", "READY", "PID", "UPTIME", "RESTARTS", "CPU%", "MEMORY", "PHI", "NOTE")
RIGHT = frozenset(("PID", "UPTIME", "RESTARTS", "CPU%", "MEMORY", "PHI"))
LEAST_WANTED = ("PID", "PHI", "CPU%", "READY", "MEMORY", "RESTARTS")
"""The columns that a narrow terminal omits, in this order."""
KILL = 9
"""The signal that ends what no step has ended."""
_LINE = 120
"""Characters of a cause at most: most reasons why no process could be started fit."""
AGED = 5.0
"""Seconds from which the age of a STATUS is shown."""


def cells(row: Instance) -> tuple[str, ...]:
    """The texts under COLUMNS."""
    return (
        row["name"],
        "elsewhere" if runs_elsewhere(row) else "on demand" if awaits_connection(row) else row["state"],
        "yes" if row["ready"] else "done" if row["state"] == "exited" and row["cause"] == "succeeded" else "no",
        "–" if row["pid"] is None else str(row["pid"]),
        duration(row["uptime_s"]),
        str(row["restarts"]),
        percent(row["cpu_percent"]),
        size(row["memory_bytes"]),
        score(row["phi"]),
        note(row),
    )


def state_and_readiness(row: Instance) -> str:
    """`running, ready`; of other states the state alone."""
    return f"{row['state']}, ready" if row["ready"] and row["state"] == "running" else row["state"]


def note(row: Instance) -> str:
    """The reason of the state and what happens next; empty where both are obvious."""
    kept = row.get("maintenance")
    if kept:
        from supervisor.core.text.maintenance import short

        said = _note(row)
        return short(kept) + (f"; {said}" if said else "")
    return _note(row)


def _note(row: Instance) -> str:
    state = row["state"]
    if runs_elsewhere(row):
        return where(row)
    if row["lingering"]:
        return f"cannot be killed: {', '.join(row['lingering'])}"
    if (drain := row.get("drain_s")) is not None:
        return f"draining, for at most {duration(drain)}"
    if state == "stopping":
        if step := row.get("stop_step"):
            return steps(step)
        return f"SIGKILL in {duration(row['kill_in_s'])}" if row["kill_in_s"] is not None else "stopping"
    if state == "starting":
        return _starting(row)
    if state == "running" and row["goal"] == "down":
        return "stops after its dependants"
    if state == "running" and row.get("paused"):
        return f"cannot run: {row['paused']}"
    if state == "running":
        silent = _processes(row)
        if silent:
            return silent
        trial = "breaker half-open" if row["breaker"] == "half-open" else ""
        flaps = _flapping(row)
        reload = _reload(row)
        return unasked(row) or row["probe_error"] or flaps or reload or says(row) or trial or _refused(row["target"])
    if awaits_connection(row):
        return f"waits for a connection{'' if row['cause'] == 'on-demand' else f'; {happened(row)}'}"
    if state == "stopped" and row["cause"] == "stopped":
        return ""
    return happened(row) + _next(row)


def steps(step: StopStep) -> str:
    """Which signal was sent in a stop of several steps, and what comes next."""
    from supervisor.core.text.units import signal_name

    if step["signal"] == KILL:
        return "SIGKILL sent" + ("" if step["next_in_s"] is None else f"; again in {duration(step['next_in_s'])}")
    then = "" if step["next_in_s"] is None else f"; {signal_name(step['next_signal'])} in {duration(step['next_in_s'])}"
    return f"{signal_name(step['signal'])} sent (step {step['step']} of {step['of']}){then}"


def _reload(row: Instance) -> str:
    """That it reloads its configuration, or that it did not end to; empty where neither is so."""
    if not (found := row.get("reload")) or found["state"] == "done":
        return ""
    if found["state"] == "timed-out":
        return "its last reload did not end in time"
    said = "reloading" if found["state"] == "begun" else "reload signal sent, not answered yet"
    return f"{said}; given up in {duration(found['within_s'])}"


def unasked(row: Instance) -> str:
    """That its probe cannot ask, for how long, and why; empty where it can."""
    probe = row.get("probe")  # an older daemon does not tell
    if not probe or probe["blind_s"] is None:
        return ""
    return f"probe cannot ask for {duration(probe['blind_s'])}: {probe['error']}"


def _processes(row: Instance) -> str:
    """Which of its processes is silent; where it says nothing else, also which has not run for long."""
    if not row.get("processes"):
        return ""
    from supervisor.core.text.processes import silent, told

    ended = row.get("ended_process")
    lines = silent(row) or ([] if says(row) or ended else told(row))
    return lines[0] + (f" (and {len(lines) - 1} more)" if len(lines) > 1 else "") if lines else ""


def _flapping(row: Instance) -> str:
    """That it fails again and again, although it runs at the moment."""
    return f"flapping: failed {row['attempt']} times in a row" if is_flapping(row) else ""


def happened(row: Instance) -> str:
    """The cause of the last change in words."""
    from supervisor.core.text.causes import ending, phrase  # not needed while all is well

    return phrase(row["cause"], ending(row), _LINE)


def _refused(target: Target | None) -> str:
    """That the detection target cannot be met."""
    if target is None or target["feasible"] is not False or not target["sure"]:
        return ""
    from supervisor.core.text.causes import phrase

    return phrase("target-infeasible", target)


def _next(row: Instance) -> str:
    if row.get("maintenance"):
        return "; left as it is"
    if row["state"] == "backoff":
        return f"; next try in {duration(row['next_restart_in_s'])}"
    if row["state"] == "failed":
        return f"; breaker {row['breaker']}, next try in {duration(row['next_restart_in_s'])}"
    if row["state"] == "exited" and row["goal"] == "up" and row["cause"] != "succeeded":
        return "; its policy does not restart it"
    return f"; held: {row['held']}" if row["held"] else ""


def _starting(row: Instance) -> str:
    if row["waiting_for"]:
        return f"waiting for {waits_for(row)}"
    if unasked(row):
        return unasked(row)
    left = f", fails in {duration(row['ready_within_s'])}" if row["ready_within_s"] is not None else ""
    paused = f"cannot run: {row['paused']}" if row.get("paused") else ""
    return (paused or row["probe_error"] or says(row) or "not ready yet") + left


def says(row: Instance, later: float = 0.0) -> str:
    """The process's STATUS, with its age where that is not new.  `later`: seconds since the row was made."""
    status, age = row["status"], row.get("status_age_s")
    if not status or age is None or age + later < AGED:
        return status or ""
    return f"{status} ({duration(age + later)} ago)"


def aligned(rows: Sequence[Sequence[str]], right: Collection[str]) -> str:
    """Columns under the first row, their heads; those named in `right` are flush right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    to_right = [head in right for head in rows[0]]
    lines = []
    for row in rows:
        texts = (
            text.rjust(width) if flush else text.ljust(width)
            for text, width, flush in zip(row, widths, to_right, strict=True)
        )
        lines.append("  ".join(texts).rstrip() + "\n")
    return "".join(lines)


def printable(text: str) -> str:
    """Replaces control characters in the output of a process, so that it is safe to print."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "�" for c in text)
