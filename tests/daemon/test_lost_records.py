"""What is told, and what goes on, where files that an earlier daemon saved cannot be read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from supervisor.core.model.plain import to_plain
from supervisor.core.model.spec import Plan, RolloutSpec, ServiceSpec, SupervisorSpec
from supervisor.core.services.rollout import Order, Rollout, write
from supervisor.daemon.lost_records import tell
from supervisor.daemon.previous_run import PLAN, ROLLOUTS, WRITTEN, PreviousRun, RuntimeFiles, fitted

NOW = "boot.2"
OLD = ServiceSpec(name="web", command=("old",), replicas=2, rollout=RolloutSpec())
NEW = replace(OLD, command=("new",))
PLAIN = Plan(supervisor=SupervisorSpec(), services=(NEW,))


def _rollout(**values: Any) -> Rollout:
    known: dict[str, Any] = {"wanted": NEW, "previous": OLD, "filed": NEW}
    return Rollout(**{"id": "r1", "service": "web", "order": Order.RELOAD, **known, **values})


class Facts:
    """A ledger of a daemon that was killed when one of two instances was replaced."""

    def get_meta(self, key: str) -> str | None:
        return {"epoch": NOW, "clean_shutdown": "no", "supervisor_id": "abc"}.get(key)

    def set_meta(self, key: str, value: str) -> None: ...

    def load(self) -> dict[str, dict[str, Any]]:
        return {"web@1": {"revision": "r1"}, "web@2": {}}


class Told:
    def __init__(self) -> None:
        self.problems: list[str] = []

    def problem(self, message: str) -> None:
        self.problems.append(message)


def _left(place: Path, **damage: str) -> tuple[PreviousRun, list[str]]:
    """The run before, with these files `damage`d, and what is told of it."""
    files = RuntimeFiles(str(place))
    files.write_plan(PLAIN)
    files.write_rollouts([write(_rollout())])
    for name, text in damage.items():
        (place / f"{name}.json").write_text(text)
    previous, told = PreviousRun(Facts(), files, NOW), Told()
    assert previous.rollouts_in_force(PLAIN) == previous.rollouts
    tell(told, previous, 1)
    return previous, told.problems


_KNOWN = write(_rollout())


@pytest.mark.parametrize(
    "text",
    [
        "",
        json.dumps([_KNOWN])[:-40],
        "null",
        '{"web": 1}',
        "[1]",
        json.dumps([_KNOWN | {"order": "of-a-later-version"}]),
        json.dumps([_KNOWN | {"wanted": _KNOWN["wanted"] | {"of_a_later_version": 1}}]),
        json.dumps([_KNOWN | {"wanted": _KNOWN["wanted"] | {"replicas": "2"}}]),
        json.dumps([_KNOWN | {"wanted": _KNOWN["wanted"] | {"command": "new"}}]),
        json.dumps([_KNOWN | {"wanted": _KNOWN["wanted"] | {"name": "other"}}]),
        json.dumps([_KNOWN | {"settled": "web@1"}]),
        json.dumps([_KNOWN | {"began": float("nan")}]),
    ],
)
def test_damaged_rollouts_are_told_and_kept(tmp_path: Path, text: str) -> None:
    previous, told = _left(tmp_path, rollouts=text)
    assert previous.rollouts == [] and previous.plan == PLAIN
    assert told == [
        f"rollouts of the earlier daemon cannot be read (rollouts.json, kept as {tmp_path}/rollouts.json.damaged): "
        "a rollout of web may have been under way. It does not go on, its instances keep what they run; "
        "`supervisor restart --rolling web` brings all to the definition in force"
    ]
    kept = tmp_path / "rollouts.json.damaged"
    assert kept.read_text() == text and kept.stat().st_mode & 0o777 == 0o600


def test_one_rollout_that_cannot_be_read_takes_no_other_with_it(tmp_path: Path) -> None:
    previous, told = _left(tmp_path, rollouts=json.dumps([_KNOWN, {"id": "r2"}]))
    assert [r.service for r in previous.rollouts] == ["web"]
    assert len(told) == 1 and told[0].endswith("what was rolled out before cannot be undone")


def test_what_is_whole_or_was_never_there_is_no_problem(tmp_path: Path) -> None:
    assert _left(tmp_path)[1] == []
    for name in (ROLLOUTS, WRITTEN):
        (tmp_path / name).unlink()
    told = Told()
    tell(told, PreviousRun(Facts(), RuntimeFiles(str(tmp_path)), NOW), 1)
    assert told.problems == []


@pytest.mark.parametrize(
    "text", ["", "{", json.dumps(to_plain(PLAIN) | {"services": [to_plain(NEW) | {"replicas": "2"}]})]
)
def test_rollouts_go_on_where_the_plan_beside_them_is_damaged(tmp_path: Path, text: str) -> None:
    previous, told = _left(tmp_path, plan=text)
    assert previous.plan is None and [r.id for r in previous.rollouts] == ["r1"]
    assert len(told) == 1
    assert f"the plan that was in force cannot be read (plan.json, kept as {tmp_path}/plan.json.damaged)" in told[0]
    assert (tmp_path / f"{PLAN}.damaged").read_text() == text


@pytest.mark.parametrize("text", ["", "[1", "[1]", "3"])
def test_damaged_fingerprints_are_told_and_kept(tmp_path: Path, text: str) -> None:
    previous, told = _left(tmp_path, written=text)
    assert previous.plan == PLAIN and len(previous.rollouts) == 1
    assert len(told) == 1 and "fingerprints of the plan in force cannot be read (written.json, kept as" in told[0]
    assert (tmp_path / f"{WRITTEN}.damaged").read_text() == text


def test_a_file_that_cannot_be_kept_is_told_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "rollouts.json.damaged").mkdir()
    assert "cannot be read (rollouts.json): " in _left(tmp_path, rollouts="{")[1][0]


def test_rollouts_fit_the_configured_plan_where_that_in_force_is_lost() -> None:
    gone = _rollout(wanted=replace(NEW, depends_on=("cache",), replicas=5), previous=replace(OLD, depends_on=("db",)))
    other = _rollout(service="other", wanted=replace(NEW, name="other"))
    (found,) = fitted([gone, other], PLAIN)
    assert found.wanted == replace(NEW, replicas=5) and found.previous == OLD
