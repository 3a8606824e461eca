"""Sends a start, stop, restart or reset, and prints its progress until it is done or has failed.  Without click."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from supervisor.cli.wait import await_settled
from supervisor.client import Client
from supervisor.core.services.settled import Failure, Rows
from supervisor.errors import OperationFailed

if TYPE_CHECKING:
    from supervisor.core.model.documents import Instance

_NONE = {
    "start": "all services with autostart are up; name the others",
    "restart": "all are stopped; use `supervisor start`",
}
_DONE = {"start": "ready", "restart": "ready", "reset": "ready", "stop": "stopped"}


def ask(client: Client, verb: str, services: Sequence[str], timeout: float | None = None) -> None:
    """Send the command, wait and print.  OperationFailed names what was not done within `timeout` seconds."""
    before: dict[str, int] = {}
    if verb != "stop":  # a stop does not depend on the run
        before = {row["name"]: row["incarnation"] for row in client.status()["instances"]}
    names = client.act(verb, services)
    say = print
    if not names:
        say(nothing_to(verb))
    tell = ProgressPrinter(_DONE[verb], say)
    failures = await_settled(client, verb, names, before, tell, timeout)
    if failures:
        said = "\n".join(f"  {name}: {why}" for name, why in failures.items())
        first = next(iter(failures))
        raise OperationFailed(
            f"{verb} failed for {len(failures)} of {len(names)}:\n{said}",
            f"`supervisor why {first}` explains the failure.",
        )


def nothing_to(verb: str) -> str:
    """What a command without names says that concerned no instance."""
    return f"nothing to {verb}: {_NONE.get(verb, 'no service is configured')}"


class ProgressPrinter:
    """One line for each instance that is done, and one whenever the reason to wait changes."""

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
        """`key` is the text without its countdown: a changed countdown alone prints nothing."""
        if self._said.get(name) != key:
            self._said[name] = key
            self._say(f"{name}  {text}")


def _key(row: Instance) -> str:
    return f"{row['state']} {row['incarnation']} {row['waiting_for']} {row['lingering']} {row['cause']}"


def _progress(row: Instance) -> str:
    from supervisor.display.status_row import note, printable

    pid = f" (pid {row['pid']})" if row["pid"] is not None else ""
    said = printable(note(row))
    return f"{row['state']}{pid}" + (f": {said}" if said else "")
