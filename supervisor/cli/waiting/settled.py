"""Waits for a command to complete: follows the status until every instance is settled.  Without click."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from supervisor.client import Client
from supervisor.core.services.settled import Failure, Rows, settled
from supervisor.errors import NoDaemon


def await_settled(
    client: Client,
    verb: str,
    names: Sequence[str],
    before: Mapping[str, int],
    on_progress: Callable[[Rows, Mapping[str, bool | Failure]], None],
    timeout: float | None = None,
) -> dict[str, Failure]:
    """Follow the daemon until every one of `names` is settled; the failures by name.

    `on_progress` is given each status with what is known of each name.  What is not settled within `timeout` seconds
    has failed.  NoDaemon if the daemon ends before.
    """
    give_up = None if timeout is None else time.monotonic() + timeout
    seen = dict(before)
    with client.stream(["status"], interval=0.2, for_order=True) as stream:
        for message in stream:
            if message[0] != "status":
                continue
            rows = {row["name"]: row for row in message[1]["instances"]}
            for row in rows.values():
                seen.setdefault(row["name"], row["incarnation"])
            found = {name: settled(verb, name, rows, seen) for name in names}
            on_progress(rows, found)
            if give_up is not None and time.monotonic() >= give_up:
                late = [name for name in names if found[name] is False]
                found |= {n: Failure(f"not done within {timeout:g} s: still {rows[n]['state']}") for n in late}
            if False not in found.values():
                return {name: result for name, result in found.items() if isinstance(result, Failure)}
    raise NoDaemon("the daemon ended before this was done")
