"""Heartbeats between hosts: what is one, and what real sockets carry."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.cluster.beat_packet import LARGEST, Kind, Packet, Reader, key_of, packed
from supervisor.cluster.beats import Beats
from supervisor.core.cluster.documents import Member

KEY, OTHER = key_of("secret", "boot"), key_of("secret", "next boot")
KEYS = {"b": KEY, "c": OTHER}


def test_a_beat_counts_once() -> None:
    reader = Reader("a")
    beat = partial(Packet, Kind.BEAT, "b")
    assert reader.read(packed("b", "a", 7, KEY), KEYS) == beat(7)
    for number, read in ((7, None), (6, None), (8, beat(8))):
        assert reader.read(packed("b", "a", number, KEY), KEYS) == read
    assert reader.read(packed("b", "a", 1, OTHER), {"b": OTHER}) == beat(1), "numbers belong to a key"
    assert reader.read(packed("b", "a", 8, KEY), KEYS) == beat(8), "a key that was given up is forgotten"


def test_a_question_counts_once_and_a_promise_as_often_as_it_comes() -> None:
    reader = Reader("a")
    question, promise = packed("b", "a", 7, KEY, Kind.ASK), packed("b", "a", 7, KEY, Kind.PROMISE, 2.5)
    assert reader.read(packed("b", "a", 9, KEY), KEYS) is not None
    assert reader.read(question, KEYS) == Packet(Kind.ASK, "b", 7), "heartbeats are counted apart"
    assert reader.read(question, KEYS) is None
    assert [reader.read(promise, KEYS) for _ in range(2)] == [Packet(Kind.PROMISE, "b", 7, 2.5)] * 2


@pytest.mark.parametrize(
    "packet",
    [
        b"", b"x", packed("b", "z", 9, KEY), packed("b", "a", 9, OTHER), packed("c", "a", 9, KEY),
        packed("x", "a", 9, KEY), packed("b", "a", 9, ""), packed("b", "a", 9, KEY)[:-1],
        packed("b", "a", 9, KEY).replace(b" 9 ", b" 10 "), packed("b", "a", 9, KEY) + b" ",
        packed("b", "a", -9, KEY), packed("b", "a", 10**30, KEY), packed("b", "a x", 9, KEY),
        packed("b" * LARGEST, "a", 9, KEY), packed("b", "a", 9, KEY).replace(b"beat 1", b"beat 2"),
        packed("b", "a", 9, OTHER, Kind.PROMISE, 9.0), packed("b", "a", 9, KEY).replace(b"beat", b"promise"),
        packed("b", "a", 9, KEY).replace(b"phi-beat", b"phi-ask"), packed("b", "a", 9, KEY, Kind.PROMISE, -1.0),
    ],
)  # fmt: skip
def test_what_is_no_word_of_a_member(packet: bytes) -> None:
    assert Reader("a").read(packet, {**KEYS, "d": ""}) is None


@given(st.binary(max_size=200))
def test_any_bytes_are_read(packet: bytes) -> None:
    assert Reader("a").read(packet, KEYS) is None


@contextmanager
def beating(node: str, host: str, key: str, *failsafe: Any) -> Iterator[tuple[Beats, str]]:
    made = Beats(node, (host, 0), key, 3.0, 10.0, *failsafe)
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


def test_a_promise_comes_back_with_the_moment_of_the_question() -> None:
    asked, promises = [], []

    def promise(node: str, moment: float) -> float:
        asked.append((node, moment))
        return 0.0 if len(asked) == 1 else 5.0

    def promised(*said: object) -> None:
        promises.append(said)

    host = "127.0.0.1"
    with beating("a", host, KEY, None, promised) as (a, at_a), beating("b", host, OTHER, promise) as (b, at_b):
        there = {"a": Member("a", at_a, key=KEY), "b": Member("b", at_b, key=OTHER)}
        a.members(there, 100.0)
        b.members(there, 100.0)
        b.members({"b": there["b"]}, 100.0, ["a", "b"])
        b.suspicion.members([], 200.0)
        assert not b.suspicion.knows("a"), "it left the registry long ago, and still belongs to the cluster"
        for moment in (100.25, 101.25):
            a.ask(["b", "c"], moment)
            b.turn(200.0)
            assert a.turn(moment + 0.5) is (moment > 101.0), "a promise is a reason to look at the leases"
        b.ask(["a"], 200.5)
        a.turn(102.0)
        assert not b.turn(201.0), "this one does not promise"
    assert asked == [("a", 200.0), ("a", 200.0)]
    assert promises == [("b", 101.25, 5.0, 101.75)]


def test_an_address_that_is_taken() -> None:
    with beating("a", "127.0.0.1", KEY) as (_, shown), pytest.raises(OSError, match="in use"):
        Beats("b", ("127.0.0.1", int(shown.rpartition(":")[2])), OTHER, 3.0, 10.0)
