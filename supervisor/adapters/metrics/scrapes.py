"""Makes the pages that clients ask for, a slice in each turn of the event loop, so that no heartbeat waits for them."""

from __future__ import annotations

from collections.abc import Callable, Generator
from importlib import import_module
from typing import TYPE_CHECKING

from supervisor.adapters.eventloop.slices import in_slices
from supervisor.errors import OperationFailed, SupervisorError

if TYPE_CHECKING:
    from supervisor.adapters.metrics.page import Page

SLICE = 0.001
"""Seconds after which a slice ends; the step that is under way is finished."""

Answer = Callable[[bytes | SupervisorError], None]


MODULES = (
    "supervisor.adapters.metrics.families",
    "supervisor.adapters.metrics.turns",
    "supervisor.core.balancing.slots",
    "supervisor.core.history.ratios",
    "supervisor.core.services.rollout",
    "supervisor.adapters.metrics.page",
    "supervisor.daemon.metrics_source",
)
"""What a page needs and a daemon that was never asked has not imported, each after what it imports itself."""


def imports() -> Generator[None, None, None]:
    """Import one module in each step, because each takes milliseconds."""
    for name in MODULES:
        import_module(name)
        yield


class Scrapes:
    """Answers requests for the metrics, one page at a time.

    Requests that come while a page is made share the next one: it holds nothing older than the request, and many
    clients cost no more than one. `call_soon` and `now` are the event loop's.
    """

    def __init__(
        self, call_soon: Callable[[Callable[[], None]], None], now: Callable[[], float], begin: Callable[[], Page]
    ) -> None:
        self._call_soon, self._now, self._begin = call_soon, now, begin
        self._page: Page | None = None
        self._served: list[Answer] = []
        self._next: list[Answer] = []

    def ask(self, done: Answer) -> None:
        """Call `done` later, with the text of a page that was begun after this call."""
        self._next.append(done)
        if self._page is None:
            self._start()

    def _start(self) -> None:
        self._served, self._next = self._next, []
        self._page = self._begin()
        in_slices(self._call_soon, self._now, self._page, SLICE, self._finish, self._fail)

    def _fail(self) -> None:
        self._finish(OperationFailed("the metrics could not be made", "The daemon's log says why."))

    def _finish(self, answer: bytes | SupervisorError) -> None:
        served, self._served, self._page = self._served, [], None
        if self._next:
            self._start()
        for done in served:
            done(answer)
