"""`exec`: runs a command with the environment, directory, user, limits and sandbox of a service."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import click

from supervisor.cli.daemon_target import DaemonTarget
from supervisor.cli.instances.daemon_process import other_user
from supervisor.cli.options import complete_services, daemon_options, pass_target
from supervisor.errors import NoSuchService, NotListening, OperationFailed, UsageError

if TYPE_CHECKING:
    from supervisor.adapters.processes.service_command import Running
    from supervisor.core.model.documents import Status
    from supervisor.core.model.instance_documents import Instance
    from supervisor.core.model.spec import Plan, ServiceSpec


NEEDED = ("environment_file", "directory", "user", "group")
"""Keys without whose things nothing can be run."""


class _Place(NamedTuple):
    """`spec` is that of the instance.  `inherited`: what a service inherits.  `more`: variables that the daemon adds.
    `running`: None where no daemon runs."""

    spec: ServiceSpec
    instance: str
    incarnation: int
    inherited: dict[str, str]
    more: dict[str, str]
    running: Running | None


@click.command(context_settings={"allow_interspersed_args": False})
@daemon_options("-f", "--file")
@click.option("-i", "-t", "-T", "--interactive", "--tty", "--no-tty", "terminal", is_flag=True, hidden=True)
@click.argument("name", metavar="SERVICE", shell_complete=complete_services)
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="-- COMMAND…")
@pass_target
def exec(target: DaemonTarget, terminal: bool, name: str, command: tuple[str, ...]) -> int:
    """Run a command with the environment and rights of a service.

    It also has the directory, umask and limits of SERVICE, and keeps your terminal, standard input and output.  The
    exit code is that of COMMAND; 126 and 127: it cannot be executed, is not found.  It is not a part of the service: no
    stop or restart ends it, and none waits for it.  Of several instances the first that is ready is taken.  Options
    stand before SERVICE.

    \b
    Examples:
      supervisor exec web -- env            the variables that it has
      supervisor exec web@2 -- sh           a shell beside it
      supervisor exec web -- ./manage.py migrate"""
    words = command[1:] if command[:1] == ("--",) else command
    if not words or not words[0]:
        raise UsageError("no command is given", f"For a shell: supervisor exec {name} -- sh")
    from supervisor.adapters.processes.service_command import (
        NOT_EXECUTABLE,
        NOT_FOUND,
        Refused,
        environment_of,
        execute_as,
    )

    place = _place(target, name)
    environment = environment_of(place.spec, place.instance, place.incarnation, place.inherited, place.more)
    if sys.stdin is not None and sys.stdin.isatty() and "TERM" not in dict(place.spec.environment):
        environment[b"TERM"] = os.fsencode(os.environ.get("TERM", "dumb"))  # the terminal is the caller's
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        execute_as(place.spec, place.instance, words, environment, place.running, _note)
    except Refused as error:
        hint = f"Run it as root: sudo supervisor exec {name} -- …" if os.geteuid() else ""
        raise OperationFailed(f"cannot run a command for {place.instance}: {_told(error)}", hint) from None
    except OSError as error:
        sys.stderr.write(f"supervisor: {_told(error)}\n")
        return NOT_FOUND if isinstance(error, (FileNotFoundError, NotADirectoryError)) else NOT_EXECUTABLE


def _told(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)


def _note(text: str) -> None:
    sys.stderr.write(f"supervisor exec: {text}\n")
    sys.stderr.flush()


def _place(target: DaemonTarget, name: str) -> _Place:
    from supervisor.cli.unwatched import listens_soon

    try:
        status = target.client.status([name])
    except NotListening as why:
        if not listens_soon(target, why):
            return _by_the_file(target, name)
        status = target.client.status([name])
    return _beside(target, name, status)


def _beside(target: DaemonTarget, name: str, status: Status) -> _Place:
    """Beside an instance of a running daemon."""
    from supervisor.adapters.processes.host_processes import directory_name
    from supervisor.adapters.processes.service_command import Running, environment_of_process, group_directory
    from supervisor.cli.unwatched import read_id

    row, daemon = _chosen(name, status["instances"]), status["supervisor"]
    if (user := other_user(target.client, daemon["pid"])) is not None:
        raise OperationFailed(f"the daemon runs as user {user}", f"Run it so: sudo -u '#{user}' supervisor exec …")
    plan = target.plan_in_force
    spec = plan.service(row["service"]) if plan is not None else None
    if plan is None or spec is None:
        raise OperationFailed(
            f"the definition of {row['service']} in force cannot be read", "Run it as the user of the daemon."
        )
    inherited = environment_of_process(daemon["pid"])
    if inherited is None:
        raise OperationFailed("the environment of the daemon may not be read", "Run it as the user of the daemon.")
    directory = directory_name(daemon["name"], read_id(daemon["runtime_dir"]))
    grouped = daemon["trees"] == "cgroup"
    if row["pid"] is None:
        sandbox = ", in a new sandbox" if spec.sandbox is not None else ""
        _note(f"{row['name']} is {row['state']}: the command gets what its definition says{sandbox}")
    elif not row["current"]:
        _note(f"{row['name']} still runs an earlier definition; the command gets the one in force")
    return _Place(
        _for(spec, row["name"]),
        row["name"],
        row["incarnation"],
        inherited,
        _of_cluster(row, plan),
        Running(daemon["pid"], row["pid"], group_directory(directory, daemon["pid"], row["pid"]) if grouped else None),
    )


def _by_the_file(target: DaemonTarget, name: str) -> _Place:
    """As the file says, where no daemon runs."""
    from supervisor.config.load import load
    from supervisor.core.text.nearest import did_you_mean

    path = target.file
    plan = load(path, tolerate_missing=True)
    service = next((spec for spec in plan.services if name == spec.name or name in spec.instances), None)
    if service is None:
        near = did_you_mean(name, [one for spec in plan.services for one in (spec.name, *spec.instances)])
        raise NoSuchService(f"no service {name!r} in {path}{near}")
    instance = name if name in service.instances else service.instances[0]
    _note(f"no daemon runs: {instance} as {path} says, with what this shell passes on")
    return _Place(_for(service, instance), instance, 0, dict(os.environ), {}, None)


def _for(spec: ServiceSpec, instance: str) -> ServiceSpec:
    """What the instance has.  OperationFailed where the host lacks what its environment or user comes from."""
    from supervisor.core.services.replica import for_instance

    lacking = [f"{key}: {why}" for key, why in spec.unresolved if any(f".{one}" in key for one in NEEDED)]
    if lacking:
        raise OperationFailed(f"{spec.name} cannot run here:\n  " + "\n  ".join(lacking))
    return replace(for_instance(spec, instance), unresolved=())


def _of_cluster(row: Instance, plan: Plan) -> dict[str, str]:
    placed = row.get("placed")
    if not placed or not placed.get("epoch") or plan.cluster is None:
        return {}
    return {"SUPERVISOR_EPOCH": str(placed["epoch"]), "SUPERVISOR_NODE": plan.cluster.node}


def _chosen(name: str, rows: list[Instance]) -> Instance:
    """The instance that is named; of several of one service the first that is ready, or else runs."""
    if len(services := {row["service"] for row in rows}) > 1:
        raise UsageError(f"{name} means {len(services)} services", f"Name one: {', '.join(sorted(services)[:5])}")
    best = next((r for r in rows if r["ready"]), None) or next((r for r in rows if r["pid"] is not None), rows[0])
    if len(rows) > 1:
        why = "is ready" if best["ready"] else "runs" if best["pid"] is not None else "is there; none runs"
        _note(f"{best['name']}, the first of {len(rows)} instances that {why}")
    return best
