"""Finds the process of the daemon, for commands that look at /proc themselves."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from supervisor.errors import OperationFailed

if TYPE_CHECKING:
    from supervisor.client import Client


def other_user(client: Client, pid: int) -> int | None:
    """The user of the daemon, whose pid is `pid` by its own account; None where that is the user of this process.

    OperationFailed where the pid means another process here, because the daemon has a pid namespace of its own."""
    from supervisor.adapters.linux.procfs import user_of

    if client.daemon_pid() != pid:
        raise OperationFailed("the daemon runs in another pid namespace", "Run this in its container.")
    user = user_of(pid)
    return None if user == os.geteuid() else user
