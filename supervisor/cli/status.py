"""`status`: prints one row per instance; problems stand out by colour and weight."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from supervisor.cli import fast_path as quick
from supervisor.cli.daemon_target import DaemonTarget, on_terminal
from supervisor.cli.options import colored, daemon_options, pass_target, services_argument
from supervisor.errors import UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from supervisor.core.model.documents import Status
    from supervisor.core.model.instance_documents import Instance

SHORTEST_NOTE = 30

_WEIGHTS = ("dim", "", "bold", "bold")
"""By severity."""


@click.command()
@daemon_options("-f", "--file")
@click.option("--json", "as_json", is_flag=True, help="Print the answer of the API; with --watch, one per line.")
@click.option("-w", "--watch", is_flag=True, help="Keep updating until interrupted.")
@click.option("--cluster", is_flag=True, help="All hosts of the cluster, also one that is gone, by its last record.")
@services_argument
@pass_target
def status(target: DaemonTarget, as_json: bool, watch: bool, cluster: bool, services: tuple[str, ...]) -> int:
    """Print one row per instance; for one name its page.

    The page says where it is defined, its state and why, what comes next, its processes, its last output, and what to
    type next.  Several names or a pattern print rows.

    Exit code 3 if an instance that should be up is not; 5 if no daemon runs: instances that run on are then unwatched.

    \b
    Examples:
      supervisor status
      supervisor status web
      supervisor status --watch 'web*'"""
    if cluster:
        return _cluster(target, as_json, watch, services)
    if watch:
        return _watch(target, as_json, services)
    if not (on_terminal() or colored()):
        return quick.status(target, as_json, services)
    found = quick.ask_status(target, as_json, services)
    if as_json:
        from json import dumps

        click.echo(dumps(found, indent=2))
    elif len(services) != 1 or not _page(target, services, found):
        console = _console()
        console.print(table(found, console.width))
    return quick.verdict(found)


def _page(target: DaemonTarget, services: tuple[str, ...], found: Status) -> bool:
    """Print the page of one name; False where rows are to be printed."""
    from supervisor.cli.instances import page

    if not page.has_page(services, found):
        return False
    from rich.text import Text

    first, rest = page.lines(target, found)
    console, rows = _console(), found["instances"]
    worst = max(rows, key=lambda row: (_severity(row), row["name"]))
    style = _by_severity(worst) or "bold"
    console.print(Text.assemble(("● ", style), (first, "bold")), soft_wrap=True)
    console.print(Text("\n".join(rest)), soft_wrap=True)
    if len(rows) > 1:
        console.print(Text(), table(found, console.width))
        console.print(Text("\n" + "\n".join(page.hints(rows))), soft_wrap=True)
    else:
        quick.tell_problems(found)
        quick.tell_deviations(found)
    return True


def _cluster(target: DaemonTarget, as_json: bool, watch: bool, services: tuple[str, ...]) -> int:
    from supervisor.cli import whole_cluster

    if watch:
        raise UsageError(
            "--cluster cannot be watched", "`supervisor top` shows the hosts and keeps them current: key H."
        )
    return whole_cluster.status(target.client, as_json, services)


def table(status: Status, width: int) -> RenderableType:
    """The rows for a terminal of `width` cells; a narrow one omits the least important columns."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from supervisor.display.status_row import COLUMNS, RIGHT, cells, printable

    rows = [dict(zip(COLUMNS, map(printable, cells(row)), strict=True)) for row in status["instances"]]
    columns = _fitting(rows, width)
    out = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim", show_edge=False, padding=(0, 1, 0, 0))
    for name in columns:
        justify: Any = "right" if name in RIGHT else "left"
        out.add_column(name.lower(), justify=justify, no_wrap=name != "NOTE", overflow="fold")
    for row, texts in zip(status["instances"], rows, strict=True):
        out.add_row(*(Text(texts[name], _tone(name, row)) for name in columns))
    return Group(out, Text(), _summary(status))


def _fitting(rows: list[dict[str, str]], width: int) -> list[str]:
    """The columns that fit beside a readable note."""
    from supervisor.display.status_row import COLUMNS, LEAST_WANTED

    widths = {name: max([len(name), *(len(row[name]) for row in rows)]) for name in COLUMNS}
    widths["NOTE"] = min(widths["NOTE"], SHORTEST_NOTE)
    kept = list(COLUMNS)
    for name in LEAST_WANTED:
        if sum(widths[n] + 2 for n in kept) <= width:
            break
        kept.remove(name)
    return kept


def _tone(column: str, row: Instance) -> str:
    """The style of a cell: dim where all is well; name, state and reason of a problem stand out."""
    from supervisor.display.severity import Severity, severity

    how_bad = severity(row)
    if how_bad is Severity.FINE and (row["state"] != "running" or column == "NOTE"):
        return "dim"
    if column in ("STATE", "READY", "NOTE"):
        return _by_severity(row)
    if column == "NAME":
        return "bold" if how_bad >= Severity.WRONG else ""
    return "dim" if how_bad is Severity.FINE else ""


def _severity(row: Instance) -> int:
    from supervisor.display.severity import severity

    return severity(row)


def _by_severity(row: Instance) -> str:
    from supervisor.display.state_style import severity_color

    return f"{_WEIGHTS[_severity(row)]} {severity_color(row)}".strip()


def _summary(status: Status) -> RenderableType:
    from rich.text import Text

    from supervisor.core.services.status import missing
    from supervisor.display.deviations import deviation_lines
    from supervisor.display.numbers import count, duration
    from supervisor.display.rollout_line import under_way
    from supervisor.display.severity import severity

    rows, daemon = status["instances"], status["supervisor"]
    missed = len(missing(status))
    ready = sum(row["ready"] for row in rows)
    out = Text(f"{ready} of {count(len(rows), 'instance')} ready", "dim green" if not missed else "")
    if missed:
        worst = max(rows, key=severity)
        out.append(f", {missed} should be up but {'is' if missed == 1 else 'are'} not", _by_severity(worst))
    out.append(f" · {daemon['name']}, pid {daemon['pid']}, up {duration(daemon['uptime_s'])}", "dim")
    if daemon["closing"]:
        out.append(" · shutting down", "bold yellow")
    if daemon["host_starved"]:
        out.append(" · the host is overloaded: silence may not mean a hang", "bold yellow")
    for text in deviation_lines(daemon):
        out.append(f"\n~ {text}", "yellow")
    for moving in under_way(status):
        out.append(f"\n{moving}", "cyan")
    for problem in daemon["problems"]:
        out.append(f"\n! {problem}", "bold red")
    return out


def _watch(target: DaemonTarget, as_json: bool, services: tuple[str, ...]) -> int:
    client = target.client
    quick.ask_status(target, as_json, services)  # a wrong name or an absent daemon is an error, not something to watch
    stream = client.stream(["status"], services, reconnect=True)
    if as_json or not on_terminal():
        from json import dumps

        for message in stream:
            if message[0] == "status":
                click.echo(dumps(message[1]) if as_json else quick.plain(message[1]))
            elif message[0] == "disconnected":
                click.echo("connection to the daemon lost; waiting for it", err=True)
        return 0
    from rich.live import Live
    from rich.text import Text

    console = _console()
    with Live(console=console, auto_refresh=False, screen=True) as live:
        for message in stream:
            if message[0] == "status":
                live.update(table(message[1], console.width), refresh=True)
            elif message[0] == "disconnected":
                live.update(Text("connection to the daemon lost; waiting for it", "bold red"), refresh=True)
    return 0


def _console() -> Any:
    from rich.console import Console

    return Console(force_terminal=colored(), no_color=not colored(), highlight=False, soft_wrap=False)
