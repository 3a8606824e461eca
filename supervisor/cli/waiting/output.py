"""Follows a start, stop, restart or reset, or a rollout, and prints the progress until it is done or has failed.

Without click.  A rollout outlives its daemon, so if the daemon ends, the next one is waited for."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from supervisor.cli.waiting.settled import await_settled
from supervisor.client import Client
from supervisor.core.services.settled import Failure, Rows
from supervisor.core.text.waiting import instead_of_running
from supervisor.errors import NoDaemon, OperationFailed

TYPE_CHECKING = False  # importing typing takes time
if TYPE_CHECKING:
    from typing import Any

    from supervisor.core.model.documents import Status
    from supervisor.core.model.instance_documents import Instance
    from supervisor.core.model.order_documents import Rollout

DAEMON_WITHIN = 30.0
"""Seconds in which another daemon has to answer when one has ended."""
LOOK_AGAIN = 0.2
_NONE = {
    "start": "all services with autostart are up; name the others",
    "restart": "all are stopped; use `supervisor start`",
}
_DONE = {"start": "ready", "restart": "ready", "reset": "ready", "stop": "stopped"}


def finish(
    client: Client, verb: str, names: Sequence[str], before: dict[str, int], timeout: float | None = None
) -> None:
    """Wait for what was sent, and print.  OperationFailed names what was not done within `timeout` seconds."""
    if not names:
        return
    tell = ProgressPrinter(_DONE[verb], _say)
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
            elif row is not None and row["goal"] == "up" and (instead := instead_of_running(row)):
                self._tell(name, "done", instead)
            elif row is not None and self._done == "ready" and not row["ready"]:
                self._tell(name, "done", "stays stopped" if row["goal"] == "down" else without(row))
            else:
                self._tell(name, "done", self._done)

    def _tell(self, name: str, key: str, text: str) -> None:
        """`key` is the text without its countdown: a changed countdown alone prints nothing."""
        if self._said.get(name) != key:
            self._said[name] = key
            self._say(f"{name}  {text}")


def without(row: Instance) -> str:
    """What is said of an instance that is not waited for, because its service is ready without it (min_ready)."""
    return f"{row['state']}; {row['service']} is ready without it"


def _key(row: Instance) -> str:
    return f"{row['state']} {row['incarnation']} {row['waiting_for']} {row['lingering']} {row['cause']}"


def _progress(row: Instance) -> str:
    from supervisor.display.status_row import note, printable

    pid = f" (pid {row['pid']})" if row["pid"] is not None else ""
    said = printable(note(row))
    return f"{row['state']}{pid}" + (f": {said}" if said else "")


# -- rollouts ---------------------------------------------------------------------------------------------------------


def follow(
    client: Client, services: Iterable[str], timeout: float | None = None, *, expected: str = "finished"
) -> None:
    """Wait until the rollouts of these services have ended as `expected`.  OperationFailed names those that did not,
    with the reason, and those that did not end within `timeout` seconds."""
    from supervisor.display.rollout_line import UNDER_WAY, progress

    awaited: dict[str, str] = dict.fromkeys(services, "")
    give_up = None if timeout is None else time.monotonic() + timeout
    said: dict[str, str] = {}
    failures: dict[str, str] = {}
    late: dict[str, None] = {}
    for status in _statuses(client):
        rows: dict[str, Instance] = {row["name"]: row for row in status["instances"]}
        known = {r["service"]: r for r in status["supervisor"].get("rollouts", [])}
        for service in list(awaited):
            rollout = known.get(service)
            if rollout is not None and not awaited[service]:
                awaited[service] = rollout["id"]
            text = _superseded(rollout, awaited[service]) or (progress(rollout, rows) if rollout is not None else "")
            if said.get(service) != text:
                said[service] = text
                _say(f"{service}  {text}")
            if rollout is not None and rollout["id"] == awaited[service] and rollout["state"] in UNDER_WAY:
                continue
            if rollout is None or rollout["id"] != awaited[service] or rollout["state"] != expected:
                failures[service] = text
            del awaited[service]
        if not awaited:
            break
        if give_up is not None and time.monotonic() >= give_up:
            late = dict.fromkeys(awaited)
            break
    if failures:
        listed = "\n".join(f"  {service}: {why}" for service, why in failures.items())
        first = next(iter(failures))
        raise OperationFailed(
            f"{len(failures)} of the rollouts did not end as ordered:\n{listed}",
            f"`supervisor rollout {first}` shows it, `supervisor events {first}` how it came about.",
        )
    if late:
        listed = "\n".join(f"  {service}: {said[service]}" for service in late)
        first = next(iter(late))
        raise OperationFailed(
            f"not done within {timeout:g} s, and going on:\n{listed}",
            f"`supervisor rollout {first}` shows it, `supervisor rollout pause {first}` holds it.",
        )


def warn_of_rollouts(client: Client, services: Sequence[str]) -> None:
    """Say on stderr which of these services are being rolled out: a plain restart takes all instances away at once."""
    from supervisor.display.rollout_line import UNDER_WAY

    status = client.status(services)
    concerned = {row["service"] for row in status["instances"]}
    for rollout in status["supervisor"].get("rollouts", []):
        if rollout["service"] in concerned and rollout["state"] in UNDER_WAY:
            name = rollout["service"]
            sys.stderr.write(
                f"{name} is being rolled out: this restart does not wait for that, and each instance comes back with "
                f"the definition that it has; `supervisor rollout {name}` shows the rollout\n"
            )


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _statuses(client: Client) -> Iterator[Status]:
    lost: float | None = None
    while True:
        try:
            with client.stream(["status"], interval=LOOK_AGAIN, for_order=True) as stream:
                lost = None
                for message in stream:
                    if message[0] == "status":
                        yield message[1]
        except NoDaemon:
            if lost is not None and time.monotonic() - lost > DAEMON_WITHIN:
                raise
        if lost is None:
            lost = time.monotonic()
            _say("the daemon ended; waiting for the next, which goes on with the rollout")
        time.sleep(LOOK_AGAIN)


def _superseded(rollout: Rollout | None, awaited: str) -> str:
    if rollout is None:
        return "its rollout ended: the service was removed, changed by other means, or started anew"
    return "" if rollout["id"] == awaited else f"another rollout took its place: {rollout['id']}"
