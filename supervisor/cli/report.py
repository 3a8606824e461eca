"""`report`: prints availability and other figures."""

from __future__ import annotations

import gc
import time
from typing import TYPE_CHECKING

import click

from supervisor.cli.daemon_target import DaemonTarget
from supervisor.cli.events import BesideDaemon, EventSource, FromLedger
from supervisor.cli.options import daemon_options, pass_target, since_option
from supervisor.display.recorded import PAGE, everything
from supervisor.errors import NoDaemon, OperationFailed, UsageError

if TYPE_CHECKING:
    from supervisor.core.model.documents import Event
    from supervisor.core.model.instance_documents import Instance
    from supervisor.core.model.story_documents import Figures, Report

DAY = 86_400.0
"""Seconds before the period from which events are read as well: they give the state at its begin."""

DEFAULT_FILE = "report.html"
TIMES = ("SERVICE", "AVAILABLE", "FAILURES", "RECOVERED", "RESTARTS", "FALSE", "MTBF", "MTTR", "DETECTED")
RATIOS = ("SERVICE", "R", "C", "L", "F", "RECOVERY")
LONGEST_NAME = 32
"""Characters of a service's name in the tables, so that they fit 100 columns."""
LEGEND = """\
AVAILABLE time ready / time wanted up · FALSE false suspicions · MTBF mean time between failures
MTTR mean time to repair · DETECTED longest time until a failure was detected
R ready / wanted · C running the configuration in force / running · L load per instance
F failures / instances · RECOVERY recovered without user action / failures
"""


@click.command()
@daemon_options("-f", "--file")
@since_option
@click.option("--json", "as_json", is_flag=True, help="Print all figures as one JSON object.")
@click.option(
    "--html",
    "html",
    metavar="[FILE]",
    is_flag=False,
    flag_value=DEFAULT_FILE,
    help=f"Write a page with pictures instead; - is standard output.  [{DEFAULT_FILE}]",
)
@pass_target
def report(target: DaemonTarget, since: float | None, as_json: bool, html: str | None) -> None:
    """Print availability, MTBF, MTTR and detection times.

    Also failures by cause, false suspicions, and the ratios R, C, L, F and recovery.

    \b
    Examples:
      supervisor report --since 30d
      supervisor report --since 30d --html month.html    a page to read, send or print"""
    if as_json and html is not None:
        raise UsageError("--json and --html cannot both be given", "Give one of them.")
    name, figures, events, rows = _figures(target, since)
    if as_json:
        from json import dumps

        click.echo(dumps(figures))
        return
    if html is not None:
        _write_page(html, name, figures, events, rows)
        return
    click.echo(_table(figures), nl=False)


def summary(target: DaemonTarget) -> str:
    """The tables for all that is recorded."""
    return _table(_figures(target, None)[1])


def _figures(target: DaemonTarget, since: float | None) -> tuple[str, Report, list[Event], list[Instance]]:
    """The daemon's name, the figures since then, and what they were made of: events, and rows where a daemon runs."""
    from supervisor.core.history.report import report as summed_up

    rows: list[Instance] = []
    name = ""
    source: BesideDaemon | FromLedger
    try:
        source = BesideDaemon(target)
        status = target.client.status()
        rows, name = status["instances"], status["supervisor"]["name"]
    except NoDaemon as why:
        source = FromLedger(target, why)
    source.seconds = True
    until = time.time()
    gc.disable()  # all events are kept to the end, so that a search for garbage among them finds none
    try:
        events = list(everything(source, (), None if since is None else since - DAY - _set_forwards(source)))
        figures = summed_up(events, since, until, rows)
    finally:
        gc.enable()
    return name, figures, events, rows


def _set_forwards(source: EventSource) -> float:
    """Seconds by which the clock was set forwards in all: by so much the times of older events are too early."""
    from supervisor.core.history.straightened import stepped
    from supervisor.core.model.daemon_records import DAEMON

    return sum(max(0.0, stepped(event)) for event in source.events([DAEMON], limit=PAGE))


def _write_page(file: str, name: str, figures: Report, events: list[Event], rows: list[Instance]) -> None:
    from supervisor.core.history.strips import strips
    from supervisor.core.text.timestamps import from_iso
    from supervisor.display.report_html import COLUMNS, page

    cells = strips(events, from_iso(figures["since"]), from_iso(figures["until"]), rows, COLUMNS)
    text = page(name, figures, cells, rows)
    if file == "-":
        click.echo(text, nl=False)
        return
    try:
        with open(file, "w", encoding="utf-8") as out:
            out.write(text)
    except OSError as error:
        raise OperationFailed(
            f"cannot write {file}: {error.strerror}", "Name another file, or - for standard output."
        ) from error
    click.echo(f"wrote {file}", err=True)


def _table(figures: Report) -> str:
    from supervisor.core.text.causes import phrase
    from supervisor.core.text.timestamps import local_time
    from supervisor.core.text.units import shorten, span
    from supervisor.display.status_row import aligned

    accounts = [(account["service"], account) for account in figures["services"]] + [("all", figures["total"])]
    rows = [(shorten(name, LONGEST_NAME), account) for name, account in accounts]
    head = f"{local_time(figures['since'])} to {local_time(figures['until'])} ({span(figures['seconds'])})\n\n"
    times = _last_bold(aligned([TIMES, *((name, *_times(account)) for name, account in rows)], TIMES[1:]))
    ratios = _last_bold(aligned([RATIOS, *((name, *_ratios(account)) for name, account in rows)], RATIOS[1:]))
    total = figures["total"]
    told = ""
    for what, causes in (("failures", total["failures_by_cause"]), ("restarts", total["restarts_by_cause"])):
        if causes:
            words = (
                (count, "trial after a cooldown" if cause == "breaker-trial" else phrase(cause))
                for cause, count in causes.items()
            )
            told += f"{what}: {', '.join(f'{count} × {word}' for count, word in words)}\n"
    return head + times + (f"\n{told}" if told else "") + f"\n{ratios}\n{LEGEND}"


def _last_bold(table: str) -> str:
    *body, last = table.splitlines(keepends=True)
    return "".join(body) + click.style(last, bold=True)


def _times(account: Figures) -> tuple[str, ...]:
    from supervisor.core.text.units import percent
    from supervisor.display.numbers import duration

    return (
        percent(account["availability"]),
        str(account["failures"]),
        str(account["recovered"]),
        str(account["restarts"]),
        str(account["false_suspicions"]),
        duration(account["mtbf_s"]),
        duration(account["mttr_s"]),
        duration(account["detection_max_s"]),
    )


def _ratios(account: Figures) -> tuple[str, ...]:
    return (
        _ratio(account["replication"]),
        _ratio(account["consistency"]),
        _ratio(account["load"]),
        _ratio(account["fault_ratio"]),
        _ratio(account["recovery_ratio"]),
    )


def _ratio(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
