"""Slots by properties: whatever is wanted and seen, in whatever order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.balancing.slots import Seen, Slots, SlotState, Wanted

ADDRESSES = [f"127.0.0.1:{port}" for port in range(18101, 18107)]

wanted_lists = st.lists(
    st.builds(
        Wanted,
        st.sampled_from([f"web@{i}" for i in range(1, 7)]),
        st.integers(1, 3),
        st.sampled_from(ADDRESSES),
        st.booleans(),
        st.booleans(),
    ),
    max_size=6,
    unique_by=(lambda one: one.instance, lambda one: one.address),
)
looks = st.lists(
    st.builds(Seen, st.integers(1, 5), st.booleans(), st.sampled_from(ADDRESSES), st.integers(0, 2)),
    max_size=5,
    unique_by=lambda seen: seen.number,
)


@pytest.mark.slow
@given(st.lists(st.tuples(wanted_lists, looks, st.booleans()), max_size=12))
def test_whatever_is_wanted_and_seen(steps: list[tuple[list[Wanted], list[Seen], bool]]) -> None:
    slots, now = Slots(4), 0.0
    for wanted, seen, answered in steps:
        now += 1.0
        slots.want(wanted, now)
        sent = slots.commands()
        slots.look(seen, now, now, whole=True)
        now += 1.0
        if answered:
            for command in sent:
                slots.confirmed(command, now)
        else:
            slots.lost(sent, now)
        slots.want(wanted, now)
        serving = {one.instance: one for one in wanted if one.serving}
        active = {slot.instance: slot for slot in slots.slots if slot.state is SlotState.ACTIVE}
        assert active.keys() <= serving.keys(), "only what serves has a slot"
        assert all(slot.address == serving[name].address for name, slot in active.items())
        free = [slot for slot in slots.slots if slot.state is SlotState.FREE]
        assert not slots.lacking or not free
        for command in slots.commands():
            slot = slots.slots[command.number - 1]
            assert command.ready is (slot.state is SlotState.ACTIVE) or slot.ready, "only what is in force is sent"


def settled(wanted: list[Wanted], count: int = 2) -> Slots:
    """All wanted instances have their slots in HAProxy."""
    slots = Slots(count)
    slots.want(wanted, 0.0)
    slots.look([Seen(n, False, "") for n in range(1, count + 1)], 0.0, 0.0, whole=True)
    slots.want(wanted, 0.0)
    for command in slots.commands():
        slots.confirmed(command, 1.0)
    return slots


ONE = Wanted("web@1", 1, ADDRESSES[0], serving=True)


def test_a_slot_is_used_again_only_after_a_look_after_maintenance() -> None:
    slots = settled([ONE], 1)
    two = Wanted("web@2", 1, ADDRESSES[1], serving=True)
    leaving = ONE._replace(serving=False, leaving=True)
    slots.want([leaving, two], 2.0)
    (maintenance,) = slots.commands()
    slots.look([Seen(1, True, ONE.address)], 2.0, 2.1, whole=True)  # before HAProxy has confirmed
    assert slots.drained() == []
    slots.confirmed(maintenance, 3.0)
    slots.look([Seen(1, False, ONE.address)], 2.5, 3.1, whole=True)  # it began before that
    assert slots.drained() == []
    slots.look([Seen(1, False, ONE.address, sessions=1)], 3.2, 3.3, whole=True)
    assert slots.drained() == []
    assert slots.lacking == 1
    for used in (Seen(1, False, ONE.address, queue=1), Seen(1, False, ONE.address, connections=1)):
        slots.look([used], 3.4, 3.5, whole=True)
        assert slots.drained() == []
    slots.look([Seen(1, False, ONE.address)], 4.0, 4.1, whole=True)
    assert slots.drained() == ["web@1"]
    slots.want([leaving, two], 4.2)
    assert [(c.ready, c.address) for c in slots.commands()] == [(True, two.address)]


def test_an_instance_that_was_suspected_falsely_gets_its_slot_back() -> None:
    slots = settled([ONE])
    slots.want([ONE._replace(serving=False)], 2.0)
    (maintenance,) = slots.commands()
    slots.want([ONE], 2.1)
    assert slots.commands() == []  # the answer is awaited
    slots.confirmed(maintenance, 2.2)
    assert [(c.number, c.ready) for c in slots.commands()] == [(1, True)]


def test_a_later_run_takes_another_slot_while_the_first_one_drains() -> None:
    slots = settled([ONE])
    again = ONE._replace(incarnation=2)
    slots.want([again], 2.0)
    assert [(c.number, c.ready) for c in slots.commands()] == [(1, False), (2, True)]


def test_a_slot_that_was_changed_from_outside_is_set_again() -> None:
    slots = settled([ONE])
    slots.look([Seen(1, False, ONE.address), Seen(2, True, ADDRESSES[3])], 2.0, 2.1, whole=True)
    assert [(c.number, c.ready) for c in slots.commands()] == [(1, True), (2, False)]


def test_an_address_changes_only_in_maintenance() -> None:
    slots = settled([ONE])
    slots.look([Seen(1, True, ADDRESSES[3])], 2.0, 2.1, whole=True)
    (maintenance,) = slots.commands()
    assert not maintenance.ready
    slots.confirmed(maintenance, 2.2)
    assert [(c.ready, c.address) for c in slots.commands()] == [(True, ONE.address)]


def test_a_later_daemon_takes_over_what_serves() -> None:
    slots = Slots(2)
    slots.want([ONE], 0.0)
    seen = [Seen(1, False, ADDRESSES[5], sessions=1), Seen(2, True, ONE.address), Seen(3, True, ADDRESSES[4])]
    slots.look(seen, 0.0, 0.1, whole=True)
    states = [(slot.state, slot.instance) for slot in slots.slots]
    assert states == [(SlotState.DRAINING, ""), (SlotState.ACTIVE, "web@1"), (SlotState.DRAINING, "")]
    slots.want([ONE], 0.2)
    assert [(c.number, c.ready) for c in slots.commands()] == [(3, False)]


def test_more_slots_after_a_reload() -> None:
    slots = settled([ONE], 1)
    two = Wanted("web@2", 1, ADDRESSES[1], serving=True)
    slots.want([ONE, two], 2.0)
    assert slots.lacking == 1
    slots.grow(4)
    slots.want([ONE, two], 2.1)
    assert slots.lacking == 0
    assert slots.commands() == []  # HAProxy does not have them yet
    slots.begin()
    assert slots.commands() == []
    assert slots.unsettled
    slots.look([Seen(n, False, "") for n in range(1, 5)], 2.2, 2.3, whole=True)
    slots.want([ONE, two], 2.4)
    ready = {(c.number, c.address) for c in slots.commands() if c.ready}
    assert ready == {(1, ONE.address), (2, two.address)}
    assert not slots.unsettled


def test_a_fresh_process_serves_what_the_file_says() -> None:
    slots = settled([ONE])
    slots.want([ONE._replace(incarnation=2)], 2.0)
    assert slots.draining == [1]
    slots.fresh(3.0)
    slots.want([ONE._replace(incarnation=2)], 3.0)
    assert slots.draining == []
    assert [slot.state for slot in slots.slots].count(SlotState.ACTIVE) == 1
    assert not slots.read


def test_a_look_at_some_slots_says_nothing_of_the_others() -> None:
    slots = Slots(2)
    slots.look([Seen(1, False, "")], 0.0, 0.1, whole=False)
    assert slots.unsettled, "the second one is not known"
    slots.look([Seen(1, False, ""), Seen(2, False, "")], 0.2, 0.3, whole=True)
    assert not slots.unsettled
