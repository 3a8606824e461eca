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
    from supervisor.core.model.balance_documents import Balances
    from supervisor.core.model.breaker_document import BreakerStatus
    from supervisor.core.model.cluster_documents import ClusterView, NewOrder, OrderOutcome
    from supervisor.core.model.documents import Difference, Event, InstanceDetail, Scaled, Services, Status, Upgrade
    from supervisor.core.model.evidence_documents import Evidence
    from supervisor.core.model.host_documents import HostDetail, HostsView
    from supervisor.core.model.log_documents import Logs
    from supervisor.core.model.order_documents import Rollout, Rollouts
    from supervisor.core.model.push_documents import NewPush


MOST_ID = 2**62
"""The greatest number that is accepted as an event's id; SQLite's limit is 2**63 - 1."""


@dataclass(slots=True)
class Subscriber:
    """A client that follows the daemon.

    The daemon filters by `topics` ("events", "status", "logs") and `services` (services, instances or groups; empty:
    all). It calls `on_status` with what `Daemon.make_status(services)` makes: at once, every `interval` seconds, and
    soon after a transition. Then it calls `on_part`, where that is given, with the rows of the instances that changed;
    if that returns False, everything follows.  `for_order`: a command that waits for its order; its rows need not have
    CPU and memory, and come sooner.
    """

    topics: frozenset[str]
    services: tuple[str, ...]
    interval: float
    on_event: Callable[[Event], None]
    on_log: Callable[[str, Sequence[str]], None]
    on_status: Callable[[Status], None]
    on_part: Callable[[Status], bool] | None = None
    for_order: bool = False


class InCluster(Protocol):
    """What commands of a cluster ask and order."""

    def view(self) -> ClusterView:
        """The agent's last message."""
        ...

    def order(self, order: NewOrder) -> str:
        """Take an order for the agent; its number."""
        ...

    def push(self, push: NewPush, peer: Peer | None) -> str:
        """Take a push of a configuration for the agent; its number."""
        ...

    def outcome(self, number: str) -> OrderOutcome | None:
        """What became of an order; None where that is not known."""
        ...

    def hosts(self, done: Callable[[HostsView], None]) -> None:
        """All hosts of the cluster.  Calls `done` later, or at once."""
        ...

    def host(self, node: str, done: Callable[[HostDetail], None]) -> None:
        """One host with its record.  Calls `done` later, or at once."""
        ...


class Daemon(Protocol):
    """A running supervisor, as the control API sees it. Every method is synchronous and quick."""

    @property
    def file(self) -> str:
        """The absolute path of the configuration that the daemon runs."""
        ...

    def names(self, services: Sequence[str]) -> list[str]:
        """The instances of these services, instances and groups. Raises NoSuchService."""
        ...

    def make_status(self, services: Sequence[str], done: Callable[[Status | SupervisorError], None]) -> None:
        """Make the status of these services, instances and groups, or of all, in pieces between which the event loop
        turns. Calls `done` later. Raises NoSuchService."""
        ...

    def instance(self, name: str) -> InstanceDetail:
        """All about one instance. Raises NoSuchService."""
        ...

    def services(self) -> Services: ...

    def balance(self, services: Sequence[str] = ()) -> Balances:
        """The balanced services with their slots. Raises NoSuchService, and UsageError for one that is not balanced."""
        ...

    def cluster(self) -> InCluster:
        """The daemon's part in a cluster.  Raises OperationFailed where there is none."""
        ...

    def breaker(self, service: str) -> BreakerStatus:
        """The breaker of a service.  It is asked for often, and looks at nothing else.  Raises NoSuchService."""
        ...

    # `peer`: the client that gave the order; None where it is not known.

    def act(
        self,
        verb: str,
        services: Sequence[str],
        *,
        rolling: bool = False,
        peer: Peer | None = None,
    ) -> list[str]:
        """Do `verb`; returns the names of the instances that are affected. Raises NoSuchService, UsageError, and
        OperationFailed for a `rolling` restart of what is being rolled out."""
        ...

    def signal(
        self,
        services: Sequence[str],
        done: Callable[[list[str] | SupervisorError], None],
        signal: str | None = None,
        *,
        insist: bool = False,
        check: bool = True,
        peer: Peer | None = None,
    ) -> None:
        """Send a signal, by default the reload signal; with `check` a `reload_check` has to pass before that one. Calls
        `done` later or at once, with the names or with what `act` raises. Raises NoSuchService, UsageError, and
        OperationFailed for a signal that a process does not handle and that would end or stop it, unless `insist`."""
        ...

    def rollouts(self, services: Sequence[str] = ()) -> Rollouts:
        """The newest rollouts. Raises NoSuchService."""
        ...

    def steer(self, verb: str, service: str, peer: Peer | None = None) -> Rollout:
        """Pause, resume or undo a rollout. Raises NoSuchService, OperationFailed, UsageError."""
        ...

    def maintain(
        self, on: bool, services: Sequence[str], lasts: float | None, reason: str, peer: Peer | None = None
    ) -> list[str]:
        """Leave instances alone, for `lasts` seconds or until the next order, or supervise them again; returns their
        names.  Raises NoSuchService, UsageError."""
        ...

    def scale(self, services: Sequence[str], peer: Peer | None = None) -> Scaled:
        """Set other numbers of replicas (`web=4`). Raises NoSuchService and UsageError, with all that is wrong."""
        ...

    def down(self, peer: Peer | None = None) -> None: ...

    def reload(
        self,
        dry_run: bool,
        done: Callable[[Difference | SupervisorError], None],
        peer: Peer | None = None,
        profiles: Sequence[str] | None = None,
    ) -> None:
        """Apply the edited configuration, or only compare it if `dry_run`. Calls `done` later.  `profiles`: those that
        are to be active; None: as they are."""
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
        stream: str | None = None,
    ) -> Logs:
        """A page of the log. Raises NoSuchService; ValueError for a malformed cursor, OSError if unreadable."""
        ...

    def metrics(self, done: Callable[[bytes | SupervisorError], None]) -> None:
        """Make the text of `/metrics`, in pieces between which the event loop turns. Calls `done` later."""
        ...

    def watch(self, subscriber: Subscriber) -> Callable[[], None]:
        """Follow the daemon; returns a function that ends this. Raises NoSuchService."""
        ...
