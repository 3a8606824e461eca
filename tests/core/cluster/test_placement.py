"""Which host should hold which slot: tables, and what holds of all hosts and services."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.core.cluster.placement import Candidate, Rules, Slot, place, why_not

BOTH = frozenset({"beat", "web"})


def host(
    node: str, zone: str = "", *, services: frozenset[str] = BOTH, drained: bool = False, takes: bool = True
) -> Candidate:
    return Candidate(node, {"zone": zone} if zone else {}, services, drained, takes)


BEAT, WEB = Slot("beat", 0), Slot("web", 0)
THREE = (host("a", "x"), host("b", "x"), host("c", "y"))


def web(number: int) -> Slot:
    return Slot("web", number)


@pytest.mark.parametrize(
    ("rules", "hosts", "owners", "moves", "expected"),
    [
        pytest.param(Rules("beat"), THREE, {}, {}, {BEAT: "a"}, id="a free slot: the name decides last"),
        pytest.param(Rules("beat"), THREE, {BEAT: "c"}, {}, {BEAT: "c"}, id="the owner keeps it"),
        pytest.param(Rules("beat"), THREE, {BEAT: "d"}, {}, {BEAT: "d"}, id="an owner that is away: its session lives"),
        pytest.param(Rules("beat"), (), {}, {}, {}, id="no host"),
        pytest.param(Rules("beat"), (host("a", takes=False),), {}, {}, {}, id="a host that takes nothing"),
        pytest.param(
            Rules("beat"), (host("a", takes=False), host("b")), {BEAT: "a"}, {}, {BEAT: "a"},
            id="a host that takes nothing keeps what it has",
        ),
        pytest.param(
            Rules("beat"), (host("a", drained=True), host("b")), {BEAT: "a"}, {}, {BEAT: "b"},
            id="a drained host gives it back",
        ),
        pytest.param(Rules("beat"), (host("a", drained=True),), {BEAT: "a"}, {}, {}, id="no other host"),
        pytest.param(
            Rules("beat"), (host("a", services=frozenset()), host("b")), {BEAT: "a"}, {}, {BEAT: "b"},
            id="an owner with other rules gives it back",
        ),
        pytest.param(Rules("beat", require={"zone": "y"}), THREE, {}, {}, {BEAT: "c"}, id="a required label"),
        pytest.param(
            Rules("beat", require={"zone": "y"}), THREE, {BEAT: "a"}, {}, {BEAT: "c"}, id="the owner has it no more"
        ),
        pytest.param(Rules("beat", prefer={"zone": "y"}), THREE, {}, {}, {BEAT: "c"}, id="a preferred label"),
        pytest.param(
            Rules("beat", prefer={"zone": "y"}), THREE, {BEAT: "a"}, {}, {BEAT: "a"}, id="a better host moves nothing"
        ),
        pytest.param(
            Rules("beat", prefer={"zone": "z"}), THREE, {}, {}, {BEAT: "a"}, id="no host has the preferred label"
        ),
        pytest.param(Rules("beat"), THREE, {BEAT: "a"}, {BEAT: "c"}, {BEAT: "c"}, id="an order moves it"),
        pytest.param(Rules("beat"), THREE, {}, {BEAT: "b"}, {BEAT: "b"}, id="an order for a free slot"),
        pytest.param(Rules("beat"), THREE, {BEAT: "a"}, {BEAT: "d"}, {BEAT: "a"}, id="an order to a host that is away"),
        pytest.param(
            Rules("beat"), (host("a"), host("b", drained=True)), {BEAT: "a"}, {BEAT: "b"}, {BEAT: "a"},
            id="an order to a drained host",
        ),
        pytest.param(
            Rules("beat"), (host("a"), host("b", takes=False)), {BEAT: "a"}, {BEAT: "b"}, {BEAT: "a"},
            id="an order to a host that takes nothing",
        ),
        pytest.param(
            Rules("web", 3), THREE, {}, {}, {web(0): "a", web(1): "b", web(2): "c"}, id="spread over the hosts"
        ),
        pytest.param(
            Rules("web", 2, apart="zone"), THREE, {}, {}, {web(0): "a", web(1): "c"}, id="spread over a label first"
        ),
        pytest.param(
            Rules("web", 4, apart="zone"), THREE, {}, {},
            {web(0): "a", web(1): "c", web(2): "b", web(3): "c"}, id="then over its hosts",
        ),
        pytest.param(
            Rules("web", 3), THREE[:2], {web(0): "a", web(1): "b", web(2): "c"}, {},
            {web(0): "a", web(1): "b", web(2): "c"}, id="a session that lives on",
        ),
        pytest.param(
            Rules("web", 3), THREE[:2], {web(0): "a", web(1): "b"}, {},
            {web(0): "a", web(1): "b", web(2): "a"}, id="a host died",
        ),
    ],
)  # fmt: skip
def test_placement(
    rules: Rules, hosts: tuple[Candidate, ...], owners: dict[Slot, str], moves: dict[Slot, str],
    expected: dict[Slot, str],
) -> None:  # fmt: skip
    assert place([rules], hosts, owners, moves) == expected


def test_services_are_spread_over_the_hosts_together() -> None:
    assert place([Rules("web"), Rules("beat")], THREE[:2], {}) == {BEAT: "a", WEB: "b"}


@pytest.mark.parametrize(
    ("candidate", "expected"),
    [
        (host("a", "x"), ""),
        (host("a", "x", services=frozenset()), "its configuration has other rules for it"),
        (host("a", "x", drained=True), "it is drained"),
        (host("a", "y"), "it has not the label zone = x"),
    ],
)
def test_why_a_host_may_not_hold_it(candidate: Candidate, expected: str) -> None:
    assert why_not(Rules("beat", require={"zone": "x"}), candidate) == expected


# -- what holds of all -------------------------------------------------------------------------------------------------

NODES = "abcde"
candidates = st.lists(
    st.builds(
        host, st.sampled_from(NODES), st.sampled_from(["", "x", "y"]), drained=st.booleans(), takes=st.booleans(),
        services=st.sampled_from([BOTH, frozenset({"web"}), frozenset()]),
    ),
    unique_by=lambda one: one.node,
)  # fmt: skip
some_labels = st.sampled_from([{}, {"zone": "x"}])
some_rules = st.tuples(
    st.builds(Rules, st.just("beat"), require=some_labels),
    st.builds(
        Rules, st.just("web"), st.integers(1, 5), require=some_labels, prefer=some_labels,
        apart=st.sampled_from(["", "zone"]),
    ),
)  # fmt: skip
some_slots = st.dictionaries(st.sampled_from([BEAT, *(web(n) for n in range(5))]), st.sampled_from(NODES))


@given(candidates, some_rules, some_slots, some_slots, st.randoms())
def test_it_is_the_same_on_every_host(
    hosts: list[Candidate], rules: tuple[Rules, ...], owners: dict[Slot, str], moves: dict[Slot, str],
    dice: random.Random,
) -> None:  # fmt: skip
    """In whatever order a host has read the facts."""
    other_hosts, other_owners = hosts[:], list(owners.items())
    dice.shuffle(other_hosts)
    dice.shuffle(other_owners)
    assert place(rules, hosts, owners, moves) == place(rules[::-1], other_hosts, dict(other_owners), moves)


@given(candidates, some_rules, some_slots, some_slots)
def test_only_a_host_that_may_hold_a_slot_gets_it(
    hosts: list[Candidate], rules: tuple[Rules, ...], owners: dict[Slot, str], moves: dict[Slot, str]
) -> None:
    known, by_name = {one.node: one for one in hosts}, {one.service: one for one in rules}
    placed = place(rules, hosts, owners, moves)
    for slot, node in placed.items():
        if node not in known:
            assert owners[slot] == node, "its session lives"
        else:
            assert not why_not(by_name[slot.service], known[node])
            assert known[node].may_take or owners.get(slot) == node
    for rule in rules:
        takers = [one for one in hosts if one.may_take and not why_not(rule, one)]
        slots = [Slot(rule.service, number) for number in range(rule.slots)]
        assert not takers or all(slot in placed for slot in slots), "no slot is left where a host is eligible"


@given(candidates, some_rules, some_slots, some_slots)
def test_what_is_placed_stays(
    hosts: list[Candidate], rules: tuple[Rules, ...], owners: dict[Slot, str], moves: dict[Slot, str]
) -> None:
    placed = place(rules, hosts, owners, moves)
    assert place(rules, hosts, placed, moves) == placed
    assert place(rules, hosts, placed) == placed, "also when the order is gone"


@given(candidates, some_rules, some_slots, st.sampled_from(NODES))
def test_a_host_that_comes_or_goes_moves_nothing_of_the_others(
    hosts: list[Candidate], rules: tuple[Rules, ...], owners: dict[Slot, str], node: str
) -> None:
    before = place(rules, hosts, owners)
    after = place(rules, [*(one for one in hosts if one.node != node), host(node)], before)
    assert all(after[slot] == owner for slot, owner in before.items() if owner != node)


@settings(max_examples=50)
@given(st.integers(1, 12), st.integers(1, 5))
def test_a_spread_service_is_balanced(slots: int, number: int) -> None:
    placed = place([Rules("web", slots)], [host(node) for node in NODES[:number]], {})
    counts = Counter(placed.values())
    assert len(placed) == slots
    assert max(counts.values()) - min(counts[node] for node in NODES[:number]) <= 1


several = st.dictionaries(st.sampled_from(["beat", "cron", "mail", "web"]), st.integers(1, 7), min_size=1)


@pytest.mark.slow
@given(several, st.integers(1, 5), st.randoms())
def test_hosts_that_take_one_slot_after_the_other_get_equal_shares(
    services: dict[str, int], number: int, dice: random.Random
) -> None:
    """Whichever host is the next one that takes something, by what it sees then."""
    rules = [Rules(service, slots) for service, slots in services.items()]
    hosts = [host(node, services=frozenset(services)) for node in NODES[:number]]
    owners: dict[Slot, str] = {}
    while len(owners) < sum(services.values()):
        node = dice.choice(NODES[:number])
        wanted = [slot for slot, at in place(rules, hosts, owners).items() if at == node and slot not in owners]
        if wanted:
            owners[dice.choice(wanted)] = node
    counts = Counter(dict.fromkeys(NODES[:number], 0))
    counts.update(owners.values())
    assert max(counts.values()) - min(counts.values()) <= 1
    assert place(rules, hosts, owners) == owners, "and nothing moves then"


@given(several, st.integers(2, 5), st.data())
def test_the_slots_of_a_host_that_died_are_shared_by_the_others(
    services: dict[str, int], number: int, data: st.DataObject
) -> None:
    rules = [Rules(service, slots) for service, slots in services.items()]
    hosts = [host(node, services=frozenset(services)) for node in NODES[:number]]
    before = place(rules, hosts, {})
    dead = data.draw(st.sampled_from(NODES[:number]))
    left = [one for one in hosts if one.node != dead]
    after = place(rules, left, {slot: node for slot, node in before.items() if node != dead})
    assert after.keys() == before.keys() and dead not in after.values()
    assert all(after[slot] == node for slot, node in before.items() if node != dead)
    for service, slots in services.items():
        counts = Counter(after[Slot(service, one)] for one in range(slots))
        assert max(counts.values()) - min(counts[one.node] for one in left) <= 1
