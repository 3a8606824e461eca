"""The pages of a cluster: all hosts with their instances, and one host with its last failures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from supervisor.core.history.replicated import contact
from supervisor.core.history.why import parts
from supervisor.core.text.timestamps import local, local_time
from supervisor.display.hosts import (
    HOST_COLUMNS,
    INSTANCE_COLUMNS,
    Cells,
    heads,
    host_cells,
    host_state,
    instance_rows,
)
from supervisor.display.markup import text
from supervisor.display.numbers import count
from supervisor.display.pushed import pushed_lines
from supervisor.web.frame import frame, in_address
from supervisor.web.words import PARTS

if TYPE_CHECKING:
    from supervisor.core.model.cluster_documents import ClusterWord
    from supervisor.core.model.host_documents import HostDetail, HostsView


def host_link(node: str) -> str:
    """A link to the page of a host."""
    return f'<a href="/host/{in_address(node)}">{text(node)}</a>'


def hosts_line(word: ClusterWord | None) -> str:
    """The members in one line, for the head of the page of all services."""
    members = word["members"] if word is not None else []
    away = [one["node"] for one in members if not one["here"]]
    told = f", {', '.join(away)} away" if away else ""
    return f'<p class="soft"><a href="/hosts">Hosts</a>: {text(count(len(members), "member"))}{text(told)}</p>\n'


def ratios(view: HostsView, word: ClusterWord | None) -> str:
    """R over the hosts that are there, and C of the pushed configuration, where there is something to divide by."""
    known = [one["summary"] for one in view["hosts"] if one["here"] and one["summary"] is not None]
    wanted, ready = (sum(one[key] for one in known) for key in ("wanted", "ready"))
    found = [f"R {ready / wanted:.2f}"] if wanted else []
    pushed = word.get("pushed") if word is not None else None
    if pushed is not None and pushed["number"]:
        found.append(f"C {pushed['consistency']:.2f}")
    return "  ".join(found)


def hosts_page(view: HostsView, word: ClusterWord | None, load: str, daemon: str, at: float) -> bytes:
    """All hosts and their instances, as `status --cluster` has them.  `load`: L of this host; empty: it has none."""
    told = [line for line, _ in heads(view)]
    pushed = word.get("pushed") if word is not None else None
    if pushed is not None:
        told += pushed_lines(pushed)
    problems = "".join(f"<li>{text(line)}</li>" for line in told)
    box = f'<section aria-label="Problems" class="trouble"><ul>{problems}</ul></section>\n' if told else ""
    here = sum(host_state(one) != "away" for one in view["hosts"])
    sums = "  ".join(filter(None, (ratios(view, word), f"{load} on {view['node']}" if load else "")))
    hosts = [(host_link(host["node"]), host_cells(host)) for host in view["hosts"]]
    instances = [(text(cells.texts[0]), cells) for cells in instance_rows(view)]
    body = (
        f'<header>\n<h1>Hosts</h1>\n<p><a href="/">All services of {text(daemon)}</a></p>\n'
        '<p class="soft" id="live" role="status">as of '
        f"{text(local(at).strftime('%H:%M:%S'))}</p>\n</header>\n"
        f'<main id="main">\n<p class="sum">{here} of {text(count(len(hosts), "host"))} here '
        f'<span class="soft">{text(sums)}</span></p>\n{box}'
        f"{_table('Hosts', HOST_COLUMNS, hosts)}<h2>Instances</h2>\n"
        f"{_table('Instances on their hosts', INSTANCE_COLUMNS, instances)}</main>\n"
        "<footer><p>R = ready / wanted instances of the hosts that are here, C = hosts on the configuration that was "
        "pushed / all, L = requests per instance. What other hosts tell is read when this page is loaded, and again "
        "when a member or its slots change.</p></footer>\n"
    )
    return frame(f"Hosts · {daemon}", body, "/web/stream")


def _table(caption: str, columns: Sequence[str], rows: Sequence[tuple[str, Cells]]) -> str:
    """Each row: its first cell as markup, and its texts."""
    heads = "".join(
        f'<th scope="col" role="columnheader" class="{one.lower()}">{text(one.capitalize())}</th>' for one in columns
    )
    lines = "".join(
        f'<tr role="row" data-tone="{cells.tone}"><th scope="row" role="rowheader" class="name">{first}</th>'
        + "".join(
            f'<td role="cell" class="{column.lower()} plain" data-label="{text(column.capitalize())}">{text(one)}</td>'
            for column, one in zip(columns[1:], cells.texts[1:], strict=True)
        )
        + "</tr>\n"
        for first, cells in rows
    )
    return (
        f'<table role="table" class="hosts">\n<caption class="unseen">{text(caption)}</caption>\n'
        f'<thead role="rowgroup"><tr role="row">{heads}</tr></thead>\n'
        f'<tbody role="rowgroup">\n{lines}</tbody></table>\n'
    )


def host_page(detail: HostDetail, daemon: str) -> bytes:
    """One host with its last failures, also when it is gone.  `daemon`: that which answers."""
    record = detail["record"]
    found = [
        (incident["at"], story["instance"], incident)
        for story in (record["stories"] if record is not None else ())
        for incident in story["incidents"]
    ]
    sections = []
    for at, instance, incident in sorted(found, key=lambda one: one[0], reverse=True):
        lines = "".join(
            f"<h3>{PARTS[label]}</h3><ul>{''.join(f'<li>{text(line)}</li>' for line in told)}</ul>\n"
            for label, told in parts(incident).items()
            if told
        )
        head = f"{local_time(at)[:19]} {instance}: {incident['says']}"
        sections.append(f"<section>\n<details><summary>{text(head)}</summary>\n{lines}</details>\n</section>\n")
    none = "<p>No failure is known.</p>\n"
    name = detail["node"]
    body = (
        f'<header>\n<h1>Host {text(name)}</h1>\n<p>{text(contact(detail))}</p>\n<p><a href="/hosts">All hosts</a></p>\n'
        f'</header>\n<main id="main">\n<h2>Its last failures</h2>\n{"".join(sections) or none}'
        f'<p class="soft">On the command line: <code>supervisor why SERVICE@{text(name)}</code></p>\n</main>\n'
    )
    return frame(f"Host {name} · {daemon}", body)
