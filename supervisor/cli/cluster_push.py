"""`cluster push`, `history` and `undo`: one configuration for all hosts, in versions.

A record in ZooKeeper drives the push, and the hosts follow it by themselves.  The command only begins the push, and
shows how far it is.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from supervisor.cli.cluster import LOOK, OUTCOME, cluster, json_option, outcome_of, word_of
from supervisor.cli.daemon_target import DaemonTarget
from supervisor.cli.options import daemon_options, pass_target
from supervisor.display.pushed import version_name, why_back
from supervisor.errors import ConfigError, NoDaemon, OperationFailed, UsageError

if TYPE_CHECKING:
    from supervisor.core.model.cluster_documents import OrderOutcome
    from supervisor.core.model.push_documents import PushedVersion, PushedWord

SILENT = 30.0
"""Seconds that the daemon of this host may not answer while a push is followed: it may be restarted."""

no_wait_option = click.option("--no-wait", is_flag=True, help="Return when the push has begun.")
share_option = click.option(
    "--max-unavailable", default="1", show_default=True, metavar="N|P%", help="Hosts that may be in change at a time."
)
timeout_option = click.option(
    "--timeout", default="10m", show_default=True, metavar="TIME", help="How long a host may take until it is ready."
)


@cluster.command()
@daemon_options("-f", "--file")
@json_option
@share_option
@timeout_option
@no_wait_option
@click.argument("path", metavar="FILE")
@pass_target
def push(target: DaemonTarget, as_json: bool, max_unavailable: str, timeout: str, no_wait: bool, path: str) -> None:
    """Give all hosts of the cluster the services of FILE, a host at a time.

    The file is checked here and stored in ZooKeeper as a new version.  Each host applies it as `reload` would, and says
    whether what has changed became ready.  Where one fails, all go back to the version before, and the exit code is 1.
    [supervisor], [cluster] and [fleet] stay each host's own.  The hosts go on by themselves if this command is ended.

    Example: supervisor cluster push services.toml"""
    text = _checked(target, path)
    _push(target, {"text": text, "undo": False}, max_unavailable, timeout, no_wait, as_json)


@cluster.command()
@daemon_options("-f", "--file")
@json_option
@share_option
@timeout_option
@no_wait_option
@pass_target
def undo(target: DaemonTarget, as_json: bool, max_unavailable: str, timeout: str, no_wait: bool) -> None:
    """Go back to the version before: take a push that is in progress back, else push the version before again.

    While a push is in progress all hosts return to the version in force, by waves of --max-unavailable.  Else the
    version that was in force before the present one is pushed as a new version.

    Example: supervisor cluster undo"""
    _push(target, {"text": "", "undo": True}, max_unavailable, timeout, no_wait, as_json)


@cluster.command()
@daemon_options("-f", "--file")
@json_option
@pass_target
def history(target: DaemonTarget, as_json: bool) -> None:
    """Print the versions of the configuration that were pushed, oldest first.

    Example: supervisor cluster history"""
    pushed = word_of(target).get("pushed")
    versions = pushed["history"] if pushed is not None else []
    if as_json:
        from json import dumps

        click.echo(dumps(versions))
    elif pushed is None:
        raise OperationFailed("the agent of this host has not read the versions yet")
    elif not versions:
        click.echo("nothing was pushed: each host runs its own file")
    else:
        click.echo(history_text(versions), nl=False)


def history_text(versions: list[PushedVersion]) -> str:
    """A row for each version."""
    from supervisor.core.text.timestamps import to_iso
    from supervisor.display.status_row import aligned

    rows = [("VERSION", "STATE", "PUSHED", "BY", "DIGEST", "NOTE")]
    for one in versions:
        note = f"undo: the text of version {one['origin']}" if one["origin"] else ""
        if one["reason"]:
            note += f"{'; ' if note else ''}{_first_line(why_back(one))}"
        by = f"{one['by'] or '?'}@{one['host']}"
        rows.append((str(one["number"]), one["state"], to_iso(one["at"]), by, one["digest"], note or "–"))
    return aligned(rows, {"VERSION"})


def _checked(target: DaemonTarget, path: str) -> str:
    """The text of a file that can run on this host beside its own [cluster].  ConfigError."""
    from pathlib import Path

    from supervisor.config.load import load
    from supervisor.config.pushed import Kept
    from supervisor.config.source.read import read_text
    from supervisor.core.cluster.version_documents import digest_of, refusal

    text = read_text(Path(path))
    refused = refusal(text)
    if refused:
        raise ConfigError(f"{path}: {refused}", "Move parts of it into files.")
    own = target.client.get("/v1/status")["supervisor"]["config"]
    version = Kept(0, digest_of(text), path)
    load(own, note=lambda line: click.echo(f"note: {line}", err=True), tolerate_missing=True, pushed=lambda _: version)
    return text


def _push(
    target: DaemonTarget, what: dict[str, Any], max_unavailable: str, timeout: str, no_wait: bool, as_json: bool
) -> None:
    from supervisor.config.units import parse_duration

    try:
        seconds = parse_duration(timeout)
    except ValueError as error:
        raise UsageError(f"--timeout: {error}") from None
    before = _pushed(target)
    rolling = what["undo"] and before is not None and before["phase"] in ("rolling", "returning")
    takes_back = before["number"] if before is not None and rolling else 0
    body = {**what, "takes_back": takes_back, "max_unavailable": max_unavailable, "timeout": seconds}
    outcome = _begun(target, target.client.post("/v1/cluster/pushes", body)["id"])
    number = outcome.get("number", 0)
    back = rolling and number == takes_back
    if before is not None and number == before["in_force"]:
        _say(as_json, f"version {number}, which is in force, has this text already")
    elif no_wait:
        begins = "is taken back, and the hosts begin to return" if back else "is stored, and the hosts begin to change"
        _say(as_json, f"version {number} {begins}")
    else:
        try:
            _follow(target, number, as_json, back)
        except KeyboardInterrupt:
            goes, hint = ("return from", "") if back else ("go on with", "; `supervisor cluster undo` takes it back")
            shows = "`supervisor cluster history` shows its end"
            click.echo(f"\nthe hosts {goes} version {number}: {shows}{hint}", err=True)
            raise
    if as_json:
        from json import dumps

        last = _pushed(target)
        found = [one for one in last["history"] if one["number"] == number] if last is not None else []
        click.echo(dumps(found[0] if found else outcome))


def _begun(target: DaemonTarget, order: str) -> OrderOutcome:
    """The outcome of a push that has begun.  OperationFailed where it was refused, or that is not known in time."""
    outcome = outcome_of(target, order)
    if outcome is None:
        raise OperationFailed(
            f"the push has not begun within {OUTCOME:g} s: ZooKeeper or the agent of this host does not answer",
            "The order stays, and may be carried out later; `supervisor cluster history` shows it.",
        )
    return outcome


def _follow(target: DaemonTarget, number: int, as_json: bool, back: bool) -> None:
    """Show each host's change, until the version is in force.  OperationFailed where it was rolled back.

    `back`: it is to be rolled back; OperationFailed where a host cannot go back."""
    told: dict[str, str] = {}
    heard = time.monotonic()
    while True:
        try:
            pushed = _pushed(target)
            heard = time.monotonic()
        except NoDaemon:
            if time.monotonic() - heard > SILENT:
                raise
            pushed = None
        if pushed is not None:
            version = next((one for one in pushed["history"] if one["number"] == number), None)
            if pushed["number"] >= number:
                if not as_json:
                    _tell_hosts(pushed, number, told)
                if version is None or version["state"] not in ("rolling", "rolling back"):
                    _tell_end(pushed, number, version, as_json, back)
                    return
        time.sleep(LOOK)


def _tell_hosts(pushed: PushedWord, number: int, told: dict[str, str]) -> None:
    """A line for each host that does something else than before."""
    for host in pushed["hosts"]:
        node, name = host["node"], _on_host(host["number"])
        if host["number"] == number:
            words = {"ready": "runs {}", "changing": "changes to {}", "failed": "failed with {}"}
        elif node in told:
            words = {"ready": "runs {} again", "changing": "goes back to {}", "failed": "cannot go back to {}"}
        else:
            continue
        line = f"{node}  {words[host['health']].format(name)}"
        if host["health"] == "failed":
            line += f": {_first_line(host['reason'])}"
        if told.get(node) != line:
            told[node] = line
            click.echo(line)


def _tell_end(pushed: PushedWord, number: int, version: PushedVersion | None, as_json: bool, back: bool) -> None:
    if version is not None and version["state"] == "rolled back":
        behind = [
            f"{one['node']} does not run {_on_host(pushed['in_force'])} again: {one['reason'] or one['health']}"
            for one in pushed["hosts"]
            if one["here"] and (one["number"], one["health"]) != (pushed["in_force"], "ready")
        ]
        ended = f"version {number} was rolled back: {why_back(version)}"
        in_force = f"In force is {version_name(pushed['in_force'])}."
        if behind or not back:
            raise OperationFailed("\n".join((ended, *behind)), in_force)
        _say(as_json, f"{ended}\n{in_force}")
        return
    away = [one["node"] for one in pushed["hosts"] if not one["here"]]
    more = f"; {', '.join(away)} will follow when back" if away else ""
    _say(as_json, f"version {number} is in force on all hosts that are there{more}")


def _on_host(number: int) -> str:
    """What one host runs."""
    return version_name(number) if number else "its own file"


def _first_line(text: str) -> str:
    return text.partition("\n")[0]


def _pushed(target: DaemonTarget) -> PushedWord | None:
    return word_of(target).get("pushed")


def _say(as_json: bool, text: str) -> None:
    if not as_json:
        click.echo(text)
