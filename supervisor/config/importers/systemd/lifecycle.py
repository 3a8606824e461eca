"""How a unit starts, restarts and stops (systemd 252), with every default that differs here written out."""

from __future__ import annotations

import re
import signal
from math import inf
from typing import Any

from supervisor.config.importers.imported import Kind
from supervisor.config.importers.systemd.command import (
    Surroundings,
    combined,
    commands,
    signal_sent,
    tell_prefixes,
    without_argument_zero,
)
from supervisor.config.importers.systemd.files import Unit
from supervisor.config.importers.systemd.syntax import ExecLine, Setting, boolean, seconds
from supervisor.config.units import format_duration

FOREVER = "36500d"
"""The longest duration that services.toml takes."""
_EXIT_NAMES = {
    name: code
    for first, names in (
        (0, "SUCCESS FAILURE INVALIDARGUMENT NOTIMPLEMENTED NOPERMISSION NOTINSTALLED NOTCONFIGURED NOTRUNNING"),
        (64, "USAGE DATAERR NOINPUT NOUSER NOHOST UNAVAILABLE SOFTWARE OSERR OSFILE CANTCREAT IOERR TEMPFAIL"),
        (76, "PROTOCOL NOPERM CONFIG"),
        (200, "CHDIR NICE FDS EXEC MEMORY LIMITS OOM_ADJUST SIGNAL_MASK STDIN STDOUT CHROOT IOPRIO TIMERSLACK"),
        (213, "SECUREBITS SETSCHEDULER CPUAFFINITY"),
        (216, "GROUP USER CAPABILITIES CGROUP SETSID CONFIRM STDERR"),
        (224, "PAM NETWORK NAMESPACE NO_NEW_PRIVILEGES SECCOMP SELINUX_CONTEXT PERSONALITY APPARMOR"),
        (232, "ADDRESS_FAMILIES RUNTIME_DIRECTORY"),
        (235, "CHOWN SMACK_PROCESS_LABEL KEYRING STATE_DIRECTORY CACHE_DIRECTORY LOGS_DIRECTORY"),
        (241, "CONFIGURATION_DIRECTORY NUMA_POLICY CREDENTIALS BPF"),
        (255, "EXCEPTION"),
    )
    for code, name in enumerate(names.split(), first)
}
_ALL_CODES = list(range(256))
_REAL_TIME = re.compile(r"RTMIN\+[0-9]{1,2}|RTMAX-[0-9]{1,2}")
_CLEAN = ("HUP", "INT", "TERM", "PIPE")
_TYPES = ("simple", "exec", "forking", "oneshot", "dbus", "notify", "notify-reload", "idle")
_RESTARTS = ("no", "always", "on-success", "on-failure", "on-abnormal", "on-abort", "on-watchdog")


def kind_of(unit: Unit) -> str:
    """The unit's `Type=` in effect. Raises ImportRefused where systemd refuses it."""
    given, bus = unit.last("Service", "Type"), unit.last("Service", "BusName")
    without = "oneshot" if unit.last("Service", "ExecStart") is None else "simple"
    kind = given.value if given is not None else "dbus" if bus is not None else without
    if kind not in _TYPES:
        assert given is not None
        unit.ignored(given, "has an unknown type, so that the type is simple")
        kind = "simple"
    if kind == "dbus" and bus is None:
        raise unit.refuse(given, "Type=dbus needs BusName=: systemd refuses the unit")
    return kind


def runs_nothing(unit: Unit, kind: str) -> bool:
    """Whether systemd takes the unit although it has no ExecStart=."""
    stays = unit.last("Service", "RemainAfterExit")
    may = kind == "oneshot" or (stays is not None and boolean(stays.value) is True)
    ends = unit.last("Unit", "SuccessAction") or unit.last("Service", "ExecStop")
    return may and ends is not None and unit.last("Service", "ExecStart") is None


def program(unit: Unit, kind: str, around: Surroundings, table: dict[str, Any]) -> list[ExecLine]:
    """Write the command, and give what ExecStart= runs. Raises ImportRefused where systemd refuses the unit."""
    start = commands(unit, "ExecStart")
    if len(start) > 1 and kind != "oneshot":
        where = Setting("Service", "ExecStart", "", start[1].file, start[1].line)
        raise unit.refuse(where, "more than one ExecStart= needs Type=oneshot: systemd refuses the unit")
    if not start:
        raise unit.refuse(None, "there is no ExecStart=: systemd refuses the unit")
    before, after = commands(unit, "ExecStartPre"), commands(unit, "ExecStartPost")
    for key, lines in (("ExecStart", start), ("ExecStartPre", before), ("ExecStartPost", after)):
        tell_prefixes(unit, lines, key)
    run = [*before, *start, *(after if kind == "oneshot" else [])]
    for line in before:
        where = Setting("Service", "ExecStartPre", "", line.file, line.line)
        said = "It is run by /bin/sh at the beginning of the command, so the service counts as started already."
        unit.lose(Kind.CHANGED, where, said)
    table["command"] = combined(unit, without_argument_zero(run), around, kind == "oneshot")
    if kind != "oneshot":
        _after_start(unit, after, kind, around, table)
    return start


def _after_start(unit: Unit, lines: list[ExecLine], kind: str, around: Surroundings, table: dict[str, Any]) -> None:
    hooks = []
    for line in lines:
        where = Setting("Service", "ExecStartPost", "", line.file, line.line)
        if any("MAINPID" in word for word in line.words):
            unit.lose(Kind.DROPPED, where, "A hook does not get the pid of the main process.")
        elif table.get("user") not in (None, "root", 0):
            said = "A hook would run as the daemon's user: write one for `started`, with what changes the user."
            unit.lose(Kind.DROPPED, where, said)
        else:
            occasion = "ready" if kind in ("notify", "notify-reload") else "started"
            hooks.append({"on": [occasion], "run": combined(unit, without_argument_zero([line]), around, False)})
            said = "A hook runs it, with the environment of the daemon; its failure does not stop the service."
            unit.lose(Kind.CHANGED, where, said)
    if hooks:
        table["hooks"] = hooks


def readiness(unit: Unit, kind: str, table: dict[str, Any]) -> None:
    """Write type, readiness, the time to start, and the watchdog."""
    where = unit.last("Service", "Type") or unit.last("Service", "BusName")
    stays = unit.last("Service", "RemainAfterExit")
    if kind == "oneshot":
        table["type"] = "oneshot"
    elif kind in ("notify", "notify-reload"):
        table["ready"] = {"notify": True}
    elif kind == "forking":
        table["autostart"] = False
        said = (
            "A command that goes into the background is not supervised here, so it is not started with the daemon: "
            "give it the option that keeps it in the foreground, and remove `autostart = false`."
        )
        unit.lose(Kind.CHANGED, where, said)
    elif kind == "dbus":
        unit.lose(Kind.CHANGED, where, "It counts as ready as soon as it runs: no name on the bus is waited for.")
    elif kind == "idle":
        unit.lose(Kind.CHANGED, where, "It is started at once, without a wait for the other starts.")
    if kind == "notify-reload":
        table["ready"]["notify_reload"] = True
        unit.lose(Kind.CHANGED, where, "systemd 252 does not know this type, which came with 253.")
    if stays is not None and boolean(stays.value) and kind != "oneshot":
        unit.lose(Kind.CHANGED, stays, "It is `exited` after its end here, which no dependant takes for ready.")
    _access(unit, kind, table)
    _stored(unit, table)
    watched = unit.span("WatchdogSec") or 0.0
    if watched == inf or kind == "oneshot":
        watched = 0.0
    if watched:
        beat = format_duration(max(watched / 2, 0.001))
        table["heartbeat"] = {
            "source": "notify",
            "interval": beat,
            "detector": "timeout",
            "timeout": format_duration(watched),
            "min_timeout": format_duration(watched),
            "max_timeout": format_duration(watched),
        }
        table["evidence"] = "core"
        unit.lose(Kind.CHANGED, unit.last("Service", "WatchdogSec"), "WATCHDOG_USEC is 2.1 intervals here.")
    _start_time(unit, kind, table)


def _access(unit: Unit, kind: str, table: dict[str, Any]) -> None:
    setting = unit.last("Service", "NotifyAccess")
    if setting is None:
        return
    if setting.value == "main" and "ready" in table:
        table["ready"]["notify_access"] = "main"
    elif setting.value != "all":
        said = "Notifications of every process of the service count here; with `none` too, if they are asked for."
        unit.lose(Kind.CHANGED, setting, said)
    if kind not in ("notify", "notify-reload") and unit.last("Service", "WatchdogSec") is None:
        said = "NOTIFY_SOCKET is set here only with `ready = { notify = true }` or a heartbeat of the source notify."
        unit.lose(Kind.CHANGED, setting, said)


def _stored(unit: Unit, table: dict[str, Any]) -> None:
    """Write how many descriptors it may store."""
    if number := unit.number("FileDescriptorStoreMax", 0, 10_000):
        table["fd_store"] = number


def _start_time(unit: Unit, kind: str, table: dict[str, Any]) -> None:
    span = unit.span("TimeoutStartSec", "TimeoutSec")
    if span is None:
        span = inf if kind == "oneshot" else 90.0
    table["start_timeout"] = _lasting(span)


def _lasting(span: float) -> str:
    """A timeout, of which 0 and infinity are none."""
    return FOREVER if span in (0.0, inf) else format_duration(span)


def restarts(unit: Unit, kind: str, start: list[ExecLine], table: dict[str, Any]) -> None:
    """Write the restart policy. Raises ImportRefused where systemd refuses the unit."""
    setting = unit.last("Service", "Restart")
    given = setting.value if setting is not None else "no"
    if given not in _RESTARTS:
        assert setting is not None
        unit.ignored(setting, "has an unknown value, so that it is not restarted")
        given = "no"
    if kind == "oneshot" and given in ("always", "on-success"):
        raise unit.refuse(setting, f"Restart={given} is not allowed with Type=oneshot: systemd refuses the unit")
    success = _codes(unit, "SuccessExitStatus")
    never, always = _codes(unit, "RestartPreventExitStatus"), _codes(unit, "RestartForceExitStatus")
    found: dict[str, Any] = {"policy": "never", "success_exit_codes": sorted({0, *success})}
    if any("-" in line.prefixes for line in start) and kind != "oneshot":
        found["success_exit_codes"] = _ALL_CODES
        where = Setting("Service", "ExecStart", "", start[0].file, start[0].line)
        unit.lose(Kind.CHANGED, where, "The prefix - makes every exit code a success here, but no end by a signal.")
    if given == "always":
        found["policy"] = "always"
    elif given == "on-failure":
        found["policy"] = "on-failure"
        unit.lose(
            Kind.CHANGED,
            setting,
            f"An end by {', '.join(_CLEAN)} is a failure here, and is restarted; there it is not.",
        )
    elif given == "on-success":
        always = sorted({*always, *found["success_exit_codes"]} - set(never))
        said = f"An end by {', '.join(_CLEAN)} is not restarted here, as no policy says that a signal is a success."
        unit.lose(Kind.CHANGED, setting, said)
    elif given != "no":
        found["policy"] = "on-failure"
        never = sorted(set(_ALL_CODES) - set(always))
        _tell_abnormal(unit, setting, given)
    codes = {"never": never, "always": [code for code in always if code not in never]}
    if codes := {rule: listed for rule, listed in codes.items() if listed}:
        found["exit_codes"] = codes
    delay = unit.span("RestartSec")
    found |= {"backoff": "fixed", "initial": "100ms" if delay is None else _lasting(delay or 1e-9), "jitter": 0.0}
    if delay is not None and delay > 30:
        found["maximum"] = found["initial"]
    table["restart"] = found | _start_limit(unit)


def _tell_abnormal(unit: Unit, setting: Setting | None, given: str) -> None:
    if given == "on-abnormal":
        said = f"No exit code is restarted, as there; an end by {', '.join(_CLEAN)} is, other than there."
    else:
        said = f"No exit code is restarted, as there; after a signal, a hang or a slow start it is, not only {given}."
    unit.lose(Kind.CHANGED, setting, said)


def _start_limit(unit: Unit) -> dict[str, Any]:
    interval = _either(unit, ("StartLimitIntervalSec", "StartLimitInterval"))
    burst = _either(unit, ("StartLimitBurst",))
    window = seconds(interval.value) if interval is not None else 10.0
    if window is None:
        assert interval is not None
        unit.ignored(interval, "is no time span")
        window = 10.0
    starts = int(burst.value) if burst is not None and burst.value.isdecimal() else 5
    if burst is not None and not burst.value.isdecimal():
        unit.ignored(burst, "is no number")
    if not window or not starts:
        return {"max_restarts": 1_000_000, "window": "1s", "cooldown": FOREVER}
    return {"max_restarts": min(starts - 1, 1_000_000), "window": _lasting(window), "cooldown": FOREVER}


def _either(unit: Unit, keys: tuple[str, ...]) -> Setting | None:
    """A limit of starts: it stood in [Service] before it stood in [Unit]."""
    older = unit.last("Service", *keys)
    return unit.last("Unit", *keys) or older


def _codes(unit: Unit, key: str) -> list[int]:
    """Exit codes by number and name. A signal is a loss: it is not an exit code."""
    found: list[int] = []
    for setting in unit.many("Service", key):
        for word in setting.value.split():
            if word.isdecimal() and int(word) < 256:
                found.append(int(word))
            elif word in _EXIT_NAMES:
                found.append(_EXIT_NAMES[word])
            elif word in signal.Signals.__members__ or f"SIG{word}" in signal.Signals.__members__:
                said = f"{word} is a signal: only exit codes decide about a restart here, and a signal is a failure."
                unit.lose(Kind.DROPPED, setting, said)
            else:
                unit.ignored(setting, f"has {word}, which is neither an exit code nor a signal")
    return sorted(set(found))


def stopping(unit: Unit, table: dict[str, Any], around: Surroundings) -> None:
    """Write how it stops and reloads."""
    given = unit.last("Service", "KillSignal")
    name = _signal_name(given.value.removeprefix("SIG")) if given is not None else "TERM"
    if name is None:
        assert given is not None
        unit.ignored(given, "is no signal")
        name = "TERM"
    span = unit.span("TimeoutStopSec", "TimeoutSec")
    wait = _lasting(90.0 if span is None else span)
    steps = _stop_commands(unit)
    if steps:
        table["stop"] = [{"signal": step, "wait": "0s"} for step in steps] + [{"signal": name, "wait": wait}]
    else:
        table |= {"stop_signal": name, "stop_timeout": wait}
    mode = unit.last("Service", "KillMode")
    if mode is not None and mode.value in ("process", "none"):
        said = (
            "Processes that it leaves behind are ended here, after `stop_timeout`; `detach = true` leaves all running."
        )
        unit.lose(Kind.CHANGED, mode, said)
    for key, usual, said in (
        ("SendSIGKILL", True, "SIGKILL follows here in any case, after `stop_timeout`."),
        ("SendSIGHUP", False, "No SIGHUP follows the stop signal here; `stop` can have several signals."),
    ):
        setting = unit.last("Service", key)
        value = unit.switch(key)
        if setting is not None and value is not None and value is not usual:
            unit.lose(Kind.CHANGED, setting, said)
    final = unit.last("Service", "FinalKillSignal")
    if final is not None and final.value.removeprefix("SIG") != "KILL":
        unit.lose(Kind.CHANGED, final, "The last signal is SIGKILL here.")
    _reload(unit, table, around)


def _stop_commands(unit: Unit) -> list[str]:
    """Signals that the commands of ExecStop= send; another command is a loss."""
    steps: list[str] = []
    for line in commands(unit, "ExecStop"):
        where = Setting("Service", "ExecStop", "", line.file, line.line)
        if sent := _signal_name(signal_sent(line)):
            steps.append(sent)
            said = f"It is the first step of the stop; as in systemd, KillSignal= follows {sent} at once."
            unit.lose(Kind.CHANGED, where, said)
        else:
            unit.lose(Kind.DROPPED, where, "No command stops a service here, only signals: `stop_signal` or `stop`.")
    return steps


def _signal_name(text: str | None) -> str | None:
    """The name of a signal, by name or number, without SIG; None for what is no signal."""
    if text is None or (text.isdecimal() and int(text) not in set(signal.Signals)):
        return None
    if text.isdecimal():
        return signal.Signals(int(text)).name.removeprefix("SIG")
    known = f"SIG{text}" in signal.Signals.__members__ or _REAL_TIME.fullmatch(text)
    return text if known else None


def _reload(unit: Unit, table: dict[str, Any], around: Surroundings) -> None:
    """The signal that reloads, and the commands before it, which have to succeed first."""
    lines = commands(unit, "ExecReload")
    signals = [_signal_name(signal_sent(line)) for line in lines]
    last = max((index for index, sent in enumerate(signals) if sent), default=-1)
    checks: list[ExecLine] = []
    for index, (line, sent) in enumerate(zip(lines, signals, strict=True)):
        where = Setting("Service", "ExecReload", "", line.file, line.line)
        if sent:
            table["reload_signal"] = sent
        elif index < last:
            checks.append(line)
        else:
            said = "No command reloads a service here, only `reload_signal`, which `supervisor signal NAME` sends."
            unit.lose(Kind.DROPPED, where, said)
    if checks:
        tell_prefixes(unit, checks, "ExecReload")
        table["reload_check"] = combined(unit, without_argument_zero(checks), around, oneshot=True)
