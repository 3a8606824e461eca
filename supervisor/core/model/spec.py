"""What was asked for: the frozen, fully resolved form of services.toml.

Durations are seconds (float), sizes are bytes (int), signals are numbers.  Everything that a file leaves out
has its default here and nowhere else.  `config` turns TOML text into these; plain.py carries them between processes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

SECOND, MINUTE = 1.0, 60.0
KIB, MIB = 1024, 1024 * 1024


class ServiceType(StrEnum):
    """`service` runs until told otherwise; `oneshot` runs to completion and dependants wait for its success."""

    SERVICE = "service"
    ONESHOT = "oneshot"


class Policy(StrEnum):
    """After which exits an instance is started again."""

    ALWAYS = "always"
    ON_FAILURE = "on-failure"
    NEVER = "never"


class BackoffKind(StrEnum):
    """How the delay grows from one failed attempt to the next (see core/backoff.py)."""

    FIXED = "fixed"
    LINEAR = "linear"
    EXPONENTIAL = "exponential"
    DECORRELATED_JITTER = "decorrelated-jitter"


class Strategy(StrEnum):
    """Who else in the group is restarted with a failed instance (Erlang/OTP's terms)."""

    ONE_FOR_ONE = "one-for-one"
    ONE_FOR_ALL = "one-for-all"
    REST_FOR_ONE = "rest-for-one"


class Reaction(StrEnum):
    """What follows a finding: act on it, or only say so."""

    RESTART = "restart"
    REPORT = "report"


class Evidence(StrEnum):
    """What is kept of a suspect before it is ended: a look at the living, or a core file as well."""

    LOOK = "look"
    CORE = "core"


class Enforce(StrEnum):
    """Who holds an instance to its memory and CPU: we, who look now and then and act, or the kernel as well, which
    lets it have no more."""

    SAMPLING = "sampling"
    KERNEL = "kernel"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadySpec:
    """Readiness: exactly one of the kinds is set."""

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
    """What is wanted of detection, instead of parameters: a hang is found within so many seconds, and no more than so
    many healthy instances of the service are restarted, a second (1/30d is 3.9e-7)."""

    detect_within: float = 5.0
    max_false_restarts: float = 1.0 / (30 * 86_400.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeartbeatSpec:
    """Liveness: where beats come from, and which detector turns their absence into suspicion."""

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
    """With it, the detector is `adaptive`, and sets itself (core/wishes.py)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartSpec:
    """May a failed instance be started again, and when."""

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
    """Ceilings that are acted on by sampling, and kept by the kernel where it can.  CPU is a fraction of one core: 1.5
    is 150 %; tasks are processes and threads."""

    max_memory: int | None = None
    max_cpu: float | None = None
    max_tasks: int | None = None
    sustained: float = 30.0
    action: Reaction = Reaction.RESTART
    enforce: Enforce = Enforce.SAMPLING


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSpec:
    """How captured output is kept.  `keep` counts rotated files beside the one being written."""

    max_size: int = 10 * MIB
    keep: int = 5
    compress: bool = True
    timestamps: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HookSpec:
    """Run `run` with the event as JSON on stdin, or notify the Apprise URL `notify`, on each of `on`."""

    on: tuple[str, ...] = ()
    run: tuple[str, ...] | None = None
    notify: str | None = None
    timeout: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketSpec:
    """A listening socket that the supervisor opens for a service.

    `url`: `tcp://ADDRESS:PORT` with a numeric address, `unix:/PATH`, or `unix:@NAME` in the abstract namespace; it is
    what the socket is known by.  `mode` is that of a path.  `label` stands in LISTEN_FDNAMES; empty: the service's
    name.
    """

    url: str
    mode: int = 0o660
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSpec:
    """One `[services.NAME]`, with `[defaults]` folded in and every `${VAR}` resolved."""

    name: str
    command: tuple[str, ...]
    description: str = ""
    directory: str | None = None
    user: int | None = None
    group: int | None = None
    extra_groups: tuple[int, ...] | None = None
    umask: int | None = None
    environment: tuple[tuple[str, str], ...] = ()
    replicas: int = 1
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
    nice: int = 0
    oom_score_adj: int = 0
    detach: bool = False
    sockets: tuple[SocketSpec, ...] = ()
    no_new_privileges: bool = False
    capabilities: tuple[int, ...] | None = None
    """Numbers of the capabilities in its bounding set; None: as they are."""
    ambient_capabilities: tuple[int, ...] = ()
    ready: ReadySpec | None = None
    heartbeat: HeartbeatSpec | None = None
    restart: RestartSpec = field(default_factory=RestartSpec)
    resources: ResourcesSpec | None = None
    log: LogSpec = field(default_factory=LogSpec)
    hooks: tuple[HookSpec, ...] = ()

    @property
    def instances(self) -> tuple[str, ...]:
        """Instance names: the plain name for one replica, `name@1` … `name@N` for more."""
        if self.replicas == 1:
            return (self.name,)
        return tuple(f"{self.name}@{i}" for i in range(1, self.replicas + 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorSpec:
    """`[supervisor]`.  `group` is the number of the group that may give orders beside us and root.  `listen` is (host,
    port) for read-only HTTP, or None; the three files that go with it are paths, or empty.  `wait_ready`: see
    adapters/systemd.py."""

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
    """A whole configuration in force.  `services` is in start order: dependencies come first."""

    supervisor: SupervisorSpec
    services: tuple[ServiceSpec, ...]
    path: str = ""

    def service(self, name: str) -> ServiceSpec | None:
        return next((s for s in self.services if s.name == name), None)
