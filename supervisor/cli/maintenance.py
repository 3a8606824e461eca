"""`maintenance`: the group of `on` and `off`."""

from __future__ import annotations

import click

from supervisor.cli.daemon_target import DaemonTarget
from supervisor.cli.options import CommandGroup, as_duration, complete_services, daemon_options, pass_target
from supervisor.errors import UsageError

_services = click.argument("services", nargs=-1, required=True, metavar="SERVICE…", shell_complete=complete_services)


@click.group(cls=CommandGroup)
def maintenance() -> None:
    """Leave services alone: only an order restarts or ends them.

    Example: supervisor maintenance on db --for 30m --reason "new disk\""""


@maintenance.command()
@daemon_options("-f", "--file")
@click.option("--for", "lasts", callback=as_duration, metavar="TIME", help="End it by itself after 10s, 5m, 2h or 1d.")
@click.option("--reason", default="", metavar="TEXT", help="Why; shown with its status.")
@_services
@pass_target
def on(target: DaemonTarget, lasts: float | None, reason: str, services: tuple[str, ...]) -> None:
    """Leave services alone until `off`, or until --for has passed.

    What ends during that time stays ended; start, stop and restart work as usual.  The maintenance outlasts restarts
    and upgrades of the daemon, and restarts of the host.

    Example: supervisor maintenance on db --for 30m --reason "new disk\""""
    if lasts is not None and lasts <= 0.0:
        raise UsageError("--for must be longer than 0s")
    for name in target.client.maintain(True, services, lasts, reason.strip()):
        click.echo(f"{name}  in maintenance")


@maintenance.command()
@daemon_options("-f", "--file")
@_services
@pass_target
def off(target: DaemonTarget, services: tuple[str, ...]) -> None:
    """Supervise services again; what failed during maintenance is restarted if its policy says so.

    Example: supervisor maintenance off db"""
    for name in target.client.maintain(False, services):
        click.echo(f"{name}  supervised")
