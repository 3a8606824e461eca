"""`start`, `stop`, `restart`, `reset`, `signal`: send the command, then wait until it is done or has failed."""

from __future__ import annotations

import click

from supervisor.cli.daemon_target import DaemonTarget
from supervisor.cli.options import as_duration, daemon_options, pass_target, services_argument
from supervisor.cli.wait_output import ask, nothing_to
from supervisor.errors import OperationFailed


def _acting(verb: str, summary: str, example: str) -> click.Command:
    @click.command(verb, help=f"{summary}\n\nWithout SERVICE, all services.\n\nExample: supervisor {example}")
    @daemon_options("-f", "--file")
    @click.option("--no-wait", is_flag=True, help="Return at once; `supervisor status` shows the result.")
    @click.option("--timeout", callback=as_duration, metavar="TIME", help="Wait at most this long.  [no limit]")
    @services_argument
    @pass_target
    def command(target: DaemonTarget, no_wait: bool, timeout: float | None, services: tuple[str, ...]) -> None:
        if no_wait:
            names = target.client.act(verb, services)
            click.echo("\n".join(names) or nothing_to(verb))
        else:
            ask(target.client, verb, services, timeout)

    return command


start = _acting("start", "Start services and what they depend on; return when ready.", "start web")
stop = _acting("stop", "Stop services, dependants first; return when all have ended.", "stop web worker@2")
restart = _acting("restart", "Stop services and start them again; return when ready.", "restart --timeout 1m web")
reset = _acting("reset", "Close breakers and clear backoff, so that services start now.", "reset web")


@click.command()
@daemon_options("-f", "--file")
@click.option(
    "-s",
    "--signal",
    "number",
    metavar="SIGNAL",
    help="HUP, SIGHUP or 1; sent even if it ends the process.  [default: each service's reload_signal]",
)
@services_argument
@pass_target
def signal(target: DaemonTarget, number: str | None, services: tuple[str, ...]) -> None:
    """Send a signal to main processes; by default their reload_signal.

    Without -s, nothing is sent where a process does not handle its reload_signal and would be ended or stopped by it.

    Example: supervisor signal -s USR1 web"""
    names = target.client.act("signal", services, number)
    for name in names:
        click.echo(f"{name}  {number or 'reload signal'} sent")
    if not names:
        raise OperationFailed("no signal sent: none of them is running")
