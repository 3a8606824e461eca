"""`start`, `stop`, `restart`, `reset`, `signal`: ask, then follow until it has come about or cannot."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from supervisor.cli.options import as_duration, daemon_options, pass_place, services_argument
from supervisor.cli.place import Place
from supervisor.client import Client
from supervisor.errors import OperationFailed
from supervisor.settling import Failure, Rows, await_settled

_DONE = {"start": "ready", "restart": "ready", "reset": "ready", "stop": "stopped"}


def _acting(verb: str, summary: str) -> click.Command:
    @click.command(verb, help=summary)
    @daemon_options("-f", "--file")
    @click.option("--no-wait", is_flag=True, help="Return at once; `supervisor status` tells what came of it.")
    @click.option("--timeout", callback=as_duration, metavar="TIME", help="Wait no longer than this.  [for ever]")
    @services_argument
    @pass_place
    def command(place: Place, no_wait: bool, timeout: float | None, services: tuple[str, ...]) -> None:
        client = place.client
        before = {row["name"]: row["incarnation"] for row in client.get("/v1/status")["instances"]}
        names = client.post(f"/v1/{verb}", {"services": list(services)})["instances"]
        if no_wait:
            for name in names:
                click.echo(name)
        else:
            finish(client, verb, names, before, timeout)

    return command


start = _acting("start", "Want services up, and what they depend on; return when they are ready.")
stop = _acting("stop", "Want services down, dependants first; return when their last process is gone.")
restart = _acting("restart", "Stop services and start them again; return when they are ready.")
reset = _acting("reset", "Close breakers and forget backoff: what waited for either starts now.")


@click.command()
@daemon_options("-f", "--file")
@click.option(
    "-s", "--signal", "number", metavar="SIGNAL", help="HUP, SIGHUP or 1.  [default: each service's reload_signal]"
)
@services_argument
@pass_place
def signal(place: Place, number: str | None, services: tuple[str, ...]) -> None:
    """Send a signal to the main processes; without --signal, the one that makes them read their configuration again."""
    body: dict[str, object] = {"services": list(services)}
    if number is not None:
        body["signal"] = number
    names = place.client.post("/v1/signal", body)["instances"]
    for name in names:
        click.echo(f"{name}  {number or 'reload signal'} sent")
    if not names:
        raise OperationFailed("nothing was signalled: none of them runs")


def finish(
    client: Client, verb: str, names: Sequence[str], before: Mapping[str, int], timeout: float | None = None
) -> None:
    """Wait and tell.  OperationFailed names what did not come about."""
    tell = Teller(_DONE[verb], click.echo)
    failures = await_settled(client, verb, names, before, tell, timeout)
    if failures:
        said = "\n".join(f"  {name}: {why}" for name, why in failures.items())
        first = next(iter(failures))
        raise OperationFailed(
            f"{verb} failed for {len(failures)} of {len(names)}:\n{said}", f"`supervisor why {first}` tells the story."
        )


class Teller:
    """One line for each instance that is done, and one whenever what still holds it up changes."""

    def __init__(self, done: str, say: Callable[[str], Any]) -> None:
        self._done = done
        self._say = say
        self._said: dict[str, str] = {}

    def __call__(self, rows: Rows, found: Mapping[str, bool | Failure]) -> None:
        for name, result in found.items():
            row = rows.get(name)
            if isinstance(result, Failure):
                self._tell(name, "failed", str(result))
            elif result is False and row is not None:
                self._tell(name, _key(row), _progress(row))
            elif row is not None and row["state"] == "exited":
                self._tell(name, "done", "succeeded")
            else:
                self._tell(name, "done", self._done)

    def _tell(self, name: str, key: str, text: str) -> None:
        """`key` is the text without its countdown: that alone is no news."""
        if self._said.get(name) != key:
            self._said[name] = key
            self._say(f"{name}  {text}")


def _key(row: Any) -> str:
    return f"{row['state']} {row['incarnation']} {row['waiting_for']} {row['lingering']} {row['cause']}"


def _progress(row: Any) -> str:
    from supervisor.cli.rows import note, printable

    pid = f" (pid {row['pid']})" if row["pid"] is not None else ""
    said = printable(note(row))
    return f"{row['state']}{pid}" + (f": {said}" if said else "")
