"""The client of the daemon's control socket: HTTP/1.1, blocking, and quick to import.

Each question uses a connection of its own. `Client.stream` follows the daemon; it may be read in one thread and closed
from another.
"""

from __future__ import annotations

import io
import os
import select
import socket
import struct
import time
from _thread import RLock
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from json import dumps, loads
from typing import TYPE_CHECKING, Any, BinaryIO

from supervisor.adapters.linux.directories import Untrusted, socket_owner
from supervisor.errors import (
    ConfigError,
    NoDaemon,
    NoSuchService,
    NotListening,
    OperationFailed,
    OtherFile,
    SupervisorError,
    UsageError,
)

if TYPE_CHECKING:
    from supervisor.core.model.documents import (
        JSON,
        Accepted,
        Difference,
        Event,
        Events,
        Evidence,
        Health,
        InstanceDetail,
        Interruption,
        Logs,
        Nothing,
        Services,
        Status,
        StreamMessage,
        Upgrade,
    )


ANSWER_SECONDS = 30.0
"""Seconds that a client waits for an answer.  An order says so, and is not carried out later."""
LONG_ANSWER_SECONDS = {"/v1/reload": 75.0, "/v1/upgrade": 75.0}
"""The same for the orders that the daemon answers after a child process has worked."""
SILENT_SECONDS = 45.0
"""Seconds of silence after which the daemon counts as stuck or gone.

A stream sends a ping every 15 seconds, unless, with the topic `status`, a status comes more often.
"""
PATIENCE_SECONDS = 2.0
"""Seconds without what is awaited after which `on_wait` is told."""
RECONNECT_SECONDS = 0.5
CONNECT_AGAIN_SECONDS = 0.05
_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~@:+/,")
_ERRORS: dict[str, type[SupervisorError]] = {
    "usage": UsageError,
    "config": ConfigError,
    "no-such-service": NoSuchService,
    "other-file": OtherFile,
}


class Client:
    """Asks the daemon behind `socket_path`.

    `file`: the configuration that the daemon has to run; None: whatever it runs.  Every method raises NoDaemon when
    none answers, and the error that the daemon answers with: OtherFile where it runs another file.  `on_wait` is told
    when an answer is late, and from which process.
    """

    def __init__(self, socket_path: str, file: str | None = None, on_wait: Callable[[str], None] | None = None) -> None:
        self.path, self.file = socket_path, file
        self._on_wait = on_wait
        self._headers = "" if file is None else f"supervisor-file: {quoted(file)}\r\n"

    def status(self, services: Sequence[str] = ()) -> Status:
        """The daemon, and one row per instance; of these services, instances and groups, or of all."""
        answer: Status = self.get("/v1/status", service=services)
        return answer

    def services(self) -> Services:
        """What is configured, in start order."""
        answer: Services = self.get("/v1/services")
        return answer

    def instance(self, name: str) -> InstanceDetail:
        """All about one instance."""
        answer: InstanceDetail = self.get(f"/v1/instances/{quoted(name)}")
        return answer

    def events(
        self,
        services: Sequence[str] = (),
        *,
        since: float | None = None,
        after: int | None = None,
        before: int | None = None,
        limit: int | None = None,
    ) -> list[Event]:
        """A page of events, oldest first."""
        answer: Events = self.get("/v1/events", service=services, since=since, after=after, before=before, limit=limit)
        return answer["events"]

    def evidence(self, event_id: int) -> Evidence:
        """What was captured for an event. Raises OperationFailed when there is nothing, or it is no longer kept."""
        answer: Evidence = self.get(f"/v1/evidence/{event_id}")
        return answer

    def logs(
        self,
        name: str,
        *,
        lines: int | None = None,
        since: float | None = None,
        before: str | None = None,
        after: str | None = None,
    ) -> Logs:
        """A page of an instance's output; `before` and `after` are cursors of an earlier page."""
        answer: Logs = self.get(f"/v1/logs/{quoted(name)}", lines=lines, since=since, before=before, after=after)
        return answer

    def act(self, verb: str, services: Sequence[str] = (), signal: str | None = None) -> list[str]:
        """Start, stop, restart, reset or signal; returns the affected instances. It does not wait for the effect.

        A `signal` that is given is sent even to a process that does not handle it and would end; the reload signal of
        the services is refused then, with OperationFailed."""
        body: JSON = {"services": list(services)}
        if signal is not None:
            body["signal"] = signal
        answer: Accepted = self.post(f"/v1/{verb}", body)
        return answer["instances"]

    def down(self) -> None:
        """Stop everything and end the daemon; called again, it kills what is left."""
        self.post("/v1/down")

    def reload(self, dry_run: bool = False) -> Difference:
        """Apply the edited configuration, or only compare it."""
        answer: Difference = self.post("/v1/reload", {"dry_run": dry_run})
        return answer

    def upgrade(self, python: str | None = None) -> Upgrade:
        """Replace the daemon by the version installed for `python` (None: the daemon's own interpreter)."""
        answer: Upgrade = self.post("/v1/upgrade", {} if python is None else {"python": python})
        return answer

    def health(self) -> Health:
        """Check that the daemon's event loop turns."""
        answer: Health = self.get("/healthz")
        return answer

    def get(self, route: str, **query: object) -> Any:
        """The JSON of `GET route`, for routes without a method here. None is left out, a list repeated."""
        return self._ask("GET", _target(route, query))

    def post(self, route: str, body: Mapping[str, object] | None = None) -> Any:
        """The JSON of `POST route`, for routes without a method here."""
        return self._ask("POST", route, dumps(body or {}).encode())

    def stream(
        self,
        topics: Sequence[str],
        services: Sequence[str] = (),
        interval: float = 1.0,
        after: int | None = None,
        reconnect: bool = False,
        for_order: bool = False,
    ) -> Stream:
        """Follow `topics` of events, status and logs, resuming events after the id `after`.

        `for_order`: use one of the places that the daemon keeps for commands that wait for their order.
        Without `reconnect` it raises NoDaemon when none answers, and ends when the daemon ends it.
        """
        query = {"topics": ",".join(topics), "service": list(services), "interval": interval}
        beat = interval if "status" in topics else None
        return Stream(self, _target("/v1/stream", query), after, reconnect, beat, for_order)

    def daemon_pid(self) -> int:
        """The process that listens on the socket, as the kernel reports it; 0 if it is in another pid namespace."""
        with self._connect() as sock:
            return _peer(sock)[0]

    def _ask(self, method: str, target: str, body: bytes | None = None) -> Any:
        answer_seconds = LONG_ANSWER_SECONDS.get(target, ANSWER_SECONDS)
        with self._connect() as sock, self._reader(sock, answer_seconds, PATIENCE_SECONDS) as reader:
            deadline = ""
            if body is not None and _same_clock(_peer(sock)[0]):
                deadline = f"supervisor-deadline: {time.monotonic() + answer_seconds:.3f}\r\n"
            try:
                _send(sock, method, target, body, self._headers + deadline)
                status, headers = read_head(reader)
                data = read_body(reader, headers)
                answer = loads(data) if status < 400 else {}
            except (OSError, ValueError) as error:
                raise self._no_answer(error, sock, answer_seconds) from None
        if status >= 400:
            raise _error(status, data)
        return answer

    def _connect(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(ANSWER_SECONDS)
            owner = socket_owner(self.path)
            self._connect_patiently(sock)
            user = _peer(sock)[1]
            if user not in (0, os.geteuid(), owner):
                raise Untrusted(f"{self.path} is served by user {user}, and its directory belongs to user {owner}")
            return sock
        except OSError as error:
            sock.close()
            raise self._unreachable(error) from None

    def _connect_patiently(self, sock: socket.socket) -> None:
        """Try again while the queue of new connections is full.  OSError."""
        began, told = time.monotonic(), False
        while True:
            try:
                return sock.connect(self.path)
            except BlockingIOError:
                waited = time.monotonic() - began
                if waited > ANSWER_SECONDS:
                    raise
                if waited > PATIENCE_SECONDS and not told and self._on_wait is not None:
                    told = True
                    self._on_wait("waiting for the daemon, which accepts no connection")
                time.sleep(CONNECT_AGAIN_SECONDS)

    def _reader(self, sock: socket.socket, silent: float, patience: float | None) -> BinaryIO:
        def late() -> None:
            if self._on_wait is not None:
                self._on_wait(f"waiting for the daemon{process_words(_peer(sock)[0])}")

        return io.BufferedReader(_Incoming(sock, silent, patience, late))

    def _unreachable(self, error: OSError) -> NoDaemon:
        if isinstance(error, Untrusted):
            hint = "Nothing was sent to it.  Set runtime_dir in [supervisor] to a directory of your own."
            return NoDaemon(f"the control socket is not trusted: {error.strerror}", hint)
        if isinstance(error, PermissionError):
            hint = "It belongs to another user: only its owner and root may connect."
            return NoDaemon(f"permission denied: the control socket {self.path}", hint)
        if isinstance(error, FileNotFoundError | ConnectionRefusedError):
            return NotListening(f"no daemon answers on {self.path}", "`supervisor up -d` starts one.")
        return NoDaemon(f"no daemon answers on {self.path}: {error}")

    def _no_answer(self, error: Exception, sock: socket.socket, seconds: float) -> NoDaemon:
        if isinstance(error, TimeoutError):
            pid = _peer(sock)[0]
            stopped = _state(pid) == "T"
            return NoDaemon(
                f"the daemon{process_words(pid)} behind {self.path} gave no answer within {seconds:g} s",
                f"`kill -CONT {pid}` lets it run again." if stopped else "",
            )
        return NoDaemon(f"the daemon behind {self.path} gave no answer: {error or type(error).__name__}")


class Stream(Iterator["StreamMessage"]):
    """Yields `(event, data)`: ("event", …), ("status", …), ("log", …), with data as the daemon sent it.

    With `reconnect` it continues after an interruption, and yields ("disconnected", {"error"}) and ("connected", {})
    around it; else it ends there. Events resume where they were interrupted, also after ("lagged", {}).
    """

    def __init__(
        self,
        client: Client,
        target: str,
        after: int | None,
        reconnect: bool,
        beat: float | None = None,
        for_order: bool = False,
    ) -> None:
        """`beat`: seconds from one status to the next; None without the topic."""
        self._client = client
        self._target = target
        self._after = after
        self._reconnect = reconnect
        self._beat = beat
        self._headers = client._headers + ("supervisor-purpose: order\r\n" if for_order else "")
        self._closed = False
        self._reading = False
        self._lock = RLock()
        self._sock: socket.socket
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
        """Nothing is read any more; close the socket if `close` was called meanwhile."""
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
                    self._sock.shutdown(socket.SHUT_RDWR)

    def _open(self) -> None:
        client = self._client
        sock = client._connect()
        reader = client._reader(sock, ANSWER_SECONDS, PATIENCE_SECONDS)
        resume = "" if self._after is None else f"last-event-id: {self._after}\r\n"
        try:
            _send(sock, "GET", self._target, None, self._headers + resume)
            status, headers = read_head(reader)
            if status >= 400:
                raise _error(status, read_body(reader, headers))
        except (OSError, ValueError) as error:
            failure = client._no_answer(error, sock, ANSWER_SECONDS)
            reader.close()
            sock.close()
            raise failure from None
        except SupervisorError:
            reader.close()
            sock.close()
            raise
        beat = self._beat
        incoming = reader.raw  # type: ignore[attr-defined]  # that of a BufferedReader
        incoming.silent = SILENT_SECONDS + (beat or 0.0)
        incoming.patience = None if beat is None else PATIENCE_SECONDS + beat
        self._sock, self._reader = sock, reader

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
        for line in _lines(read_chunks(self._reader)):
            if line.startswith("event: "):
                kind = line[7:]
            elif line.startswith("data: "):
                data = line[6:]
            elif not line and data:
                plain = loads(data)
                if kind == "event":
                    self._after = plain["id"]
                message: Any = (kind, plain)
                yield message
                kind, data = "message", ""


class _Incoming(io.RawIOBase):
    """What comes through a socket.  `late` is called after `patience` seconds without anything (None: never), and
    reading raises TimeoutError after `silent`."""

    def __init__(self, sock: socket.socket, silent: float, patience: float | None, late: Callable[[], None]) -> None:
        self._sock = sock
        self.silent, self.patience = silent, patience
        self._late = late

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(self.silent)
        if self.patience is not None:
            poll = select.poll()
            poll.register(self._sock, select.POLLIN)
            if not poll.poll(self.patience * 1000):
                self._late()
        return self._sock.recv_into(buffer)


def _same_clock(pid: int) -> bool:
    """Whether CLOCK_MONOTONIC is the same in that process: not so in another time namespace.  True if unknown."""
    with suppress(OSError):
        return os.readlink(f"/proc/{pid}/ns/time") == os.readlink("/proc/self/ns/time")  # noqa: PTH115 - pathlib costs
    return True


def process_words(pid: int) -> str:
    """` (pid N, stopped)`, with the state where it explains a silence."""
    if not pid:
        return ""
    words = {"T": ", stopped", "t": ", stopped by a debugger", "D": ", waiting for the kernel", "Z": ", ended"}
    return f" (pid {pid}{words.get(_state(pid), '')})"


def _state(pid: int) -> str:
    """The letter of proc(5); empty where there is no such process."""
    with suppress(OSError, IndexError), open(f"/proc/{pid}/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()[0].decode()
    return ""


def _target(route: str, query: Mapping[str, object]) -> str:
    pairs = []
    for name, value in query.items():
        for item in value if isinstance(value, list | tuple) else [value]:
            if item is not None:
                pairs.append(f"{name}={quoted(str(item))}")
    return f"{route}?{'&'.join(pairs)}" if pairs else route


def quoted(text: str) -> str:
    """Percent-encoded for a query or a path."""
    return "".join(chr(b) if b in _SAFE and b != 0x2B else f"%{b:02X}" for b in text.encode(errors="surrogateescape"))


def _peer(sock: socket.socket) -> tuple[int, int, int]:
    """Pid, user and group of the process at the other end, as the kernel reports them; pid 0 if it is in another pid
    namespace."""
    found: tuple[int, int, int] = struct.unpack("iII", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return found


def _send(sock: socket.socket, method: str, target: str, body: bytes | None, more: str = "") -> None:
    head = f"{method} {target} HTTP/1.1\r\nhost: supervisor\r\n{more}"
    if body is not None:
        head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
    with suppress(BrokenPipeError):  # a daemon that closes the connection may have sent the reason
        sock.sendall(head.encode() + b"\r\n" + (body or b""))


def read_head(reader: BinaryIO) -> tuple[int, dict[str, str]]:
    """Status and headers of an answer. Raises ValueError if it is not HTTP."""
    words = reader.readline(65536).split(None, 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/1."):
        raise ValueError("the connection ended" if not words else "not an HTTP answer")
    headers = {}
    while (line := reader.readline(65536)) not in (b"\r\n", b"\n"):
        if not line.endswith(b"\n"):
            raise ValueError("the answer is cut off")
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    return int(words[1]), headers


def read_body(reader: BinaryIO, headers: Mapping[str, str]) -> bytes:
    """The body of an answer, in any framing (RFC 9112, 6)."""
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return b"".join(read_chunks(reader))
    if "content-length" not in headers:
        return reader.read()
    length = int(headers["content-length"])
    body = reader.read(length)
    if len(body) < length:
        raise ValueError("the answer is cut off")
    return body


def read_chunks(reader: BinaryIO) -> Iterator[bytes]:
    """The chunks of a chunked body. Raises ValueError if it breaks off."""
    while size := _chunk_size(reader.readline(64)):
        chunk = reader.read(size)
        if len(chunk) < size:
            raise ValueError("the stream is cut off")
        reader.readline(16)
        yield chunk


def _chunk_size(line: bytes) -> int:
    if not line:
        raise ValueError("the stream is cut off")
    return int(line.partition(b";")[0], 16)


def _lines(chunks: Iterator[bytes]) -> Iterator[str]:
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.decode()


def _error(status: int, data: bytes) -> SupervisorError:
    try:
        found = loads(data)["error"]
        code, message, hint, known = found["code"], found["message"], found["hint"], found["known"]
    except (ValueError, KeyError, TypeError):
        return OperationFailed(f"the daemon answered {status}", data[:500].decode(errors="replace"))
    if known and not hint:
        hint = f"Did you mean {' or '.join(known[:3])}?"
    return _ERRORS.get(code, OperationFailed)(message, hint)
