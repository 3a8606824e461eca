"""What the control API asks of the daemon: the `Daemon` protocol, and the `Subscriber` that it is handed.

The API declares it, so that it knows no module of the daemon: the daemon implements the protocol, and so do the doubles
in tests and fuzzers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from supervisor.adapters.ledger.store import EventQuery
from supervisor.errors import SupervisorError

if TYPE_CHECKING:
    from supervisor.core.model.documents import (
        Difference,
        Event,
        Evidence,
        InstanceDetail,
        Logs,
        Services,
        Status,
        Upgrade,
    )


MOST_ID = 2**62
"""The greatest number that is taken for an event's id: SQLite counts to 2**63."""


@dataclass(slots=True)
class Subscriber:
    """A client that follows the daemon.  The daemon filters by `topics` ("events", "status", "logs") and `services`
    (services, instances or groups; empty: all), and calls `on_status` with what `Daemon.status(services)` returns: at
    once, every `interval` seconds, and soon after a transition."""

    topics: frozenset[str]
    services: tuple[str, ...]
    interval: float
    on_event: Callable[[Event], None]
    on_log: Callable[[str, Sequence[str]], None]
    on_status: Callable[[Status], None]


class Daemon(Protocol):
    """A running supervisor, as the control API sees it.  Every method is synchronous and quick."""

    def status(self, services: Sequence[str] = ()) -> Status: ...

    def instance(self, name: str) -> InstanceDetail:
        """NoSuchService."""
        ...

    def services(self) -> Services: ...

    def act(self, verb: str, services: Sequence[str], signal: str | None = None) -> list[str]:
        """Names of the instances that are affected.  NoSuchService, UsageError."""
        ...

    def down(self) -> None: ...

    def reload(self, dry_run: bool, done: Callable[[Difference | SupervisorError], None]) -> None:
        """Answers later."""
        ...

    def upgrade(self, python: str | None, done: Callable[[Upgrade | SupervisorError], None]) -> None:
        """Answers later, before it happens."""
        ...

    def events(self, query: EventQuery) -> list[Event]: ...

    def evidence(self, event_id: int) -> Evidence | None: ...

    def logs(
        self,
        instance: str,
        *,
        lines: int | None = None,
        since: float | None = None,
        before: str | None = None,
        after: str | None = None,
    ) -> Logs:
        """NoSuchService; ValueError for what is no cursor, OSError for what cannot be read."""
        ...

    def metrics(self) -> str: ...

    def watch(self, subscriber: Subscriber) -> Callable[[], None]:
        """The answer ends the watch.  NoSuchService."""
        ...
