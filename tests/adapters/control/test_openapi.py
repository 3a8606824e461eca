"""The OpenAPI document: it is generated from routes and documents, is up to date, and fits every answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from scripts.tools.docs import openapi
from supervisor.adapters.control.routes import ROUTES, ControlRoutes
from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.core.model import actions, document_types, spec
from supervisor.core.restart.tracker import Breaker
from tests.doubles import fake_client
from tests.doubles.documented import DOCUMENT, MESSAGES, CheckedClient, check_document
from tests.doubles.fake_daemon import StandIn
from tests.doubles.serving import Served, serving

SCHEMAS = DOCUMENT["components"]["schemas"]


def test_the_document_is_up_to_date() -> None:
    assert openapi.PATH.read_text() == openapi.text(), "run scripts/openapi"


def test_every_schema_says_what_it_is() -> None:
    bare = [name for name, schema in SCHEMAS.items() if not schema.get("description")]
    assert set(bare) <= set(openapi.PLAIN)
    assert {route.shape for route in ROUTES} <= set(SCHEMAS)


@pytest.mark.parametrize(
    ("written", "rule"),
    [
        (document_types.State, actions.State),
        (document_types.Goal, actions.Goal),
        (document_types.Breaker, Breaker),
        (document_types.ServiceType, spec.ServiceType),
    ],
)
def test_words_are_those_of_the_rules(written: Any, rule: Any) -> None:
    assert list(get_args(written)) == [word.value for word in rule]


# -- answers ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    def make(loop: EventLoop) -> ControlRoutes:
        lines: dict[str, list[tuple[float | None, str]]] = {"redis": [(float(n), f"line {n}") for n in range(20)]}
        return ControlRoutes(StandIn(loop, fake_client.twelve(), events=fake_client.events(), lines=lines), loop)

    with serving(make, f"{tmp_path}/s") as one:
        yield one


def test_the_stand_in_answers_as_documented(served: Served) -> None:
    client = CheckedClient(served.path)
    assert client.status()["instances"]
    for row in client.status()["instances"]:
        client.instance(row["name"])
    assert client.services()["services"]
    assert client.events()
    assert client.evidence(102)
    assert client.logs("redis")["lines"]
    assert client.act("restart", ["redis"]) == ["redis"]
    assert client.scale(["web=2"]) == {"started": ["web=2"], "stopped": []}
    assert client.reload()["applied"]
    assert client.upgrade()["to"]
    assert client.health() == {"status": "ok"}
    with client.stream(["events", "status", "logs"], interval=0.2, after=0) as stream:
        seen = set()
        for message in stream:
            check_document(MESSAGES[message[0]], message[1])
            seen.add(message[0])
            if seen >= {"event", "status"}:
                break
    client.down()


def test_the_client_of_the_dashboards_tests_answers_as_documented() -> None:
    client = fake_client.FakeClient()
    check_document("Status", fake_client.status())
    check_document("Events", {"events": client.events()})
    for row in client.rows:
        check_document("InstanceDetail", client.instance(row["name"]))
        check_document("Logs", client.logs(row["name"]))
    check_document("Evidence", client.evidence(102))
    check_document("Difference", client.reload())


def test_a_field_that_is_not_documented_is_found() -> None:
    row = {**fake_client.view("web"), "more": 1}
    with pytest.raises(AssertionError, match="'more' was unexpected"):
        check_document("Instance", row)
