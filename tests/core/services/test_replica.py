"""The number and the port of a replica in what is run, asked and listened on."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.model.spec import BalanceSpec, HeartbeatSpec, ReadySpec, ServiceSpec, SocketSpec
from supervisor.core.services.replica import for_instance, port_of, replica_number, texts

WEB = ServiceSpec(
    name="web",
    command=("web", "--port=800{replica}", "{replica}"),
    environment=(("ID", "{replica}"), ("OTHER", "{instance}")),
    replicas=3,
    first_replica=5,
    ready=ReadySpec(http="http://127.0.0.1:800{replica}/"),
    heartbeat=HeartbeatSpec(source="exec", exec=("ask", "{replica}"), tcp="h:800{replica}", file="/run/{replica}"),
)


def test_every_place_gets_the_number() -> None:
    found = for_instance(WEB, "web@3")
    assert found.command == ("web", "--port=8007", "7")
    assert found.environment == (("ID", "7"), ("OTHER", "{instance}"))
    assert found.ready is not None and found.ready.http == "http://127.0.0.1:8007/"
    beat = found.heartbeat
    assert beat is not None and (beat.exec, beat.tcp, beat.file) == (("ask", "7"), "h:8007", "/run/7")
    assert (found.name, found.replicas) == ("web", 3)


@pytest.mark.parametrize(
    ("first", "instance", "number"), [(1, "web", 1), (0, "web", 0), (1, "web@1", 1), (0, "web@2", 1), (5, "web@3", 7)]
)
def test_the_first_number(first: int, instance: str, number: int) -> None:
    assert replica_number(ServiceSpec(name="web", command=("web",), first_replica=first), instance) == number


@pytest.mark.parametrize("keys", [{}, {"ready": ReadySpec(exec=("a",))}, {"heartbeat": HeartbeatSpec(log="{replica}")}])
def test_a_specification_that_does_not_ask_stays_as_it_is(keys: dict[str, object]) -> None:
    spec = ServiceSpec(name="web", command=("web",), **keys)  # type: ignore[arg-type]
    assert for_instance(spec, "web@2") is spec


def test_a_service_without_probes() -> None:
    spec = ServiceSpec(name="web", command=("web", "{replica}"), ready=ReadySpec(exec=("ask", "{replica}")))
    found = for_instance(spec, "web")
    assert (found.command, found.heartbeat) == (("web", "1"), None)
    assert found.ready is not None and found.ready.exec == ("ask", "1")


PORTS = ServiceSpec(
    name="api",
    command=("api", "--port={port}"),
    environment=(("URL", "http://here:{port}/{replica}"),),
    replicas=3,
    first_replica=0,
    ports=(18000, 18009),
    sockets=(SocketSpec(url="tcp://127.0.0.1:{port}", label="front"), SocketSpec(url="unix:/run/{replica}")),
    ready=ReadySpec(tcp="127.0.0.1:{port}"),
    heartbeat=HeartbeatSpec(source="exec", exec=("ask", "{port}")),
)


def test_every_place_gets_the_port() -> None:
    found = for_instance(PORTS, "api@3")
    assert found.command == ("api", "--port=18002")
    assert found.environment == (("PORT", "18002"), ("URL", "http://here:18002/2"))
    assert found.sockets == (SocketSpec(url="tcp://127.0.0.1:18002", label="front"), SocketSpec(url="unix:/run/2"))
    assert found.ready is not None and found.ready.tcp == "127.0.0.1:18002"
    assert found.heartbeat is not None and found.heartbeat.exec == ("ask", "18002")


def test_the_environment_of_the_service_has_the_last_word() -> None:
    spec = ServiceSpec(name="web", command=("web",), environment=(("PORT", "1{port}"),), ports=(80, 80))
    assert for_instance(spec, "web").environment == (("PORT", "180"),)


def test_without_ports_the_mark_is_text() -> None:
    spec = ServiceSpec(name="web", command=("web", "{port}"))
    assert for_instance(spec, "web") is spec
    assert port_of(spec, "web") is None


def test_every_text_has_its_key() -> None:
    assert list(texts(replace(PORTS, heartbeat=HeartbeatSpec(source="http", http="http://h/", file="f")))) == [
        (("command",), "api"),
        (("command",), "--port={port}"),
        (("environment", "URL"), "http://here:{port}/{replica}"),
        (("sockets", 0), "tcp://127.0.0.1:{port}"),
        (("sockets", 1), "unix:/run/{replica}"),
        (("ready", "tcp"), "127.0.0.1:{port}"),
        (("heartbeat", "http"), "http://h/"),
        (("heartbeat", "file"), "f"),
    ]
    assert (("heartbeat", "exec"), "{port}") in list(texts(PORTS))
    checked = replace(PORTS, reload_check=("api", "--test", "{port}"))
    assert (("reload_check",), "{port}") in list(texts(checked))
    assert for_instance(checked, "api@3").reload_check == ("api", "--test", "18002")


@given(st.integers(1, 65_000), st.integers(0, 500), st.integers(1, 500), st.integers(1, 500))
def test_a_port_belongs_to_a_number(first: int, more: int, replicas: int, others: int) -> None:
    """Each instance has one port of the range, no two have the same, and another number of instances changes none."""
    spec = ServiceSpec(name="web", command=("web",), replicas=replicas, ports=(first, first + more))
    fewer = ServiceSpec(name="web", command=("web",), replicas=others, ports=(first, first + more))
    ports = [port_of(spec, name) for name in spec.instances]
    given_ports = [port for port in ports if port is not None]
    assert len(set(given_ports)) == len(given_ports) == min(replicas, more + 1)
    assert all(first <= port <= first + more for port in given_ports)
    assert [port_of(fewer, name) for name in fewer.instances][: len(ports)] == ports[:others]


def test_the_address_behind_the_balancer_is_one_of_the_places() -> None:
    balanced = replace(WEB, balance=BalanceSpec(listen=("127.0.0.1", 8000), server="127.0.0.1:800{replica}"))
    assert [text for where, text in texts(balanced) if where == ("balance", "server")] == ["127.0.0.1:800{replica}"]
    assert ("balance", "server") not in dict(texts(WEB))


def test_each_instance_has_a_socket_of_its_own_at_a_shared_address() -> None:
    shared = SocketSpec(url="tcp://127.0.0.1:80", reuseport=True)
    spec = ServiceSpec(name="web", command=("x",), replicas=2, sockets=(shared, SocketSpec(url="unix:/run/a")))
    found = [[s.url for s in for_instance(spec, name).sockets] for name in spec.instances]
    assert found == [["tcp://127.0.0.1:80#1", "unix:/run/a"], ["tcp://127.0.0.1:80#2", "unix:/run/a"]]
