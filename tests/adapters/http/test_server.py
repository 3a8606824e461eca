"""The HTTP server against clients that behave, and against those that do not."""

from __future__ import annotations

import errno
import json
import os
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from itertools import pairwise
from pathlib import Path

import pytest

from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.http import connection as http_connection
from supervisor.adapters.http import server as http
from supervisor.adapters.http.messages import Exchange, Request, Stream
from supervisor.adapters.http.server import HttpServer
from supervisor.errors import OperationFailed
from tests.adapters.http.conftest import asked_by_nobody
from tests.doubles.serving import PATIENCE, Served, read_all, read_answer, serving


class Echo:
    """Answers with what was asked; `/later` waits for `release`, `/stream` goes on, `/bad` fails."""

    def __init__(self) -> None:
        self.seen: list[Request] = []
        self.waiting: list[Exchange] = []
        self.streams: list[Stream] = []
        self.closed = threading.Event()

    def handle(self, exchange: Exchange) -> None:
        request = exchange.request
        self.seen.append(request)
        if request.path == "/bad":
            raise RuntimeError("boom")
        if request.path == "/later":
            self.waiting.append(exchange)
        elif request.path == "/stream":
            self.streams.append(exchange.stream("text/event-stream", b"farewell", self.closed.set))
            self.streams[-1].send(b"hello")
        elif request.path == "/big":
            exchange.reply(200, b"x" * 4_000_000, "text/plain")
        else:
            exchange.reply(200, f"{request.method} {request.path} {len(request.body)}".encode(), "text/plain")

    def refusal(self, code: str, message: str) -> bytes:
        return json.dumps({"code": code, "message": message}).encode()


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
def served(echo: Echo, tmp_path: Path) -> Iterator[Served]:
    with serving(lambda _loop: echo, f"{tmp_path}/s") as found:
        yield found


def get(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "host: localhost", *headers, "", ""]).encode()


def test_socket_is_for_its_owner_alone(served: Served) -> None:
    assert stat.S_IMODE(Path(served.path).stat().st_mode) == 0o600


def test_descriptors_cannot_be_passed_to_it(served: Served) -> None:
    """The kernel would close them in the event loop, and closing can block."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(served.path)
        try:
            client.getsockopt(socket.SOL_SOCKET, 83)
        except OSError:
            pytest.skip("this kernel cannot refuse them (Linux 6.16 can)")
        with pytest.raises(PermissionError):
            socket.send_fds(client, [b"GET /healthz HTTP/1.1\r\n\r\n"], [0])


def test_replaces_a_socket_that_nobody_serves(tmp_path: Path, echo: Echo) -> None:
    path = f"{tmp_path}/s"
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(path)
    stale.close()
    with serving(lambda _loop: echo, path) as served, served.connect() as sock:
        sock.sendall(get("/a"))
        assert read_answer(sock)[0] == 200


def test_path_too_long_is_an_error_with_a_way_out(tmp_path: Path, echo: Echo) -> None:
    loop = EventLoop()
    with pytest.raises(OperationFailed, match="runtime_dir"):
        HttpServer(loop, echo, print).listen_unix(f"{tmp_path}/{'x' * 120}")
    loop.close()


def test_port_in_use_is_an_error(served: Served, echo: Echo) -> None:
    loop = EventLoop()
    with pytest.raises(OperationFailed, match=str(served.port)):
        HttpServer(loop, echo, print).listen_tcp("127.0.0.1", served.port)
    loop.close()


def test_keep_alive_serves_one_request_after_the_other(served: Served) -> None:
    with served.connect() as sock:
        for path in ("/a", "/b", "/c"):
            sock.sendall(get(path))
            assert read_answer(sock)[2] == f"GET {path} 0".encode()


def test_pipelined_requests_are_answered_in_order(served: Served) -> None:
    with served.connect() as sock:
        sock.sendall(b"".join(get(f"/{n}") for n in range(200)))
        for n in range(200):
            assert read_answer(sock)[2] == f"GET /{n} 0".encode()


def test_pipeline_waits_for_a_late_answer(served: Served, echo: Echo) -> None:
    with served.connect() as sock:
        sock.sendall(get("/later") + get("/next"))
        served.settle()
        assert [r.path for r in echo.seen] == ["/later"]
        served.call(lambda: echo.waiting[0].reply(200, b"at last", "text/plain"))
        assert read_answer(sock)[2] == b"at last"
        assert read_answer(sock)[2] == b"GET /next 0"


def test_late_answer_to_one_who_left_is_dropped(served: Served, echo: Echo) -> None:
    with served.connect() as sock:
        sock.sendall(get("/later"))
        served.settle()
    served.settle()
    assert served.call(lambda: served.server.connections) == 0
    served.call(lambda: echo.waiting[0].reply(200, b"", "text/plain"))
    assert not served.problems


def test_body_by_length_and_by_chunks(served: Served) -> None:
    with served.connect() as sock:
        sock.sendall(b"POST /p HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhel")
        sock.sendall(b"lo")
        assert read_answer(sock)[2] == b"POST /p 5"
        sock.sendall(
            b"POST /p HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"
        )
        assert read_answer(sock)[2] == b"POST /p 7"


def test_expect_continue_is_answered_before_the_body(served: Served) -> None:
    with served.connect() as sock:
        sock.sendall(b"POST /p HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n")
        assert read_answer(sock)[0] == 100
        sock.sendall(b"ok")
        assert read_answer(sock)[2] == b"POST /p 2"


def test_head_has_the_length_but_no_body(served: Served) -> None:
    with served.connect() as sock:
        sock.sendall(b"HEAD /a HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        answer = read_all(sock)
    assert b"content-length: 9" in answer.lower()
    assert answer.endswith(b"\r\n\r\n")


def test_a_refusal_of_head_has_no_body(served: Served) -> None:
    with served.connect() as sock:
        sock.sendall(b"HEAD /a HTTP/1.1\nhost: x\r\n\r\n")
        answer = read_all(sock)
    assert answer.startswith(b"HTTP/1.1 400") and answer.endswith(b"\r\n\r\n")
    assert not served.problems


@pytest.mark.parametrize("closing", [b"GET /a HTTP/1.0\r\n\r\n", get("/a", "connection: close")])
def test_hangs_up_when_asked_to(served: Served, closing: bytes) -> None:
    with served.connect() as sock:
        sock.sendall(closing)
        assert read_all(sock).endswith(b"GET /a 0")


def test_half_closed_client_still_gets_its_answer(served: Served) -> None:
    with served.connect() as sock:
        sock.sendall(get("/a"))
        sock.shutdown(socket.SHUT_WR)
        assert read_all(sock).endswith(b"GET /a 0")


def test_request_in_absolute_form(served: Served, echo: Echo) -> None:
    with served.connect() as sock:
        sock.sendall(get("http://supervisor/v1/x?a=1"))
        read_answer(sock)
        sock.sendall(get("HTTP://supervisor?a=/1"))
        read_answer(sock)
    assert [(request.path, request.query) for request in echo.seen] == [("/v1/x", "a=1"), ("/", "a=/1")]


def test_a_chunked_body_may_arrive_in_any_pieces(served: Served) -> None:
    whole = b"POST /p HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\na: b\r\n\r\n"
    with served.connect() as sock:
        for cut in range(1, len(whole)):
            sock.sendall(whole[:cut])
            served.settle()
            sock.sendall(whole[cut:])
            assert read_answer(sock)[2] == b"POST /p 3"


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300) + b"\r\n\r\n",
        b"hello there\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET /a HTTP/1.1\r\n\r\n",
        b"GET /a HTTP/1.1\r\nhost: x\r\ncontent-length: minus one\r\n\r\n",
        b"GET /a HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"POST /a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\n",
        b"GET /a HTTP/1.1\r\nno colon here\r\n\r\n",
        b"GET /a HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n",
        b"GET /a HTTP/1.1\r\nhost : x\r\n\r\n",
        b"GET /a HTTP/1.1\r\n host: x\r\n\r\n",
        b"GET /a HTTP/1.1\r\nhost: x\r\nx: a\r\n b\r\n\r\n",
        b"GET /a HTTP/1.1\r\nhost: x\r\nx: a\rb\r\n\r\n",
        b"GET /a HTTP/1.1\nhost: x\r\n\r\n",
        b"GET /a HTTP/1.1\r\nhost: x\n\r\n",
        b"GET /a HTTP/1.1\r\nhost: x\r\n\n",
        b"GET /a HTTP/1.1\nhost: x\n\n",
        b"GET a HTTP/1.1\r\nhost: x\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n",
        b"CONNECT x:80 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET ftp://x/a HTTP/1.1\r\nhost: x\r\n\r\n",
        b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: +1\r\n\r\nx",
        b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /a HTTP/1.0\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\nx\r\n0\r\n\r\n",
        b"POST /a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\n",
        b"POST /a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\na: b\n\r\n",
    ],
)
def test_garbage_gets_400_and_is_cut(served: Served, garbage: bytes) -> None:
    with served.connect() as sock:
        sock.sendall(garbage)
        answer = read_all(sock)
    assert answer.startswith(b"HTTP/1.1 400"), answer
    assert b'"bad-request"' in answer
    assert served.call(lambda: served.server.connections) == 0
    assert not served.problems


def test_head_that_does_not_end_is_refused(served: Served) -> None:
    with served.connect() as sock:
        sock.sendall(b"GET /a HTTP/1.1\r\nhost: x\r\n" + b"x: y\r\n" * 8000)
        assert read_all(sock).startswith(b"HTTP/1.1 431")


def test_announced_body_that_is_too_large_is_refused_unread(served: Served) -> None:
    with served.connect() as sock:
        sock.sendall(b"POST /p HTTP/1.1\r\nhost: x\r\ncontent-length: 1048577\r\n\r\n")
        assert read_all(sock).startswith(b"HTTP/1.1 413")


def test_chunked_body_that_grows_too_large_is_refused(served: Served) -> None:
    with served.connect() as sock:
        sock.sendall(b"POST /p HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        with pytest.raises(OSError):
            for _ in range(4000):
                sock.sendall(b"400\r\n" + b"x" * 1024 + b"\r\n")
        assert read_all(sock).startswith(b"HTTP/1.1 413")


def test_body_of_one_mebibyte_is_taken(served: Served) -> None:
    with served.connect() as sock:
        sock.sendall(b"POST /p HTTP/1.1\r\nhost: x\r\ncontent-length: 1048576\r\n\r\n" + bytes(1048576))
        assert read_answer(sock)[2] == b"POST /p 1048576"


def test_handler_that_fails_is_a_500_and_a_problem(served: Served) -> None:
    with served.connect() as sock:
        sock.sendall(get("/bad"))
        status, _, body = read_answer(sock)
        assert (status, json.loads(body)["code"]) == (500, "internal")
        sock.sendall(get("/a"))
        assert read_answer(sock)[0] == 200
    assert served.problems == ["GET /bad failed: RuntimeError('boom')"]


# -- many, slow, stuck -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("begun", [b"", b"GET /a HT", get("/a")])
def test_a_new_connection_takes_the_place_of_one_without_a_request_in_hand(served: Served, begun: bytes) -> None:
    with ExitStack() as stack:
        for connect in (served.connect, served.connect_tcp):
            crowd = [stack.enter_context(connect()) for _ in range(3 * http.MOST_CONNECTIONS)]
            for sock in crowd:
                with suppress(OSError):  # it has yielded its place already
                    sock.sendall(begun)
            served.settle()
            late = stack.enter_context(connect())
            late.sendall(get("/late"))
            assert read_answer(late)[2] == b"GET /late 0"
            assert served.call(lambda: served.server.connections) <= 2 * http.MOST_CONNECTIONS


def test_a_request_in_hand_keeps_its_place(served: Served, echo: Echo) -> None:
    with ExitStack() as stack:
        asked = [stack.enter_context(served.connect()) for _ in range(http.MOST_CONNECTIONS)]
        for number, sock in enumerate(asked):
            sock.sendall(get("/stream" if number % 2 else "/later"))
        while len(echo.seen) < len(asked):
            served.settle()
        late = stack.enter_context(served.connect())
        late.sendall(get("/a"))
        assert read_all(late).startswith(b"HTTP/1.1 503")
        served.call(lambda: echo.waiting[0].reply(200, b"at last", "text/plain"))
        assert read_answer(asked[0])[2] == b"at last"
        next_one = stack.enter_context(served.connect())
        next_one.sendall(get("/a"))
        assert read_answer(next_one)[2] == b"GET /a 0"
        assert read_all(asked[0]) == b""


def test_clients_that_take_no_answer_yield_too(served: Served, echo: Echo) -> None:
    with ExitStack() as stack:
        for _ in range(http.MOST_CONNECTIONS):
            stack.enter_context(served.connect()).sendall(get("/big"))
        while len(echo.seen) < http.MOST_CONNECTIONS:
            served.settle()
        late = stack.enter_context(served.connect())
        late.sendall(get("/a"))
        assert read_answer(late)[2] == b"GET /a 0"


def test_an_order_whose_client_has_hung_up_is_dropped(served: Served, echo: Echo) -> None:
    def order(path: str) -> bytes:
        return f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n".encode()

    def impatient() -> None:
        """The loop stands still while the client gives up."""
        with served.connect() as sock:
            sock.sendall(order("/gone"))

    served.call(impatient)
    with served.connect() as sock:
        sock.sendall(order("/waits"))
        sock.shutdown(socket.SHUT_WR)  # it has finished sending, and waits
        assert read_answer(sock)[2] == b"POST /waits 0"
    assert [request.path for request in echo.seen] == ["/waits"]


def test_unfinished_request_is_cut(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_connection, "REQUEST_SECONDS", 0.05)
    with served.connect() as sock:
        with suppress(OSError):  # on a busy machine it is cut already
            sock.sendall(b"GET /a HT")
        assert read_all(sock) == b""
    with served.connect() as silent:
        assert read_all(silent) == b""
    assert served.call(lambda: served.server.connections) == 0


def test_trickle_does_not_put_off_the_deadline(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_connection, "REQUEST_SECONDS", 0.1)
    with served.connect() as sock:
        with pytest.raises(OSError):
            for _ in range(10_000_000):
                sock.sendall(b"x")
                served.call(lambda: None)


def test_client_that_takes_nothing_is_cut(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_connection, "REQUEST_SECONDS", 0.05)
    with served.connect() as sock:
        with suppress(OSError):  # on a busy machine it is cut already
            sock.sendall(get("/big"))
        ended = threading.Event()

        def look() -> None:
            if served.server.connections == 0:
                ended.set()
            else:
                served.loop.call_at(served.loop.now() + 0.01, look)

        served.loop.call_from_thread(look)
        assert ended.wait(PATIENCE)


def test_slow_reader_gets_a_large_answer_whole(served: Served) -> None:
    with served.connect() as sock:
        sock.sendall(get("/big"))
        assert len(read_answer(sock)[2]) == 4_000_000


def test_the_end_of_a_large_answer_and_of_a_large_stream_is_told(served: Served, echo: Echo) -> None:
    told: list[bool] = []
    served.server.on_large_answer = lambda: told.append(True)
    with served.connect() as sock:
        for path, count in (("/a", 0), ("/big", 1), ("/a", 1), ("/big", 2)):
            sock.sendall(get(path))
            read_answer(sock)
            served.settle()
            assert len(told) == count
        sock.sendall(get("/stream"))
        sock.recv(4096)
        served.call(lambda: echo.streams[0].send(b"x" * http_connection.LARGE))
        seen = 0
        while seen < http_connection.LARGE:
            seen += len(sock.recv(1 << 20))
        served.settle()
        assert len(told) == 2
    assert echo.closed.wait(PATIENCE)
    served.settle()
    assert len(told) == 3


def test_pipeliner_that_reads_nothing_stops_itself(served: Served, echo: Echo) -> None:
    with served.connect() as sock:
        sock.setblocking(False)
        sent = 0
        try:
            while sent < 50_000_000:
                sent += sock.send(get("/big") * 100)
        except BlockingIOError:
            pass
        served.settle()
        assert len(echo.seen) < 3
        with served.connect() as other:
            other.sendall(get("/a"))
            assert read_answer(other)[2] == b"GET /a 0"


def test_flood_of_tiny_chunks_leaves_turns_to_others(served: Served) -> None:
    with served.connect() as flood:
        flood.sendall(b"POST /p HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 2000)
        turns: list[int] = []
        served.call(lambda: turns.append(1))
        with served.connect() as other:
            other.sendall(get("/a"))
            assert read_answer(other)[0] == 200
        flood.sendall(b"0\r\n\r\n")
        assert read_answer(flood)[2] == b"POST /p 2000"


def test_requests_of_many_share_one_turn_of_the_loop(
    served: Served, echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "WORK_A_TURN", 0.0)
    turns: list[int] = []
    with ExitStack() as stack:
        crowd = [stack.enter_context(served.connect()) for _ in range(30)]
        served.settle()

        def flood() -> None:
            for sock in crowd:
                sock.sendall(get("/a") + get("/b"))
            served.loop.before_wait = lambda: turns.append(len(echo.seen))

        served.call(flood)
        for sock in crowd:
            assert read_answer(sock)[2] == b"GET /a 0"
            assert read_answer(sock)[2] == b"GET /b 0"
    assert [request.path for request in echo.seen] == ["/a"] * 30 + ["/b"] * 30, "nobody is served twice before all are"
    assert len(turns) > 20
    assert max(after - before for before, after in pairwise(turns)) <= 2


# -- streams ---------------------------------------------------------------------------------------------------------


def test_stream_goes_on_until_ended(served: Served, echo: Echo) -> None:
    with served.connect() as sock:
        sock.sendall(get("/stream"))
        served.settle()
        served.call(lambda: echo.streams[0].send(b"more"))
        served.call(lambda: echo.streams[0].end())
        answer = read_all(sock)
    assert b"transfer-encoding: chunked" in answer.lower()
    assert answer.endswith(b"5\r\nhello\r\n4\r\nmore\r\n0\r\n\r\n")
    assert echo.closed.is_set()


def test_stream_hears_that_its_client_has_gone(served: Served, echo: Echo) -> None:
    with served.connect() as sock:
        sock.sendall(get("/stream"))
        assert sock.recv(10)
    assert echo.closed.wait(PATIENCE)
    served.call(lambda: echo.streams[0].send(b"into the void"))
    assert not served.problems


def test_reader_that_lags_is_told_and_cut(served: Served, echo: Echo) -> None:
    with served.connect() as sock:
        sock.sendall(get("/stream"))
        served.settle()
        for _ in range(40):
            served.call(lambda: echo.streams[0].send(b"x" * 100_000))
        assert served.call(lambda: echo.streams[0].backlog) < 2 * http_connection.MOST_BACKLOG
        answer = read_all(sock)
    assert answer.endswith(b"8\r\nfarewell\r\n0\r\n\r\n")
    assert len(answer) < 2_000_000
    assert echo.closed.wait(PATIENCE)


def test_reader_that_keeps_up_is_never_cut(served: Served, echo: Echo) -> None:
    got = bytearray()
    with served.connect() as sock:
        sock.sendall(get("/stream"))
        served.settle()
        for n in range(40):
            served.call(lambda: echo.streams[0].send(b"x" * 100_000))
            while got.count(b"x") < (n + 1) * 100_000:
                got += sock.recv(1 << 20)
        assert b"farewell" not in got
    assert not served.problems


def test_flushed_is_told_once_when_all_is_out(served: Served, echo: Echo) -> None:
    flushed = threading.Event()
    with served.connect() as sock:
        sock.sendall(get("/stream"))
        served.settle()
        served.call(lambda: echo.streams[0].send(b"x" * 900_000))
        served.call(lambda: echo.streams[0].when_flushed(flushed.set))
        served.settle()
        assert not flushed.is_set()
        got = b""
        while not got.endswith(b"x\r\n") or len(got) < 900_000:
            got += sock.recv(1 << 20)
        assert flushed.wait(PATIENCE)


def test_closing_the_server_ends_streams_properly(tmp_path: Path, echo: Echo) -> None:
    with serving(lambda _loop: echo, f"{tmp_path}/s") as served:
        sock = served.connect()
        sock.sendall(get("/stream"))
        served.settle()
    with sock:
        assert read_all(sock).endswith(b"0\r\n\r\n")


# -- who may ---------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_another_user_is_refused_by_mode_and_by_credentials(open_folder: Path, echo: Echo) -> None:
    with serving(lambda _loop: echo, f"{open_folder}/s") as served:
        assert "refused by the mode" in asked_by_nobody(served.path)
        Path(served.path).chmod(0o666)
        assert asked_by_nobody(served.path).startswith("HTTP/1.1 403")
    assert not echo.seen


def test_out_of_descriptors_rests_and_comes_back(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "REST_AFTER_EMFILE", 0.02)
    listener = served.server._listeners[0]
    real = listener._sock
    tries = []

    class Exhausted:
        def accept(self) -> tuple[socket.socket, object]:
            tries.append(1)
            if len(tries) < 3:
                raise OSError(errno.EMFILE, "Too many open files")
            return real.accept()

        def __getattr__(self, name: str) -> object:
            return getattr(real, name)

    served.call(lambda: setattr(listener, "_sock", Exhausted()))
    with served.connect() as sock:
        sock.sendall(get("/a"))
        assert read_answer(sock)[0] == 200
    assert served.problems == ["cannot accept a connection: [Errno 24] Too many open files"]
