"""The control socket from its client's side: connects, sends a request, and reads the answer.  HTTP/1.1, blocking.

Where no answer comes, the error says why: the daemon is stopped, stuck, gone, or not to be trusted.  Each call uses a
connection of its own.

The module `socket` makes enumerations of all constants when it is imported, which takes three times as long as the
answer of a daemon with a hundred services.  A Unix socket needs only the class below it, `_socket.socket`.
"""

from __future__ import annotations

import _socket
import io
import os
import select
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from json import loads

from supervisor.adapters.linux.directories import Untrusted, socket_owner
from supervisor.errors import (
    ConfigError,
    NoAnswer,
    NoDaemon,
    NoSuchService,
    NotListening,
    OperationFailed,
    OtherFile,
    SupervisorError,
    UsageError,
)
from supervisor.http_answer import read_body, read_head

TYPE_CHECKING = False  # importing typing takes time
if TYPE_CHECKING:
    from typing import Any, BinaryIO

ANSWER_SECONDS = 30.0
"""Seconds that a client waits for an answer.  An order says so, and is not carried out later."""
LONG_ANSWER_SECONDS = {"/v1/reload": 75.0, "/v1/upgrade": 75.0, "/v1/signal": 75.0}
"""The same for the orders that the daemon answers after a child process has worked."""
SILENT_SECONDS = 45.0
"""Seconds of silence after which the daemon counts as stuck or gone.

A stream sends a ping every 15 seconds, unless, with the topic `status`, a status comes more often.
"""
PATIENCE_SECONDS = 2.0
"""Seconds without what is awaited after which `on_wait` is told."""
CONNECT_AGAIN_SECONDS = 0.05
_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~@:+/,")
_ERRORS: dict[str, type[SupervisorError]] = {
    "usage": UsageError,
    "config": ConfigError,
    "no-such-service": NoSuchService,
    "other-file": OtherFile,
}


class ControlSocket:
    """The daemon behind `path`.

    `file`: the configuration that the daemon has to run; None: any.  Every method raises NoDaemon when none answers,
    and the error that the daemon answers with: OtherFile where it runs another file.  `on_wait` is told when an answer
    is late, and from which process.
    """

    def __init__(self, path: str, file: str | None, on_wait: Callable[[str], None] | None) -> None:
        self.path = path
        self._on_wait = on_wait
        self._headers = "" if file is None else f"supervisor-file: {quoted(file)}\r\n"

    def ask(self, method: str, target: str, body: bytes | None = None) -> tuple[Any, bytes]:
        """The JSON of an answer, and its text as the daemon sent it."""
        answer_seconds = LONG_ANSWER_SECONDS.get(target, ANSWER_SECONDS)
        if target in LONG_ANSWER_SECONDS:
            self.ask("GET", "/healthz")  # a daemon that does nothing at all is not waited for that long
        with closing(self.connect()) as sock, self._reader(sock, answer_seconds, PATIENCE_SECONDS) as reader:
            deadline = ""
            if body is not None and _same_clock(peer(sock)[0]):
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
        return answer, data

    def follow(self, target: str, headers: str, beat: float | None) -> tuple[_socket.socket, BinaryIO]:
        """A connection on which a stream has begun, and what comes through it.  `beat`: seconds from one message to the
        next; None: not known."""
        sock = self.connect()
        reader = self._reader(sock, ANSWER_SECONDS, PATIENCE_SECONDS)
        try:
            _send(sock, "GET", target, None, self._headers + headers)
            status, received = read_head(reader)
            if status >= 400:
                raise _error(status, read_body(reader, received))
        except (OSError, ValueError) as error:
            failure = self._no_answer(error, sock, ANSWER_SECONDS)
            reader.close()
            sock.close()
            raise failure from None
        except SupervisorError:
            reader.close()
            sock.close()
            raise
        incoming = reader.raw  # type: ignore[attr-defined]  # that of a BufferedReader
        incoming.silent = SILENT_SECONDS + (beat or 0.0)
        incoming.patience = None if beat is None else PATIENCE_SECONDS + beat
        return sock, reader

    def connect(self) -> _socket.socket:
        """A new connection, to a daemon of a user that may serve it.  NoDaemon."""
        sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        try:
            sock.settimeout(ANSWER_SECONDS)
            owner = socket_owner(self.path)
            self._connect_patiently(sock)
            user = peer(sock)[1]
            if user not in (0, os.geteuid(), owner):
                raise Untrusted(f"{self.path} is served by user {user}, and its directory belongs to user {owner}")
            return sock
        except OSError as error:
            sock.close()
            raise self._unreachable(error) from None

    def _connect_patiently(self, sock: _socket.socket) -> None:
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

    def _reader(self, sock: _socket.socket, silent: float, patience: float | None) -> BinaryIO:
        def late() -> None:
            if self._on_wait is not None:
                self._on_wait(f"waiting for the daemon{process_words(peer(sock)[0])}")

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
        kind = NoAnswer if isinstance(error, BlockingIOError) else NoDaemon
        return kind(f"no daemon answers on {self.path}: {error}")

    def _no_answer(self, error: Exception, sock: _socket.socket, seconds: float) -> NoDaemon:
        if isinstance(error, TimeoutError):
            pid = peer(sock)[0]
            stopped = _state(pid) == "T"
            return NoAnswer(
                f"the daemon{process_words(pid)} behind {self.path} gave no answer within {seconds:g} s",
                f"`kill -CONT {pid}` lets it run again." if stopped else "",
            )
        return NoDaemon(f"the daemon behind {self.path} gave no answer: {error or type(error).__name__}")


class _Incoming(io.RawIOBase):
    """What comes through a socket.  `late` is called after `patience` seconds without anything (None: never), and
    reading raises TimeoutError after `silent`."""

    def __init__(self, sock: _socket.socket, silent: float, patience: float | None, late: Callable[[], None]) -> None:
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
        return os.readlink(f"/proc/{pid}/ns/time") == os.readlink("/proc/self/ns/time")
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


def target_of(route: str, query: Mapping[str, object]) -> str:
    pairs = []
    for name, value in query.items():
        for item in value if isinstance(value, list | tuple) else [value]:
            if item is not None:
                pairs.append(f"{name}={quoted(str(item))}")
    return f"{route}?{'&'.join(pairs)}" if pairs else route


def quoted(text: str) -> str:
    """Percent-encoded for a query or a path."""
    return "".join(chr(b) if b in _SAFE and b != 0x2B else f"%{b:02X}" for b in text.encode(errors="surrogateescape"))


def peer(sock: _socket.socket) -> tuple[int, int, int]:
    """Pid, user and group of the process at the other end, as the kernel reports them; pid 0 if it is in another pid
    namespace."""
    pid, user, group = memoryview(sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)).cast("I")
    return pid, user, group


def _send(sock: _socket.socket, method: str, target: str, body: bytes | None, more: str = "") -> None:
    head = f"{method} {target} HTTP/1.1\r\nhost: supervisor\r\n{more}"
    if body is not None:
        head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
    with suppress(BrokenPipeError):  # a daemon that closes the connection may have sent the reason
        sock.sendall(head.encode() + b"\r\n" + (body or b""))


def _error(status: int, data: bytes) -> SupervisorError:
    try:
        found = loads(data)["error"]
        code, message, hint, known = found["code"], found["message"], found["hint"], found["known"]
    except (ValueError, KeyError, TypeError):
        return OperationFailed(f"the daemon answered {status}", data[:500].decode(errors="replace"))
    if known and not hint:
        hint = f"Did you mean {' or '.join(known[:3])}?"
    return _ERRORS.get(code, OperationFailed)(message, hint)
