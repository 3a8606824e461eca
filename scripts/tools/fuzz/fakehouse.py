"""A daemon behind the real API that only records what it is asked to do; it reads a real ledger and a real log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from supervisor.adapters.control.port import InCluster, Subscriber
from supervisor.adapters.http.messages import Peer
from supervisor.adapters.ledger.store import EventQuery, Ledger
from supervisor.adapters.linux.signal_numbers import signal_number
from supervisor.adapters.logs import reader
from supervisor.core.model.actions import Goal, Record, State
from supervisor.core.model.balance_documents import Balances
from supervisor.core.model.breaker_document import BreakerStatus
from supervisor.core.model.causes import Cause
from supervisor.core.model.document_types import JSON
from supervisor.core.model.documents import Difference, Event, InstanceDetail, Scaled, Services, Status, Upgrade
from supervisor.core.model.evidence_documents import Evidence
from supervisor.core.model.instance_documents import Instance
from supervisor.core.model.log_documents import Logs
from supervisor.core.model.order_documents import Rollout, Rollouts
from supervisor.errors import ConfigError, NoSuchService, OperationFailed, SupervisorError

SERVICES = {"db": ("db",), "web": ("web@1", "web@2"), "front": ("web@1", "web@2")}
INSTANCES = ("db", "web@1", "web@2")


class House:
    """Implements `Daemon` of the API. `orders` are requests that change something, `private` those that only the
    control socket serves.
    """

    def __init__(self, place: str) -> None:
        self.file = "/srv/house/services.toml"
        self.orders: list[str] = []
        self.private: list[str] = []
        self.watching = 0
        self.problems: list[str] = []
        self.ledger = Ledger(f"{place}/ledger.db", self.problems.append)
        self.ledger.append([_record(i) for i in range(30)], 1_769_860_800.0)
        self._logs = f"{place}/log"
        Path(self._logs).mkdir()
        Path(f"{self._logs}/db.log").write_text("".join(f"line {i}\n" for i in range(50)))

    # -- questions
    # -------------------------------------------------------------------------------------------------------

    def names(self, services: Sequence[str]) -> list[str]:
        return self._resolve(services)

    def make_status(self, services: Sequence[str], done: Callable[[Status | SupervisorError], None]) -> None:
        rows = [_row(name) for name in self._resolve(services)]
        supervisor: Any = {"pid": 1, "name": "x", "version": "1", "uptime_s": 1.0}
        done({"supervisor": supervisor, "instances": rows})

    def instance(self, name: str) -> InstanceDetail:
        self.private.append(name)
        found: Any = _row(self._resolve([name])[0]) | {"command": ["true"], "transitions": []}
        return cast("InstanceDetail", found)

    def services(self) -> Services:
        found: Any = [{"name": n, "group": None, "instances": list(i)} for n, i in SERVICES.items()]
        return {"services": found}

    def breaker(self, service: str) -> BreakerStatus:
        raise NoSuchService(service)

    def cluster(self) -> InCluster:
        raise OperationFailed("this daemon has no [cluster]")

    def balance(self, services: Sequence[str] = ()) -> Balances:
        self._resolve(services)
        return {"services": []}

    def events(self, query: EventQuery) -> list[Event]:
        return self.ledger.events(query)

    def evidence(self, event_id: int) -> Evidence | None:
        self.private.append("evidence")
        return self.ledger.evidence(event_id)

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
        self.private.append("logs")
        (name, *_) = self._resolve([instance])
        page = {"lines": lines, "since": since, "before": before, "after": after, "stream": stream}
        return reader.read(self._logs, name, **page).page(name)  # type: ignore[arg-type]

    def metrics(self, done: Callable[[bytes | SupervisorError], None]) -> None:
        done(b"up 1\n")

    # -- orders
    # ----------------------------------------------------------------------------------------------------------

    def act(
        self,
        verb: str,
        services: Sequence[str],
        *,
        rolling: bool = False,
        peer: Peer | None = None,
    ) -> list[str]:
        names = self._resolve(services)
        self.orders.append(verb)
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
        names = self._resolve(services)
        if signal is not None:
            signal_number(signal)
        self.orders.append("signal")
        done(names)

    def maintain(
        self, on: bool, services: Sequence[str], lasts: float | None, reason: str, peer: Peer | None = None
    ) -> list[str]:
        self.orders.append("maintenance")
        return list(services)

    def scale(self, services: Sequence[str], peer: Peer | None = None) -> Scaled:
        self._resolve([word.partition("=")[0] for word in services])
        self.orders.append("scale")
        return {"started": [], "stopped": []}

    def rollouts(self, services: Sequence[str] = ()) -> Rollouts:
        self._resolve(services)
        return {"rollouts": []}

    def steer(self, verb: str, service: str, peer: Peer | None = None) -> Rollout:
        self._resolve([service])
        self.orders.append(verb)
        raise OperationFailed(f"{service} has not been rolled out")

    def down(self, peer: Peer | None = None) -> None:
        self.orders.append("down")

    def reload(
        self,
        dry_run: bool,
        done: Callable[[Difference | SupervisorError], None],
        peer: Peer | None = None,
        profiles: Sequence[str] | None = None,
    ) -> None:
        self.orders.append("reload")
        difference: Any = {"applied": True}
        done(difference if dry_run else ConfigError("services.toml:1: no"))

    def upgrade(
        self, python: str | None, done: Callable[[Upgrade | SupervisorError], None], peer: Peer | None = None
    ) -> None:
        self.orders.append("upgrade")
        done(OperationFailed(f"{python} cannot start"))

    def watch(self, subscriber: Subscriber) -> Callable[[], None]:
        self.private.append("stream")
        self._resolve(subscriber.services)
        self.watching += 1
        event: Any = {"id": 31, "service": "web"}
        subscriber.on_event(event)
        subscriber.on_log("db", ["a line"])
        self.make_status(subscriber.services, lambda made: subscriber.on_status(cast(Status, made)))

        def end() -> None:
            self.watching -= 1

        return end

    def _resolve(self, services: Sequence[str]) -> list[str]:
        if not services:
            return list(INSTANCES)
        found = [name for asked in services for name in SERVICES.get(asked, (asked,) if asked in INSTANCES else ())]
        if not found:
            raise NoSuchService(f"no service, instance or group named {services[0]!r}")
        return found


def _record(number: int) -> Record:
    evidence: JSON = {"evidence": {"stacks": []}} if number % 5 == 0 else {}
    return Record("web@1", "web", number, Goal.UP, State.RUNNING, State.STOPPING, Cause.EXITED, evidence)


def _row(name: str) -> Instance:
    found: Any = {"name": name, "service": name.partition("@")[0], "goal": "up", "state": "running", "ready": True}
    return cast("Instance", found)
