"""What a host writes of itself: bounded, without secrets, the most important first, the same while nothing changes."""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.cluster.bounds import compact
from supervisor.core.cluster.record import (
    record,
    remembered,
    story,
    summary,
    without_secrets,
)
from supervisor.core.lifecycle.instance import Instance
from supervisor.core.model.documents import Event
from supervisor.core.model.host_documents import HostStory
from supervisor.core.model.instance_documents import Instance as Row
from supervisor.core.model.spec import ServiceSpec
from supervisor.core.model.story_documents import IncidentStory, Why
from supervisor.core.services.status import instance_view

WALL = 1_700_000_000.0
AT = "2023-11-14T22:13:20.000Z"
PLACED = {"slot": 0, "node": "b", "here": False, "epoch": None, "lease_s": None, "reason": None, "done": False}


def row(name: str = "web", **changes: Any) -> Row:
    base = instance_view(Instance(name, ServiceSpec(name=name, command=("x",)), lambda: 0.5), 100.0)
    up: Any = {"goal": "up", "state": "running", "ready": True, "incarnation": 3, "cause": "ready", "since_s": 5.0}
    return cast("Row", {**base, **up, **changes})


def test_an_instance_is_told_with_its_run_since_when_and_why() -> None:
    told = summary([row()], frozenset(), WALL + 5.0, None)
    assert told == {
        "wanted": 1, "ready": 1, "missing": 0, "left_out": 0,
        "instances": [
            {"name": "web", "service": "web", "goal": "up", "state": "running", "ready": True, "missing": False,
             "run": 3, "since": AT, "says": "ready"},
        ],
    }  # fmt: skip


def test_moments_stay_while_nothing_changes() -> None:
    before = summary([row()], frozenset(), WALL + 5.0, None)
    assert summary([row(since_s=7.9)], frozenset(), WALL + 9.0, before) == before
    after = summary([row(since_s=0.1, incarnation=4)], frozenset(), WALL + 9.0, before)
    assert after["instances"][0]["since"] == "2023-11-14T22:13:29.000Z"
    assert summary([row(since_s=None)], frozenset(), WALL, None)["instances"][0]["since"] is None


@pytest.mark.parametrize(("changes", "says"), [
    ({"cause": "exited", "exit_code": 3}, "exited with code 3"),
    ({"lingering": ["7 (x)"]}, "cannot be killed: 7 (x)"),
    ({"waiting_for": "db", "waiting_because": "its breaker is open"}, "waiting for db (its breaker is open)"),
    ({"maintenance": {"since": AT}, "waiting_for": "db"}, "in maintenance"),
])  # fmt: skip
def test_the_cause_is_one_line(changes: dict[str, Any], says: str) -> None:
    assert summary([row(**changes)], frozenset(), WALL, None)["instances"][0]["says"] == says


def test_what_another_host_runs_is_that_hosts_to_tell_and_what_is_done_is_not_wanted() -> None:
    rows = [
        row("here"), row("there", state="starting", ready=False, placed=PLACED), row("down", goal="down"),
        row("job", state="exited", ready=False, cause="succeeded"), row("bad", state="failed", ready=False),
    ]  # fmt: skip
    told = summary(rows, frozenset({"bad"}), WALL, None)
    assert [one["name"] for one in told["instances"]] == ["here", "down", "job", "bad"]
    assert (told["wanted"], told["ready"], told["missing"]) == (2, 1, 1)


NAMES = st.lists(st.text("aé😀", min_size=1, max_size=40), max_size=150, unique=True)


@given(names=NAMES, bad=st.sets(st.integers(0, 150)), says=st.text("xé", max_size=300))
def test_a_summary_is_bounded_and_trouble_stays_in_it(names: list[str], bad: set[int], says: str) -> None:
    rows = [row(name, status=says, waiting_for=says) for name in names]
    missing = frozenset(name for number, name in enumerate(names) if number in bad)
    told = summary(rows, missing, WALL, None)
    assert len(compact(told)) <= 16 * 1024
    assert len(told["instances"]) + told["left_out"] == len(names) and told["missing"] == len(missing)
    shown = [one["name"] for one in told["instances"]]
    assert shown == [name for name in names if name in shown]
    if told["left_out"] and not all(one["missing"] for one in told["instances"]):
        assert missing <= set(shown)


def incident(number: int = 0, lines: int = 1, text: str = "line") -> IncidentStory:
    several = [f"{text} {line}" for line in range(lines)]
    return {
        "at": f"2023-11-14T22:{number:02}:20.000Z", "incarnation": number, "cause": "exited", "outcome": "recovered",
        "by_person": False, "says": text, "place": None, "detail": {"exit_code": 3}, "evidence_id": 7,
        "seen": several, "captured": several, "said": several, "decided": several, "after": several,
    }  # fmt: skip


def tale(*incidents: IncidentStory, name: str = "web", order: str = "") -> Why:
    return {
        "instance": name, "service": name, "state": "running", "ready": True, "now": "", "target": None,
        "known_since": AT, "failures": 9, "false_alarms": 1, "excused": [], "incidents": list(incidents),
        "last_order": {"at": AT, "says": order} if order else None, "next": {"what": "", "in_s": None},
    }  # fmt: skip


def test_a_story_keeps_the_last_incidents_in_their_lines() -> None:
    told = story(tale(*map(incident, range(5)), order="stop, by root"))
    assert [one["incarnation"] for one in told["incidents"]] == [2, 3, 4]
    assert told["incidents"][0]["seen"] == ["line 0"] and told["incidents"][0]["evidence_id"] is None
    assert told["last_order"] == {"at": AT, "says": "stop, by root"} and told["failures"] == 9


@pytest.mark.parametrize(("incidents", "text", "kept"), [(1, "x", 1), (3, "x", 3), (3, "x" * 50, 1)])
def test_a_story_has_twelve_lines_of_each_kind(incidents: int, text: str, kept: int) -> None:
    """Also where long lines leave room for the last incident alone."""
    told = story(tale(*(incident(n, 13, text) for n in range(incidents))))
    assert [len(one["seen"]) for one in told["incidents"]] == [12] * kept


def test_a_story_with_many_lines_is_made_shorter() -> None:
    told = story(tale(incident(1, 40), incident(2, 40, "x" * 150)))
    assert [one["incarnation"] for one in told["incidents"]] == [2]
    last = told["incidents"][0]
    assert len(compact(told)) <= 6 * 1024
    assert last["seen"][0].endswith(" 0") and last["said"][-1].endswith(" 39") and len(last["seen"]) == 4
    wide = story(tale(incident(1, 40, "é" * 300)))
    assert all(len(wide["incidents"][0][name]) == 1 for name in ("seen", "captured", "said", "decided", "after"))
    assert len(story(tale({**incident(), "place": "p" * 900}))["incidents"][0]["place"] or "") == 200


def event(number: int, **detail: Any) -> Event:
    return cast("Event", {
        "id": number, "at": AT, "service": "web", "instance": "web", "incarnation": 1, "goal": "up",
        "from": "running", "to": "backoff", "cause": "exited", "detail": detail,
    })  # fmt: skip


def test_a_record_has_the_newest_incidents_and_events() -> None:
    stories = [story(tale(incident(n), name=f"w{n}")) for n in (1, 3, 2)] + [story(tale(name="fine"))]
    told = record(stories, [event(n) for n in range(200)])
    assert [one["instance"] for one in told["stories"]] == ["w3", "w2", "w1"] and told["left_out"] == 0
    assert told["events"][-1]["id"] == 199 and told["events"][0]["id"] >= 100
    long = record([], [event(1, exit_code=3, stacks="s" * 300)])
    assert long["events"][0]["detail"] == {"exit_code": 3}


@given(count=st.integers(0, 60), lines=st.integers(0, 40), text=st.text("aé😀", max_size=250))
def test_a_record_is_bounded(count: int, lines: int, text: str) -> None:
    stories: list[HostStory] = [story(tale(incident(n, lines, text), name=f"w{n}")) for n in range(count)]
    told = record(stories, [event(n, text=text) for n in range(3 * count)])
    assert len(compact(told)) <= 64 * 1024
    assert len(told["stories"]) + told["left_out"] == count
    numbers = [int(one["instance"][1:]) for one in told["stories"]]
    assert numbers == sorted(range(count), reverse=True)[: len(numbers)]


def test_of_all_stories_40_kib_are_kept_and_of_the_events_20() -> None:
    stories = [story(tale(incident(n), name=f"w{n}")) for n in range(150)]
    told = record(stories, [event(n, text="x" * 250) for n in range(100)])
    sizes = [len(compact(told[kind])) / 1024 for kind in ("stories", "events")]
    assert 39.0 < sizes[0] <= 40.0 and 19.0 < sizes[1] <= 20.0


def test_nothing_goes_out_that_the_redactor_hides() -> None:
    secret = "postgres://app:hunter2@db/x --password hunter2 token=hunter2"
    texts = [
        compact(summary([row(waiting_for=secret)], frozenset(), WALL, None)),
        compact(story(tale({**incident(1, 3, secret), "place": secret}, order=secret))),
        compact(record([], [event(1, error=secret, said=[secret], inner={"api_key": "hunter2", "n": 1})])),
    ]
    for text in texts:
        assert "hunter2" not in text and "***" in text
    assert without_secrets({"password": "x", "exit_code": 3, "at": "now"}) == {
        "password": "***", "exit_code": 3, "at": "now",
    }  # fmt: skip
    assert without_secrets(("a=b", "not a name: token=x")) == ["a=b", "not a name: token=***"]


def test_of_instances_that_are_gone_the_newest_stories_stay() -> None:
    def of(name: str, minute: int) -> HostStory:
        incidents: Any = [{"at": f"2023-11-14T22:{minute:02}:20.000Z"}] if minute else []
        return cast("HostStory", {"instance": name, "incidents": incidents})

    stories = {f"old{minute}": of(f"old{minute}", minute) for minute in range(23)}
    stories |= {"web": of("web", 1), "calm": of("calm", 0)}
    kept = remembered(stories, {"web", "calm", "new"})
    assert list(kept) == [*(f"old{minute}" for minute in range(3, 23)), "web", "calm"]
