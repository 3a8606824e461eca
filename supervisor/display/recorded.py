"""Reads what a running daemon has recorded: events, evidence and output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from supervisor.core.model.daemon_records import DAEMON
from supervisor.errors import NoSuchService, OperationFailed

if TYPE_CHECKING:
    from supervisor.core.model.documents import Event
    from supervisor.core.model.evidence_documents import Evidence
    from supervisor.core.model.log_documents import Logs

PAGE = 1000
"""Events of one page."""
LINES = 100
"""Events that are read unless a number is given."""
LAST_LINES = 5
"""Lines of output at the end of a run."""


class Client(Protocol):
    """What is needed of `supervisor.client.Client`."""

    def events(
        self,
        services: Sequence[str] = (),
        *,
        since: float | None = None,
        after: int | None = None,
        limit: int | None = None,
    ) -> list[Event]: ...

    def evidence(self, event_id: int) -> Evidence: ...

    def logs(
        self, name: str, *, lines: int | None = None, since: float | None = None, before: str | None = None
    ) -> Logs: ...


class Events(Protocol):
    """A source of events: a daemon or its ledger."""

    def events(
        self, services: Sequence[str], *, since: float | None = None, after: int | None = None, limit: int = LINES
    ) -> list[Event]: ...


def everything(source: Events, services: Sequence[str], since: float | None) -> Iterator[Event]:
    """All events from `since` on, page by page."""
    after = 0
    while page := source.events(services, since=since, after=after, limit=PAGE):
        yield from page
        after = page[-1]["id"]


def with_clock(source: Events, name: str, limit: int) -> list[Event]:
    """The last events of an instance, and those of the daemon since the first of them, in their order."""
    recorded = source.events([name], limit=limit)
    if recorded:
        recorded += source.events([DAEMON], after=recorded[0]["id"], limit=limit)
    return sorted(recorded, key=lambda event: event["id"])


class FromDaemon:
    """Reads from a running daemon."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def events(
        self, services: Sequence[str], *, since: float | None = None, after: int | None = None, limit: int = LINES
    ) -> list[Event]:
        return self._client.events(services, since=since, after=after, limit=limit)

    def evidence(self, event_id: int) -> Evidence | None:
        try:
            return self._client.evidence(event_id)
        except OperationFailed:
            return None  # it has been pruned since

    def words(self, instance: str, since: float | None, until: float | None) -> list[str]:
        try:
            end = None if until is None else self._client.logs(instance, since=until)["first"]
            page = self._client.logs(instance, since=since, before=end, lines=LAST_LINES)
        except (OperationFailed, NoSuchService):
            return []  # it cannot be read, or went with its instance
        return [line["text"] for line in page["lines"]]
