"""What the daemon tells the dead-man of the trees that run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from supervisor.core.cluster.lease import Lease
from supervisor.core.cluster.placement import Slot
from supervisor.core.services.lease_gate import LeaseGate, Told
from supervisor.daemon.cluster import member
from supervisor.daemon.cluster.member import Cluster


class Group(SimpleNamespace):
    """A control group that needs no kernel."""


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A daemon with one exclusive instance of epoch 7, which runs in a control group; `said`: to the dead-man."""
    monkeypatch.setattr(member, "CgroupTree", Group)
    instance = SimpleNamespace(
        name="beat", epoch=7, alive=True, spec=SimpleNamespace(exclusive=True, name="beat", instances=("beat",))
    )
    gate, said = LeaseGate(), []
    guarded: list[frozenset[tuple[str, int]]] = []
    service_set = SimpleNamespace(
        instances={"beat": instance},
        roster=SimpleNamespace(gate=gate),
        guard=lambda known, _now: guarded.append(known) or [],
        ended_with_lease=lambda *_: [],
    )
    made = object.__new__(Cluster)
    made._parts = SimpleNamespace(  # type: ignore[assignment]
        service_set=service_set,
        now=lambda: 1000.0,
        id="here",
        processes=SimpleNamespace(by_instance={"beat": SimpleNamespace(tree=Group(path="/none"))}),
        engine=SimpleNamespace(order=lambda _actions: None),
        say=lambda *_: None,
    )
    made._known, made._grouped, made._ahead = {}, set(), 50.0
    made._dead_man = SimpleNamespace(send=lambda packet, _given=None: said.append(packet.decode().split()))  # type: ignore[assignment]
    return SimpleNamespace(cluster=made, gate=gate, said=said, guarded=guarded)


def test_a_tree_without_a_lease_gets_no_time(daemon: Any) -> None:
    """The agent has not spoken yet: the dead-man keeps the end that it knows, and a later daemon does not extend it."""
    daemon.cluster._tell_trees()
    [(verb, name, epoch, kill_at, _mark)] = daemon.said
    assert (verb, name, epoch) == ("watch", "beat", "7")
    assert float(kill_at) == 0.0


def test_a_tree_with_a_lease_gets_its_time(daemon: Any) -> None:
    slot = Slot("beat", 0)
    daemon.gate.hear(Told("a", {slot: Lease("beat", 0, 7, 990.0, 1005.0, 1008.0)}), 1000.0)
    daemon.cluster._tell_trees()
    assert float(daemon.said[0][3]) == 1058.0


@pytest.mark.parametrize(("kill_at", "known"), [(1000.0, False), (1000.1, True)], ids=["over", "not over"])
def test_a_lease_that_is_over_is_not_told(daemon: Any, kill_at: float, known: bool) -> None:
    """The dead-man would say at once that it has killed it, be told again, and kill what starts when it is renewed."""
    plan = SimpleNamespace(service=lambda _name: SimpleNamespace(instances=("beat",)))
    daemon.cluster._parts.service_set.plan = plan
    told = Told("a", {Slot("beat", 0): Lease("beat", 0, 7, 990.0, 997.0, kill_at)})
    daemon.cluster._watch_leases(told)
    assert [said[:3] for said in daemon.said] == [["watch", "beat", "7"]] * known


def test_what_the_dead_man_calls_gone_is_not_guarded_any_more(daemon: Any) -> None:
    daemon.cluster._known["beat", 7] = True
    daemon.cluster._dead_man_said(b"gone beat 7 killed")
    assert daemon.guarded == [frozenset()]
