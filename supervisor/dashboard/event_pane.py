"""The event feed: every state change with its cause, the newest first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from supervisor.dashboard.eventline import event_line
from supervisor.dashboard.lineview import LineView
from supervisor.dashboard.spans import Line

if TYPE_CHECKING:
    from supervisor.core.model.documents import Event


class EventPane(LineView, can_focus=True):
    """Shows the events that `History` keeps."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._events: list[Event] = []
        self._made: dict[int, Line] = {}
        """The lines of the events, by their ids, for a pane as wide as `_made_for`."""
        self._made_for = 0

    def on_mount(self) -> None:
        self.entitle("events")

    def show(self, events: Sequence[Event]) -> None:
        """Show these events, given oldest first."""
        if len(events) == len(self._events) and (not events or events[-1] is self._events[-1]):
            return
        top = self.scroll_offset.y
        grown = len(events) - len(self._events) if top else 0
        self._events = list(events)
        self._draw()
        if grown > 0:  # a user who reads further down keeps the place
            self.scroll_to(y=top + grown, animate=False)

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        width = self.room
        if not width:
            return
        before = self._made if width == self._made_for else {}
        self._made_for = width
        self._made = {e["id"]: before.get(e["id"]) or event_line(e, instance=True, width=width) for e in self._events}
        self.set_lines(list(reversed(self._made.values())))
