"""The parts of a daemon: its directories, adapters, rules and engine, built once and held in one place.

Control, recovery, upgrade, service_manager and effects work on these parts.  Nothing here decides.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Protocol

from supervisor.adapters.eventloop.console_log import ConsoleLog
from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.eventloop.outlet import Outlet
from supervisor.adapters.http.server import HttpServer
from supervisor.adapters.ledger.store import Ledger
from supervisor.adapters.linux.descriptor_reserve import RESERVE, kept_free
from supervisor.adapters.linux.directories import own_directory
from supervisor.adapters.linux.locks import RuntimeLock, StateLock
from supervisor.adapters.linux.mounts import mounts
from supervisor.adapters.logs.console import Console
from supervisor.adapters.logs.store import LogStore
from supervisor.adapters.logs.stream import Stream
from supervisor.adapters.metrics.collector import MetricsCollector
from supervisor.adapters.probes.notify_socket import NotifySocket
from supervisor.adapters.processes import orphans
from supervisor.adapters.processes.attribution import Attribution
from supervisor.adapters.processes.sampler import Sampler
from supervisor.adapters.processes.spawn import Spawner
from supervisor.adapters.processes.table import ProcessTable
from supervisor.adapters.processes.trees import Trees
from supervisor.adapters.sockets.listeners import ListeningSockets
from supervisor.core.detection.local_health import LoopLag
from supervisor.core.model.spec import Plan, ServiceSpec
from supervisor.core.services.adoption import saved
from supervisor.core.services.host_requirements import runtime_directory_mode
from supervisor.core.services.problems import Problems
from supervisor.core.services.service_set import ServiceSet
from supervisor.core.text.timestamps import to_iso
from supervisor.daemon.engine import Engine
from supervisor.daemon.notifications import Notifications
from supervisor.daemon.observers import Observers
from supervisor.daemon.previous_run import PreviousRun, RuntimeFiles, current_epoch, refuse_other_file
from supervisor.errors import OperationFailed, SupervisorError

if TYPE_CHECKING:
    from supervisor.adapters.hooks.dispatcher import HookDispatcher
    from supervisor.adapters.http.messages import Peer
    from supervisor.adapters.processes.apart import ApartSpawns
    from supervisor.adapters.processes.command_trees import CommandTree, CommandTrees
    from supervisor.adapters.service_manager.notifier import ServiceManager
    from supervisor.adapters.sockets.descriptor_store import DescriptorStore
    from supervisor.core.balancing.slots import Wanted
    from supervisor.core.lifecycle.instance import Instance
    from supervisor.core.model.actions import Record
    from supervisor.core.model.balance_documents import Balance
    from supervisor.core.model.cluster_documents import ClusterView, NewOrder, OrderOutcome
    from supervisor.core.model.document_types import JSON
    from supervisor.core.model.host_documents import HostDetail, HostsView
    from supervisor.core.model.push_documents import NewPush

FIFO = "fifo:"
"""Prefix of the name of the descriptor of an instance's output; the instance follows."""
LONGEST_PAUSE = 0.2
"""Seconds in which the reader of stdout can take what waits for it, before an upgrade."""
RETRY = 5.0
"""Seconds until the plan in force is saved again where the runtime directory did not take it."""
SOCKET = "socket:"
"""Prefix of the name of a listening socket of a service; its URL follows."""


class Reviewed(Protocol):
    """What the daemon has only where a service starts on demand (daemon/on_demand.py)."""

    def review(self) -> None: ...


class AcrossHosts(Protocol):
    """Instances of other hosts behind our HAProxy, and of this host behind theirs (cluster/balanced_hosts.py)."""

    def wanted(self, spec: ServiceSpec) -> list[Wanted]:
        """What the slots of a service want of the instances of other hosts."""
        ...

    def released(self, instance: Instance) -> bool:
        """No other host sends the instance requests any more."""
        ...

    def awaited(self, spec: ServiceSpec) -> bool:
        """The agent has not told yet which instances other hosts have, and is about to."""
        ...


class InCluster(Reviewed, Protocol):
    """The daemon's part in a cluster (daemon/cluster/member.py)."""

    @property
    def balanced(self) -> AcrossHosts:
        """Its part in balancing."""
        ...

    def environment(self, instance: str) -> tuple[tuple[str, str], ...]:
        """What a process of an exclusive instance gets in addition."""
        ...

    def view(self) -> ClusterView:
        """The agent's last word."""
        ...

    def order(self, order: NewOrder) -> str:
        """Take an order for the agent; its number."""
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

    def push(self, push: NewPush, peer: Peer | None) -> str:
        """Take a push of a configuration for the agent; its number."""
        ...

    def reloaded(self) -> None:
        """A person has ordered a reload, which was carried out."""
        ...

    def current(self, plan: Plan) -> bool:
        """Whether a plan was compiled from the version of the configuration that this host keeps now."""
        ...

    def problems(self) -> list[str]:
        """What is to be told of the version of the configuration that this host runs."""
        ...

    def close(self) -> None: ...


class DrivenBalancer(Protocol):
    """What drives HAProxy (daemon/balancing.py)."""

    def changed(self, record: Record) -> None:
        """An instance has changed."""

    def turn(self) -> None:
        """Follow what has changed."""

    def before_start(self, instance: str) -> None:
        """An instance is about to be started; where it is HAProxy, its file is written.  OSError."""

    def view(self) -> list[Balance]:
        """The balanced services with their slots."""
        ...

    def used(self) -> frozenset[tuple[str, int]] | None:
        """The instances of other hosts that slots hold, and their incarnations; None: that is not known."""
        ...

    def hosts_changed(self) -> None:
        """The instances of other hosts are others, or what they still use of this host's."""


class ServiceManagerReports(Protocol):
    """What the daemon reports to the service manager that started it (daemon/service_manager.py)."""

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables from which a successor in this process learns how the service manager is reached."""
        ...

    def keep(self, descriptors: Mapping[str, int]) -> None:
        """Let the service manager keep these for the next daemon, before they are used."""

    def changed(self) -> None:
        """An instance changed, or a descriptor was replaced."""

    def reloading(self) -> None: ...

    def reloaded(self) -> None: ...


class Parts:
    """All parts of one daemon.  OperationFailed where another daemon has its directories, OSError.

    The runtime adds the parts that need the others: `server`, `reporter` (None without a service manager), and the
    world of the `engine`.  `descriptors`: what a predecessor or a service manager kept open, by name; those used are
    removed from it."""

    server: HttpServer

    def __init__(self, plan: Plan, descriptors: dict[str, int], *, log_format: str, upgraded_from: str) -> None:
        settings = plan.supervisor
        stored = None if upgraded_from else dict(descriptors)
        self.started, self.began = time.time(), time.monotonic()
        """The same moment on the wall clock and on CLOCK_MONOTONIC."""
        self.log_format = log_format
        self.upgraded_from = upgraded_from
        self.reporter: ServiceManagerReports | None = None
        self.balancer: DrivenBalancer | None = None
        self.on_demand: Reviewed | None = None
        self.cluster: InCluster | None = None
        self.directory_mode = runtime_directory_mode(plan, os.geteuid())
        self.runtime_dir = own_directory(settings.runtime_dir, self.directory_mode, settings.group)
        self.state_dir = own_directory(settings.state_dir, 0o700)
        self.lock = RuntimeLock(self.runtime_dir, descriptors.pop("lock", None))
        self.claim = StateLock(self.state_dir, descriptors.pop("state", None))
        self.problems = Problems()
        self._refusals: list[str] = []
        self._plan_unsaved = False
        self.exit_code = 0
        """That of the service with which everything ends (`end_with`)."""
        self.shortage = ""
        """Why descriptors are few; empty where they suffice."""
        self.log = ConsoleLog(log_format, partial(_outlet, 2))
        self.loop = EventLoop()
        self.now, self.call_soon = self.loop.now, self.loop.call_soon
        self.ledger = Ledger(f"{self.state_dir}/ledger.db", self.problem, later=self.later, on_loss=self._ledger_lost)
        files = RuntimeFiles(self.runtime_dir, self.state_dir)
        self.previous_run = PreviousRun(
            self.ledger,
            files,
            current_epoch(),
            lambda supervisor_id, names: bool(orphans.find(supervisor_id, f"{self.runtime_dir}/fifo", names)),
        )
        refuse_other_file(self.previous_run.other_file(plan), settings.runtime_dir)
        self.id = self.previous_run.id
        self.service_manager = self._service_manager(stored)
        self.service_set = ServiceSet(
            self.previous_run.plan_in_force(plan), random.Random().random, self.previous_run.rollouts_in_force(plan)
        )
        self.engine = Engine(self.service_set, self.now)
        self.spawner = Spawner(os.environ, self.id, f"{self.runtime_dir}/notify.sock")
        self._apart: ApartSpawns | None = None
        self._commands: CommandTrees | None = None
        self._hooks: HookDispatcher | None = None
        self.console = Console(self.loop, partial(_outlet, 1), self.problem)
        self.logs = LogStore(
            self.loop,
            own_directory(f"{self.state_dir}/log", 0o700),
            f"{self.runtime_dir}/fifo",
            self._log_problem,
            _taken(descriptors, FIFO),
            self.console,
        )
        self.sockets = ListeningSockets(_taken(descriptors, SOCKET))
        self.processes = ProcessTable(self.loop, self.engine.post, self._take_last_output, self.id)
        self.trees = Trees(f"{settings.name}-{self.id[:8]}", self.id, self.processes.mains)
        self.observers = Observers(
            self.loop,
            self.engine.post,
            self.processes.members,
            self.processes.main,
            self.stream,
            self.command_tree,
            self._log_problem,
        )
        self.sampler = Sampler(
            self.loop,
            self.processes.members,
            self.engine.post,
            self._accounts,
            self._limit_commands,
            self.processes.paused,
        )
        self.metrics = MetricsCollector()
        self.attribution = Attribution(self.processes.mains, self.trees.root, self.id, self._user_of)
        self.notifications = Notifications(self)
        self.notify = NotifySocket(
            self.loop,
            f"{self.runtime_dir}/notify.sock",
            self.notifications.take,
            self.problem,
            descriptors.pop("notify", None),
        )
        self.processes.before_exits = self.notifications.hear_last_words
        self._stored: DescriptorStore | None = None
        self._store_path = f"{self.runtime_dir}/stored.sock"
        if os.path.exists(self._store_path):  # noqa: PTH110 - pathlib would cost the daemon memory
            self.open_store()
        self.loop_lag = LoopLag()

    def _service_manager(self, stored: Mapping[str, int] | None) -> ServiceManager | None:
        """The notifier to the service manager; None without one.

        Its variables are removed from the environment before children get it, and the `stored` descriptors are checked
        before they are used."""
        if "NOTIFY_SOCKET" not in os.environ:
            return None
        from supervisor.adapters.service_manager.notifier import ServiceManager, upstream

        found = upstream(os.environ)
        return ServiceManager(self.loop, found, self.problem, stored) if found is not None else None

    # -- what is built when it is first needed, because few daemons need it ---------------------------------------

    @property
    def apart(self) -> ApartSpawns:
        """The spawns that wait for a file system."""
        if self._apart is None:
            from supervisor.adapters.processes.apart import ApartSpawns

            self._apart = ApartSpawns(self.loop)
        return self._apart

    def look_at_spawns(self) -> None:
        """See which spawns are over that wait for a file system."""
        if self._apart:
            self._apart.look()

    @property
    def stored(self) -> DescriptorStore | None:
        """The descriptors that services have stored; None where none ever has."""
        return self._stored

    def open_store(self) -> DescriptorStore:
        if self._stored is None:
            from supervisor.adapters.sockets.descriptor_store import DescriptorStore

            self._stored = DescriptorStore(self.loop, self._store_path, self.problem)
        return self._stored

    @property
    def hooks(self) -> HookDispatcher:
        if self._hooks is None:
            from supervisor.adapters.hooks.dispatcher import HookDispatcher

            self._hooks = HookDispatcher(self.loop, self.problem, self.command_tree)
        return self._hooks

    def command_tree(self, instance: str) -> CommandTree:
        """The process tree for one run of a probe, a hook or a check.  OSError."""
        if self._commands is None:
            from supervisor.adapters.processes.command_trees import CommandTrees

            self._commands = CommandTrees(self.loop, self.id, self.processes.mains)
        return self._commands.begin(instance)

    def _limit_commands(self, instance: str, most: int) -> None:
        if self._commands is not None:
            self._commands.limit(instance, most)

    # -- messages ------------------------------------------------------------------------------------------------

    def say(self, level: str, message: str) -> None:
        self.log.say(level, message, to_iso(time.time()))

    def problem(self, message: str) -> None:
        """Report a problem of this daemon or its host: it is logged and shown in `status`, and never fatal."""
        self.problems.add(message)
        self.say("error", message)

    @property
    def reserve(self) -> int:
        """Descriptors that a spawn has to leave free."""
        return RESERVE if self.shortage else 0

    def refuse(self, message: str) -> None:
        """Report what is wrong with the configuration; the report stands until one is accepted.

        It is logged each time: the same file may be refused at each of several orders."""
        if message not in self._refusals:
            self._refusals.append(message)
        self.problem(message)

    def accept(self, lacking: Iterable[str]) -> None:
        """The configuration of the file is in force.  `lacking`: what services that continue would lack now."""
        while self._refusals:
            self.problems.remove(self._refusals.pop())
        for one in lacking:
            self.refuse(f"{one}; the service is left as it is")

    def _log_problem(self, instance: str, message: str) -> None:
        self.problem(f"{instance}: {message}")

    def wall_clock(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    # -- what is saved for a later daemon ------------------------------------------------------------------------

    def snapshot(self, name: str) -> JSON | None:
        """What a later daemon needs to know of an instance; None where the instance no longer exists."""
        instance = self.service_set.instances.get(name)
        return saved(instance, self.processes.by_instance.get(name), self.now()) if instance is not None else None

    def save(self, names: Iterable[str]) -> None:
        """Save these instances as they are now."""
        for name in names:
            self.ledger.save(name, partial(self.snapshot, name))
        self.ledger.flush()

    def save_all(self) -> None:
        """Save all instances and the plan as they are now."""
        self.save(self.service_set.instances)
        self.keep_rollouts()
        with suppress(OSError):
            self.keep_plan(self.service_set.plan_to_keep(unwritten=self.ledger.behind))

    def keep_plan(self, plan: Plan) -> None:
        """Save the plan for a later daemon.  OSError; then it is tried again until the directory takes it."""
        try:
            self.previous_run.keep(plan)
        except OSError:
            if not self._plan_unsaved:
                self._plan_unsaved = True
                self.later(RETRY, self._keep_plan_again)
            raise

    def keep_rollouts(self) -> None:
        """Save all rollouts for a later daemon.  Supervision does not depend on them, so a full disk is reported."""
        try:
            self.previous_run.keep_rollouts(self.service_set.saved_rollouts())
        except OSError as error:
            self.problem(f"the rollouts cannot be saved, a later daemon would not go on with them: {error}")

    def _keep_plan_again(self) -> None:
        self._plan_unsaved = False
        with suppress(OSError):
            self.previous_run.begin(closing=self.service_set.closing)
            self.keep_plan(self.service_set.plan_to_keep(unwritten=self.ledger.behind))
            self.say("info", "the plan in force is saved again")
            return
        if not self._plan_unsaved:
            self._plan_unsaved = True
            self.later(RETRY, self._keep_plan_again)

    def print_rest(self) -> None:
        """Print the lines of services that wait for the reader of stdout, before an upgrade forgets them."""
        self.console.close(LONGEST_PAUSE)

    def forget(self, instances: AbstractSet[str]) -> None:
        for name in instances:
            self.ledger.save(name, None)
        self.ledger.flush()

    def save_history(self, instance: str) -> None:
        self.ledger.save(instance, self.service_set.instances[instance].history(self.now()))

    def finish_hooks(self, done: Callable[[], None]) -> None:
        """Let pending hooks run for a while, then call `done()`."""
        if self._hooks is None:
            done()
        else:
            self._hooks.flush(done)

    def kill_commands(self) -> None:
        """Kill the probes and hooks under way."""
        if self._commands is not None:
            self._commands.kill()

    def finish_commands(self, done: Callable[[], None]) -> None:
        """Let pending hooks run for a while, kill what is left of them and of probes, and call `done()` after that."""

        def gone(left: list[str]) -> None:
            for process in left:
                self.problem(f"a probe or hook was killed, but is still present: {process}")
            done()

        def finish() -> None:
            if self._commands is None:
                done()
            else:
                self._commands.finish(gone)

        self.finish_hooks(finish)

    def _ledger_lost(self) -> None:
        """Save everything again soon: an instance that no longer changes would not be in the new ledger otherwise."""

        def again() -> None:
            self.previous_run.begin(closing=self.service_set.closing)
            self.save_all()

        self.call_soon(again)

    def descriptors(self) -> dict[str, int]:
        """The descriptors that a successor in this process takes over, by name."""
        pipes = {f"{FIFO}{name}": fd for name, fd in self.logs.descriptors().items()}
        sockets = {f"{SOCKET}{url}": fd for url, fd in self.sockets.descriptors().items()}
        ours = {"lock": self.lock.fd, "state": self.claim.fd}
        return ours | {"notify": self.notify.fileno()} | self.server.descriptors() | pipes | sockets

    # -- callbacks of adapters -----------------------------------------------------------------------------------

    def stream(self, instance: str) -> Stream:
        """The output of an instance.  OperationFailed where no descriptor is free for it."""
        spec = self.service_set.instances[instance].spec.log
        if not self.reserve or instance in self.logs.descriptors():
            return self.logs.open(instance, spec)
        try:
            with kept_free(self.reserve):
                return self.logs.open(instance, spec)
        except OSError as error:
            raise OperationFailed(f"no descriptor is free for the output of {instance}: {error.strerror}") from None

    def keep_logs_as_specified(self) -> None:
        """Let logs that are being written follow a changed plan."""
        for name in self.logs.open_instances():
            if name in self.service_set.instances:
                self.stream(name)

    def _take_last_output(self, instance: str, tree_empty: bool) -> None:
        """Read the rest of the output before the end is recorded, so that `why` finds it at any time.

        A line without newline is complete only if the tree is empty; a process that is left may still continue it."""
        try:
            stream = self.stream(instance)
        except SupervisorError:  # no descriptor is free for it
            return
        if tree_empty:
            stream.finish_line()
        else:
            stream.drain()

    def _accounts(self, instance: str) -> str | None:
        process = self.processes.by_instance.get(instance)
        return process.tree.accounts if process is not None else None

    def _user_of(self, name: str) -> int | None:
        instance = self.service_set.instances.get(name)
        return instance.spec.user if instance is not None else None

    def later(self, seconds: float, callback: Callable[[], None]) -> None:
        self.loop.call_at(self.now() + seconds, callback)


def _outlet(fd: int) -> Outlet:
    """A way to stdout or stderr on which the loop never waits.  OSError where it is closed."""
    path = ""
    with suppress(OSError):
        path = os.readlink(f"/proc/self/fd/{fd}")  # noqa: PTH115 - pathlib would cost the daemon memory
    return Outlet(fd, apart=path.startswith("/") and mounts().remote(path) is not None)


def _taken(descriptors: dict[str, int], prefix: str) -> dict[str, int]:
    """The descriptors whose names begin with `prefix`, by the rest of the name; they are removed from `descriptors`."""
    return {name.removeprefix(prefix): descriptors.pop(name) for name in list(descriptors) if name.startswith(prefix)}
