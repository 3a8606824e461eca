"""`report`: prints availability and other figures."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from supervisor.cli.daemon_target import DaemonTarget
from supervisor.cli.events import EventSource, FromLedger, everything
from supervisor.cli.options import daemon_options, pass_target, since_option
from supervisor.display.recorded import FromDaemon
from supervisor.errors import NoDaemon

if TYPE_CHECKING:
    from supervisor.core.model.documents import Figures, Instance, Report

DAY = 86_400.0
"""Seconds before the period from which events are read as well: they give the state at its begin."""

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
@pass_target
def report(target: DaemonTarget, since: float | None, as_json: bool) -> None:
    """Print availability, MTBF, MTTR and detection times.

    Also failures by cause, false suspicions, and the ratios R, C, L, F and recovery.

    Example: supervisor report --since 30d"""
    from supervisor.core.history.report import report as summed_up

    source: EventSource = FromDaemon(target.client)
    rows: list[Instance] = []
    try:
        rows = target.client.status()["instances"]
    except NoDaemon as why:
        source = FromLedger(target, why)
    until = time.time()
    events = list(everything(source, (), None if since is None else since - DAY))
    figures = summed_up(events, since, until, rows)
    if as_json:
        from json import dumps

        click.echo(dumps(figures))
        return
    click.echo(_table(figures), nl=False)


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
    causes = figures["total"]["failures_by_cause"]
    told = ", ".join(f"{count} × {phrase(cause)}" for cause, count in causes.items())
    return head + times + (f"\nfailures: {told}\n" if told else "") + f"\n{ratios}\n{LEGEND}"


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
