"""The texts of a service that has several instances: what its row and its details show.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from supervisor.dashboard.history import DEPTH, Ring, Samples
from supervisor.dashboard.row_status import Row, Service, badge, reason
from supervisor.dashboard.sections import heading, labelled
from supervisor.dashboard.spans import Line, Span, clean, cut, line, spread, width
from supervisor.dashboard.strip import joined, levels
from supervisor.display import numbers as q
from supervisor.display.severity import Severity, severity

LEAST = 36
"""Cells that the words of a service keep at least beside C.  L and R never shorten them."""


def words(service: Service, *, short: bool = False) -> Line:
    """`3 of 4 ready`, the worst instance with its reason where something is wrong, and how far a rollout is.

    `short`: `3/4 ready`, and without what the rollout waits for."""
    worst = service.worst
    count = readiness(service).replace(" of ", "/") if short else readiness(service)
    parts = [Span(count, "plain" if service.ready < service.wanted else "muted")]
    if severity(worst.view) >= Severity.WRONG:
        why = reason(worst)
        parts.append(Span(f"{clean(worst.name)}: {why.text}", why.tone))
    if service.rollout:
        rollout = service.rollout.partition(";")[0] if short else service.rollout
        parts.append(Span(rollout, "warn" if service.halted else "accent"))
    if severity(worst.view) is Severity.UNDERWAY and not service.rollout:
        parts.append(Span(f"{clean(worst.name)}: {reason(worst).text}", "muted"))
    return line(parts[0], *(piece for part in parts[1:] for piece in (Span(" · ", "faint"), part)))


def readiness(service: Service) -> str:
    """`3 of 4 ready`; of a service that is not to be up, `0 of 4 wanted`."""
    return f"{service.ready} of {service.wanted} ready" if service.wanted else f"0 of {len(service.members)} wanted"


def ratios(service: Service) -> list[Span]:
    """C while it is below 1, L where a balancer is in front, and R; the most wanted first."""
    found = []
    if service.consistency is not None and service.consistency < 1.0:
        found.append(Span(f"C {service.consistency:.2f}", "accent"))
    if service.load is not None:
        found.append(Span(f"L {service.load:.1f}", "muted"))
    if service.replication is not None:
        found.append(Span(f"R {service.replication:.2f}", "muted" if service.replication >= 1.0 else "plain"))
    return found


def words_and_ratios(service: Service, cells: int) -> Line:
    """The words, and at the end of the column as many ratios as have room there."""
    said, shown = words(service), ratios(service)
    if width(said) > cells:
        said = words(service, short=True)
    needed = width(said)
    while shown:
        right = line(*(piece for ratio in shown for piece in ("  ", ratio)))[1:]
        least = min(LEAST, needed) if shown[-1].text.startswith("C") else needed
        if cells - width(right) - 2 >= least:
            return spread(said, right, cells)
        shown.pop()
    return said


def service_line(row: Row, service: Service, cells: int) -> Line:
    """The same in one line, for a small terminal."""
    left = line(" ", Span(clean(row.name), "strong"), "  ")
    return cut(line(left, words_and_ratios(service, cells - width(left))), cells)


def service_strip(service: Service, cells: int) -> Line:
    """The worst of any instance in each half minute."""
    each = [levels(m.view, m.moves, m.known_since, m.clock, cells) for m in service.members]
    return joined([max(marks) for marks in zip(*each, strict=True)])


def total(series: Sequence[Samples]) -> Samples:
    """The sums of the series of all instances, aligned at the present."""
    out = Samples()
    out.taken = max((one.taken for one in series), default=0)
    for ring, parts in ((out.cpu, [one.cpu for one in series]), (out.memory, [one.memory for one in series])):
        ring.extend(_sums(parts))
    return out


def _sums(parts: Sequence[Ring]) -> list[float | None]:
    padded: list[list[float | None]] = [[*([None] * (DEPTH - len(part))), *part] for part in parts]
    longest = max((len(part) for part in parts), default=0)
    sums: list[float | None] = []
    for values in list(zip(*padded, strict=True))[DEPTH - longest :]:
        known = [value for value in values if value is not None]
        sums.append(sum(known) if known else None)
    return sums


def service_detail(service: Service, cells: int) -> list[Line]:
    """Everything about the service: readiness, rollout, ratios, and its instances with their reasons."""
    out = [*_facts(service, cells), (), heading(f"instances ({len(service.members)})", cells)]
    out += [_instance(member, service, cells) for member in service.members]
    return [cut(text, cells) for text in out]


def _facts(service: Service, cells: int) -> Iterator[Line]:
    yield line(badge(service.worst.view), "  ", Span(readiness(service), "strong"))
    yield ()
    if severity(service.worst.view) is not Severity.FINE:
        yield from labelled("worst", f"{clean(service.worst.name)}: {reason(service.worst).text}", cells, "warn")
    if service.rollout:
        yield from labelled("rollout", service.rollout, cells, "warn" if service.halted else "plain")
    if service.replication is not None:
        yield from labelled("R", f"{service.replication:.2f} · instances ready / wanted", cells)
    if service.consistency is not None:
        yield from labelled("C", f"{service.consistency:.2f} · on the present definition / running", cells)
    if service.load is not None:
        yield from labelled("L", f"{service.load:.1f} · requests an instance since the daemon started", cells)


def _instance(member: Row, service: Service, cells: int) -> Line:
    """`● running  web@1  812 (1.02 L)  its reason`."""
    share = ""
    if balanced := member.view.get("balanced"):
        share = f"  {balanced['requests']} requests"
        share += f" ({balanced['requests'] / service.load:.2f} L)" if service.load else ""
    old = "" if member.view["current"] else "  outdated"
    state = badge(member.view)
    padding = " " * max(1, 12 - width((state,)))
    name = clean(member.name)
    up = member.view["uptime_s"]
    since = "" if up is None else f"  up {q.duration(up + member.age)}"
    return cut(
        line(state, padding, Span(name, "strong"), Span(f"{share}{since}{old}  ", "muted"), reason(member)), cells
    )
