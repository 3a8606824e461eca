"""The client of the daemon: a method for each question and each order.  Blocking, and quick to import.

Each call uses a connection of its own (control_socket.py). `Client.stream` follows the daemon (daemon_stream.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from json import dumps

from supervisor.control_socket import ControlSocket, peer, quoted, target_of

TYPE_CHECKING = False  # importing typing takes time
if TYPE_CHECKING:
    from typing import Any

    from supervisor.core.model.balance_documents import Balances
    from supervisor.core.model.breaker_document import BreakerStatus
    from supervisor.core.model.document_types import JSON
    from supervisor.core.model.documents import (
        Accepted,
        Difference,
        Event,
        Events,
        Health,
        InstanceDetail,
        Scaled,
        Services,
        Status,
        Upgrade,
    )
    from supervisor.core.model.evidence_documents import Evidence
    from supervisor.core.model.log_documents import Logs
    from supervisor.core.model.order_documents import Rollout, Rollouts
    from supervisor.daemon_stream import Stream


class Client:
    """Asks the daemon behind `socket_path`.

    `file`: the configuration that the daemon has to run; None: any.  Every method raises NoDaemon when none answers,
    and the error that the daemon answers with: OtherFile where it runs another file.  `on_wait` is told when an answer
    is late, and from which process.
    """

    def __init__(self, socket_path: str, file: str | None = None, on_wait: Callable[[str], None] | None = None) -> None:
        self.path, self.file = socket_path, file
        self._socket = ControlSocket(socket_path, file, on_wait)

    def status(self, services: Sequence[str] = ()) -> Status:
        """The daemon, and one row per instance; of these services, instances and groups, or of all."""
        return self.status_and_text(services)[0]

    def status_and_text(self, services: Sequence[str] = ()) -> tuple[Status, bytes]:
        """The same, and its text as the daemon sent it."""
        return self._socket.ask("GET", target_of("/v1/status", {"service": services}))

    def services(self) -> Services:
        """What is configured, in start order."""
        answer: Services = self.get("/v1/services")
        return answer

    def breaker(self, service: str) -> BreakerStatus:
        """The breaker of a service, which an application may ask for on each of its calls."""
        answer: BreakerStatus = self.get(f"/v1/services/{quoted(service)}/breaker")
        return answer

    def balance(self, services: Sequence[str] = ()) -> Balances:
        """The balanced services with their slots; all, if none is named."""
        answer: Balances = self.get("/v1/balance", service=services)
        return answer

    def instance(self, name: str) -> InstanceDetail:
        """All about one instance."""
        answer: InstanceDetail = self.get(f"/v1/instances/{quoted(name)}")
        return answer

    def events(
        self,
        services: Sequence[str] = (),
        *,
        since: float | None = None,
        after: int | None = None,
        before: int | None = None,
        limit: int | None = None,
    ) -> list[Event]:
        """A page of events, oldest first."""
        answer: Events = self.get("/v1/events", service=services, since=since, after=after, before=before, limit=limit)
        return answer["events"]

    def evidence(self, event_id: int) -> Evidence:
        """What was captured for an event. Raises OperationFailed when there is nothing, or it is no longer kept."""
        answer: Evidence = self.get(f"/v1/evidence/{event_id}")
        return answer

    def logs(
        self,
        name: str,
        *,
        lines: int | None = None,
        since: float | None = None,
        before: str | None = None,
        after: str | None = None,
        stream: str | None = None,
    ) -> Logs:
        """A page of its output, of one `stream` or both; `before` and `after` are cursors of an earlier page."""

        from supervisor.log_pages import with_lines

        def read(**query: Any) -> Logs:
            answer: Logs = self.get(f"/v1/logs/{quoted(name)}", **query)
            return answer

        return with_lines(read, lines=lines, since=since, before=before, after=after, stream=stream)

    def act(
        self, verb: str, services: Sequence[str] = (), signal: str | None = None, *, check: bool = True
    ) -> list[str]:
        """Start, stop, restart, reset or signal; returns the affected instances. It does not wait for the effect.

        A `signal` that is given is sent even to a process that does not handle it and would end; the reload signal of
        the services is refused then, with OperationFailed, and where `reload_check` does not pass, unless `check` is
        false."""
        body: JSON = {"services": list(services)}
        if signal is not None:
            body["signal"] = signal
        if not check:
            body["check"] = False
        answer: Accepted = self.post(f"/v1/{verb}", body)
        return answer["instances"]

    def maintain(self, on: bool, services: Sequence[str], lasts: float | None = None, reason: str = "") -> list[str]:
        """Leave services alone, for `lasts` seconds or until the next order, or supervise them again."""
        body: JSON = {"services": list(services), "on": on}
        if lasts is not None:
            body["for_s"] = lasts
        if reason:
            body["reason"] = reason
        answer: Accepted = self.post("/v1/maintenance", body)
        return answer["instances"]

    def scale(self, services: Sequence[str]) -> Scaled:
        """Set other numbers of replicas, each as `web=4`, until the next reload. It does not wait for the effect."""
        answer: Scaled = self.post("/v1/scale", {"services": list(services)})
        return answer

    def roll(self, services: Sequence[str] = ()) -> list[str]:
        """Restart services instance by instance; returns the affected instances. It does not wait for the effect."""
        answer: Accepted = self.post("/v1/restart", {"services": list(services), "rolling": True})
        return answer["instances"]

    def rollouts(self, services: Sequence[str] = ()) -> list[Rollout]:
        """The newest rollout of each of these services, or of all."""
        answer: Rollouts = self.get("/v1/rollouts", service=services)
        return answer["rollouts"]

    def steer(self, verb: str, service: str) -> Rollout:
        """Pause, resume or undo the rollout of a service."""
        answer: Rollout = self.post(f"/v1/rollouts/{quoted(service)}/{verb}")
        return answer

    def down(self) -> None:
        """Stop everything and end the daemon; called again, it kills what is left."""
        self.post("/v1/down")

    def reload(self, dry_run: bool = False, profiles: Sequence[str] | None = None) -> Difference:
        """Apply the edited configuration, or only compare it.  `profiles`: those that are to be active from now on;
        None: as they are."""
        more = {} if profiles is None else {"profiles": list(profiles), "no_profiles": not profiles}
        answer: Difference = self.post("/v1/reload", {"dry_run": dry_run, **more})
        return answer

    def upgrade(self, python: str | None = None) -> Upgrade:
        """Replace the daemon by the version installed for `python` (None: the daemon's own interpreter)."""
        answer: Upgrade = self.post("/v1/upgrade", {} if python is None else {"python": python})
        return answer

    def health(self) -> Health:
        """Check that the daemon's event loop turns."""
        answer: Health = self.get("/healthz")
        return answer

    def get(self, route: str, **query: object) -> Any:
        """The JSON of `GET route`, for routes without a method here. None is left out, a list repeated."""
        return self._ask("GET", target_of(route, query))

    def post(self, route: str, body: Mapping[str, object] | None = None) -> Any:
        """The JSON of `POST route`, for routes without a method here."""
        return self._ask("POST", route, dumps(body or {}).encode())

    def stream(
        self,
        topics: Sequence[str],
        services: Sequence[str] = (),
        interval: float = 1.0,
        after: int | None = None,
        reconnect: bool = False,
        for_order: bool = False,
    ) -> Stream:
        """Follow `topics` of events, status and logs, resuming events after the id `after`.

        `for_order`: use one of the places that the daemon keeps for commands that wait for their order.
        Without `reconnect` it raises NoDaemon when none answers, and ends when the daemon ends it.
        """
        from supervisor.daemon_stream import Stream

        query = {"topics": ",".join(topics), "service": list(services), "interval": interval}
        beat = interval if "status" in topics else None
        return Stream(self._socket, target_of("/v1/stream", query), after, reconnect, beat, for_order)

    def daemon_pid(self) -> int:
        """The process that listens on the socket, as the kernel reports it; 0 if it is in another pid namespace."""
        with closing(self._socket.connect()) as sock:
            return peer(sock)[0]

    def _ask(self, method: str, target: str, body: bytes | None = None) -> Any:
        return self._socket.ask(method, target, body)[0]
