"""A plan of which a value has another type is refused when it is read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from supervisor.core.model.plain import from_plain
from supervisor.core.model.spec import BalanceSpec, HeartbeatSpec, Plan, RolloutSpec, ServiceSpec, SupervisorSpec
from supervisor.core.services.rollout import Order, Rollout, Stage, read, write
from supervisor.core.services.service_set import ServiceSet
from supervisor.errors import OperationFailed

WEB = ServiceSpec(name="web", command=("x",), rollout=RolloutSpec())
BALANCED = replace(WEB, balance=BalanceSpec(listen=("127.0.0.1", 80), server="127.0.0.1:{port}"))
HAPROXY = ServiceSpec(name="haproxy", command=("x",), heartbeat=HeartbeatSpec(source="haproxy", interval=0.5))


@pytest.mark.parametrize(
    "wrong", [{"replicas": "2"}, {"replicas": True}, {"command": "x"}, {"nice": 1.5}, {"rollout": {"settle": "1s"}}]
)
def test_another_type_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        from_plain(ServiceSpec, {"name": "web", "command": ["x"], **wrong})


def test_a_rollout_of_another_service_is_refused() -> None:
    one = Rollout(id="r", service="api", order=Order.RELOAD, wanted=WEB, previous=WEB, filed=WEB)
    with pytest.raises(ValueError, match="definitions of other services in the rollout of api"):
        read(write(one))


def test_nothing_goes_back_behind_a_haproxy_that_is_gone() -> None:
    over = Rollout(
        id="r", service="web", order=Order.RELOAD, wanted=WEB, previous=BALANCED, filed=WEB, stage=Stage.FINISHED
    )
    plan = Plan(supervisor=SupervisorSpec(), services=(WEB,))
    with pytest.raises(OperationFailed, match="its definition before has `balance`"):
        ServiceSet(plan, lambda: 0.5, [over]).steer("undo", "web", 1.0)
    there = ServiceSet(replace(plan, services=(HAPROXY, WEB)), lambda: 0.5, [over])
    there.steer("undo", "web", 1.0)
    assert there.plan.service("web") == BALANCED
