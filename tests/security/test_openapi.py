"""Calls that schemathesis generates from the OpenAPI document: each answer must be one that it documents."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import positive_data_acceptance

from supervisor.adapters.control.routes import ControlRoutes
from supervisor.adapters.eventloop.loop import EventLoop
from tests.doubles import fake_client
from tests.doubles.documented import DOCUMENT
from tests.doubles.fake_daemon import StandIn
from tests.doubles.serving import Served, serving

CALLS = 40
ENDLESS = "/v1/stream"
OPERATIONS = [(p, method) for p, item in DOCUMENT["paths"].items() for method in item if p != ENDLESS]


NOT_MEANT = (
    positive_data_acceptance,  # not every text is a time, a signal or a cursor
    not_a_server_error,  # /readyz answers 503 while something is not ready; an internal error would be undocumented
)


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    def make(loop: EventLoop) -> ControlRoutes:
        lines: dict[str, list[tuple[float | None, str]]] = {"redis": [(float(n), f"line {n}") for n in range(20)]}
        daemon = StandIn(loop, fake_client.twelve(), events=fake_client.events(), lines=lines)
        daemon.ended = lambda: None  # whoever makes the next call is to get an answer, too
        return ControlRoutes(daemon, loop)

    with serving(make, f"{tmp_path}/s") as one:
        monkeypatch.setattr("urllib3.util.connection.create_connection", lambda *_, **__: one.connect())
        yield one
        assert not one.problems


@pytest.mark.parametrize(("path", "method"), OPERATIONS, ids=[f"{method} {path}" for path, method in OPERATIONS])
def test_the_document_is_kept(served: Served, path: str, method: str) -> None:
    operation = schemathesis.openapi.from_dict(DOCUMENT)[path][method]
    both = [operation.as_strategy(generation_mode=mode) for mode in schemathesis.GenerationMode]

    @settings(max_examples=CALLS, phases=[Phase.generate], suppress_health_check=list(HealthCheck), database=None)
    @given(case=both[0] | both[1])
    def calls(case: Any) -> None:
        case.call_and_validate(base_url="http://supervisor", excluded_checks=list(NOT_MEANT))

    calls()
