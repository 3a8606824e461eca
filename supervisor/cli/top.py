"""`top`: opens the dashboard of a running daemon."""

from __future__ import annotations

import click

from supervisor.cli.daemon_target import DaemonTarget, on_terminal
from supervisor.cli.options import daemon_options, pass_target


@click.command()
@daemon_options("-f", "--file")
@pass_target
def top(target: DaemonTarget) -> None:
    """Open the dashboard of a running daemon; leaving it stops nothing.

    Example: supervisor top"""
    client = target.client
    client.health()
    if not on_terminal():
        raise click.UsageError(
            "`top` needs a terminal with a cursor (not TERM=dumb); elsewhere use `supervisor status --watch`."
        )
    from supervisor.dashboard.app import run as dashboard

    dashboard(client)
