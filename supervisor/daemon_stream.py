"""The stream of the daemon: its events, statuses and output as they come, from the control socket.

It may be read in one thread and closed from another.
"""

from __future__ import annotations

import _socket
import time
from _thread import RLock
from collections.abc import Iterator
from contextlib import suppress
from json import loads

from supervisor.control_socket import ControlSocket
from supervisor.errors import NoDaemon
from supervisor.http_answer import lines, read_chunks

TYPE_CHECKING = False  # importing typing takes time
if TYPE_CHECKING:
    from typing import Any, BinaryIO

    from supervisor.core.model.documents import Interruption, Nothing, Status, StreamMessage

RECONNECT_SECONDS = 0.5


class Stream(Iterator["StreamMessage"]):
    """Yields `(event, data)`: ("event", …), ("status", …), ("log", …), with data as the daemon sent it.  A status is
    whole, also where the daemon sent only what changed.

    With `reconnect` it continues after an interruption, and yields ("disconnected", {"error"}) and ("connected", {})
    around it; else it ends there. Events resume where they were interrupted, also after ("lagged", {}).
    """

    def __init__(
        self,
        control: ControlSocket,
        target: str,
        after: int | None,
        reconnect: bool,
        beat: float | None = None,
        for_order: bool = False,
    ) -> None:
        """`beat`: seconds from one status to the next; None without the topic."""
        self._socket = control
        self._target = target
        self._after = after
        self._reconnect = reconnect
        self._beat = beat
        self._headers = "supervisor-purpose: order\r\n" if for_order else ""
        if beat is not None:
            self._headers += "supervisor-changes: yes\r\n"
        self._closed = False
        self._reading = False
        self._lock = RLock()
        self._sock: _socket.socket
        self._reader: BinaryIO
        try:
            self._open()
        except NoDaemon:
            if not reconnect:
                raise
            self._connected = False
        else:
            self._connected = True
        self._all = self._follow()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __next__(self) -> StreamMessage:
        with self._lock:
            if self._closed:
                raise StopIteration
            self._reading = True
        try:
            return next(self._all)
        finally:
            self._read()

    def _read(self) -> None:
        """Nothing is read any more; close the socket if `close` was called during the read."""
        with self._lock:
            self._reading = False
            if self._closed:
                self._hang_up()

    def _follow(self) -> Iterator[StreamMessage]:
        error = "no daemon answers"
        while not self._closed:
            if self._connected:
                try:
                    yield from self._messages()
                    error = "the daemon closed the stream"
                except (OSError, ValueError) as broken:
                    error = str(broken)
                self._hang_up()
            if self._closed or not self._reconnect:
                return
            interruption: Interruption = {"error": error}
            yield "disconnected", interruption
            while not self._closed and not self._try_again():
                time.sleep(RECONNECT_SECONDS)
            if not self._closed:
                nothing: Nothing = {}
                yield "connected", nothing

    def fileno(self) -> int:
        """The descriptor for `select`; -1 while there is no connection."""
        return self._sock.fileno() if self._connected else -1

    def close(self) -> None:
        """End the iteration and close the socket; may be called from any thread.

        While another thread reads, that one closes the socket: its number could belong to another file by then."""
        with self._lock:
            self._closed = True
            if not self._reading:
                self._hang_up()
            elif self._connected:
                with suppress(OSError):
                    self._sock.shutdown(_socket.SHUT_RDWR)

    def _open(self) -> None:
        resume = "" if self._after is None else f"last-event-id: {self._after}\r\n"
        self._sock, self._reader = self._socket.follow(self._target, self._headers + resume, self._beat)

    def _try_again(self) -> bool:
        try:
            self._open()
        except NoDaemon:
            return False
        self._connected = True
        return True

    def _hang_up(self) -> None:
        if not self._connected:
            return
        self._connected = False
        with suppress(OSError):
            self._reader.close()
            self._sock.close()

    def _messages(self) -> Iterator[StreamMessage]:
        """Parse Server-sent events, in the form that the daemon sends them: one line of data each."""
        kind, data = "message", ""
        status: Status | None = None
        for line in lines(read_chunks(self._reader)):
            if line.startswith("event: "):
                kind = line[7:]
            elif line.startswith("data: "):
                data = line[6:]
            elif not line and data:
                plain = loads(data)
                if kind == "event":
                    self._after = plain["id"]
                elif kind == "status":
                    status = plain
                elif kind == "changes" and status is not None:
                    from supervisor.core.services.status_changes import merged  # few commands follow the status

                    kind, plain = "status", merged(status, plain)
                    status = plain
                message: Any = (kind, plain)
                yield message
                kind, data = "message", ""
