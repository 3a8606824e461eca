"""Instances of other hosts behind our HAProxy, and ours behind theirs."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.balancing.slots import Wanted
from supervisor.core.cluster.share import Offer, Share
from supervisor.core.services.other_hosts import Host, OtherHosts

NOBODY: frozenset[str] = frozenset()
NOTHING: frozenset[tuple[str, int]] = frozenset()
FIRST, SECOND = Offer("web@1", 1, 8001), Offer("web@2", 1, 8002)
KEEP = 10.0


def host(
    node: str, *offers: Offer, serial: str = "x.0", suspect: bool = False, takes: tuple[str, ...] = ("web",),
    **settled: str,
) -> Host:  # fmt: skip
    return Host(node, f"10.0.0.{ord(node)}:9180", Share({"web": offers}, takes, serial, settled), suspect)


def rules(*hosts: Host, heard: Iterable[str] = ()) -> OtherHosts:
    made = OtherHosts("a", "r", KEEP)
    made.hear(hosts, frozenset(heard), 0.0)
    return made


def serving(made: OtherHosts) -> list[str]:
    return [one.instance for one in made.wanted("web") if one.serving]


def test_what_others_offer_takes_requests() -> None:
    made = rules(host("c", FIRST), host("b", FIRST, SECOND), host("a", SECOND))
    assert made.wanted("web") == [
        Wanted("b/web@1", 1, "10.0.0.98:8001", True),
        Wanted("b/web@2", 1, "10.0.0.98:8002", True),
        Wanted("c/web@1", 1, "10.0.0.99:8001", True),
    ]
    assert made.wanted("other") == []


def test_a_host_under_suspicion_takes_none_until_it_is_heard_again() -> None:
    made = rules(host("b", FIRST))
    assert made.hear([host("b", FIRST, suspect=True)], NOBODY, 1.0)
    assert serving(made) == [] and len(made.wanted("web")) == 1
    assert made.hear([host("b", FIRST)], NOBODY, 2.0)
    assert not made.hear([host("b", FIRST)], NOBODY, 2.5)
    assert serving(made) == ["b/web@1"]


def test_a_host_without_a_numeric_address_gets_none() -> None:
    assert rules(Host("b", "web.example:9180", Share({"web": (FIRST,)}))).wanted("web") == []


@pytest.mark.parametrize(
    ("heard", "moment", "there"),
    [((), 0.1, False), (("b",), 0.1, True), (("b",), KEEP - 0.1, True), (("b",), KEEP, False)],
)
def test_a_host_that_vanished(heard: tuple[str, ...], moment: float, there: bool) -> None:
    """Its session may have ended for a moment: what is heard of it counts, for a while."""
    made = rules(host("b", FIRST))
    made.hear([], frozenset(heard), 100.0)
    made.hear([], frozenset(heard), 100.0 + moment)
    assert bool(serving(made)) is there


def test_a_host_that_came_back_may_vanish_again() -> None:
    made = rules(host("b", FIRST))
    for moment in (100.0, 200.0):
        made.hear([], frozenset("b"), moment)
        assert serving(made) == ["b/web@1"]
        made.hear([host("b", FIRST)], frozenset("b"), moment + 1.0)
    made.hear([host("b")], frozenset("b"), 300.0)
    assert serving(made) == [], "one that is there has withdrawn it"


def test_a_withdrawn_instance_waits_for_those_that_take_it() -> None:
    made = rules(host("b"), host("c", takes=("other",)), host("d", suspect=True))
    assert made.share({"web": (FIRST, SECOND)}, ["web"], NOTHING).serial == "r.0"
    assert not made.released("web@1", 1), "it is not withdrawn yet"
    assert made.share({"web": (SECOND,)}, ["web"], NOTHING).serial == "r.1"
    assert not made.released("web@1", 1)
    for told, done in (("r.0", False), ("q.1", False), ("r.1", True)):
        made.hear([host("b", a=told), host("d", suspect=True)], NOBODY, 1.0)
        assert made.released("web@1", 1) is done, told
    assert made.released("never", 1)


def test_one_that_is_offered_again_is_not_released() -> None:
    made = rules(host("b", a="r.1"))
    made.share({"web": (FIRST,)}, ["web"], NOTHING)
    made.share({}, ["web"], NOTHING)
    made.share({"web": (FIRST,)}, ["web"], NOTHING)
    assert not made.released("web@1", 1)
    assert made.share({}, ["web"], NOTHING).serial == "r.2"
    assert not made.released("web@1", 1), "b has settled the withdrawal before this one"


@pytest.mark.parametrize("gone", [True, False])
def test_who_cannot_be_told_is_not_waited_for(gone: bool) -> None:
    made = rules(host("b"))
    made.share({"web": (FIRST,)}, ["web"], NOTHING)
    made.share({}, ["web"], NOTHING)
    assert not made.released("web@1", 1)
    assert made.hear([] if gone else [host("b")], NOBODY, 1.0, away=not gone)
    assert made.released("web@1", 1)


@pytest.mark.parametrize(
    ("used", "told"),
    [
        (frozenset(), {"b": "x.7"}),
        (frozenset({("b/web@1", 1)}), {"b": "x.7"}),
        (frozenset({("c/web@2", 1)}), {"b": "x.7"}),
        (frozenset({("b/web@2", 1)}), {}),
        (frozenset({("b/web@1", 0)}), {}),
        (None, {}),
    ],
)
def test_what_is_used_decides_what_is_settled(used: frozenset[tuple[str, int]] | None, told: dict[str, str]) -> None:
    made = rules(host("b", FIRST, serial="x.7"))
    assert made.share({}, ["web"], used).settled == told


def test_what_was_settled_stays_so_while_the_next_is_drained() -> None:
    made = rules(host("b", FIRST, serial="x.7"))
    made.share({}, ["web"], NOTHING)
    made.hear([host("b", serial="x.8")], NOBODY, 1.0)
    assert made.share({}, ["web"], frozenset({("b/web@1", 1)})).settled == {"b": "x.7"}
    assert made.share({}, ["web"], NOTHING).settled == {"b": "x.8"}
    assert made.share({}, [], NOTHING).settled == {}
    made.hear([], NOBODY, 2.0)
    assert made.share({}, ["web"], NOTHING).settled == {}


STEPS = st.lists(st.sampled_from(("offer", "withdraw", "a hears", "b hears", "drain")), max_size=40)


@given(STEPS)
def test_nothing_is_released_while_another_host_may_send_to_it(steps: list[str]) -> None:
    """Two hosts and a registry that tells late: whatever the order, an instance of `a` that was once offered is
    released only while no slot of `b` has it, and no news that would give it one is on its way."""
    a, b = OtherHosts("a", "r", KEEP), OtherHosts("b", "s", KEEP)
    offered: tuple[Offer, ...] = ()
    used: frozenset[tuple[str, int]] = NOTHING
    of_a, of_b = a.share({}, ["web"], NOTHING), b.share({}, ["web"], NOTHING)
    incarnation = 0
    for now, step in enumerate(steps):
        if step == "offer" and not offered:
            incarnation += 1
            offered = (Offer("web@1", incarnation, 8001),)
        elif step == "withdraw":
            offered = ()
        elif step == "b hears":
            b.hear([Host("a", "10.0.0.1:1", of_a)], NOBODY, now)
            used |= {(one.instance, one.incarnation) for one in b.wanted("web")}
        elif step == "a hears":
            a.hear([Host("b", "10.0.0.2:1", of_b)], NOBODY, now)
        elif step == "drain":
            used &= {(one.instance, one.incarnation) for one in b.wanted("web")}
        of_a = a.share({"web": offered}, ["web"], NOTHING)
        of_b = b.share({}, ["web"], used)
        known = "a hears" in steps[: now + 1]  # before that `a` knows of no other host
        if known and incarnation and a.released("web@1", incarnation):
            assert ("a/web@1", incarnation) not in used
