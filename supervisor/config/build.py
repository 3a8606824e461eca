"""Builds a service's spec from the keys that were given: applies [defaults], makes paths absolute, resolves names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from supervisor.config.checks.host import ACCOUNT_VARIABLES, NOT_YET, Host, Missing
from supervisor.config.checks.services import FOR_SERVICES
from supervisor.config.schema.sockets import absolute
from supervisor.config.schema.tables import IN_SPEC, PARAMETERS, READY_KINDS, SOURCE_KEYS
from supervisor.config.source.problems import Report
from supervisor.core.model.cluster_spec import PlacementSpec
from supervisor.core.model.spec import (
    BalanceSpec,
    BreakerSpec,
    Condition,
    DependencySpec,
    ExitCodesSpec,
    HeartbeatSpec,
    HookSpec,
    LogSpec,
    ReadySpec,
    ResourcesSpec,
    RestartSpec,
    RolloutSpec,
    SandboxSpec,
    ServiceSpec,
    ServiceType,
    StopStep,
    TargetSpec,
)

T = TypeVar("T")
STOP_KEYS = frozenset({"stop", "stop_signal", "stop_timeout"})
"""Steps of a stop replace an inherited signal and timeout, and the other way round."""


def merged(defaults: Mapping[str, Any], own: Mapping[str, Any]) -> Mapping[str, Any]:
    """`own` over `defaults`, tables key by key.

    Another kind of readiness or another source of beats replaces the inherited one as a whole. A heartbeat target
    replaces inherited detector parameters, and they replace an inherited target. A oneshot inherits neither readiness
    nor heartbeat nor rollout.
    """
    if not defaults:
        return own
    if not own.keys().isdisjoint(STOP_KEYS):
        defaults = {
            key: value for key, value in defaults.items() if key not in STOP_KEYS or ("stop" in own) is (key == "stop")
        }
    result = {**defaults, **own}
    for key in own.keys() & defaults.keys():
        if isinstance(own[key], dict):
            result[key] = _inherited(key, defaults[key], own[key]) | own[key]
            if "target" in own[key]:
                result[key]["target"] = defaults[key].get("target", {}) | own[key]["target"]
    if result.get("type") is ServiceType.ONESHOT:
        return {key: value for key, value in result.items() if key in own or key not in FOR_SERVICES}
    return result


def _inherited(table: str, base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    replaced: tuple[str, ...] = ()
    if table == "ready" and not own.keys().isdisjoint(READY_KINDS):
        replaced = READY_KINDS
    if table == "heartbeat" and "source" in own and own["source"] != base.get("source"):
        replaced = SOURCE_KEYS
    if table == "heartbeat":
        replaced += PARAMETERS if "target" in own else () if own.keys().isdisjoint(PARAMETERS) else ("target",)
    return {key: value for key, value in base.items() if key not in replaced}


def build(name: str, given: Mapping[str, Any], host: Host, report: Report) -> ServiceSpec:
    """The spec of service `name`. What this machine does not have is reported and left out."""
    fields = dict(given)
    fields.setdefault("command", ())
    directory = given.get("directory", "")
    fields["directory"] = _ask(lambda: host.directory(directory), report, "directory") or str(host.folder / directory)
    _resolve_identity(fields, given, host, report)
    fields["environment"] = _environment(given, host, report)
    fields.pop("environment_file", None)
    fields.pop("profiles", None)
    unset = given.get("unset_environment", [])
    if "user" in given and not _account_variables(given, host, report):
        unset = [*unset, *ACCOUNT_VARIABLES]  # those of the daemon's own account
    fields["unset_environment"] = tuple(dict.fromkeys(unset))
    if "limits" in given:
        limits = sorted(given["limits"].items())
        fields["limits"] = tuple((name, soft) for name, (soft, _) in limits)
        fields["hard_limits"] = tuple((name, hard) for name, (soft, hard) in limits if hard != soft)
    if "sockets" in given:
        found = (
            _ask(lambda spec=spec: absolute(spec, host.folder), report, "sockets", index)  # type: ignore[misc]
            for index, spec in enumerate(given["sockets"])
        )
        fields["sockets"] = tuple(spec for spec in found if spec is not None)
    for key in ("capabilities", "ambient_capabilities"):
        if key in given:
            fields[key] = tuple(sorted(set(given[key])))
    if "sandbox" in given:
        fields["sandbox"] = _sandbox(given["sandbox"], host.folder)
    if "ready" in given:
        fields["ready"] = ReadySpec(**_with_absolute_sockets(given["ready"], host.folder))
    if "heartbeat" in given:
        fields["heartbeat"] = _heartbeat(given["heartbeat"], host.folder, report)
    if "restart" in given:
        restart = _tuples(given["restart"])
        if "exit_codes" in restart:
            restart["exit_codes"] = ExitCodesSpec(**_tuples(restart["exit_codes"]))
        fields["restart"] = RestartSpec(**restart)
    if "breaker" in given:
        fields["breaker"] = BreakerSpec(**given["breaker"])
    if "depends_on" in given:
        fields["depends_on"] = tuple(service for service, _, _ in given["depends_on"])
        fields["dependencies"] = tuple(
            DependencySpec(service=service, condition=Condition(condition), required=required)
            for service, condition, required in given["depends_on"]
            if (condition, required) != ("ready", True)
        )
    if "stop" in given:
        fields["stop"] = _stop(given["stop"], report)
    if "resources" in given:
        fields["resources"] = ResourcesSpec(**{IN_SPEC.get(k, k): v for k, v in given["resources"].items()})
    if "rollout" in given:
        fields["rollout"] = RolloutSpec(**given["rollout"])
    if "log" in given:
        fields["log"] = _log(given["log"], host, report)
    if "hooks" in given:
        fields["hooks"] = tuple(_hook(hook, host.folder) for hook in given["hooks"])
    if "balance" in given:
        fields["balance"] = _balance(given["balance"], host.folder, report)
    if "placement" in given:
        fields["placement"] = placement = _placement(given["placement"])
        if "replicas" not in given:
            fields["replicas"] = placement.instances
    return ServiceSpec(name=name, **fields)


def _ask(question: Callable[[], T], report: Report, *key: str | int) -> T | None:
    try:
        return question()
    except Missing as error:
        report(str(error), *key, missing=True)
    except ValueError as error:
        report(str(error), *key)
    return None


def _resolve_identity(fields: dict[str, Any], given: Mapping[str, Any], host: Host, report: Report) -> None:
    user, group = given.get("user"), given.get("group")
    if user is None and group is None:
        return
    identity = _ask(lambda: host.identity(user, group), report, "group" if user is None else "user")
    fields["user"], fields["group"], fields["extra_groups"] = identity or (NOT_YET, NOT_YET, ())


def _environment(given: Mapping[str, Any], host: Host, report: Report) -> tuple[tuple[str, str], ...]:
    variables = _account_variables(given, host, report)
    for path, required in given.get("environment_file", ()):
        found = _ask(lambda path=path, r=required: host.environment_file(path, r), report, "environment_file")  # type: ignore[misc]
        values, errors = found or ({}, [])
        variables = variables | values
        for error in errors:
            report(error, "environment_file")
    return tuple(sorted((variables | given.get("environment", {})).items()))


def _account_variables(given: Mapping[str, Any], host: Host, report: Report) -> dict[str, str]:
    return _ask(lambda: host.account_variables(given.get("user")), report, "user") or {}


def _stop(given: Sequence[Mapping[str, Any]], report: Report) -> tuple[StopStep, ...]:
    """The steps of a stop; those that lack a key are reported and left out."""
    if not given:
        report("has no step; leave it out, or give one", "stop")
    for index, step in enumerate(given):
        for key in ("signal", "wait"):
            if key not in step:
                report(f"a step needs {key}", "stop", index)
    return tuple(StopStep(**step) for step in given if len(step) == 2)


def _sandbox(given: Mapping[str, Any], folder: Path) -> SandboxSpec | None:
    """The spec of a sandbox; None for one that changes nothing."""
    fields: dict[str, Any] = {
        key: tuple(str(folder / path) for path in value) if isinstance(value, list) else value
        for key, value in given.items()
    }
    spec = SandboxSpec(**fields)
    return None if spec == SandboxSpec() else spec


def _heartbeat(given: Mapping[str, Any], folder: Path, report: Report) -> HeartbeatSpec:
    fields = _with_absolute_sockets(given, folder)
    if "file" in given:
        fields["file"] = str(folder / given["file"])
    if "target" in given:
        for key in PARAMETERS:
            if key in given and (key, given[key]) != ("detector", "adaptive"):
                report("cannot be combined with target; leave one of them out", "heartbeat", key)
        fields |= {"detector": "adaptive", "target": TargetSpec(**given["target"])}
    return HeartbeatSpec(**fields)


def _log(given: Mapping[str, Any], host: Host, report: Report) -> LogSpec:
    fields = dict(given)
    for key in ("path", "stderr"):
        if given.get(key):
            fields[key] = _ask(lambda key=key: host.log_path(given[key]), report, "log", key)  # type: ignore[misc]
    for key in ("owner", "group"):
        if key in given:
            fields[key] = _ask(lambda key=key: host.owner_of_file(key, given[key]), report, "log", key)  # type: ignore[misc]
    return LogSpec(**fields)


def _with_absolute_sockets(probe: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The keys of a probe; a relative `unix:PATH` in http or tcp begins in `folder`."""
    fields = dict(probe)
    for key in ("http", "tcp"):
        before, unix, path = str(probe.get(key, "")).partition("unix:")
        if unix and path[0] not in "/@":
            fields[key] = f"{before}unix:{folder}/{path}"
    return fields


def _hook(given: Mapping[str, Any], folder: Path) -> HookSpec:
    """The spec of a hook. Its program is found from the file's folder, not from the service's directory."""
    fields = _tuples(given)
    if "run" in fields and "/" in fields["run"][0]:
        fields["run"] = (str(folder / fields["run"][0]), *fields["run"][1:])
    return HookSpec(**fields)


def _balance(given: Mapping[str, Any], folder: Path, report: Report) -> BalanceSpec | None:
    """The spec of a balance; None, and a report, where it does not say where HAProxy listens."""
    if "listen" not in given:
        report('needs listen: where HAProxy takes requests, for example listen = "127.0.0.1:8000"', "balance")
        return None
    fields = dict(given)
    if "certificate" in given:
        fields["certificate"] = str(folder / given["certificate"])
    return BalanceSpec(**fields)


def _placement(given: Mapping[str, Any]) -> PlacementSpec:
    labels = {key: tuple(sorted(given[key].items())) for key in ("require", "prefer") if key in given}
    return PlacementSpec(**{**given, **labels})


def _tuples(given: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
