"""The number of a replica in what is run and asked."""

from __future__ import annotations

import pytest

from supervisor.core.model.spec import HeartbeatSpec, ReadySpec, ServiceSpec
from supervisor.core.services.replica import for_instance, replica_number

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
