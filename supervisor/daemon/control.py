"""Control: answers the requests of the control API and carries out its commands.  No answer blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, cast

from supervisor.adapters.control.port import Subscriber
from supervisor.adapters.eventloop.slices import in_slices
from supervisor.adapters.ledger.store import EventQuery
from supervisor.core.model import events as ev
from supervisor.core.model.actions import Action, Goal, Record
from supervisor.core.model.daemon_records import unchanged
from supervisor.core.model.spec import Plan
from supervisor.core.services.scaling import Scale, scaled, wanted
from supervisor.core.services.selection import recorded_names, resolve, resolve_one, resolve_service, selected
from supervisor.core.services.service_set import By
from supervisor.core.text.orders import given
from supervisor.daemon.compilation import compile_file
from supervisor.daemon.edited_file import apply_edits
from supervisor.daemon.followers import Followers
from supervisor.daemon.ordered_by import ordered_by
from supervisor.daemon.parts import Parts
from supervisor.daemon.reload import put_in_force
from supervisor.daemon.status_view import StatusView
from supervisor.errors import ConfigError, NoSuchService, OperationFailed, SupervisorError, UsageError

if TYPE_CHECKING:
    from supervisor.adapters.control.port import InCluster
    from supervisor.adapters.http.messages import Peer
    from supervisor.adapters.metrics.page import Page, PageMaker
    from supervisor.adapters.metrics.scrapes import Scrapes
    from supervisor.core.model.balance_documents import Balances
    from supervisor.core.model.breaker_document import BreakerStatus
    from supervisor.core.model.documents import (
        Difference,
        Event,
        InstanceDetail,
        Scaled,
        Services,
        Status,
        Upgrade,
    )
    from supervisor.core.model.evidence_documents import Evidence
    from supervisor.core.model.log_documents import Logs
    from supervisor.core.model.order_documents import Rollout, Rollouts


STATUS_SLICE = 0.004
"""Seconds of one turn of the loop in which rows of a status are made: enough for fifty, which tell of one moment."""


class Control:
    """Implements what `adapters.control` asks of a daemon (adapters/control/port.py)."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._view = StatusView(parts)
        self.followers = Followers(parts, self.make_status, self._view.status)
        self._scrapes: Scrapes | None = None
        self._pages: PageMaker | None = None
        self._scales: dict[str, Scale] = {}
        """The newest order of `scale` for each service."""

    @property
    def file(self) -> str:
        return self._parts.service_set.plan.path

    # -- reading -------------------------------------------------------------------------------------------------

    def names(self, services: Sequence[str]) -> list[str]:
        return resolve(self._parts.service_set, services)

    def make_status(
        self, services: Sequence[str], done: Callable[[Status | SupervisorError], None], *, usage: bool = True
    ) -> None:
        loop = self._parts.loop
        sorry = OperationFailed("the status could not be made", "The daemon's log says why.")
        work = self._view.making(services, usage=usage)
        in_slices(loop.call_soon, loop.now, work, STATUS_SLICE, done, lambda: done(sorry))

    def instance(self, name: str) -> InstanceDetail:
        return self._view.instance(name)

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
                    "end_with": s.end_with,
                    "command": without_secrets(s.command),
                }
                for s in self._parts.service_set.plan.services
            ]
        }

    def balance(self, services: Sequence[str] = ()) -> Balances:
        found = self._parts.balancer.view() if self._parts.balancer is not None else []
        if not services:
            return {"services": found}
        service_set = self._parts.service_set
        names = {service_set.instances[name].spec.name for name in resolve(service_set, services)}
        if unbalanced := names - {one["service"] for one in found}:
            raise UsageError(f"{', '.join(sorted(unbalanced))}: no [services.NAME.balance]", "See docs/balancing.md.")
        return {"services": [one for one in found if one["service"] in names]}

    def cluster(self) -> InCluster:
        if self._parts.cluster is None:
            raise OperationFailed("this daemon has no [cluster]", "docs/cluster.md tells how hosts run together.")
        return self._parts.cluster

    def breaker(self, service: str) -> BreakerStatus:
        from supervisor.core.services.breaker_status import breaker_status

        service_set = self._parts.service_set
        spec = service_set.plan.service(service)
        if spec is None:
            raise NoSuchService(f"no service is named {service!r}", "An instance has the breaker of its service.")
        instances = [service_set.instances[name] for name in spec.instances]
        return breaker_status(spec, instances, service_set.counts.by_service.get(service), self._parts.loop.now())

    def events(self, query: EventQuery) -> list[Event]:
        if query.services:
            names = recorded_names(self._parts.service_set, query.services)
            if not names:
                return []
            query = replace(query, services=tuple(names))
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
        stream: str | None = None,
    ) -> Logs:
        from supervisor.adapters.logs.reader import instances, read

        directory = f"{self._parts.state_dir}/log"
        try:
            name = resolve_one(self._parts.service_set, instance)
        except NoSuchService:  # it may have been removed
            if instance not in instances(directory):
                raise
            name = instance
        chunk = read(directory, name, lines=lines, since=since, before=before, after=after, stream=stream)
        return chunk.page(name)

    def metrics(self, done: Callable[[bytes | SupervisorError], None]) -> None:
        if self._scrapes is None:
            from supervisor.adapters.metrics.scrapes import Scrapes

            self._scrapes = Scrapes(self._parts.loop.call_soon, self._parts.loop.now, self._page)
        self._scrapes.ask(done)

    def _page(self) -> Page:
        """A page of metrics; the first one imports what it needs, because most daemons are never asked."""
        if self._pages is None:
            from supervisor.adapters.metrics.scrapes import imports

            yield from imports()
            from supervisor.adapters.metrics.page import PageMaker
            from supervisor.daemon.metrics_source import MetricsSource

            self._pages = PageMaker(self._parts.metrics, MetricsSource(self._parts, self._view.supervisor))
        return (yield from self._pages.page())

    def watch(self, subscriber: Subscriber) -> Callable[[], None]:
        return self.followers.watch(subscriber)

    # -- acting --------------------------------------------------------------------------------------------------

    def act(
        self,
        verb: str,
        services: Sequence[str],
        *,
        rolling: bool = False,
        peer: Peer | None = None,
    ) -> list[str]:
        """Order start, stop, restart or reset, without waiting for the effect; returns the instances concerned.

        `rolling`: restart instance by instance."""
        parts, now = self._parts, self._parts.loop.now()
        service_set = parts.service_set
        names = selected(service_set, verb, services)
        if rolling:
            return self._roll(names, services, peer)
        order = f"{verb} {', '.join(services) or 'all'}"
        by = self.taken(order, peer)
        if verb == "start":
            actions = service_set.start(names, now, by=by)
        elif verb == "stop":
            actions = service_set.stop(names, now, by=by)
        elif verb == "restart":
            actions = service_set.restart(names, now, by)
        else:
            actions = service_set.reset(names, now, by)
        self._carry_out(actions, order, by)
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
        """Send a signal to main processes, after `reload_check` where it is a reload signal (daemon/signals.py).

        `done` is called with the instances concerned, or with the error."""
        from supervisor.daemon.signals import SignalOrder

        names = selected(self._parts.service_set, "signal", services)
        order = SignalOrder(self._parts, names, signal, insist=insist, check=check)
        words = f"signal {', '.join(services) or 'all'}"
        by = self.taken(words, peer)
        order.give(by, lambda actions: self._carry_out(actions, words, by), done)

    def maintain(
        self, on: bool, services: Sequence[str], lasts: float | None, reason: str, peer: Peer | None = None
    ) -> list[str]:
        """Leave these instances alone from now on, or supervise them again; returns the instances concerned."""
        parts, now = self._parts, self._parts.loop.now()
        if not services:
            raise UsageError("maintenance needs a service, instance or group", "Name one.")
        names = resolve(parts.service_set, services)
        order = f"maintenance {'on' if on else 'off'} {', '.join(services)}"
        by = self.taken(order, peer)
        if on:
            begin = ev.BeginMaintenance(parts.wall_clock(), lasts, reason, by)
            actions = parts.service_set.begin_maintenance(names, now, begin)
        else:
            actions = parts.service_set.end_maintenance(names, now, by)
        self._carry_out(actions, order, by)
        return names

    def _carry_out(self, actions: list[Action], order: str, by: By) -> None:
        """Pass the actions of an order on; it is recorded also where it changes nothing."""
        silent = by and not any(type(action) is Record for action in actions)
        self._parts.engine.order([unchanged(order, by), *actions] if silent else actions)

    def scale(self, services: Sequence[str], peer: Peer | None = None) -> Scaled:
        """Set other numbers of replicas, without waiting for the effect; `services`: words such as `web=4`."""
        parts = self._parts
        service_set = parts.service_set
        if service_set.closing:
            raise UsageError("the daemon is shutting down", "Nothing can be started now.")
        numbers = wanted(service_set.plan, services)
        before = set(service_set.instances) - service_set.removed
        order, by = f"scale {' '.join(services)}", _giver(peer)
        plan = service_set.plan
        put_in_force(parts, scaled(plan, numbers), by, scale=True)
        self._say(order, by)
        after = [name for name in service_set.instances if name not in service_set.removed]
        started = [name for name in after if name not in before and service_set.instances[name].goal is Goal.UP]
        stopped = sorted(before - set(after))
        for service, number in numbers.items():
            spec = plan.service(service)
            of = {name for name, one in service_set.instances.items() if one.spec.name == service}
            self._scales[service] = Scale(
                service,
                spec.replicas if spec is not None else 0,
                number,
                tuple(name for name in started if name in of),
                tuple(name for name in stopped if name in of),
                parts.now(),
                by,
            )
        if by and not started and not stopped:
            parts.engine.order([unchanged(order, by)])
        return {"started": started, "stopped": stopped}

    def _roll(self, names: Sequence[str], services: Sequence[str], peer: Peer | None) -> list[str]:
        from supervisor.core.services.rollouts import services_of

        parts, service_set = self._parts, self._parts.service_set
        whole = services_of(names, service_set.instances, named=bool(services))
        service_set.require_not_rolling(whole)
        by = self.taken(f"rolling restart {', '.join(whole) or 'of nothing'}", peer)
        parts.engine.order(service_set.roll(whole, parts.now(), by))
        return [name for name in names if service_set.instances[name].spec.name in whole]

    def rollouts(self, services: Sequence[str] = ()) -> Rollouts:
        """The newest rollout of each of these services (none: of all), and which of them are being scaled."""
        found, now = self._parts.service_set, self._parts.now()
        names = {found.instances[n].spec.name for n in resolve(found, services)}
        rolling = found.rollouts
        answer: Rollouts = {"rollouts": rolling.shown(now, tuple(names)) if rolling is not None else []}
        meant = [scale for name, scale in sorted(self._scales.items()) if not names or name in names]
        if scaling := [one for scale in meant if (one := scale.shown(found.instances, now)) is not None]:
            answer["scaling"] = scaling
        return answer

    def steer(self, verb: str, service: str, peer: Peer | None = None) -> Rollout:
        """Pause, resume or undo the rollout of a service.  NoSuchService, OperationFailed."""
        parts, service_set = self._parts, self._parts.service_set
        if service_set.closing:
            raise UsageError("the daemon is shutting down", "Nothing can be started now.")
        name = resolve_service(service_set, service)
        by = _giver(peer)
        parts.engine.order(service_set.steer(verb, name, parts.now(), by))
        self._say(f"rollout {verb} {name}", by)
        (found,) = self.rollouts([name])["rollouts"]
        return found

    def taken(self, order: str, peer: Peer | None) -> By:
        """Log an order that is carried out; returns its giver."""
        by = _giver(peer)
        self._say(order, by)
        return by

    def _say(self, order: str, by: By) -> None:
        if by:
            self._parts.say("info", f"{order}: ordered {given(by)}")

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
        self._carry_out(parts.service_set.end(parts.now(), by), "down", by)

    def reload(
        self,
        dry_run: bool,
        done: Callable[[Difference | SupervisorError], None],
        peer: Peer | None = None,
        profiles: Sequence[str] | None = None,
    ) -> None:
        """Compile the file in a child process, then apply what changed; with `dry_run` only report it.  `profiles`:
        those that are to be active; None: as they are."""
        self.compile(dry_run, done, {} if dry_run else self.taken("reload", peer), profiles)

    def compile(
        self,
        dry_run: bool,
        done: Callable[[Difference | SupervisorError], None],
        by: By,
        profiles: Sequence[str] | None = None,
    ) -> None:
        """The same, ordered by a client or by a signal to the daemon."""
        parts = self._parts
        reporter = None if dry_run else parts.reporter

        def compiled(result: Plan | ConfigError, *, again: bool = True) -> None:
            if isinstance(result, Plan) and parts.cluster is not None and not parts.cluster.current(result):
                if again:  # a version was pushed since
                    compile_file(parts.loop, parts.service_set.plan, partial(compiled, again=False), profiles=profiles)
                    return
                result = ConfigError("the pushed version of the configuration that this host keeps cannot be read")
            try:
                outcome = apply_edits(parts, result, dry_run, by)
                done(outcome)
                if parts.cluster is not None and not dry_run and not isinstance(outcome, SupervisorError):
                    parts.cluster.reloaded()
            finally:
                if reporter is not None:
                    reporter.reloaded()

        compile_file(parts.loop, parts.service_set.plan, compiled, profiles=profiles)
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
        upgrade(self._parts, python, done, self.taken("upgrade", peer))


def _giver(peer: Peer | None) -> By:
    return cast("By", ordered_by(peer)) if peer is not None else {}
