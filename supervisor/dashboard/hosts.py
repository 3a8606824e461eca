"""The page of the cluster's hosts: a row for each member, and what is placed where.  It is read again and again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len

from supervisor.dashboard.dialogs import Page
from supervisor.dashboard.lineview import LineView
from supervisor.dashboard.spans import Line, Span, clean, cut, line
from supervisor.dashboard.stream_reader import Client, ask
from supervisor.display.hosts import HOST_COLUMNS, INSTANCE_COLUMNS, Cells, heads, host_cells, instance_rows

if TYPE_CHECKING:
    from supervisor.core.model.host_documents import HostsView
    from supervisor.errors import SupervisorError

EVERY = 2.0
"""Seconds from one reading to the next; only while the page is open."""
WIDE = 90
"""Cells from which a row has all columns.  A narrower page shows notes below, and leaves the least wanted out."""
LEAST_WANTED = ("READY", "SINCE")


def read(client: Client) -> HostsView:
    """All hosts, as the daemon of this one shows them.  SupervisorError."""
    view: HostsView = client.get("/v1/cluster/hosts")
    return view


def hosts_lines(view: HostsView, width: int, error: str = "") -> list[Line]:
    """The page.  `error`: why it is not read any more."""
    out = [line(Span(clean(error), "alarm"))] if error else []
    out += [line(Span(text, tone)) for text, tone in heads(view)]
    hosts = [host_cells(host) for host in view["hosts"]]
    out += _table(HOST_COLUMNS, hosts, width, ("NOTE",) if width < WIDE else ())
    rows = instance_rows(view)
    return [*out, (), *_table(INSTANCE_COLUMNS, rows, width, LEAST_WANTED if width < WIDE else ())]


def _table(columns: Sequence[str], rows: Sequence[Cells], width: int, left_out: Sequence[str]) -> Iterator[Line]:
    """The state has the tone of its row.  A note that is left out of the row stands below it."""
    shown = [number for number, name in enumerate(columns) if name not in left_out]
    every = [columns, *(row.texts for row in rows)]
    widths = [max(cell_len(texts[number]) for texts in every) + 2 for number in shown]

    def cells(texts: Sequence[str], tones: Sequence[str]) -> Line:
        padded = (texts[n] + " " * (w - cell_len(texts[n])) for n, w in zip(shown, widths, strict=True))
        return cut(line(*(Span(text, tones[n]) for n, text in zip(shown, padded, strict=True))), width)

    yield cells([name.lower() for name in columns], ["muted"] * len(columns))
    for row in rows:
        tones = ["strong", *(row.tone if name == "STATE" else "plain" for name in columns[1:])]
        yield cells(row.texts, tones)
        if "NOTE" in left_out and row.texts[-1]:
            yield cut(line("    ", Span(row.texts[-1], "muted")), width)


class HostsPage(Page):
    """Opened with what was read first."""

    def __init__(self, client: Client, view: HostsView) -> None:
        super().__init__("hosts", self._text)
        self._client, self._view, self._error, self._asked = client, view, "", False

    def on_mount(self) -> None:
        self.set_interval(EVERY, self._read)

    def _text(self, width: int) -> list[Line]:
        return hosts_lines(self._view, width, self._error)

    def _read(self) -> None:
        if not self._asked:
            self._asked = True
            ask(self.app.post_message, lambda: read(self._client), self._take, self._failed)

    def _take(self, view: HostsView) -> None:
        self._view, self._error, self._asked = view, "", False
        self._draw()

    def _failed(self, error: SupervisorError) -> None:
        self._error, self._asked = f"not read any more: {error.message}", False
        self._draw()

    def _draw(self) -> None:
        for page in self.query(LineView):  # none where the answer comes after the page was closed
            page.set_lines(self._text(page.room))
