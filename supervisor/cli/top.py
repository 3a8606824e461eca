"""`top` and `web`: the dashboard of a running daemon, and the address of its web view."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from supervisor.cli.daemon_target import DaemonTarget, on_terminal
from supervisor.cli.options import daemon_options, pass_target
from supervisor.errors import NoDaemon, OperationFailed

if TYPE_CHECKING:
    from supervisor.core.model.spec import SupervisorSpec

_ON = '[supervisor.http]\nlisten = "{}"\nweb = true\n'


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


@click.command()
@daemon_options("-f", "--file")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--token", is_flag=True, help="Print the token that orders on the pages need.")
@pass_target
def web(target: DaemonTarget, as_json: bool, token: bool) -> None:
    """Print the address of the web view, and whether it is on.

    The pages are for browsers on this machine; docs/web.md tells how to read them from elsewhere.  They take orders
    only with `web_actions = true` in [supervisor.http], and with a token; each start of the daemon makes a new one.

    Example: supervisor web"""
    try:
        target.client.health()
        runs = True
    except NoDaemon:
        runs = False
    settings = _settings(target, runs)
    if token:
        click.echo(_token(target, runs, settings))
        return
    on = runs and settings is not None and settings.web and settings.listen is not None
    url = _url(settings) if settings is not None and settings.web else None
    if as_json:
        from json import dumps

        actions = settings is not None and settings.web_actions
        click.echo(dumps({"on": on, "url": url, "daemon": runs, "actions": actions}))
    elif url is None:
        listen = _listen(settings) if settings is not None and settings.listen is not None else "127.0.0.1:9180"
        click.echo("The web view is off. To switch it on, write this in services.toml, and restart the daemon:\n")
        click.echo(_ON.format(listen), nl=False)
    elif on:
        click.echo(f"{url}  ({'on, takes orders: --token' if settings is not None and settings.web_actions else 'on'})")
    else:
        click.echo(f"{url}  (off: no daemon runs; `supervisor up` starts it)")


def _settings(target: DaemonTarget, runs: bool) -> SupervisorSpec | None:
    """The settings of the daemon that runs, else those of the file.  ConfigError where the file is refused."""
    if runs:
        plan = target.plan_in_force
        return None if plan is None else plan.supervisor
    from supervisor.config.load import load

    return load(target.file).supervisor


def _token(target: DaemonTarget, runs: bool, settings: SupervisorSpec | None) -> str:
    from pathlib import Path

    from supervisor.adapters.linux.directories import read_file

    if not runs:
        raise NoDaemon("no daemon runs, so there is no token", "`supervisor up` starts it.")
    if settings is None or not settings.web_actions:
        raise OperationFailed(
            "the daemon takes no orders on its pages",
            "Write web_actions = true in [supervisor.http], and restart the daemon.",
        )
    folder = Path(target.socket).parent
    try:
        return read_file(str(folder), "web.token").strip()
    except OSError as error:
        raise OperationFailed(f"{folder}/web.token cannot be read: {error.strerror}") from None


def _url(settings: SupervisorSpec) -> str:
    return f"{'https' if settings.certificate else 'http'}://{_listen(settings)}/"


def _listen(settings: SupervisorSpec) -> str:
    host, port = settings.listen or ("127.0.0.1", 9180)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
