"""The ledger on real files: what it returns, which damage it survives, and that it stays small."""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import sqlite3
import stat
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from enum import StrEnum
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from supervisor.adapters.ledger import maintenance as ledger_upkeep
from supervisor.adapters.ledger import store
from supervisor.adapters.ledger import store as ledger_module
from supervisor.adapters.ledger.entry import encode
from supervisor.adapters.ledger.store import EventQuery, Ledger, read_only
from supervisor.core.model.actions import Goal, Record, State
from supervisor.core.model.causes import Cause
from supervisor.errors import OperationFailed

AT = 1_700_000_000.0


def record(service: str = "web", instance: str = "", cause: Cause = Cause.EXITED, **detail: Any) -> Record:
    return Record(service=service, instance=instance or service, incarnation=3, goal=Goal.UP, before=State.RUNNING,
                  after=State.BACKOFF, cause=cause, detail=detail)  # fmt: skip


class Bench:
    """A ledger, what it complained of, its clock, and the work it put off."""

    def __init__(self, path: Path, deferred: bool = False, **limits: Any) -> None:
        self.path = path
        self.problems: list[str] = []
        self.later: list[tuple[float, Callable[[], None]]] = []
        self.now = 100.0
        self._how: dict[str, Any] = {"clock": lambda: self.now, **limits}
        if deferred:
            self._how["later"] = lambda seconds, callback: self.later.append((seconds, callback))
        self.ledger = self.open()

    def open(self) -> Ledger:
        self.ledger = Ledger(str(self.path), self.problems.append, **self._how)
        return self.ledger

    def ids(self, **query: Any) -> list[int]:
        return [e["id"] for e in self.ledger.events(EventQuery(**query))]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "state" / "ledger.db")
    yield bench
    bench.ledger.close()


# -- what it keeps ---------------------------------------------------------------------------------------------------


def test_an_event_object_is_plain_json_and_is_read_back_the_same(bench: Bench) -> None:
    written = bench.ledger.append([record(cause=Cause.KILLED, signal=9, state=State.RUNNING)], AT + 0.25)
    assert written == [
        {"id": 1, "at": "2023-11-14T22:13:20.250Z", "service": "web", "instance": "web", "incarnation": 3,
         "goal": "up", "from": "running", "to": "backoff", "cause": "killed-by-signal",
         "detail": {"signal": 9, "state": "running"}}
    ]  # fmt: skip
    assert bench.ledger.events(EventQuery()) == written
    for value in (*written[0].values(), *written[0]["detail"].values()):
        assert not isinstance(value, StrEnum) or type(value) is str
    assert all(type(written[0][key]) is str for key in ("goal", "from", "to", "cause"))


@pytest.mark.parametrize(
    ("by", "parsed"),
    [
        ({"uid": 0, "user": "root", "pid": None, "command": ["supervisor", "down"]}, 0),
        ({"signal": signal.SIGTERM}, 1),
        ({"command": ("supervisor", "down")}, 1),
        ({"command": ["supervisor", 7.5]}, 1),
    ],
)
def test_the_giver_of_an_order_is_parsed_only_where_that_changes_it(
    bench: Bench, by: dict[str, Any], parsed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stop of thousands records it as often."""
    calls: list[str] = []
    real = json.loads
    with monkeypatch.context() as patch:
        patch.setattr(json, "loads", lambda text: (calls.append(text), real(text))[1])
        written = bench.ledger.append([record(by=by)], AT)
    assert len(calls) == parsed
    assert written == bench.ledger.events(EventQuery())
    assert all(type(value) in (int, str, list, type(None)) for value in written[0]["detail"]["by"].values())


def test_it_outlives_its_process_without_being_closed(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    script = (
        "import os, sys\n"
        "from supervisor.adapters.ledger.store import Ledger\n"
        "from supervisor.core.model.actions import Goal, Record, State\n"
        "from supervisor.core.model.causes import Cause\n"
        "ledger = Ledger(sys.argv[1], print)\n"
        "ledger.save('web', {'pid': 7})\n"
        "ledger.append([Record('web', 'web', 1, Goal.UP, State.STARTING, State.RUNNING, Cause.READY)], 5.0)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", script, str(path)], check=False).returncode == -9
    bench = Bench(path)
    assert bench.ids() == [1]
    assert bench.ledger.load() == {"web": {"pid": 7}}
    assert bench.ledger.append([record()], AT)[0]["id"] == 2
    assert not bench.problems


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, [1, 2, 3, 4, 5, 6]),
        ({"limit": 2}, [5, 6]),
        ({"limit": 0}, []),
        ({"before": 4, "limit": 2}, [2, 3]),
        ({"after": 2, "limit": 2}, [3, 4]),
        ({"after": 2, "before": 4}, [3]),
        ({"since": AT + 30}, [3, 4, 5, 6]),
        ({"since": AT + 30, "limit": 1}, [6]),
        ({"since": AT + 30, "after": 4}, [5, 6]),
        ({"since": AT + 999}, []),
        ({"services": ("web",)}, [1, 3, 5]),
        ({"services": ("web",), "limit": 2}, [3, 5]),
        ({"services": ("web@2",)}, [3]),
        ({"services": ("web", "web@2", "db")}, [1, 2, 3, 5, 6]),
        ({"services": ("db", "web@1"), "after": 1}, [2, 5, 6]),
        ({"services": ("nobody",)}, []),
    ],
)
@pytest.mark.parametrize("where", ["indexed", "half indexed", "not indexed", "in memory"])
def test_queries(tmp_path: Path, query: dict[str, Any], expected: list[int], where: str) -> None:
    bench = Bench(tmp_path / "ledger.db", deferred=True)
    names = ["web@1", "db", "web@2", "api", "web@1", "db"]
    for i, name in enumerate(names):
        if where == "in memory" and i == 3:
            bench.ledger._trouble(OSError("no disk"))
        bench.ledger.append([record(name.partition("@")[0], name)], AT + 10 * (i + 1))
        if where == "indexed" or (where == "half indexed" and i == 2):
            bench.ledger._maintenance.step(bench.ledger._db, AT)  # type: ignore[arg-type]
    if where == "in memory":
        bench.ledger._db = sqlite3.connect(bench.path, isolation_level=None)
    assert bench.ids(**query) == expected


def test_a_reader_of_many_events_gets_their_times_as_seconds(bench: Bench) -> None:
    bench.ledger.append([record(), record(evidence={"main": 7})], AT + 0.25)
    reader = read_only(str(bench.path))
    told, text = (reader.events(EventQuery(seconds=seconds)) for seconds in (True, False))
    reader.close()
    assert [event["at"] for event in told] == [AT + 0.25, AT + 0.25]
    assert [event | {"at": text[0]["at"]} for event in told] == text and text[1]["detail"]["evidence_id"] == 2


def test_evidence_is_split_off_and_found_by_the_events_id(bench: Bench) -> None:
    evidence = {"processes": [{"pid": 7, "wchan": "futex"}]}
    written = bench.ledger.append([record(), record(evidence=evidence, exit_code=1), record(evidence={})], AT)
    assert [e["detail"] for e in written] == [{}, {"exit_code": 1, "evidence_id": 2}, {}]
    assert bench.ledger.events(EventQuery()) == written
    assert bench.ledger.evidence(2) == evidence
    assert bench.ledger.evidence(1) is None
    assert bench.ledger.evidence(3) is None


def test_what_json_cannot_say_does_not_stop_it(bench: Bench) -> None:
    loop: dict[str, Any] = {}
    loop["self"] = loop
    detail: dict[str, Any] = {
        "nan": float("nan"),
        "set": {1},
        "key": {1: 2, None: 3},
        "odd": b"\xff",
        "text": "\udcff\0",
        "n": 2**70,
    }
    written = bench.ledger.append([record(**detail), record(evidence=loop), record(nan=float("-inf"))], AT)
    assert written[0]["detail"]["nan"] is None
    assert written[0]["detail"]["set"] == [1]
    assert written[2]["detail"] == {"nan": None}
    assert bench.ledger.events(EventQuery()) == written
    assert json.dumps(bench.ledger.evidence(2), allow_nan=False)


def test_snapshots_and_meta_are_kept_replaced_and_removed(bench: Bench) -> None:
    bench.ledger.save("web", {"pid": 1})
    bench.ledger.save("db", {"pid": 2, "ages": (1, 2)})
    assert bench.ledger.load() == {"web": {"pid": 1}, "db": {"pid": 2, "ages": (1, 2)}}
    bench.ledger.append([record()], AT)
    bench.ledger.save("web", None)
    bench.ledger.save("db", {"pid": 3})
    assert bench.ledger.load() == {"db": {"pid": 3}}
    bench.ledger.set_meta("boot_id", "x")
    bench.ledger.set_meta("boot_id", "y")
    bench.ledger.close()
    again = bench.open()
    assert again.load() == {"db": {"pid": 3}}
    assert (again.get_meta("boot_id"), again.get_meta("other")) == ("y", None)


def test_a_state_can_be_made_when_it_is_written(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other, so that the states of thousands are not in memory at once."""
    made: list[str] = []

    def encoded(value: Any) -> str:
        made.append(f"wrote {value['pid']}")
        return encode(value)

    def state(name: str) -> Any:
        made.append(f"made {name}")
        return states[name]

    monkeypatch.setattr(ledger_module, "encode", encoded)
    states: dict[str, Any] = {"a": {"pid": 1}, "b": {"pid": 2}, "c": None}
    bench.ledger.save("c", {"pid": 0})
    bench.ledger.flush()
    made.clear()
    for name in states:
        bench.ledger.save(name, partial(state, name))
    assert made == []
    assert bench.ledger.load() == {"a": {"pid": 1}, "b": {"pid": 2}}, "also before it is written"
    made.clear()
    states["b"] = {"pid": 3}
    bench.ledger.flush()
    assert made == ["made a", "wrote 1", "made b", "wrote 3", "made c"]
    assert bench.ledger.load() == {"a": {"pid": 1}, "b": {"pid": 3}}


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "state" / "ledger.db"
    path.parent.mkdir()
    path.touch(0o644)
    bench = Bench(path)
    bench.ledger.append([record()], AT)
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_nothing_waits_for_the_disk(tmp_path: Path) -> None:
    strace = "/usr/bin/strace"
    if not Path(strace).exists():
        bench = Bench(tmp_path / "ledger.db")
        db = bench.ledger._db
        assert db is not None
        assert db.execute("PRAGMA synchronous").fetchone() == (0,)
        assert db.execute("PRAGMA wal_autocheckpoint").fetchone() == (0,)
        return
    script = (
        "import tests.adapters.ledger.test_store as t, pathlib, sys; b = t.Bench(pathlib.Path(sys.argv[1]), True)\n"
    )
    script += "for _ in range(600): b.ledger.append([t.record()], 1.0)\nimport os; os._exit(0)"
    trace = tmp_path / "trace"
    command = [strace, "-f", "-e", "trace=fsync,fdatasync", "-o", str(trace), sys.executable, "-c", script]
    subprocess.run([*command, str(tmp_path / "ledger.db")], check=True, cwd=Path(__file__).parents[3])
    assert "sync(" not in trace.read_text()


# -- readers ---------------------------------------------------------------------------------------------------------


def test_a_reader_that_nobody_closes_is_no_leak(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python 3.13 and later warn of a connection that was not closed."""
    garbage = bench.path.with_name("garbage.db")
    garbage.write_text("not a database" * 100)
    told: list[object] = []
    gc.collect()  # what other tests have left
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_only(str(bench.path)).events(EventQuery())
        with pytest.raises(OperationFailed):
            read_only(str(garbage))
        gc.collect()
    assert told == []


def test_another_process_reads_while_it_writes_and_after(bench: Bench) -> None:
    bench.ledger.append([record(evidence={"a": 1})], AT)
    reader = read_only(str(bench.path))
    assert [e["id"] for e in reader.events(EventQuery())] == [1]
    bench.ledger.append([record()], AT)
    assert [e["id"] for e in reader.events(EventQuery())] == [1, 2]
    assert reader.evidence(1) == {"a": 1}
    bench.ledger.close()
    assert [e["id"] for e in read_only(str(bench.path)).events(EventQuery(after=1))] == [2]
    reader.close()


def test_a_reader_is_told_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(OperationFailed, match="cannot read the ledger"):
        read_only(str(tmp_path / "none.db"))
    (tmp_path / "garbage.db").write_bytes(b"garbage" * 1000)
    with pytest.raises(OperationFailed, match=r"garbage\.db"):
        read_only(str(tmp_path / "garbage.db"))
    assert not (tmp_path / "none.db").exists()


def test_a_name_with_every_trap_of_a_uri(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "a?b#c%20d" / "ledger.db")
    bench.ledger.append([record()], AT)
    assert len(read_only(str(bench.path)).events(EventQuery())) == 1


# -- damage ----------------------------------------------------------------------------------------------------------


def another_program(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE t (a)")


def from_the_future(path: Path) -> None:
    Bench(path).ledger.close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")


def truncated(path: Path) -> None:
    bench = Bench(path)
    bench.ledger.append([record(text="x" * 1000) for _ in range(100)], AT)
    bench.ledger.close()
    os.truncate(path, path.stat().st_size // 2)


DAMAGE: list[Callable[[Path], object]] = [
    lambda path: path.write_bytes(b"this is no database " * 500),
    another_program,
    from_the_future,
    truncated,
]


@pytest.mark.parametrize("damage", DAMAGE, ids=["garbage", "foreign", "future", "truncated"])
def test_an_unusable_file_is_set_aside_and_a_new_one_begun(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    path = tmp_path / "ledger.db"
    damage(path)
    before = path.read_bytes()
    bench = Bench(path)
    assert bench.ledger.append([record()], AT)[0]["id"] == 1
    assert bench.ids() == [1]
    (aside,) = tmp_path.glob("ledger.db.corrupt-*Z")
    assert aside.read_bytes() == before
    (problem,) = bench.problems
    assert aside.name in problem
    assert bench.ledger.problem is None


def damage_the_events(bench: Bench) -> None:
    """As a failing disk might: a page of the table becomes noise."""
    db = bench.ledger._db
    assert db is not None
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    (root,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'events'").fetchone()
    with open(bench.path, "r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xaa" * 4096)
    db.execute("PRAGMA shrink_memory")
    db.execute("UPDATE meta SET value = value")  # another's change: what was read is read again


def test_who_has_saved_something_hears_of_a_loss_of_the_file(tmp_path: Path) -> None:
    losses: list[int] = []
    path = tmp_path / "ledger.db"
    path.write_bytes(b"garbage" * 1000)
    bench = Bench(path, on_loss=lambda: losses.append(1))
    bench.ledger.append([record()], AT)
    assert losses == [], "nothing was saved yet"
    path.unlink()
    bench.ledger.append([record()], AT)
    assert len(losses) == 1
    damage_the_events(bench)
    bench.ledger.append([record()], AT)
    assert len(losses) == 2
    bench.ledger.close()


@pytest.mark.parametrize("noticed_by", ["writing", "reading"])
def test_damage_while_it_runs_keeps_what_adoption_needs(bench: Bench, noticed_by: str) -> None:
    bench.ledger.append([record(text="x" * 1000) for _ in range(50)], AT)
    bench.ledger.save("web", {"pid": 7})
    bench.ledger.set_meta("boot_id", "b")
    damage_the_events(bench)
    if noticed_by == "reading":
        assert bench.ids() == []
        assert len(list(bench.path.parent.glob("*.corrupt-*Z"))) == 1
    bench.ledger.append([record()], AT)
    assert bench.ids() == [51]
    assert bench.ledger.load() == {"web": {"pid": 7}}
    assert bench.ledger.get_meta("boot_id") == "b"
    assert len(bench.problems) == 1


def test_a_disk_that_fails_during_upkeep_is_told_and_it_goes_on(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "ledger.db", max_age=1.0)
    bench.ledger.append([record()] * 300, AT)
    db = bench.ledger._db
    assert db is not None
    db.execute("CREATE TEMP TRIGGER t BEFORE DELETE ON main.events BEGIN SELECT RAISE(ABORT, 'no room'); END")
    bench.ledger._now = AT + 100
    bench.ledger._tidy()
    assert "no room" in bench.problems[0]
    bench.now += ledger_module.RETRY
    bench.ledger.append([record()], AT + 100)
    assert bench.ledger.problem is None
    assert bench.ids()[-1] == 301


def test_only_the_newest_files_set_aside_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    for i in range(6):
        path.write_bytes(b"garbage %d" % i * 500)
        Bench(path).ledger.close()
    kept = sorted(p.read_bytes()[:9] for p in tmp_path.glob("ledger.db.corrupt-*"))
    assert kept == [b"garbage 3", b"garbage 4", b"garbage 5"]


def test_a_file_taken_away_is_begun_anew_with_what_adoption_needs(bench: Bench) -> None:
    bench.ledger.save("web", {"pid": 7})
    bench.ledger.append([record()], AT)
    bench.path.unlink()
    bench.ledger.append([record()], AT)
    assert [e["id"] for e in read_only(str(bench.path)).events(EventQuery())] == [2]
    bench.ledger.close()
    assert bench.open().load() == {"web": {"pid": 7}}
    assert "removed" in bench.problems[0]


# -- a disk that does not take it --------------------------------------------------------------------------------------


@contextmanager
def small_disk(path: Path) -> Iterator[Callable[[], None]]:
    """A directory with no room to speak of; yields what makes room."""
    path.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160k", "none", path], capture_output=True).returncode == 0:
        ballast = path / "ballast"
        ballast.write_bytes(b"x" * 40_000)
        try:
            yield ballast.unlink
        finally:
            subprocess.run(["umount", "-l", path], check=True)
    else:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
        try:
            yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("error", [OSError(30, "Read-only file system"), sqlite3.OperationalError("disk is full")])
def test_what_cannot_be_written_from_the_start_is_still_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    path = tmp_path / "ledger.db"
    crashed = f"""
import os, signal
from supervisor.adapters.ledger.store import Ledger
ledger = Ledger({str(path)!r}, print)
ledger.set_meta("supervisor_id", "abc")
ledger.save("web", {{"pid": 7}})
ledger.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", crashed], check=False)

    def refused(_: str) -> sqlite3.Connection:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(ledger_module, "open_ledger", refused)
        bench = Bench(path)
    assert "cannot be written" in bench.problems[0]
    assert bench.ledger.get_meta("supervisor_id") == "abc"
    assert bench.ledger.load() == {"web": {"pid": 7}}
    bench.ledger.save("web", {"pid": 8})
    bench.now += ledger_module.RETRY
    bench.ledger.flush()
    assert bench.ledger.problem is None
    assert bench.ledger.load() == {"web": {"pid": 8}}, "what was read is older than what was saved since"


def test_a_full_disk_is_told_once_and_written_to_once_there_is_room(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as make_room:
        bench = Bench(tmp_path / "disk" / "ledger.db", deferred=True)
        count = 0
        while bench.ledger.problem is None:
            bench.ledger.append([record(text="x" * 500)], AT)
            count += 1
            assert count < 1000
        bench.ledger.append([record(evidence={"a": 1})], AT)
        assert len(bench.problems) == 1
        assert bench.ids(limit=5000) == list(range(1, count + 2)), "what could not be written is still shown"
        assert bench.ledger.evidence(count + 1) == {"a": 1}
        make_room()
        bench.ledger.append([record()], AT)
        assert bench.ledger.problem, "not tried again at once"
        bench.now += ledger_module.RETRY
        bench.later[-1][1]()
        assert bench.ledger.problem is None
        assert "3 events were saved" in bench.problems[1]
        assert len(bench.problems) == 2
        reader = read_only(str(bench.path))
        assert [e["id"] for e in reader.events(EventQuery(limit=5000))] == list(range(1, count + 3))
        assert reader.evidence(count + 1) == {"a": 1}
        reader.close()
        bench.ledger.close()


def test_a_directory_that_cannot_be_made_and_one_that_is_there_again(tmp_path: Path) -> None:
    """Events are numbered before the file can be read; those in it keep their numbers."""
    path = tmp_path / "state" / "ledger.db"
    first = Bench(path)
    first.ledger.append([record("old")] * 5, AT)
    first.ledger.save("web", {"pid": 1})
    first.ledger.close()
    hidden = path.parent.rename(tmp_path / "hidden")
    path.parent.write_text("not a directory")
    bench = Bench(path)
    assert len(bench.problems) == 1
    bench.ledger.save("db", {"pid": 2})
    assert [e["id"] for e in bench.ledger.append([record("new"), record("new")], AT)] == [1, 2]
    assert bench.ids() == [1, 2]
    assert bench.ledger.load() == {"db": {"pid": 2}}
    path.parent.unlink()
    hidden.rename(path.parent)
    bench.now += ledger_module.RETRY
    assert [e["id"] for e in bench.ledger.append([record("newest")], AT)] == [8]
    services = [e["service"] for e in bench.ledger.events(EventQuery())]
    assert services == ["old"] * 5 + ["new"] * 2 + ["newest"]
    assert bench.ledger.load() == {"web": {"pid": 1}, "db": {"pid": 2}}


def test_memory_is_bounded_while_the_disk_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("")
    bench = Bench(path / "ledger.db")
    for i in range(ledger_module.HELD + 50):
        bench.ledger.append([record(evidence={"n": i})], AT)
    ids = bench.ids(limit=5000)
    assert (len(ids), ids[-1]) == (ledger_module.HELD, ledger_module.HELD + 50)
    with_evidence = [i for i in ids if bench.ledger.evidence(i)]
    assert with_evidence == ids[-ledger_module.EVIDENCE_HELD :]
    path.unlink()
    bench.now += ledger_module.RETRY
    bench.ledger.flush()
    assert "50 older ones are lost" in bench.problems[-1]


def test_somebody_elses_lock_is_not_waited_for(bench: Bench) -> None:
    other = sqlite3.connect(bench.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    bench.ledger.append([record()], AT)
    assert "locked" in bench.problems[0]
    assert bench.ids() == [1]
    other.execute("ROLLBACK")
    bench.now += ledger_module.RETRY
    bench.ledger.append([record()], AT)
    assert [e["id"] for e in read_only(str(bench.path)).events(EventQuery())] == [1, 2]
    other.close()


def test_after_closing_nothing_is_written_and_nothing_breaks(bench: Bench) -> None:
    bench.ledger.append([record()], AT)
    bench.ledger.close()
    assert bench.ledger.append([record()], AT)[0]["id"] == 2
    bench.ledger.flush()
    bench.ledger.close()
    assert [e["id"] for e in read_only(str(bench.path)).events(EventQuery())] == [1]


# -- small ----------------------------------------------------------------------------------------------------------


def test_what_is_too_old_goes_but_the_newest_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_upkeep, "STEP", 50)
    monkeypatch.setattr(ledger_upkeep, "KEPT", 10)
    bench = Bench(tmp_path / "ledger.db", max_age=3600.0)
    for i in range(200):
        bench.ledger.append([record()], AT + i)
    bench.ledger.append([record()], AT + 3600 + 150)
    for _ in range(4):
        bench.ledger.append([record()] * 50, AT + 3600 + 150)
    assert bench.ids(limit=1000)[0] == 151
    bench.ledger._now = AT + 1e6
    for _ in range(20):
        bench.ledger._tidy()
    assert len(bench.ids(limit=10_000)) == 10


def test_it_stays_within_its_size(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "ledger.db", max_bytes=1_000_000)
    for i in range(600):
        evidence: dict[str, Any] = {"evidence": {"text": "x" * 20_000}} if i % 10 == 5 else {}
        bench.ledger.append([record(f"s{i % 7}", text="x" * 200, **evidence) for _ in range(20)], AT + i)
    bench.ledger.close()
    assert bench.path.stat().st_size < 2_500_000
    bench.open()
    newest = bench.ids()[-1]
    assert newest == 12_000
    assert bench.ledger.evidence(11_901) is not None
    assert bench.ledger.evidence(1) is None


def test_evidence_goes_before_its_event(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_upkeep, "EVIDENCE_KEPT", 5)
    bench = Bench(tmp_path / "ledger.db")
    bench.ledger.append([record(evidence={"a": 1}) for _ in range(9)], AT)
    bench.ledger._tidy()
    found = [e["detail"].get("evidence_id") for e in bench.ledger.events(EventQuery())]
    assert found == [None] * 4 + [5, 6, 7, 8, 9]
    bench.ledger._now = AT + ledger_upkeep.EVIDENCE_AGE + 1
    bench.ledger._tidy()
    assert bench.ledger.evidence(9) is None


def test_much_evidence_is_removed_in_small_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To remove hundreds of large pieces at once would hold the event loop for a tenth of a second."""
    monkeypatch.setattr(ledger_upkeep, "EVIDENCE_KEPT", 2)
    bench = Bench(tmp_path / "ledger.db", deferred=True)
    bench.ledger.append([record(evidence={"a": 1}) for _ in range(3 * ledger_upkeep.EVIDENCE_STEP)], AT)
    left = []
    while bench.later:
        bench.later.pop(0)[1]()
        left.append(sum("evidence_id" in e["detail"] for e in bench.ledger.events(EventQuery())))
    steps = [before - after for before, after in pairwise(left)]
    assert max(steps) <= ledger_upkeep.EVIDENCE_STEP
    assert left[-1] == 2


def test_damaged_details_do_not_shift_those_of_others(bench: Bench) -> None:
    """Details are parsed together, unless one is damaged."""
    bench.ledger.append([record(number=n) for n in range(4)], AT)
    db = bench.ledger._db
    assert db is not None
    db.execute("UPDATE events SET detail = '{},{}' WHERE id = 2")
    db.execute("UPDATE events SET detail = '{\"number\":' WHERE id = 3")
    assert [e["detail"].get("number") for e in bench.ledger.events(EventQuery())] == [0, None, None, 3]


@pytest.mark.parametrize("deferred", [False, True])
def test_the_log_does_not_grow_for_ever(tmp_path: Path, deferred: bool) -> None:
    bench = Bench(tmp_path / "ledger.db", deferred=deferred)
    largest = 0
    for i in range(6000):
        bench.ledger.append([record(f"s{i % 50}")], AT)
        largest = max(largest, ledger_upkeep.wal_size(str(bench.path)))
        while bench.later and i % 200 == 0:
            bench.later.pop(0)[1]()
    assert largest < 2 * ledger_upkeep.WAL_BUSY
    assert not bench.problems
    bench.ledger.close()


def test_upkeep_is_put_off_and_ends(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "ledger.db", deferred=True)
    rounds = 0
    bench.ledger.append([record() for _ in range(5 * ledger_upkeep.STEP)], AT)
    while bench.later:
        seconds, callback = bench.later.pop(0)
        assert seconds == (store.STEP_AFTER if rounds else store.UPKEEP_AFTER), "then the daemon is at rest soon"
        callback()
        rounds += 1
        assert rounds < 20
    assert rounds >= 5
    bench.ledger.append([record()], AT)
    assert not bench.later, "no wake-up for one event"
    plan = bench.ledger._db.execute("SELECT count(*) FROM events WHERE indexed = 0").fetchone()  # type: ignore[union-attr]
    assert plan == (1,)


def test_upkeep_takes_its_time_while_a_reader_holds_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step makes it longer, and wakes the daemon."""
    monkeypatch.setattr(ledger_upkeep, "WAL_MOST", 20_000)
    monkeypatch.setattr(ledger_upkeep, "WAL_BUSY", 40_000)
    monkeypatch.setattr(ledger_upkeep, "LOOP_MOST", 0)
    bench = Bench(tmp_path / "ledger.db", deferred=True)
    with closing(sqlite3.connect(bench.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM events").fetchall()
        bench.ledger.append([record() for _ in range(ledger_upkeep.STEP)], AT)
        for _ in range(4):
            (seconds, callback), *_ = bench.later
            assert seconds == store.UPKEEP_AFTER
            bench.later.clear()
            callback()
            assert bench.ledger._maintenance.checkpoint.wait(5.0)
    bench.ledger.close()


def test_a_reader_that_never_ends_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_upkeep, "WAL_MOST", 20_000)
    monkeypatch.setattr(ledger_upkeep, "WAL_BUSY", 40_000)
    monkeypatch.setattr(ledger_upkeep, "WAL_HELD", 400_000)
    monkeypatch.setattr(ledger_upkeep, "STEP", 20)
    bench = Bench(tmp_path / "ledger.db")
    reader = sqlite3.connect(bench.path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM events").fetchall()
    for _ in range(400):
        bench.ledger.append([record()], AT)
    assert [p for p in bench.problems if "long read" in p] == bench.problems
    assert len(bench.problems) == 1
    reader.close()
    for _ in range(200):
        bench.ledger.append([record()], AT)
        with suppress(OSError):
            bench.ledger._maintenance.checkpoint.wait(5.0)
    assert ledger_upkeep.wal_size(str(bench.path)) < 2_000_000
    bench.ledger.close()


def test_what_another_process_has_locked_is_read_all_the_same(tmp_path: Path) -> None:
    """Without what is saved there, a later daemon would start what was ordered to stop."""
    path = tmp_path / "ledger.db"
    first = Ledger(str(path), print)
    first.save("web", {"goal": "down"})
    first.set_meta("clean_shutdown", "no")
    locker = sqlite3.connect(path, isolation_level=None)
    locker.execute("PRAGMA locking_mode = EXCLUSIVE")
    with suppress(sqlite3.OperationalError):
        locker.execute("BEGIN EXCLUSIVE")
    first._disconnect()  # it was killed: nothing was closed in order
    locker.execute("BEGIN EXCLUSIVE")
    locker.execute("INSERT INTO meta VALUES ('uncommitted', 'x')")
    problems: list[str] = []
    second = Ledger(str(path), problems.append)
    assert "database is locked" in problems[0]
    assert second.load() == {"web": {"goal": "down"}}
    assert second.get_meta("clean_shutdown") == "no" and second.get_meta("uncommitted") is None
    assert not list(tmp_path.glob("*.copy*"))
    locker.execute("ROLLBACK")
    locker.close()
    second.close()


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["a directory", "a FIFO"])
@pytest.mark.parametrize("part", ["", "-wal", "-shm"])
def test_what_is_no_file_is_set_aside(tmp_path: Path, make: Callable[[Path], None], part: str) -> None:
    path = tmp_path / "ledger.db"
    first = Ledger(str(path), print)
    first.save("web", {"goal": "down"})
    first.close()
    Path(f"{path}{part}").unlink(missing_ok=True)
    make(Path(f"{path}{part}"))
    if not part:
        with pytest.raises(OperationFailed, match=r"is a directory|is not a regular file"):
            read_only(str(path))
    problems: list[str] = []
    second = Ledger(str(path), problems.append)
    (aside,) = tmp_path.glob("ledger.db.corrupt-*")
    assert len(problems) == 1 and str(aside) in problems[0]
    assert not aside.is_file()
    assert second.problem is None
    assert second.load() == ({"web": {"goal": "down"}} if part else {})
    second.close()
