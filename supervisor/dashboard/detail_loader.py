"""Fetches the details and the output of the instance at the cursor, while their panes are visible."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.app import App

from supervisor.dashboard.detail import Detail
from supervisor.dashboard.logpane import LogPane
from supervisor.dashboard.stream_reader import Client, ask
from supervisor.dashboard.table import Table
from supervisor.dashboard.tail import Tail
from supervisor.errors import SupervisorError

if TYPE_CHECKING:
    from supervisor.core.model.documents import InstanceDetail

SETTLE = 0.15
"""Seconds that the cursor must rest on a row before its details are requested."""
FRESH = 2.0
"""Seconds after which details are fetched again, if they are in view."""


class DetailLoader:
    """Follows the table's cursor; calls `changed` when details have arrived."""

    def __init__(
        self, app: App[bool], client: Client, table: Table, detail: Detail, log: LogPane, changed: Callable[[], None]
    ) -> None:
        self._app, self._client, self._changed = app, client, changed
        self._table, self._detail, self._log = table, detail, log
        self.tail = Tail(client, app.post_message, app.set_timer, log)
        self._more: InstanceDetail | None = None
        self._asked = 0.0
        self._settling = False

    @property
    def more(self) -> InstanceDetail | None:
        """The details of the instance at the cursor; None until they have arrived, and of a service."""
        row = self._table.row
        here = row is not None and row.service is None and self._more is not None and self._more["name"] == row.name
        return self._more if here else None

    def moved(self) -> None:
        """Fetch soon, because the cursor has moved or other rows are marked."""
        if not self._settling:
            self._settling = True
            self._app.set_timer(SETTLE, self.settled)

    def settled(self) -> None:
        """Fetch for the panes that are visible."""
        self._settling = False
        self.refresh(0.0)
        if self._log.display:
            self.tail.watch(self._table.instances)
        else:
            self.tail.close()

    def refresh(self, if_older: float = FRESH) -> None:
        """Fetch the details of an instance again, unless their pane is hidden or they are less than `if_older` seconds
        old."""
        row, now = self._table.row, time.monotonic()
        if row is not None and row.service is None and self._detail.display and now - self._asked >= if_older:
            self._asked = now
            name = row.name
            ask(self._app.post_message, lambda: self._client.instance(name), self._take, _unanswered)

    def _take(self, answer: InstanceDetail) -> None:
        self._more = answer
        self._changed()


def _unanswered(_: SupervisorError) -> None:
    """Ignores the error: the stream reports a lost connection, the status a removed instance."""
