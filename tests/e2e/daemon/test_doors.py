"""What a crowd at the control socket, a client that gave up, and a directory that is not ours do to orders."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack

from tests.e2e.conftest import PATIENCE, Daemon

Start = Callable[..., Daemon]
ORDER = b"POST /v1/stop HTTP/1.1\r\nhost: x\r\n%scontent-length: 0\r\n\r\n"
WEB = '[services.web]\ncommand = ["sleep", "1000"]\n'


def _connected(one: Daemon) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(PATIENCE)
    sock.connect(str(one.runtime_dir / "control.sock"))
    return sock


def test_neither_followers_nor_idle_connections_keep_orders_out(daemon: Start) -> None:
    one = daemon(WEB)
    with ExitStack() as stack:
        for _ in range(100):
            follower = stack.enter_context(_connected(one))
            follower.sendall(b"GET /v1/stream HTTP/1.1\r\nhost: x\r\n\r\n")
            assert follower.recv(4096).startswith(b"HTTP/1.1 ")
            stack.enter_context(_connected(one))
            stack.enter_context(_connected(one))
        assert one.cli("status").returncode == 0
        assert one.cli("restart", "web").returncode == 0, "it is waited for by a stream"
        run = one.cli("down")
        assert run.returncode == 0, run.stderr
    assert one.wait() == 0


def test_an_order_dies_with_its_client(daemon: Start) -> None:
    one = daemon(WEB)
    one.event("web", "running", "spawned")
    assert one.process is not None
    pid = one.status("web")["pid"]
    one.signal(signal.SIGSTOP)
    os.waitid(os.P_PID, one.process.pid, os.WSTOPPED | os.WNOWAIT)
    try:
        with _connected(one) as client:
            client.sendall(ORDER % b"")
        patient = _connected(one)
        patient.sendall(
            ORDER % f"connection: close\r\nsupervisor-deadline: {time.monotonic() - 0.001:.3f}\r\n".encode()
        )
    finally:
        one.signal(signal.SIGCONT)
    with patient, patient.makefile("rb") as answer:
        assert any(b"the order came too late and was not carried out" in line for line in answer)
    row = one.status("web")
    assert (row["goal"], row["state"], row["pid"]) == ("up", "running", pid)
