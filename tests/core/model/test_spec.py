"""What follows from the keys of a service."""

from __future__ import annotations

from typing import Any

import pytest

from supervisor.core.model.spec import BalanceSpec, HeartbeatSpec, Plan, ReadySpec, ServiceSpec, SupervisorSpec


@pytest.mark.parametrize(
    ("keys", "names"),
    [
        ({}, {"PATH", "HOME", "TZ"}),
        ({"unset_environment": ("TZ", "PATH")}, {"HOME"}),
        ({"inherit_environment": ()}, {"PATH"}),
        ({"inherit_environment": ("TZ", "NOWHERE")}, {"PATH", "TZ"}),
        ({"inherit_environment": ("TZ",), "unset_environment": ("PATH",)}, {"TZ"}),
    ],
)
def test_what_is_inherited_of_the_daemons_environment(keys: dict[str, Any], names: set[str]) -> None:
    assert ServiceSpec(name="web", command=("web",), **keys).inherited(["PATH", "HOME", "TZ"]) == names


@pytest.mark.parametrize(("hosts", "over"), [(None, False), ("own", False), ("all", True)])
def test_which_services_get_requests_of_other_hosts(hosts: str | None, over: bool) -> None:
    balance = hosts and BalanceSpec(listen=("127.0.0.1", 80), hosts=hosts)
    assert ServiceSpec(name="web", command=("web",), balance=balance or None).over_hosts is over


@pytest.mark.parametrize(
    ("keys", "shared"),
    [
        ({"source": "celery"}, False),
        ({"source": "celery", "tcp": ("127.0.0.1", 6379)}, True),
        ({"source": "celery", "exec": ("redis-cli", "ping")}, True),
        ({"source": "tcp", "tcp": ("127.0.0.1", 6379)}, False),
        ({"source": "exec", "exec": ("ask",)}, False),
    ],
)
def test_what_is_probed_for_celery_is_its_broker_and_else_the_service(keys: dict[str, Any], shared: bool) -> None:
    assert HeartbeatSpec(**keys).shared_is_probed is shared


def test_profiles_are_kept_where_any_service_has_some() -> None:
    def plan(**more: object) -> Plan:
        return Plan(supervisor=SupervisorSpec(), services=(), **more)  # type: ignore[arg-type]

    assert plan().kept_profiles is None
    assert plan(profiles=("dev",)).kept_profiles == ("dev",)
    assert plan(inactive=(("web", ("dev",)),)).kept_profiles == ()


@pytest.mark.parametrize(
    ("keys", "notifies"),
    [
        ({}, False),
        ({"heartbeat": HeartbeatSpec()}, True),
        ({"heartbeat": HeartbeatSpec(source="http", http="http://127.0.0.1:1/")}, False),
        ({"ready": ReadySpec(notify=True)}, True),
        ({"ready": ReadySpec(tcp="127.0.0.1:1")}, False),
        ({"fd_store": 1}, True),
    ],
)
def test_a_service_notifies_where_it_gets_the_socket_for_that(keys: dict[str, Any], notifies: bool) -> None:
    assert ServiceSpec(name="web", command=("web",), **keys).notifies is notifies
