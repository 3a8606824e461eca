"""`scale`: sets other numbers of replicas, and waits until the new instances are ready and the others have ended."""

from __future__ import annotations

import click

from supervisor.cli.daemon_target import DaemonTarget
from supervisor.cli.options import as_duration, complete_services, daemon_options, pass_target
from supervisor.errors import UsageError


@click.command()
@daemon_options("-f", "--file")
@click.option("--no-wait", is_flag=True, help="Return at once; `supervisor status` shows the result.")
@click.option("--timeout", callback=as_duration, metavar="TIME", help="Wait at most this long.  [no limit]")
@click.argument("services", nargs=-1, required=True, metavar="SERVICE=N…", shell_complete=complete_services)
@pass_target
def scale(target: DaemonTarget, no_wait: bool, timeout: float | None, services: tuple[str, ...]) -> None:
    """Change how many replicas run; return when they do.

    The number holds until the next reload, also across a crash or an upgrade of the daemon; `status` shows it beside
    the number of the file.

    Example: supervisor scale web=4 worker=2"""
    from supervisor.cli.waiting.output import finish

    if len(services) == 2 and services[1].isdigit() and "=" not in services[0]:  # as `pm2 scale web 3`
        raise UsageError(f"the number follows =: supervisor scale {services[0]}={services[1]}")
    answer = target.client.scale(services)
    if no_wait:
        lines = [f"+ {name}" for name in answer["started"]] + [f"- {name}" for name in answer["stopped"]]
        click.echo("\n".join(lines) or "no instance is started or stopped")
        return
    if not answer["started"] and not answer["stopped"]:
        click.echo("no instance is started or stopped")
    finish(target.client, "start", answer["started"], {}, timeout)
    finish(target.client, "stop", answer["stopped"], {}, timeout)
