"""The client of a connection on TCP: its address, and its user where it is on this machine."""

from __future__ import annotations

import os
import socket

import pytest

from supervisor.adapters.http import peer
from supervisor.adapters.http.peer import client_of


@pytest.mark.parametrize(
    ("family", "host", "shown"), [(socket.AF_INET, "127.0.0.1", "127.0.0.1:{}"), (socket.AF_INET6, "::1", "[::1]:{}")]
)
def test_the_user_of_a_client_on_this_machine(family: int, host: str, shown: str) -> None:
    with socket.socket(family) as server:
        try:
            server.bind((host, 0))
        except OSError:
            pytest.skip(f"this machine has no {host}")
        server.listen()
        with socket.create_connection((host, server.getsockname()[1])) as client, server.accept()[0] as ours:
            found = client_of(ours)
            assert found == (0, os.geteuid(), shown.format(client.getsockname()[1]))


def test_a_client_that_the_kernel_does_not_know_has_no_user(monkeypatch: pytest.MonkeyPatch) -> None:
    assert peer._owner("192.0.2.1", 9, "127.0.0.1", 9) is None
    monkeypatch.setattr(peer, "_NETLINK_SOCK_DIAG", 31)
    assert peer._owner("192.0.2.1", 9, "127.0.0.1", 9) is None
    with socket.socket() as never_connected:
        assert client_of(never_connected) == (0, None, "")
