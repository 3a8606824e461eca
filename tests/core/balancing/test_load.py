"""What instances have carried, over slots and workers."""

from __future__ import annotations

from supervisor.core.balancing.answers import Statistics
from supervisor.core.balancing.load import Load
from supervisor.core.balancing.slots import Seen, Slot, SlotState
from supervisor.core.model.spec import BalanceSpec, ServiceSpec

SPEC = ServiceSpec(
    name="web", command=("web",), replicas=2, balance=BalanceSpec(listen=("::1", 8000), server="127.0.0.1:{port}")
)


def row(number: int, requests: int, errors: int = 0) -> Statistics:
    return Statistics("web", Seen(number, True, "127.0.0.1:18101", 2), "UP", 1, requests, 3, errors)


def test_requests_are_counted_by_instance_whatever_slot_and_worker() -> None:
    load = Load()
    first = Slot(1, SlotState.ACTIVE, "web@1", 1, "127.0.0.1:18101", since=5.0)
    second = Slot(2, SlotState.ACTIVE, "web@2", 1, "127.0.0.1:18102")
    slots = {"web": [first, second, Slot(3)]}
    load.take([row(1, 10), row(2, 20), row(3, 5), row(9, 5)], 100, slots)
    load.take([row(1, 15, 2), row(2, 26)], 100, slots)
    first.instance, second.instance = "web@2", "web@1"
    load.take([row(1, 16, 2), row(2, 26)], 100, slots)
    load.take([row(1, 4, 1), row(2, 30)], 200, slots)  # another worker counts from zero
    view = load.view(SPEC, slots["web"], up=True, now=7.0)
    assert view["carried"] == {"web@1": 5 + 30, "web@2": 6 + 1 + 4}
    assert (view["requests"], view["load"], view["free"], view["listen"]) == (46, 23.0, 1, "[::1]:8000")
    assert [one["instance"] for one in view["slots"]] == ["web@2", "web@1"]
    shown = view["slots"][0]
    assert (shown["sessions"], shown["rate"], shown["status"], shown["since_s"]) == (2, 3, "UP", 2.0)


def test_an_instance_of_another_host_counts_while_it_has_a_slot() -> None:
    load, slots = Load(), [Slot(1, SlotState.ACTIVE, "b/web@1", 1, "10.0.0.2:80"), Slot(2)]
    load.take([row(1, 10)], 100, {"web": slots})
    load.take([row(1, 13)], 100, {"web": slots})
    view = load.view(SPEC, slots, up=True, now=7.0)
    assert view["carried"] == {"web@1": 0, "web@2": 0, "b/web@1": 3} and view["load"] == 1.0


def test_a_slot_that_was_never_looked_at() -> None:
    view = Load().view(SPEC, [Slot(1, SlotState.DRAINING, "", 0, "127.0.0.1:9")], up=False, now=1.0)
    (shown,) = view["slots"]
    assert (shown["instance"], shown["status"], shown["weight"], shown["requests"]) == (None, None, None, 0)
