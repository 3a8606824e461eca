"""How the installed compose reads a file, beside the import: `config` prints it with all variables replaced."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from supervisor.config.importers.compose.importer import read
from supervisor.config.importers.compose.policy import duration
from supervisor.config.importers.compose.service import listed, text_of
from supervisor.config.importers.imported import Expanded, ImportedService
from supervisor.config.importers.side_by_side import (
    WITHOUT_END,
    CheckFailed,
    Comparison,
    Facts,
    Hidden,
    dependencies,
    facts_of,
    most_restarts,
    output_of,
    seconds,
    services_of,
    signal_name,
    where,
)
from supervisor.config.source.expand import expand
from supervisor.config.units import parse_duration

_LOOKED_FOR = "docker (with its plugin compose), docker-compose and podman-compose"
_CONDITIONS = {
    "service_started": "started",
    "service_healthy": "ready",
    "service_completed_successfully": "completed",
}
_POLICIES = {"no": "never", "always": "always", "unless-stopped": "always", "on-failure": "on-failure"}


def side_by_side(paths: Sequence[Path], environment: Mapping[str, str]) -> list[Comparison]:
    """The file as compose reads it, and as it is imported.  Raises CheckFailed, ImportRefused and OSError."""
    path = paths[0]
    imported = read(paths, environment)
    from yaml import YAMLError, safe_load  # the importer has it: without it nothing is read

    command, version = _tool(environment)
    text = output_of(
        [*command, "-f", str(path.absolute()), "config"], environment, path.absolute().parent, tool=command[-1]
    )
    try:
        top = safe_load(text)
    except YAMLError:
        top = None
    there = top.get("services") if isinstance(top, dict) else None
    if not isinstance(there, dict):
        raise CheckFailed(f"{command[-1]} gave an answer that is not understood")
    made = Comparison(version)
    services = services_of(imported)
    for name, table in there.items():
        service = services.pop(name, None)
        if service is None and not (table.get("command") or table.get("entrypoint")):
            continue
        real = _real(table)
        made.add(
            name,
            where(service) if service else str(path),
            real,
            _comparable(service, environment) if service else None,
        )
    for service in services.values():
        if "profiles" not in str(service.table) and service.table.get("autostart", True):
            made.add(service.name, where(service), None, facts_of(service, environment))
    return [made]


def _tool(environment: Mapping[str, str]) -> tuple[list[str], str]:
    """The command of compose, and its name with the version."""
    for words in (["docker", "compose"], ["docker-compose"], ["podman-compose"]):
        found = shutil.which(words[0], path=environment.get("PATH"))
        if found is None:
            continue
        command = [found, *words[1:]]
        try:
            said = output_of([*command, "version"], environment, "/", tool=" ".join(words))
        except CheckFailed:
            continue
        number = next((word.strip(",v") for word in said.split() if word.strip("v")[:1].isdigit()), "")
        return command, f"{'-'.join(words)} {number}"
    raise CheckFailed(
        f"--check looks for the programs {_LOOKED_FOR} in PATH, and there is none", "Install one of them."
    )


def _real(table: Mapping[str, Any]) -> Facts:
    words = [*_words(table.get("entrypoint")), *_words(table.get("command"))]
    written = table.get("environment") or {}
    if isinstance(written, list):
        pairs = (str(one).partition("=") for one in written)
        written = {name: value if equals else None for name, equals, value in pairs}
    variables = {name: _plain(text_of(value)) for name, value in written.items() if value is not None}
    restart, _, most = text_of(table.get("restart") or "no").partition(":")
    deploy = table.get("deploy")
    waited = table.get("depends_on") or ()
    of = {name: one.get("condition", "") for name, one in waited.items()} if isinstance(waited, Mapping) else {}
    settings: dict[str, str] = {
        "stop signal": signal_name(table.get("stop_signal") or "TERM"),
        "stop timeout": seconds(duration(str(table.get("stop_grace_period") or "10s")) or 0.0),
        "restart": _POLICIES.get(restart, restart),
        "most restarts": most_restarts(int(most or 0) or WITHOUT_END),
        "replicas": str(deploy.get("replicas", 1) if isinstance(deploy, Mapping) else table.get("scale", 1)),
        "depends_on": dependencies((name, _CONDITIONS.get(of.get(name, ""), "started")) for name in waited),
        "healthcheck": _health(table.get("healthcheck")),
    }
    if isinstance(deploy, Mapping) and "restart_policy" in deploy:
        del settings["restart"], settings["most restarts"]
    return Facts(tuple(words), variables, settings)


def _words(value: Any) -> list[str]:
    if isinstance(value, str):
        return [_plain(word) for word in shlex.split(value)]
    return [_plain(text_of(word)) for word in listed(value)]


def _plain(text: str) -> str:
    """`config` doubles each $ so that its output can be read again."""
    return text.replace("$$", "$")


def _health(check: Any) -> Hidden:
    """The command of a health check, and its times with the defaults of Docker."""
    test = check.get("test") if isinstance(check, Mapping) and not check.get("disable") else None
    if not test or test == ["NONE"]:
        return Hidden()
    kind, *words = ["CMD-SHELL", test] if isinstance(test, str) else [text_of(word) for word in test]
    times = [duration(str(check.get(key) or "30s")) or 30.0 for key in ("interval", "timeout")]
    return _check_text([*(["/bin/sh", "-c"] if kind == "CMD-SHELL" else []), *map(_plain, words)], *times)


def _check_text(words: Sequence[str], interval: float, timeout: float) -> Hidden:
    return Hidden(f"{shlex.join(words)} every {seconds(interval)}, within {seconds(timeout)}")


def _comparable(service: ImportedService, environment: Mapping[str, str]) -> Facts:
    """Without PATH, which is the host's here; with the health check."""
    facts = facts_of(service, environment)
    variables = {name: value for name, value in (facts.variables or {}).items() if name != "PATH"}
    ready = service.table.get("ready", {})
    check = Hidden()
    if "exec" in ready:
        words = [expand(word, environment) if isinstance(word, Expanded) else str(word) for word in ready["exec"]]
        check = _check_text(words, parse_duration(ready["interval"]), parse_duration(ready["timeout"]))
    return Facts(facts.words, variables, facts.settings | {"healthcheck": check})
