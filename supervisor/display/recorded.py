"""Reads what a running daemon has recorded: events, evidence and output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from supervisor.errors import OperationFailed

if TYPE_CHECKING:
    from supervisor.core.model.documents import Event, Evidence, Logs

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
        except OperationFailed:
            return []  # it cannot be read
        return [line["text"] for line in page["lines"]]
