"""`upgrade`: replaces the running daemon by another version while services keep running."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from supervisor.cli.daemon_target import DaemonTarget
from supervisor.cli.options import daemon_options, pass_target
from supervisor.client import Client
from supervisor.errors import NoDaemon, OperationFailed

if TYPE_CHECKING:
    from supervisor.core.model.documents import Supervisor

ASK_AGAIN = 0.01
"""Seconds between two attempts to reach the new version."""
TAKES_OVER_WITHIN = 60.0


@click.command()
@daemon_options("-f", "--file")
@click.option(
    "--python",
    metavar="PATH",
    default=sys.executable,
    help="The interpreter of the new version.  [default: the one that runs this command]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the answer of the API.")
@pass_target
def upgrade(target: DaemonTarget, python: str, as_json: bool) -> None:
    """Replace the running daemon by this version, in place.

    Services keep running; no output and no connection is lost.

    Example: pip install --upgrade phi-supervisor && supervisor upgrade"""
    client = target.client
    before = client.status()["supervisor"]
    answer = client.upgrade(python)
    after = _successor(client, before)
    if not after["upgraded_from"]:
        raise OperationFailed(
            f"version {answer['to']} could not take over; {answer['from']} keeps running",
            "The reason is in the log of the daemon: `journalctl` or its stderr.",
        )
    if as_json:
        from json import dumps

        click.echo(dumps(answer))
        return
    took = "same version" if answer["from"] == answer["to"] else f"{answer['from']} → {answer['to']}"
    click.echo(f"upgraded: {took}, pid {after['pid']}, {after['ready']} of {after['instances']} ready")


def _successor(client: Client, before: Supervisor) -> Supervisor:
    """The status of the daemon once it is the new version."""
    give_up = time.monotonic() + TAKES_OVER_WITHIN
    while time.monotonic() < give_up:
        try:
            now = client.status()["supervisor"]
            if now["started_at"] != before["started_at"]:
                return now
        except (NoDaemon, OperationFailed):  # its connection ended with the old version
            pass
        time.sleep(ASK_AGAIN)
    raise OperationFailed(
        f"the new version did not answer within {TAKES_OVER_WITHIN:g} s", "See the log of the daemon."
    )
