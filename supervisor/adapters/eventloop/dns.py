"""Resolves host names in threads, because the system's resolver blocks and would stop the event loop."""

from __future__ import annotations

import _thread
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache

from supervisor.adapters.eventloop.loop import EventLoop

Addresses = list[tuple[socket.AddressFamily, str]]
OnResolved = Callable[[Addresses], None]
"""`found(addresses)`: the addresses, best first, empty where the name is not known."""

_V4, _V6 = socket.AF_INET, socket.AF_INET6
_REMEMBERED = 30.0  # seconds for which an answer is used again


class Resolver:
    """Answers literal addresses and `localhost` at once, and looks up other names in one thread for each name."""

    def __init__(self, loop: EventLoop) -> None:
        self._loop = loop
        self._known: dict[str, tuple[float, Addresses]] = {}
        self._asked: dict[str, list[OnResolved]] = {}

    def resolve(self, host: str, found: OnResolved) -> None:
        """Call `found(addresses)` in the loop's thread, perhaps before this returns."""
        addresses = _literal(host)
        if addresses is None:
            until, addresses = self._known.get(host, (0.0, []))
            if until <= self._loop.now():
                self._ask(host, found)
                return
        found(addresses)

    def _ask(self, host: str, found: OnResolved) -> None:
        if host in self._asked:
            self._asked[host].append(found)
            return
        self._asked[host] = [found]
        try:
            _thread.start_new_thread(self._look_up, (host,))
        except RuntimeError:  # no thread can be started
            self._answered(host, [])

    def _look_up(self, host: str) -> None:
        """Runs in a thread of its own."""
        addresses: Addresses = []
        with suppress(OSError, UnicodeError):
            # As bytes: a str would load the codec for international names.
            for family, _, _, _, address in socket.getaddrinfo(host.encode(), None, type=socket.SOCK_STREAM):
                addresses.append((family, str(address[0])))
        with suppress(OSError):  # the loop may be closed by now
            self._loop.call_from_thread(lambda: self._answered(host, addresses))

    def _answered(self, host: str, addresses: Addresses) -> None:
        if addresses:
            self._known[host] = (self._loop.now() + _REMEMBERED, addresses)
        else:
            self._known.pop(host, None)
        for found in self._asked.pop(host, []):
            found(addresses)


@lru_cache(maxsize=1024)  # the hosts that are probed
def _literal(host: str) -> Addresses | None:
    if host == "localhost":
        return [(_V4, "127.0.0.1"), (_V6, "::1")]
    for family in (_V4, _V6):
        with suppress(OSError):
            socket.inet_pton(family, host)
            return [(family, host)]
    return None
