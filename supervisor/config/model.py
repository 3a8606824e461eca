"""The tables and keys of services.toml.

They are typed dictionaries, so that what comes out holds exactly the keys that were given: the defaults live in
core/spec.py.
"""

from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter, with_config
from typing_extensions import TypedDict

from supervisor.config.kinds import (
    Account,
    Bytes,
    Count,
    Duration,
    Http,
    Listen,
    Name,
    Names,
    Number,
    OneOf,
    OnlyTrue,
    Path,
    Pattern,
    Percent,
    PositiveDuration,
    Signal,
    Size,
    Switch,
    Tcp,
    Text,
    Umask,
    Variable,
    VariableValue,
    Whole,
    Words,
)
from supervisor.core.detectors import KNOWN
from supervisor.core.spec import BackoffKind, Policy, Reaction, ServiceType, Strategy

READY_KINDS = ("http", "tcp", "exec", "log", "notify", "delay")
SOURCES = ("notify", "http", "tcp", "exec", "file", "log", "activity")
SOURCE_KEYS = ("http", "tcp", "exec", "file", "log")
OCCASIONS = ("started", "ready", "suspected", "failed", "restarted", "breaker-open", "stopped")
LATER = frozenset({"sockets", "target", "dump_signal", "evidence", "detach"})
"""Keys of the contract whose features do not exist yet: refused by name, never silently accepted."""


def _doc(description: str) -> Any:
    return Field(description=description)


class Ready(TypedDict, total=False):
    """Readiness: exactly one of http, tcp, exec, log, notify and delay.  None: ready as soon as it runs."""

    http: Annotated[Http, _doc("Ready when a GET of this URL answers 2xx or 3xx.")]
    tcp: Annotated[Tcp, _doc("Ready when host:port accepts a connection.")]
    exec: Annotated[Words, _doc("Ready when this command exits with 0.")]
    log: Annotated[Pattern, _doc("Ready when a line of output matches this regular expression.")]
    notify: Annotated[OnlyTrue, _doc("Ready when the service sends READY=1 (sd_notify).")]
    delay: Annotated[Duration, _doc("Ready when it has run for so long.")]
    interval: Annotated[PositiveDuration, _doc("From one probe to the next: http, tcp and exec.")]
    timeout: Annotated[PositiveDuration, _doc("How long one probe may take: http, tcp and exec.")]


class Heartbeat(TypedDict, total=False):
    """Liveness: where beats come from, and what makes of their absence a suspicion."""

    source: Annotated[str, OneOf(SOURCES), _doc("Where beats come from.")]
    interval: Annotated[PositiveDuration, _doc("How often a beat is expected, or the probe runs.")]
    http: Annotated[Http, _doc('source = "http": a GET of this URL that answers 2xx or 3xx is a beat.')]
    tcp: Annotated[Tcp, _doc('source = "tcp": an accepted connection to host:port is a beat.')]
    exec: Annotated[Words, _doc('source = "exec": an exit of this command with 0 is a beat.')]
    file: Annotated[Path, _doc('source = "file": a new modification time of this file is a beat.')]
    log: Annotated[Pattern, _doc('source = "log": a line that matches is a beat; without it any output is.')]
    probe_timeout: Annotated[PositiveDuration, _doc("How long one probe may take: http, tcp and exec.")]
    detector: Annotated[str, OneOf(KNOWN), _doc("How the absence of beats is judged.")]
    threshold: Annotated[float, Number(0.1, 300), _doc("The phi at which suspicion begins.")]
    min_timeout: Annotated[Duration, _doc("Never suspect earlier than this after a beat.")]
    max_timeout: Annotated[PositiveDuration, _doc("Always suspect by then.")]
    timeout: Annotated[PositiveDuration, _doc('detector = "timeout": suspect so long after a beat.')]
    on_suspect: Annotated[Reaction, OneOf(Reaction), _doc("Restart a suspect, or only report it.")]


class Restart(TypedDict, total=False):
    """Whether a failed instance is started again, and when."""

    policy: Annotated[Policy, OneOf(Policy), _doc("After which exits it is started again.")]
    success_exit_codes: Annotated[list[Annotated[int, Whole(0, 255)]], _doc("Exit codes that are no failure.")]
    backoff: Annotated[BackoffKind, OneOf(BackoffKind), _doc("How the delay grows from attempt to attempt.")]
    initial: Annotated[Duration, _doc("The first delay.")]
    maximum: Annotated[Duration, _doc("The longest delay.")]
    factor: Annotated[float, Number(1, 1000), _doc("By what the delay grows (exponential).")]
    jitter: Annotated[float, Number(0, 1), _doc("Which part of the delay is random: 0 none, 1 all.")]
    reset_after: Annotated[Duration, _doc("Healthy for so long: the backoff starts over.")]
    max_restarts: Annotated[int, Whole(0, 1_000_000), _doc("More than this within `window`: the breaker opens.")]
    window: Annotated[PositiveDuration, _doc("The time within which restarts are counted.")]
    cooldown: Annotated[PositiveDuration, _doc("How long an open breaker waits before one trial.")]
    strategy: Annotated[Strategy, OneOf(Strategy), _doc("Who else of the group is restarted with it.")]
    fallback: Annotated[Text, _doc("The service that is started while the breaker is open.")]


Resources = TypedDict(
    "Resources",
    {
        "max_memory": Annotated[Size, _doc("Of all processes of an instance together.")],
        "max_cpu": Annotated[Percent, _doc("Of all processes of an instance together; 100% is one core.")],
        "for": Annotated[Duration, _doc("How long it must be over the ceiling.")],
        "action": Annotated[Reaction, OneOf(Reaction), _doc("Restart it, or only report it.")],
    },
    total=False,
)
"""Ceilings that are acted on by sampling."""


class Log(TypedDict, total=False):
    """How captured output is kept."""

    max_size: Annotated[Size, _doc("A file that grows beyond this is rotated, at the end of a line.")]
    keep: Annotated[int, Whole(0, 10_000), _doc("How many rotated files are kept.")]
    compress: Annotated[Switch, _doc("Compress rotated files.")]
    timestamps: Annotated[Switch, _doc("Put the time in front of each line.")]


class Hook(TypedDict, total=False):
    """What is done on certain events: a command or a notification."""

    on: Annotated[list[Annotated[str, OneOf(OCCASIONS)]], _doc("On which events.")]
    run: Annotated[Words, _doc("A command that gets the event as JSON on stdin.")]
    notify: Annotated[Text, _doc("An Apprise URL that gets a message.")]
    timeout: Annotated[PositiveDuration, _doc("How long the hook may take.")]


Limits = TypedDict(
    "Limits",
    {
        "as": Bytes,
        "core": Bytes,
        "cpu": Count,
        "data": Bytes,
        "fsize": Bytes,
        "memlock": Bytes,
        "msgqueue": Bytes,
        "nice": Count,
        "nofile": Count,
        "nproc": Count,
        "rss": Bytes,
        "rtprio": Count,
        "rttime": Count,
        "sigpending": Count,
        "stack": Bytes,
    },
    total=False,
)
"""Resource limits, by their names without RLIMIT_."""


class Service(TypedDict, total=False):
    """A service.  In [defaults]: what holds for every service that does not say otherwise."""

    command: Annotated[Words, _doc("The program and its arguments: a list, or one string split as a shell would.")]
    description: Annotated[Text, _doc("For people.")]
    directory: Annotated[Path, _doc("Where it runs; the folder of this file unless given.")]
    user: Annotated[Account, _doc("The user it runs as (only root may choose).")]
    group: Annotated[Account, _doc("The group it runs as; the user's own unless given.")]
    umask: Annotated[Umask, _doc("The file mode creation mask, in octal digits.")]
    environment: Annotated[dict[Variable, VariableValue], _doc("Variables added to the supervisor's own.")]
    environment_file: Annotated[Path, _doc("A file of KEY=VALUE lines; `environment` overrides it.")]
    replicas: Annotated[int, Whole(1, 10_000), _doc("How many instances: name@1 to name@N.")]
    depends_on: Annotated[Names, _doc("Services that must be ready before it starts, and stop after it.")]
    autostart: Annotated[Switch, _doc("Start it with the supervisor.")]
    type: Annotated[ServiceType, OneOf(ServiceType), _doc("oneshot: runs to completion; dependants wait for it.")]
    group_name: Annotated[Name, _doc("The group it belongs to.")]
    on_dependency_restart: Annotated[
        str, OneOf(("ignore", "restart")), _doc("What to do when a service it depends on restarts.")
    ]
    stop_signal: Annotated[Signal, _doc("The signal that asks it to stop.")]
    stop_timeout: Annotated[Duration, _doc("After this the whole process tree is killed.")]
    reload_signal: Annotated[Signal, _doc("The signal that asks it to read its configuration again.")]
    start_timeout: Annotated[PositiveDuration, _doc("How long it may take to become ready.")]
    limits: Annotated[Limits, _doc("Resource limits (setrlimit): sizes, numbers or unlimited.")]
    nice: Annotated[int, Whole(-20, 19), _doc("The scheduling priority.")]
    oom_score_adj: Annotated[int, Whole(-1000, 1000), _doc("How readily the kernel kills it when memory runs out.")]
    ready: Ready
    heartbeat: Heartbeat
    restart: Restart
    resources: Resources
    log: Log
    hooks: list[Hook]


class HttpServer(TypedDict, total=False):
    """Metrics, health and the read-only API over TCP; off unless given."""

    listen: Annotated[Listen, _doc("host:port")]


class Supervisor(TypedDict, total=False):
    """The daemon itself."""

    name: Annotated[Name, _doc("Its name; the name of the file's folder unless given.")]
    runtime_dir: Annotated[Path, _doc("Where its sockets live.")]
    state_dir: Annotated[Path, _doc("Where its ledger lives.")]
    max_concurrent_restarts: Annotated[int, Whole(1, 10_000), _doc("How many instances may be starting again at once.")]
    http: HttpServer


@with_config(ConfigDict(extra="forbid"))  # holds for every table within
class File(TypedDict, total=False):
    """services.toml"""

    supervisor: Supervisor
    defaults: Service
    services: dict[Name, Service]


TABLES: dict[str, Any] = {
    "ready": Ready,
    "heartbeat": Heartbeat,
    "restart": Restart,
    "resources": Resources,
    "log": Log,
    "hooks": Hook,
    "limits": Limits,
}
"""The tables within a service."""

FILE: TypeAdapter[File] = TypeAdapter(File)
