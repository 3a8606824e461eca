"""The specification: services.toml in its frozen, fully resolved form.

Durations are seconds (float), sizes are bytes (int), signals are numbers.  The defaults of keys that a file leaves out
are here and nowhere else.  `config` makes specifications from TOML; plain.py converts them to JSON and back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

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
    """What follows a suspicion or a breach: restart the process, or only report it."""

    RESTART = "restart"
    REPORT = "report"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadySpec:
    """How readiness is observed; exactly one kind is set."""

    http: str | None = None
    tcp: str | None = None
    exec: tuple[str, ...] | None = None
    log: str | None = None
    notify: bool = False
    delay: float | None = None
    interval: float = 0.5
    timeout: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSpec:
    """What detection has to achieve, instead of parameters.

    `detect_within`: seconds within which a hang is found.  `max_false_restarts`: restarts of healthy instances of the
    service per second, at most (1/30d is 3.9e-7)."""

    detect_within: float = 5.0
    max_false_restarts: float = 1.0 / (30 * 86_400.0)


PROBED = ("http", "tcp", "exec")
"""Sources of heartbeats that are asked; of the others a beat comes, or it does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
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
    on_suspect: Reaction = Reaction.RESTART
    target: TargetSpec | None = None
    """With a target, the detector is `adaptive` and is set by the target (core/detection/target.py)."""


@dataclass(frozen=True, slots=True, kw_only=True)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourcesSpec:
    """Limits on resources (see `Enforce`).  `max_cpu` is a fraction of one core: 1.5 is 150 %; tasks are processes and
    threads."""

    max_memory: int | None = None
    max_cpu: float | None = None
    max_tasks: int | None = None
    sustained: float = 30.0
    action: Reaction = Reaction.RESTART
    enforce: Enforce = Enforce.SAMPLING


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSpec:
    """How output is kept.  `keep`: number of rotated files beside the one being written.  `path`: where, with
    `{instance}` for the instance; None: in the state directory.  `mode`, `owner` and `group` of the file: None leaves
    them as they are.  `rotate`: False leaves rotation, and the files that it makes, to another program."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class HookSpec:
    """On each event of `on`, run the command `run` with the event as JSON on stdin, or notify the Apprise URL
    `notify`."""

    on: tuple[str, ...] = ()
    run: tuple[str, ...] | None = None
    notify: str | None = None
    timeout: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketSpec:
    """A listening socket that the supervisor opens for a service.

    `url`: `tcp://ADDRESS:PORT` with a numeric address, `unix:/PATH`, or `unix:@NAME` in the abstract namespace; it
    identifies the socket.  `mode`: the mode of a path.  `label`: the name in LISTEN_FDNAMES; empty: the service's name.
    """

    url: str
    mode: int = 0o660
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
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


@dataclass(frozen=True, slots=True, kw_only=True)
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
    depends_on: tuple[str, ...] = ()
    autostart: bool = True
    type: ServiceType = ServiceType.SERVICE
    group_name: str | None = None
    on_dependency_restart: str = "ignore"
    stop_signal: int = 15
    stop_timeout: float = 10.0
    reload_signal: int = 1
    dump_signal: int | None = None
    evidence: Evidence = Evidence.LOOK
    start_timeout: float = 30.0
    limits: tuple[tuple[str, int], ...] = ()
    """Soft limits by name; -1 is unlimited.  The hard limit is the same unless `hard_limits` has another."""
    hard_limits: tuple[tuple[str, int], ...] = ()
    nice: int = 0
    oom_score_adj: int = 0
    detach: bool = False
    sockets: tuple[SocketSpec, ...] = ()
    no_new_privileges: bool = False
    capabilities: tuple[int, ...] | None = None
    """Numbers of the capabilities in its bounding set; None: the set is not changed."""
    ambient_capabilities: tuple[int, ...] = ()
    sandbox: SandboxSpec | None = None
    ready: ReadySpec | None = None
    heartbeat: HeartbeatSpec | None = None
    restart: RestartSpec = field(default_factory=RestartSpec)
    resources: ResourcesSpec | None = None
    log: LogSpec = field(default_factory=LogSpec)
    hooks: tuple[HookSpec, ...] = ()
    unresolved: tuple[tuple[str, str], ...] = ()
    """(key, reason) of each thing that the host does not have: its program, directory, user, environment file.  A
    process is started only once the configuration, compiled again, finds them all."""

    @property
    def instances(self) -> tuple[str, ...]:
        """Instance names: the plain name for one replica, `name@1` … `name@N` for more."""
        if self.replicas == 1:
            return (self.name,)
        return tuple(f"{self.name}@{i}" for i in range(1, self.replicas + 1))

    def inherited(self, names: Iterable[str]) -> set[str]:
        """Which of the daemon's environment variables `names` a process of the service gets."""
        kept = set(names)
        if self.inherit_environment is not None:
            kept &= {"PATH", *self.inherit_environment}
        return kept - set(self.unset_environment)


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorSpec:
    """`[supervisor]`.

    `group`: number of the group that may use the control socket beside the daemon's user and root.  `listen`: (host,
    port) of read-only HTTP, or None; `token_file`, `certificate` and `private_key` belong to it and are paths or empty.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A whole configuration.  `services` is in start order: dependencies come first.  `folder`: names the folder of the
    file `path` wherever it is moved."""

    supervisor: SupervisorSpec
    services: tuple[ServiceSpec, ...]
    path: str = ""
    folder: str = ""

    def service(self, name: str) -> ServiceSpec | None:
        return next((s for s in self.services if s.name == name), None)
