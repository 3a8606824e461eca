"""The detail pane: everything about the instance at the cursor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from supervisor.dashboard.detail_text import detail
from supervisor.dashboard.lineview import LineView
from supervisor.dashboard.row_status import Row

if TYPE_CHECKING:
    from supervisor.core.model.documents import InstanceDetail


class Detail(LineView, can_focus=True):
    """The pane.  It scrolls, and starts at the top whenever another instance is shown."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._row: Row | None = None
        self._more: InstanceDetail | None = None

    def show(self, row: Row | None, more: InstanceDetail | None) -> None:
        """Show an instance.  `more`: /v1/instances/NAME, the last answer until a newer one comes; None without any."""
        if row is None or self._row is None or row.key != self._row.key:
            self.scroll_home(animate=False)
        self._row, self._more = row, more
        self.entitle(row.name if row else "detail")
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        self.set_lines(detail(self._row, self._more, self.room) if self._row and self.room else [])
