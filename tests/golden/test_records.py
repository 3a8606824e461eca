"""The ledger and the files of commit 5600521 are read, and are written in the same way.

tests/golden/5600521 was written by that build and is never changed.  A test that fails here says that another version
would misread what this one writes, or the other way round.
"""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from supervisor.adapters.ledger import schema
from supervisor.adapters.ledger.query import EventQuery, read_only
from supervisor.adapters.ledger.store import Ledger
from supervisor.core.model.actions import Goal, Record, State
from supervisor.core.model.causes import Cause
from supervisor.core.model.plain import from_plain, to_plain
from supervisor.core.model.spec import Plan
from supervisor.core.text.timestamps import to_iso
from supervisor.daemon import previous_run, rehearsal, runtime
from tests.golden.files import EPOCH, GOLDEN, ID, golden, plain
from tests.golden.meaning import database, snapshots


@pytest.fixture
def house(tmp_path: Path) -> Plan:
    """The golden plan, with its directories as the golden daemon left them; the boot is the same."""
    (tmp_path / "run").mkdir()
    (tmp_path / "state").mkdir()
    for name in ("id", "plan.json"):
        (tmp_path / "run" / name).write_text((GOLDEN / name).read_text())
    with sqlite3.connect(tmp_path / "state" / "ledger.db") as db:
        db.executescript((GOLDEN / "ledger.sql").read_text())
    plan = from_plain(Plan, golden("plan.json"))
    place = dataclasses.replace(plan.supervisor, runtime_dir=str(tmp_path / "run"), state_dir=str(tmp_path / "state"))
    return dataclasses.replace(plan, supervisor=place)


def ledger(plan: Plan) -> Ledger:
    return Ledger(f"{plan.supervisor.state_dir}/ledger.db", pytest.fail)


def test_the_previous_run_is_known(house: Plan) -> None:
    one = ledger(house)
    past = previous_run.PreviousRun(one, previous_run.RuntimeFiles(house.supervisor.runtime_dir), EPOCH)
    one.close()
    assert (past.id, past.crashed, past.closing) == (ID, True, False)
    assert past.plan == from_plain(Plan, golden("plan.json"))
    assert past.instances == snapshots(GOLDEN)


def test_the_previous_run_is_known_by_its_files_when_the_ledger_is_lost(house: Plan) -> None:
    Path(house.supervisor.state_dir, "ledger.db").unlink()
    one = ledger(house)
    past = previous_run.PreviousRun(one, previous_run.RuntimeFiles(house.supervisor.runtime_dir), EPOCH)
    one.close()
    assert (past.id, past.crashed) == (ID, True)


def test_a_run_begins_in_the_same_words(house: Plan) -> None:
    one = ledger(house)
    past = previous_run.PreviousRun(one, previous_run.RuntimeFiles(house.supervisor.runtime_dir), EPOCH)
    past.begin()
    past.keep(from_plain(Plan, golden("plan.json")))
    one.close()
    reader = read_only(f"{house.supervisor.state_dir}/ledger.db")
    assert reader.meta() == {"supervisor_id": ID, "epoch": EPOCH, "clean_shutdown": "no", "closing": "no"}
    assert reader.meta() == dict(database(GOLDEN).execute("SELECT key, value FROM meta"))
    reader.close()
    for name in ("id", "plan.json"):
        assert Path(house.supervisor.runtime_dir, name).read_text().rstrip("\n") == (
            (GOLDEN / name).read_text().rstrip("\n")
        )


def test_this_version_could_take_over(house: Plan) -> None:
    report = rehearsal.rehearse(house)
    assert set(report) == {"version", "plan", "written", "lacking"}
    assert report["lacking"] == []
    assert "written" not in report["plan"], "no key of the plan: that build could not read it"
    assert plain(report["plan"]) == plain(to_plain(house))


def test_the_names_of_files() -> None:
    assert runtime.RUNTIME_FILES == ("lock", "id", "plan.json", "running", "control.sock", "notify.sock")
    known = set(runtime.RUNTIME_FILES) - {"running"}  # which that build does not write
    assert {f"run/{name}" for name in known} <= set(golden("files.json"))


def layout(db: sqlite3.Connection) -> list[Any]:
    pragmas = [db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")]
    return [*pragmas, *db.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name")]


def test_the_tables_are_the_same(tmp_path: Path) -> None:
    db = schema.open_ledger(str(tmp_path / "ledger.db"))
    assert layout(db) == layout(database(GOLDEN))
    assert layout(db)[:2] == [0x50686953, 1]
    db.close()


def test_every_event_is_read(house: Plan) -> None:
    db = database(GOLDEN)
    db.row_factory = sqlite3.Row
    captured = {row["id"]: json.loads(row["body"]) for row in db.execute("SELECT * FROM evidence")}
    assert len(captured) == 2
    wanted = [
        {
            "id": row["id"],
            "at": to_iso(row["at"]),
            "service": row["service"],
            "instance": row["instance"],
            "incarnation": row["incarnation"],
            "goal": row["goal"],
            "from": row["from"],
            "to": row["to"],
            "cause": row["cause"],
            "detail": json.loads(row["detail"]) | ({"evidence_id": row["id"]} if row["id"] in captured else {}),
        }
        for row in db.execute("SELECT * FROM events ORDER BY id")
    ]
    reader = read_only(f"{house.supervisor.state_dir}/ledger.db")
    assert reader.events(EventQuery(limit=1000)) == wanted
    assert {number: reader.evidence(number) for number in captured} == captured
    for service in ("web", "hung", "trial"):
        own = [event for event in wanted if event["service"] == service]
        assert reader.events(EventQuery(services=(service,), limit=1000)) == own
    reader.close()
    assert [(e["from"], e["to"], e["cause"]) for e in wanted if e["instance"] == "dead"] == [
        ("stopped", "starting", "autostart"),
        ("starting", "starting", "autostart"),
        ("starting", "running", "spawned"),
        ("running", "exited", "killed-by-signal"),
    ]


def test_an_event_is_written_in_the_same_columns(house: Plan) -> None:
    one = ledger(house)
    detail = {"signal": 9, "evidence": {"pid": 1}}
    record = Record("web@1", "web", 2, Goal.UP, State.RUNNING, State.BACKOFF, Cause.KILLED, detail)
    event = one.append([record], 1.5)[0]
    one.close()
    with sqlite3.connect(f"{house.supervisor.state_dir}/ledger.db") as db:
        db.row_factory = sqlite3.Row
        number = event["id"]
        assert dict(db.execute("SELECT * FROM events WHERE id = ?", (number,)).fetchone()) == {
            "id": number,
            "at": 1.5,
            "service": "web",
            "instance": "web@1",
            "incarnation": 2,
            "goal": "up",
            "from": "running",
            "to": "backoff",
            "cause": "killed-by-signal",
            "detail": '{"signal":9}',
            "indexed": 0,
        }
        assert tuple(db.execute("SELECT * FROM evidence WHERE id = ?", (number,)).fetchone()) == (
            number,
            1.5,
            '{"pid":1}',
        )
