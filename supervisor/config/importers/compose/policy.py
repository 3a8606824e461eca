"""When Docker starts a container again, how it stops it, and what a health check says."""

from __future__ import annotations

import re
from typing import Any

from supervisor.config.importers.compose.service import Service, text_of
from supervisor.config.importers.imported import ImportRefused, Kind
from supervisor.config.importers.reading import Table
from supervisor.config.units import format_duration

NEVER_GIVES_UP = 1_000_000
"""max_restarts of a service that Docker starts again for ever."""
_DELAYS = {
    "backoff": "exponential",
    "initial": "100ms",
    "factor": 2,
    "maximum": "1m",
    "jitter": 0,
    "reset_after": "10s",
}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(h|ms|us|µs|ns|m|s)")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_ON_FAILURE = re.compile(r"on-failure(?::([0-9]+))?")
_OF_DEPLOY = {"none": "no", "any": "always", "on-failure": "on-failure"}


def seconds(service: Service, key: str, written: Any) -> float:
    """A duration such as 1m30s. Raises ImportRefused."""
    found = duration(str(written))
    if found is None:
        raise ImportRefused(service.file, service.table.line_of(key), f"{key} has no duration such as 1m30s")
    return found


def duration(text: str) -> float | None:
    """The seconds of a duration such as 1m30s; None for another text."""
    if text == "0" or ("".join(match[0] for match in _PART.finditer(text)) == text and text):
        return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    return None


def restart_of(service: Service) -> dict[str, Any]:
    """The table `restart`."""
    written, key = service.get("restart"), "restart"
    deploy = service.get("deploy")
    policy = deploy.get("restart_policy") if isinstance(deploy, Table) else None
    if isinstance(policy, Table):
        key = "deploy"
        if written is None:
            condition, most = str(policy.get("condition", "any")), policy.get("max_attempts")
            written = _OF_DEPLOY.get(condition, condition) + (f":{most}" if most and condition == "on-failure" else "")
            service.lose(Kind.CHANGED, key, "Compose 2 takes condition and max_attempts of it, compose 1 nothing.")
        else:
            service.lose(Kind.IGNORED, key, "`restart` counts, and not restart_policy.")
    name = "no" if written in (None, False) else text_of(written)
    if name == "no":
        return {"policy": "never"}
    if name in ("always", "unless-stopped"):
        return {"policy": "always", **_DELAYS, "max_restarts": NEVER_GIVES_UP}
    match = _ON_FAILURE.fullmatch(name)
    if match is None:
        raise ImportRefused(service.file, service.table.line_of(key), f"{name} is no restart policy of Docker")
    if not match[1] or not int(match[1]):
        return {"policy": "on-failure", **_DELAYS, "max_restarts": NEVER_GIVES_UP}
    text = "Docker gives up for good after so many restarts; here the breaker holds for `cooldown`, and tries again."
    service.lose(Kind.CHANGED, key, text)
    return {"policy": "on-failure", **_DELAYS, "max_restarts": int(match[1]), "window": "1d", "cooldown": "1d"}


def stop_of(service: Service) -> dict[str, Any]:
    """stop_signal and stop_timeout."""
    signal = text_of(service.get("stop_signal") or "SIGTERM")
    wait = seconds(service, "stop_grace_period", service.get("stop_grace_period", "10s"))
    number = int(signal) if signal.isdigit() else signal.upper().removeprefix("SIG")
    return {"stop_signal": number, "stop_timeout": format_duration(wait)}


def health_of(service: Service) -> dict[str, Any]:
    """`ready` and `heartbeat` of a health check: Docker only reports an unhealthy container, and so does this."""
    check = service.get("healthcheck")
    if not isinstance(check, Table):
        return {}
    command = _test(service, check)
    if command is None:
        if not check.get("disable"):
            text = "Its command is in the image alone: write `ready` and `heartbeat`."
            service.lose(Kind.DROPPED, "healthcheck", text)
        return {}
    interval = _time(service, check, "interval", 30.0)
    timeout = _time(service, check, "timeout", 30.0)
    retries = text_of(check.get("retries") or 3)
    if not retries.isdigit():
        raise ImportRefused(service.file, service.table.line_of("healthcheck"), "retries is no number")
    begin = _time(service, check, "start_period", 0.0)
    text = (
        'Docker reports an unhealthy container and lets it run, and so does this: write on_suspect = "restart" to have'
        " it restarted. One that has not become ready within `start_timeout` is restarted."
    )
    service.lose(Kind.CHANGED, "healthcheck", text)
    probe = {"exec": command, "interval": format_duration(interval)}
    silence = format_duration(int(retries) * interval + timeout)
    return {
        "start_timeout": format_duration(begin + int(retries) * (interval + timeout)),
        "ready": probe | {"timeout": format_duration(timeout)},
        "heartbeat": {
            "source": "exec",
            **probe,
            "probe_timeout": format_duration(timeout),
            "detector": "timeout",
            "timeout": silence,
            "on_suspect": "report",
        },
    }


def _test(service: Service, check: Table) -> list[str] | None:
    """The command of a health check; None for none, or one of the image."""
    test = check.get("test")
    if check.get("disable") is True or not test or test == ["NONE"]:
        return None
    if isinstance(test, str):
        return ["/bin/sh", "-c", test]
    kind, *words = map(text_of, test)
    if kind == "CMD" and words:
        return words
    if kind == "CMD-SHELL" and words:
        return ["/bin/sh", "-c", *words]
    if kind == "NONE":
        return None
    line = service.table.line_of("healthcheck")
    raise ImportRefused(service.file, line, "test begins with CMD, CMD-SHELL or NONE, or is one text")


def _time(service: Service, check: Table, key: str, default: float) -> float:
    written = check.get(key)
    return (seconds(service, "healthcheck", written) if written is not None else 0.0) or default
