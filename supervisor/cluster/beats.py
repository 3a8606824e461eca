"""Heartbeats between hosts: sends this member's, and takes and judges those of the others (core/cluster/suspicion.py).

They are datagrams on `cluster.address`, a few bytes ten times in `detect_within` to each other member.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

from supervisor.cluster.beat_packet import LARGEST, Reader, packed
from supervisor.core.cluster.documents import Member
from supervisor.core.cluster.share import host_number
from supervisor.core.cluster.suspicion import Suspicion

AT_ONCE = 1000
"""Datagrams that are taken at once: more are no heartbeats of members."""
BUFFER = 1 << 20


class _Peer(NamedTuple):
    key: str
    family: int
    address: tuple[str, int]


class Beats:
    """Those of one member.  Moments are seconds of CLOCK_BOOTTIME."""

    def __init__(self, node: str, address: tuple[str, int], key: str, wish: float, keep: float) -> None:
        """OSError where the address cannot be bound."""
        self._node, self._key = node, key
        self.suspicion = Suspicion(wish, keep)
        self._reader = Reader(node)
        self._peers: dict[str, _Peer] = {}
        self._members: Mapping[str, Member] = {}
        self._send_at = self.due = 0.0
        host = host_number(address[0]).strip("[]")
        self._family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._sock = socket.socket(self._family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        try:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
            self._sock.bind((host, address[1]))
        except OSError:
            self._sock.close()
            raise

    def fileno(self) -> int:
        return self._sock.fileno()

    def members(self, members: Mapping[str, Member], moment: float) -> None:
        """Those in the registry.  Heartbeats of a member that has left still count for a while, with the key that it
        had."""
        self.suspicion.members((name for name in members if name != self._node), moment)
        if members == self._members:
            return
        self._members = members
        for name, one in members.items():
            host, _, port = one.address.rpartition(":")
            number = host_number(host).strip("[]")
            if name != self._node and one.key and number and port.isascii() and port.isdigit() and len(port) <= 5:
                family = socket.AF_INET6 if ":" in number else socket.AF_INET
                self._peers[name] = _Peer(one.key, family, (number, int(port)))
        self._peers = {name: peer for name, peer in self._peers.items() if self.suspicion.knows(name)}

    def turn(self, moment: float) -> bool:
        """Take what has come, judge, and send what is due; whether a suspicion has begun or ended."""
        if self.due:
            self.suspicion.woke(moment, self.due)
        keys = {name: peer.key for name, peer in self._peers.items()}
        for _ in range(AT_ONCE):
            try:
                packet = self._sock.recv(LARGEST + 1)
            except OSError:  # nothing has come, or a peer does not listen
                break
            sender = self._reader.sender(packet, keys)
            if sender:
                self.suspicion.heard(sender, moment)
        changed = self.suspicion.judge(moment)
        if moment >= self._send_at:
            self._send()
            interval = self.suspicion.interval
            self._send_at = max(self._send_at + interval, moment + interval / 2)
        deadline = self.suspicion.deadline
        self.due = self._send_at if deadline is None else min(self._send_at, deadline)
        return changed

    def _send(self) -> None:
        for name, peer in self._peers.items():
            if peer.family == self._family:
                number = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
                with suppress(OSError, OverflowError):
                    self._sock.sendto(packed(self._node, name, number, self._key), peer.address)
