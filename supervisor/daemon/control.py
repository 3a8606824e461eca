"""Control: answers the requests of the control API and carries out its commands.  No answer blocks."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

from supervisor import __version__
from supervisor.adapters.control.port import Subscriber
from supervisor.adapters.eventloop.loop import Timer
from supervisor.adapters.ledger.store import EventQuery
from supervisor.adapters.linux.signal_masks import signal_masks
from supervisor.adapters.logs import reader as logread
from supervisor.adapters.logs.place import find as find_log
from supervisor.adapters.processes.sampler import host
from supervisor.core.model.spec import Plan, ServiceSpec
from supervisor.core.services.replica import for_instance
from supervisor.core.services.selection import resolve, resolve_one, selected
from supervisor.core.services.service_set import By
from supervisor.core.services.signal_guard import refusal
from supervisor.core.services.status import instance_view, probe_problems
from supervisor.core.services.unresolved import review
from supervisor.core.text.orders import given
from supervisor.core.text.timestamps import to_iso
from supervisor.core.text.units import real_time_signal
from supervisor.daemon.compilation import compile_file
from supervisor.daemon.ordered_by import ordered_by
from supervisor.daemon.parts import Parts
from supervisor.daemon.reload import put_in_force
from supervisor.errors import ConfigError, NoSuchService, OperationFailed, SupervisorError, UsageError

if TYPE_CHECKING:
    from supervisor.adapters.http.messages import Peer
    from supervisor.core.model.documents import (
        Difference,
        Event,
        Evidence,
        Heartbeat,
        InstanceDetail,
        Logs,
        Services,
        Status,
        Supervisor,
        Upgrade,
    )


COALESCE = 0.02
"""Seconds from a transition to the status that watchers get; transitions in that time share one status."""
PAUSE_FACTOR = 3.0
"""The next status is sent after at least this many times the time that the last one took, which bounds its cost."""


class Control:
    """Implements what `adapters.control` asks of a daemon (adapters/control/port.py)."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._subscribers: list[Subscriber] = []
        self._watchers: list[Subscriber] = []
        self._status_timer: Timer | None = None
        self._status_took = 0.0

    @property
    def file(self) -> str:
        return self._parts.service_set.plan.path

    # -- reading -------------------------------------------------------------------------------------------------

    def status(self, services: Sequence[str] = ()) -> Status:
        service_set, now = self._parts.service_set, self._parts.loop.now()
        names = resolve(service_set, services) if services else list(service_set.instances)
        samples = self._parts.sampler.read_now([n for n in names if service_set.instances[n].pid is not None])
        rows = []
        for name in names:
            row = instance_view(service_set.instances[name], now)
            sample = samples.get(name)
            row["cpu_percent"] = round(sample.cpu_percent, 1) if sample else None
            row["memory_bytes"] = sample.memory_bytes if sample else None
            row["paused"] = self._parts.processes.paused(name)
            rows.append(row)
        return {"supervisor": self._supervisor(now), "instances": rows}

    def _supervisor(self, now: float) -> Supervisor:
        parts = self._parts
        settings, instances = parts.service_set.plan.supervisor, parts.service_set.instances.values()
        return {
            "pid": os.getpid(),
            "name": settings.name,
            "version": __version__,
            "upgraded_from": parts.upgraded_from,
            "uptime_s": round(time.time() - parts.started, 3),
            "started_at": to_iso(parts.started),
            "host_starved": parts.loop_lag.starved(now),
            "config": parts.service_set.plan.path,
            "runtime_dir": parts.runtime_dir,
            "state_dir": parts.state_dir,
            "lag_ms": round(parts.loop_lag.lag * 1e3, 1),
            "trees": parts.trees.kind,
            "instances": len(instances),
            "ready": sum(i.ready_for_dependants for i in instances),
            "failed": sum(i.state.value == "failed" for i in instances),
            "closing": parts.service_set.closing,
            "problems": [*parts.problems, *probe_problems(parts.service_set.instances.values())],
            **host(),
        }

    def instance(self, name: str) -> InstanceDetail:
        from supervisor.core.text.redact import without_secrets

        parts, now = self._parts, self._parts.loop.now()
        name = resolve_one(parts.service_set, name)
        found = parts.service_set.instances[name]
        spec = found.spec
        return {
            **self.status([name])["instances"][0],
            "command": without_secrets(for_instance(spec, name).command),
            "description": spec.description,
            "depends_on": list(spec.depends_on),
            "directory": spec.directory,
            "tree": parts.sampler.tree(parts.processes.members(name)),
            "intervals_s": [round(i, 4) for i in found.detector.intervals()] if found.detector else [],
            "transitions": parts.ledger.events(EventQuery(services=(name,), limit=20)),
            "log_path": "/".join(find_log(f"{parts.state_dir}/log", name)),
            "stop_timeout_s": spec.stop_timeout,
            "start_timeout_s": spec.start_timeout,
            "max_restarts": spec.restart.max_restarts,
            "window_s": spec.restart.window,
            "policy": spec.restart.policy.value,
            "restarts_in_window": found.tracker.restarts_in_window(now),
            "heartbeat": _heartbeat(spec),
            "evidence": cast("Evidence", dict(found.evidence)),
        }

    def services(self) -> Services:
        from supervisor.core.text.redact import without_secrets  # rarely needed, and its patterns take time to compile

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
                for s in self._parts.service_set.plan.services
            ]
        }

    def events(self, query: EventQuery) -> list[Event]:
        return self._parts.ledger.events(query)

    def evidence(self, event_id: int) -> Evidence | None:
        return self._parts.ledger.evidence(event_id)

    def logs(
        self,
        instance: str,
        *,
        lines: int | None = None,
        since: float | None = None,
        before: str | None = None,
        after: str | None = None,
    ) -> Logs:
        directory = f"{self._parts.state_dir}/log"
        try:
            name = resolve_one(self._parts.service_set, instance)
        except NoSuchService:  # it may have been removed
            if instance not in logread.instances(directory):
                raise
            name = instance
        chunk = logread.read(directory, name, lines=lines, since=since, before=before, after=after)
        return {
            "instance": name,
            "lines": [{"at": at, "text": text} for at, text in chunk.lines],
            "first": chunk.first_cursor,
            "last": chunk.last_cursor,
            "at_end": chunk.at_end,
        }

    def metrics(self) -> str:
        return self._parts.metrics.render(self.status(), self._parts.loop.now())

    # -- acting --------------------------------------------------------------------------------------------------

    def act(
        self,
        verb: str,
        services: Sequence[str],
        signal: str | None = None,
        *,
        insist: bool = False,
        peer: Peer | None = None,
    ) -> list[str]:
        """Order start, stop, restart, reset or signal, without waiting for the effect; returns the instances concerned.

        `signal`: its name or number; None: the reload signal of each service.  `insist`: send it even to a process that
        does not handle it."""
        parts, now = self._parts, self._parts.loop.now()
        service_set = parts.service_set
        names = selected(service_set, verb, services)
        numbers = self._numbers(names, signal, insist) if verb == "signal" else {}
        by = self.taken(f"{verb} {', '.join(services) or 'all'}", peer)
        if verb == "start":
            parts.engine.order(service_set.start(names, now, by=by))
        elif verb == "stop":
            parts.engine.order(service_set.stop(names, now, by=by))
        elif verb == "restart":
            parts.engine.order(service_set.restart(names, now, by))
        elif verb == "reset":
            parts.engine.order(service_set.reset(names, now, by))
        else:
            parts.engine.order(service_set.signal(numbers, now, by, resume=signal is None))
        return names

    def _numbers(self, names: Sequence[str], signal: str | None, insist: bool) -> dict[str, int]:
        """The signal for each instance.  OperationFailed where one would be ended or stopped by it."""
        parts = self._parts
        number = _signal_number(signal) if signal is not None else None
        numbers = {name: number or parts.service_set.instances[name].spec.reload_signal for name in names}
        if not insist:
            found = {name: signal_masks(parts.processes.by_instance[name].main) for name in names}
            refused = refusal(numbers, {name: masks for name, masks in found.items() if masks is not None})
            if refused is not None:
                raise OperationFailed(*refused)
        return numbers

    def taken(self, order: str, peer: Peer | None) -> By:
        """Log an order that is carried out; returns its giver."""
        if peer is None:
            return {}
        by = cast("By", ordered_by(peer))
        self._parts.say("info", f"{order}: ordered {given(by)}")
        return by

    def down(self, peer: Peer | None = None) -> None:
        """Stop everything and end; at the second call kill what is left."""
        self.end(self.taken("down", peer))

    def end(self, by: By) -> None:
        """The same, ordered by a client or by a signal to the daemon."""
        parts = self._parts
        if parts.service_set.closing:
            parts.say("info", "asked to stop a second time: killing what is left")
        else:
            parts.say("info", "stopping everything")
            parts.ledger.set_meta("closing", "yes")
        parts.engine.order(parts.service_set.end(parts.now(), by))

    def reload(
        self, dry_run: bool, done: Callable[[Difference | SupervisorError], None], peer: Peer | None = None
    ) -> None:
        """Compile the file in a child process, then apply what changed; with `dry_run` only report it."""
        self.compile(dry_run, done, {} if dry_run else self.taken("reload", peer))

    def compile(self, dry_run: bool, done: Callable[[Difference | SupervisorError], None], by: By) -> None:
        """The same, ordered by a client or by a signal to the daemon."""
        parts = self._parts
        reporter = None if dry_run else parts.reporter

        def compiled(result: Plan | ConfigError) -> None:
            try:
                done(self._apply(result, dry_run, by))
            finally:
                if reporter is not None:
                    reporter.reloaded()

        compile_file(parts.loop, parts.service_set.plan.path, compiled)
        if reporter is not None:
            reporter.reloading()

    def upgrade(
        self, python: str | None, done: Callable[[Upgrade | SupervisorError], None], peer: Peer | None = None
    ) -> None:
        """Let another version take over in this process; `done` is called with the result of the rehearsal before
        that."""
        from supervisor.daemon.upgrade import upgrade

        if self._parts.service_set.closing:
            done(OperationFailed("the daemon is shutting down"))
            return
        self.taken("upgrade", peer)
        upgrade(self._parts, python, done)

    def _apply(self, compiled: Plan | ConfigError, dry_run: bool, by: By) -> Difference | SupervisorError:
        parts = self._parts
        if isinstance(compiled, ConfigError):
            return compiled
        plan, lacking, refused = review(parts.service_set.plan, compiled)
        if refused:
            return ConfigError("\n".join(refused))
        if dry_run:
            change = parts.service_set.difference(plan)
        else:
            change = put_in_force(parts, plan, by)
            parts.accept(lacking)
            parts.say("info", "configuration reloaded")
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
        """Follow events, output or status; returns the function that ends it.  Usage is sampled while the status is
        followed."""
        parts = self._parts
        ends: list[Callable[[], None]] = []
        names = set(
            resolve(parts.service_set, subscriber.services) if subscriber.services else parts.service_set.instances
        )
        if "events" in subscriber.topics:
            self._subscribers.append(subscriber)
            ends.append(lambda: self._subscribers.remove(subscriber))
        if "status" in subscriber.topics:
            self._watchers.append(subscriber)
            ends.append(lambda: self._watchers.remove(subscriber))
            ends.append(parts.sampler.hold(subscriber.interval, lambda: self._send_status(subscriber)))
            parts.loop.call_soon(lambda: self._send_status(subscriber))
        if "logs" in subscriber.topics:
            for name in names:
                ends.append(self._follow(name, subscriber))

        def stop() -> None:
            while ends:
                ends.pop()()

        return stop

    def publish(self, event: Event) -> None:
        """Send one event object to all subscribers."""
        for subscriber in self._subscribers:
            if (
                not subscriber.services
                or event["service"] in subscriber.services
                or event["instance"] in subscriber.services
            ):
                subscriber.on_event(event)
        if self._watchers and self._status_timer is None:
            loop = self._parts.loop
            wait = max(COALESCE, PAUSE_FACTOR * self._status_took)
            self._status_timer = loop.call_at(loop.now() + wait, self._send_all)

    def _send_all(self) -> None:
        self._status_timer = None
        now = self._parts.loop.now
        began = now()
        for watcher in list(self._watchers):
            self._send_status(watcher)
        self._status_took = now() - began

    def _send_status(self, watcher: Subscriber) -> None:
        if watcher in self._watchers:
            watcher.on_status(self.status(watcher.services))

    def _follow(self, name: str, subscriber: Subscriber) -> Callable[[], None]:
        parts = self._parts
        stream = parts.logs.open(name, parts.service_set.instances[name].spec.log)

        def lines(found: list[bytes]) -> None:
            subscriber.on_log(name, [line.decode(errors="replace") for line in found])

        return stream.subscribe(lines)


def _heartbeat(spec: ServiceSpec) -> Heartbeat | None:
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
    if (number := real_time_signal(text)) is not None:
        return number
    try:
        return signal.Signals[text if text.startswith("SIG") else f"SIG{text}"].value
    except KeyError:
        known = ", ".join(s.name.removeprefix("SIG") for s in signal.Signals if s.value < 32) + ", RTMIN … RTMIN+30"
        raise UsageError(f"no such signal: {name!r}", f"Known: {known}") from None
