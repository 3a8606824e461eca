"""The composition root: the one file that knows everyone.

It builds the adapters, hands the engine its world, and turns orders into calls.  Anything that decides belongs
in `core`; what the faces ask for is answered in `operations`.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from supervisor.adapters.control.routes import Api
from supervisor.adapters.diagnosis.examiner import Examiner
from supervisor.adapters.eventloop.console_log import EventLog
from supervisor.adapters.eventloop.loop import Reactor, Timer
from supervisor.adapters.hooks.dispatcher import Hooks
from supervisor.adapters.http.server import HttpServer
from supervisor.adapters.ledger.store import Ledger
from supervisor.adapters.linux import procfs
from supervisor.adapters.linux.directories import own_directory
from supervisor.adapters.linux.directory_watch import Vigil
from supervisor.adapters.linux.locks import Claim, Lock
from supervisor.adapters.logs.store import LogStore
from supervisor.adapters.logs.stream import Stream
from supervisor.adapters.metrics.collector import Metrics
from supervisor.adapters.probes.monitors import Senses
from supervisor.adapters.probes.notify_socket import NotifySocket
from supervisor.adapters.processes import orphans as strays
from supervisor.adapters.processes.attribution import Attribution
from supervisor.adapters.processes.sampler import Sampler
from supervisor.adapters.processes.spawn import Spawner, clean_slate, raise_descriptor_limit
from supervisor.adapters.processes.table import Processes
from supervisor.adapters.processes.trees import Forest
from supervisor.adapters.sockets.listeners import Sockets
from supervisor.core.detection.clock_jumps import Clocks
from supervisor.core.detection.local_health import ObservedClock
from supervisor.core.model import actions as act
from supervisor.core.model import events as ev
from supervisor.core.model import sdnotify
from supervisor.core.model.actions import Action, Record
from supervisor.core.model.sdnotify import Message
from supervisor.core.model.spec import Plan, SupervisorSpec
from supervisor.core.services.adoption import Found
from supervisor.core.services.host_requirements import descriptor_shortage, runtime_directory_mode
from supervisor.core.services.monitoring_policy import monitoring_change
from supervisor.core.services.plan_diff import Difference
from supervisor.core.services.problems import Problems
from supervisor.core.services.service_set import Fleet
from supervisor.core.services.socket_policy import open_sockets
from supervisor.daemon.checkpoints import Checkpoints
from supervisor.daemon.control import Operations
from supervisor.daemon.engine import Engine
from supervisor.daemon.recovery import ID, PLAN, Past, plan_in_force, recover
from supervisor.errors import SupervisorError

if TYPE_CHECKING:
    from supervisor.daemon.service_manager import Managed

JSON = dict[str, Any]

FIFO = "fifo:"
"""Before an instance's name: the name of its output's descriptor."""
SOCKET = "socket:"
"""Before a URL: the name of the socket that we opened there for a service."""
NOTHING: Mapping[str, int] = {}
RUNTIME_FILES = ("lock", ID, PLAN, "control.sock", "notify.sock")
LOOK_EVERY = 1.0
"""Seconds from one look at the clocks to the next, at least: nothing is decided by what it finds."""
WARM_UP_AFTER = 0.5
"""Seconds after the start at which what the first client will need is imported: 40 ms that nobody is to wait for."""


class Runtime:
    """A daemon.  `run` returns its exit code when everything is down."""

    def __init__(
        self,
        plan: Plan,
        *,
        log_format: str = "human",
        descriptors: Mapping[str, int] = NOTHING,
        upgraded_from: str = "",
        recovered: Callable[[], None] | None = None,
    ) -> None:
        """`descriptors`: what a predecessor or a service manager kept open for us, by name (adapters/inherited.py).
        `recovered` is called when everything is taken up."""
        clean_slate()
        held = dict(descriptors)
        self.log_format = log_format
        self.upgraded_from = upgraded_from
        self._recovered = recovered
        place = plan.supervisor
        self._mode = runtime_directory_mode(plan, os.geteuid())
        self.runtime_dir = own_directory(place.runtime_dir, self._mode, place.group)
        self.state_dir = own_directory(place.state_dir, 0o700)
        self.lock = Lock(self.runtime_dir, held.pop("lock", None))
        self.claim = Claim(self.state_dir, held.pop("state", None))
        self.started = time.time()
        self.problems = Problems()
        self.log = EventLog(log_format)
        self.reactor = Reactor()
        self.reactor.on_error = self._callback_failed
        self.ledger = Ledger(f"{self.state_dir}/ledger.db", self.problem, later=self._later, on_loss=self._ledger_lost)
        self.past = Past(self.ledger, self.runtime_dir)
        self.id = self.past.id
        self._plan = plan
        self.managed = self._under_a_manager(None if upgraded_from else descriptors)
        self.fleet = Fleet(plan_in_force(self.past, plan), random.Random().random)
        self.engine = Engine(self.fleet, self, self.reactor.now, self._wake_at)
        self.spawner = Spawner(os.environ, self.id, f"{self.runtime_dir}/notify.sock")
        self.logs = LogStore(
            self.reactor,
            own_directory(f"{self.state_dir}/log", 0o700),
            f"{self.runtime_dir}/fifo",
            self._log_problem,
            _taken(held, FIFO),
        )
        self.sockets = Sockets(_taken(held, SOCKET))
        self.processes = Processes(self.reactor, self.engine.post, self._take_last_output, self.id)
        self.forest = Forest(f"{place.name}-{self.id[:8]}", self.id, self.processes.mains)
        self.senses = Senses(self.reactor, self.engine.post, random.random, self.processes.members, self._stream)
        self.examiner = Examiner(self.reactor, self._stream)
        self.sampler = Sampler(self.reactor, self.processes.members, self.engine.post, self._accounts)
        self.metrics = Metrics()
        self.hooks = Hooks(self.reactor, self.problem)
        self.attribution = Attribution(self.processes.mains, self.forest.root, self.id, self._user_of)
        self.notify = NotifySocket(
            self.reactor, f"{self.runtime_dir}/notify.sock", self._notified, self.problem, held.pop("notify", None)
        )
        self.operations = Operations(self)
        self.api = Api(self.operations, self.reactor)
        self.server = HttpServer(self.reactor, self.api, self.problem)
        self.observed = ObservedClock()
        self._clocks = Clocks(*_clocks())
        self._look_at = 0.0
        self._checkpoints = Checkpoints(lambda: self.fleet.instances, self._save)
        self._timer: Timer | None = None
        self._timer_at: float | None = None
        self._ending = False
        self._held = held
        self._vigil: Vigil | None = None
        self._untold: list[tuple[Record, JSON]] = []
        self._sockets_idle = False

    # -- life ----------------------------------------------------------------------------------------------------

    def run(self, only: Sequence[str] | None = None) -> int:
        """Start, and go on until told to stop.  `only`: these services and what they need, not all."""
        limit, _ = raise_descriptor_limit()
        shortage = descriptor_shortage(limit, len(self.fleet.instances))
        if shortage:
            self.problem(shortage)
        place = self.fleet.plan.supervisor
        self.server.listen_unix(f"{self.runtime_dir}/control.sock", self._held.pop("control", None), place.group)
        if place.listen is not None:
            self._listen_tcp(place, place.listen)
        for fd in self._held.values():  # nobody wants it any more
            os.close(fd)
        for number in (signal.SIGTERM, signal.SIGINT):
            self.reactor.on_signal(number, self.end)
        on_terminal = os.isatty(0) or os.isatty(2)
        self.reactor.on_signal(signal.SIGHUP, self.end if on_terminal else self._reload_on_signal)
        self.reactor.before_wait = self._turn
        self.reactor.on_wake = self._woke
        signal.pthread_sigmask(signal.SIG_SETMASK, ())  # an upgrade holds signals back until here
        recover(self, self.past, self._plan, only)
        if self.managed is not None:
            self.managed.began()
        self.reactor.call_soon(self._keep_vigil)
        if self._recovered is not None:
            self._recovered()
        self.reactor.call_at(self.reactor.now() + WARM_UP_AFTER, self._warm_up)
        try:
            self.reactor.run()
        finally:
            self._close()
        return 1 if any(i.lingering for i in self.fleet.instances.values()) else 0

    def _listen_tcp(self, place: SupervisorSpec, address: tuple[str, int]) -> None:
        token = tls = None
        if place.token_file:
            from supervisor.adapters.http.bearer_token import Token

            token = Token(place.token_file)
        if place.certificate:
            from supervisor.adapters.http.tls import server_context

            tls = server_context(place.certificate, place.private_key)
        self.server.listen_tcp(*address, self._held.pop("http", None), token=token, tls=tls)

    def _warm_up(self) -> None:
        try:
            self.server.warm_up()
        except OSError:  # no descriptor is left to read a module with
            self.reactor.call_at(self.reactor.now() + WARM_UP_AFTER, self._warm_up)

    def _keep_vigil(self) -> None:
        self._vigil = Vigil(self.reactor, self.runtime_dir, RUNTIME_FILES, self._make_anew, self.problem)

    def _make_anew(self, lost: Sequence[str]) -> None:
        """Somebody has removed these from the runtime directory, or all of it.  OSError, SupervisorError."""
        place = self.fleet.plan.supervisor
        own_directory(self.runtime_dir, self._mode, place.group)
        self.lock.anew()
        self.notify.anew()
        self.server.anew(f"{self.runtime_dir}/control.sock")
        self.past.begin(closing=self.fleet.closing)
        self.past.keep(self.fleet.plan)
        if self.managed is not None:
            self.managed.changed()  # it holds sockets that nobody reaches
        self.problem(f"{', '.join(lost)} was removed from {self.runtime_dir}: made anew")

    def end(self) -> None:
        """Stop everything and end; asked a second time, kill what is left."""
        if self.fleet.closing:
            self.say("info", "asked to stop a second time: killing what is left")
        else:
            self.say("info", "stopping everything")
            self.ledger.set_meta("closing", "yes")
        self.engine.order(self.fleet.end(self.reactor.now()))

    def _turn(self) -> None:
        self.engine.turn()
        if self._untold:
            self._tell()
        if self._sockets_idle:
            self._sockets_idle = False
            self.sockets.keep_only(open_sockets(self.fleet.instances.values()))
        self._checkpoints.turn(self.reactor.now())
        if self.fleet.closing and not self._ending and self.fleet.over(self.reactor.now()):
            self._ending = True
            for name, instance in self.fleet.instances.items():
                if instance.lingering:
                    self.problem(f"{name} was killed, and these are still there: {', '.join(instance.lingering)}")
            self.hooks.flush(self.reactor.stop)
        if self.managed is not None:
            self.managed.turn()

    def _close(self) -> None:
        """What is left running, or will not die, the next daemon takes up as after a crash."""
        if any(i.alive for i in self.fleet.instances.values()):
            self.save_all()
        else:
            self.ledger.set_meta("clean_shutdown", "yes")
        if self._vigil is not None:
            self._vigil.close()
        if self.managed is not None:
            self.managed.close()
        self.server.close()
        self.notify.close()
        self.logs.close()
        self.sockets.close()
        self.forest.close()
        self.ledger.close()
        self.claim.release()
        self.lock.release()

    def marked(self) -> list[Found]:
        """Every process that was started under our id."""
        return strays.find(self.id, f"{self.runtime_dir}/fifo", self.fleet.instances)

    def end_strays(self, found: Sequence[Found]) -> list[Found]:
        """Kill these, and wait until they are gone; what is not."""
        return strays.end(found)

    def adopt(self, name: str, incarnation: int, main: tuple[int, int] | None) -> ev.Adopted | ev.Vanished:
        """Take up what an earlier daemon started, if (pid, start time) still is that very process."""
        if main is not None and procfs.start_time(main[0]) == main[1]:
            self.logs.reach(name, main[0])
        self._stream(name)
        process = self.processes.adopt(name, incarnation, main, self.forest.find(name, main))
        spec = self.fleet.instances[name].spec
        if process is not None and process.pid and spec.sockets:
            self.sockets.adopt(spec, process.pid, process.pidfd)
        if process is None or not process.pid:
            return ev.Vanished(incarnation, tree_empty=process is None)
        return ev.Adopted(incarnation, process.pid, self.processes.age(process))

    def put_in_force(self, plan: Plan) -> Difference:
        """Replace the plan; only what changed is touched.  It is kept first: a crash in between goes on with it."""
        try:
            self.past.keep(self.fleet.still_going(plan))
        except OSError as error:
            self.problem(f"the plan in force cannot be kept for a crash: {error}")
        change, actions = self.fleet.apply(plan, self.reactor.now())
        self.engine.order(actions)
        return change

    def _under_a_manager(self, stored: Mapping[str, int] | None) -> Managed | None:
        """Whom we tell how we are, where somebody wants to be told; see ServiceManager for `stored`."""
        if "NOTIFY_SOCKET" not in os.environ:
            return None
        from supervisor.adapters.service_manager.notifier import upstream
        from supervisor.daemon.service_manager import Managed

        found = upstream(os.environ)
        return Managed(self, found, stored) if found is not None else None

    # -- the engine's world --------------------------------------------------------------------------------------

    def record(self, records: Sequence[Record]) -> None:
        """Durable before anything is done; everybody else is told when what was ordered is under way."""
        for name in {r.instance for r in records}:
            self.ledger.save(name, self._snapshot(name))
        events = self.ledger.append(records, time.time())
        self._untold += zip(records, events, strict=True)
        if self.managed is not None:
            self.managed.changed()
        for record in records:
            self._change_monitoring(record)

    def save_all(self) -> None:
        """Everything as it is now, for a successor."""
        self._save(self.fleet.instances)
        with suppress(OSError):
            self.past.keep(self.fleet.plan)

    def _ledger_lost(self) -> None:
        """Nothing may be known of those who do not change from now on: write everybody down again, soon."""

        def again() -> None:
            self.past.begin(closing=self.fleet.closing)
            self.save_all()

        self.reactor.call_soon(again)

    def descriptors(self) -> dict[str, int]:
        """What a successor in this process goes on with, by name."""
        pipes = {f"{FIFO}{name}": fd for name, fd in self.logs.descriptors().items()}
        sockets = {f"{SOCKET}{url}": fd for url, fd in self.sockets.descriptors().items()}
        ours = {"lock": self.lock.fd, "state": self.claim.fd}
        return ours | {"notify": self.notify.fileno()} | self.server.descriptors() | pipes | sockets

    def _save(self, names: Iterable[str]) -> None:
        for name in names:
            self.ledger.save(name, self._snapshot(name))
        self.ledger.flush()

    def _tell(self) -> None:
        """Everybody who listens gets the same object."""
        now = self.reactor.now()
        untold, self._untold = self._untold, []
        for record, event in untold:
            self.log.event(event)
            self.metrics.observe(record, now)
            self.operations.publish(event)
            instance = self.fleet.instances.get(record.instance)
            if instance is not None and instance.spec.hooks:
                self.hooks.offer(record, event, instance.spec)

    def _change_monitoring(self, record: Record) -> None:
        name, change = record.instance, monitoring_change(record)
        if change.sample:
            resources = self.fleet.instances[name].spec.resources
            self.sampler.limit(name, record.incarnation, resources)
            process = self.processes.by_instance.get(name)
            if change.apply_limits and process is not None:
                self.forest.limit(process.tree, resources)
        if change.end:
            self.senses.unwatch(name)

    def _snapshot(self, name: str) -> JSON | None:
        instance = self.fleet.instances.get(name)
        if instance is None:
            return None
        snapshot = instance.snapshot(self.reactor.now())
        process = self.processes.by_instance.get(name)
        if process is not None and process.incarnation == instance.incarnation and instance.pid is not None:
            snapshot |= {"pid": process.pid, "start": process.start}
        return snapshot

    def perform(self, action: Action) -> None:
        """Carry out one order of the rules."""
        _ORDERS[type(action)](self, action)

    def _spawn(self, order: act.Spawn) -> None:
        name, incarnation = order.instance, order.incarnation
        spec = self.fleet.instances[name].spec
        output = -1
        try:
            stream = self.logs.open(name, spec.log)
            output = stream.child_fd()
            sockets = self.sockets.open(spec) if spec.sockets else ()
            if self.managed is not None:
                held = {f"{SOCKET}{s.url}": fd for s, fd in zip(spec.sockets, sockets, strict=True)}
                self.managed.keep({f"{FIFO}{name}": stream.fd} | held)
            pid = self.spawner.spawn(spec, name, incarnation, output, sockets)
            self.processes.take(name, incarnation, pid, self.forest, spec.resources)
        except OSError as error:
            self.engine.post(name, ev.SpawnFailed(incarnation, _explain(error, spec.command[0])))
        except SupervisorError as error:
            self.engine.post(name, ev.SpawnFailed(incarnation, error.message))
        else:
            self.engine.post(name, ev.Spawned(incarnation, pid))
        finally:
            if output >= 0:
                os.close(output)

    def _signal(self, order: act.Signal) -> None:
        self.processes.signal(order.instance, order.number, tree=order.tree)

    def _kill(self, order: act.Kill) -> None:
        self.processes.kill(order.instance)

    def _watch(self, order: act.Watch) -> None:
        spec = self.fleet.instances[order.instance].spec
        self.senses.watch(order.instance, order.incarnation, spec, order.purpose)

    def _examine(self, order: act.Examine) -> None:
        process = self.processes.at_home(order.instance)
        if process is None:
            return
        spec = self.fleet.instances[order.instance].spec

        def answer(alive: bool, held: str | None, found: JSON, ran: float) -> None:
            self.engine.post(order.instance, ev.Examined(order.incarnation, alive, held, found, ran))

        confirm = partial(self.senses.confirm, order.instance, spec) if order.confirm else None
        self.examiner.examine(process, spec, order.within, confirm, answer, again=order.again)

    def _release(self, order: act.Release) -> None:
        self.examiner.cancel(order.instance)
        if order.instance in self.fleet.instances:
            self._stream(order.instance).finish_line()
        else:
            self.logs.remove(order.instance)
        self.senses.unwatch(order.instance)
        self.sampler.limit(order.instance, order.incarnation, None)
        self.processes.release(order.instance, order.incarnation)
        self._sockets_idle = True

    # -- what adapters ask and tell ------------------------------------------------------------------------------

    def _notified(self, pid: int, uid: int, message: Message, at: float) -> None:
        name = self.attribution.resolve(pid)
        instance = self.fleet.instances.get(name) if name is not None else None
        if instance is None or name is None:
            return
        for event in sdnotify.events(message, instance.spec, instance.incarnation, at):
            self.engine.post(name, event)
        if message.main_pid is not None and self.processes.set_main(name, message.main_pid):
            self.engine.post(name, ev.MainPid(instance.incarnation, message.main_pid))

    def _user_of(self, name: str) -> int | None:
        instance = self.fleet.instances.get(name)
        return instance.spec.user if instance is not None else None

    def _accounts(self, instance: str) -> str | None:
        process = self.processes.by_instance.get(instance)
        return process.tree.accounts if process is not None else None

    def _stream(self, instance: str) -> Stream:
        return self.logs.open(instance, self.fleet.instances[instance].spec.log)

    def _take_last_output(self, instance: str, tree_empty: bool) -> None:
        """Before the end is recorded, so that `why` finds the last words whenever it is asked.  A line without its
        newline counts only once it is ended; a process that is left in the tree may still go on with it."""
        stream = self._stream(instance)
        if tree_empty:
            stream.finish_line()
        else:
            stream.drain()

    def _log_problem(self, instance: str, message: str) -> None:
        self.problem(f"{instance}: {message}")

    def problem(self, message: str) -> None:
        """Something is wrong with us or our surroundings: loud, remembered in `status`, never fatal."""
        self.problems.add(message)
        self.say("error", message)

    def say(self, level: str, message: str) -> None:
        self.log.say(level, message, datetime.now(UTC).isoformat(timespec="milliseconds"))

    def _callback_failed(self, error: Exception) -> None:
        where = error.__traceback__
        while where is not None and where.tb_next is not None:
            where = where.tb_next
        place = f"{os.path.basename(where.tb_frame.f_code.co_filename)}:{where.tb_lineno}" if where else "?"  # noqa: PTH119
        self.problem(f"internal error, supervision goes on: {type(error).__name__}: {error} ({place})")
        if os.environ.get("SUPERVISOR_DEBUG"):
            sys.excepthook(type(error), error, error.__traceback__)

    def _later(self, seconds: float, callback: Callable[[], None]) -> None:
        self.reactor.call_at(self.reactor.now() + seconds, callback)

    # -- time ----------------------------------------------------------------------------------------------------

    def _woke(self, now: float, expected: float | None) -> None:
        stall = self.observed.woke(now, expected)
        if stall:
            self.say("warning", f"this process did not run for {stall:.2f} s; nobody's silence in it counts")
            self.engine.excuse(stall)
        if now < self._look_at:
            return
        self._look_at = now + LOOK_EVERY
        slept, stepped = self._clocks.look(*_clocks())
        if slept:
            self.say("warning", f"the host was suspended for {slept:.1f} s; that time counts for nobody")
        if stepped:
            way = "forwards" if stepped > 0 else "back"
            self.say("warning", f"the wall clock was set {way} by {abs(stepped):.1f} s; no timeout depends on it")

    def _wake_at(self, when: float | None) -> None:
        """Keep one timer.  An earlier one than asked for is kept too: it costs one idle turn, not a heap operation."""
        if when is None or (self._timer_at is not None and self._timer_at <= when):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = when
        self._timer = self.reactor.call_at(when, self._timer_fired)

    def _timer_fired(self) -> None:
        """A deadline may be due: take the beats that are still in the kernel before anybody is blamed."""
        self._timer = self._timer_at = None
        self.notify.drain()

    def _reload_on_signal(self) -> None:
        def done(result: JSON | Exception) -> None:
            if isinstance(result, Exception):
                self.problem(f"reload refused: {result}")

        self.operations.reload(dry_run=False, done=done)


_ORDERS: dict[type[Action], Callable[[Runtime, Any], None]] = {
    act.Spawn: Runtime._spawn,
    act.Signal: Runtime._signal,
    act.Kill: Runtime._kill,
    act.Watch: Runtime._watch,
    act.Examine: Runtime._examine,
    act.Release: Runtime._release,
}


def _clocks() -> tuple[float, float, float]:
    return time.monotonic(), time.clock_gettime(time.CLOCK_BOOTTIME), time.time()


def _taken(held: dict[str, int], prefix: str) -> dict[str, int]:
    """Those whose names begin with `prefix`, by what follows it; taken out of `held`."""
    return {name.removeprefix(prefix): held.pop(name) for name in list(held) if name.startswith(prefix)}


def _explain(error: OSError, program: str) -> str:
    subject = error.filename if error.filename is not None else program
    if isinstance(subject, bytes):
        subject = subject.decode(errors="replace")
    return f"{subject}: {error.strerror}"
