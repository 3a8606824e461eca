"""Waits until services are ready, started, stopped or completed.  Without click."""

from __future__ import annotations

from collections.abc import Sequence

from supervisor.client import Client
from supervisor.core.services.awaited import awaited
from supervisor.core.services.settled import Failure
from supervisor.display.status_row import note, printable
from supervisor.errors import NoDaemon, OperationFailed

QUIET = 15.0
"""Seconds from one status to the next while nothing changes."""


def wait_for(client: Client, what: str, timeout: float | None, services: Sequence[str]) -> None:
    """Return when all of them are `what`.  OperationFailed where that is not within `timeout` seconds, or will not be;
    NoDaemon where the daemon ends before."""
    found: dict[str, bool | Failure] = {}
    said = ""
    late = False
    with client.stream(["status"], services, interval=QUIET, for_order=True) as stream:

        def give_up() -> None:
            nonlocal late
            late = True
            stream.close()

        timer = None
        try:
            for message in stream:
                if message[0] != "status":
                    continue
                rows = message[1]["instances"]
                found = {row["name"]: awaited(what, row) for row in rows}
                said = "\n".join(
                    f"  {row['name']}: {_why(row['state'], printable(note(row)), found[row['name']])}"
                    for row in rows
                    if found[row["name"]] is not True
                )
                if not said:
                    return
                if any(isinstance(result, Failure) for result in found.values()):
                    raise OperationFailed(f"not {what}, and will not be:\n{said}")
                if timeout is not None and timer is None:  # not before: with no time at all it looks once
                    from threading import Timer  # what is reached already needs none

                    timer = Timer(timeout, give_up)
                    timer.daemon = True
                    timer.start()
        finally:
            if timer is not None:
                timer.cancel()
    if late and timeout is not None:
        raise OperationFailed(f"not {what} within {timeout:g} s:\n{said}")
    raise NoDaemon("the daemon ended before this was reached")


def _why(state: str, note: str, result: bool | Failure) -> str:
    if isinstance(result, Failure):
        return result
    return f"still {state}" + (f": {note}" if note else "")
