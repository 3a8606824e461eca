"""Follows the reloads that a signal has begun, and prints what becomes of them.  Without click."""

from __future__ import annotations

import time
from collections.abc import Sequence

from supervisor.client import Client
from supervisor.core.services.awaited import awaits_reload, reloaded
from supervisor.core.services.settled import Failure
from supervisor.errors import NoDaemon, OperationFailed

QUIET = 15.0
"""Seconds from one status to the next while nothing changes."""


def follow_reloads(client: Client, names: Sequence[str], began: float) -> None:
    """Wait until the reloads have ended that instances of `names` have begun since `began` (monotonic seconds).  The
    daemon gives up each one in time.  OperationFailed where one did not succeed."""
    lasted = time.monotonic() - began
    rows = [row for row in client.status(names)["instances"] if awaits_reload(row, lasted)]
    awaited = {row["name"]: row["incarnation"] for row in rows}
    failed: list[str] = []
    if not awaited:
        return
    with client.stream(["status"], list(awaited), interval=QUIET, for_order=True) as stream:
        for message in stream:
            if message[0] != "status":
                continue
            for row in message[1]["instances"]:
                name = row["name"]
                result = reloaded(row, awaited[name]) if name in awaited else False
                if result is False:
                    continue
                del awaited[name]
                if isinstance(result, Failure):
                    failed.append(f"  {name}: {result}")
                else:
                    print(f"{name}  reloaded")  # noqa: T201
            if not awaited:
                break
    if awaited:
        raise NoDaemon("the daemon ended before the reload did")
    if failed:
        raise OperationFailed(f"reload failed for {len(failed)} of {len(rows)}:\n" + "\n".join(failed))
