"""`logs`: prints the output of services, interleaved by time.

With --follow the stream only announces new output; the lines are fetched from the cursor where reading stopped, so that
no line is lost or shown twice when the stream is interrupted.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import click

from supervisor.cli.daemon_target import DaemonTarget
from supervisor.cli.options import (
    WholeNumber,
    colored,
    daemon_options,
    pass_target,
    refuse_file,
    services_argument,
    since_option,
)
from supervisor.client import Client
from supervisor.core.text.name_patterns import Known, matching
from supervisor.errors import NoDaemon, NoSuchService, OperationFailed

if TYPE_CHECKING:
    from supervisor.core.model.log_documents import Logs

LINES, LINES_TO_FOLLOW = 100, 10
PAGE = 5000
MOST_EVENTS = 1000
_COLORS = (
    "cyan",
    "yellow",
    "green",
    "magenta",
    "blue",
    "bright_cyan",
    "bright_yellow",
    "bright_green",
    "bright_magenta",
)
_UNSAFE = re.compile(r"\x1b(?!\[[0-9;]*m)|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f]")
"""Control characters that a terminal would act on, except tabs and colours."""


@dataclass(slots=True)
class Line:
    instance: str
    at: float | None
    text: str
    stream: str | None = None


def _as_pattern(_ctx: click.Context, _param: click.Parameter, value: str | None) -> re.Pattern[str] | None:
    try:
        return None if value is None else re.compile(value)
    except re.error as error:
        raise click.BadParameter(f"{value!r} is not a regular expression: {error}.") from None


@click.command()
@daemon_options()
@click.option("-f", "--follow", is_flag=True, help="Keep printing new lines until interrupted.")
@click.option(
    "-n",
    "--lines",
    "--tail",
    "lines",
    type=WholeNumber(0),
    metavar="N",
    help="The last N lines of each instance.  [100; 10 with --follow; all with --since]",
)
@since_option
@click.option("--grep", callback=_as_pattern, metavar="RE", help="Only lines that match this regular expression.")
@click.option(
    "--stream",
    "only",
    type=click.Choice(["stdout", "stderr"]),
    help="Only this one, of services with a log of its own for stderr.  [both]",
)
@click.option(
    "--no-prefix",
    "--no-log-prefix",
    "no_prefix",
    is_flag=True,
    help="Do not print the name of the instance before each line.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line: instance, at, text, stream.")
@services_argument
@pass_target
def logs(
    target: DaemonTarget,
    follow: bool,
    lines: int | None,
    since: float | None,
    grep: re.Pattern[str] | None,
    only: str | None,
    no_prefix: bool,
    as_json: bool,
    services: tuple[str, ...],
) -> None:
    """Print the output of services, interleaved by time.

    Finds the output of removed services, too, and works where no daemon runs.

    Example: supervisor logs -f --grep ERROR web"""
    if follow:
        refuse_file(services)
    client = target.client
    source: LogSource = client
    try:
        service_of = {row["name"]: row["service"] for row in client.status(services)["instances"]}
    except NoSuchService as unknown:
        service_of = _removed(client, services, unknown)
    except NoDaemon as absent:
        if follow:
            raise
        source = LogFiles(target, absent)
        service_of = source.instances(services)
    names = list(service_of)
    wanted = lines if lines is not None else None if since is not None else LINES_TO_FOLLOW if follow else LINES
    stream = client.stream(["logs"], services, reconnect=True) if follow else None
    cursors: dict[str, str] = {}
    found: list[Line] = []
    for name in names:
        before, cursors[name] = _newest(source, name, wanted, since, grep, only)
        found += before
    show = _as_json if as_json else _painter(service_of, grep, no_prefix)
    for line in sorted(_dated(found), key=lambda line: line.at or 0.0):
        click.echo(show(line))
    if stream is None:
        return
    for message in stream:
        due = [message[1]["instance"]] if message[0] == "log" else names if message[0] == "connected" else []
        for name in due:
            for line, cursor in _after(client, name, cursors.get(name, ""), only):
                cursors[name] = cursor
                if grep is None or grep.search(line.text):
                    click.echo(show(line))
        if message[0] == "disconnected":
            click.echo("connection to the daemon lost; waiting for it", err=True)


def _removed(client: Client, services: tuple[str, ...], unknown: NoSuchService) -> dict[str, str]:
    """The service of each instance that these names mean, where some are no longer configured; `unknown` where the
    ledger does not know one either."""
    found: dict[str, str] = {}
    for name in services:
        try:
            found |= {row["name"]: row["service"] for row in client.status([name])["instances"]}
        except NoSuchService:
            told = {event["instance"]: event["service"] for event in client.events([name], limit=MOST_EVENTS)}
            if not told:
                raise unknown from None
            found |= told
    return found


class LogSource(Protocol):
    """A source of output: the daemon, or its files."""

    def logs(
        self,
        name: str,
        *,
        lines: int | None = None,
        since: float | None = None,
        before: str | None = None,
        after: str | None = None,
        stream: str | None = None,
    ) -> Logs: ...


class LogFiles:
    """Reads the files of a daemon that is not running; raises `absent` where there are none."""

    def __init__(self, target: DaemonTarget, absent: NoDaemon) -> None:
        self._directory = target.offline_logs(absent)

    def instances(self, services: tuple[str, ...]) -> dict[str, str]:
        """The service of each instance that has output, of these services and instances or of all.  NoSuchService."""
        from supervisor.adapters.logs.reader import instances

        known = [Known(name, name.partition("@")[0]) for name in instances(self._directory)]
        meant: set[str] = set()
        for pattern in services:
            found = matching(pattern, known)
            if not found:
                names = ", ".join(one.instance for one in known)
                raise NoSuchService(f"there is no output of {pattern!r}", f"Known: {names}" if names else "")
            meant.update(found)
        return {one.instance: one.service for one in known if not services or one.instance in meant}

    def logs(
        self,
        name: str,
        *,
        lines: int | None = None,
        since: float | None = None,
        before: str | None = None,
        after: str | None = None,
        stream: str | None = None,
    ) -> Logs:
        from supervisor.adapters.logs.reader import read
        from supervisor.log_pages import with_lines

        def page(**query: Any) -> Logs:
            return read(self._directory, name, **query).page(name)

        try:
            return with_lines(page, lines=lines, since=since, before=before, after=after, stream=stream)
        except OSError as error:
            raise OperationFailed(f"the log of {name} cannot be read: {error.strerror}") from None


def _newest(
    client: LogSource,
    name: str,
    maximum: int | None,
    since: float | None,
    grep: re.Pattern[str] | None,
    only: str | None,
) -> tuple[list[Line], str]:
    """The last lines that match, oldest first, and the cursor behind the very last line."""
    page = client.logs(name, lines=min(max(maximum or 1, 1), PAGE), stream=only)
    end = page["last"]
    if maximum == 0:
        return [], end
    found: list[Line] = []
    while True:
        taken = [line for line in _lines(page) if grep is None or grep.search(line.text)]
        found = [line for line in taken if since is None or line.at is None or line.at >= since] + found
        too_old = since is not None and any(at is not None and at < since for at in (e["at"] for e in page["lines"]))
        if (maximum is not None and len(found) >= maximum) or page["at_end"] or not page["lines"] or too_old:
            return (found if maximum is None else found[-maximum:]), end
        page = client.logs(name, before=page["first"], lines=PAGE, stream=only)


def _after(client: Client, name: str, cursor: str, only: str | None) -> Iterator[tuple[Line, str]]:
    """Lines after the cursor, each with the cursor behind its page."""
    while True:
        page = client.logs(name, after=cursor or None, stream=only)
        for line in _lines(page):
            yield line, page["last"]
        if page["at_end"] or not page["lines"]:
            return
        cursor = page["last"]


def _lines(page: Logs) -> list[Line]:
    return [Line(page["instance"], entry["at"], entry["text"], entry.get("stream")) for entry in page["lines"]]


def _dated(lines: list[Line]) -> list[Line]:
    """Gives a line without a time that of the line before it."""
    at: float | None = None
    instance = ""
    for line in lines:
        at = line.at if line.at is not None else at if line.instance == instance else None
        instance = line.instance
        line.at = at
    return lines


def _as_json(line: Line) -> str:
    from json import dumps

    told = {"instance": line.instance, "at": line.at, "text": line.text}
    return dumps(told if line.stream is None else told | {"stream": line.stream}, ensure_ascii=False)


def _painter(service_of: dict[str, str], grep: re.Pattern[str] | None, no_prefix: bool) -> Callable[[Line], str]:
    """The function that formats a line: each service in its own colour, matches in red."""
    paint, safe = colored(), not sys.stdout.isatty()
    width = max(map(len, service_of), default=0)
    order = list(dict.fromkeys(service_of.values()))

    def show(line: Line) -> str:
        text = line.text if safe else _UNSAFE.sub("�", line.text)
        if grep is not None and paint:
            text = grep.sub(lambda hit: click.style(hit[0], fg="red", bold=True) if hit[0] else "", text)
        if no_prefix:
            return text
        prefix = f"{line.instance:<{width}} |"
        service = service_of.get(line.instance)
        if paint and service is not None:
            prefix = click.style(prefix, fg=_COLORS[order.index(service) % len(_COLORS)])
        return f"{prefix} {text}"

    return show
