"""A heartbeat between hosts: one datagram that only its sender can have made, for its receiver alone, counted once.

    phi-beat 1 SENDER RECEIVER NUMBER MAC

NUMBER grows from beat to beat: nanoseconds of CLOCK_BOOTTIME of the sender.  MAC is HMAC-SHA256 of all before it, with
the key that the sender has in the registry, in hexadecimal.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

LARGEST = 1024
"""Bytes."""
_HEAD = "phi-beat 1"


def key_of(secret: str, boot: str) -> str:
    """A sender's key.  Each boot has a key of its own, because NUMBER begins again."""
    return hashlib.sha256(f"{secret} {boot}".encode()).hexdigest()


def packed(sender: str, receiver: str, number: int, key: str) -> bytes:
    """The datagram."""
    text = f"{_HEAD} {sender} {receiver} {number}".encode()
    return text + b" " + _mac(text, key).encode()


class Reader:
    """Of the datagrams for one member."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._last: dict[tuple[str, str], int] = {}

    def sender(self, packet: bytes, keys: Mapping[str, str]) -> str:
        """The sender; empty where it is no new heartbeat of a member.  `keys`: by member."""
        text, _, mac = packet.rpartition(b" ")
        words = text.decode(errors="replace").split(" ")
        if len(packet) > LARGEST or len(words) != 5 or " ".join(words[:2]) != _HEAD or words[3] != self._node:
            return ""
        sender, number, key = words[2], words[4], keys.get(words[2], "")
        if not key or not number.isascii() or not number.isdigit() or len(number) > 20:
            return ""
        if not hmac.compare_digest(_mac(text, key).encode(), mac):
            return ""
        if int(number) <= self._last.get((sender, key), 0):
            return ""
        self._last = {one: last for one, last in self._last.items() if keys.get(one[0]) == one[1]}
        self._last[sender, key] = int(number)
        return sender


def _mac(text: bytes, key: str) -> str:
    return hmac.new(key.encode(), text, hashlib.sha256).hexdigest()
