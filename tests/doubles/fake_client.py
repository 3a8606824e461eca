"""A double of the client, with a scripted daemon of twelve instances in all states."""

from __future__ import annotations

import queue
import random
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from supervisor.core.model.document_types import JSON, State
from supervisor.core.model.documents import (
    Difference,
    Event,
    Heartbeat,
    InstanceDetail,
    Process,
    Scaled,
    Status,
    StreamMessage,
    Supervisor,
)
from supervisor.core.model.evidence_documents import Evidence
from supervisor.core.model.instance_documents import Instance
from supervisor.core.model.log_documents import LogLine, Logs
from supervisor.core.model.order_documents import Rollout
from supervisor.core.text.timestamps import to_iso
from supervisor.errors import NoSuchService, OperationFailed, SupervisorError

START = datetime(2025, 11, 22, 9, 30, tzinfo=UTC)
MIB = 1024 * 1024


def view(name: str, state: State = "running", **more: Any) -> Instance:
    """A row of /v1/status."""
    up = state in ("running", "suspect", "stopping", "starting")
    row: Instance = {
        "name": name,
        "service": name.partition("@")[0],
        "goal": "up",
        "state": state,
        "ready": state == "running",
        "pid": 4000 + sum(map(ord, name)) if up else None,
        "incarnation": 1,
        "uptime_s": 7384.0 if up else None,
        "restarts": 0,
        "detector": None,
        "phi": None,
        "threshold": None,
        "last_heartbeat_age_s": None,
        "suspect_in_s": None,
        "false_suspicions": 0,
        "target": None,
        "cause": "ready" if state == "running" else "stopped",
        "since_s": 7383.0,
        "exit_code": None,
        "signal": None,
        "next_restart_in_s": None,
        "kill_in_s": None,
        "stop_step": None,
        "ready_within_s": None,
        "breaker": "closed",
        "attempt": 0,
        "waiting_for": None,
        "maintenance": None,
        "held": None,
        "on_suspect": None,
        "lingering": [],
        "stuck": False,
        "detach": False,
        "status": None,
        "status_age_s": None,
        "probe_error": None,
        "paused": None,
        "out_of_memory": None,
        "probe": None,
        "current": True,
        "group": None,
        "type": "service",
        "cpu_percent": 0.4 if up else None,
        "memory_bytes": 24 * MIB if up else None,
    }
    return cast("Instance", row | more)


def beating(phi: float, **more: Any) -> JSON:
    return {
        "detector": "phi",
        "phi": phi,
        "threshold": 8.0,
        "last_heartbeat_age_s": 0.6 + phi / 4,
        "suspect_in_s": max(0.0, 3.4 - phi * 0.4),
    } | more


def twelve() -> list[Instance]:
    """Twelve instances in start order, every state among them."""
    return [
        view("migrate", "exited", type="oneshot", cause="succeeded", exit_code=0, since_s=7401.0),
        view("redis", cpu_percent=1.8, memory_bytes=11 * MIB, **beating(0.04)),
        view("web@1", cpu_percent=12.4, memory_bytes=96 * MIB, group="front", **beating(0.31)),
        view("web@2", cpu_percent=11.0, memory_bytes=94 * MIB, group="front", **beating(0.12)),
        view(
            "web@3",
            cpu_percent=13.1,
            memory_bytes=97 * MIB,
            group="front",
            uptime_s=41.2,
            incarnation=2,
            restarts=1,
            **beating(0.22),
        ),
        view("worker@1", cpu_percent=38.5, memory_bytes=210 * MIB, status="crunching batch 1841", **beating(5.6)),
        view(
            "worker@2",
            "suspect",
            ready=False,
            cpu_percent=0.0,
            memory_bytes=207 * MIB,
            incarnation=3,
            restarts=2,
            uptime_s=312.0,
            cause="heartbeat-silent",
            since_s=0.4,
            **beating(9.2, suspect_in_s=0.0),
        ),
        view(
            "mailer",
            "backoff",
            ready=False,
            incarnation=4,
            restarts=4,
            attempt=4,
            cause="exited",
            exit_code=1,
            since_s=2.2,
            next_restart_in_s=4.2,
        ),
        view(
            "importer",
            "failed",
            ready=False,
            incarnation=6,
            restarts=5,
            attempt=5,
            cause="killed-by-signal",
            signal=11,
            since_s=18.0,
            next_restart_in_s=42.0,
            breaker="open",
        ),
        view(
            "maintenance-page",
            "starting",
            ready=False,
            uptime_s=0.8,
            cause="fallback-wanted",
            since_s=0.8,
            ready_within_s=29.2,
            probe_error="connection refused",
        ),
        view("reports", "stopping", ready=False, goal="down", cause="stopped-by-user", since_s=3.0, kill_in_s=7.0),
        view("debug-shell", "stopped", ready=False, goal="down", since_s=None),
    ]


def supervisor(**more: Any) -> Supervisor:
    found: Supervisor = {
        "pid": 812,
        "name": "shop",
        "version": "0.1.0",
        "upgraded_from": "",
        "uptime_s": 7403.0,
        "started_at": to_iso(START.timestamp()),
        "host_starved": False,
        "config": "/srv/shop/services.toml",
        "runtime_dir": "/run/supervisor/shop",
        "state_dir": "/var/lib/supervisor/shop",
        "lag_ms": 0.7,
        "trees": "cgroup",
        "memory_bytes": 19 * MIB,
        "load": [0.84, 0.61, 0.48],
        "cpus": 2,
        "psi": {"cpu": 3.1, "memory": 0.0, "io": 0.4},
        "instances": 12,
        "ready": 6,
        "failed": 1,
        "closing": False,
        "problems": [],
    }
    return cast("Supervisor", found | more)


def status(instances: Sequence[Instance] | None = None, **more: Any) -> Status:
    return {"supervisor": supervisor(**more), "instances": list(twelve() if instances is None else instances)}


def event(
    number: int, instance: str, before: State, after: State, cause: str, ago: float = 0.0, **detail: Any
) -> Event:
    at = to_iso(time.time() - ago)
    return {
        "id": number,
        "at": at,
        "service": instance.partition("@")[0],
        "instance": instance,
        "incarnation": 1,
        "goal": "up",
        "from": before,
        "to": after,
        "cause": cause,
        "detail": detail,
    }


def events() -> list[Event]:
    """The newest of the ledger, oldest first."""
    silent = {"silence_s": 4.21, "suspicion": 8.4, "detector": "phi", "threshold": 8.0}
    crash = {"exit_code": None, "signal": 11}
    return [
        event(101, "worker@2", "running", "suspect", "heartbeat-silent", 330, **silent),
        event(102, "worker@2", "suspect", "stopping", "heartbeat-silent", 329.4, evidence_id=102, **silent),
        event(
            103,
            "worker@2",
            "stopping",
            "backoff",
            "heartbeat-silent",
            319,
            delay_s=0.1,
            attempt=1,
            restarts_in_window=1,
            max_restarts=5,
        ),
        event(104, "worker@2", "running", "running", "ready", 312, how="notify", after_s=0.8),
        event(
            105,
            "web@3",
            "running",
            "backoff",
            "exited",
            44,
            exit_code=137,
            signal=None,
            delay_s=0.1,
            attempt=1,
            restarts_in_window=1,
            max_restarts=5,
        ),
        event(106, "web@3", "starting", "running", "ready", 41, how="http", after_s=0.4),
        event(107, "importer", "starting", "running", "spawned", 24, pid=5120),
        event(
            108,
            "importer",
            "running",
            "backoff",
            "killed-by-signal",
            23,
            delay_s=3.2,
            attempt=5,
            restarts_in_window=5,
            max_restarts=5,
            **crash,
        ),
        event(
            109,
            "importer",
            "running",
            "failed",
            "killed-by-signal",
            18,
            breaker="open",
            retry_in_s=60.0,
            reason="more than 5 restarts within 60 s",
            max_restarts=5,
            window_s=60.0,
            restarts_in_window=5,
            **crash,
        ),
        event(110, "maintenance-page", "stopped", "starting", "fallback-wanted", 18),
        event(111, "reports", "running", "stopping", "stopped-by-user", 3.0),
        event(
            112,
            "mailer",
            "running",
            "backoff",
            "exited",
            2.2,
            exit_code=1,
            signal=None,
            delay_s=6.4,
            attempt=4,
            restarts_in_window=4,
            max_restarts=5,
        ),
        event(113, "worker@2", "running", "suspect", "heartbeat-silent", 0.4, **silent),
    ]


def details(row: Instance) -> InstanceDetail:
    """The answer of /v1/instances/NAME."""
    rng = random.Random(row["name"])
    pid = row["pid"]
    tree: list[Process] = []
    if pid is not None:
        tree = [
            _process(pid, 812, "python -m shop." + row["service"]),
            _process(pid + 1, pid, "python -m shop.pool --slot 1"),
            _process(pid + 2, pid, "python -m shop.pool --slot 2"),
        ]
    heartbeat: Heartbeat | None = None
    if row["detector"]:
        heartbeat = {
            "source": "notify",
            "interval_s": 1.0,
            "detector": "phi",
            "threshold": 8.0,
            "min_timeout_s": None,
            "max_timeout_s": None,
            "on_suspect": "restart",
        }
    return {
        **row,
        "command": ["python", "-m", f"shop.{row['service']}", "--queue", "default"],
        "description": f"The {row['service']} of the shop",
        "depends_on": ["redis"],
        "directory": "/srv/shop",
        "tree": tree,
        "intervals_s": [abs(rng.gauss(1.0, 0.06)) for _ in range(63)] + [1.34] if heartbeat else [],
        "transitions": [e for e in events() if e["instance"] == row["name"]],
        "log_path": f"/var/lib/supervisor/shop/log/{row['name']}.log",
        "start_timeout_s": 30.0,
        "stop_timeout_s": 10.0,
        "policy": "on-failure",
        "max_restarts": 5,
        "window_s": 60.0,
        "restarts_in_window": min(5, row["restarts"]),
        "heartbeat": heartbeat,
        "evidence": {},
    }


def _process(pid: int, ppid: int, command: str) -> Process:
    return {
        "pid": pid,
        "ppid": ppid,
        "command": command,
        "state": "S",
        "cpu_percent": 0.2,
        "memory_bytes": 24 * MIB,
        "threads": 4,
    }


EVIDENCE: Evidence = {
    "pid": 7,
    "stacks": [
        {
            "pid": 7,
            "how": "py-spy",
            "lines": ["Current thread 0x1 (most recent call first):", '  File "worker.py", line 41 in wait'],
        }
    ],
}
LOG = (
    "INFO  booted in 412 ms, 4 threads",
    "INFO  GET /cart 200 in 12 ms",
    "INFO  GET /cart/items?page=2 200 in 9 ms",
    "WARN  slow query (812 ms): select * from orders where state = 'open'",
    "INFO  POST /checkout 303 in 48 ms",
    "ERROR payment gateway timed out, attempt 1 of 3",
    "INFO  payment accepted, order 18412",
)


class Stream:
    """What `Client.stream` gives: says what is put into it."""

    def __init__(self, topics: Sequence[str], services: Sequence[str]) -> None:
        self.topics, self.services = tuple(topics), tuple(services)
        self.said: queue.Queue[StreamMessage | None] = queue.Queue()

    def __iter__(self) -> Iterator[StreamMessage]:
        while (item := self.said.get()) is not None:
            yield item

    def say(self, kind: str, data: Any) -> None:
        message: Any = (kind, data)
        self.said.put(message)

    def close(self) -> None:
        self.said.put(None)


ROLLOUT: Rollout = {
    "id": "0badcafe",
    "service": "web",
    "order": "reload",
    "state": "running",
    "paused": False,
    "reason": None,
    "by": {"uid": 0, "user": "root", "pid": 4711, "command": ["supervisor", "reload"]},
    "began_s": 12.0,
    "since_s": 12.0,
    "changed": ["environment"],
    "deviates": False,
    "instances": 4,
    "current": 2,
    "settled": 1,
    "ready": 3,
    "max_unavailable": 1,
    "settle_s": 10.0,
    "on_failure": "rollback",
    "waiting_for": ["web@2"],
}


class FakeClient:
    """Answers from `rows`; remembers what was posted; `say` lets the main stream speak."""

    path = "/run/supervisor/shop/control.sock"

    def __init__(self, rows: Sequence[Instance] | None = None) -> None:
        self.rows = list(twelve() if rows is None else rows)
        self.posted: list[tuple[str, JSON]] = []
        self.refuse: SupervisorError | None = None
        self.answers: dict[str, Any] = {}
        """Of `get`, by route."""
        self.streams: list[Stream] = []
        self.main = Stream((), ())
        self.lines = {row["name"]: [f"{t}" for n in range(6) for t in LOG] for row in self.rows}
        self.difference: Difference = {
            "applied": False,
            "added": ["search"],
            "removed": [],
            "changed": {"web": ["environment", "command"]},
            "restarted": ["web"],
            "unchanged": 9,
            "supervisor": [],
        }

    def say(self, kind: str, data: Any) -> None:
        self.main.say(kind, data)

    def stream(
        self,
        topics: Sequence[str],
        services: Sequence[str] = (),
        interval: float = 1.0,
        after: int | None = None,
        reconnect: bool = False,
    ) -> Stream:
        assert reconnect
        if "status" in topics:
            return self.main
        self.streams.append(Stream(topics, services))
        return self.streams[-1]

    def instance(self, name: str) -> InstanceDetail:
        return details(self._row(name))

    def events(
        self,
        services: Sequence[str] = (),
        *,
        since: float | None = None,
        after: int | None = None,
        limit: int | None = None,
    ) -> list[Event]:
        return events()

    def get(self, route: str, **_query: object) -> Any:
        answer = self.answers.get(route) or OperationFailed("this daemon has no [cluster]")
        if isinstance(answer, SupervisorError):
            raise answer
        return answer

    def evidence(self, event_id: int) -> Evidence:
        return EVIDENCE

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
        self._row(name)
        have = self.lines.get(name, []) if stream != "stderr" else []
        low, high = 0, len(have)
        if after is not None:
            low = int(after)
        elif before is not None:
            high = int(before)
            low = max(0, high - 20)
        else:
            low = max(0, high - (lines or 100))
        page: list[LogLine] = [{"at": START.timestamp() + n * 0.7, "text": have[n]} for n in range(low, high)]
        return {"instance": name, "lines": page, "first": str(low), "last": str(high), "at_end": True}

    def act(self, verb: str, services: Sequence[str] = (), signal: str | None = None) -> list[str]:
        self._post(f"/v1/{verb}", {"services": list(services)} | ({} if signal is None else {"signal": signal}))
        return list(services)

    def scale(self, services: Sequence[str]) -> Scaled:
        self._post("/v1/scale", {"services": list(services)})
        return {"started": [], "stopped": []}

    def down(self) -> None:
        self._post("/v1/down", {})

    def reload(self, dry_run: bool = False) -> Difference:
        self._post("/v1/reload", {"dry_run": dry_run})
        return self.difference

    def _post(self, route: str, body: JSON) -> None:
        if self.refuse is not None:
            raise self.refuse
        self.posted.append((route, body))

    def _row(self, name: str) -> Instance:
        row = next((r for r in self.rows if r["name"] == name), None)
        if row is None:
            raise NoSuchService(f"no service {name}")
        return row
