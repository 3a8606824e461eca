"""Heartbeats between hosts: what is one, and what real sockets carry."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.cluster.beat_packet import LARGEST, Reader, key_of, packed
from supervisor.cluster.beats import Beats
from supervisor.core.cluster.documents import Member

KEY, OTHER = key_of("secret", "boot"), key_of("secret", "next boot")
KEYS = {"b": KEY, "c": OTHER}


def test_a_beat_counts_once() -> None:
    reader = Reader("a")
    assert reader.sender(packed("b", "a", 7, KEY), KEYS) == "b"
    for number, sender in ((7, ""), (6, ""), (8, "b")):
        assert reader.sender(packed("b", "a", number, KEY), KEYS) == sender
    assert reader.sender(packed("b", "a", 1, OTHER), {"b": OTHER}) == "b", "numbers belong to a key"
    assert reader.sender(packed("b", "a", 8, KEY), KEYS) == "b", "a key that was given up is forgotten"


@pytest.mark.parametrize(
    "packet",
    [
        b"", b"x", packed("b", "z", 9, KEY), packed("b", "a", 9, OTHER), packed("c", "a", 9, KEY),
        packed("x", "a", 9, KEY), packed("b", "a", 9, ""), packed("b", "a", 9, KEY)[:-1],
        packed("b", "a", 9, KEY).replace(b" 9 ", b" 10 "), packed("b", "a", 9, KEY) + b" ",
        packed("b", "a", -9, KEY), packed("b", "a", 10**30, KEY), packed("b", "a x", 9, KEY),
        packed("b" * LARGEST, "a", 9, KEY), packed("b", "a", 9, KEY).replace(b"beat 1", b"beat 2"),
    ],
)  # fmt: skip
def test_what_is_no_beat_of_a_member(packet: bytes) -> None:
    assert Reader("a").sender(packet, {**KEYS, "d": ""}) == ""


@given(st.binary(max_size=200))
def test_any_bytes_are_read(packet: bytes) -> None:
    assert Reader("a").sender(packet, KEYS) == ""


@contextmanager
def beating(node: str, host: str, key: str) -> Iterator[tuple[Beats, str]]:
    made = Beats(node, (host, 0), key, 3.0, 10.0)
    with closing(socket.socket(fileno=os.dup(made.fileno()))) as bound:
        port = bound.getsockname()[1]
    shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        yield made, shown
    finally:
        socket.socket(fileno=made.fileno()).close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_members_hear_each_other(host: str) -> None:
    with beating("a", host, KEY) as (a, at_a), beating("b", host, OTHER) as (b, at_b):
        there = {
            "a": Member("a", at_a, key=KEY), "b": Member("b", at_b, key=OTHER), "c": Member("c", "web:1", key="k"),
            "d": Member("d", "10.0.0.1:1"),
        }  # fmt: skip
        for one in (a, b):
            one.members(there, 100.0)
        for n in range(3):  # a datagram on loopback is there when it is sent
            moment = 100.0 + 0.3 * n
            for one in (a, b):
                assert not one.turn(moment) and moment < one.due <= moment + 0.3
        assert (a.suspicion.alive(), b.suspicion.alive()) == (["b"], ["a"])
        b.members({"b": there["b"]}, 101.0)
        a.turn(101.0)
        b.turn(101.0)
        assert b.suspicion.alive() == ["a"], "one that left the registry is still heard"
        moment = 101.0
        while not b.suspicion.suspects():
            moment = b.due
            b.turn(moment)
        assert moment <= 101.0 + 3.0 + 0.001


def test_an_address_that_is_taken() -> None:
    with beating("a", "127.0.0.1", KEY) as (_, shown), pytest.raises(OSError, match="in use"):
        Beats("b", ("127.0.0.1", int(shown.rpartition(":")[2])), OTHER, 3.0, 10.0)
