"""A datagram between hosts that only its sender can have made, for its receiver alone, counted once.

    phi-beat 1 SENDER RECEIVER NUMBER MAC                    a heartbeat
    phi-ask 1 SENDER RECEIVER NUMBER MAC                     asks for a promise (core/cluster/failsafe.py)
    phi-promise 1 SENDER RECEIVER NUMBER MILLISECONDS MAC    promises: NUMBER is that of the question

The NUMBER of a sender grows from heartbeat to heartbeat, and from question to question: nanoseconds of CLOCK_BOOTTIME.
A promise is taken more than once, which changes nothing.  MAC is HMAC-SHA256 of all before it, with the key that the
sender has in the registry, in hexadecimal.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

LARGEST = 1024
"""Bytes."""


class Kind(StrEnum):
    """What a datagram says."""

    BEAT = "phi-beat"
    ASK = "phi-ask"
    PROMISE = "phi-promise"


class Packet(NamedTuple):
    """What was read.  `seconds`: of a promise."""

    kind: Kind
    sender: str
    number: int
    seconds: float = 0.0


_VERSION = "1"
_WORDS = {Kind.BEAT: 5, Kind.ASK: 5, Kind.PROMISE: 6}
"""How many come before the MAC."""


def key_of(secret: str, boot: str) -> str:
    """A sender's key.  Each boot has a key of its own, because NUMBER begins again."""
    return hashlib.sha256(f"{secret} {boot}".encode()).hexdigest()


def packed(sender: str, receiver: str, number: int, key: str, kind: Kind = Kind.BEAT, seconds: float = 0.0) -> bytes:
    """The datagram.  `seconds`: of a promise."""
    more = f" {int(1000 * seconds)}" if kind is Kind.PROMISE else ""
    text = f"{kind} {_VERSION} {sender} {receiver} {number}{more}".encode()
    return text + b" " + _mac(text, key).encode()


class Reader:
    """Of the datagrams for one member."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._last: dict[tuple[Kind, str, str], int] = {}

    def read(self, packet: bytes, keys: Mapping[str, str]) -> Packet | None:
        """None where it is no new word of a member.  `keys`: by member."""
        text, _, mac = packet.rpartition(b" ")
        words = text.decode(errors="replace").split(" ")
        if len(packet) > LARGEST or words[0] not in list(Kind) or len(words) != _WORDS[Kind(words[0])]:
            return None
        kind, sender, key = Kind(words[0]), words[2], keys.get(words[2], "")
        numbers = words[4:]
        if words[1] != _VERSION or words[3] != self._node or not key:
            return None
        if not all(one.isascii() and one.isdigit() and len(one) <= 20 for one in numbers):
            return None
        if not hmac.compare_digest(_mac(text, key).encode(), mac):
            return None
        if kind is Kind.PROMISE:
            return Packet(kind, sender, int(numbers[0]), int(numbers[1]) / 1000)
        if int(numbers[0]) <= self._last.get((kind, sender, key), 0):
            return None
        self._last = {one: last for one, last in self._last.items() if keys.get(one[1]) == one[2]}
        self._last[kind, sender, key] = int(numbers[0])
        return Packet(kind, sender, int(numbers[0]))


def _mac(text: bytes, key: str) -> str:
    return hmac.new(key.encode(), text, hashlib.sha256).hexdigest()
