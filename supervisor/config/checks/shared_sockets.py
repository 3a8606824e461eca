"""Finds probes of a socket that the instances of a service share: the kernel gives each probe to any of them.

A hung or failing instance is then taken for a healthy one.  Where the program answers for its master it may be meant,
so that these are notes, not problems.
"""

from __future__ import annotations

from collections.abc import Iterator

from supervisor.config.schema.sockets import tcp_url
from supervisor.config.source.key_path import Key
from supervisor.core.model.spec import ServiceSpec
from supervisor.core.services.replica import PORT, REPLICA


def shared_socket_notes(spec: ServiceSpec) -> Iterator[tuple[Key, str]]:
    """(key, note) of each HTTP probe that asks a socket of several instances."""
    if spec.replicas == 1:
        return
    shared = {s.url for s in spec.sockets if PORT not in s.url and REPLICA not in s.url}
    for table, probed in (("ready", spec.ready), ("heartbeat", spec.heartbeat)):
        if probed is None or probed.http is None:
            continue
        asked = _asked(probed.http)
        if shared & {asked, tcp_url(asked)}:
            yield (
                ("services", spec.name, table, "http"),
                f"{asked} is one socket of all {spec.replicas} instances: any of them answers, not only the one that "
                "is asked; use notify, or a socket for each instance, with {port} or {replica} in both",
            )


def _asked(http: str) -> str:
    """`127.0.0.1:8000` or `unix:PATH`."""
    rest = http.partition("://")[2]
    return rest.rpartition(":")[0] if rest.startswith("unix:") else rest.partition("/")[0]
