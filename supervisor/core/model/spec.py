"""The specification: services.toml in its frozen, fully resolved form.

Durations are seconds (float), sizes are bytes (int), signals are numbers.  The defaults of keys that a file leaves out
are here and nowhere else.  `config` makes specifications from TOML; plain.py converts them to JSON and back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from enum import StrEnum

from supervisor.core.model.cluster_spec import ClusterSpec, PlacementMode, PlacementSpec, PushedSpec
from supervisor.core.model.value import value

SECOND, MINUTE = 1.0, 60.0
KIB, MIB = 1024, 1024 * 1024


class ServiceType(StrEnum):
    """`service` runs until it is stopped; `oneshot` runs to completion, and dependants wait for its success."""

    SERVICE = "service"
    ONESHOT = "oneshot"


class Policy(StrEnum):
    """After which exits an instance is started again."""

    ALWAYS = "always"
    ON_FAILURE = "on-failure"
    NEVER = "never"


class BackoffKind(StrEnum):
    """How the delay grows from one failed attempt to the next (core/restart/backoff.py)."""

    FIXED = "fixed"
    LINEAR = "linear"
    EXPONENTIAL = "exponential"
    DECORRELATED_JITTER = "decorrelated-jitter"


class Strategy(StrEnum):
    """Which other instances of the group are restarted with a failed one (Erlang/OTP's terms)."""

    ONE_FOR_ONE = "one-for-one"
    ONE_FOR_ALL = "one-for-all"
    REST_FOR_ONE = "rest-for-one"


class Reaction(StrEnum):
    """What follows a breach of a limit: restart the process, or only report it."""

    RESTART = "restart"
    REPORT = "report"


class Suspicion(StrEnum):
    """What follows a silence: restart the instance, only report it, or end the one process that is silent."""

    RESTART = "restart"
    REPORT = "report"
    KILL_PROCESS = "kill-process"


class Scope(StrEnum):
    """What has to beat: the instance, or each of its processes that has beaten once."""

    INSTANCE = "instance"
    PROCESS = "process"


class NotifyAccess(StrEnum):
    """Whose notifications count: those of the main process alone, or of each process of the tree."""

    MAIN = "main"
    TREE = "tree"


class Evidence(StrEnum):
    """What is kept of a suspect before it is ended: the evidence of an examination, or a core file as well."""

    LOOK = "look"
    CORE = "core"


class Enforce(StrEnum):
    """What enforces the limits on memory and CPU: the supervisor alone, which samples usage and acts on a breach, or
    also the kernel, which grants no more."""

    SAMPLING = "sampling"
    KERNEL = "kernel"


class ConsoleMode(StrEnum):
    """How lines of output are also printed on the daemon's stdout: not at all, behind the instance's name, or as they
    are."""

    NO = "no"
    NAMED = "named"
    RAW = "raw"


BALANCER = "haproxy"
"""The name of the service that the daemon adds to a plan in which another one has `balance`, and the source of its
heartbeat."""


@value(frozen=True, slots=True, kw_only=True)
class ReadySpec:
    """How readiness is observed; exactly one kind is set.

    `notify_reload`: the process answers its reload signal with RELOADING=1, and READY=1 when that is done."""

    http: str | None = None
    tcp: str | None = None
    exec: tuple[str, ...] | None = None
    log: str | None = None
    notify: bool = False
    notify_access: NotifyAccess = NotifyAccess.TREE
    notify_reload: bool = False
    delay: float | None = None
    interval: float = 0.5
    timeout: float = 1.0


@value(frozen=True, slots=True, kw_only=True)
class TargetSpec:
    """What detection has to achieve, instead of parameters.

    `detect_within`: seconds within which a hang is found.  `max_false_restarts`: restarts of healthy instances of the
    service per second, at most (1/30d is 3.9e-7)."""

    detect_within: float = 5.0
    max_false_restarts: float = 1.0 / (30 * 86_400.0)


PROBED = ("http", "tcp", "exec")
"""Sources of heartbeats that are asked; of the others a beat comes, or it does not."""


@value(frozen=True, slots=True, kw_only=True)
class HeartbeatSpec:
    """Liveness: the source of heartbeats, and the detector that turns their absence into suspicion."""

    source: str = "notify"
    interval: float = 1.0
    http: str | None = None
    tcp: str | None = None
    exec: tuple[str, ...] | None = None
    file: str | None = None
    log: str | None = None
    probe_timeout: float = 1.0
    detector: str = "phi"
    threshold: float = 8.0
    min_timeout: float = 2.0
    max_timeout: float = 30.0
    timeout: float = 5.0
    on_suspect: Suspicion = Suspicion.RESTART
    target: TargetSpec | None = None
    """With a target, the detector is `adaptive` and is set by the target (core/detection/target.py)."""
    scope: Scope = Scope.INSTANCE
    keep_alive: bool = False
    """Probes by `http` use one connection, as long as the server keeps it open."""

    @property
    def notified(self) -> bool:
        """Beats come through the notify socket."""
        return self.source in ("notify", "celery")

    @property
    def by_process(self) -> bool:
        """Each process of the tree is observed."""
        return self.scope is Scope.PROCESS or self.source == "celery"

    @property
    def shared_is_probed(self) -> bool:
        """`tcp` or `exec` asks what all processes need (the broker) rather than the service."""
        return self.source == "celery" and (self.tcp is not None or self.exec is not None)


@value(frozen=True, slots=True, kw_only=True)
class ExitCodesSpec:
    """What follows an exit with one of these codes, under any policy: no restart, a restart, or a restart of the whole
    group."""

    never: tuple[int, ...] = ()
    always: tuple[int, ...] = ()
    group: tuple[int, ...] = ()

    def rule(self, code: int | None) -> str:
        """`never`, `always` or `group`; empty where the policy decides."""
        return next((rule for rule in ("never", "always", "group") if code in getattr(self, rule)), "")


@value(frozen=True, slots=True, kw_only=True)
class StopStep:
    """One step of a stop: a signal, and how many seconds the process has before the next step."""

    signal: int
    wait: float


@value(frozen=True, slots=True, kw_only=True)
class RestartSpec:
    """Whether and when a failed instance is started again."""

    policy: Policy = Policy.ON_FAILURE
    success_exit_codes: tuple[int, ...] = (0,)
    backoff: BackoffKind = BackoffKind.EXPONENTIAL
    initial: float = 0.1
    maximum: float = 30.0
    factor: float = 2.0
    jitter: float = 0.2
    reset_after: float = 60.0
    max_restarts: int = 5
    window: float = 60.0
    cooldown: float = 60.0
    strategy: Strategy = Strategy.ONE_FOR_ONE
    fallback: str | None = None
    exit_codes: ExitCodesSpec | None = None


@value(frozen=True, slots=True, kw_only=True)
class ResourcesSpec:
    """Limits on resources (see `Enforce`).  `max_cpu` is a fraction of one core: 1.5 is 150 %; tasks are processes and
    threads."""

    max_memory: int | None = None
    max_cpu: float | None = None
    max_tasks: int | None = None
    sustained: float = 30.0
    action: Reaction = Reaction.RESTART
    enforce: Enforce = Enforce.SAMPLING


@value(frozen=True, slots=True, kw_only=True)
class LogSpec:
    """How output is kept.  `keep`: number of rotated files beside the one being written.  `path`: where, with
    `{instance}` for the instance; None: in the state directory.  `mode`, `owner` and `group` of the file: None leaves
    them as they are.  `rotate`: False leaves rotation, and the files that it makes, to another program.  `stderr`: the
    path of a log of its own for the standard error, "" for one in the state directory; None: it is in the same log.
    `path_shared`, `stderr_shared`: other instances, of this or of other services, write that log too; it is no key of
    the file (config/checks/logs.py)."""

    max_size: int = 10 * MIB
    keep: int = 5
    compress: bool = True
    timestamps: bool = False
    console: ConsoleMode = ConsoleMode.NO
    path: str | None = None
    mode: int | None = None
    owner: int | None = None
    group: int | None = None
    rotate: bool = True
    stderr: str | None = None
    path_shared: bool = False
    stderr_shared: bool = False


@value(frozen=True, slots=True, kw_only=True)
class HookSpec:
    """On each event of `on`, run the command `run` with the event as JSON on stdin, or notify the Apprise URL
    `notify`."""

    on: tuple[str, ...] = ()
    run: tuple[str, ...] | None = None
    notify: str | None = None
    timeout: float = 30.0


@value(frozen=True, slots=True, kw_only=True)
class SocketSpec:
    """A listening socket that the supervisor opens for a service.

    `url`: `tcp://ADDRESS:PORT` with a numeric address, `unix:/PATH`, or `unix:@NAME` in the abstract namespace; it
    identifies the socket.  `mode`: the mode of a path.  `label`: the name in LISTEN_FDNAMES; empty: the service's name.
    `reuseport`: each instance has its own at the same address (SO_REUSEPORT).  `on_demand`: a connection starts the
    service; after `idle` seconds without one it is stopped (None: never).
    """

    url: str
    mode: int = 0o660
    label: str = ""
    reuseport: bool = False
    on_demand: bool = False
    idle: float | None = None


@value(frozen=True, slots=True, kw_only=True)
class SandboxSpec:
    """What a service sees and may change of the host's files (core/services/sandbox_view.py).

    `protect_system`: empty, `yes`, `full` or `strict`.  `protect_home`: empty, `yes`, `read-only` or `tmpfs`.  Paths
    are absolute."""

    private_tmp: bool = False
    private_devices: bool = False
    protect_system: str = ""
    protect_home: str = ""
    read_write_paths: tuple[str, ...] = ()
    read_only_paths: tuple[str, ...] = ()
    inaccessible_paths: tuple[str, ...] = ()


class OnOpen(StrEnum):
    """What dependants of a service do while its breaker is open (core/services/relations/open_breaker.py)."""

    HOLD = "hold"
    STOP = "stop"
    IGNORE = "ignore"


@value(frozen=True, slots=True, kw_only=True)
class BreakerSpec:
    """What the breaker of a service means for others."""

    on_open: OnOpen = OnOpen.HOLD


class Condition(StrEnum):
    """What a dependency has to be before a dependant starts."""

    STARTED = "started"
    READY = "ready"
    COMPLETED = "completed"


@value(frozen=True, slots=True, kw_only=True)
class DependencySpec:
    """How a service depends on another one, where that differs from the plain name: ready, and required.

    One that is not required is waited for only while it is on its way, and is not started for the dependant's sake."""

    service: str
    condition: Condition = Condition.READY
    required: bool = True


@value(frozen=True, slots=True, kw_only=True)
class BalanceSpec:
    """HAProxy in front of a service (docs/balancing.md).

    `listen`: (address, port).  `server`: address and port of an instance.  `check`: the path that HAProxy asks for, or
    None for a connection.  `sticky`: `cookie`, `source` or empty.  `retry`: `connect`, or `idempotent`: also what was
    sent.  `drain`: seconds that the requests of a leaving instance may take.  `max_connections`: of an instance.
    `hosts`: `own`, or `all`: instances on other hosts of the cluster get requests, too."""

    listen: tuple[str, int]
    server: str = "127.0.0.1:{port}"
    mode: str = "http"
    algorithm: str = "leastconn"
    check: str | None = None
    sticky: str = ""
    retry: str = "connect"
    drain: float = 30.0
    max_connections: int | None = None
    certificate: str = ""
    hosts: str = "own"


@value(frozen=True, slots=True, kw_only=True)
class RolloutSpec:
    """How the instances of a service are replaced (core/services/rollout.py).

    `max_unavailable`: how many may be missing at a time, a number or a part of them ("25%").  `max_surge`: how many may
    run in addition.  `settle`: seconds for which an instance has to stay ready before the next one is replaced.
    `on_failure`: `rollback` or `halt`."""

    max_unavailable: int | str = 1
    max_surge: int | str = 0
    settle: float = 10.0
    on_failure: str = "rollback"


# One of each for all services that say nothing else: specifications do not change.
_RESTART, _LOG, _BREAKER, _PLACEMENT = RestartSpec(), LogSpec(), BreakerSpec(), PlacementSpec()


@value(frozen=True, slots=True, kw_only=True)
class ServiceSpec:
    """One `[services.NAME]`, with `[defaults]` merged in and every `${VAR}` resolved."""

    name: str
    command: tuple[str, ...]
    description: str = ""
    directory: str | None = None
    user: int | None = None
    group: int | None = None
    extra_groups: tuple[int, ...] | None = None
    umask: int | None = None
    environment: tuple[tuple[str, str], ...] = ()
    inherit_environment: tuple[str, ...] | None = None
    """Names of the daemon's variables that it gets beside PATH; None: all of them."""
    unset_environment: tuple[str, ...] = ()
    """Names of the daemon's variables that it does not get, PATH included."""
    replicas: int = 1
    first_replica: int = 1
    """What `{replica}` is for the first instance (core/services/replica.py)."""
    ports: tuple[int, int] | None = None
    """The first and the last of the ports of which each instance has one."""
    min_ready: int | None = None
    """The service counts as ready from so many ready instances; None: all."""
    configured_replicas: int | None = None
    """What the file says where `replicas` was set by `supervisor scale` (core/services/scaling.py)."""
    first_name: str = ""
    """The name that the first instance keeps, because it ran before it got or lost the others; empty: the usual one."""
    surge: int = 0
    """How many instances run beside `replicas` during a rollout; only a plan in force has any, and it is not saved."""
    depends_on: tuple[str, ...] = ()
    dependencies: tuple[DependencySpec, ...] = ()
    """Of those in `depends_on` that are written as a table."""
    autostart: bool = True
    type: ServiceType = ServiceType.SERVICE
    group_name: str | None = None
    on_dependency_restart: str = "ignore"
    stop_signal: int = 15
    stop_timeout: float = 10.0
    stop: tuple[StopStep, ...] = ()
    """The steps of a stop, in place of `stop_signal` and `stop_timeout`."""
    reload_signal: int = 1
    reload_check: tuple[str, ...] | None = None
    """A command that has to exit with 0 before `reload_signal` is sent as an order."""
    dump_signal: int | None = None
    evidence: Evidence = Evidence.LOOK
    start_timeout: float = 30.0
    limits: tuple[tuple[str, int], ...] = ()
    """Soft limits by name; -1 is unlimited.  The hard limit is the same unless `hard_limits` has another."""
    hard_limits: tuple[tuple[str, int], ...] = ()
    nice: int = 0
    oom_score_adj: int = 0
    detach: bool = False
    end_with: bool = False
    """Everything ends with it (core/services/relations/end_with.py)."""
    sockets: tuple[SocketSpec, ...] = ()
    fd_store: int = 0
    """How many descriptors it may give to the daemon for its next process (FDSTORE=1); 0: none."""
    no_new_privileges: bool = False
    capabilities: tuple[int, ...] | None = None
    """Numbers of the capabilities in its bounding set; None: the set is not changed."""
    ambient_capabilities: tuple[int, ...] = ()
    sandbox: SandboxSpec | None = None
    ready: ReadySpec | None = None
    heartbeat: HeartbeatSpec | None = None
    restart: RestartSpec = field(default_factory=lambda: _RESTART)
    resources: ResourcesSpec | None = None
    log: LogSpec = field(default_factory=lambda: _LOG)
    hooks: tuple[HookSpec, ...] = ()
    balance: BalanceSpec | None = None
    rollout: RolloutSpec | None = None
    """None: a reload restarts all instances of a changed service at once."""
    breaker: BreakerSpec = field(default_factory=lambda: _BREAKER)
    placement: PlacementSpec = field(default_factory=lambda: _PLACEMENT)
    unresolved: tuple[tuple[str, str], ...] = ()
    """(key, reason) of each thing that the host does not have: its program, directory, user, environment file.  A
    process is started only once the configuration, compiled again, finds them all."""

    @property
    def instances(self) -> tuple[str, ...]:
        """Instance names: the plain name for one replica, `name@1` … `name@N` for more.  Those of a surge follow."""
        first = self.first_name or (self.name if self.replicas == 1 else f"{self.name}@1")
        return (first, *(f"{self.name}@{i}" for i in range(2, self.replicas + self.surge + 1)))

    @property
    def stop_steps(self) -> tuple[StopStep, ...]:
        """The steps of a stop; after the last one the tree is killed."""
        return self.stop or (StopStep(signal=self.stop_signal, wait=self.stop_timeout),)

    @property
    def longest_stop(self) -> float:
        """Seconds from the order to the kill."""
        return sum(step.wait for step in self.stop_steps)

    @property
    def exclusive(self) -> bool:
        """An instance runs only while this host holds its slot in the cluster (core/services/lease_gate.py)."""
        return self.placement.mode is not PlacementMode.EVERY

    @property
    def over_hosts(self) -> bool:
        """Instances on other hosts of the cluster get requests, too, and its own get those of other hosts."""
        return self.balance is not None and self.balance.hosts == "all"

    def dependency(self, service: str) -> DependencySpec:
        """How it depends on that service, which is in `depends_on`."""
        return next((d for d in self.dependencies if d.service == service), DependencySpec(service=service))

    @property
    def notifies(self) -> bool:
        """Its processes get NOTIFY_SOCKET."""
        beats = self.heartbeat is not None and self.heartbeat.notified
        return beats or bool(self.fd_store) or (self.ready is not None and self.ready.notify)

    @property
    def is_balancer(self) -> bool:
        """It is the HAProxy that the daemon has added; a service of the user may have the same name."""
        return self.heartbeat is not None and self.heartbeat.source == BALANCER

    @property
    def on_demand(self) -> bool:
        """It is started by the first connection."""
        return bool(self.sockets) and any(socket.on_demand for socket in self.sockets)

    @property
    def idle(self) -> float | None:
        """It is stopped after so many seconds without a connection; None: never."""
        return max((socket.idle for socket in self.sockets if socket.idle is not None), default=None)

    def inherited(self, names: Iterable[str]) -> set[str]:
        """Which of the daemon's environment variables `names` a process of the service gets."""
        kept = set(names)
        if self.inherit_environment is not None:
            kept &= {"PATH", *self.inherit_environment}
        return kept - set(self.unset_environment)


@value(frozen=True, slots=True, kw_only=True)
class SupervisorSpec:
    """`[supervisor]`.

    `group`: number of the group that may use the control socket beside the daemon's user and root.  `listen`: (host,
    port) of read-only HTTP, or None; `token_file`, `certificate` and `private_key` belong to it and are paths or empty.
    `web`: whether a browser gets pages there; `web_actions`: and whether it can give orders on them.
    `wait_ready`: whether READY is reported to the service manager only once the services are ready
    (daemon/service_manager.py)."""

    name: str = "default"
    runtime_dir: str = ""
    state_dir: str = ""
    max_concurrent_restarts: int = 8
    wait_ready: bool = True
    group: int | None = None
    listen: tuple[str, int] | None = None
    token_file: str = ""
    certificate: str = ""
    private_key: str = ""
    web: bool = False
    web_actions: bool = False


@value(frozen=True, slots=True, kw_only=True)
class GroupSpec:
    """`[groups.NAME]`: what holds for the services of a group together.

    `max_concurrent_restarts`: how many of their instances may be starting again at once; None: only the limit of the
    host counts."""

    name: str
    max_concurrent_restarts: int | None = None


@value(frozen=True, slots=True, kw_only=True)
class Plan:
    """A whole configuration.  `services` is in start order: dependencies come first.  `folder`: names the folder of the
    file `path` wherever it is moved.  `written`: see `written_lines`.  `pushed`: the version that the
    services were read from, instead of the file at `path`.  `profiles`: those that are active; `inactive`: the services
    that are not there because none of their profiles is, each with its profiles."""

    supervisor: SupervisorSpec
    services: tuple[ServiceSpec, ...]
    path: str = ""
    folder: str = ""
    written: str = ""
    groups: tuple[GroupSpec, ...] = ()
    cluster: ClusterSpec | None = None
    pushed: PushedSpec | None = None
    profiles: tuple[str, ...] = ()
    inactive: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def kept_profiles(self) -> tuple[str, ...] | None:
        """The profiles with which the file is compiled again; None where no service has any."""
        return self.profiles if self.profiles or self.inactive else None

    @property
    def fingerprints(self) -> dict[str, str]:
        """The fingerprint of each service in `written`, which may come from a damaged file."""
        return {service: mark for service, _, mark in (line.rpartition(" ") for line in self.written.splitlines())}

    def service(self, name: str) -> ServiceSpec | None:
        return next((s for s in self.services if s.name == name), None)


def written_lines(fingerprints: Mapping[str, str]) -> str:
    """One line for each service: its name, and the fingerprint of its table in the file.  The specs do not tell how
    they were written, because users and environment files are resolved in them.  One text takes a sixth of the memory
    of a mapping."""
    return "".join(f"{service} {mark}\n" for service, mark in fingerprints.items())
