"""Heartbeats between hosts: sends this member's, and takes and judges those of the others (core/cluster/suspicion.py).

They are datagrams on `cluster.address`, a few bytes ten times in `detect_within` to each other member.  With failsafe
the same way carries questions and promises (core/cluster/failsafe.py).
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import NamedTuple

from supervisor.cluster.beat_packet import LARGEST, Kind, Packet, Reader, packed
from supervisor.core.cluster.documents import Member
from supervisor.core.cluster.share import host_number
from supervisor.core.cluster.suspicion import Suspicion

AT_ONCE = 1000
"""Datagrams that are taken at once: more are no heartbeats of members."""
BUFFER = 1 << 20
SECOND = 1_000_000_000
"""Nanoseconds."""


class _Peer(NamedTuple):
    key: str
    family: int
    address: tuple[str, int]


class Beats:
    """Those of one member.  Moments are seconds of CLOCK_BOOTTIME."""

    def __init__(
        self,
        node: str,
        address: tuple[str, int],
        key: str,
        wish: float,
        keep: float,
        promise: Callable[[str, float], float] | None = None,
        promised: Callable[[str, float, float, float], None] | None = None,
    ) -> None:
        """`promise`: called with who asks, and the moment; for how many seconds this host promises; `promised`: called
        with who has promised, when it was asked, for how many seconds, and the moment.  OSError where the address
        cannot be bound."""
        self._node, self._key = node, key
        self._promise, self._promised = promise, promised
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

    def members(self, members: Mapping[str, Member], moment: float, hosts: Iterable[str] = ()) -> None:
        """Those in the registry.  Heartbeats of a member that has left still count for a while, with the key that it
        had.  The questions and promises of `hosts` go on to count."""
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
        kept = set(hosts)
        self._peers = {name: peer for name, peer in self._peers.items() if name in kept or self.suspicion.knows(name)}

    def ask(self, names: Iterable[str], moment: float) -> None:
        """Ask these members for a promise; `moment` comes back with it."""
        for name in names:
            if name in self._peers:
                self._post(name, packed(self._node, name, _number(moment), self._key, Kind.ASK))

    def turn(self, moment: float) -> bool:
        """Take what has come, judge, and send what is due; whether a suspicion has begun or ended, or a promise has
        come."""
        promised = False
        if self.due:
            self.suspicion.woke(moment, self.due)
        keys = {name: peer.key for name, peer in self._peers.items()}
        for _ in range(AT_ONCE):
            try:
                packet = self._sock.recv(LARGEST + 1)
            except OSError:  # nothing has come, or a peer does not listen
                break
            read = self._reader.read(packet, keys)
            if read is not None and read.kind is Kind.BEAT:
                self.suspicion.heard(read.sender, moment)
            elif read is not None:
                promised = self._answer(read, moment) or promised
        changed = self.suspicion.judge(moment) or promised
        if moment >= self._send_at:
            self._send()
            interval = self.suspicion.interval
            self._send_at = max(self._send_at + interval, moment + interval / 2)
        deadline = self.suspicion.deadline
        self.due = self._send_at if deadline is None else min(self._send_at, deadline)
        return changed

    def _answer(self, read: Packet, moment: float) -> bool:
        """Whether it is a promise; a question is answered at once."""
        if read.kind is Kind.PROMISE:
            if self._promised is not None:
                self._promised(read.sender, read.number / SECOND, read.seconds, moment)
            return True
        seconds = self._promise(read.sender, moment) if self._promise is not None else 0.0
        if seconds:
            answer = packed(self._node, read.sender, read.number, self._key, Kind.PROMISE, seconds)
            self._post(read.sender, answer)
        return False

    def _send(self) -> None:
        for name in self._peers:
            if self.suspicion.knows(name):
                number = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
                self._post(name, packed(self._node, name, number, self._key))

    def _post(self, name: str, packet: bytes) -> None:
        peer = self._peers[name]
        if peer.family == self._family:
            with suppress(OSError, OverflowError):
                self._sock.sendto(packet, peer.address)


def _number(moment: float) -> int:
    return round(moment * SECOND)
