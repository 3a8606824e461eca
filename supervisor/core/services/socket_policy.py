"""Socket policy: which listening sockets of the services stay open.

While a service is restarted, connections wait in the queue of its socket.  Where the service stays down, its socket is
closed, so that connections are refused at once.
"""

from __future__ import annotations

from collections.abc import Iterable

from supervisor.core.lifecycle.instance import Instance
from supervisor.core.model.actions import State

AT_REST = frozenset({State.STOPPED, State.EXITED, State.FAILED})
"""States in which there is no process, and none follows soon."""


def open_sockets(instances: Iterable[Instance]) -> set[str]:
    """The URLs of the sockets that stay open."""
    return {socket.url for i in instances if i.state not in AT_REST for socket in i.spec.sockets}
