"""What members tell each other of balanced instances: bounded, and without what makes no sense."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.cluster import share
from supervisor.core.cluster.documents import Member, dump, member
from supervisor.core.cluster.share import Offer, Share, document, host_number, reached, read

NAMES = st.text("abz@-._09", min_size=1, max_size=12)
OFFERS = st.builds(Offer, NAMES, st.integers(0, 2**40), st.integers(1, 65535))
SHARES = st.builds(
    Share,
    st.dictionaries(NAMES, st.lists(OFFERS, max_size=4).map(tuple), max_size=4),
    st.lists(NAMES, max_size=4, unique=True).map(lambda names: tuple(sorted(names))),
    NAMES,
    st.dictionaries(NAMES, NAMES, max_size=4),
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


@given(SHARES)
def test_what_is_told_is_read_as_it_was(told: Share) -> None:
    assert read(json.loads(json.dumps(share.dump(told)))) == told


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(("offers", "takes", "serial", "settled"), ANYTHING)) | ANYTHING)
def test_nonsense_is_read_as_what_may_be_told(raw: Any) -> None:
    found = read(raw)
    assert read(share.dump(found)) == found


@given(SHARES)
def test_a_member_passes_it_on(told: Share) -> None:
    there = member(dump(Member("a", share=document(share.dump(told)))))
    assert there is not None and read(there.share) == told


def test_without_a_serial_nothing_is_told() -> None:
    assert document({"offers": {"web": [["web", 1, 80]]}}) == document(None) == {}


@pytest.mark.parametrize(
    "offer",
    [
        None, [], ["web", 1], ["web", 1, 80, 1], ["web", "1", 80], ["web", 1, "80"], ["web", True, 80], ["web", -1, 80],
        ["web", 1, 0], ["web", 1, 65536], ["", 1, 80], ["b/web", 1, 80], ["w\n", 1, 80], ["wäb", 1, 80],
        ["w" * 121, 1, 80], [1, 1, 80],
    ],
)  # fmt: skip
def test_no_offer(offer: object) -> None:
    assert read({"offers": {"web": [offer, ["web@2", 1, 80]]}}).offers == {"web": (Offer("web@2", 1, 80),)}


def test_it_is_bounded() -> None:
    long = "x" * 90
    offers = {f"{long}{n:03}": tuple(Offer(f"{long}{n}@{i}", 2**30, 65535) for i in range(9)) for n in range(120)}
    names = tuple(f"{long}{n:03}" for n in range(200))
    found = share.bounded(Share(offers, names, "r.1", dict.fromkeys(names, f"{long}.1")))
    assert sum(len(some) for some in found.offers.values()) == 200
    assert len(found.offers) == len(found.takes) == len(found.settled) == 100
    assert len(json.dumps(share.dump(found))) < 80 * 1024


@pytest.mark.parametrize(
    ("told", "holds"),
    [
        ("r.3", True), ("r.4", True), ("r.10", True), ("r.2", False), ("q.3", False), ("", False), ("r.", False),
        ("r.x", False), ("r", False), ("r.³", False), ("r." + "9" * 30, False),
    ],
)  # fmt: skip
def test_serials(told: str, holds: bool) -> None:
    assert reached(told, "r", 3) is holds


@pytest.mark.parametrize(
    ("host", "number"),
    [
        ("10.0.0.1", "10.0.0.1"), ("127.0.0.2", "127.0.0.2"), ("[fd00::1]", "[fd00::1]"), ("fd00::1", "[fd00::1]"),
        ("::1", "[::1]"), ("0.0.0.0", ""), ("224.0.0.1", ""), ("256.0.0.1", ""), ("10.0.0", ""), ("10.0.0.x", ""),
        ("1.0.0.0", "1.0.0.0"), ("223.255.255.255", "223.255.255.255"), ("10.256.0.1", ""), ("10.0.0.256", ""),
        ("10.0.0.0001", ""), ("::", ""), ("[ff02::1]", ""), ("a:b;c", ""), ("web.example", ""), ("", ""), ("face", ""),
    ],
)  # fmt: skip
def test_numeric_addresses(host: str, number: str) -> None:
    assert host_number(host) == number
