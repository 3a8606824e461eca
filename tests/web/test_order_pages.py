"""The pages of orders: which orders they offer, and that a browser without JavaScript can give them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from supervisor.core.model.instance_documents import Instance
from supervisor.web.order_pages import (
    VERBS,
    Target,
    order_address,
    order_link,
    order_page,
    taken_page,
    waiting_sentence,
)
from tests.display.test_report_html import Reader
from tests.doubles.fake_client import view

NASTY = "<script>alert('1')</script>\"&"
KEPT: Any = {
    "since": "2026-01-01T00:00:00Z",
    "ends_at": None,
    "ends_in_s": None,
    "reason": "",
    "by": "",
    "ended": False,
}


def shown(*rows: Instance, **more: Any) -> str:
    return order_page(Target(rows[0]["name"], rows, **more), "shop").decode()


@pytest.mark.parametrize(
    ("row", "more", "offered"),
    [
        (view("a"), {}, ["restart", "stop", "maintenance-on"]),
        (view("a", "stopped", goal="down"), {}, ["start", "maintenance-on"]),
        (view("a", "failed"), {}, ["start", "restart", "reset", "stop", "maintenance-on"]),
        (view("a", "backoff"), {}, ["restart", "reset", "stop", "maintenance-on"]),
        (view("a"), {"rolling": True}, ["restart", "pause", "stop", "maintenance-on"]),
        (view("a"), {"rolling": True, "paused": True}, ["restart", "resume", "stop", "maintenance-on"]),
        (view("a", maintenance=KEPT), {}, ["restart", "stop", "maintenance-off"]),
    ],
)
def test_the_orders_that_make_sense_are_offered(row: Instance, more: dict[str, Any], offered: list[str]) -> None:
    page = shown(row, **more)
    assert [verb for verb in VERBS if f'<button name="order" value="{verb}">' in page] == [
        verb for verb in VERBS if verb in offered
    ]


def test_the_first_button_of_the_form_does_nothing_so_that_enter_in_a_field_gives_no_order() -> None:
    form = shown(view("a")).partition("<form")[2]
    assert form.partition("<button")[2].startswith(" disabled hidden>")


def test_a_stop_says_what_it_ends_and_asks() -> None:
    page = shown(view("a"), view("b", pid=None), dependants=["web", "api"])
    assert "web, api depend on it, and will not be stopped with it. 1 process will be ended." in page
    assert '<input type="checkbox" name="sure" value="yes"' in page


def test_every_field_has_a_label() -> None:
    page = shown(view("a"))
    Reader(page)
    fields = re.findall(r'<input (?!type="hidden"|[^>]* hidden>)[^>]*>', page)
    assert len(fields) == 4
    for field in fields:
        named = re.search(r' id="(\w+)"', field)
        label = f'<label for="{named[1]}">' if named else '<label class="sure">' + field
        assert label in page


def test_names_are_no_markup() -> None:
    row = view(NASTY)
    for page in (shown(row), taken_page("stop", NASTY, [NASTY], NASTY).decode(), order_link(NASTY)):
        assert "<script>alert" not in page
    assert order_address("web@2") == "/order/web%402"


def test_an_answer_says_what_the_daemon_answered() -> None:
    assert "It is for web@1, web@2." in taken_page("restart", "web", ["web@1", "web@2"], "shop").decode()
    assert "It changes no instance." in taken_page("reset", "web", [], "shop").decode()
    assert waiting_sentence(7.0) == "Too many wrong tokens came from this client. Try again in 7 s."
