"""Converts specifications to plain data and back: plans go as JSON from process to process and version to version.

Fields, their types and their defaults are read from the dataclasses; the keys are written down here.
"""

from __future__ import annotations

import types
import typing
from dataclasses import fields, is_dataclass
from enum import StrEnum
from functools import cache, partial
from typing import Any, TypeVar

from supervisor.core.model.cluster_spec import ClusterSpec, PlacementSpec, PushedSpec
from supervisor.core.model.spec import (
    BalanceSpec,
    BreakerSpec,
    DependencySpec,
    ExitCodesSpec,
    GroupSpec,
    HeartbeatSpec,
    HookSpec,
    LogSpec,
    Plan,
    ReadySpec,
    ResourcesSpec,
    RestartSpec,
    RolloutSpec,
    SandboxSpec,
    ServiceSpec,
    SocketSpec,
    StopStep,
    SupervisorSpec,
    TargetSpec,
)

T = TypeVar("T")


def _keys(*same: str, **renamed: str) -> dict[str, str]:
    """The key of each attribute.  `renamed`: attributes whose key has another name."""
    return {**{key: key for key in same}, **renamed}


KEYS: dict[type, dict[str, str]] = {
    ReadySpec: _keys(
        "http", "tcp", "exec", "log", "notify", "delay", "interval", "timeout", "notify_access", "notify_reload",
    ),
    TargetSpec: _keys("detect_within", "max_false_restarts"),
    HeartbeatSpec: _keys(
        "source", "interval", "http", "tcp", "exec", "file", "log", "probe_timeout", "detector", "threshold",
        "min_timeout", "max_timeout", "timeout", "on_suspect", "target", "scope", "keep_alive",
    ),
    DependencySpec: _keys("service", "condition", "required"),
    ExitCodesSpec: _keys("never", "always", "group"),
    StopStep: _keys("signal", "wait"),
    RestartSpec: _keys(
        "policy", "success_exit_codes", "backoff", "initial", "maximum", "factor", "jitter", "reset_after",
        "max_restarts", "window", "cooldown", "strategy", "fallback", "exit_codes",
    ),
    ResourcesSpec: _keys("max_memory", "max_cpu", "max_tasks", "sustained", "action", "enforce"),
    LogSpec: _keys(
        "max_size", "keep", "compress", "timestamps", "console", "path", "mode", "owner", "group", "rotate", "stderr",
        "path_shared", "stderr_shared",
    ),
    HookSpec: _keys("on", "run", "notify", "timeout"),
    SocketSpec: _keys("url", "mode", "label", "reuseport", "on_demand", "idle"),
    RolloutSpec: _keys("max_unavailable", "settle", "on_failure", "max_surge"),
    SandboxSpec: _keys(
        "private_tmp", "private_devices", "protect_system", "protect_home", "read_write_paths", "read_only_paths",
        "inaccessible_paths",
    ),
    BalanceSpec: _keys(
        "listen", "server", "mode", "algorithm", "check", "sticky", "retry", "drain", "max_connections", "certificate",
        "hosts",
    ),
    BreakerSpec: _keys("on_open"),
    PlacementSpec: _keys("mode", "instances", "require", "prefer", "apart"),
    ServiceSpec: _keys(
        "name", "command", "description", "directory", "user", "group", "extra_groups", "umask", "environment",
        "replicas", "depends_on", "autostart", "type", "group_name", "on_dependency_restart", "stop_signal",
        "stop_timeout", "reload_signal", "reload_check", "dump_signal", "evidence", "start_timeout", "limits", "nice",
        "oom_score_adj", "detach", "sockets", "no_new_privileges", "capabilities", "ambient_capabilities", "ready",
        "heartbeat", "restart", "resources", "log", "hooks", "inherit_environment", "unset_environment", "hard_limits",
        "first_replica", "ports", "min_ready", "configured_replicas", "first_name", "stop", "dependencies", "end_with",
        "unresolved", "sandbox", "balance",
        "rollout", "breaker", "surge", "placement", "fd_store",
    ),
    SupervisorSpec: _keys(
        "name", "runtime_dir", "state_dir", "max_concurrent_restarts", "wait_ready", "group", "listen", "token_file",
        "certificate", "private_key", "web", "web_actions",
    ),
    GroupSpec: _keys("name", "max_concurrent_restarts"),
    ClusterSpec: _keys(
        "hosts", "node", "engine", "address", "session_timeout", "contact_interval", "request_timeout", "tick_time",
        "labels", "credentials_file", "ca_file", "certificate", "private_key", "detect_within", "failsafe",
    ),
    PushedSpec: _keys("number", "digest", "path", "differs"),
    Plan: _keys(
        "supervisor", "services", "path", "folder", "written", "groups", "cluster", "pushed", "profiles", "inactive",
    ),
}  # fmt: skip
"""The key under which each attribute is written, in the order of writing.

Other versions read and write the keys, so a key never changes (tests/golden).  An attribute may: write a renamed one at
the end, as `attribute="key"`."""


def to_plain(spec: Any) -> Any:
    """The specification as JSON-able data, without values that equal their default."""
    kind: Any = type(spec)
    if kind in KEYS:
        out = {}
        for name, (key, default) in _written(kind).items():
            value = getattr(spec, name)
            if value != default:
                out[key] = to_plain(value)
        return out
    if isinstance(spec, tuple | list):
        return [to_plain(v) for v in spec]
    return spec


def from_plain(kind: type[T], plain: Any) -> T:
    """The inverse of `to_plain`.  Raises one of `saved.GARBAGE` for a key that is not known or a value of another
    type: this package wrote the input, but the file may be damaged, or of another version."""
    return _made(kind, plain, {})


class PlainReader:
    """`from_plain` for several values: equal parts become one object also where they are in different values."""

    def __init__(self) -> None:
        self._known: dict[Any, Any] = {}

    def read(self, kind: type[T], plain: Any) -> T:
        """See `from_plain`."""
        return _made(kind, plain, self._known)


def _made(kind: type[T], plain: Any, known: dict[Any, Any]) -> T:
    """`known`: the parts that were made so far.  Equal ones, such as the `restart` and `log` of many services, become
    one object: they never change, and would be most of what a daemon of thousands keeps of its plan."""
    readers: dict[str, Any] = _readers(kind)  # type: ignore[arg-type]
    return kind(**{readers[key][0]: readers[key][1](value, known) for key, value in plain.items()})


_ALWAYS = object()


@cache
def _written(kind: Any) -> dict[str, tuple[str, Any]]:
    """The key and the default of each attribute.  Attributes without a default, and names, are always written."""
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
        if type(None) not in args:
            return _of(args)
        inner = _reader(next(a for a in args if a is not type(None)))
        return lambda v, known: None if v is None else inner(v, known)
    if origin is tuple:
        if len(args) == 2 and args[1] is Ellipsis:
            inner = _reader(args[0])
            return lambda v, known: tuple(inner(x, known) for x in listed(v))
        parts = [_reader(a) for a in args]
        return lambda v, known: tuple(p(x, known) for p, x in zip(parts, listed(v), strict=True))
    if hint is ServiceSpec:
        return partial(_made, ServiceSpec)
    if isinstance(hint, type) and is_dataclass(hint):
        return lambda v, known: known.setdefault(part := _made(hint, v, known), part)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return lambda v, _known: hint(v)
    return _of((int, float) if hint is float else (hint,))


def _of(kinds: tuple[type, ...]) -> Any:
    """Takes a value of one of these types as it is; equal texts, such as directories, become one object."""

    def read(value: Any, known: dict[Any, Any]) -> Any:
        if type(value) not in kinds:
            raise TypeError(f"{value!r:.60} is no {' or '.join(kind.__name__ for kind in kinds)}")
        return known.setdefault(value, value) if type(value) is str else value

    return read


def listed(value: Any) -> list[Any] | tuple[Any, ...]:
    """The value, which is a list.  Else TypeError: a string would be taken for a list of its characters."""
    if not isinstance(value, list | tuple):
        raise TypeError(f"{value!r:.60} is no list")
    return value
