"""What a follower of the status is sent after the first one, and what it makes of that."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Any, cast

import pytest

from supervisor.core.model.documents import Status
from supervisor.core.services.status_changes import AGES, changed, merged


def row(name: str, **values: Any) -> dict[str, Any]:
    ages = {"uptime_s": 10.0, "since_s": 10.0, "last_heartbeat_age_s": None, "status_age_s": None}
    return {"name": name, "state": "running", "pid": 7} | ages | values


def status(*rows: dict[str, Any], uptime: float = 100.0) -> Status:
    return cast("Status", {"supervisor": {"uptime_s": uptime}, "instances": list(rows)})


def sent(now: Status, before: Iterable[dict[str, Any]], passed: float) -> Status | None:
    at = now["supervisor"]["uptime_s"] - passed
    return _end(changed(now, cast("Any", {one["name"]: (one, at) for one in before})))


def _end(work: Generator[None, None, Status | None]) -> Status | None:
    while True:
        try:
            next(work)
        except StopIteration as end:
            return cast("Status | None", end.value)


def names(found: Status | None) -> list[str]:
    assert found is not None
    return [one["name"] for one in found["instances"]]


def test_only_rows_that_changed_are_sent() -> None:
    now = status(row("a", uptime_s=11.0, since_s=11.0), row("b", state="failed", uptime_s=None))
    found = sent(now, [row("a"), row("b")], 1.0)
    assert names(found) == ["b"] and found is not None and found["supervisor"] is now["supervisor"]


@pytest.mark.parametrize("key", AGES)
def test_an_age_that_grows_by_itself_is_no_change_and_any_other_is(key: str) -> None:
    def told(before: float | None, after: float | None, passed: float) -> list[str]:
        now, then = (row("a") | dict.fromkeys(AGES) | {key: value} for value in (after, before))
        return names(sent(status(now), [then], passed))

    for before, after, passed in ((10.0, 13.2, 3.0), (10.0, 10.0, 0.0), (None, None, 3.0)):
        assert told(before, after, passed) == []
    for before, after in ((10.0, 12.0), (10.0, 0.1), (None, 1.0), (10.0, None)):
        assert told(before, after, 1.0) == ["a"]
    assert told(0.5, 0.5, 1.0) == ["a"], "heard of again after as long as before: else it would be taken to have grown"


def test_each_row_is_compared_with_what_it_was_when_it_was_sent() -> None:
    one, other = row("a", uptime_s=13.0, since_s=None), row("b", uptime_s=11.0, since_s=None)
    before = {"a": (row("a", since_s=None), 97.0), "b": (row("b", since_s=None), 99.0)}
    assert names(_end(changed(status(one, other), cast("Any", before)))) == []
    before["a"], before["b"] = (before["a"][0], 99.0), (before["b"][0], 97.0)
    assert names(_end(changed(status(one, other), cast("Any", before)))) == ["a", "b"]


def test_a_value_that_moves_in_another_way_is_sent() -> None:
    assert names(sent(status(row("a", kill_in_s=4.0)), [row("a", kill_in_s=5.0)], 1.0)) == ["a"]
    assert names(sent(status(row("a", stored=["x"])), [row("a")], 0.0)) == ["a"]


def test_instances_that_come_go_or_change_places_need_the_whole_status() -> None:
    assert sent(status(row("a")), [], 0.0) is None
    assert sent(status(row("a")), [row("a"), row("b")], 0.0) is None
    assert sent(status(row("b"), row("a")), [row("a"), row("b")], 0.0) is None


def test_the_client_puts_the_changes_into_the_status_before() -> None:
    before = status(row("a", last_heartbeat_age_s=0.5), row("b"))
    after = merged(before, status(row("b", state="failed", uptime_s=None), uptime=102.5))
    grown = row("a", uptime_s=12.5, since_s=12.5, last_heartbeat_age_s=3.0)
    assert after == status(grown, row("b", state="failed", uptime_s=None), uptime=102.5)
    assert before["instances"][0]["uptime_s"] == 10.0, "it may still be drawn"
