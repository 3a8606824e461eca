"""`events`, and the sources of history for all commands: the daemon or, where none runs, its ledger."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import click

from supervisor.cli.daemon_target import DaemonTarget
from supervisor.cli.options import (
    WholeNumber,
    daemon_options,
    pass_target,
    refuse_file,
    services_argument,
    since_option,
)
from supervisor.client import Client
from supervisor.core.text.name_patterns import Known, recorded_names
from supervisor.display.recorded import LAST_LINES, LINES, PAGE, FromDaemon, everything
from supervisor.errors import ConfigError, NoDaemon, NoSuchService, OperationFailed

if TYPE_CHECKING:
    from supervisor.adapters.ledger.query import LedgerReader
    from supervisor.core.model.documents import Event
    from supervisor.core.model.evidence_documents import Evidence


class EventSource(Protocol):
    """A source of events, evidence and output."""

    def events(
        self, services: Sequence[str], *, since: float | None = None, after: int | None = None, limit: int = LINES
    ) -> list[Event]: ...

    def evidence(self, event_id: int) -> Evidence | None: ...

    def words(self, instance: str, since: float | None, until: float | None) -> list[str]:
        """The last lines of its output from one time to another (seconds since the epoch), oldest first."""
        ...


class FromLedger:
    """Reads the files of a daemon that is not running; raises `absent` where there are none."""

    seconds = False
    """See EventQuery."""

    def __init__(self, target: DaemonTarget, absent: NoDaemon) -> None:
        self._target = target
        self._ledger = target.offline(absent)
        self._logs = f"{target.state_dir}/log"

    def events(
        self, services: Sequence[str], *, since: float | None = None, after: int | None = None, limit: int = LINES
    ) -> list[Event]:
        from supervisor.adapters.ledger.query import EventQuery

        names = recorded_names(services, self._known) if services else []
        if services and not names:
            raise NoSuchService(f"nothing is recorded about {', '.join(services)}")
        query = EventQuery(services=tuple(names), since=since, after=after, limit=limit, seconds=self.seconds)
        return self._ledger.events(query)

    @cached_property
    def _known(self) -> list[Known]:
        """The instances of which the ledger keeps the state, with the groups of the last plan."""
        plan = self._target.plan_in_force
        groups = {spec.name: spec.group_name or "" for spec in plan.services} if plan is not None else {}
        services = {name: name.partition("@")[0] for name in self._ledger.snapshots()}
        return [Known(name, service, groups.get(service, "")) for name, service in services.items()]

    def evidence(self, event_id: int) -> Evidence | None:
        return self._ledger.evidence(event_id)

    def words(self, instance: str, since: float | None, until: float | None) -> list[str]:
        from supervisor.adapters.logs.reader import last_words

        return last_words(self._logs, instance, since, until, LAST_LINES)


class BesideDaemon(FromDaemon):
    """Reads from a running daemon, but all events of a period from the file of its ledger, where that can be read: a
    hundred thousand would hold the daemon for seconds."""

    seconds = False
    """See EventQuery: of those from the file."""

    def __init__(self, target: DaemonTarget) -> None:
        super().__init__(target.client)
        self._ledger = self._readable(target)

    def events(
        self, services: Sequence[str], *, since: float | None = None, after: int | None = None, limit: int = LINES
    ) -> list[Event]:
        if not services and self._ledger is not None:
            from supervisor.adapters.ledger.query import EventQuery

            try:
                return self._ledger.events(EventQuery(since=since, after=after, limit=limit, seconds=self.seconds))
            except OperationFailed:  # it is damaged: a daemon that finds that out begins another one
                self._ledger = None
        return super().events(services, since=since, after=after, limit=limit)

    def _readable(self, target: DaemonTarget) -> LedgerReader | None:
        """The ledger's file; None where it cannot be read, or does not hold the newest event of this daemon: it belongs
        to another one, or its disk takes nothing at present."""
        from supervisor.adapters.ledger.query import EventQuery, read_only

        newest = super().events((), limit=1)
        try:
            path = f"{target.state_dir}/ledger.db"
            ledger = read_only(path) if newest and os.access(path, os.R_OK) else None
            if ledger is not None and newest[0] in ledger.events(EventQuery(after=newest[0]["id"] - 1, limit=1)):
                return ledger
        except (ConfigError, OperationFailed):
            pass
        return None


@click.command()
@daemon_options()
@click.option("-f", "--follow", is_flag=True, help="Keep printing new events until interrupted.")
@click.option(
    "-n", "--lines", type=WholeNumber(0, PAGE), metavar="N", help="The last N events.  [100; all with --since]"
)
@since_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@click.option("--cluster", is_flag=True, help="Of all hosts, each line with its host; of others the last ones.")
@services_argument
@pass_target
def events(
    target: DaemonTarget,
    follow: bool,
    lines: int | None,
    since: float | None,
    as_json: bool,
    cluster: bool,
    services: tuple[str, ...],
) -> None:
    """Print all state changes with their causes, from the ledger.

    Example: supervisor events --since 1h web"""
    if follow:
        refuse_file(services)
    show = _as_json if as_json else event_line
    if cluster:
        from supervisor.cli import whole_cluster

        most = LINES if lines is None and since is None else lines
        for found in whole_cluster.events(target.client, follow, most, since, services):
            click.echo(show(found) if as_json else f"{found['host']:<12} {show(found)}")
        return
    source: EventSource = FromDaemon(target.client)
    try:
        for name in services:
            require_known(target.client, name)  # an unknown name is an error, not an empty answer
        last = source.events((), limit=1)
    except NoDaemon as why:
        if follow:
            raise
        source, last = FromLedger(target, why), []
    if lines is None and since is not None:
        listed: Iterator[Event] = everything(source, services, since)
    else:
        count = LINES if lines is None else lines
        listed = iter(source.events(services, since=since, limit=count) if count else ())
    after = last[-1]["id"] if last else 0
    for event in listed:
        after = max(after, event["id"])
        click.echo(show(event))
    if not follow:
        return
    for message in target.client.stream(["events"], services, after=after, reconnect=True):
        if message[0] == "event":
            click.echo(show(message[1]))
        elif message[0] == "disconnected":
            click.echo("connection to the daemon lost; waiting for it", err=True)


def require_known(client: Client, name: str) -> None:
    """NoSuchService where neither the daemon nor its ledger knows the name.  The ledger knows what was removed, too."""
    try:
        client.status([name])
    except NoSuchService:
        if not client.events([name], limit=1):
            raise


def _as_json(event: Event) -> str:
    from json import dumps

    return dumps(event)


def event_line(event: Event) -> str:
    """One line: local time, instance and run, change of state, cause."""
    from supervisor.core.text.causes import phrase
    from supervisor.core.text.timestamps import local_time
    from supervisor.display.state_style import COLORS, STATES, UNKNOWN
    from supervisor.display.status_row import printable

    when = local_time(event["at"])
    before, state = event["from"], event["to"]
    change = state if before == state else f"{before} → {state}"
    run = f" run {event['incarnation']}" if event["incarnation"] else ""  # 0: nothing has run yet
    who = event["instance"] + run
    tone = STATES.get(state, UNKNOWN).tone
    text = click.style(f"{change:<20}", fg=COLORS.get(tone), bold=tone == "alarm")
    return f"{click.style(when, dim=True)}  {who:<18}  {text}  {printable(phrase(event['cause'], event['detail']))}"
