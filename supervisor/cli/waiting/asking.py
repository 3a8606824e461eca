"""Sends a start, stop, restart or reset, and waits for it.

What waits and prints is imported after the order is sent: while this process reads modules, the daemon carries it out.
"""

from __future__ import annotations

from collections.abc import Sequence

from supervisor.client import Client


def ask(client: Client, verb: str, services: Sequence[str], timeout: float | None = None) -> None:
    """Send the command, wait and print.  OperationFailed names what was not done within `timeout` seconds."""
    before: dict[str, int] = {}
    if verb != "stop":  # a stop does not depend on the run
        before = {row["name"]: row["incarnation"] for row in client.status()["instances"]}
    names = client.act(verb, services)
    from supervisor.cli.waiting.output import finish, nothing_to

    if not names:
        print(nothing_to(verb))  # noqa: T201
    finish(client, verb, names, before, timeout)
