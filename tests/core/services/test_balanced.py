"""Which instances take requests."""

from __future__ import annotations

from dataclasses import replace

import pytest

from supervisor.core.history.outlook import prospect
from supervisor.core.history.ratios import Counts
from supervisor.core.lifecycle.instance import Instance
from supervisor.core.model.actions import Goal, State
from supervisor.core.model.balance_documents import Balance, BalancedSlot
from supervisor.core.model.spec import BalanceSpec, HeartbeatSpec, Plan, ServiceSpec, SupervisorSpec
from supervisor.core.services.balanced import balanced, leaving, standing_in, wanted, with_fitting_balancer
from supervisor.core.services.fitting import fitting
from supervisor.core.services.replica import balanced_at
from supervisor.core.services.rollout import Order, Rollout, Stage
from supervisor.core.services.status import carried_by, instance_view
from supervisor.core.text.causes import phrase

BALANCE = BalanceSpec(listen=("127.0.0.1", 8000), server="127.0.0.1:1810{replica}")
WEB = ServiceSpec(name="web", command=("web",), replicas=2, balance=BALANCE)
PLAIN = ServiceSpec(name="plain", command=("plain",))


def test_balanced_services_in_one_order() -> None:
    api = ServiceSpec(name="api", command=("api",), balance=BALANCE)
    plan = Plan(supervisor=SupervisorSpec(), services=(WEB, PLAIN, api))
    assert balanced(plan) == [api, WEB]


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("ready", [True, False])
def test_only_what_is_ready_and_beyond_suspicion_takes_requests(state: State, ready: bool) -> None:
    one = Instance("web@2", WEB, lambda: 0.5)
    one.state, one.ready, one.incarnation, one.draining = state, ready, 3, state is State.STOPPING
    (found,) = wanted([one, Instance("plain", PLAIN, lambda: 0.5)])
    assert found == ("web@2", 3, "127.0.0.1:18102", ready and state is State.RUNNING, state is State.STOPPING)


def test_a_process_is_behind_the_balancer_as_its_own_definition_says() -> None:
    """A rollout that takes `balance` away gives the definition first and ends the process after that."""
    one = Instance("web@1", WEB, lambda: 0.5)
    one.state, one.spec = State.RUNNING, replace(WEB, balance=None)
    assert [found.address for found in wanted([one])] == ["127.0.0.1:18101"]
    assert leaving([one]) == {"web": WEB}
    one.running_spec = one.spec
    assert wanted([one]) == [] and leaving([one]) == {}


SORRY = ServiceSpec(name="sorry", command=("sorry",), ports=(18201, 18202))
BY_PORT = BalanceSpec(listen=("127.0.0.1", 8000), server="127.0.0.1:{port}")


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("ready", [True, False])
@pytest.mark.parametrize(
    ("own", "needed"),
    [
        ([State.FAILED, State.FAILED], True),
        ([State.FAILED, State.STARTING], True),
        ([State.FAILED, State.RUNNING], False),
        ([State.STARTING, State.BACKOFF], False),
    ],
)
def test_a_fallback_takes_requests_while_the_breaker_is_open_and_no_instance_of_its_service_takes_any(
    own: list[State], needed: bool, state: State, ready: bool
) -> None:
    mine = [Instance(f"web@{number}", WEB, lambda: 0.5) for number in (1, 2)]
    for one, its in zip(mine, own, strict=True):
        one.state, one.ready = its, its is State.RUNNING
    fallback = Instance("sorry", SORRY, lambda: 0.5)
    fallback.state, fallback.ready, fallback.incarnation = state, ready, 4
    (found,) = standing_in(BY_PORT, mine, wanted(mine), [fallback])
    assert found == ("sorry", 4, "127.0.0.1:18201", needed and ready and state is State.RUNNING, False)


def test_a_fallback_without_a_port_of_its_own_is_behind_no_balancer_that_needs_one() -> None:
    plain = Instance("plain", PLAIN, lambda: 0.5)
    assert standing_in(BY_PORT, [], [], [plain]) == []
    assert [one.address for one in standing_in(BALANCE, [], [], [plain])] == ["127.0.0.1:18101"]


HAPROXY = ServiceSpec(name="haproxy", command=("haproxy",), heartbeat=HeartbeatSpec(source="haproxy", interval=0.5))
OWN = ServiceSpec(name="haproxy", command=("mine",))


def _rollout(stage: Stage) -> Rollout:
    bare = replace(WEB, balance=None)
    return Rollout(id="r", service="web", order=Order.RELOAD, wanted=bare, previous=WEB, filed=bare, stage=stage)


@pytest.mark.parametrize(
    ("in_force", "plan", "running", "stage", "found"),
    [
        ([PLAIN], [PLAIN], None, None, [PLAIN]),
        ([HAPROXY, WEB], [HAPROXY, WEB], None, None, [HAPROXY, WEB]),
        ([HAPROXY, WEB], [PLAIN], None, None, [PLAIN]),
        ([HAPROXY, WEB], [PLAIN], WEB, None, [HAPROXY, PLAIN]),
        ([HAPROXY, WEB], [PLAIN], PLAIN, Stage.RUNNING, [HAPROXY, PLAIN]),
        ([HAPROXY, WEB], [PLAIN], PLAIN, Stage.HALTED, [HAPROXY, PLAIN]),
        ([HAPROXY, WEB], [PLAIN], PLAIN, Stage.FINISHED, [PLAIN]),
        ([PLAIN], [HAPROXY, PLAIN], None, Stage.ROLLED_BACK, [PLAIN]),
        ([HAPROXY, WEB], [WEB], None, None, [HAPROXY, WEB]),
        ([PLAIN], [OWN, PLAIN], None, None, [OWN, PLAIN]),
        ([HAPROXY, WEB], [OWN, PLAIN], WEB, None, [OWN, PLAIN]),
    ],
)
def test_the_balancer_is_there_as_long_as_something_needs_it(
    in_force: list[ServiceSpec], plan: list[ServiceSpec], running: ServiceSpec | None, stage: Stage | None,
    found: list[ServiceSpec],
) -> None:  # fmt: skip
    instances = []
    if running is not None:
        instances.append(Instance("web@1", running, lambda: 0.5))
        instances[0].state = State.RUNNING
    before, after = (Plan(supervisor=SupervisorSpec(), services=tuple(s)) for s in (in_force, plan))
    rollouts = [_rollout(stage)] if stage is not None else []
    assert with_fitting_balancer(before, after, instances, rollouts).services == tuple(found)
    assert fitting(before, after, {i.name: i for i in instances}, (), rollouts).services == tuple(found)


def test_what_each_instance_carries() -> None:
    slot: BalancedSlot = {
        "slot": 1, "instance": "web@1", "address": "127.0.0.1:18101", "state": "draining", "since_s": 0.0,
        "status": "MAINT", "weight": 1, "sessions": 2, "queue": 0, "rate": 0, "requests": 7, "errors": 0,
    }  # fmt: skip
    other: BalancedSlot = {**slot, "slot": 2, "state": "active", "sessions": 3}
    gone: BalancedSlot = {**slot, "slot": 3, "instance": None}
    late: BalancedSlot = {**slot, "slot": 4, "sessions": 9}
    balance: Balance = {
        "service": "web", "up": True, "listen": "127.0.0.1:8000", "mode": "http", "algorithm": "leastconn",
        "slots": [slot, other, gone, late], "free": 4, "requests": 10, "load": 5.0,
        "carried": {"web@1": 7, "web@2": 3},
    }  # fmt: skip
    found = carried_by([balance])
    assert (found["web@1"]["slot"], found["web@1"]["sessions"], found["web@1"]["requests"]) == ("active", 3, 7)
    assert (found["web@2"]["slot"], found["web@2"]["requests"]) == (None, 3)


def test_load_is_requests_per_balanced_instance() -> None:
    counts = Counts()
    counts.carried(10)
    counts.carried(5)
    assert counts.ratios(0, 0)["load"] == 7.5
    assert Counts().ratios(0, 0)["load"] is None
    assert balanced_at(PLAIN, "plain") == ""


def test_draining_in_words() -> None:
    one = Instance("web@1", WEB, lambda: 0.5)
    one.state, one.goal, one.draining, one.until = State.STOPPING, Goal.DOWN, True, 12.0
    view = instance_view(one, 10.0)
    assert (view["drain_s"], view["kill_in_s"]) == (2.0, None)
    assert "its requests are answered, then it is stopped; it is stopped in any case" in str(prospect(view))
    assert phrase("drain-timeout", {"drain_s": 30.0}) == (
        "requests were left after 30 s of draining; stopped all the same"
    )
