"""A small daemon behind the real HTTP server: instances that do what they are told after a moment.

`serve` runs it in a child process, so that it has a pid of its own and can end as a daemon does.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from supervisor.adapters.control.port import InCluster, Subscriber
from supervisor.adapters.control.routes import ControlRoutes
from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.http.messages import Peer
from supervisor.adapters.http.server import HttpServer
from supervisor.adapters.ledger.store import EventQuery
from supervisor.core.cluster.hosts import Told, host_detail, host_view, hosts_view, nothing
from supervisor.core.model.balance_documents import Balances
from supervisor.core.model.breaker_document import BreakerStatus
from supervisor.core.model.cluster_documents import ClusterView, NewOrder, OrderOutcome
from supervisor.core.model.document_types import State
from supervisor.core.model.documents import (
    Difference,
    Event,
    InstanceDetail,
    Scaled,
    Service,
    Services,
    Status,
    Upgrade,
)
from supervisor.core.model.evidence_documents import Evidence
from supervisor.core.model.host_documents import HostDetail, HostsView
from supervisor.core.model.instance_documents import Instance
from supervisor.core.model.log_documents import LogLine, Logs
from supervisor.core.model.order_documents import Rollout, Rollouts
from supervisor.core.model.push_documents import NewPush
from supervisor.core.text.name_patterns import Known, matching
from supervisor.core.text.timestamps import from_iso, to_iso
from supervisor.errors import ConfigError, NoSuchService, OperationFailed, SupervisorError, UsageError
from tests.doubles import fake_client

SOON = 0.03
"""Seconds that a change of state takes, from when a client that follows has been told of its beginning."""


class StandInCluster:
    """A cluster whose agent has said nothing.  `orders`: those that were given."""

    def __init__(self) -> None:
        self.orders: list[NewOrder] = []
        self.pushes: list[NewPush] = []

    def view(self) -> ClusterView:
        return {"age_s": None, "word": None}

    def order(self, order: NewOrder) -> str:
        self.orders.append(order)
        return str(len(self.orders))

    def push(self, push: NewPush, peer: Peer | None) -> str:
        self.pushes.append(push)
        return f"p{len(self.pushes)}"

    def outcome(self, number: str) -> OrderOutcome | None:
        return {"id": number, "done": True, "error": ""} if number == "1" else None

    def hosts(self, done: Callable[[HostsView], None]) -> None:
        done(hosts_view(None, "a", 0.0, [host_view(nothing("a"), Told(), 0.0)]))

    def host(self, node: str, done: Callable[[HostDetail], None]) -> None:
        done(host_detail(nothing(node), Told(), 0.0))


class StandIn:
    """Implements `Daemon`.  `broken` never become ready, `stubborn` hold a stop up until a second `down`."""

    def __init__(
        self,
        loop: EventLoop,
        rows: Sequence[Instance],
        *,
        broken: Sequence[str] = (),
        stubborn: Sequence[str] = (),
        events: Sequence[Event] = (),
        lines: dict[str, list[tuple[float | None, str]]] | None = None,
        file: str = "/srv/shop/services.toml",
    ) -> None:
        self.in_cluster = StandInCluster()
        self.loop = loop
        self.rows = {row["name"]: row.copy() for row in rows}
        self.broken, self.stubborn = set(broken), set(stubborn)
        self.ledger = list(events)
        self.lines = lines or {}
        self.subscribers: list[Subscriber] = []
        self._begun: list[Callable[[], None]] = []
        self.closing = False
        self.orders: list[tuple[str, bool, Peer | None]] = []
        self.peers: list[Peer | None] = []
        self.upgraded_from = ""
        self.ended: Callable[[], None] = loop.stop
        self.file = file
        self.measures = True

    # -- reading -----------------------------------------------------------------------------------------------------

    def status(self, services: Sequence[str] = ()) -> Status:
        names = self._resolve(services)
        rows = [self.rows[name].copy() for name in names]
        extra = {"upgraded_from": self.upgraded_from, "started_at": f"2026-01-01T00:00:0{len(self.upgraded_from)}Z"}
        return fake_client.status(rows, pid=os.getpid(), closing=self.closing, **extra)

    def names(self, services: Sequence[str]) -> list[str]:
        return self._resolve(services)

    def make_status(self, services: Sequence[str], done: Callable[[Status | SupervisorError], None]) -> None:
        done(self.status(services))

    def instance(self, name: str) -> InstanceDetail:
        (found,) = self._resolve([name])
        return fake_client.details(self.rows[found])

    def breaker(self, service: str) -> BreakerStatus:
        found = next((row for row in self.rows.values() if row["service"] == service), None)
        if found is None:
            raise NoSuchService(f"no service is named {service!r}")
        return {
            "service": service,
            "state": found["breaker"],
            "ready": found["ready"],
            "since_s": None,
            "next_trial_in_s": found["next_restart_in_s"],
            "on_open": "hold",
            "fallback": None,
            "window_s": 60.0,
            "successes": {"ready": 1, "healthy": 0},
            "failures": {},
            "rejections": 0,
            "trials": 0,
        }

    def cluster(self) -> InCluster:
        return self.in_cluster

    def balance(self, services: Sequence[str] = ()) -> Balances:
        self._resolve(services)
        return {"services": []}

    def services(self) -> Services:
        out: dict[str, Service] = {}
        for row in self.rows.values():
            service = out.setdefault(
                row["service"],
                {
                    "name": row["service"],
                    "description": "",
                    "type": row["type"],
                    "group": row["group"],
                    "depends_on": [],
                    "instances": [],
                    "autostart": True,
                    "command": ["true"],
                },
            )
            service["instances"].append(row["name"])
        return {"services": list(out.values())}

    def events(self, query: EventQuery) -> list[Event]:
        found = [
            e
            for e in self.ledger
            if (not query.services or e["service"] in query.services or e["instance"] in query.services)
            and (query.since is None or from_iso(e["at"]) >= query.since)
            and (query.after is None or e["id"] > query.after)
            and (query.before is None or e["id"] < query.before)
        ]
        return found[: query.limit] if query.after is not None else found[-query.limit :]

    def evidence(self, event_id: int) -> Evidence | None:
        return fake_client.EVIDENCE if event_id == 102 else None

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
        (name,) = self._resolve([instance])
        have = self.lines.get(name, []) if stream != "stderr" else []
        low, high = 0, len(have)
        if after is not None:
            low = int(after)
        else:
            high = int(before) if before is not None else high
            low = max(0, high - (lines or 1000))
        page: list[LogLine] = [{"at": at, "text": text} for at, text in have[low:high]]
        end = low == 0 if after is None else True
        return {"instance": name, "lines": page, "first": str(low), "last": str(high), "at_end": end}

    def metrics(self, done: Callable[[bytes | SupervisorError], None]) -> None:
        done(b"# TYPE up gauge\nup 1\n" if self.measures else OperationFailed("the metrics could not be made"))

    # -- acting ------------------------------------------------------------------------------------------------------

    def act(
        self,
        verb: str,
        services: Sequence[str],
        *,
        rolling: bool = False,
        peer: Peer | None = None,
    ) -> list[str]:
        self.orders.append((verb, False, peer))
        self.peers.append(peer)
        names = self._resolve(services)
        for name in names:
            if verb == "stop":
                self._stop(name)
            elif verb in ("start", "restart") or self.rows[name]["state"] in ("backoff", "failed"):
                self._start(name)
        return names

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
        """USR1 is the reload signal of all, and what is `broken` does not pass its check."""
        self.orders.append(("signal", insist, peer))
        self.peers.append(peer)
        if signal not in (None, "HUP", "USR1"):
            raise UsageError(f"no such signal: {signal!r}", "Known: HUP, USR1")
        names = [name for name in self._resolve(services) if self.rows[name]["pid"] is not None]
        if check and signal != "HUP" and not self.broken.isdisjoint(names):
            refused = OperationFailed("nothing was sent: reload_check has not passed", "--no-check sends it.")
            self.loop.call_soon(lambda: done(refused))
        else:
            done(names)

    def rollouts(self, services: Sequence[str] = ()) -> Rollouts:
        names = {self.rows[name]["service"] for name in self._resolve(services)}
        return {"rollouts": [fake_client.ROLLOUT] if fake_client.ROLLOUT["service"] in names else []}

    def steer(self, verb: str, service: str, peer: Peer | None = None) -> Rollout:
        self.peers.append(peer)
        self._resolve([service])
        if verb == "undo":
            raise OperationFailed(f"nothing to undo: {service}")
        return {**fake_client.ROLLOUT, "paused": verb == "pause"}

    def _start(self, name: str) -> None:
        row = self.rows[name]
        if row["state"] == "running":
            self._change(name, "stopping", "restarted-by-user", ready=False, pid=None)
        self._change(name, "starting", "started-by-user", goal="up", ready=False, pid=None)

        def come_up() -> None:
            again = {"incarnation": row["incarnation"] + 1}
            if name in self.broken:
                failed = {"exit_code": 3, "breaker": "open", "next_restart_in_s": 60.0}
                self._change(name, "failed", "exited", **failed, **again)
            else:
                self._change(name, "running", "ready", ready=True, pid=os.getpid(), **again)

        self._soon(come_up)

    def _stop(self, name: str) -> None:
        if self.rows[name]["state"] == "stopped":
            return
        self._change(name, "stopping", "stopped-by-user", goal="down", kill_in_s=10.0, since_s=1.0)
        if name not in self.stubborn:
            gone = {"pid": None, "kill_in_s": None, "ready": False}
            self._soon(lambda: self._change(name, "stopped", "stopped", **gone))

    def _soon(self, end: Callable[[], None]) -> None:
        """End a change of state, but not before a client that follows it has seen it begin."""
        self._begun.append(end)
        if any(subscriber.topics & {"events", "status"} for subscriber in self.subscribers):
            self._seen()

    def _seen(self) -> None:
        for end in self._begun:
            self.loop.call_at(self.loop.now() + SOON, end)
        self._begun.clear()

    def maintain(
        self, on: bool, services: Sequence[str], lasts: float | None, reason: str, peer: Peer | None = None
    ) -> list[str]:
        return self._resolve(services)

    def scale(self, services: Sequence[str], peer: Peer | None = None) -> Scaled:
        self.peers.append(peer)
        if "wrong" in services:
            raise UsageError("wrong: write SERVICE=N, for example web=4", "Nothing was changed.")
        return {"started": list(services), "stopped": []}

    def down(self, peer: Peer | None = None) -> None:
        self.peers.append(peer)
        if self.closing:
            self.stubborn.clear()
        self.closing = True
        for name in self.rows:
            self._stop(name)
        self.loop.call_at(self.loop.now() + 2 * SOON, self._end)

    def _end(self) -> None:
        if not self.stubborn:
            self.ended()

    def reload(
        self,
        dry_run: bool,
        done: Callable[[Difference | SupervisorError], None],
        peer: Peer | None = None,
        profiles: Sequence[str] | None = None,
    ) -> None:
        self.profiles = profiles
        self.peers.append(peer)
        answer: Difference | SupervisorError = {
            "applied": not dry_run,
            "added": ["new"],
            "removed": ["old"],
            "changed": {"web": ["environment"]},
            "restarted": ["web"],
            "unchanged": 3,
            "supervisor": ["http.listen"],
        }
        if "reload" in self.broken:
            answer = ConfigError("services.toml:3: services.web.comand: unknown key", "did you mean command?")
        self.loop.call_soon(lambda: done(answer))

    def upgrade(
        self, python: str | None, done: Callable[[Upgrade | SupervisorError], None], peer: Peer | None = None
    ) -> None:
        self.peers.append(peer)
        answer: Upgrade | SupervisorError = {"from": "1.0", "to": "2.0", "python": python or "", "pid": 1}
        if "upgrade" in self.broken:
            answer = OperationFailed("the new version cannot start: no module", "This one goes on.")
        else:
            self.upgraded_from = "1.0"
        self.loop.call_soon(lambda: done(answer))

    # -- following ---------------------------------------------------------------------------------------------------

    def watch(self, subscriber: Subscriber) -> Callable[[], None]:
        self.subscribers.append(subscriber)
        if "status" in subscriber.topics:
            self.loop.call_soon(lambda: self._tell(subscriber))
        elif "events" in subscriber.topics:
            self._seen()
        return lambda: self.subscribers.remove(subscriber)

    def _tell(self, subscriber: Subscriber) -> None:
        if subscriber in self.subscribers:
            subscriber.on_status(self.status(subscriber.services))
            self._seen()
            self.loop.call_at(self.loop.now() + subscriber.interval, lambda: self._tell(subscriber))

    def say(self, name: str, text: str) -> None:
        """One more line of output."""
        self.lines.setdefault(name, []).append((time.time(), text))
        for subscriber in list(self.subscribers):
            if "logs" in subscriber.topics:
                subscriber.on_log(name, [text])

    def _change(self, name: str, state: State, cause: str, **more: Any) -> None:
        row = self.rows[name]
        number = self.ledger[-1]["id"] + 1 if self.ledger else 1
        event = fake_client.event(number, name, row["state"], state, cause)
        event["at"] = to_iso(time.time())
        row.update(cast("Instance", {"state": state, "cause": cause} | more))
        self.ledger.append(event)
        for subscriber in list(self.subscribers):
            if "events" in subscriber.topics and (not subscriber.services or row["service"] in subscriber.services):
                subscriber.on_event(event)
            if "status" in subscriber.topics:
                subscriber.on_status(self.status(subscriber.services))

    def _resolve(self, services: Sequence[str]) -> list[str]:
        if not services:
            return list(self.rows)
        wanted: set[str] = set()
        for asked in services:
            found = matching(asked, [Known(n, row["service"], row["group"] or "") for n, row in self.rows.items()])
            if not found:
                raise NoSuchService(f"no service, instance or group named {asked!r}")
            wanted.update(found)
        return [name for name in self.rows if name in wanted]


@contextmanager
def serve(
    path: str, rows: Sequence[Instance], *, then: Callable[[StandIn], None] | None = None, **options: Any
) -> Iterator[int]:
    """A stand-in on the socket `path` in a child process, whose pid is given.  `then` runs in it before it serves."""
    ready, answered = os.pipe()
    pid = os.fork()
    if pid == 0:
        _child(path, rows, options, then, answered)
    os.close(answered)
    with os.fdopen(ready, "rb") as pipe:
        assert pipe.read(1) == b"!", "the stand-in did not start"
    try:
        yield pid
    finally:
        try:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass


def _child(
    path: str,
    rows: Sequence[Instance],
    options: dict[str, Any],
    then: Callable[[StandIn], None] | None,
    answered: int,
) -> None:
    code = 70
    try:
        signal.alarm(60)
        loop = EventLoop()
        daemon = StandIn(loop, rows, **options)

        def complain(text: str) -> None:
            os.write(2, text.encode())

        server = HttpServer(loop, ControlRoutes(daemon, loop), complain)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        server.listen_unix(path)

        def end() -> None:
            server.close()
            loop.stop()

        daemon.ended = end
        if then is not None:
            then(daemon)
        os.write(answered, b"!")
        os.close(answered)
        loop.run()
        code = 0
    finally:
        os._exit(code)
