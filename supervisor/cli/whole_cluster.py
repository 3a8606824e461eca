"""`status --cluster`, `events --cluster` and `why SERVICE@HOST`: all hosts, asked of the daemon of this one."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from supervisor.core.history.replicated import contact, known_names, stories
from supervisor.core.history.why import tell
from supervisor.display.hosts import (
    HOST_COLUMNS,
    INSTANCE_COLUMNS,
    Cells,
    heads,
    host_cells,
    host_state,
    instance_rows,
    texts,
    trouble,
    wanted,
)
from supervisor.display.recorded import PAGE, FromDaemon, everything
from supervisor.display.state_style import COLORS
from supervisor.display.status_row import aligned, printable
from supervisor.errors import NoSuchService, OperationFailed

if TYPE_CHECKING:
    from supervisor.client import Client
    from supervisor.core.model.cluster_documents import ClusterWord
    from supervisor.core.model.documents import Event
    from supervisor.core.model.host_documents import HostDetail, HostEvent, HostsView

NOT_UP = 3
LOOK = 1.0
"""Seconds from one look at the other hosts to the next where events are followed."""


def status(client: Client, as_json: bool, services: Sequence[str]) -> int:
    """Print all hosts and their instances; returns the exit code."""
    view: HostsView = client.get("/v1/cluster/hosts")
    rows = instance_rows(view, services)
    if services and not rows:
        raise NoSuchService(f"no host has told of {', '.join(services)}", "`supervisor status --cluster` shows all.")
    if as_json:
        _print_json(view)
    else:
        for text, tone in heads(view):
            click.echo(click.style(text, fg=COLORS.get(tone), bold=True))
        if not services:
            click.echo(_table(HOST_COLUMNS, [host_cells(host) for host in view["hosts"]]))
        click.echo(_table(INSTANCE_COLUMNS, rows), nl=False)
    return NOT_UP if trouble(view) else 0


def _table(columns: tuple[str, ...], rows: Sequence[Cells]) -> str:
    """The colour of a row is that of its state."""
    head, *lines = aligned([columns, *texts(rows)], {"RUN"}).splitlines()
    tones = (COLORS.get(row.tone) for row in rows)
    return "".join(f"{line}\n" for line in [head, *(click.style(t, fg=c) for t, c in zip(lines, tones, strict=True))])


# -- why -------------------------------------------------------------------------------------------------------------


def is_own(client: Client, host: str) -> bool:
    """The host is the one whose daemon answers."""
    word: ClusterWord | None = client.get("/v1/cluster")["word"]
    return word is not None and word["node"] == host


def why(client: Client, service: str, host: str, as_json: bool) -> None:
    """Explain a service from what another host keeps in ZooKeeper.  NoSuchService; OperationFailed where that cannot be
    read now."""
    detail: HostDetail = client.get(f"/v1/cluster/hosts/{host}")
    found = stories(detail, service, {slot: node for node, slots in _members(client).items() for slot in slots})
    if not found:
        names = known_names(detail)
        if detail["age_s"] is None:  # a host that belongs may have told much that cannot be read now
            raise OperationFailed(contact(detail)) if host in _members(client) else NoSuchService(contact(detail))
        hint = f"It told of: {', '.join(names)}." if names else ""
        raise NoSuchService(f"{contact(detail)}; it has told nothing of {service!r}", hint)
    about = {"host": host, "here": detail["here"], "age_s": detail["age_s"], "error": detail["error"]}
    for number, story in enumerate(found):
        if as_json:
            _print_json({**story, **about})
        else:
            first = f"{contact(detail)}.\n" if number == 0 else "\n"
            click.echo(first + "\n".join(map(printable, tell(story))))


def _members(client: Client) -> dict[str, list[str]]:
    """The hosts that belong to the cluster, each with the slots that it holds."""
    word: ClusterWord | None = client.get("/v1/cluster")["word"]
    return {one["node"]: one["slots"] for one in word["members"]} if word is not None else {}


# -- events ----------------------------------------------------------------------------------------------------------


class HostEvents:
    """The events of all hosts: those of this one from its ledger, those of the others from what they keep."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._last: dict[str, int] = {}
        """The last event of each host that was seen."""

    def new(self, since: float | None) -> list[HostEvent]:
        """Those that were not seen yet, by their time, each with its host."""
        view: HostsView = self._client.get("/v1/cluster/hosts")
        found: list[HostEvent] = []
        for host in (one["node"] for one in view["hosts"]):
            known = host in self._last
            fresh = self._own(host, since) if host == view["node"] else self._told(host, since, known)
            self._last[host] = max((one["id"] for one in fresh), default=self._last.get(host, 0))
            found += [{**one, "host": host} for one in fresh]
        return sorted(found, key=lambda one: (one["at"], one["host"], one["id"]))

    def _own(self, host: str, since: float | None) -> list[Event]:
        if host not in self._last and since is not None:
            return list(everything(FromDaemon(self._client), (), since))
        return self._client.events(after=self._last.get(host), limit=PAGE)

    def _told(self, host: str, since: float | None, known: bool) -> list[Event]:
        detail: HostDetail = self._client.get(f"/v1/cluster/hosts/{host}")
        events = detail["record"]["events"] if detail["record"] is not None else []
        if not known and (host_state(detail) == "away" or detail["record"] is None):
            click.echo(contact(detail), err=True)
        last = self._last.get(host, 0)
        fresh = [one for one in events if one["id"] > last and (since is None or _seconds(one) >= since)]
        if known and fresh and fresh[0]["id"] > last + 1:
            click.echo(f"{host}: events between {last} and {fresh[0]['id']} are only on that host", err=True)
        return fresh


def events(
    client: Client, follow: bool, lines: int | None, since: float | None, services: Sequence[str]
) -> Iterator[HostEvent]:
    """The events of all hosts in the order of their time; at first the last `lines`, or where that is None all since
    `since`."""
    source, first = HostEvents(client), True
    while first or follow:
        found = [one for one in source.new(since) if wanted(one["instance"], one["service"], services)]
        yield from found[max(0, len(found) - lines) if first and lines is not None else 0 :]
        first = False
        if follow:
            time.sleep(LOOK)


def _seconds(event: Event) -> float:
    from supervisor.core.text.timestamps import from_iso

    return from_iso(event["at"])


def _print_json(value: Any) -> None:
    from json import dumps

    click.echo(dumps(value))
