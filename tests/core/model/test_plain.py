"""What a plan is in memory after it was read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from supervisor.core.model.plain import from_plain, to_plain
from supervisor.core.model.plan_text import plan_from_json
from supervisor.core.model.saved import GARBAGE
from supervisor.core.model.spec import Plan

FOLDER = {"name": "x", "runtime_dir": "/r", "state_dir": "/s"}


def test_equal_parts_of_services_are_one_object() -> None:
    """`restart` and `log` of thousands of services are mostly the same."""
    services: list[dict[str, Any]] = [
        {"name": name, "command": ["true"], "restart": {"max_restarts": 7}, "log": {"keep": 3}} for name in "ab"
    ]
    services.append({"name": "c", "command": ["true"], "restart": {"max_restarts": 8}})
    plain = {"supervisor": FOLDER, "services": services, "path": "/f"}
    _are_shared(from_plain(Plan, plain))
    _are_shared(plan_from_json(json.dumps(plain)))


def _are_shared(plan: Plan) -> None:
    a, b, c = plan.services
    assert a.restart is b.restart and a.log is b.log
    assert (c.restart.max_restarts, a.restart.max_restarts) == (8, 7)
    assert a is not b
    assert a.command[0] is c.command[0]


PLAIN: dict[str, Any] = {
    "supervisor": FOLDER,
    "services": [{"name": "a", "command": ["echo", '"services": [']}, {"name": "b", "command": ["true"]}],
    "path": '/f "services": []',
}


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("layout", [{}, {"separators": (",", ":")}, {"indent": 2}])
def test_a_plan_is_read_service_by_service(number: int, layout: dict[str, Any]) -> None:
    plain = PLAIN | {"services": PLAIN["services"][:number]}
    backwards = dict(reversed(plain.items()))
    for order in (plain, backwards):
        plan = plan_from_json(f" {json.dumps(order, **layout)}\n")
        assert plan == from_plain(Plan, plain)
        assert to_plain(plan) == plain


def test_a_plan_that_was_not_written_to_its_end_is_no_plan() -> None:
    text = json.dumps(PLAIN)
    for cut in range(len(text)):
        with pytest.raises(GARBAGE):
            plan_from_json(text[:cut])


@pytest.mark.parametrize(
    "text",
    [
        "null",
        "[]",
        "{}",
        json.dumps(PLAIN) + "x",
        json.dumps(PLAIN | {"services": {}}),
        json.dumps(PLAIN | {"services": [7]}),
        json.dumps(PLAIN | {"services": None}),
        json.dumps(PLAIN | {"unknown": 1}),
        json.dumps({"supervisor": FOLDER}),
        json.dumps({"supervisor": FOLDER, "services": [{"name": "a"} | {"commando": []}]}),
    ],
)
def test_what_is_no_plan(text: str) -> None:
    with pytest.raises(GARBAGE):
        plan_from_json(text)
