"""Describes in words what was observed of a failure, and what was captured before the process was stopped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from supervisor.core.history.place import advice
from supervisor.core.model.causes import Cause
from supervisor.core.text.causes import phrase, told_error
from supervisor.core.text.stacks import frames
from supervisor.core.text.units import NOTHING, brief, level, shorten, size, span

if TYPE_CHECKING:
    from supervisor.core.model.evidence_documents import Core, Evidence, ExaminedHost, ExaminedProcess, Stack, Thread
    from supervisor.core.model.socket_documents import Socket


STARVED = 40.0
"""Percentage of the last 10 s in which processes waited for a resource, from which the host is mentioned."""
_STACKS, _FRAMES = 3, 4
_DECISIONS = ("phase", "attempt", "delay_s", "breaker", "retry_in_s", "action")
_STATES = {"R": "running", "S": "asleep", "D": "in uninterruptible sleep", "T": "stopped", "t": "traced", "Z": "dead"}


def seen(cause: str, detail: Mapping[str, Any], evidence: Evidence | None) -> list[str]:
    """What made it a failure or a suspicion, the most important first."""
    bare = {key: value for key, value in detail.items() if key not in _DECISIONS and key != "told"}
    lines = [phrase(cause, bare)]
    if told := told_error(detail.get("told")):
        lines.append(f"it said: {shorten(told, 300)}")
    if cause == Cause.SILENT:
        lines += _rhythm(detail)
    if cause == Cause.START_TIMEOUT:
        lines = [phrase(cause, {"start_timeout_s": detail.get("start_timeout_s")}), *_spoke(detail)]
    if cause in (Cause.SILENT, Cause.START_TIMEOUT) and detail.get("last_probe_error"):
        lines.append(f"last probe: {shorten(detail['last_probe_error'], 200)}")
    if cause == Cause.SPAWN_FAILED and detail.get("error"):
        lines = [f"cannot be started: {shorten(detail['error'], 300)}"]
    if cause not in (Cause.EXITED, Cause.KILLED) and (ended := _ended(detail)):
        lines.append(ended)
    if detail.get("held"):
        lines.append(f"possible reason for the silence: {detail['held']}")
    if evidence is not None and (host := _host(evidence.get("host"))):
        lines.append(host)
    return lines


def _spoke(detail: Mapping[str, Any]) -> Iterator[str]:
    """Whether the service ever spoke during its start, and what it said last."""
    count, age = detail.get("notified"), detail.get("notified_age_s")
    if count == 0 and detail.get("sender_refused"):
        yield 'its main process sent no notification; those of others do not count (notify_access = "main")'
    elif count == 0:
        yield "it sent no notification at all (sd_notify)"
    elif count:
        last = "" if age is None else f", the last {span(age)} before"
        yield f"it sent {count} notification{'' if count == 1 else 's'}{last}"
    if detail.get("last_status"):
        age = detail.get("last_status_age_s")
        yield f"last STATUS{'' if age is None else f', {span(age)} before'}: {shorten(detail['last_status'], 200)}"
    if failed := detail.get("probes_failed"):
        yield "1 probe failed" if failed == 1 else f"{failed} probes failed, and none succeeded"


def captured(instance: str, evidence_id: int | None, evidence: Evidence | None) -> list[str]:
    """A summary of the evidence; empty where nothing was captured, as after an exit."""
    if evidence_id is None:
        return []
    if evidence is None:
        return [f"evidence {evidence_id}, no longer kept"]
    lines: list[str] = []
    processes = evidence.get("processes") or []
    if processes:
        lines += _process(processes[0])
    if len(processes) > 1:
        others = Counter(f"{p.get('name')} ({_STATES.get(p.get('state', ''), p.get('state'))})" for p in processes[1:])
        lines.append("other processes: " + ", ".join(_times(name, count) for name, count in others.most_common(5)))
    for stack in (evidence.get("stacks") or [])[:_STACKS]:
        lines += _stack(stack)
    if missing := advice(evidence):
        lines.append(missing)
    output = [line for line in evidence.get("last_lines") or [] if line.strip()]
    if output:
        lines.append(f"last output: {shorten(output[-1], 200)}")
    if core := evidence.get("core"):
        lines += _core(core)
    lines.append(f"everything captured: supervisor why {instance} --evidence")
    return lines


def _rhythm(detail: Mapping[str, Any]) -> list[str]:
    lines = []
    intervals = detail.get("intervals_s") or []
    if intervals:
        mean = sum(intervals) / len(intervals)
        of = f"{brief(min(intervals))} … {brief(max(intervals))}, last {len(intervals)}"
        lines.append(f"before that, a heartbeat every {brief(mean)} ({of})")
    name, score, threshold = detail.get("detector"), detail.get("suspicion"), detail.get("threshold")
    if name and score is not None and threshold is not None:
        over = "" if score >= threshold else "; the longest allowed silence was reached"
        lines.append(f"detector {name}: {level(score)}, threshold {threshold:g}{over}")
    if detail.get("patience"):
        lines.append(f"the daemon itself had run late, so it waited up to {detail['patience']:g} times as long")
    return lines


def _ended(detail: Mapping[str, Any]) -> str:
    if detail.get("signal") is not None:
        killed = {"signal": detail["signal"], "out_of_memory": detail.get("out_of_memory")}
        return f"it was finally {phrase(Cause.KILLED, killed)}"
    if detail.get("exit_code") is not None:
        return f"it finally {phrase(Cause.EXITED, {'exit_code': detail['exit_code']})}"
    return ""


def _host(host: ExaminedHost | None) -> str:
    """The pressure on the host, where it may have been the reason."""
    if host is None:
        return ""
    short = [
        f"{resource} {values['some'][0]:.0f} %"
        for resource, values in host.get("psi", {}).items()
        if values.get("some") and values["some"][0] >= STARVED
    ]
    if not short:
        return ""
    load = ", ".join(f"{value:g}" for value in host.get("load", ())) or NOTHING
    return f"the host was short of {' and '.join(short)} (pressure of the last 10 s; load {load})"


def _process(process: ExaminedProcess) -> list[str]:
    state = _STATES.get(process.get("state", ""), process.get("state"))
    numbers = [f"{size(process.get('memory_bytes'))} of memory", f"{span(process.get('cpu_s'))} of CPU time used"]
    if process.get("fds") is not None:
        numbers.append(f"{process['fds']} open descriptors")
    lines = [f"process {process.get('pid')} ({process.get('name')}) was {state}, with {', '.join(numbers)}"]
    threads = Counter(_doing(thread) for thread in process.get("threads") or [])
    if threads:
        lines.append("threads: " + ", ".join(_times(what, count) for what, count in threads.most_common(4)))
    waiting = [s for s in process.get("sockets") or [] if s.get("receive_queue") or s.get("send_queue")]
    if waiting:
        lines.append("sockets with unread or unsent data: " + ", ".join(_socket(s) for s in waiting[:4]))
    return lines


def _doing(thread: Thread) -> str:
    stack = thread.get("stack") or []
    where = thread.get("waits_in") or (stack[0].partition("+")[0] if stack else None)
    state = _STATES.get(thread.get("state", ""), str(thread.get("state")))
    return f"{state} in {where}" if where and thread.get("state") in ("S", "D") else state


def _stack(stack: Stack) -> list[str]:
    """The function in which the process was, or why its stack is not known."""
    of, by = f"process {stack.get('pid')}", f"by {stack.get('how')}"
    if stack.get("error"):
        return [f"no stack of {of} {by}: {shorten(stack['error'], 100)}"]
    calls = [str(frame) for frame in frames(stack.get("lines") or [])]
    if not calls:
        return [f"{of} wrote, asked {by}: {shorten(line, 100)}" for line in (stack.get("lines") or [])[:1]]
    return [f"{of} was in {shorten(' ← '.join(calls[:_FRAMES]), 240)}, {by}"]


def _core(core: Core) -> list[str]:
    if core.get("limit_bytes") == 0:
        return ["no core file: the limit of its size is 0"]
    return [f"core file requested: pattern {core.get('pattern')}, in {core.get('directory', NOTHING)}"]


def _socket(described: Socket) -> str:
    queues = f"{size(described.get('receive_queue'))} in, {size(described.get('send_queue'))} out"
    return f"{described.get('local')} ↔ {described.get('remote')} ({queues})"


def _times(what: str, count: int) -> str:
    return what if count == 1 else f"{count} × {what}"
