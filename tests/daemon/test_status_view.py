"""The status is made in several turns of the loop, and the configuration may change between them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from supervisor.core.model.spec import Plan, ServiceSpec, SupervisorSpec
from supervisor.core.services.service_set import ServiceSet
from supervisor.daemon import socket_queues
from supervisor.daemon.parts import Parts
from supervisor.daemon.status_view import StatusView


def test_an_instance_that_is_removed_before_its_row_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the daemon holds sockets, whose queues are read for all rows at once."""
    services = tuple(ServiceSpec(name=name, command=("x",)) for name in ("web", "api"))
    service_set = ServiceSet(Plan(supervisor=SupervisorSpec(), services=services, path="/services.toml"), lambda: 0.5)
    asked: list[str] = []

    def queues_of(_parts: object, instances: Any) -> dict[str, list[Any]]:
        asked.extend(i.name for i in instances)
        return {}

    monkeypatch.setattr(socket_queues, "queues_of", queues_of)
    monkeypatch.setattr(StatusView, "supervisor", lambda *_: {})
    parts = SimpleNamespace(
        service_set=service_set,
        balancer=None,
        stored=None,
        sockets=SimpleNamespace(listening={"tcp://x": 1}),
        now=lambda: 0.0,
        processes=SimpleNamespace(paused=lambda _name: False),
    )
    work = StatusView(cast("Parts", parts)).making(())
    del service_set.instances["web"]
    rows: list[str] = []
    try:
        while True:
            next(work)
    except StopIteration as made:
        rows = [row["name"] for row in made.value["instances"]]
    assert (asked, rows) == (["api"], ["api"])
