"""What was asked for: the frozen, fully resolved form of services.toml.

Durations are seconds (float), sizes are bytes (int), signals are numbers.  Everything that a file leaves out
has its default here and nowhere else.  `config` turns TOML text into these; `to_plain`/`from_plain` carry them
between processes as JSON.
"""

from __future__ import annotations

import types
import typing
from dataclasses import dataclass, field, fields, is_dataclass
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar

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


T = TypeVar("T")


def _keys(*same: str, **renamed: str) -> dict[str, str]:
    """The key of each attribute.  `renamed`: an attribute that no longer has the name of its key."""
    return {**dict(zip(same, same, strict=True)), **renamed}


KEYS: dict[type, dict[str, str]] = {
    ReadySpec: _keys("http", "tcp", "exec", "log", "notify", "delay", "interval", "timeout"),
    TargetSpec: _keys("detect_within", "max_false_restarts"),
    HeartbeatSpec: _keys(
        "source", "interval", "http", "tcp", "exec", "file", "log", "probe_timeout", "detector", "threshold",
        "min_timeout", "max_timeout", "timeout", "on_suspect", "target",
    ),
    RestartSpec: _keys(
        "policy", "success_exit_codes", "backoff", "initial", "maximum", "factor", "jitter", "reset_after",
        "max_restarts", "window", "cooldown", "strategy", "fallback",
    ),
    ResourcesSpec: _keys("max_memory", "max_cpu", "max_tasks", "sustained", "action", "enforce"),
    LogSpec: _keys("max_size", "keep", "compress", "timestamps"),
    HookSpec: _keys("on", "run", "notify", "timeout"),
    SocketSpec: _keys("url", "mode", "label"),
    ServiceSpec: _keys(
        "name", "command", "description", "directory", "user", "group", "extra_groups", "umask", "environment",
        "replicas", "depends_on", "autostart", "type", "group_name", "on_dependency_restart", "stop_signal",
        "stop_timeout", "reload_signal", "dump_signal", "evidence", "start_timeout", "limits", "nice",
        "oom_score_adj", "detach", "sockets", "no_new_privileges", "capabilities", "ambient_capabilities", "ready",
        "heartbeat", "restart", "resources", "log", "hooks",
    ),
    SupervisorSpec: _keys(
        "name", "runtime_dir", "state_dir", "max_concurrent_restarts", "wait_ready", "group", "listen", "token_file",
        "certificate", "private_key",
    ),
    Plan: _keys("supervisor", "services", "path"),
}  # fmt: skip
"""The key under which each attribute is written, in the order of writing.

Other versions read and write the keys, so a key never changes (tests/golden); an attribute may: a renamed one
goes to the end, as `attribute="key"`."""


def to_plain(spec: Any) -> Any:
    """A spec as JSON-able data, without what equals its default."""
    if is_dataclass(spec) and not isinstance(spec, type):
        out = {}
        for name, (key, default) in _written(type(spec)).items():
            value = getattr(spec, name)
            if value != default:
                out[key] = to_plain(value)
        return out
    if isinstance(spec, tuple | list):
        return [to_plain(v) for v in spec]
    return spec


def from_plain(kind: type[T], plain: Any) -> T:
    """The inverse of `to_plain`.  It trusts its input: it reads only what this package wrote."""
    readers: dict[str, Any] = _readers(kind)  # type: ignore[arg-type]
    return kind(**{readers[key][0]: readers[key][1](value) for key, value in plain.items()})


_ALWAYS = object()


@cache
def _written(kind: Any) -> dict[str, tuple[str, Any]]:
    """The key and the default of each attribute; what has none, and every name, is always written."""
    known = {f.name: f for f in fields(kind)}
    out: dict[str, tuple[str, Any]] = {}
    for name, key in KEYS[kind].items():
        f = known[name]
        default = f.default_factory() if callable(f.default_factory) else f.default
        out[name] = key, _ALWAYS if key == "name" else default
    return out


@cache
def _readers(kind: Any) -> dict[str, tuple[str, Any]]:
    """The attribute and the reader of each key."""
    hints = typing.get_type_hints(kind)
    return {key: (name, _reader(hints[name])) for name, key in KEYS[kind].items()}


def _reader(hint: Any) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType or origin is typing.Union:
        inner = _reader(next(a for a in args if a is not type(None)))
        return lambda v: None if v is None else inner(v)
    if origin is tuple:
        if len(args) == 2 and args[1] is Ellipsis:
            inner = _reader(args[0])
            return lambda v: tuple(inner(x) for x in v)
        parts = [_reader(a) for a in args]
        return lambda v: tuple(p(x) for p, x in zip(parts, v, strict=True))
    if isinstance(hint, type) and is_dataclass(hint):
        return lambda v: from_plain(hint, v)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return hint
    return lambda v: v
