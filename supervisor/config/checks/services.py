"""Checks that the keys of one service fit together."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from supervisor.config.checks.host import Host, Missing
from supervisor.config.checks.logs import judge_log
from supervisor.config.checks.replicas import judge_replicas
from supervisor.config.checks.sandbox import judge_sandbox
from supervisor.config.checks.surge import judge_surge
from supervisor.config.schema.sockets import judge_demand, judge_probes
from supervisor.config.schema.tables import READY_KINDS, SOURCE_KEYS
from supervisor.config.source.problems import Report
from supervisor.config.units import format_duration, quoted
from supervisor.core.detection.target import longest_silence, min_detect_within
from supervisor.core.model.spec import (
    HeartbeatSpec,
    HookSpec,
    NotifyAccess,
    ReadySpec,
    RestartSpec,
    Scope,
    ServiceSpec,
    ServiceType,
    Strategy,
    Suspicion,
    TargetSpec,
)

PROBES = ("http", "tcp", "exec")
FOR_SERVICES = ("ready", "heartbeat", "rollout")
"""Tables that mean nothing for a oneshot."""


def judge(spec: ServiceSpec, own: Mapping[str, Any], host: Host, report: Report) -> None:
    """Report contradictions in `spec`; `own` holds the keys of the service itself, without those of [defaults]."""
    if spec.type is ServiceType.ONESHOT:
        for table in FOR_SERVICES:
            if table in own:
                report('makes no sense with type = "oneshot": it is done when it exits successfully', table)
    if spec.ready:
        _ready(spec.ready, own.get("ready", {}), report)
    if spec.ready and spec.heartbeat and spec.heartbeat.by_process and spec.ready.notify_access is NotifyAccess.MAIN:
        report('cannot be "main" where each process beats for itself (heartbeat.scope)', "ready", "notify_access")
    if spec.heartbeat:
        _heartbeat(spec.heartbeat, own.get("heartbeat", {}), report)
    _restart(spec.restart, spec.group_name, report)
    if spec.end_with and spec.replicas > 1:
        report("applies to a service with one instance; it has replicas", "end_with")
    if spec.end_with and spec.detach:
        report("cannot be combined with detach, which lets it outlive the daemon", "end_with")
    if "stop" in own:
        for key in ("stop_signal", "stop_timeout"):
            if key in own:
                report("cannot be combined with stop, which has a signal and a wait in each step", key)
    judge_replicas(spec, report)
    judge_surge(spec, report)
    judge_probes(spec, report)
    judge_demand(spec, report)
    _privileges(spec, report)
    judge_log(spec, own.get("log", {}), report)
    for index, hook in enumerate(spec.hooks):
        _hook(hook, index, report)
    _programs(spec, host, report)
    if spec.sandbox is not None:
        judge_sandbox(spec, spec.sandbox, host, report)


def _ready(ready: ReadySpec, own: Mapping[str, Any], report: Report) -> None:
    kinds = [kind for kind in READY_KINDS if getattr(ready, kind) not in (None, False)]
    if len(kinds) != 1:
        found = f"not {' and '.join(kinds)} together" if kinds else "and none is given"
        report(f"takes exactly one of {', '.join(READY_KINDS)}, {found}", "ready")
    elif kinds[0] not in PROBES:
        for key in ("interval", "timeout"):
            if key in own:
                report(f"only a probe has one, not {kinds[0]}; a start is limited by start_timeout", "ready", key)
    for key in ("notify_access", "notify_reload"):
        if key in own and kinds != ["notify"]:
            report("only with notify = true; leave it out", "ready", key)


def _heartbeat(beat: HeartbeatSpec, own: Mapping[str, Any], report: Report) -> None:
    if beat.source in ("http", "tcp", "exec", "file") and getattr(beat, beat.source) is None:
        report(f'source = "{beat.source}" needs the key {beat.source} beside it', "heartbeat", "source")
    _scope(beat, report)
    if beat.keep_alive and not (beat.http or "").startswith("http:"):
        report('only for source = "http" with an http:// URL; leave it out', "heartbeat", "keep_alive")
    for key in SOURCE_KEYS:
        if beat.source == "celery" and key in ("tcp", "exec"):
            continue
        if getattr(beat, key) is not None and key != beat.source:
            report(f'not used with source = "{beat.source}"; write source = "{key}"', "heartbeat", key)
    if beat.target is not None:
        _target(beat, beat.target, report)
        return
    if beat.detector == "timeout":
        if beat.interval >= beat.timeout:
            _too_slow(beat.interval, "timeout", beat.timeout, report)
        return
    if "timeout" in own:
        message = 'used only by detector = "timeout"; {} is bounded by min_timeout and max_timeout'
        report(message.format(beat.detector), "heartbeat", "timeout")
    if beat.min_timeout > beat.max_timeout:
        minimum, maximum = format_duration(beat.min_timeout), format_duration(beat.max_timeout)
        report(f"{minimum} is more than max_timeout, {maximum}", "heartbeat", "min_timeout")
    elif beat.interval >= beat.max_timeout:
        _too_slow(beat.interval, "max_timeout", beat.max_timeout, report)


def _scope(beat: HeartbeatSpec, report: Report) -> None:
    """Only where it is known which process beats can each be held to it."""
    if beat.scope is Scope.PROCESS and beat.source not in ("notify", "celery", "activity", "exec"):
        message = f'source = "{beat.source}" does not tell which process beats; notify, celery, activity and exec do'
        report(message, "heartbeat", "scope")
    elif beat.on_suspect is Suspicion.KILL_PROCESS and not beat.by_process:
        report('"kill-process" needs scope = "process"', "heartbeat", "on_suspect")
    elif beat.on_suspect is Suspicion.KILL_PROCESS and beat.source == "activity":
        message = (
            'no process is ended because it was idle; source = "activity" shows that only, write restart or report'
        )
        report(message, "heartbeat", "on_suspect")
    if beat.source == "celery" and beat.tcp is not None and beat.exec is not None:
        report('source = "celery" asks the broker in one way: tcp or exec', "heartbeat", "exec")


def _target(beat: HeartbeatSpec, target: TargetSpec, report: Report) -> None:
    within, interval = format_duration(target.detect_within), format_duration(beat.interval)
    if longest_silence(beat) <= beat.interval:
        can = format_duration(min_detect_within(beat))
        message = (
            f"{within} cannot be kept with a beat every {interval}: write at least {can}, or let it beat more often"
        )
        report(message, "heartbeat", "target", "detect_within")
    elif target.detect_within > beat.max_timeout:
        message = f"{within} is more than max_timeout, {format_duration(beat.max_timeout)}: raise that too"
        report(message, "heartbeat", "target", "detect_within")
    if target.max_false_restarts * beat.interval >= 0.5:
        every = format_duration(1 / target.max_false_restarts)
        message = f"is one in {every}, with a beat every {interval}: that is every other beat; write a smaller rate"
        report(message, "heartbeat", "target", "max_false_restarts")


def _too_slow(interval: float, limit: str, seconds: float, report: Report) -> None:
    message = (
        f"{format_duration(interval)} is not less than {limit}, {format_duration(seconds)}: every beat is too late"
    )
    report(message, "heartbeat", "interval")


def _restart(restart: RestartSpec, group_name: str | None, report: Report) -> None:
    if restart.initial > restart.maximum:
        first, maximum = format_duration(restart.initial), format_duration(restart.maximum)
        report(f"{first} is more than maximum, {maximum}", "restart", "initial")
    if restart.strategy is not Strategy.ONE_FOR_ONE and group_name is None:
        report(
            f"{quoted(str(restart.strategy))} applies to a group; give the service a group_name", "restart", "strategy"
        )
    codes = restart.exit_codes
    if codes is None:
        return
    for key, others in (("always", codes.never), ("group", codes.never + codes.always)):
        for code in getattr(codes, key):
            if code in others:
                report(f"{code} stands in two lists", "restart", "exit_codes", key)
    if codes.group and group_name is None:
        report("restarts a group; give the service a group_name", "restart", "exit_codes", "group")


def _privileges(spec: ServiceSpec, report: Report) -> None:
    given = {"capabilities": spec.capabilities is not None, "ambient_capabilities": spec.ambient_capabilities != ()}
    for key in given:
        if given[key] and os.geteuid() != 0:
            report("only root can set the capabilities of a service; no_new_privileges needs no root", key)
    if spec.ambient_capabilities and spec.user in (None, 0):
        report("has no effect without a user other than root; set user", "ambient_capabilities")
    if spec.capabilities is not None and not set(spec.ambient_capabilities) <= set(spec.capabilities):
        report("has more than `capabilities`; it can have at most those", "ambient_capabilities")


def _hook(hook: HookSpec, index: int, report: Report) -> None:
    if not hook.on:
        report("on names no event, so this hook would never run", "hooks", index)
    if (hook.run is None) == (hook.notify is None):
        report("needs exactly one of run and notify", "hooks", index)
    if hook.notify is not None and "://" not in hook.notify:
        report(f"{quoted(hook.notify)} is not an Apprise URL (scheme://…)", "hooks", index, "notify")


def _programs(spec: ServiceSpec, host: Host, report: Report) -> None:
    """Report programs that are missing or, if root would run them, that others could change.

    A missing directory was reported already; without it only programs on the PATH can be checked.  Hooks run as the
    daemon's user, other commands as the service's.
    """
    commands: list[tuple[tuple[str, ...] | None, tuple[str | int, ...], str | None, bool]] = [
        (spec.command, ("command",), spec.directory, spec.user in (None, 0)),
        (spec.reload_check, ("reload_check",), spec.directory, spec.user in (None, 0)),
        (spec.ready.exec if spec.ready else None, ("ready", "exec"), spec.directory, spec.user in (None, 0)),
        (
            spec.heartbeat.exec if spec.heartbeat else None,
            ("heartbeat", "exec"),
            spec.directory,
            spec.user in (None, 0),
        ),
    ]
    commands += [(hook.run, ("hooks", index, "run"), str(host.folder), True) for index, hook in enumerate(spec.hooks)]
    folder = str(host.folder)
    there = {folder, spec.directory} if spec.directory and os.path.isdir(spec.directory) else {folder}  # noqa: PTH112 - it raises nothing
    own_path = os.defpath if "PATH" in spec.unset_environment else None
    path = next((value for name, value in spec.environment if name == "PATH"), own_path)
    for command, key, directory, as_we_are in commands:
        if not command or (directory not in there and "/" in command[0]):
            continue
        place = directory if directory is not None and directory in there else folder
        try:
            host.require_program(command[0], place, path)
            if as_we_are:
                host.require_trusted(command, place, path)
        except Missing as error:
            report(str(error), *key, missing=True)
        except ValueError as error:
            report(str(error), *key)
