"""Addresses that are written as numbers are answered at once."""

from __future__ import annotations

import socket

import pytest

from supervisor.adapters.eventloop.dns import Resolver
from supervisor.adapters.eventloop.loop import EventLoop


def test_a_literal_address_is_parsed_once_however_often_it_is_probed(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []
    real = socket.inet_pton
    monkeypatch.setattr(socket, "inet_pton", lambda family, host: (parsed.append(host), real(family, host))[1])
    loop, found = EventLoop(), list[object]()
    resolver = Resolver(loop)
    for _ in range(3):
        resolver.resolve("127.0.0.77", found.append)
    assert found == [[(socket.AF_INET, "127.0.0.77")]] * 3
    assert parsed == ["127.0.0.77"]
    loop.close()
