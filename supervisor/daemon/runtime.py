"""The runtime: builds the parts of a daemon, connects them, and runs them until everything is down.

Rules are in `core`.  Actions are carried out in `effects`, and `control` answers what the control API asks.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from supervisor import __version__
from supervisor.adapters.control.routes import ControlRoutes
from supervisor.adapters.http.messages import Handler, Peer
from supervisor.adapters.http.server import HttpServer
from supervisor.adapters.linux.directories import own_directory
from supervisor.adapters.linux.directory_watch import DirectoryWatch
from supervisor.adapters.linux.memory import SpareMemory
from supervisor.adapters.linux.mounts import mounts
from supervisor.adapters.processes.spawn import raise_descriptor_limit, reset_inherited_state
from supervisor.core.model.daemon_records import upgraded
from supervisor.core.model.spec import Plan, SupervisorSpec
from supervisor.core.services.host_requirements import descriptor_shortage, distant_directories
from supervisor.daemon.checkpoints import Checkpoints
from supervisor.daemon.control import Control
from supervisor.daemon.effects import Effects
from supervisor.daemon.parts import Parts
from supervisor.daemon.previous_run import ID, PLAN, RUNNING
from supervisor.daemon.recovery import recover
from supervisor.last_directories import Locations, forget, remember

if TYPE_CHECKING:
    from supervisor.adapters.http.order_token import OrderToken
    from supervisor.core.model.documents import Difference
    from supervisor.daemon.service_manager import ServiceManagerReporter


NOTHING: Mapping[str, Any] = {}
RUNTIME_FILES = ("lock", ID, PLAN, RUNNING, "control.sock", "notify.sock")
LONGEST_FLUSH = 1.0
"""Seconds in which the reader of stdout can take the rest of the services' lines at the end."""
CLOCK_CHECK_INTERVAL = 0.05
"""Seconds from one check of the clocks to the next, at least; each record is preceded by one as well."""
REPEATED = 1.0
"""Seconds in which a signal counts as the Ctrl-C before it, passed on by a wrapper."""
WARM_UP_DELAY = 0.5
"""Seconds after the start at which the modules for the first client are imported, so that it need not wait 40 ms."""


class Runtime:
    """A daemon.  `run` returns its exit code when everything is down."""

    def __init__(
        self,
        plan: Plan,
        *,
        log_format: str = "human",
        descriptors: Mapping[str, int] = NOTHING,
        upgraded_from: str = "",
        upgraded_by: Mapping[str, Any] = NOTHING,
        recovered: Callable[[], None] | None = None,
        refused: str = "",
        lacking: Sequence[str] = (),
    ) -> None:
        """`descriptors`: what a predecessor or a service manager kept open for this daemon, by name
        (adapters/eventloop/fd_passing.py).  `upgraded_by`: what ordered the upgrade.
        `recovered` is called when recovery is complete.  `refused`: what is wrong
        with the configuration; `plan` is then the one that was in force.  `lacking`: what an upgrade found that
        services which continue would lack now."""
        reset_inherited_state()
        self._plan = plan
        self._recovered = recovered
        self._upgraded_by = upgraded_by
        self._refused = refused
        self._lacking = lacking
        self._inherited = dict(descriptors)
        self._parts = parts = Parts(plan, self._inherited, log_format=log_format, upgraded_from=upgraded_from)
        self._control = Control(parts)
        self._effects = Effects(parts, self._control.followers.publish)
        self._reporter = parts.reporter = _reporter(parts)
        parts.engine.world = self._effects
        self._order_token: OrderToken | None = None
        self._spare_memory = SpareMemory(
            parts.loop,
            lambda: sum(i.incarnation for i in parts.service_set.instances.values()),
            lambda: not parts.engine.idle,
        )
        parts.server = HttpServer(parts.loop, self._handler(), parts.problem, self._spare_memory.worked)
        parts.loop.on_error = self._callback_failed
        self._next_clock_check = self._woke_at = 0.0
        self._checkpoints = Checkpoints(lambda: parts.service_set.instances, parts.save)
        self._ending = False
        self._same_until, self._asked_by = 0.0, 0
        self._directory_watch: DirectoryWatch | None = None
        self._plan_seen: Plan | None = None

    def _handler(self) -> Handler:
        """What answers the requests of the HTTP server."""
        loop = self._parts.loop
        api = ControlRoutes(self._control, loop)
        if not self._plan.supervisor.web:
            return api
        from supervisor.daemon.web.view import WebView

        settings = self._plan.supervisor
        if settings.web_actions:
            from supervisor.adapters.http.order_token import OrderToken

            folder, kept = self._parts.runtime_dir, "http" in self._inherited
            self._order_token = OrderToken(folder, settings.group, keep=kept)
        scheme = "https" if settings.certificate else "http"
        return WebView(settings.name, self._control, api, loop, self._order_token, scheme)

    # -- life ----------------------------------------------------------------------------------------------------

    def run(self, only: Sequence[str] | None = None, *, end: bool = False) -> int:
        """Start, and run until a shutdown is complete.  `only`: start only these services and what they depend on.
        `end`: start nothing, and stop what an earlier daemon left."""
        parts = self._parts
        parts.service_set.closing = end
        limit, _ = raise_descriptor_limit()
        instances = parts.service_set.instances
        with_stderr = sum(i.spec.log.stderr is not None for i in instances.values())
        parts.shortage = descriptor_shortage(limit, len(instances), with_stderr)
        if parts.shortage:
            parts.problem(parts.shortage)
        for problem in distant_directories({d: mounts().remote(d) for d in (parts.runtime_dir, parts.state_dir)}):
            parts.problem(problem)
        settings = parts.service_set.plan.supervisor
        parts.server.listen_unix(
            f"{parts.runtime_dir}/control.sock", self._inherited.pop("control", None), settings.group
        )
        if settings.listen is not None:
            self._listen_tcp(settings, settings.listen)
        for fd in self._inherited.values():  # no part uses it
            os.close(fd)
        self._connect_loop()
        signal.pthread_sigmask(signal.SIG_SETMASK, ())  # an upgrade holds signals back until here
        parts.accept(self._lacking)
        if self._refused:
            parts.refuse(
                f"the configuration is refused, the services continue under the plan that was in force: {self._refused}"
            )
        recover(parts, self._effects, self._plan, only, self._announce)
        parts.trees.found()
        if end:
            parts.ledger.set_meta("closing", "yes")
            by = self._control.taken("down", Peer(os.getppid(), os.getuid()))  # `supervisor down` started this process
            parts.engine.order(parts.service_set.shutdown(parts.now(), by))
        remember(Locations(settings.name, parts.runtime_dir, parts.state_dir, self._plan.path), os.environ)
        if self._reporter is not None:
            self._reporter.began()
        parts.call_soon(self._watch_directory)
        if self._recovered is not None:
            self._recovered()
        parts.loop.call_at(parts.now() + WARM_UP_DELAY, self._warm_up)
        try:
            parts.loop.run()
        finally:
            self._close()
        return 1 if any(i.lingering for i in parts.service_set.instances.values()) else parts.exit_code

    def _connect_loop(self) -> None:
        loop = self._parts.loop
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.on_signal(number, partial(self._end_on_signal, number))
        on_terminal = os.isatty(0) or os.isatty(2)
        loop.on_signal(
            signal.SIGHUP, partial(self._end_on_signal, signal.SIGHUP) if on_terminal else self._reload_on_signal
        )
        loop.before_wait = self._turn
        loop.on_wake = self._woke

    def _listen_tcp(self, settings: SupervisorSpec, address: tuple[str, int]) -> None:
        token = tls = None
        if settings.token_file:
            from supervisor.adapters.http.bearer_token import BearerToken

            token = BearerToken(settings.token_file)
        if settings.certificate:
            from supervisor.adapters.http.tls import server_context

            tls = server_context(settings.certificate, settings.private_key)
        self._parts.server.listen_tcp(*address, self._inherited.pop("http", None), token=token, tls=tls)

    def _announce(self, adopted: int) -> None:
        parts = self._parts
        if parts.upgraded_from:
            parts.engine.order([upgraded(parts.upgraded_from, __version__, self._upgraded_by)])
        count, kind = len(parts.service_set.instances), parts.trees.kind
        parts.say("info", f"{count} instances, trees by {kind}" + (f", {adopted} adopted" if adopted else ""))

    def _warm_up(self) -> None:
        try:
            self._parts.server.warm_up()
        except OSError:  # no descriptor is free to read a module
            self._parts.loop.call_at(self._parts.now() + WARM_UP_DELAY, self._warm_up)
        else:
            self._spare_memory.worked()

    def _watch_directory(self) -> None:
        parts = self._parts
        names = RUNTIME_FILES if self._order_token is None else (*RUNTIME_FILES, self._order_token.name)
        self._directory_watch = DirectoryWatch(parts.loop, parts.runtime_dir, names, self._recreate, parts.problem)

    def _recreate(self, lost: Sequence[str]) -> None:
        """Recreate what was removed from the runtime directory, or with it.  OSError, SupervisorError."""
        parts = self._parts
        own_directory(parts.runtime_dir, parts.directory_mode, parts.service_set.plan.supervisor.group)
        parts.lock.reacquire()
        parts.notify.rebind()
        if parts.stored is not None:
            parts.stored.rebind()
        parts.server.rebind(f"{parts.runtime_dir}/control.sock")
        if self._order_token is not None:
            self._order_token.write()
        parts.previous_run.begin(closing=parts.service_set.closing)
        parts.keep_rollouts()
        parts.keep_plan(parts.service_set.plan_to_keep(unwritten=parts.ledger.behind))
        if parts.reporter is not None:
            parts.reporter.changed()  # it holds sockets that can no longer be reached
        parts.problem(f"{', '.join(lost)} was removed from {parts.runtime_dir}: recreated")

    def _turn(self) -> None:
        parts = self._parts
        if parts.service_set.plan is not self._plan_seen:
            self._add_parts(parts.service_set.plan)
        parts.engine.turn()
        if parts.balancer is not None:
            parts.balancer.turn()
            if not parts.engine.idle:  # what is drained is stopped now
                parts.engine.turn()
        if parts.service_set.ends_with_one and not parts.service_set.closing:
            self._end_with_one()
        self._effects.finish()
        if self._woke_at >= self._next_clock_check:
            self._next_clock_check = self._woke_at + CLOCK_CHECK_INTERVAL
            self._effects.look_at_clocks()
        self._checkpoints.turn(parts.now())
        if parts.service_set.closing and not self._ending and parts.service_set.finished(parts.now()):
            self._ending = True
            for name, instance in parts.service_set.instances.items():
                if instance.lingering:
                    parts.problem(
                        f"{name} was killed, but these processes are still present: {', '.join(instance.lingering)}"
                    )
            parts.finish_commands(parts.loop.stop)
        if self._reporter is not None:
            self._reporter.turn()

    def _end_with_one(self) -> None:
        """Take everything down where the service with which it ends has ended."""
        from supervisor.core.services.relations.end_with import ended_with  # few configurations need it

        parts = self._parts
        end = ended_with(parts.service_set.instances.values())
        if end is None:
            return
        parts.exit_code = end.exit_code
        parts.say(
            "info", f"{end.instance} has ended: everything ends with it, with exit code {end.exit_code} (end_with)"
        )
        self._control.end({})
        parts.engine.turn()

    def _add_parts(self, plan: Plan) -> None:
        """Have a balancer from the first plan on in which a service has `balance`, and what watches sockets from the
        first one on in which a service starts on demand."""
        self._plan_seen = plan
        if self._parts.on_demand is None and any(spec.on_demand for spec in plan.services):
            from supervisor.daemon.on_demand import OnDemand

            self._parts.on_demand = OnDemand(self._parts)
            self._effects.review_sockets()
        if self._parts.balancer is None and any(spec.balance is not None or spec.is_balancer for spec in plan.services):
            from supervisor.daemon.balancing import Balancer

            self._parts.balancer = Balancer(self._parts)

        if self._parts.cluster is None and plan.cluster is not None:
            from supervisor.daemon.cluster.member import Cluster

            self._parts.cluster = Cluster(self._parts, plan.cluster)
        if self._parts.cluster is not None:
            self._parts.cluster.review()

    def _close(self) -> None:
        """Close everything.  The next daemon adopts what still runs, as after a crash."""
        parts = self._parts
        if any(i.alive for i in parts.service_set.instances.values()):
            parts.save_all()
        else:
            parts.previous_run.end()
            forget(self._plan.path, os.environ)
        if self._directory_watch is not None:
            self._directory_watch.close()
        if self._reporter is not None:
            self._reporter.close()
        if parts.cluster is not None:
            parts.cluster.close()
        parts.server.close()
        parts.notify.close()
        parts.logs.close()
        parts.console.close(LONGEST_FLUSH)
        parts.sockets.close()
        if parts.stored is not None:
            parts.stored.close()
        parts.trees.close()
        parts.ledger.close()
        parts.claim.release()
        parts.lock.release()

    # -- callbacks of the loop ------------------------------------------------------------------------------------

    def _woke(self, now: float, expected: float | None) -> None:
        parts = self._parts
        stall = parts.loop_lag.woke(now, expected)
        if stall:
            parts.say("warning", f"the daemon did not run for {stall:.2f} s; silence during that time is not counted")
            parts.engine.discount_silence(stall)
            parts.observers.disturbed(stall)
        self._woke_at = parts.engine.heard = now

    def _end_on_signal(self, number: int) -> None:
        """End; a second signal kills.  What comes within REPEATED seconds of a Ctrl-C is the same one, which a wrapper
        passed on, in either order; a second SIGTERM is an order of its own."""
        parts = self._parts
        if parts.now() < self._same_until and not number == self._asked_by == signal.SIGTERM:
            parts.say("info", f"asked again within {REPEATED:g} s: taken for the same order; a further signal kills")
            return
        if not parts.service_set.closing:
            self._same_until, self._asked_by = parts.now() + REPEATED, number
        self._control.end({"signal": int(number)})

    def _reload_on_signal(self) -> None:
        def done(result: Difference | Exception) -> None:
            if isinstance(result, Exception):
                self._parts.refuse(f"reload refused: {result}")

        self._control.compile(dry_run=False, done=done, by={"signal": int(signal.SIGHUP)})

    def _callback_failed(self, error: Exception) -> None:
        where = error.__traceback__
        while where is not None and where.tb_next is not None:
            where = where.tb_next
        settings = f"{os.path.basename(where.tb_frame.f_code.co_filename)}:{where.tb_lineno}" if where else "?"  # noqa: PTH119
        self._parts.problem(f"internal error, supervision continues: {type(error).__name__}: {error} ({settings})")
        if os.environ.get("SUPERVISOR_DEBUG"):
            sys.excepthook(type(error), error, error.__traceback__)


def _reporter(parts: Parts) -> ServiceManagerReporter | None:
    if parts.service_manager is None:
        return None
    from supervisor.daemon.service_manager import ServiceManagerReporter

    return ServiceManagerReporter(parts, parts.service_manager)
