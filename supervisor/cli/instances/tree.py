"""`tree`: the processes of each instance, and what depends on what."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from supervisor.cli.daemon_target import DaemonTarget, on_terminal
from supervisor.cli.instances.daemon_process import other_user
from supervisor.cli.options import colored, daemon_options, pass_target, services_argument
from supervisor.errors import NoDaemon, NoSuchService, NotListening, UsageError

if TYPE_CHECKING:
    from supervisor.client import Client
    from supervisor.core.model.instance_documents import Instance
    from supervisor.core.model.spec import Plan
    from supervisor.display.process_tree import Drawing, Family, Process

LOOK = 0.25
"""Seconds over which the share of CPU is measured."""


@click.command()
@daemon_options("-f", "--file")
@click.option("--depends", is_flag=True, help="Services with those that they depend on, instead of processes.")
@click.option("--reverse", is_flag=True, help="With --depends: with those that depend on them.")
@click.option("--pss", is_flag=True, help="Memory as PSS: what processes share counts once. Takes longer.")
@click.option("--ascii", "as_ascii", is_flag=True, help="Draw with ASCII.  [off a terminal, or where it has no lines]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@services_argument
@pass_target
def tree(
    target: DaemonTarget,
    depends: bool,
    reverse: bool,
    pss: bool,
    as_ascii: bool,
    as_json: bool,
    services: tuple[str, ...],
) -> None:
    """Print the processes of each instance as a tree.

    Those of the daemon itself come last.  They are found as the daemon finds them: by cgroup, mark and environment, not
    only by parents.  CPU% is measured over 250 ms; 100 is one core.  Exit code 5 where no daemon runs; what still runs
    is printed then.

    \b
    Examples:
      supervisor tree web
      supervisor tree --depends              what each service needs
      supervisor tree --depends --reverse db what needs db"""
    from supervisor.display.process_tree import ASCII, LINES, takes_lines

    if reverse and not depends:
        raise UsageError("--reverse goes with --depends", "supervisor tree --depends --reverse NAME")
    drawing = LINES if on_terminal() and not as_ascii and takes_lines(sys.stdout.encoding) else ASCII
    if depends:
        _print_dependencies(target, reverse, as_json, services, drawing)
        return
    try:
        families, absent = _families(target, services, pss), None
    except NotListening as why:
        from supervisor.cli.unwatched import listens_soon

        if listens_soon(target, why):
            families, absent = _families(target, services, pss), None
        else:
            families, absent = _unwatched(target, services, why, pss)
    _print(families, as_json, drawing)
    if absent is not None:
        raise absent


def _print(families: Sequence[Family], as_json: bool, drawing: Drawing) -> None:
    if as_json:
        from json import dumps

        daemon = next((f["processes"] for f in families if f["instance"] is None), None)
        instances = [family for family in families if family["instance"] is not None]
        click.echo(dumps({"daemon": daemon, "instances": instances}, indent=2))
        return
    from shutil import get_terminal_size

    from supervisor.display.process_tree import process_lines

    width = get_terminal_size().columns if on_terminal() else None
    for line in process_lines(families, drawing, width=width, bold=_bold):
        click.echo(line)


def _bold(text: str) -> str:
    return click.style(text, bold=True) if colored() else text


def _families(target: DaemonTarget, services: Sequence[str], pss: bool) -> list[Family]:
    """What a running daemon has: one request, and one look at /proc by this process."""
    from supervisor.cli.unwatched import read_id
    from supervisor.display.status_row import note

    client = target.client
    status = client.status()  # of all: a process of another instance must be known as such
    daemon, rows = status["supervisor"], status["instances"]
    if other_user(client, daemon["pid"]) is not None and os.geteuid():
        sys.stderr.write("as another user than the daemon you may not see all processes\n")
    wanted = _meant(client, rows, services)
    shown = {row["name"]: (row, _says(row, note(row))) for row in rows if row["name"] in wanted}
    mains = {row["name"]: row["pid"] for row in rows if row["pid"] is not None}
    trees = daemon["name"] if daemon["trees"] == "cgroup" else ""
    found = _processes(daemon["pid"], read_id(daemon["runtime_dir"]), trees, [r["name"] for r in rows], mains, pss)
    families = [_family(name, row, says, found.get(name, [])) for name, (row, says) in shown.items()]
    if not services:
        families.append(_family(None, None, f"{daemon['name']}, pid {daemon['pid']}", found.get("", [])))
    return families


def _meant(client: Client, rows: Sequence[Instance], services: Sequence[str]) -> set[str]:
    """The instances that the names and patterns mean, or all.  NoSuchService, as the daemon says it."""
    from supervisor.core.text.name_patterns import Known, matching

    known = [Known(row["name"], row["service"], row["group"] or "") for row in rows]
    found: set[str] = set() if services else {row["name"] for row in rows}
    for name in services:
        plain = {one.instance for one in known if name and name in one}
        meant = plain or set(matching(name, known))
        found |= meant or {row["name"] for row in client.status([name])["instances"]}
    return found


def _says(row: Instance, note: str) -> str:
    from supervisor.display.status_row import state_and_readiness

    state = state_and_readiness(row)
    return f"{state}: {note}" if note else state


def _unwatched(
    target: DaemonTarget, services: Sequence[str], why: NotListening, pss: bool
) -> tuple[list[Family], NoDaemon]:
    """What still runs although no daemon does, and the error to end with."""
    from supervisor.cli.unwatched import find, read_id
    from supervisor.core.text.name_patterns import matching

    rows = find(target)
    if services:
        meant = {name for pattern in services for name in matching(pattern, [row.known for row in rows])}
        rows = [row for row in rows if row.instance in meant]
    if not rows:
        raise why
    plan = target.plan_in_force
    supervisor_id = read_id(os.path.dirname(target.socket))  # noqa: PTH120
    name = plan.supervisor.name if plan is not None else ""
    found = _processes(0, supervisor_id, name, [r.instance for r in rows], {r.instance: r.pid for r in rows}, pss)
    families = [_family(row.instance, None, "unwatched", found.get(row.instance, [])) for row in rows]
    what = "1 instance still runs" if len(rows) == 1 else f"{len(rows)} instances still run"
    hint = "`supervisor up -d` takes up what still runs, `supervisor down` stops it."
    return families, NoDaemon(f"{why.message}; {what}, unwatched", hint)


def _family(name: str | None, row: Instance | None, says: str, processes: list[Process]) -> Family:
    return {
        "instance": name,
        "service": row["service"] if row is not None else name.partition("@")[0] if name is not None else None,
        "state": row["state"] if row is not None else None,
        "ready": row["ready"] if row is not None else None,
        "says": says,
        "processes": processes,
    }


def _processes(
    daemon: int, supervisor_id: str, name: str, instances: Sequence[str], mains: Mapping[str, int], pss: bool
) -> dict[str, list[Process]]:
    """The processes by instance, those of the daemon under "".  `name`: that of the daemon, empty without cgroups."""
    from supervisor.adapters.processes import host_processes as host
    from supervisor.core.services.process_owners import HELPER, Owner, Signs, owners
    from supervisor.display.process_tree import branches

    directory = host.directory_name(name, supervisor_id) if name else ""
    seen = host.look(supervisor_id, instances, directory)
    owned = owners(seen, Signs(daemon, supervisor_id, directory, mains))
    if daemon:
        owned[daemon] = Owner("", HELPER)
    figures = host.figures(owned, pss=pss)
    shares = host.shares(figures, time.sleep, LOOK)
    parents = {one.pid: one.ppid for one in seen if one.pid in figures}
    found: dict[str, list[Process]] = {}
    for instance in dict.fromkeys(owner.instance for owner in owned.values()):
        mine = {pid: ppid for pid, ppid in parents.items() if owned[pid].instance == instance}
        first = sorted(mine, key=lambda pid: (pid not in mains.values(), pid))
        for branch in branches({pid: mine[pid] for pid in first}):
            one, owner = figures[branch.pid], owned[branch.pid]
            found.setdefault(instance, []).append(
                {
                    "pid": branch.pid,
                    "ppid": mine[branch.pid],
                    "depth": branch.depth,
                    "role": "daemon" if branch.pid == daemon else owner.role,
                    "command": _command(one.command) or f"[{one.name}]",
                    "state": one.state,
                    "age_s": round(one.age_s, 3),
                    "cpu_percent": None if (share := shares[branch.pid]) is None else round(share, 1),
                    "cpu_s": round(one.cpu_s, 2),
                    "rss_bytes": one.rss,
                    "pss_bytes": one.pss,
                    "threads": one.threads,
                    "notes": list(owner.notes),
                }
            )
    return found


def _command(words: Sequence[str]) -> str:
    from supervisor.core.text.redact import without_secrets

    return " ".join(without_secrets(words))[:1000]


# -- dependencies ----------------------------------------------------------------------------------------------------


def _print_dependencies(
    target: DaemonTarget, reverse: bool, as_json: bool, services: Sequence[str], drawing: Drawing
) -> None:
    from supervisor.display.process_tree import dependencies, following, prefix

    needs, states, members = _needs(target)
    names = list(dict.fromkeys(one for name in services for one in _named(name, members)))
    if reverse:
        needs = {name: [other for other, below in needs.items() if name in below] for name in needs}
    if not names:
        below = {other for others in needs.values() for other in others}
        names = [name for name in needs if name not in below]
    if as_json:
        from json import dumps

        key = "needed_by" if reverse else "depends_on"
        wanted = list(dict.fromkeys(one.name for one in dependencies(names, needs)))
        found = [{"service": name, "states": states.get(name, []), key: needs.get(name, [])} for name in wanted]
        click.echo(dumps({"services": found}, indent=2))
        return
    entries = list(dependencies(names, needs))
    for one, levels in zip(entries, following([entry.depth for entry in entries]), strict=True):
        says = "  (above)" if one.again else f"  {', '.join(states[one.name])}" if states.get(one.name) else ""
        click.echo(f"{prefix(levels, drawing)}{_bold(one.name) if not one.depth else one.name}{says}")


def _named(name: str, members: Mapping[str, Sequence[str]]) -> Sequence[str]:
    """The services that a name or pattern means."""
    from supervisor.core.text.name_patterns import Known, matching
    from supervisor.core.text.nearest import did_you_mean

    known = [Known(one, service) for service, names in members.items() for one in (service, *names)]
    found = {one.partition("@")[0] if one not in members else one for one in matching(name, known)}
    found |= {service for service, names in members.items() if name in names}
    if not found:
        raise NoSuchService(f"no service or group is named {name!r}{did_you_mean(name, members)}")
    return [service for service in members if service in found]


def _needs(target: DaemonTarget) -> tuple[dict[str, list[str]], dict[str, list[str]], dict[str, list[str]]]:
    """What each service depends on, the states of its instances, and its other names: instances and group.

    From the daemon, or where none runs from the file; then there are no states."""
    try:
        services, rows = target.client.services()["services"], target.client.status()["instances"]
    except NotListening:
        plan = _of_file(target)
        sys.stderr.write(f"no daemon answers; reading {plan.path}\n")
        return (
            {spec.name: list(spec.depends_on) for spec in plan.services},
            {},
            {s.name: [*s.instances, *([s.group_name] if s.group_name else [])] for s in plan.services},
        )
    states: dict[str, list[str]] = {}
    for row in rows:
        says = _says(row, "")
        if len([one for one in rows if one["service"] == row["service"]]) > 1:
            says = f"{row['name']} {says}"
        states.setdefault(row["service"], []).append(says)
    return (
        {service["name"]: service["depends_on"] for service in services},
        states,
        {s["name"]: [*s["instances"], *([s["group"]] if s["group"] else [])] for s in services},
    )


def _of_file(target: DaemonTarget) -> Plan:
    from supervisor.config.load import load

    return load(target.file, tolerate_missing=True)
