"""Socket policy: which listening sockets of the services stay open, and which descriptors that they have stored.

While a service is restarted, or waits for its first connection, connections wait in the queue of its socket.  Where the
service stays down, its socket is closed, so that connections are refused at once.  What it has stored is for its next
process, and is closed where none follows soon.
"""

from __future__ import annotations

from collections.abc import Iterable

from supervisor.core.lifecycle.instance import Instance
from supervisor.core.model.actions import State
from supervisor.core.services.replica import for_instance

AT_REST = frozenset({State.STOPPED, State.EXITED, State.FAILED})
"""States in which there is no process, and none follows soon."""


def open_sockets(instances: Iterable[Instance]) -> set[str]:
    """The URLs of the sockets that stay open."""
    serving = (i for i in instances if (i.state not in AT_REST or i.dormant) and i.spec.sockets)
    return {socket.url for i in serving for socket in for_instance(i.spec, i.name).sockets}


def storing(instances: Iterable[Instance]) -> set[str]:
    """The instances whose stored descriptors are kept."""
    return {i.name for i in instances if (i.state not in AT_REST or i.dormant) and i.spec.fd_store}
