"""schemathesis against our OpenAPI: what the document allows and what it forbids is sent to the real server, and every
answer must be one that the document names."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import CHECKS

from supervisor.adapters.api import ROUTES, Api
from supervisor.adapters.openapi import document
from supervisor.adapters.reactor import Reactor
from tests.faces import fakedaemon
from tests.faces.standin import StandIn
from tests.serving import serving

SCHEMA = schemathesis.openapi.from_dict(document(ROUTES)).exclude(path="/v1/stream")  # which has no end
WANTED = CHECKS.get_by_names(
    [
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_schema_conformance",
        "negative_data_rejection",
        "unsupported_method",
    ]
)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The control socket, by a port that leads to it."""

    def make(reactor: Reactor) -> Api:
        lines = {"redis": [(float(n), f"line {n}") for n in range(20)]}
        daemon = StandIn(reactor, fakedaemon.fleet(), events=fakedaemon.events(), lines=lines)
        daemon.ended = lambda: setattr(daemon, "closing", False)  # it is to be asked on
        return Api(daemon, reactor)

    path = Path(tmp_path_factory.mktemp("s"), "s")
    with serving(make, str(path)) as served, socket.create_server(("127.0.0.1", 0)) as door:
        threading.Thread(target=_lead, args=(door, str(path)), daemon=True).start()
        yield f"http://127.0.0.1:{door.getsockname()[1]}"
        assert not served.problems


def _lead(door: socket.socket, path: str) -> None:
    while True:
        try:
            client, _ = door.accept()
        except OSError:
            return
        inside = socket.socket(socket.AF_UNIX)
        inside.connect(path)
        for source, sink in ((client, inside), (inside, client)):
            threading.Thread(target=_copy, args=(source, sink), daemon=True).start()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


@SCHEMA.parametrize()
@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_answer_is_one_of_the_document(case: schemathesis.Case, address: str) -> None:
    case.call_and_validate(base_url=address, checks=WANTED, timeout=10.0)
