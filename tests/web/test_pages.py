"""The texts of rows, the pages made of them, and what the stream of a page sends."""

from __future__ import annotations

import json
import re
from collections.abc import Generator
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.history.strips import Cell
from supervisor.core.model.documents import Status
from supervisor.core.model.instance_documents import Instance
from supervisor.core.model.story_documents import IncidentStory
from supervisor.web.frame import error_page
from supervisor.web.live import Changes
from supervisor.web.pages import Failure, Past, incident_page, service_details, services_page
from supervisor.web.rows import all_fields, grouped, head_fields, instance_fields, problems, service_fields
from tests.display.test_report_html import Reader
from tests.doubles import fake_client
from tests.doubles.fake_client import beating, view

T = TypeVar("T")
NOW = 1_700_000_000.0
NASTY = "<script>alert('1')</script>\"&\x1b[31m"


def run(work: Generator[None, None, T]) -> T:
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]


def page(status: Status, past: Past | None = None) -> Reader:
    return Reader(run(services_page(status, past or Past(NOW - 3600, NOW))).decode())


def rollout(**more: Any) -> Any:
    return {
        "service": "web", "order": "reload", "state": "running", "paused": False, "settled": 1, "instances": 3,
        "current": 1, "ready": 2, "waiting_for": [], "reason": None, "surge": [], "began_s": 3.0, "since_s": 3.0,
    } | more  # fmt: skip


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (view("a"), {"tone": "good", "state": "● running", "why": "ready", "up": "2h03m"}),
        (
            view("a", **beating(0.0, last_heartbeat_age_s=1.0, suspect_in_s=3.0)),
            {"silence": "1.0s of 4.0s", "share": "0.25"},
        ),
        (view("a", **beating(0.0, last_heartbeat_age_s=0.0, suspect_in_s=0.0)), {"share": "1.00"}),
        (view("a", **beating(0.0, last_heartbeat_age_s=None)), {"silence": "no heartbeat yet", "share": "0"}),
        (
            view("a", **beating(0.0, last_heartbeat_age_s=None, suspect_in_s=None)),
            {"silence": "no heartbeat yet", "share": ""},
        ),
        (view("a", **beating(0.0, last_heartbeat_age_s=2.0, suspect_in_s=None)), {"silence": "2.0s ago", "share": ""}),
        (
            view("a", "suspect", **beating(9.0, last_heartbeat_age_s=5.0)),
            {"tone": "warn", "state": "▲ suspect", "silence": "silent for 5.0s", "share": "1"},
        ),
        (view("a", "suspect", **beating(9.0, last_heartbeat_age_s=None)), {"silence": "silent", "share": "1"}),
        (view("a", "backoff", **beating(0.0)), {"silence": "", "share": ""}),
        (view("a", ready=False), {"state": "◐ running, not ready", "tone": "busy"}),
        (view("a", ready=False, type="oneshot"), {"state": "◐ running"}),
        (
            view("a", "backoff", cause="exited", exit_code=3, next_restart_in_s=4.2),
            {"why": "exited with code 3; next try in 4.2s", "tone": "warn"},
        ),
        (view("a", "stopped", goal="down", cause="stopped"), {"tone": "muted", "why": ""}),
        (view("a", "exited", type="oneshot", cause="succeeded"), {"tone": "muted", "why": "ran to completion"}),
    ],
)
def test_the_texts_of_an_instance(row: Instance, expected: dict[str, str]) -> None:
    found = instance_fields(row)
    assert {key: found[key] for key in expected} == expected


def test_the_texts_of_a_service_of_several_instances() -> None:
    rows = [view("web@1"), view("web@2", current=False), view("web@3", "backoff", cause="exited", exit_code=3)]
    found = service_fields(rows, None)
    assert (found["tone"], found["state"]) == ("warn", "2 of 3 ready")
    assert found["why"].startswith("web@3: exited with code 3")
    assert found["ratios"].split("  ") == ["R 0.67", "C 0.50"]
    rolled = service_fields(rows[:2], rollout(waiting_for=["web@2"]))
    assert rolled["why"] == "rollout: 1 of 3; web@2 settles"
    assert service_fields(rows[:2], rollout(state="halted", reason="web@2: exited"))["why"].startswith("rollout halted")
    assert service_fields(rows[:2], rollout(state="finished"))["why"] == ""
    assert service_fields(rows[:2], rollout(surge=["web@2"]))["state"] == "1 of 1 ready"
    off = [view(name, "stopped", goal="down", cause="stopped") for name in ("web@1", "web@2")]
    assert (service_fields(off, None)["state"], service_fields(off, None)["tone"]) == ("0 of 2 wanted", "muted")


def test_the_head_and_the_problems_of_the_daemon() -> None:
    status = fake_client.status([view("a"), view("b", "failed")], problems=["the disk is full"], host_starved=True)
    assert head_fields(status)["ready"] == "1 of 2 wanted instances ready"
    assert head_fields(status)["tone"] == "alarm"
    first, second = problems(status["supervisor"])
    assert first.startswith("This host is short of")
    assert second == "the disk is full"
    assert problems(fake_client.supervisor(closing=True)) == ["Everything is being stopped."]
    assert head_fields(fake_client.status([]))["ready"] == "nothing is wanted"


def test_services_with_trouble_come_first_and_each_has_its_strip_and_its_last_failure() -> None:
    status = fake_client.status([view("a"), view("web@1"), view("web@2"), view("z", "failed")])
    past = Past(NOW - 3600, NOW)
    past.cells = {"a": [Cell(60.0), Cell(30.0, 30.0)], "z": [Cell()], "web": [Cell(1.0)]}
    past.failures = {
        "z": [Failure(7, NOW - 60, "failure of run 1: exited", "hangs at a.py:3 in f()")],
        "a": [Failure(5, NOW - 90_000, "failure of run 2", "")],
    }
    assert [name for name, _ in grouped(status)] == ["z", "a", "web"]
    found = page(status, past)
    links = [value for name, value in found.attributes if name == "href" and value.startswith("/")]
    assert links == [
        "/web/style.css", "/service/z", "/incident/7", "/service/a", "/incident/5", "/service/web", "/service/web",
        "/service/web",
    ]  # fmt: skip
    assert "hangs at a.py:3 in f()" in found.words
    labels = [value for name, value in found.attributes if name == "aria-label"]
    assert "a, the last hour: not ready for 30 s" in labels
    assert "z, the last hour: nothing is known" in labels
    assert "web, the last hour: ready whenever it was wanted" in labels
    assert found.elements["tbody"] == 3
    assert found.elements["script"] == 1


def test_a_page_without_services() -> None:
    found = page(fake_client.status([]))
    assert "No service is configured." in found.words
    assert "table" not in found.elements


def test_nothing_of_a_page_is_loaded_from_elsewhere_or_stands_inline() -> None:
    found = page(fake_client.status())
    assert not {"style", "img", "iframe", "form"} & found.elements.keys()
    assert not [name for name, _ in found.attributes if name.startswith("on") or name == "style"]
    assert not [
        value for name, value in found.attributes if name in ("href", "src") and not re.match(r"[/#](?!/)", value)
    ]


def test_the_details_of_a_service() -> None:
    past = Past(NOW - 3600, NOW)
    service: Any = {"description": "a shop", "command": ["run", "--it"], "depends_on": ["db"], "group": None}
    none = service_details(service, [view("web")], past, [])
    assert "a shop" in none and "run --it" in none and "<dd>db</dd>" in none and "<dt>group" not in none
    assert "No failure is recorded." in none and "event" not in none
    past.failures = {"web": [Failure(7, NOW, "failed", "")], "web@2": [Failure(9, NOW + 1, "failed <b>", "hangs at x")]}
    some = service_details(None, [view("web")], past, ["one", "two"])
    assert some.index("/incident/9") < some.index("/incident/7")
    assert "failed &lt;b&gt;" in some and "The last 2 events" in some and "Definition" not in some


def story(**more: Any) -> IncidentStory:
    found: Any = {
        "at": "2024-02-29T12:00:00.250Z", "incarnation": 1, "cause": "heartbeat-silent", "outcome": "recovered",
        "by_person": False, "says": "failure of run 1: no heartbeat", "place": None, "detail": {}, "evidence_id": None,
        "seen": ["no heartbeat for 4 s"], "captured": [], "said": [], "decided": ["restart"], "after": [],
    }  # fmt: skip
    return found | more  # type: ignore[no-any-return]


def test_the_page_of_an_incident() -> None:
    told = story(place="hangs at a.py:3 in f()", captured=["a stack"])
    found = Reader(incident_page("shop", view("web@1"), view("web@1"), told, fake_client.EVIDENCE, NOW).decode())
    for words in ("web@1 hangs at a.py:3 in f()", "a stack", "All that was captured", "running and ready"):
        assert words in found.words
    assert "script" not in found.elements
    assert ("href", "/service/web") in found.attributes
    gone = Reader(incident_page("shop", view("web@1"), None, story(), None, NOW).decode())
    assert "is no longer in the configuration" in gone.words
    assert "pre" not in gone.elements


def test_a_page_of_an_error_says_what_it_is_asked_to() -> None:
    found = Reader(error_page("No such <service>", NASTY).decode())
    assert "No such <service>" in found.words
    assert "script" not in found.elements


OUTSIDE = st.text() | st.sampled_from([NASTY, "</pre><img src=x onerror=y>", "\ud800", "' autofocus onfocus='x"])


@given(OUTSIDE, OUTSIDE, OUTSIDE)
def test_no_text_from_outside_becomes_markup(one: str, two: str, three: str) -> None:
    """The elements and the names of the attributes are those of a page of plain words."""

    def made(a: str, b: str, c: str) -> list[bytes]:
        row = view("x", status=a, service=b, probe_error=c)
        status = fake_client.status([row, view("y", service=b)], problems=[a], name=b)
        past = Past(NOW - 3600, NOW, {b: [Cell(1.0)]}, {"x": [Failure(1, NOW, a, c)]})
        told = story(says=a, place=b, seen=[c], captured=[a], said=[b])
        evidence: Any = {"last_lines": [a, b], "cgroup": {"path": c}}
        service: Any = {"description": a, "command": [b, c], "depends_on": [a], "group": b}
        more = service_details(service, [row], past, [a, c])
        return [
            run(services_page(status, past, b, more)),
            incident_page(a, {"name": b, "service": c}, row, told, evidence, NOW),
            error_page(a, b),
        ]

    for nasty, plain in zip(made(f"a{one}", f"b{two}", f"c{three}"), made("aw", "bw", "cw"), strict=True):
        found, expected = Reader(nasty.decode()), Reader(plain.decode())
        assert found.elements == expected.elements
        assert [name for name, _ in found.attributes] == [name for name, _ in expected.attributes]
        assert "\x1b" not in nasty.decode()


# -- the stream ------------------------------------------------------------------------------------------------------


def test_a_stream_sends_everything_first_and_then_what_changed() -> None:
    rows = [view("a"), view("web@1"), view("web@2")]
    changes = Changes()
    first = json.loads(run(changes.of(fake_client.status(rows))))
    assert list(first["rows"]) == ["", "a", "web@", "web@1", "web@2"]
    assert first["rows"] == dict(all_fields(fake_client.status(rows)))
    assert (first["problems"], first["moved"]) == ([], False)
    assert json.loads(run(changes.of(fake_client.status(rows)))) == {"rows": {}, "moved": False}
    rows[0] = view("a", restarts=1)
    then = json.loads(run(changes.of(fake_client.status(rows, problems=["full"]))))
    assert then == {"rows": {"a": {"restarts": "1"}}, "problems": ["full"], "moved": False}
    gone = json.loads(run(changes.of(fake_client.status(rows[1:]))))
    assert gone["moved"] is True
    assert json.loads(run(changes.of(fake_client.status(rows[1:]), ["a"])))["moved"] is True
    assert json.loads(run(changes.of(fake_client.status(rows[1:]), ["a"])))["moved"] is False


def test_every_place_of_a_page_is_one_that_the_stream_fills() -> None:
    status = fake_client.status([view("a", **beating(0.1)), view("web@1"), view("web@2")])
    html = run(services_page(status, Past(NOW - 3600, NOW))).decode()
    for key, fields in all_fields(status):
        row = html.partition(f'data-key="{key}"')[2].partition("data-key=")[0]
        assert set(re.findall(r'data-field="(\w+)"', row)) >= fields.keys() - {"tone"}, key
