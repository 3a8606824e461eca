"""Loads services.toml into a Plan, or raises one error with everything that is wrong with it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from supervisor.config.build import build, merged
from supervisor.config.checks.dependencies import judge_references, start_order, with_groups_resolved
from supervisor.config.checks.groups import judge_groups
from supervisor.config.checks.host import Host, group_to_give
from supervisor.config.checks.http_server import http_server
from supervisor.config.checks.logs import with_shared_logs
from supervisor.config.checks.replicas import judge_ports
from supervisor.config.checks.sandbox import sandbox_notes
from supervisor.config.checks.services import judge
from supervisor.config.checks.shared_sockets import shared_socket_notes
from supervisor.config.checks.shell_syntax import notes
from supervisor.config.checks.stop_signals import stop_signal_notes
from supervisor.config.checks.surge import surge_notes
from supervisor.config.schema.sockets import judge_sockets
from supervisor.config.schema.validate import validate
from supervisor.config.source.key_path import Key
from supervisor.config.source.locate import absolute, locate
from supervisor.config.source.problems import Problems, Report, visible
from supervisor.config.source.project import folder_identity
from supervisor.config.source.read import parse, read_text
from supervisor.core.model.spec import (
    BALANCER,
    GroupSpec,
    Plan,
    ServiceSpec,
    ServiceType,
    SupervisorSpec,
    written_lines,
)

if TYPE_CHECKING:
    from supervisor.config.inherit import Inherited
    from supervisor.config.profiles import Wanted
    from supervisor.config.pushed import Kept

NOTHING: Mapping[Path, Path] = {}
LONGEST_RUNTIME_DIR = 80
"""Bytes; a Unix socket's whole path has at most 107."""


def load(
    path: str | os.PathLike[str],
    env: Mapping[str, str] = os.environ,
    note: Callable[[str], object] | None = None,
    *,
    tolerate_missing: bool = False,
    pushed: Callable[[str], Kept | None] | None = None,
    profiles: Wanted | Callable[[str], Wanted] | None = None,
    on_file: Callable[[str], object] | None = None,
    instead: Mapping[Path, Path] = NOTHING,
) -> Plan:
    """The plan that the file describes. `env` resolves `${VAR}` and is the environment that services inherit.

    `note` is called with each line about what is allowed, but seldom meant.
    Raises ConfigError with one line per problem: `services.toml:LINE: key.path: what is wrong`.  `tolerate_missing`:
    what this machine does not have (a program, a directory, a user, an environment file) is not raised but stands in
    `unresolved` of its service, because the daemon starts the others and tries this one again.  `pushed`: of a member
    of a cluster, given its state directory, the version that it runs instead of the services of the file.  `profiles`:
    those that are to be active, or what says so, given the runtime directory; by default the variable
    SUPERVISOR_PROFILES does.  `on_file` is called with the name of each included file.
    `instead`: files that are read in place of those with these resolved paths.
    """
    file = Path(absolute(path))
    text = read_text(instead.get(file.resolve(), Path(path)) if instead else Path(path))
    problems = Problems(str(path), text)
    raw = parse(text, str(path))
    version = None
    if pushed is not None and isinstance(raw.get("cluster"), dict):
        from supervisor.config.pushed import with_version

        raw, problems, version = with_version(file, (str(path), text), raw, pushed, env) or (raw, problems, None)
    includes = "include" in raw and version is None
    if includes:
        from supervisor.config.include import with_included

        raw = with_included(file, str(path), raw, problems, env, on_file, instead)
    given, broken = validate(raw, env, problems)
    supervisor = _supervisor(file, given, env, problems)
    tables = _tables(given, problems)
    services = _services(tables, broken, Host(env, file.parent), problems)
    known = raw["services"].keys() if isinstance(raw.get("services"), dict) else set[str]()
    active: tuple[str, ...] = ()
    optional = {name: found for name, (own, defaults) in tables.items() if (found := _profiles(own, defaults))}
    inactive: dict[str, tuple[str, ...]] = {}
    if optional or not (profiles is None or callable(profiles)):
        from supervisor.config.profiles import active_of, by_environment, is_active, without_inactive

        judge_references(with_groups_resolved(services, known), known, problems)
        wished = profiles(supervisor.runtime_dir) if callable(profiles) else profiles or by_environment(env)
        active = active_of(wished, {name for found in optional.values() for name in found}, str(path))
        inactive = {name: found for name, found in optional.items() if not is_active(found, active)}
        everyone, services = services, without_inactive(services, inactive, problems)
        services = with_groups_resolved(services, known)
        if everyone and not services and not problems:
            names = ", ".join(sorted({name for found in optional.values() for name in found}))
            problems.add(("services",), f"none is active: each has profiles, and no profile is active ({names})")
    else:
        everyone = services = with_groups_resolved(services, known)
        judge_references(services, known, problems)
    _check_own_port(supervisor, services, problems)
    judge_sockets(services, supervisor.listen, problems)
    judge_ports(services, supervisor.listen, problems)
    services = with_shared_logs(services, problems)
    judge_groups(given.get("groups", {}), everyone, problems)
    if "fleet" in given:
        from supervisor.config.checks.fleet import fleet

        fleet(given["fleet"], problems)
        if includes:
            problems.add(("include",), "one file is installed on the hosts of [fleet]; put all services into it")
    if any(spec.balance is not None for spec in services.values()):
        from supervisor.config.balancer import with_balancer

        services = with_balancer(services, supervisor, env, problems)
    cluster = None
    if "cluster" in given or any(spec.exclusive or spec.over_hosts for spec in services.values()):
        from supervisor.config.cluster import cluster_of, with_cluster

        cluster = cluster_of(given.get("cluster"), file.parent, env, problems)
        services = with_cluster(services, cluster, supervisor, problems)
    if includes:
        from supervisor.config.include import explain_paths

        explain_paths(problems, file.parent)
    for name in inactive:
        for key, _ in problems.missing(name):
            problems.excuse(key)
    unresolved = {name: _unresolved(name, problems) for name in services}
    if not tolerate_missing:
        _excuse_what_a_oneshot_may_make(services, problems)
    problems.raise_any(but_missing=tolerate_missing)
    if note is not None:
        from supervisor.config.checks.other_managers import other_manager_notes
        from supervisor.config.checks.programs import program_notes

        if given.get("templates"):
            from supervisor.config.inherit import unused_templates

            for name in unused_templates(given):
                note(problems.told(("templates", name), "nothing extends it"))
        for spec in services.values():
            for key, message in (
                *notes(spec),
                *program_notes(spec),
                *other_manager_notes(spec),
                *sandbox_notes(spec),
                *shared_socket_notes(spec),
                *stop_signal_notes(spec),
                *surge_notes(spec),
            ):
                note(problems.told(key, message))
        if BALANCER in services:
            from supervisor.config.balancer import fallback_notes

            for key, message in fallback_notes(services):
                note(problems.told(key, message))
    complete = {
        name: replace(spec, unresolved=unresolved[name]) if unresolved[name] else spec
        for name, spec in services.items()
    }
    return Plan(
        supervisor=supervisor,
        services=start_order(complete),
        path=str(file),
        folder=folder_identity(str(file.parent)),
        written=_fingerprints(tables),
        groups=tuple(GroupSpec(name=name, **table) for name, table in given.get("groups", {}).items()),
        cluster=cluster,
        pushed=version,
        profiles=active,
        inactive=tuple(inactive.items()),
    )


def _tables(given: Mapping[str, Any], problems: Problems) -> Mapping[str, Inherited | tuple[Any, Any]]:
    """The table of each service, with what it has of its parents, and the [defaults] that hold for it."""
    from_parents = any(
        "extends" in table or "unset" in table
        for table in (given.get("defaults", {}), *given.get("services", {}).values())
    )
    if from_parents or "templates" in given:
        from supervisor.config.inherit import with_parents

        return with_parents(given, problems)
    return {name: (own, given.get("defaults", {})) for name, own in given.get("services", {}).items()}


def _profiles(own: Mapping[str, Any], defaults: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(own.get("profiles", defaults.get("profiles", ())))


def _fingerprints(tables: Mapping[str, Inherited | tuple[Any, Any]]) -> str:
    """Plan.written.  The table of a service counts with what it has of its parents and [defaults]."""
    found = ((name, merged(defaults, own)) for name, (own, defaults) in tables.items())
    return written_lines({name: sha256(_text(table).encode()).hexdigest()[:16] for name, table in found})


def _text(table: Mapping[str, Any]) -> str:
    return json.dumps(table, sort_keys=True, default=repr)


def _unresolved(service: str, problems: Problems) -> tuple[tuple[str, str], ...]:
    found = ((problems.where(key), visible(message)) for key, message in problems.missing(service))
    return tuple(dict.fromkeys(found))


def _excuse_what_a_oneshot_may_make(services: Mapping[str, ServiceSpec], problems: Problems) -> None:
    """Files that are not there are no error of a service that waits for a oneshot, which may make them."""
    for name, spec in services.items():
        missing = problems.missing(name)
        if missing and _waits_for_a_oneshot(spec, services):
            for key, _ in missing:
                command = _command(spec, key[2:])
                if key[2:] in FILES or key[2] == "sandbox" or (command and "/" in command[0]):
                    problems.excuse(key)


FILES = (("directory",), ("environment_file",))


def _command(spec: ServiceSpec, key: Key) -> Sequence[str] | None:
    """The command of the service that is written under `key`."""
    probes = {"ready": spec.ready, "heartbeat": spec.heartbeat}
    if key in (("command",), ("reload_check",)):
        return spec.command if key == ("command",) else spec.reload_check
    probe = probes.get(str(key[0])) if key[1:] == ("exec",) else None
    return probe.exec if probe is not None else None


def _waits_for_a_oneshot(spec: ServiceSpec, services: Mapping[str, ServiceSpec]) -> bool:
    before = list(spec.depends_on)
    for name in before:  # grows while it is walked
        if name in services:
            if services[name].type is ServiceType.ONESHOT:
                return True
            before += [one for one in services[name].depends_on if one not in before]
    return False


def _supervisor(file: Path, given: Mapping[str, Any], env: Mapping[str, str], problems: Problems) -> SupervisorSpec:
    table = given.get("supervisor", {})
    places = locate(str(file), table, env)
    name, runtime_dir, state_dir = places.name, places.runtime_dir, places.state_dir
    if len(os.fsencode(runtime_dir)) > LONGEST_RUNTIME_DIR:
        message = f"{runtime_dir} is too long for sockets in it: at most {LONGEST_RUNTIME_DIR} bytes"
        problems.add(("supervisor", "runtime_dir"), message)
    fields: dict[str, Any] = {"name": name, "runtime_dir": runtime_dir, "state_dir": state_dir}
    fields |= {key: table[key] for key in ("max_concurrent_restarts", "wait_ready") if key in table}
    if "group" in table:
        try:
            fields["group"] = group_to_give(table["group"])
        except ValueError as error:
            problems.add(("supervisor", "group"), str(error))
    if "http" in table:
        fields |= http_server(table["http"], file.parent, problems)
    return SupervisorSpec(**fields)


def _services(
    tables: Mapping[str, Inherited | tuple[Any, Any]], broken: set[Key], host: Host, problems: Problems
) -> dict[str, ServiceSpec]:
    """The specs by name, in the order of the file; incomplete if there are problems."""
    if not tables and not problems:
        problems.add(("services",), "no services; begin with [services.NAME] and a command")
    every = [table for pair in tables.values() for table in pair]
    fallbacks = {table.get("restart", {}).get("fallback") for table in every}
    specs = {}
    for name, (own, defaults) in tables.items():
        report = problems.of(name)
        table = merged(defaults, own)
        if name in fallbacks:
            table = _as_fallback(name, table, own, report)
        specs[name] = build(name, table, host, report)
        if "command" not in table and not _has_broken_command(name, broken, problems):
            report('no command; write for example command = ["program", "argument"]')
        judge(specs[name], own, host, report)
    return specs


def _has_broken_command(name: str, broken: set[Key], problems: Problems) -> bool:
    service = ("services", name)
    return any((*table, "command") in broken for table in (service, *problems.parents(service), ("defaults",)))


def _as_fallback(name: str, table: Mapping[str, Any], own: Mapping[str, Any], report: Report) -> Mapping[str, Any]:
    """The table of a fallback: it is not started with the others, and ignores itself as the fallback of [defaults]."""
    if own.get("autostart"):
        report("a fallback starts when it is needed; leave this out", "autostart")
    restart = table.get("restart", {})
    if restart.get("fallback") == name and "fallback" not in own.get("restart", {}):
        restart = {key: value for key, value in restart.items() if key != "fallback"}
    return {**table, "restart": restart, "autostart": False}


def _check_own_port(supervisor: SupervisorSpec, services: Mapping[str, ServiceSpec], problems: Problems) -> None:
    """Report probes of the supervisor's own port, which no service can have."""
    if supervisor.listen is None:
        return
    host, port = supervisor.listen
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    for name, spec in services.items():
        for table, probed in (("ready", spec.ready), ("heartbeat", spec.heartbeat)):
            for key in ("tcp", "http"):
                url = getattr(probed, key) if probed else None
                if url and url.removeprefix("http://").split("/")[0] == address:
                    message = f"{address} is the address of the daemon itself (supervisor.http.listen)"
                    problems.of(name)(message, table, key)
