"""`run`: the daemon in the foreground."""

from __future__ import annotations

import sys

import click

from supervisor.cli.daemon_target import DaemonTarget
from supervisor.cli.options import daemon_options, pass_target, profile_option
from supervisor.launch import DEFAULT_LOG_FORMAT, become_daemon


@click.command()
@daemon_options("-f", "--file")
@profile_option
@click.option(
    "--log-format",
    type=click.Choice(["human", "json"]),
    default=DEFAULT_LOG_FORMAT,
    show_default=True,
    help="Format of the log on stderr.",
)
@pass_target
def run(target: DaemonTarget, log_format: str) -> None:
    """Run the daemon in the foreground, as systemd or a container needs.

    Example: supervisor run -f /etc/shop/services.toml --log-format json"""
    sys.stdout.flush()
    become_daemon(target.file, log_format, target.profiles)
