"""`why`: explains the last failures of a service."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from supervisor.cli.daemon_target import DaemonTarget
from supervisor.cli.events import PAGE, EventSource, FromDaemon, FromLedger
from supervisor.cli.options import complete_services, daemon_options, pass_target
from supervisor.errors import NoDaemon, NoSuchService

if TYPE_CHECKING:
    from supervisor.core.model.documents import InstanceName


@click.command()
@daemon_options("-f", "--file")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per instance.")
@click.argument("service", shell_complete=complete_services)
@pass_target
def why(target: DaemonTarget, service: str, as_json: bool) -> None:
    """Explain the last failures of SERVICE, and what happens next.

    For each: what was seen and captured, its last output, what was decided, and how it went on.

    Example: supervisor why web"""
    from supervisor.core.history.why import tell
    from supervisor.core.history.why import why as story_of
    from supervisor.display.status_row import printable

    client = target.client
    source: EventSource = FromDaemon(client)
    views: list[InstanceName] = []
    removed = False
    try:
        for row in client.status([service])["instances"]:
            views.append(client.instance(row["name"]))
    except NoSuchService as unknown:
        views, removed = _in_the_ledger(source, service), True
        if not views:
            raise unknown from None
    except NoDaemon as absent:
        source = FromLedger(target, absent)
        views = _in_the_ledger(source, service)
        if not views:
            raise NoSuchService(f"nothing is recorded about {service!r}") from None
    for number, view in enumerate(views):
        story = story_of(
            view, source.events([view["name"]], limit=PAGE), source.evidence, source.words, removed=removed
        )
        if as_json:
            from json import dumps

            click.echo(dumps(story, default=str))
        else:
            click.echo("\n" * (number > 0) + "\n".join(map(printable, tell(story))))


def _in_the_ledger(source: EventSource, service: str) -> list[InstanceName]:
    """The instances of the service of which events are kept."""
    known = {event["instance"]: event["service"] for event in source.events([service], limit=PAGE)}
    return [{"name": name, "service": of} for name, of in known.items()]
