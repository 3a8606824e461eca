"""What distinguishes the instances of a service: `{replica}` is the number of one, `{port}` its port of `ports`.

They stand in the commands, the environment, the probes, the sockets and the address for the balancer.  The instances of
a service differ in nothing else, so one specification describes them all.  The port belongs to the number, so that an
instance keeps it for life.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, TypeVar

from supervisor.core.model.spec import BalanceSpec, HeartbeatSpec, ReadySpec, ServiceSpec, SocketSpec

REPLICA, PORT = "{replica}", "{port}"
PORT_VARIABLE = "PORT"
"""The variable that tells a process its port, unless the service's own environment sets it."""
P = TypeVar("P", ReadySpec, HeartbeatSpec)
Key = tuple[str | int, ...]


def position(spec: ServiceSpec, instance: str) -> int:
    """Which instance of its service it is, from 1: 3 for `web@3`, 1 for plain `web`."""
    return int(instance.rpartition("@")[2]) if instance != spec.name else 1


def replica_number(spec: ServiceSpec, instance: str) -> int:
    """The number of `web@3`: two more than `first_replica`; of plain `web`: `first_replica`."""
    return spec.first_replica + position(spec, instance) - 1


def port_of(spec: ServiceSpec, instance: str) -> int | None:
    """The port of the instance; None where the service has no `ports`, or too few."""
    if spec.ports is None:
        return None
    first, last = spec.ports
    port = first + position(spec, instance) - 1
    return port if port <= last else None


def for_instance(spec: ServiceSpec, instance: str) -> ServiceSpec:
    """The specification of one instance, with its number and its port in place of `{replica}` and `{port}`."""
    if _is_plain(spec):
        return spec
    marks = _marks(spec, instance)
    own = any(socket.reuseport for socket in spec.sockets)
    if marks.keys() == {REPLICA} and not own and not any(REPLICA in text for _, text in texts(spec)):
        return spec
    environment = tuple((name, _put(value, marks)) for name, value in spec.environment)
    if PORT in marks and PORT_VARIABLE not in dict(environment):
        environment = tuple(sorted((*environment, (PORT_VARIABLE, marks[PORT]))))
    return replace(
        spec,
        command=_words(spec.command, marks),
        reload_check=spec.reload_check and _words(spec.reload_check, marks),
        environment=environment,
        sockets=tuple(replace(socket, url=_url(socket, marks)) for socket in spec.sockets),
        ready=spec.ready and _probe(spec.ready, marks),
        heartbeat=spec.heartbeat and _probe(spec.heartbeat, marks),
        balance=spec.balance and replace(spec.balance, server=_put(spec.balance.server, marks)),
    )


def _is_plain(spec: ServiceSpec) -> bool:
    """Whether it is soon seen that nothing has to be replaced: this is asked at each start of an instance."""
    if spec.ports or spec.sockets or spec.ready or spec.heartbeat or spec.balance or spec.reload_check:
        return False
    own = (*spec.command, *(value for _, value in spec.environment))
    return not any(REPLICA in text for text in own)


def balanced_at(spec: ServiceSpec, instance: str) -> str:
    """The address of the instance for the balancer; empty where there is none."""
    return behind(spec.balance, spec, instance) if spec.balance is not None else ""


def behind(balance: BalanceSpec, spec: ServiceSpec, instance: str) -> str:
    """The address of an instance for the balancer of a service; empty where that needs a port and it has none."""
    address = _put(balance.server, _marks(spec, instance))
    return "" if PORT in address else address


def texts(spec: ServiceSpec) -> Iterator[tuple[Key, str]]:
    """Every text in which `{replica}` and `{port}` are replaced, with its key."""
    yield from ((("command",), word) for word in spec.command)
    yield from ((("reload_check",), word) for word in spec.reload_check or ())
    yield from ((("environment", name), value) for name, value in spec.environment)
    yield from ((("sockets", index), socket.url) for index, socket in enumerate(spec.sockets))
    for table, probe in (("ready", spec.ready), ("heartbeat", spec.heartbeat)):
        for name in _TEXTS:
            text = getattr(probe, name, None)
            if text is not None:
                yield (table, name), text
        for word in (probe.exec if probe is not None else None) or ():
            yield (table, "exec"), word
    if spec.balance is not None:
        yield ("balance", "server"), spec.balance.server


_TEXTS = ("http", "tcp", "file")


def _marks(spec: ServiceSpec, instance: str) -> dict[str, str]:
    """What stands for what."""
    port = port_of(spec, instance)
    number = {REPLICA: str(replica_number(spec, instance))}
    return number if port is None else number | {PORT: str(port)}


def _put(text: str, marks: dict[str, str]) -> str:
    for mark, value in marks.items():
        text = text.replace(mark, value)
    return text


def _url(socket: SocketSpec, marks: dict[str, str]) -> str:
    """The URL that identifies the socket of one instance: several may have one at the same address."""
    url = _put(socket.url, marks)
    return f"{url}#{marks[REPLICA]}" if socket.reuseport else url


def _probe(probe: P, marks: dict[str, str]) -> P:
    given = ((name, getattr(probe, name, None)) for name in _TEXTS)
    found: dict[str, Any] = {name: _put(text, marks) for name, text in given if text is not None}
    return replace(probe, **found, exec=probe.exec and _words(probe.exec, marks))


def _words(words: tuple[str, ...], marks: dict[str, str]) -> tuple[str, ...]:
    return tuple(_put(word, marks) for word in words)
