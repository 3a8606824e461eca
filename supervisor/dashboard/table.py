"""The table of services and instances: the cursor stays on its row when rows move; rows are marked; the head sorts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip

from supervisor.dashboard.cells import INDENT, Column, columns, row_line, title_line
from supervisor.dashboard.lineview import LineView
from supervisor.dashboard.row_status import Row, service_key
from supervisor.dashboard.spans import Line


class Table(LineView, can_focus=True):
    """Rows below a fixed head.  Line 0 is the head; row n is line n + 1."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "up", show=False),
        Binding("down,j", "move(1)", "down", show=False),
        Binding("pageup", "page(-1)", "page up", show=False),
        Binding("pagedown", "page(1)", "page down", show=False),
        Binding("home,g", "move(-100000)", "first", show=False),
        Binding("end,G", "move(100000)", "last", show=False),
        Binding("space", "mark(1)", "mark", show=False),
        Binding("shift+down", "mark(1)", "mark and go down", show=False),
        Binding("shift+up", "mark(-1)", "mark and go up", show=False),
        Binding("enter", "open", "open", show=False),
        Binding("left", "fold(True)", "fold", show=False),
        Binding("right", "fold(False)", "unfold", show=False),
    ]

    class Moved(Message):
        """The cursor is on another row, or the marks changed."""

    class Opened(Message):
        """A row was opened, by enter; an instance also by a double click."""

    class Fold(Message):
        """A service is to be folded or unfolded."""

        def __init__(self, service: str, folded: bool) -> None:
            super().__init__()
            self.service, self.folded = service, folded

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._rows: list[Row] = []
        self._places: dict[str, int] = {}
        """Where each row is, by its key."""
        self._columns: list[Column] = []
        self._made: dict[int, Line] = {}
        self._sort: tuple[str, bool] = ("trouble", True)
        self.current = ""
        """The key of the row at the cursor."""
        self.marked: set[str] = set()

    @property
    def index(self) -> int:
        """The cursor's row."""
        return self._places.get(self.current, 0)

    @property
    def rows(self) -> Sequence[Row]:
        """The rows that are shown, from the top."""
        return self._rows

    @property
    def number(self) -> int:
        return len(self._rows)

    @property
    def row(self) -> Row | None:
        """The row at the cursor; None if the table is empty."""
        return self._rows[self.index] if self._rows else None

    @property
    def targets(self) -> list[str]:
        """What a command names: the marked services and instances, else those of the row at the cursor."""
        whole = {row.name for row in self._chosen if row.service is not None and row.service.whole}
        named = [
            name for row in self._chosen if not (row.nested and row.view["service"] in whole) for name in row.targets
        ]
        return list(dict.fromkeys(named))

    @property
    def instances(self) -> list[str]:
        """The instances that are marked, else those of the row at the cursor."""
        return list(dict.fromkeys(name for row in self._chosen for name in row.instances))

    @property
    def held(self) -> set[str]:
        """The single instances that are marked, and the one at the cursor: folding would hide them."""
        chosen = (self._rows[self._places[key]] for key in {self.current, *self.marked} & self._places.keys())
        return {row.name for row in chosen if row.service is None}

    @property
    def _chosen(self) -> list[Row]:
        return [r for r in self._rows if r.key in self.marked] or ([self.row] if self.row else [])

    def show(self, rows: Sequence[Row], sort: str, descending: bool) -> None:
        """Show these rows.  The cursor stays on its row; if that was folded, it goes to its service; if that is gone,
        near its place."""
        before, here = self.index, self.row
        self._rows, self._sort = list(rows), (sort, descending)
        keys = [row.key for row in rows]
        self._places = {key: n for n, key in enumerate(keys)}
        self.marked &= self._places.keys()
        if self.current not in self._places:
            above = service_key(here.view["service"]) if here is not None else ""
            near = keys[min(before, len(keys) - 1)] if keys else ""
            self.current = above if above in self._places else near
            self.post_message(self.Moved())
        self._draw()
        if self.index != before:
            self._scroll_to_cursor()

    def go_to(self, index: int) -> None:
        """Move the cursor to a row."""
        if not self._rows:
            return
        key = self._rows[max(0, min(index, len(self._rows) - 1))].key
        if key != self.current:
            self.current = key
            self._draw()
            self.post_message(self.Moved())
        self._scroll_to_cursor()

    def mark_all(self) -> None:
        """Mark all instances that are shown, and folded services; if all are marked already, none."""
        keys = {row.key for row in self._rows if row.service is None or row.service.folded}
        self.marked = set() if self.marked >= keys else keys
        self._marks_changed()

    def clear_marks(self) -> None:
        self.marked = set()
        self._marks_changed()

    def action_move(self, by: int) -> None:
        self.go_to(self.index + by)

    def action_page(self, direction: int) -> None:
        self.go_to(self.index + direction * max(1, self.size.height - 2))

    def action_mark(self, by: int) -> None:
        if self.current:
            self.marked ^= {self.current}
            self._marks_changed()
            self.go_to(self.index + by)

    def action_fold(self, folded: bool) -> None:
        """Fold or unfold the service at the cursor.  To fold, from one of its instances, is to go to it first."""
        row = self.row
        if row is not None and row.service is not None:
            self.post_message(self.Fold(row.name, folded))
        elif row is not None and row.nested and folded:
            self.go_to(self._places[service_key(row.view["service"])])

    def action_open(self) -> None:
        self.post_message(self.Opened())

    def on_click(self, event: events.Click) -> None:
        row = event.y - 1 + self.scroll_offset.y
        if event.y == 0 or not 0 <= row < len(self._rows):
            return
        self.go_to(row)
        if event.ctrl or event.shift or event.meta:
            self.marked ^= {self.current}
            self._marks_changed()
        elif event.chain == 2 and self._rows[row].service is None:
            self.action_open()

    def on_resize(self) -> None:
        self._draw()

    def overlay(self, index: int) -> str:
        return "line--cursor" if 0 < index <= len(self._rows) and self._rows[index - 1].key == self.current else ""

    def render_line(self, y: int) -> Strip:
        return self.strip(0 if y == 0 else y + self.scroll_offset.y)

    def _marks_changed(self) -> None:
        self._draw()
        self.post_message(self.Moved())

    def line_at(self, index: int) -> Line:
        """The line, made when it comes into view: of a thousand rows only those on the screen are drawn."""
        if index not in self._made and index <= len(self._rows):
            self._made[index] = self._make(index)
        return self._made.get(index, ())

    def _make(self, index: int) -> Line:
        if index == 0:
            return title_line(self._columns, *self._sort)
        row = self._rows[index - 1]
        return row_line(row, self._columns, here=row.key == self.current, marked=row.key in self.marked)

    def _draw(self) -> None:
        width = self.room
        if not width:
            return
        self._columns = columns(
            width,
            max((len(r.name) + INDENT * (r.nested or r.service is not None) for r in self._rows), default=8),
            self._sort[0],
        )
        before, self._made = self._made, {}
        if self.virtual_size.height != len(self._rows) + 1:
            self.virtual_size = Size(0, len(self._rows) + 1)
            self.refresh()
        top = self.scroll_offset.y
        shown = ((y, y + top if y else 0) for y in range(self.size.height))
        self.draw_again(y for y, index in shown if self.line_at(index) != before.get(index))

    def _scroll_to_cursor(self) -> None:
        line, top, room = self.index, self.scroll_offset.y, self.size.height - 1
        if line < top:
            self.scroll_to(y=line, animate=False)
        elif line >= top + room:
            self.scroll_to(y=line - room + 1, animate=False)
