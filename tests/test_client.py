"""The client, against the real server and against ones that answer badly."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from supervisor import control_socket, daemon_stream
from supervisor.adapters.control.port import Subscriber
from supervisor.cli.detached_daemon import answers
from supervisor.client import Client
from supervisor.control_socket import quoted
from supervisor.errors import ConfigError, NoAnswer, NoDaemon, NoSuchService, OperationFailed, UsageError
from supervisor.http_answer import read_body, read_head
from tests.doubles import fake_client
from tests.doubles.fake_daemon import StandIn, serve


@pytest.fixture
def path(tmp_path: Path) -> str:
    return f"{tmp_path}/control.sock"


@pytest.fixture
def client(path: str) -> Iterator[Client]:
    with serve(path, fake_client.twelve(), events=fake_client.events()):
        yield Client(path)


def test_get_and_post(client: Client) -> None:
    assert len(client.get("/v1/status", service=["web", "redis"])["instances"]) == 4
    assert client.get("/v1/events", limit=1, since=None)["events"][0]["id"] == 113
    assert client.post("/v1/start", {"services": ["redis"]}) == {"instances": ["redis"]}


def test_names_are_quoted(client: Client) -> None:
    assert client.get(f"/v1/logs/{quoted('web@1')}")["instance"] == "web@1"
    with pytest.raises(NoSuchService):
        client.get("/v1/status", service="a b&c=d%é")
    assert quoted("a b+é/@") == "a%20b%2B%C3%A9/@"


def test_errors_become_those_of_errors_py(client: Client) -> None:
    with pytest.raises(NoSuchService, match="nobody"):
        client.post("/v1/start", {"services": ["nobody"]})
    with pytest.raises(NoSuchService) as caught:
        client.get("/v1/instances/rediss")
    assert caught.value.hint == "Did you mean redis?"
    with pytest.raises(UsageError, match="no such signal"):
        client.post("/v1/signal", {"signal": "WRONG"})
    with pytest.raises(OperationFailed, match="there is no /nothing"):
        client.get("/nothing")


def test_configuration_errors(path: str) -> None:
    with serve(path, [], broken=["reload"]), pytest.raises(ConfigError, match="comand"):
        Client(path).post("/v1/reload")


def test_nobody_there(path: str, tmp_path: Path) -> None:
    with pytest.raises(NoDaemon, match=path) as caught:
        Client(path).get("/v1/status")
    assert "supervisor up -d" in caught.value.hint
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(path)
    stale.close()
    with pytest.raises(NoDaemon):
        Client(path).get("/v1/status")
    with pytest.raises(NoDaemon):
        Client(f"{tmp_path}/{'x' * 200}").get("/v1/status")


def test_knows_the_daemon_by_the_kernels_word(path: str) -> None:
    with serve(path, []) as pid:
        assert Client(path).daemon_pid() == pid


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\n\r\nnot json",
    ],
)
def test_answers_that_are_none(path: str, answer: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def respond() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.recv(65536)
                sock.sendall(answer)

        thread = threading.Thread(target=respond)
        thread.start()
        with pytest.raises(NoDaemon, match="no answer"):
            Client(path).get("/v1/status")
        thread.join()


# -- the reader ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 200\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n", b"hello"),
        (b"HTTP/1.0 200 OK\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n", b""),
    ],
)
def test_framings(answer: bytes, body: bytes) -> None:
    reader = io.BytesIO(answer)
    _, headers = read_head(reader)
    assert read_body(reader, headers) == body


CHUNKED = b"HTTP/1.1 200\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n"


@pytest.mark.parametrize("cut", range(len(CHUNKED)))
def test_answer_cut_anywhere_is_an_error(cut: int) -> None:
    reader = io.BytesIO(CHUNKED[:cut])
    with pytest.raises(ValueError):
        _, headers = read_head(reader)
        read_body(reader, headers)


# -- the stream ------------------------------------------------------------------------------------------------------


def test_stream_follows(client: Client) -> None:
    with client.stream(["events", "status"], interval=60.0) as stream:
        assert next(stream)[0] == "status"
        client.post("/v1/start", {"services": ["debug-shell"]})
        kind, event = next(stream)
        assert (kind, dict(event)["to"]) == ("event", "starting")


def test_stream_of_a_service_that_is_not_there(client: Client) -> None:
    with pytest.raises(NoSuchService):
        client.stream(["events"], ["nobody"])


def test_stream_without_reconnect_ends_with_the_daemon(path: str) -> None:
    with serve(path, [fake_client.view("a")]):
        client = Client(path)
        stream = client.stream(["events"])
        client.post("/v1/down")
        assert [dict(data)["to"] for _, data in stream] == ["stopping", "stopped"]
    with pytest.raises(NoDaemon):
        client.stream(["events"])


def test_stream_reconnects_says_so_and_misses_nothing(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon_stream, "RECONNECT_SECONDS", 0.01)
    rows, events = [fake_client.view("a")], fake_client.events()
    with serve(path, rows, events=events[:-2]):
        stream = Client(path).stream(["events"], after=events[-4]["id"], reconnect=True)
        assert next(stream) == ("event", events[-3])
    assert next(stream)[0] == "disconnected"
    with serve(path, rows, events=events):
        assert [next(stream) for _ in range(3)] == [("connected", {}), ("event", events[-2]), ("event", events[-1])]
    stream.close()
    assert list(stream) == []


def test_stream_may_be_opened_before_the_daemon_is_there(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon_stream, "RECONNECT_SECONDS", 0.01)
    stream = Client(path).stream(["status"], reconnect=True)
    assert stream.fileno() == -1
    assert next(stream)[0] == "disconnected"
    with serve(path, [fake_client.view("a")]):
        assert [next(stream)[0] for _ in range(2)] == ["connected", "status"]
        assert stream.fileno() > 0
        stream.close()


def test_closing_from_another_thread_ends_the_iteration(client: Client) -> None:
    stream = client.stream(["events"], reconnect=True)
    said: list[object] = []
    thread = threading.Thread(target=lambda: said.extend(stream))
    thread.start()
    stream.close()
    thread.join(10)
    assert not thread.is_alive()
    assert not said


def test_a_daemon_that_is_stopped_is_named_and_waited_for(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_socket, "PATIENCE_SECONDS", 0.01)
    told: list[str] = []
    with serve(path, [fake_client.view("a")]) as pid:

        def late(text: str) -> None:
            told.append(text)
            os.kill(pid, signal.SIGCONT)

        client = Client(path, on_wait=late)
        for ask in (client.status, lambda: next(client.stream(["status"])), lambda: client.act("stop", ["a"])):
            os.kill(pid, signal.SIGSTOP)
            os.waitid(os.P_PID, pid, os.WSTOPPED)
            assert ask()
    stopped = f"waiting for the daemon (pid {pid}, stopped)"
    assert told.count(stopped) >= 3, told  # on a busy host it may be late once more, after it was let go on


def test_a_stream_of_statuses_says_when_none_comes(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_socket, "PATIENCE_SECONDS", 0.01)
    with serve(path, [fake_client.view("a")]) as pid:
        told: list[str] = []

        def late(text: str) -> None:
            told.append(text)
            os.kill(pid, signal.SIGCONT)

        with Client(path, on_wait=late).stream(["status"], interval=0.2) as stream:
            assert next(stream)[0] == "status"
            os.kill(pid, signal.SIGSTOP)
            os.waitid(os.P_PID, pid, os.WSTOPPED)
            while not told:
                assert next(stream)[0] == "status"


def test_a_daemon_that_never_answers(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_socket, "ANSWER_SECONDS", 0.05)
    with serve(path, [fake_client.view("a")]) as pid:
        os.kill(pid, signal.SIGSTOP)
        os.waitid(os.P_PID, pid, os.WSTOPPED)
        client = Client(path)
        for ask in (client.status, lambda: client.stream(["status"]), client.reload, client.upgrade):
            with pytest.raises(NoDaemon, match=f"pid {pid}, stopped.*gave no answer within.*\n.*kill -CONT {pid}"):
                ask()
        with pytest.raises(NoAnswer):
            answers(client)  # so that `up` starts no other one


def test_a_queue_of_connections_that_is_full_is_waited_for(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_socket, "PATIENCE_SECONDS", 0.01)
    told: list[str] = []
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first:
        listener.bind(path)
        listener.listen(0)
        first.connect(path)

        def late(text: str) -> None:
            told.append(text)
            listener.accept()[0].close()

        assert Client(path, on_wait=late).daemon_pid() == os.getpid()
    assert told == ["waiting for the daemon, which accepts no connection"]


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))  # noqa: PTH208


def test_a_stream_that_is_left_has_closed_its_socket(client: Client) -> None:
    before = descriptors()
    streams = []
    for _ in range(20):
        with client.stream(["status"]) as stream:
            assert next(stream)[0] == "status"
            streams.append(stream)
    unread = client.stream(["status"])
    unread.close()
    assert descriptors() <= before  # a test before may have left one, which the garbage collector has closed
    assert all(stream.fileno() == -1 for stream in streams) and list(unread) == []


# -- whose socket it is ----------------------------------------------------------------------------------------------


def test_a_directory_of_another_user_in_a_shared_place_is_not_believed(client: Client, path: str) -> None:
    assert client.health()
    house = Path(path).parent
    shared = house / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    (shared / "link").symlink_to(house)
    for tried in ("link/control.sock", "mine/control.sock"):
        with pytest.raises(NoDaemon) as caught:
            Client(f"{shared}/{tried}").status()
        assert ("not trusted" in str(caught.value)) is tried.startswith("link"), "what is missing is only missing"
    if os.geteuid() == 0:
        theirs = shared / "theirs"
        theirs.mkdir()
        os.chown(theirs, 65534, -1)
        os.link(path, theirs / "control.sock")
        with pytest.raises(NoDaemon, match="belongs to user 65534"):
            Client(f"{theirs}/control.sock").down()
    assert client.health()


def test_a_socket_that_another_user_serves_is_sent_nothing(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        monkeypatch.setattr(control_socket, "peer", lambda _: (1, 65533, 65533))
        with pytest.raises(NoDaemon, match="served by user 65533"):
            Client(path).down()
        peer, _ = listener.accept()
        with peer:
            assert peer.recv(100) == b""


def test_an_order_says_how_long_its_client_waits(path: str) -> None:
    heads: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def respond() -> None:
            for _ in range(2):
                peer, _address = listener.accept()
                with peer:
                    heads.append(peer.recv(65536))
                    peer.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")

        thread = threading.Thread(target=respond)
        thread.start()
        before = time.monotonic()
        Client(path).down()
        Client(path).get("/v1/status")
        thread.join()
    deadline = float(heads[0].partition(b"supervisor-deadline: ")[2].split(b"\r\n")[0])
    assert before < deadline <= time.monotonic() + control_socket.ANSWER_SECONDS + 0.001
    assert b"supervisor-deadline" not in heads[1]


def test_lines_of_output_arrive(path: str) -> None:
    def then(daemon: StandIn) -> None:
        watch = daemon.watch

        def greet(subscriber: Subscriber) -> Callable[[], None]:
            daemon.loop.call_soon(lambda: daemon.say("a", "héllo\nworld"))
            return watch(subscriber)

        daemon.watch = greet  # type: ignore[method-assign]

    with serve(path, [fake_client.view("a")], then=then):
        kind, data = next(Client(path).stream(["logs"]))
        assert (kind, dict(data)["lines"]) == ("log", ["héllo\nworld"])


def test_imports_nothing_heavy() -> None:
    heavy = "http.client email urllib h11 asyncio ssl click rich textual pydantic dataclasses"
    code = f"import sys, supervisor.client; print([m for m in {heavy.split()} if m in sys.modules])"
    env = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE")}
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
    assert out.stdout.strip() == "[]"
