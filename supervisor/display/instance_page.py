"""The page of one instance, or of a service with several: what `status NAME` prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, NamedTuple

from supervisor.core.history.outlook import prospect, standing
from supervisor.core.text.timestamps import local_time
from supervisor.core.text.units import level, span
from supervisor.core.text.units import percent as share
from supervisor.core.text.waiting import runs_elsewhere
from supervisor.display.numbers import clock, percent, size
from supervisor.display.process_tree import Drawing, branches, cut, following, one_line, prefix
from supervisor.display.status_row import note, printable

if TYPE_CHECKING:
    from supervisor.core.model.documents import InstanceDetail
    from supervisor.core.model.documents import Process as Member
    from supervisor.core.model.instance_documents import Instance
    from supervisor.core.model.log_documents import LogLine
    from supervisor.core.model.story_documents import Why

LINES = 10
"""Lines of output that a page shows."""
MEMBERS = 8
"""Processes that a page shows."""
_LABEL = 11
_NARROWEST = 40


class Limits(NamedTuple):
    """What `resources` of the definition says."""

    memory: int | None = None
    cpu: float | None = None
    tasks: int | None = None


class Page(NamedTuple):
    """What is shown of an instance.

    `defined`: file and line.  `needs`, `needed_by`: services, each with the states of its instances.  `lines`: its last
    output, or why that cannot be read.  `ready`: how its readiness is found, in words.  `reloads`: how
    it reloads; empty: at SIGHUP, without a check."""

    view: InstanceDetail
    story: Why
    now: float
    defined: str
    ready: str
    reloads: str
    limits: Limits
    needs: Mapping[str, str]
    needed_by: Mapping[str, str]
    lines: Sequence[LogLine] | str


def page_lines(page: Page, drawing: Drawing, width: int | None) -> list[str]:
    """The page below its first line.  With a `width` texts are wrapped, and commands and output are cut."""
    out: list[str] = []
    for label, text in _facts(page):
        out += labelled(label, text, width)
    if page.view["tree"]:
        out += ["", *_members(page.view["tree"], drawing, width)]
    out += ["", *_output(page, width), ""]
    return out + next_commands(page.view)


def first_line(name: str, description: str) -> str:
    """What the page is about."""
    return f"{name} - {printable(description)}" if description else name


def labelled(label: str, text: str, width: int | None) -> list[str]:
    """A fact after its label; the lines that follow are indented."""
    text = printable(text)
    room = max(_NARROWEST, width - _LABEL - 2) if width else None
    texts = wrap(text, room, break_on_hyphens=False, break_long_words=False) if room else [text]
    return [f"{f'{label}:' if number == 0 else '':>{_LABEL + 1}} {line}" for number, line in enumerate(texts or [""])]


def _facts(page: Page) -> Iterator[tuple[str, str]]:
    view, coming = page.view, prospect(page.view)
    if page.defined:
        yield "Defined", page.defined
    state = standing(view)
    yield "State", state
    if (said := note(view)) not in state and (
        view["state"] in ("starting", "running", "suspect", "stopping") or runs_elsewhere(view)
    ):
        yield "Note", said
    if view["since_s"] is not None:
        yield "Since", local_time(page.now - view["since_s"])[:19]
    yield "Next", (f"in {span(coming['in_s'])}: " if coming["in_s"] is not None else "") + coming["what"]
    yield "Restarts", _restarts(view)
    if page.story["incidents"]:
        last = page.story["incidents"][-1]
        where = f"; it {last['place']}" if last["place"] else ""
        yield "Last failed", f"{local_time(last['at'])[:19]}, {last['says']}{where}"
    if page.story["last_order"]:
        yield "Last order", f"{local_time(page.story['last_order']['at'])[:19]}, {page.story['last_order']['says']}"
    if page.ready or view["type"] == "oneshot":
        yield "Ready when", page.ready or "it has ended with success"
    if page.reloads:
        yield "Reloads", page.reloads
    if (beat := _heartbeat(view)) is not None:
        yield "Heartbeat", beat
    if (probe := view.get("probe")) and (probe["failures"] or probe["error"]):
        yield (
            "Probes",
            f"{probe['failures']} could not ask" + (f"; the last: {probe['error']}" if probe["error"] else ""),
        )
    if view["pid"] is not None:
        yield "Resources", _resources(view, page.limits)
    if view.get("port"):
        yield "Port", str(view["port"])
    for label, services in (("Needs", page.needs), ("Needed by", page.needed_by)):
        if services:
            yield label, ", ".join(f"{name} ({state})" if state else name for name, state in services.items())


def _restarts(view: InstanceDetail) -> str:
    most = f"at most {view['max_restarts']} in {span(view['window_s'])}"
    limit = f"{view['restarts_in_window']} of {most}" if view["restarts"] else most
    breaker = "" if view["breaker"] == "closed" else f"; breaker {view['breaker']}"
    return f"{view['restarts']}; {limit}; policy {view['policy']}{breaker}"


def _heartbeat(view: InstanceDetail) -> str | None:
    """The silence against what is allowed; None where it has no heartbeat."""
    beat, silence = view["heartbeat"], view["last_heartbeat_age_s"]
    if beat is None:
        return None
    how = f"by {beat['source']}, every {span(beat['interval_s'])}"
    if silence is None:
        return f"none yet, {how}"
    left = view["suspect_in_s"]
    allowed = "" if left is None else f" of the {span(silence + left)} that are allowed"
    phi = "" if view["phi"] is None else f"; phi {level(view['phi'])}"
    most = "" if view["threshold"] is None or not phi else f" of {level(view['threshold'])}"
    return f"silent for {span(silence)}{allowed}{phi}{most}; {how}"


def _resources(view: Instance, limits: Limits) -> str:
    cpu = f"CPU {percent(view['cpu_percent'])} %" + (f" of {share(limits.cpu)}" if limits.cpu is not None else "")
    memory = f"memory {size(view['memory_bytes'])}" + (
        f" of {size(limits.memory)}" if limits.memory is not None else ""
    )
    tasks = f", at most {limits.tasks} processes and threads" if limits.tasks is not None else ""
    return f"{cpu}, {memory}{tasks}"


def _members(tree: Sequence[Member], drawing: Drawing, width: int | None) -> list[str]:
    processes = {one["pid"]: one for one in tree}
    drawn = branches({pid: one["ppid"] for pid, one in processes.items()})[:MEMBERS]
    out = []
    for number, (branch, levels) in enumerate(zip(drawn, following([b.depth for b in drawn]), strict=True)):
        label = "Processes:" if number == 0 else ""
        command = one_line(processes[branch.pid]["command"])
        text = f"{label:>{_LABEL + 1}} {branch.pid} {prefix(levels, drawing)}{command}"
        out.append(cut(text, width) if width else text)
    if len(tree) > MEMBERS:
        out.append(f"{'':>{_LABEL + 1}} and {len(tree) - MEMBERS} more")
    return out


def _output(page: Page, width: int | None) -> Iterator[str]:
    if isinstance(page.lines, str):
        yield from labelled("Output", page.lines, width)
        return
    if not page.lines:
        yield from labelled("Output", "none", width)
    for line in page.lines:
        text = f"{clock(line['at'])}  {printable(line['text'])}".lstrip()
        yield cut(text, width) if width else text


def next_commands(view: Instance) -> list[str]:
    """What to type next, by the state."""
    name, state = view["name"], view["state"]
    if state in ("backoff", "failed", "suspect") or (state == "exited" and view["cause"] != "succeeded"):
        rows = [("why", name, "what was seen, and what was decided"), ("logs -n 50", name, "its last output")]
        rows.append(("reset", name, "start it at once") if state != "suspect" else ("tree", name, "its processes"))
    elif state in ("stopped", "exited"):
        rows = [("start", name, ""), ("why", name, "its last failures"), ("show", view["service"], "its definition")]
    else:
        rows = [("why", name, "its last failures"), ("logs -f", name, "its output"), ("tree", name, "its processes")]
    commands = [(f"supervisor {verb} {of}", says) for verb, of, says in rows]
    widest = max(len(command) for command, _ in commands)
    return [f"  {command:<{widest}}  {says}".rstrip() for command, says in commands]
