"""What the control API needs from the daemon: the `Daemon` protocol, and the `Subscriber` that is passed to it.

The API declares the protocol itself, so that it imports no module of the daemon. The daemon implements it, and so do
the doubles in tests and fuzzers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from supervisor.adapters.http.messages import Peer
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
"""The greatest number that is accepted as an event's id; SQLite's limit is 2**63 - 1."""


@dataclass(slots=True)
class Subscriber:
    """A client that follows the daemon.

    The daemon filters by `topics` ("events", "status", "logs") and `services` (services, instances or groups; empty:
    all). It calls `on_status` with what `Daemon.status(services)` returns: at once, every `interval` seconds, and soon
    after a transition.
    """

    topics: frozenset[str]
    services: tuple[str, ...]
    interval: float
    on_event: Callable[[Event], None]
    on_log: Callable[[str, Sequence[str]], None]
    on_status: Callable[[Status], None]


class Daemon(Protocol):
    """A running supervisor, as the control API sees it. Every method is synchronous and quick."""

    @property
    def file(self) -> str:
        """The absolute path of the configuration that the daemon runs."""
        ...

    def status(self, services: Sequence[str] = ()) -> Status: ...

    def instance(self, name: str) -> InstanceDetail:
        """All about one instance. Raises NoSuchService."""
        ...

    def services(self) -> Services: ...

    # `peer`: the client that gave the order; None where it is not known.

    def act(
        self,
        verb: str,
        services: Sequence[str],
        signal: str | None = None,
        *,
        insist: bool = False,
        peer: Peer | None = None,
    ) -> list[str]:
        """Do `verb`; returns the names of the instances that are affected. Raises NoSuchService, UsageError, and
        OperationFailed for a signal that a process does not handle and that would end or stop it, unless `insist`."""
        ...

    def down(self, peer: Peer | None = None) -> None: ...

    def reload(
        self, dry_run: bool, done: Callable[[Difference | SupervisorError], None], peer: Peer | None = None
    ) -> None:
        """Apply the edited configuration, or only compare it if `dry_run`. Calls `done` later."""
        ...

    def upgrade(
        self, python: str | None, done: Callable[[Upgrade | SupervisorError], None], peer: Peer | None = None
    ) -> None:
        """Replace the running program by that of `python`. Calls `done` later, before it happens."""
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
        """A page of the log. Raises NoSuchService; ValueError for a malformed cursor, OSError if unreadable."""
        ...

    def metrics(self) -> str: ...

    def watch(self, subscriber: Subscriber) -> Callable[[], None]:
        """Follow the daemon; returns a function that ends this. Raises NoSuchService."""
        ...
