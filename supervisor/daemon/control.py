"""What the faces can ask of a running daemon: the answers behind the control API, all quick, all plain data."""

from __future__ import annotations

import difflib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from supervisor import __version__
from supervisor.adapters.control.port import Subscriber
from supervisor.adapters.eventloop.loop import Timer
from supervisor.adapters.ledger.store import EventQuery
from supervisor.adapters.logs import reader as logread
from supervisor.adapters.processes.child_output import run_child
from supervisor.adapters.processes.sampler import host
from supervisor.core.model.plain import from_plain
from supervisor.core.model.spec import Plan, ServiceSpec
from supervisor.core.services.status import instance_view
from supervisor.errors import ConfigError, NoSuchService, OperationFailed, SupervisorError, UsageError
from supervisor.launch import compiler

if TYPE_CHECKING:
    from supervisor.daemon.runtime import Runtime

JSON = dict[str, Any]

COMPILE_WITHIN = 60.0
"""Seconds that an edited configuration may take."""
COALESCE = 0.02
"""Seconds after a transition at which watchers are shown the new status, with whatever else happened meanwhile."""
LARGEST_SHARE = 3.0
"""Showing it takes at most one part in so many of our time: the more there is to show, the longer it is put off."""


class Operations:
    """The façade of one daemon; `adapters.api` speaks HTTP on one side of it, the runtime stands on the other."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._subscribers: list[Subscriber] = []
        self._watchers: list[Subscriber] = []
        self._telling: Timer | None = None
        self._telling_took = 0.0

    # -- reading -------------------------------------------------------------------------------------------------

    def status(self, services: Sequence[str] = ()) -> JSON:
        fleet, now = self._runtime.fleet, self._runtime.reactor.now()
        names = self.resolve(services) if services else list(fleet.instances)
        samples = self._runtime.sampler.read_now([n for n in names if fleet.instances[n].pid is not None])
        rows = []
        for name in names:
            row = instance_view(fleet.instances[name], now)
            sample = samples.get(name)
            row["cpu_percent"] = round(sample.cpu_percent, 1) if sample else None
            row["memory_bytes"] = sample.memory_bytes if sample else None
            rows.append(row)
        return {"supervisor": self._supervisor(now), "instances": rows}

    def _supervisor(self, now: float) -> JSON:
        runtime = self._runtime
        place, instances = runtime.fleet.plan.supervisor, runtime.fleet.instances.values()
        return {
            "pid": os.getpid(),
            "name": place.name,
            "version": __version__,
            "upgraded_from": runtime.upgraded_from,
            "uptime_s": round(time.time() - runtime.started, 3),
            "started_at": _iso(runtime.started),
            "host_starved": runtime.observed.starved(now),
            "config": runtime.fleet.plan.path,
            "runtime_dir": runtime.runtime_dir,
            "state_dir": runtime.state_dir,
            "lag_ms": round(runtime.observed.lag * 1e3, 1),
            "trees": runtime.forest.kind,
            "instances": len(instances),
            "ready": sum(i.satisfied for i in instances),
            "failed": sum(i.state.value == "failed" for i in instances),
            "closing": runtime.fleet.closing,
            "problems": list(runtime.problems),
            **host(),
        }

    def instance(self, name: str) -> JSON:
        from supervisor.core.text.redact import without_secrets

        runtime, now = self._runtime, self._runtime.reactor.now()
        (name,) = self._one(name)
        found = runtime.fleet.instances[name]
        row: JSON = self.status([name])["instances"][0]
        spec = found.spec
        row |= {
            "command": without_secrets(spec.command),
            "description": spec.description,
            "depends_on": list(spec.depends_on),
            "directory": spec.directory,
            "tree": runtime.sampler.tree(runtime.processes.members(name)),
            "intervals_s": [round(i, 4) for i in found.detector.intervals()] if found.detector else [],
            "transitions": runtime.ledger.events(EventQuery(services=(name,), limit=20)),
            "log_path": f"{runtime.state_dir}/log/{name}.log",
            "stop_timeout_s": spec.stop_timeout,
            "start_timeout_s": spec.start_timeout,
            "max_restarts": spec.restart.max_restarts,
            "window_s": spec.restart.window,
            "policy": spec.restart.policy.value,
            "restarts_in_window": found.rule.restarts_in_window(now),
            "heartbeat": _heartbeat(spec),
            "evidence": dict(found.evidence),
        }
        return row

    def services(self) -> JSON:
        from supervisor.core.text.redact import without_secrets  # few ask, and its patterns take a moment

        return {
            "services": [
                {
                    "name": s.name,
                    "description": s.description,
                    "type": s.type.value,
                    "group": s.group_name,
                    "depends_on": list(s.depends_on),
                    "instances": list(s.instances),
                    "autostart": s.autostart,
                    "command": without_secrets(s.command),
                }
                for s in self._runtime.fleet.plan.services
            ]
        }

    def events(self, query: EventQuery) -> list[JSON]:
        return self._runtime.ledger.events(query)

    def evidence(self, event_id: int) -> JSON | None:
        return self._runtime.ledger.evidence(event_id)

    def logs(
        self,
        instance: str,
        *,
        lines: int | None = None,
        since: float | None = None,
        before: str | None = None,
        after: str | None = None,
    ) -> JSON:
        (name,) = self._one(instance)
        directory = f"{self._runtime.state_dir}/log"
        chunk = logread.read(directory, name, lines=lines, since=since, before=before, after=after)
        return {
            "instance": name,
            "lines": [{"at": at, "text": text} for at, text in chunk.lines],
            "first": chunk.first_cursor,
            "last": chunk.last_cursor,
            "at_end": chunk.at_end,
        }

    def metrics(self) -> str:
        return self._runtime.metrics.render(self.status(), self._runtime.reactor.now())

    # -- acting --------------------------------------------------------------------------------------------------

    def act(self, verb: str, services: Sequence[str], signal: str | None = None) -> list[str]:
        """start, stop, restart, reset or signal; the instances it concerns.  The effect follows.

        `signal`: its name or number; each service's own reload signal where it is None."""
        runtime, now = self._runtime, self._runtime.reactor.now()
        fleet = runtime.fleet
        names = self.resolve(services) if services else list(fleet.instances)
        if fleet.closing and verb in ("start", "restart", "reset"):
            raise UsageError("the supervisor is shutting down", "Nothing is started any more.")
        if verb == "start":
            if not services:
                names = [n for n in names if fleet.instances[n].spec.autostart and not fleet.instances[n].satisfied]
            runtime.engine.order(fleet.start(names, now))
        elif verb == "stop":
            runtime.engine.order(fleet.stop(names, now))
        elif verb == "restart":
            if not services:
                names = [n for n in names if fleet.instances[n].goal.value == "up"]
            runtime.engine.order(fleet.restart(names, now))
        elif verb == "reset":
            runtime.engine.order(fleet.reset(names, now))
        elif verb == "signal":
            number = _signal_number(signal) if signal is not None else None
            names = [n for n in names if fleet.instances[n].pid is not None]
            for name in names:
                runtime.processes.signal(name, number or fleet.instances[name].spec.reload_signal)
        else:
            raise UsageError(f"no such action: {verb}")
        return names

    def down(self) -> None:
        self._runtime.end()

    def reload(self, dry_run: bool, done: Callable[[JSON | SupervisorError], None]) -> None:
        """Compile the file in a child process, then apply what changed, or only tell it."""
        runtime = self._runtime
        managed = None if dry_run else runtime.managed
        child = compiler(runtime.fleet.plan.path, stderr=subprocess.PIPE)
        if managed is not None:
            managed.reloading()

        def compiled(code: int, out: bytes, err: bytes) -> None:
            try:
                done(self._apply(code, out, err, dry_run))
            finally:
                if managed is not None:
                    managed.reloaded()

        run_child(runtime.reactor, child, COMPILE_WITHIN, compiled)

    def upgrade(self, python: str | None, done: Callable[[JSON | SupervisorError], None]) -> None:
        """Let another version take over in this very process; `done` hears whether it can before it does."""
        from supervisor.daemon.upgrade import upgrade

        if self._runtime.fleet.closing:
            done(OperationFailed("the supervisor is shutting down"))
            return
        upgrade(self._runtime, python, done)

    def _apply(self, code: int, text: bytes, errors: bytes, dry_run: bool) -> JSON | SupervisorError:
        runtime = self._runtime
        if code != 0:
            return ConfigError(errors.decode(errors="replace").strip() or f"the compiler ended with {code}")
        plan = from_plain(Plan, json.loads(text))
        if dry_run:
            change = runtime.fleet.difference(plan)
        else:
            change = runtime.put_in_force(plan)
            runtime.say("info", "configuration reloaded")
        return {
            "applied": not dry_run,
            "added": list(change.added),
            "removed": list(change.removed),
            "changed": {name: list(keys) for name, keys in change.changed.items()},
            "restarted": [name for name in change.changed if change.needs_restart(name)],
            "unchanged": change.unchanged,
            "supervisor": list(change.supervisor),
        }

    # -- following -----------------------------------------------------------------------------------------------

    def watch(self, subscriber: Subscriber) -> Callable[[], None]:
        """Follow events, output or status; returns what ends it.  Sampling runs while anybody follows the status."""
        runtime = self._runtime
        ends: list[Callable[[], None]] = []
        names = set(self.resolve(subscriber.services) if subscriber.services else runtime.fleet.instances)
        if "events" in subscriber.topics:
            self._subscribers.append(subscriber)
            ends.append(lambda: self._subscribers.remove(subscriber))
        if "status" in subscriber.topics:
            self._watchers.append(subscriber)
            ends.append(lambda: self._watchers.remove(subscriber))
            ends.append(runtime.sampler.hold(subscriber.interval, lambda: self._tell_status(subscriber)))
            runtime.reactor.call_soon(lambda: self._tell_status(subscriber))
        if "logs" in subscriber.topics:
            for name in names:
                ends.append(self._follow(name, subscriber))

        def stop() -> None:
            while ends:
                ends.pop()()

        return stop

    def publish(self, event: JSON) -> None:
        """One event object to all who follow."""
        for subscriber in self._subscribers:
            if (
                not subscriber.services
                or event["service"] in subscriber.services
                or event["instance"] in subscriber.services
            ):
                subscriber.on_event(event)
        if self._watchers and self._telling is None:
            reactor = self._runtime.reactor
            wait = max(COALESCE, LARGEST_SHARE * self._telling_took)
            self._telling = reactor.call_at(reactor.now() + wait, self._tell_all)

    def _tell_all(self) -> None:
        self._telling = None
        now = self._runtime.reactor.now
        began = now()
        for watcher in list(self._watchers):
            self._tell_status(watcher)
        self._telling_took = now() - began

    def _tell_status(self, watcher: Subscriber) -> None:
        if watcher in self._watchers:
            watcher.on_status(self.status(watcher.services))

    def _follow(self, name: str, subscriber: Subscriber) -> Callable[[], None]:
        runtime = self._runtime
        stream = runtime.logs.open(name, runtime.fleet.instances[name].spec.log)

        def lines(found: list[bytes]) -> None:
            subscriber.on_log(name, [line.decode(errors="replace") for line in found])

        return stream.subscribe(lines)

    # -- names ---------------------------------------------------------------------------------------------------

    def resolve(self, services: Sequence[str]) -> list[str]:
        """Instance names for services, instances and groups, in start order.  NoSuchService names the nearest."""
        fleet = self._runtime.fleet
        wanted: set[str] = set()
        for pattern in services:
            found = fleet.names(pattern)
            if not found:
                raise self._unknown(pattern)
            wanted.update(found)
        return [name for name in fleet.instances if name in wanted]

    def _one(self, name: str) -> list[str]:
        found = self._runtime.fleet.names(name)
        if not found:
            raise self._unknown(name)
        if len(found) > 1:
            raise UsageError(f"{name} has {len(found)} instances", f"Name one: {', '.join(found[:5])}")
        return found

    def _unknown(self, name: str) -> NoSuchService:
        fleet = self._runtime.fleet
        known = list(dict.fromkeys([s.name for s in fleet.plan.services] + list(fleet.instances)))
        near = difflib.get_close_matches(name, known, 3) or known[:5]
        return NoSuchService(f"no service, instance or group named {name!r}", f"Known: {', '.join(near)}")


def _heartbeat(spec: ServiceSpec) -> JSON | None:
    beat = spec.heartbeat
    if beat is None:
        return None
    return {
        "source": beat.source,
        "interval_s": beat.interval,
        "detector": beat.detector,
        "threshold": beat.threshold,
        "min_timeout_s": beat.min_timeout,
        "max_timeout_s": beat.max_timeout,
        "on_suspect": beat.on_suspect.value,
    }


def _signal_number(name: str) -> int:
    text = name.upper()
    if text.isdecimal() and len(text) <= 3 and int(text) in signal.valid_signals():
        return int(text)
    try:
        return signal.Signals[text if text.startswith("SIG") else f"SIG{text}"].value
    except KeyError:
        known = ", ".join(s.name.removeprefix("SIG") for s in signal.Signals if s.value < 32)
        raise UsageError(f"no such signal: {name!r}", f"Known: {known}") from None


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
