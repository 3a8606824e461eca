"""`why`: explains the last failures of a service."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from supervisor.cli.daemon_target import DaemonTarget
from supervisor.cli.events import EventSource, FromLedger
from supervisor.cli.options import complete_services, daemon_options, pass_target
from supervisor.core.text.name_patterns import without_marks
from supervisor.display.recorded import PAGE, FromDaemon, with_clock
from supervisor.errors import NoDaemon, NoSuchService, OperationFailed, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from supervisor.core.model.documents import Event
    from supervisor.core.model.evidence_documents import Evidence
    from supervisor.core.model.instance_documents import InstanceName
    from supervisor.core.model.story_documents import IncidentStory, Why


@click.command()
@daemon_options("-f", "--file")
@click.option("--evidence", is_flag=True, help="Print all that was captured before the last hang was ended.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per instance.")
@click.argument("service", metavar="SERVICE[@HOST]", shell_complete=complete_services)
@pass_target
def why(target: DaemonTarget, service: str, evidence: bool, as_json: bool) -> None:
    """Explain the last failures of SERVICE, and what happens next.

    For each: where it was, what was seen and captured, its last output, what was decided, and how it went on.

    \b
    Examples:
      supervisor why web
      supervisor why web@b             on host b of the cluster, also when it is gone
      supervisor why web --evidence    all stacks, threads, open files, sockets"""
    from supervisor.core.history.why import tell
    from supervisor.core.history.why import why as story_of
    from supervisor.display.evidence import evidence_lines
    from supervisor.display.rollout_line import failed_rollouts
    from supervisor.display.status_row import printable

    client = target.client
    named, host = host_of(service)
    if host:
        from supervisor.cli import whole_cluster

        if not whole_cluster.is_own(client, host):
            if evidence:
                raise UsageError("evidence is kept on its host alone", f"Ask there: supervisor why {named} --evidence.")
            whole_cluster.why(client, named, host, as_json)
            return
        service = named
    source: EventSource = FromDaemon(client)
    views: list[InstanceName] = []
    removed = False
    failed: dict[str, str] = {}
    try:
        status = client.status([service])
        failed = failed_rollouts(status["supervisor"].get("rollouts", ()))
        for row in status["instances"]:
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
    shown: list[tuple[object, list[str]]] = []
    for view in views:
        recorded = with_clock(source, view["name"], PAGE)
        if not evidence:
            rollout = failed.get(view["service"], "")
            story = story_of(view, recorded, source.evidence, source.words, removed=removed, rollout=rollout)
            _add_what_is_known(story, target.file, recorded)
            shown.append((story, tell(story)))
        elif (found := _last_evidence(source, recorded)) is not None:
            shown.append((found, [f"{label}{text}" for label, text in evidence_lines(found)]))
    if not shown:
        hint = "It is captured of a process that falls silent, before it is stopped."
        raise OperationFailed(f"no evidence of {service} is recorded", hint)
    for number, (document, lines) in enumerate(shown):
        if as_json:
            from json import dumps

            click.echo(dumps(document, default=str))
        else:
            click.echo("\n" * (number > 0) + "\n".join(map(printable, lines)))


def host_of(text: str) -> tuple[str, str]:
    """`web@b` and `web@2@b` name a host; the number of an instance is none, nor is a pattern.  The host is empty where
    none is named."""
    name, _, host = text.rpartition("@")
    names_host = name and host and host == without_marks(host) and (not host.isdecimal() or "@" in name)
    return (name, host) if names_host else (text, "")


def _add_what_is_known(story: Why, path: str, recorded: Sequence[Event]) -> None:
    """To each end by an exit code, what is known of such an end of its program (docs/programs.md); where it came soon
    after a user's signal, which of its files were changed since its start."""
    exits = [i for i in story["incidents"] if i["cause"] == "exited" and isinstance(i["detail"].get("exit_code"), int)]
    if exits and (command := _command(path, story["service"])):
        _add_changed_files(exits, command, path, story["service"], recorded)
        from supervisor.programs.book import recognized

        if found := recognized(command):
            program, arguments = found
            for incident in exits:
                incident.setdefault("known", []).extend(program.meanings(incident["detail"]["exit_code"], arguments))


def _add_changed_files(
    exits: list[IncidentStory], command: list[str], path: str, service: str, recorded: Sequence[Event]
) -> None:
    exits = [incident for incident in exits if "after_signal" in incident["detail"]]
    if not exits:
        return
    from supervisor.core.text.timestamps import from_iso, local_time
    from supervisor.programs.changed_files import changed_files

    folder = _folder(path, service)
    starts = {event["incarnation"]: from_iso(event["at"]) for event in recorded if event["cause"] == "spawned"}
    for incident in exits:
        if (started := starts.get(incident["incarnation"])) is not None:
            sent = from_iso(incident["at"]) - incident["detail"]["after_signal_s"]
            incident["known"] = [
                f"{file} was changed at {local_time(at)}, after the start of this run"
                for file, at in changed_files(command, folder, started, sent)
            ]


def _folder(path: str, service: str) -> Path:
    """Where the service runs, as the file has it now."""
    from pathlib import Path

    from supervisor.config.definition import definition
    from supervisor.errors import ConfigError

    try:
        written = next((row.value for row in definition(path, service) or () if row.key == "directory"), None)
    except (ConfigError, AttributeError, TypeError, ValueError):
        written = None
    return Path(path).resolve().parent / str(written or "")


def _command(path: str, service: str) -> list[str]:
    """The command as the file has it now; empty where there is none, or the file cannot be read."""
    import shlex
    from pathlib import Path

    from supervisor.config.source.read import parse, read_text
    from supervisor.errors import ConfigError

    try:
        command = parse(read_text(Path(path)), path).get("services", {}).get(service, {}).get("command")
        if command is None:  # it is in an included file, or a parent has it
            from supervisor.config.definition import definition

            command = next((row.value for row in definition(path, service) or () if row.key == "command"), ())
        return shlex.split(command) if isinstance(command, str) else [str(word) for word in command]
    except (ConfigError, AttributeError, TypeError, ValueError):
        return []


def _in_the_ledger(source: EventSource, service: str) -> list[InstanceName]:
    """The instances of the service of which events are kept."""
    known = {event["instance"]: event["service"] for event in source.events([service], limit=PAGE)}
    return [{"name": name, "service": of} for name, of in known.items()]


def _last_evidence(source: EventSource, recorded: Sequence[Event]) -> Evidence | None:
    """The newest evidence of an instance; None where there is none."""
    number = next((e["detail"]["evidence_id"] for e in reversed(recorded) if "evidence_id" in e["detail"]), None)
    return None if number is None else source.evidence(number)
