"""The screen of the dashboard: its panes, arranged by the size of the terminal, and its keys."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, cast

from textual import on
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.events import DescendantFocus, Resize
from textual.screen import Screen
from textual.widgets import Input

from supervisor.control_socket import process_words
from supervisor.dashboard.commands import CommandSender
from supervisor.dashboard.detail import Detail
from supervisor.dashboard.detail_loader import DetailLoader
from supervisor.dashboard.detail_text import one_line
from supervisor.dashboard.dialogs import Page
from supervisor.dashboard.event_pane import EventPane
from supervisor.dashboard.evidence import evidence_page
from supervisor.dashboard.header import Header
from supervisor.dashboard.help import help_lines
from supervisor.dashboard.keybar import BINDINGS, LOG, TABLE, KeyBar
from supervisor.dashboard.lineview import LineView
from supervisor.dashboard.logpane import LogPane
from supervisor.dashboard.model import Model
from supervisor.dashboard.prompt import Prompt
from supervisor.dashboard.services.folding import find_row
from supervisor.dashboard.story import as_page, story_lines
from supervisor.dashboard.stream_reader import Client, ask
from supervisor.dashboard.table import Table

if TYPE_CHECKING:
    from supervisor.core.model.documents import Event
    from supervisor.core.model.evidence_documents import Evidence
    from supervisor.core.model.host_documents import HostsView

TICK = 1.0
QUICK_TICK = 0.25
"""Seconds from one drawing to the next while a countdown below ten seconds is shown."""
PAUSE = 0.2
"""Seconds from one drawing to the next at least, however fast states change."""
GATHER = 0.05
"""Seconds from news to its drawing at least: the events of a change, and the status after it, come one by one."""
PANES = ("detail", "log", "feed")


class Overview(Screen[object]):
    """Draws the model.  Its own state is only the cursor, the marks and the panes."""

    BINDINGS: ClassVar[list[BindingType]] = [*BINDINGS]

    def __init__(self, model: Model, orders: CommandSender, client: Client) -> None:
        super().__init__()
        self.model, self.orders = model, orders
        self._client = client
        self._drawn = 0.0
        self._draw_due = False
        self._detail_changed = False
        self._needle = ""

    def compose(self) -> ComposeResult:
        self.header, self.table, self.detail = Header(id="header"), Table(id="table"), Detail(id="detail")
        self.feed, self.log_pane = EventPane(id="feed"), LogPane(id="log")
        self.brief, self.prompt, self.keys = LineView(id="brief"), Prompt(), KeyBar(id="keys")
        self.brief.can_focus = False
        yield self.header
        with Container(id="body") as self.body:
            yield self.table
            yield self.detail
            yield self.feed
            yield self.log_pane
        yield self.brief
        yield self.prompt
        yield self.keys

    def on_mount(self) -> None:
        app = cast("App[bool]", self.app)
        self.attention = DetailLoader(app, self._client, self.table, self.detail, self.log_pane, self._draw_detail)
        self.set_interval(TICK, self._tick)
        self._quick = self.set_interval(QUICK_TICK, self._draw, pause=True)
        self.table.focus()

    def on_unmount(self) -> None:
        self.attention.tail.close()

    # -- news

    def renewed(self, *, resumed: bool = False) -> None:
        """Draw a new status, or that none comes any more.  `resumed`: the connection was lost before."""
        self._draw_soon()
        self.attention.refresh()
        if resumed:
            self.attention.tail.resume()

    def happened(self, events: Sequence[Event]) -> None:
        """Draw new events of the ledger."""
        self._draw_soon()
        held = self.table.held
        self._detail_changed |= any(event["instance"] in held for event in events)

    # -- drawing

    def _draw_soon(self) -> None:
        """Draw in a moment, and PAUSE seconds after the last drawing, so that many changes cost no more than a few."""
        if not self._draw_due:
            self._draw_due = True
            self.set_timer(max(GATHER, self._drawn + PAUSE - time.monotonic()), self._draw)

    def _tick(self) -> None:
        """Draw countdowns and ages, which change although no status comes."""
        if time.monotonic() - self._drawn > 0.9 * TICK:
            self._draw()

    def _draw(self) -> None:
        self._drawn, self._draw_due = time.monotonic(), False
        now, model = self._drawn, self.model
        process = process_words(model.status["supervisor"]["pid"]) if model.status and model.silent(now) else ""
        lost = model.lost_words(now, process)
        self.header.show(model.status, model.history, model.link(now), lost, model.age(now))
        self.table.show(
            model.rows(now, time.time(), self._rows_that_fit, self.table.held), model.sort, model.descending
        )
        self._draw_detail()
        if self._detail_changed:
            self._detail_changed = False
            self.attention.refresh(0.0)
        if self.feed.display:
            self.feed.show(model.history.events)
        if model.soon(now):
            self._quick.resume()
        else:
            self._quick.pause()

    def _draw_detail(self) -> None:
        row = self.table.row
        if self.detail.display:
            self.detail.show(row, self.attention.more)
        if self.brief.display:
            self.brief.set_lines([one_line(row, self.size.width)] if row else [])
        marked = len(self.table.instances) if self.table.marked else 0
        self.prompt.tell(self.model.filter, self.model.problems_only, self.model.hidden, marked)

    # -- the instance at the cursor

    @on(Table.Moved)
    def _moved(self) -> None:
        self._draw_detail()
        self.attention.moved()

    @on(LogPane.Paused)
    def _paused(self) -> None:
        if not self.log_pane.paused:
            self.attention.tail.resume()

    @on(LogPane.Older)
    def _older(self) -> None:
        self.attention.tail.older()

    # -- the room there is

    def on_resize(self, event: Resize) -> None:
        width, height = event.size
        size = "large" if width >= 160 and height >= 40 else "medium" if width >= 100 and height >= 30 else "small"
        if not self.has_class(f"-{size}"):
            self.remove_class("-small", "-medium", "-large").add_class(f"-{size}")
            if not self._has_pane:
                self._show_pane("log")
        self._bound_table()
        self.call_after_refresh(self._arranged)

    def _bound_table(self) -> None:
        """Give the table at most half of the screen, unless nothing else is shown."""
        self.table.styles.max_height = "100%" if self._alone else self.size.height // 2

    @property
    def _rows_that_fit(self) -> int:
        """The rows that the table can show at once, below its head."""
        body = self.body.size.height
        return (body if self._alone else min(body, self.size.height // 2)) - 1

    @property
    def _alone(self) -> bool:
        """The table has the screen for itself."""
        return not self._has_pane and self.has_class("-small")

    @property
    def _has_pane(self) -> bool:
        """A pane was chosen; a large terminal shows the others as well."""
        return any(self.has_class(f"-pane-{pane}") for pane in PANES)

    def _show_pane(self, pane: str) -> None:
        self.remove_class(*(f"-pane-{p}" for p in PANES))
        if pane:
            self.add_class(f"-pane-{pane}")
        self._bound_table()
        self.call_after_refresh(self._arranged)

    def _arranged(self) -> None:
        """Follow a changed arrangement: fill the visible panes, and focus the table if the focus was lost."""
        if self.focused is None or not self.focused.display:
            self.table.focus()
        self.keys.show(LOG if self.focused is self.log_pane else TABLE)
        self._draw()
        self.attention.settled()

    @on(DescendantFocus)
    def _focus_moved(self) -> None:
        self.keys.show(LOG if self.focused is self.log_pane else TABLE)

    def action_pane(self, pane: str) -> None:
        """Show a pane and focus it.  On a small terminal, which has room for one pane, a second time hides it."""
        widget = {"detail": self.detail, "log": self.log_pane, "feed": self.feed}[pane]
        self.remove_class("-full")
        if self.has_class(f"-pane-{pane}") and widget is self.focused and self.has_class("-small"):
            self._show_pane("")
            self.table.focus()
            return
        if not self.has_class("-large"):
            self._show_pane(pane)
        self.call_after_refresh(widget.focus)

    def action_full_log(self) -> None:
        self.toggle_class("-full")
        full = self.has_class("-full")
        self.call_after_refresh(self._arranged)
        self.call_after_refresh((self.log_pane if full else self.table).focus)

    @on(Table.Opened)
    def _opened(self) -> None:
        """Show the log of an instance; fold or unfold a service."""
        row = self.table.row
        if row is not None and row.service is not None:
            self._fold([row.name], not row.service.folded)
        else:
            self.action_full_log()

    @on(Table.Fold)
    def _folded(self, message: Table.Fold) -> None:
        self._fold([message.service], message.folded)

    def action_fold(self, service: str) -> None:
        """Fold or unfold a service."""
        folded = any(row.service.folded for row in self.table.rows if row.service and row.name == service)
        self._fold([service], not folded)

    def action_fold_all(self) -> None:
        """Fold all services; unfold them if all are folded."""
        services = {row.name: row.service for row in self.table.rows if row.service is not None}
        self._fold(list(services), not all(service.folded for service in services.values()))

    def _fold(self, services: Sequence[str], folded: bool) -> None:
        self.model.folds.choose(services, folded)
        self._draw()

    def action_back(self) -> None:
        """Undo one thing: the full-screen log, a search, the focus, the marks, the filter, or a pane."""
        if self.has_class("-full"):
            self.action_full_log()
        elif self.log_pane.pattern is not None and self.focused is self.log_pane:
            self.log_pane.search("")
        elif self.focused is not self.table:
            self.table.focus()
        elif self.table.marked:
            self.table.clear_marks()
        elif self.model.filter or self.model.problems_only:
            self.model.filter, self.model.problems_only = "", False
            self._draw()
        elif self.has_class("-small"):
            self._show_pane("")

    # -- orders

    def action_act(self, verb: str) -> None:
        self.orders.act(verb, self.table.targets)

    def action_signal(self) -> None:
        self.orders.signal(self.table.targets)

    # -- finding

    def action_ask(self, what: str) -> None:
        """Open the prompt for a filter or a search; in the log, the search is for text in it."""
        if what == "search" and self.focused is self.log_pane:
            what = "log"
        self.prompt.open(what, self.model.filter if what == "filter" else "")

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        if self.prompt.what == "filter":
            self.model.filter = event.value
            self._draw()
        elif self.prompt.what == "search":
            self._needle = event.value
            self._go_to_hit(self.table.index, 1)

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        if self.prompt.what == "log":
            self.log_pane.search(event.value)
        self._close_prompt()

    @on(Prompt.Given)
    def _given_up(self) -> None:
        if self.prompt.what == "filter":
            self.model.filter = ""
            self._draw()
        self._close_prompt()

    def _close_prompt(self) -> None:
        (self.log_pane if self.prompt.what == "log" else self.table).focus()
        self.prompt.close()

    def action_again(self, step: int) -> None:
        self._go_to_hit(self.table.index + step, step)

    def _go_to_hit(self, start: int, step: int) -> None:
        hit = find_row(self.table.rows, self._needle, start, step)
        if hit is not None:
            self.table.go_to(hit)

    def action_problems(self) -> None:
        self.model.problems_only = not self.model.problems_only
        self._draw()

    def action_show_only(self, word: str) -> None:
        self.model.filter = "" if self.model.filter == word else word
        self._draw()

    def action_sort(self) -> None:
        self.model.next_sort()
        self._draw()

    def action_sort_by(self, sort: str) -> None:
        self.model.sort_by(sort)
        self._draw()

    def action_reverse(self) -> None:
        self.model.sort_by(self.model.sort)
        self._draw()

    def action_mark(self) -> None:
        self.table.action_mark(1)

    def action_mark_all(self) -> None:
        self.table.mark_all()

    def action_log(self, what: str) -> None:
        self.run_worker(self.log_pane.run_action(what))

    # -- reading

    def action_help(self) -> None:
        self.app.push_screen(Page("help", help_lines))

    def action_why(self) -> None:
        """The story of the last failures of the instance at the cursor; of a service, of its worst instance."""
        if self.table.row:
            name = self.table.row.instance

            def show(lines: list[str]) -> None:
                self.app.push_screen(Page(f"why {name}", lambda width: as_page(lines, width)))

            ask(self.app.post_message, lambda: story_lines(self._client, name), show, self.orders.refused)

    def action_hosts(self) -> None:
        """All hosts of the cluster."""
        from supervisor.dashboard.hosts import HostsPage, read  # few have a cluster

        def show(view: HostsView) -> None:
            self.app.push_screen(HostsPage(self._client, view))

        ask(self.app.post_message, lambda: read(self._client), show, self.orders.refused)

    def action_last_evidence(self) -> None:
        """What was captured last of the instance at the cursor; of a service, of any of its instances."""
        row, known = self.table.row, self.model.history.last_evidence
        numbers = [known[name] for name in row.instances if name in known] if row else []
        if numbers:
            self.action_evidence(max(numbers))
        else:
            self.notify("nothing captured of this instance yet", timeout=3)

    def action_evidence(self, number: int) -> None:
        """What was captured before a kill."""

        def show(answer: Evidence) -> None:
            self.app.push_screen(Page(f"evidence of event {number}", lambda _: list(evidence_page(answer))))

        ask(self.app.post_message, lambda: self._client.evidence(number), show, self.orders.refused)
