"""Probes of real servers, commands and files: success, failure with its text, and how often they run."""

from __future__ import annotations

import errno
import os
import select
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.tools.bench.ports import free_port
from supervisor.adapters.eventloop.dns import Resolver
from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.linux import procfs
from supervisor.adapters.linux.mounts import mounts
from supervisor.adapters.probes import exec_target, tcp_http
from supervisor.adapters.probes.exec_target import ExecTarget
from supervisor.adapters.probes.https import HttpsTarget
from supervisor.adapters.probes.local import ActivityTarget, FileTarget
from supervisor.adapters.probes.prober import (
    MOST_AT_ONCE,
    NOTHING_NEW,
    Cancel,
    Done,
    Poller,
    Prober,
    Target,
    Unasked,
    too_late,
)
from supervisor.adapters.probes.tcp_http import HttpTarget, TcpTarget, read_status
from supervisor.adapters.processes.child_command import Credentials
from supervisor.adapters.processes.remote_files import RemoteFiles
from tests.doubles.fakes import FakeReactor, run_until

Answers = list[tuple[str | None, float]]


@pytest.fixture
def loop() -> Iterator[EventLoop]:
    loop = EventLoop()
    yield loop
    loop.close()


@pytest.fixture(autouse=True)
def calm(monkeypatch: pytest.MonkeyPatch) -> None:
    """No command waits for a CPU, by its figures; the host of the test may be busy."""
    monkeypatch.setattr(exec_target, "read_waits", lambda _pids, _cgroup: {})


def ask(loop: EventLoop, target: Target, timeout: float = 5.0) -> str | None:
    """One probe's error."""
    answers: Answers = []
    Prober(loop).probe(target, timeout, lambda *answer: answers.append(answer))
    run_until(loop, lambda: answers)
    assert len(answers) == 1
    return answers[0][0]


class Server:
    """A TCP server in the same loop.  It answers what `reply` gives for a request; None: it says nothing."""

    def __init__(self, loop: EventLoop, reply: Callable[[bytes], bytes | None], family: int = socket.AF_INET) -> None:
        self.requests: list[bytes] = []
        self.reply = reply
        self.loop = loop
        self.listener = socket.create_server(("127.0.0.1" if family == socket.AF_INET else "::1", 0), family=family)
        self.address = self.listener.getsockname()
        self.port = self.address[1]
        self.connections: list[socket.socket] = []
        loop.register(self.listener.fileno(), self.accept)

    def accept(self, _events: int) -> None:
        connection, _ = self.listener.accept()
        self.connections.append(connection)
        self.loop.register(connection.fileno(), lambda _events: self.read(connection))

    def read(self, connection: socket.socket) -> None:
        try:
            request = connection.recv(65536)
        except ConnectionError:
            request = b""
        if request:
            self.requests.append(request)
        answer = self.reply(request) if request else b""
        if answer is None:
            return
        if answer:
            connection.sendall(answer)
        self.loop.unregister(connection.fileno())
        connection.close()

    def close(self) -> None:
        for one in (*self.connections, self.listener):
            if one.fileno() >= 0:
                self.loop.unregister(one.fileno())
                one.close()


@pytest.fixture
def serve(loop: EventLoop) -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def begin(reply: Callable[[bytes], bytes | None], family: int = socket.AF_INET) -> Server:
        servers.append(Server(loop, reply, family))
        return servers[-1]

    yield begin
    for server in servers:
        server.close()


Serve = Callable[..., Server]


# -- HTTP ------------------------------------------------------------------------------------------------------------

BAD_ANSWERS = [
    (b"HTTP/1.1 200 OK\r\n\r\n", None),
    (b"HTTP/1.0 204 No Content\nServer: x\n\n", None),
    (b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\n\r\n", None),
    (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", None),
    (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 10000 + b"\r\n\r\n", None),
    (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", "HTTP 503"),
    (b"HTTP/1.1 404 \r\n\r\n", "HTTP 404"),
    (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 500 Oh\r\n\r\n", "HTTP 500"),
    (b"SSH-2.0-OpenSSH_9.2\r\n", 'not an HTTP answer: "SSH-2.0-OpenSSH_9.2"'),
    (b"\x15\x03\x01\x00\x02\x02\x50", 'not an HTTP answer: "P"'),
    (b"HTTP/2 200\r\n\r\n", 'not an HTTP answer: "HTTP/2 200"'),
    (b"HTTP/1.1 +20 OK\r\n\r\n", 'not an HTTP answer: "HTTP/1.1 +20 OK"'),
    (b"HTTP/1.1\r\n\r\n", 'not an HTTP answer: "HTTP/1.1"'),
    (b"HTTP/1.1 200 OK\r\n", "connection closed before an answer"),
    (b"", "connection closed before an answer"),
    (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 20000, "the head of the answer is longer than 16 KiB"),
]


@pytest.mark.parametrize(("answer", "error"), BAD_ANSWERS, ids=lambda v: repr(v)[:30])
def test_http_answers(loop: EventLoop, serve: Serve, answer: bytes, error: str | None) -> None:
    server = serve(lambda _request: answer)
    assert ask(loop, HttpTarget(f"http://127.0.0.1:{server.port}/healthz?x=1", Resolver(loop))) == error
    head = server.requests[0].split(b"\r\n")
    assert head[0] == b"GET /healthz?x=1 HTTP/1.1" and f"Host: 127.0.0.1:{server.port}".encode() in head


def test_http_in_small_pieces(loop: EventLoop, serve: Serve) -> None:
    server = serve(lambda _request: None)
    answers: Answers = []
    target = HttpTarget(f"http://localhost:{server.port}", Resolver(loop))
    Prober(loop).probe(target, 5.0, lambda *answer: answers.append(answer))
    run_until(loop, lambda: server.requests)
    for byte in b"HTTP/1.1 200 OK\r\n\r\n":
        assert not answers
        server.connections[0].send(bytes([byte]))
        loop.turn()
    run_until(loop, lambda: answers)
    assert answers[0][0] is None and server.requests[0].startswith(b"GET / HTTP/1.1\r\n")


def test_http_without_an_answer_in_time(loop: EventLoop, serve: Serve) -> None:
    server = serve(lambda _request: None)
    before = loop.now()
    error = ask(loop, HttpTarget(f"http://127.0.0.1:{server.port}/", Resolver(loop)), timeout=0.05)
    assert error == "no answer within 0.05s" and loop.now() - before >= 0.05


def test_http_reset(loop: EventLoop, serve: Serve) -> None:
    server = serve(lambda _request: None)

    def reset(request: bytes) -> bytes:
        server.connections[0].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        return b""

    server.reply = reset
    assert ask(loop, HttpTarget(f"http://127.0.0.1:{server.port}/", Resolver(loop))) == "connection reset by peer"


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("http://a", "a", 80),
        ("http://a:81/", "a", 81),
        ("http://[::1]/x:9", "::1", 80),
        ("http://[::1]:9180/x", "::1", 9180),
    ],
)
def test_urls(loop: EventLoop, url: str, host: str, port: int) -> None:
    target = HttpTarget(url, Resolver(loop))
    assert (target.host, target.port) == (host, port)


@given(st.lists(st.sampled_from([b"HTTP/1.1", b" ", b"200", b"100", b"\r\n", b"\n", b"x", b"\xff"]), max_size=20))
def test_any_head_is_read(parts: list[bytes]) -> None:
    status = read_status(b"".join(parts))
    assert status is None or isinstance(status, str) or 100 <= status <= 999


# -- a connection for all probes ------------------------------------------------------------------------------------

WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Keeping(Server):
    """It keeps its connections open, and answers each with the next of `answers`; None: it closes instead."""

    def __init__(self, loop: EventLoop, *answers: bytes | None) -> None:
        super().__init__(loop, lambda _request: b"")
        self.answers = list(answers)

    def read(self, connection: socket.socket) -> None:
        request = connection.recv(65536)
        answer = self.answers.pop(0) if request else None
        if answer is not None:
            self.requests.append(request)
            connection.sendall(answer)
            return
        self.loop.unregister(connection.fileno())
        connection.close()


def keeping(loop: EventLoop, *answers: bytes | None) -> tuple[Keeping, HttpTarget]:
    server = Keeping(loop, *answers)
    return server, HttpTarget(f"http://127.0.0.1:{server.port}/", Resolver(loop), keep_alive=True)


def test_a_connection_that_the_server_keeps_is_used_again(loop: EventLoop) -> None:
    server, target = keeping(loop, *[WHOLE] * 4)
    assert [ask(loop, target) for _ in range(4)] == [None] * 4
    assert len(server.requests) == 4 and len(server.connections) == 1
    assert b"Connection: keep-alive" in server.requests[0]
    target.close()
    target.close()
    server.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\n\n",
    ],
)
def test_a_connection_with_more_to_come_or_none_is_not(loop: EventLoop, answer: bytes) -> None:
    server, target = keeping(loop, answer, answer)
    assert [ask(loop, target) for _ in range(2)] == [None] * 2
    assert len(server.connections) == 2
    target.close()
    server.close()


def test_the_end_of_a_kept_connection_is_no_failure(loop: EventLoop) -> None:
    """The server may end an idle connection at any moment; a GET can be repeated."""
    server, target = keeping(loop, b"HTTP/1.1 204 No Content\r\n\r\n", None, WHOLE, WHOLE, WHOLE)
    assert [ask(loop, target) for _ in range(2)] == [None] * 2
    assert len(server.connections) == 2, "closed in place of an answer"
    for reset in (False, True):
        kept = server.connections[-1]
        loop.unregister(kept.fileno())
        if reset:
            kept.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        kept.close()
        assert ask(loop, target) is None, "closed before"
    assert len(server.connections) == 4
    server.close()
    assert ask(loop, target) == "connection refused", "and then there is none"


def test_a_kept_connection_without_an_answer_is_a_failure(loop: EventLoop) -> None:
    server, target = keeping(
        loop, WHOLE, b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 200 OK\r\n", WHOLE
    )
    assert [ask(loop, target) for _ in range(2)] == [None, "HTTP 503"]
    assert ask(loop, target, 0.2) == "no answer within 0.2s"
    assert len(server.connections) == 1
    assert ask(loop, target) is None and len(server.connections) == 2
    target.close()
    server.close()


def test_a_get_on_this_host_is_sent_without_a_wait_for_the_connection(
    loop: EventLoop, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One registration in epoll for each probe: for the answer."""
    server = serve(lambda _request: b"HTTP/1.1 200 OK\r\n\r\n")
    registered: list[int] = []
    real = loop.register

    def register(fd: int, callback: Callable[[int], None], events: int = select.EPOLLIN) -> None:
        registered.append(events)
        real(fd, callback, events)

    monkeypatch.setattr(loop, "register", register)
    assert ask(loop, HttpTarget(f"http://127.0.0.1:{server.port}/", Resolver(loop))) is None
    assert registered == [select.EPOLLIN] * 2, "the answer, and the server's own end"


# -- TCP -------------------------------------------------------------------------------------------------------------


def test_tcp(loop: EventLoop, serve: Serve) -> None:
    server = serve(lambda _request: b"")
    assert ask(loop, TcpTarget(f"127.0.0.1:{server.port}", Resolver(loop))) is None
    assert ask(loop, TcpTarget(f"localhost:{server.port}", Resolver(loop))) is None
    assert ask(loop, TcpTarget(f"127.0.0.1:{free_port()}", Resolver(loop))) == "connection refused"


def test_localhost_is_tried_on_both_protocols(loop: EventLoop, serve: Serve) -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        server = serve(lambda _request: b"", socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 here")
    assert ask(loop, TcpTarget(f"localhost:{server.port}", Resolver(loop))) is None
    assert ask(loop, TcpTarget(f"[::1]:{server.port}", Resolver(loop))) is None


def test_tcp_that_nobody_accepts(loop: EventLoop) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        assert ask(loop, TcpTarget(f"127.0.0.1:{port}", Resolver(loop)), 0.05) == "no answer within 0.05s"
        for filler in fillers:
            filler.close()


@pytest.mark.parametrize(
    ("target", "overflow", "error"),
    [
        ("127.0.0.1:{}", "0", None),
        ("127.0.0.1:{}", "1", "connection reset by peer"),
        ("http://127.0.0.1:{}/", "0", "connection reset by peer"),
        ("https://127.0.0.1:{}/", "0", "connection reset by peer"),
    ],
)
def test_a_connection_that_was_reset_before_the_look_was_accepted(
    loop: EventLoop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, overflow: str, error: str | None
) -> None:
    """A server that ends each connection at once answers; the look comes late on a busy host."""
    (tmp_path / "overflow").write_text(f"{overflow}\n")
    monkeypatch.setattr(tcp_http, "OVERFLOW_RESETS", str(tmp_path / "overflow"))
    kind = {"http": HttpTarget, "https": HttpsTarget}.get(target.partition("://")[0], TcpTarget)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        answers: Answers = []
        asked = kind(target.format(listener.getsockname()[1]), Resolver(loop))
        asked.begin(loop, 5.0, lambda *answer: answers.append(answer))
        accepted, _ = listener.accept()
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        accepted.close()
        run_until(loop, lambda: answers)
    assert answers[0][0] == error


def test_a_connection_to_itself_is_none(loop: EventLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket.socket, "getpeername", socket.socket.getsockname)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        target = TcpTarget(f"127.0.0.1:{listener.getsockname()[1]}", Resolver(loop))
        assert ask(loop, target) == "connection refused"


def test_names_are_looked_up_beside_the_loop(loop: EventLoop, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    server = serve(lambda _request: b"")
    asked: list[bytes] = []

    def look_up(host: bytes, *_args: object, **_more: object) -> list[object]:
        asked.append(host)
        if host == b"web.example":
            return [(socket.AF_INET, 0, 0, "", ("127.0.0.1", 0))]
        raise socket.gaierror(-2, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    resolver = Resolver(loop)
    for _ in range(2):
        assert ask(loop, TcpTarget(f"web.example:{server.port}", resolver)) is None
        assert ask(loop, TcpTarget(f"nowhere.example:{server.port}", resolver)) == "host name not known"
    assert sorted(asked) == [b"nowhere.example", b"nowhere.example", b"web.example"]


class UnixServer(Server):
    """The same on a Unix socket; `name` is a path, or begins with @."""

    def __init__(self, loop: EventLoop, reply: Callable[[bytes], bytes | None], name: str) -> None:
        self.requests, self.reply, self.loop = [], reply, loop
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind("\0" + name[1:] if name.startswith("@") else name)
        self.listener.listen()
        self.connections: list[socket.socket] = []
        loop.register(self.listener.fileno(), self.accept)


@pytest.mark.parametrize("abstract", [False, True])
def test_unix_sockets(loop: EventLoop, tmp_path: Path, abstract: bool) -> None:
    name = f"@phi-{os.urandom(8).hex()}" if abstract else str(tmp_path / "web.sock")
    server = UnixServer(loop, lambda _: b"HTTP/1.1 200 OK\r\n\r\n", name)
    resolver = Resolver(loop)
    try:
        assert ask(loop, HttpTarget(f"http://unix:{name}:/healthz?x=1", resolver)) is None
        assert ask(loop, HttpTarget(f"http://unix:{name}", resolver)) is None
        assert [r.split(b"\r\n")[:2] for r in server.requests] == [
            [b"GET /healthz?x=1 HTTP/1.1", b"Host: localhost"],
            [b"GET / HTTP/1.1", b"Host: localhost"],
        ]
        assert ask(loop, TcpTarget(f"unix:{name}", resolver)) is None
    finally:
        server.close()
    assert ask(loop, TcpTarget(f"unix:{name}", resolver)) == "connection refused"
    assert ask(loop, HttpTarget(f"http://unix:{tmp_path}/none:/", resolver)) == "no such file or directory"


def fall_silent(files: RemoteFiles) -> None:
    """Stop the process that is asked: it answers as little as the file system would let it."""
    assert files._idle is not None
    os.kill(files._idle._pid, signal.SIGSTOP)


def test_a_socket_beyond_a_file_system_that_may_not_answer(
    loop: EventLoop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mounts(), "remote", lambda *_: "/far")
    name, files, resolver = str(tmp_path / "web.sock"), RemoteFiles(loop), Resolver(loop)
    server = UnixServer(loop, lambda _: b"HTTP/1.1 200 OK\r\n\r\n", name)
    tcp, http = TcpTarget(f"unix:{name}", resolver, files), HttpTarget(f"http://unix:{name}:/x", resolver, files)
    try:
        assert ask(loop, tcp) is None
        assert ask(loop, http) is None
        assert server.requests[-1].startswith(b"GET /x HTTP/1.1")
    finally:
        server.close()
    assert ask(loop, tcp) == "connection refused"
    fall_silent(files)
    assert ask(loop, http, timeout=0.01) == "the file system of /far does not answer (within 0.01s)"
    run_until(loop, lambda: not files._left_behind["/far"])
    assert ask(loop, http) == "connection refused", "another process was asked"


# -- TLS -------------------------------------------------------------------------------------------------------------


needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PEM file with a key and a certificate that it signed itself."""
    folder = tmp_path_factory.mktemp("tls")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=other.example"]
    subprocess.run([*command, "-keyout", "key", "-out", "crt"], cwd=folder, check=True, capture_output=True)
    (folder / "pem").write_bytes((folder / "key").read_bytes() + (folder / "crt").read_bytes())
    return folder / "pem"


class TlsServer:
    """An HTTPS server in a thread that answers each request alike, and the names that were asked for."""

    def __init__(self, certificate: Path, answer: bytes) -> None:
        self.names: list[str | None] = []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate)
        self.context.sni_callback = lambda _socket, name, _context: self.names.append(name)
        self.answer = answer
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self) -> None:
        while True:
            connection, _ = self.listener.accept()
            with connection:
                if not connection.recv(1, socket.MSG_PEEK):
                    return  # the end of the test
                try:
                    with self.context.wrap_socket(connection, server_side=True) as secured:
                        secured.recv(65536)
                        secured.sendall(self.answer)
                except OSError:
                    pass

    def close(self) -> None:
        socket.create_connection(("127.0.0.1", self.port)).close()
        self.thread.join()
        self.listener.close()


@needs_openssl
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", None),
        (b"HTTP/1.1 503 No\r\n\r\n", "HTTP 503"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 12000 + b"\r\n\r\n", None),
        (b"", "connection closed before an answer"),
    ],
)
def test_https(loop: EventLoop, certificate: Path, answer: bytes, error: str | None) -> None:
    server = TlsServer(certificate, answer)
    try:
        assert ask(loop, HttpsTarget(f"https://localhost:{server.port}/", Resolver(loop))) == error
        assert ask(loop, HttpsTarget(f"https://127.0.0.1:{server.port}", Resolver(loop))) == error
        assert server.names[0] == "localhost"
    finally:
        server.close()


def test_https_of_a_server_without_tls_and_of_one_that_says_nothing(loop: EventLoop, serve: Serve) -> None:
    plain = serve(lambda _: b"HTTP/1.1 400 Bad\r\n\r\n")
    assert ask(loop, HttpsTarget(f"https://localhost:{plain.port}/", Resolver(loop))) == "TLS: wrong version number"
    silent = serve(lambda _: None)
    target = HttpsTarget(f"https://localhost:{silent.port}/", Resolver(loop))
    assert ask(loop, target, timeout=0.05) == "no answer within 0.05s"
    assert "refused" in str(ask(loop, HttpsTarget(f"https://127.0.0.1:{free_port()}/", Resolver(loop))))


# -- commands, files, activity ---------------------------------------------------------------------------------------


def shell(script: str, directory: str | None = None, **environment: str) -> ExecTarget:
    return ExecTarget(("sh", "-c", script), directory, {**os.environ, **environment}, Credentials())


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("exit 0", None),
        ("echo all is well", None),
        ("exit 2", "exit code 2"),
        ("echo first; echo; echo not ready >&2; echo; exit 2", "exit code 2: not ready"),
        ("printf '\\033[31mred\\007'; exit 1", "exit code 1: [31mred"),
        ("kill -9 $$", "killed by SIGKILL"),
        ("head -c 1000000 /dev/zero | tr '\\0' x; echo; echo end; exit 3", "exit code 3: end"),
    ],
)
def test_exec(loop: EventLoop, script: str, error: str | None) -> None:
    assert ask(loop, shell(script)) == error


def test_exec_has_the_services_surroundings(loop: EventLoop, tmp_path: Path) -> None:
    assert ask(loop, shell("echo $PWD $X; exit 1", str(tmp_path), X="y")) == f"exit code 1: {tmp_path} y"


def test_exec_of_what_cannot_be_run(loop: EventLoop) -> None:
    target = ExecTarget(("/nowhere/at-all",), None, {}, Credentials())
    answer = ask(loop, target)
    assert answer == "/nowhere/at-all: no such file or directory"
    assert isinstance(answer, Unasked)


def test_exec_is_killed_with_its_children_at_the_timeout(loop: EventLoop, tmp_path: Path) -> None:
    fifo = tmp_path / "held"
    os.mkfifo(fifo)
    held = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    script = f"echo waiting; exec 3> {fifo}; sleep 60 & sleep 60"
    assert ask(loop, shell(script), timeout=3.0) == "no answer within 3s: waiting"
    os.close(os.open(fifo, os.O_WRONLY))  # its end is read, also where the time was over before the child had opened it
    # The last who held the FIFO is gone: its end is read.
    ended: list[bytes] = []
    loop.register(held, lambda _events: ended.append(os.read(held, 1)))
    run_until(loop, lambda: ended)
    assert ended[0] == b""
    loop.unregister(held)
    os.close(held)


def test_exec_is_not_held_up_by_an_orphan_with_its_output(loop: EventLoop, tmp_path: Path) -> None:
    """The orphan, in a session of its own, ends after the answer has come."""
    up, end = tmp_path / "up", tmp_path / "end"
    os.mkfifo(up)
    os.mkfifo(end)
    script = f"setsid sh -c 'echo up >{up}; read line <{end}' & read line <{up}; echo gone; exit 1"
    assert ask(loop, shell(script)) == "exit code 1: gone"
    end.write_text("\n")


def test_a_cancelled_probe_says_nothing_and_leaves_nothing(loop: EventLoop) -> None:
    answers: Answers = []
    prober = Prober(loop)
    before = set(procfs.children(os.getpid()))
    cancel = prober.probe(shell("sleep 60"), 60.0, lambda *answer: answers.append(answer))
    assert set(procfs.children(os.getpid())) != before
    cancel()
    cancel()
    run_until(loop, lambda: set(procfs.children(os.getpid())) <= before)
    assert answers == []


def test_no_descriptor_is_lost(loop: EventLoop, serve: Serve) -> None:
    server = serve(lambda _request: b"HTTP/1.1 500 Oh\r\n\r\n")
    resolver = Resolver(loop)
    closed = free_port()
    before = sorted(p.name for p in Path("/proc/self/fd").iterdir())
    for target in (
        shell("exit 1"),
        HttpTarget(f"http://127.0.0.1:{server.port}/", resolver),
        TcpTarget(f"127.0.0.1:{closed}", resolver),
        ExecTarget(("/nowhere",), None, {}, Credentials()),
    ):
        assert ask(loop, target)
    assert sorted(p.name for p in Path("/proc/self/fd").iterdir()) == before


def test_file(loop: EventLoop, tmp_path: Path) -> None:
    path = tmp_path / "beat"
    target = FileTarget(str(path), RemoteFiles(loop))
    answer = ask(loop, target)
    assert answer == "no such file or directory"
    path.touch()
    assert ask(loop, target) is None
    assert ask(loop, target) == NOTHING_NEW
    os.utime(path, (5, 5))
    assert ask(loop, target) is None
    assert ask(loop, FileTarget(str(path), RemoteFiles(loop))) == NOTHING_NEW


def test_a_file_beyond_a_file_system_that_may_not_answer(
    loop: EventLoop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mounts(), "remote", lambda *_: "/far")
    path, files = tmp_path / "beat", RemoteFiles(loop)
    target = FileTarget(str(path), files)
    assert ask(loop, target) == "no such file or directory"
    path.touch()
    assert ask(loop, target) is None
    assert ask(loop, target) == NOTHING_NEW
    other = FileTarget(str(path), files)
    assert ask(loop, other) == NOTHING_NEW, "what was there before it was watched is no beat"
    os.utime(path, (5, 5))
    assert ask(loop, other) is None
    fall_silent(files)
    assert ask(loop, target, timeout=0.01) == "the file system of /far does not answer (within 0.01s)"
    run_until(loop, lambda: not files._left_behind["/far"])
    assert ask(loop, target) is None, "another process was asked"


def test_while_a_process_hangs_no_other_one_is_started_for_its_mount(
    loop: EventLoop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mounts(), "remote", lambda *_: "/far")
    files = RemoteFiles(loop)
    files._left_behind["/far"] = 1
    before = procfs.children(os.getpid())
    assert "does not answer" in str(ask(loop, FileTarget(str(tmp_path), files)))
    assert procfs.children(os.getpid()) == before


def test_a_files_beat_is_when_it_was_touched(tmp_path: Path) -> None:
    loop = FakeReactor(time.monotonic())
    path = tmp_path / "beat"
    path.touch()
    target = FileTarget(str(path), RemoteFiles(EventLoop()))
    answers: Answers = []
    loop.advance(10.0)
    touched = time.time() - 3.0
    os.utime(path, (touched, touched))
    target.begin(loop, 1.0, lambda *answer: answers.append(answer))  # type: ignore[arg-type]
    os.utime(path, (touched + 3600, touched + 3600))
    target.begin(loop, 1.0, lambda *answer: answers.append(answer))  # type: ignore[arg-type]
    assert answers[0] == (None, pytest.approx(loop.now() - 3.0, abs=0.5))
    assert answers[1] == (None, loop.now())


def test_activity(loop: EventLoop) -> None:
    target = ActivityTarget(lambda: [os.getpid()])
    assert ask(loop, target) is None
    assert ask(loop, ActivityTarget(list)) == NOTHING_NEW


def test_a_process_that_waits_is_not_active(loop: EventLoop) -> None:
    process = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(b"x\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"x\n"
        while (stat := procfs.stat(process.pid)) is not None and stat.state != "S":
            os.sched_yield()
        target = ActivityTarget(lambda: [process.pid])
        assert ask(loop, target) == NOTHING_NEW
        process.stdin.write(b"y\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"y\n"
        assert ask(loop, target) is None
    finally:
        process.kill()
        process.communicate()


# -- how many and how often ------------------------------------------------------------------------------------------


class Silent:
    """A target that answers when the test says so."""

    def __init__(self) -> None:
        self.asked: list[Done] = []
        self.cancelled = 0

    def begin(self, loop: EventLoop, timeout: float, done: Done) -> Cancel:
        self.asked.append(done)
        return self._cancel

    def _cancel(self) -> None:
        self.cancelled += 1


def fake() -> tuple[FakeReactor, Prober, Silent]:
    loop = FakeReactor()
    return loop, Prober(loop), Silent()  # type: ignore[arg-type]


def test_so_many_at_once_and_no_more() -> None:
    loop, prober, target = fake()
    answers: Answers = []
    cancels = [prober.probe(target, 1.0, lambda *a: answers.append(a)) for _ in range(MOST_AT_ONCE + 3)]
    assert len(target.asked) == MOST_AT_ONCE
    cancels[MOST_AT_ONCE]()  # while it waits
    target.asked[0](None, 1.0)
    target.asked[0]("again", 1.0)
    loop.settle()
    assert len(target.asked) == MOST_AT_ONCE + 1 and answers == [(None, 1.0)]
    cancels[1]()
    loop.settle()
    assert len(target.asked) == MOST_AT_ONCE + 2 and target.cancelled == 1


def test_what_takes_long_to_begin_leaves_the_loop_free_in_between() -> None:
    loop, prober, target = fake()
    begun: list[float] = []

    class Slow:
        """Takes 15 ms to begin, as a command does on a loaded host."""

        def begin(self, *arguments: Any) -> Cancel:
            begun.append(loop.now())
            loop._now += 0.015
            return target.begin(*arguments)

    for _ in range(5):
        prober.probe(Slow(), 1.0, lambda *_: None)
    assert len(begun) == 2, "the others wait for the next turn"
    loop.settle()
    assert len(begun) == 5


def test_a_probe_that_waits_too_long_for_its_turn_did_not_ask() -> None:
    loop, prober, target = fake()
    answers: Answers = []
    for _ in range(MOST_AT_ONCE + 2):
        prober.probe(target, 1.0, lambda *a: answers.append(a))
    asked: Answers = []
    prober.probe(target, 5.0, lambda *a: asked.append(a), first=True)
    loop.advance(1.5)
    ((error, _), _) = answers
    assert (error, type(error)) == ("other probes are under way", Unasked)
    assert isinstance(error, Unasked) and error.since == 1000.0
    target.asked[0](None, 1001.5)
    loop.settle()
    assert len(target.asked) == MOST_AT_ONCE + 1 and asked == []
    target.asked[-1](None, 1001.5)
    assert asked == [(None, 1001.5)]


def test_a_timeout_while_this_daemon_did_not_run_is_no_answer() -> None:
    _, prober, target = fake()
    answers: Answers = []
    for _ in range(3):
        prober.probe(target, 1.0, lambda *a: answers.append(a))
    prober.disturbed(4.0)
    prober.probe(target, 1.0, lambda *a: answers.append(a))
    for answer, done in zip([too_late(1.0), "connection refused", None, too_late(1.0)], target.asked, strict=True):
        done(answer, 1005.0)
    errors = [error for error, _ in answers]
    assert errors == [
        "this daemon did not run for 4.0 s meanwhile; no answer within 1s",
        "connection refused",
        None,
        "no answer within 1s",
    ]
    assert [isinstance(error, Unasked) for error in errors] == [True, False, False, False]


def test_what_this_host_lacks_is_no_answer_of_the_service(loop: EventLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = Resolver(loop)
    answer = ask(loop, TcpTarget("nowhere.invalid:80", resolver), 60.0)
    assert (answer, type(answer)) == ("host name not known", Unasked)
    monkeypatch.setattr(resolver, "_ask", lambda _host, _found: None)
    answer = ask(loop, HttpTarget("http://nowhere.invalid/", resolver), 0.05)
    assert answer == "no answer within 0.05s: the host name is still being looked up"
    assert isinstance(answer, Unasked)
    for number, ours in ((errno.EMFILE, True), (errno.EADDRNOTAVAIL, True), (errno.ECONNREFUSED, False)):
        monkeypatch.setattr(socket.socket, "connect_ex", lambda _self, _to, number=number: number)
        assert isinstance(ask(loop, TcpTarget("127.0.0.1:1", resolver)), Unasked) is ours


def test_a_target_that_cannot_be_tried_frees_its_place() -> None:
    loop, prober, _ = fake()

    class Broken:
        def begin(self, loop: EventLoop, timeout: float, done: Done) -> Cancel:
            raise OSError(24, "Too many open files")

    answers: Answers = []
    for _ in range(3 * MOST_AT_ONCE):
        prober.probe(Broken(), 1.0, lambda *a: answers.append(a))
        loop.settle()
    assert [error for error, _ in answers] == ["too many open files"] * (3 * MOST_AT_ONCE)


def test_polling_keeps_its_grid_and_never_overlaps() -> None:
    loop, prober, target = fake()
    errors: list[str | None] = []
    poller = Poller(prober, target, interval=1.0, timeout=1.0, phase=0.5, done=lambda error, _at: errors.append(error))
    start = loop.now()
    assert len(target.asked) == 1, "at once"
    moments = []
    for delay in (0.1, 0.3, 2.6, 0.0, 0.2):
        loop.advance(delay)
        target.asked[-1](None, loop.now())
        count = len(target.asked)
        while len(target.asked) == count:
            deadline = loop.next_deadline
            assert deadline is not None
            loop.advance(deadline - loop.now())
        moments.append(round(loop.now() - start, 6))
        assert len(target.asked) == count + 1
    assert moments == [0.75, 1.75, 4.75, 5.75, 6.75]
    poller.stop()
    assert target.cancelled == 1
    loop.advance(100.0)
    assert len(target.asked) == 6 and errors == [None] * 5


def test_polls_of_many_are_spread() -> None:
    loop, prober, target = fake()
    numbers = iter(i / 10 for i in range(10))
    for _ in range(10):
        Poller(prober, target, interval=1.0, timeout=1.0, phase=next(numbers), done=lambda *_: None)
    for done in list(target.asked):
        done(None, 0.0)
    moments = set()
    for _ in range(10):
        moments.add(loop.next_deadline)
        loop.advance((loop.next_deadline or 0) - loop.now())
    assert len(moments) == 10


def test_a_poller_that_is_stopped_by_its_own_answer() -> None:
    loop, prober, target = fake()
    pollers: list[Poller] = []
    pollers.append(
        Poller(prober, target, interval=1.0, timeout=1.0, phase=0.0, done=lambda *_: pollers[0].stop(), at_once=False)
    )
    assert target.asked == []
    loop.advance(0.5)
    target.asked[0](None, 0.0)
    loop.advance(10.0)
    assert len(target.asked) == 1 and loop.next_deadline is None
