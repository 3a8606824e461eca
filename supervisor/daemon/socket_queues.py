"""The queues of the services' sockets, for `status` and the metrics: read in one go for all instances."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from supervisor.adapters.sockets.connections import queues
from supervisor.core.services.replica import for_instance

if TYPE_CHECKING:
    from supervisor.core.lifecycle.instance import Instance
    from supervisor.core.model.socket_documents import HeldSocket
    from supervisor.daemon.parts import Parts


def queues_of(parts: Parts, instances: Iterable[Instance]) -> dict[str, list[HeldSocket]]:
    """Of each instance that has sockets which the daemon holds, those sockets."""
    known = queues(parts.sockets.listening)
    found: dict[str, list[HeldSocket]] = {}
    for one in instances:
        for socket in for_instance(one.spec, one.name).sockets if one.spec.sockets else ():
            if (queue := known.get(socket.url)) is not None:
                waiting, limit, overflows = queue
                row: HeldSocket = {"url": socket.url, "waiting": waiting, "limit": limit, "overflows": overflows}
                found.setdefault(one.name, []).append(row)
    return found
