"""The pages: all services, one service, one incident.  They can be read without JavaScript.

Every text from outside goes through `text` of display/markup.py.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from supervisor.core.history.outlook import prospect, standing
from supervisor.core.history.why import parts
from supervisor.core.text.timestamps import local
from supervisor.core.text.units import span
from supervisor.display.evidence import evidence_lines
from supervisor.display.markup import text
from supervisor.display.numbers import count
from supervisor.display.strip_picture import strip_picture
from supervisor.web.frame import frame, in_address
from supervisor.web.order_pages import order_link
from supervisor.web.rows import EMPTY, Fields, grouped, head_fields, instance_fields, problems, service_fields
from supervisor.web.words import PARTS

if TYPE_CHECKING:
    from supervisor.core.history.strips import Cell
    from supervisor.core.model.documents import Service, Status
    from supervisor.core.model.evidence_documents import Evidence
    from supervisor.core.model.instance_documents import Instance, InstanceName
    from supervisor.core.model.story_documents import IncidentStory

COLUMNS = (
    ("name", "Service"),
    ("state", "State"),
    ("why", "Why, and what is next"),
    ("silence", "Silence"),
    ("history", "Last hour"),
    ("restarts", "Restarts"),
    ("up", "Up"),
    ("cpu", "CPU %"),
    ("memory", "Memory"),
)
"""The columns of the table: the name of the place, and its head."""
_PLACES = {"silence": ("share", "silence", "ratios")}
"""The texts of a column that has more than that of its own name."""


class Failure(NamedTuple):
    """An incident in a line.  `number`: of its first event.  `place`: where the process was; empty: not known."""

    number: int
    at: float
    says: str
    place: str


@dataclass(slots=True)
class Past:
    """What the ledger tells of the period that a page shows, from `since` to `until` (seconds since the epoch).

    `cells`: the strip of each service.  `failures`: of each instance, the newest first."""

    since: float
    until: float
    cells: dict[str, list[Cell]] = field(default_factory=dict)
    failures: dict[str, list[Failure]] = field(default_factory=dict)


def service_link(name: str, shown: str = "") -> str:
    """A link to the page of a service or instance."""
    return f'<a href="/service/{in_address(name)}">{text(shown or name)}</a>'


def services_page(
    status: Status, past: Past, title: str = "", more: str = "", *, orders: bool = False, hosts: str = ""
) -> Generator[None, None, bytes]:
    """The table of all services of `status`, in steps, one for each service.

    `title`: of a page of one service, its name; `more`: what stands below its table; `orders`: each row has a link to
    the page of its orders; `hosts`: the line about them, as markup."""
    daemon = status["supervisor"]
    rollouts = {one["service"]: one for one in daemon.get("rollouts", ())}
    bodies = []
    for service, rows in grouped(status):
        lines = []
        strip = strip_of(service, past)
        several = len(rows) > 1
        if several:
            fields = service_fields(rows, rollouts.get(service))
            link = order_link(service) if orders else ""
            lines.append(_line(f"{service}@", service_link(service), fields, strip, "", "whole", link))
        for row in rows:
            name = service_link(service, row["name"])
            last = _last(past.failures.get(row["name"], ()), past)
            kind = "part" if several else "single"
            link = order_link(row["name"]) if orders else ""
            lines.append(_line(row["name"], name, instance_fields(row), "" if several else strip, last, kind, link))
        bodies.append(f'<tbody role="rowgroup">\n{"".join(lines)}</tbody>\n')
        yield
    heads = "".join(f'<th scope="col" role="columnheader" class="{key}">{text(head)}</th>' for key, head in COLUMNS)
    heads += '<th scope="col" role="columnheader" class="order">Orders</th>' if orders else ""
    rows_of_table = "".join(bodies)
    table = (
        f'<table role="table">\n<caption class="unseen">Services, those with trouble first</caption>\n'
        f'<thead role="rowgroup"><tr role="row">{heads}</tr></thead>\n{rows_of_table}</table>\n'
    )
    body = table if status["instances"] else "<p>No service is configured.</p>\n"
    name = daemon["name"]
    query = f"?service={in_address(title)}" if title else ""
    return frame(
        f"{title} · {name}" if title else name,
        f'{_header(status, past, title, hosts)}<main id="main">\n{body}{more}</main>\n{_footer(orders)}',
        f"/web/stream{query}",
    )


def strip_of(service: str, past: Past) -> str:
    """The strip of history of a service; empty where nothing is known."""
    cells = past.cells.get(service)
    if not cells:
        return ""
    ready, down = sum(cell.ready for cell in cells), sum(cell.down for cell in cells)
    told = f"not ready for {span(down)}" if down else "ready whenever it was wanted" if ready else "nothing is known"
    label = f"{service}, the last hour: {told}"
    return strip_picture(label, cells, past.since, past.until)


def _header(status: Status, past: Past, title: str, hosts: str) -> str:
    fields = head_fields(status)
    places = {name: f'<span data-field="{name}">{text(fields[name])}</span>' for name in ("ready", "totals", "daemon")}
    here = f'<h1>{text(title)}</h1>\n<p><a href="/">All services</a></p>\n' if title else ""
    name = f"<h1>{text(status['supervisor']['name'])}</h1>\n" if not title else ""
    told = problems(status["supervisor"])
    items = "".join(f"<li>{text(line)}</li>" for line in told)
    hidden = "" if told else " hidden"
    return (
        f'<header data-key="" data-tone="{fields["tone"]}">\n{name}{here}'
        f'<p class="sum">{places["ready"]} <span class="soft">{places["totals"]}</span></p>\n'
        f'<p class="soft">{places["daemon"]}</p>\n{hosts}'
        f'<p class="soft" id="live" role="status">as of {text(_clock(past.until))}; without JavaScript this page does '
        "not change by itself</p>\n"
        f'<section id="problems" aria-label="Problems"{hidden}><ul>{items}</ul></section>\n</header>\n'
    )


def _footer(orders: bool) -> str:
    given = "Orders need the token that <code>supervisor web --token</code> prints; "
    return (
        f"<footer><p>{given if orders else 'Read-only. <code>supervisor</code> on the command line gives orders; '}"
        "R = ready / wanted instances, C = on the configuration in force / running, L = requests per instance.</p>"
        "</footer>\n"
    )


def _line(key: str, name: str, fields: Fields, strip: str, last: str, kind: str, order: str) -> str:
    """A row of the table."""
    cells = [f'<th scope="row" role="rowheader" class="name">{name}</th>']
    for place, _ in COLUMNS[1:]:
        inner = (
            strip
            if place == "history"
            else "".join(
                _meter(fields[part]) if part == "share" else f'<span data-field="{part}">{text(fields[part])}</span>'
                for part in _PLACES.get(place, (place,))
                if part in fields
            )
        )
        if place == "why":
            inner += last
        empty = all(fields.get(part, "") in EMPTY for part in _PLACES.get(place, (place,)))
        none = " none" if empty and not (place == "history" and strip) and not (place == "why" and last) else ""
        cells.append(f'<td role="cell" class="{place}{none}">{inner}</td>')
    if order:
        cells.append(f'<td role="cell" class="order">{order}</td>')
    return f'<tr role="row" class="{kind}" data-key="{text(key)}" data-tone="{fields["tone"]}">{"".join(cells)}</tr>\n'


def _meter(share: str) -> str:
    hidden = "" if share else " hidden"
    return (
        f'<meter data-field="share" min="0" max="1" high="0.6" value="{share or 0}" '
        f'aria-label="silence, as a part of that at which it is suspected"{hidden}></meter>'
    )


def _last(failures: Sequence[Failure], past: Past) -> str:
    """The newest incident, with a link."""
    if not failures:
        return ""
    one = failures[0]
    where = f", {one.place}" if one.place else ""
    return f'<div class="last">{_moment(one, past)} {incident_link(one)}{text(where)}</div>'


def incident_link(one: Failure) -> str:
    """A link to the page of an incident."""
    return f'<a href="/incident/{one.number}">{text(one.says)}</a>'


def _moment(one: Failure, past: Past) -> str:
    day = local(past.until).date() == local(one.at).date()
    shown = _clock(one.at) if day else f"{local(one.at):%Y-%m-%d} {_clock(one.at)}"
    return f'<time datetime="{local(one.at).astimezone().isoformat("T", "seconds")}">{text(shown)}</time>'


def _clock(at: float) -> str:
    return local(at).strftime("%H:%M:%S")


def service_details(service: Service | None, rows: Sequence[Instance], past: Past, lines: Sequence[str]) -> str:
    """What stands below the table of one service.  `lines`: its events in words, the newest first."""
    out = []
    if service is not None:
        facts = [("about", service["description"]), ("command", " ".join(service["command"]))]
        facts += [("needs", ", ".join(service["depends_on"])), ("group", service["group"] or "")]
        shown = "".join(f"<dt>{label}</dt><dd>{text(value)}</dd>" for label, value in facts if value)
        out.append(f"<section>\n<h2>Definition</h2>\n<dl>{shown}</dl>\n</section>\n")
    now = "".join(f"<li>{text(row['name'])} is {text(standing(row))}.{text(_next(row))}</li>" for row in rows)
    out.append(f"<section>\n<h2>Now</h2>\n<ul>{now}</ul>\n</section>\n")
    found = sorted((one for name in past.failures for one in past.failures[name]), key=lambda one: -one.at)
    items = "".join(
        f"<li>{_moment(one, past)} {incident_link(one)}{text(f', {one.place}' if one.place else '')}</li>"
        for one in found
    )
    none = "<p>No failure is recorded.</p>"
    out.append(f"<section>\n<h2>Failures</h2>\n{f'<ul>{items}</ul>' if items else none}\n</section>\n")
    if lines:
        said = "".join(f"<li>{text(line)}</li>" for line in lines)
        title = f"The last {count(len(lines), 'event')}"
        out.append(f"<section>\n<h2>{title}</h2>\n<ul class=events>{said}</ul>\n</section>\n")
    return "".join(out)


def _next(row: Instance) -> str:
    coming = prospect(row)
    when = f", in {span(coming['in_s'])}" if coming["in_s"] is not None else ""
    return f" Next{when}: {coming['what']}."


def incident_page(
    daemon: str, view: InstanceName, row: Instance | None, story: IncidentStory, evidence: Evidence | None, until: float
) -> bytes:
    """One incident: what `why` tells of it, and all that was captured.

    `daemon`: its name.  `row`: the instance's present row; None where it is no longer configured."""
    name = view["name"]
    sections = []
    for label, lines in parts(story).items():
        items = "".join(f"<li>{text(line)}</li>" for line in lines)
        if items:
            sections.append(f"<section>\n<h2>{PARTS[label]}</h2>\n<ul>{items}</ul>\n</section>\n")
    if evidence is not None:
        told = "\n".join(f"{text(label)}{text(line)}" for label, line in evidence_lines(evidence))
        sections.append(
            "<section>\n<h2>Evidence</h2>\n<details open><summary>All that was captured before it was ended</summary>\n"
            f'<pre tabindex="0">{told}</pre></details>\n</section>\n'
        )
    now = f"{name} is no longer in the configuration." if row is None else f"{name} is {standing(row)}.{_next(row)}"
    at = Failure(0, local(story["at"]).timestamp(), story["says"], "")
    place = f'<p class="place">{text(name)} {text(story["place"])}</p>\n' if story["place"] else ""
    body = (
        f"<header>\n<h1>{text(name)}: {text(story['says'])}</h1>\n{place}"
        f'<p class="soft">{_moment(at, Past(until, until))}, on {text(daemon)}</p>\n'
        f'<p><a href="/">All services</a> · {service_link(view["service"])}</p>\n</header>\n<main id="main">\n'
        f"{''.join(sections)}<section>\n<h2>Now</h2>\n<p>{text(now)}</p>\n"
        f'<p class="soft">As of {text(_clock(until))}. On the command line: <code>supervisor why {text(name)}</code>'
        "</p>\n</section>\n</main>\n"
    )
    return frame(f"{name}: {story['says']}", body)
