"""How kazoo connects: with time limits of our own, and with values that it does not show otherwise.

kazoo waits for a server that does not answer as long as the whole session lasts, while other servers would answer; it
does not tell the timeout that the server granted; and a client that asks often enough never notices that its
connection is dead.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from kazoo.client import KazooClient
from kazoo.handlers.threading import SequentialThreadingHandler
from kazoo.protocol.serialization import Connect

RETRY = {"max_tries": -1, "delay": 0.1, "max_delay": 1.0, "backoff": 2}
"""How often to connect again.  kazoo's default lets the time between two attempts grow to an hour."""


class Handler(SequentialThreadingHandler):  # type: ignore[misc]  # kazoo has no types
    """Gives an attempt to connect no more time than a request has, and keeps changes and answers in their order.

    kazoo has a thread for each of both, so that an answer may overtake a change that the server reported before it."""

    def __init__(self, longest: float) -> None:
        super().__init__()
        self._longest = longest

    def create_connection(self, *args: Any, timeout: float, **options: Any) -> Any:
        return super().create_connection(*args, timeout=min(timeout, self._longest), **options)

    def dispatch_callback(self, callback: Any) -> None:
        self.completion_queue.put(partial(callback.func, *callback.args))


class Client(KazooClient):  # type: ignore[misc]
    """`granted`: the timeout of the session in seconds, as the last server granted it; 0.0 before that.  `log`: takes
    what kazoo says."""

    def __init__(self, hosts: str, request_timeout: float, log: LastWords, **options: Any) -> None:
        handler = Handler(request_timeout)
        super().__init__(hosts, handler=handler, connection_retry=RETRY, logger=log, **options)
        self.granted = 0.0
        connection, invoke = self._connection, self._connection._invoke

        def bounded(timeout: float, request: Any, xid: int | None = None) -> Any:
            result = invoke(min(timeout, request_timeout), request, xid)
            if isinstance(request, Connect):
                self.granted = result[0].time_out / 1000.0
            return result

        connection._invoke = bounded

    def drop(self) -> None:
        """End the present connection, so that another one is made, to another server perhaps."""
        sock = self._connection._socket
        if sock is not None:
            with suppress(OSError, ValueError):
                sock.shutdown(socket.SHUT_RDWR)

    @property
    def over(self) -> bool:
        """kazoo has given up for good."""
        return bool(self._connection.connection_stopped.is_set())


class LastWords:
    """A logger that keeps the last warning, because kazoo writes reasons only to its log."""

    def __init__(self, name: str = "") -> None:
        self.text = name

    def warning(self, text: str, *values: object) -> None:
        self.text = text % values if values else text

    error = exception = warning

    def log(self, *_: object) -> None:
        """Nothing: not of use."""

    info = debug = log

    isEnabledFor: Callable[[int], bool] = staticmethod(lambda _level: False)  # noqa: N815 - the name is logging's
