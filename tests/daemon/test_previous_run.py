"""What a daemon takes from the run before it, and what it writes down for the next one."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from supervisor.config.profiles import remembered
from supervisor.core.model.plain import from_plain
from supervisor.core.model.spec import Plan, ServiceSpec, SupervisorSpec
from supervisor.daemon.previous_run import ID, PLAN, SOURCE, WRITTEN, PreviousRun, RuntimeFiles, same_epoch

NOW, BEFORE = "boot.2", "boot.1"


def _plan(*names: str, name: str = "supervisor") -> Plan:
    services = tuple(from_plain(ServiceSpec, {"name": n, "command": ["x"]}) for n in names)
    return Plan(supervisor=SupervisorSpec(name=name), services=services)


class Facts:
    """A ledger."""

    def __init__(self, **meta: str) -> None:
        self.meta = meta

    def get_meta(self, key: str) -> str | None:
        return self.meta.get(key)

    def set_meta(self, key: str, value: str) -> None:
        self.meta[key] = value

    def load(self) -> dict[str, dict[str, Any]]:
        return {"web": {"incarnation": 3}}


@pytest.mark.parametrize(
    ("meta", "written_epoch", "crashed"),
    [
        ({}, None, False),
        ({}, NOW, True),
        ({}, BEFORE, False),
        ({"epoch": NOW, "clean_shutdown": "no"}, NOW, True),
        ({"epoch": NOW, "clean_shutdown": "no"}, None, True),
        ({"epoch": NOW, "clean_shutdown": "yes"}, NOW, False),
        ({"epoch": BEFORE, "clean_shutdown": "no"}, NOW, False),
        ({"epoch": BEFORE, "clean_shutdown": "yes"}, None, False),
    ],
)
def test_a_run_without_an_orderly_end_in_this_boot_has_crashed(
    tmp_path: Path, meta: dict[str, str], written_epoch: str | None, crashed: bool
) -> None:
    files = RuntimeFiles(str(tmp_path))
    files.write_plan(_plan("old"))
    if written_epoch is not None:
        files.write_id("abc", written_epoch)
    previous = PreviousRun(Facts(**meta), files, NOW)
    assert previous.crashed is crashed
    assert previous.instances == {"web": {"incarnation": 3}}
    assert previous.plan == (_plan("old") if crashed else None)


@pytest.mark.parametrize(
    ("meta", "written", "supervisor_id"),
    [
        ({"supervisor_id": "abc"}, None, "abc"),
        ({"supervisor_id": "abc"}, "def", "abc"),
        ({}, "def", "def"),
    ],
)
def test_the_id_stays_the_same_also_where_the_ledger_is_lost(
    tmp_path: Path, meta: dict[str, str], written: str | None, supervisor_id: str
) -> None:
    files = RuntimeFiles(str(tmp_path))
    if written is not None:
        files.write_id(written, BEFORE)
    assert PreviousRun(Facts(**meta), files, NOW).id == supervisor_id


def test_a_new_state_directory_gets_an_id_of_its_own(tmp_path: Path) -> None:
    first, second = (PreviousRun(Facts(), RuntimeFiles(str(tmp_path)), NOW).id for _ in range(2))
    assert len(first) == 16 and first != second


def test_after_a_crash_the_services_are_those_of_then_and_the_rest_is_of_the_file(tmp_path: Path) -> None:
    files, facts = RuntimeFiles(str(tmp_path)), Facts()
    run = PreviousRun(facts, files, NOW)
    run.begin()
    run.keep(_plan("old", name="then"))
    configured = _plan("new", name="now")
    assert run.plan_in_force(configured) == configured
    assert PreviousRun(facts, files, NOW).plan_in_force(configured) == _plan("old", name="now")
    assert PreviousRun(facts, files, "boot.3").plan_in_force(configured) == configured


@pytest.mark.parametrize("closing", [False, True])
def test_a_run_is_unclean_from_its_begin_on(tmp_path: Path, closing: bool) -> None:
    files, facts = RuntimeFiles(str(tmp_path)), Facts()
    run = PreviousRun(facts, files, NOW)
    run.begin(closing=closing)
    following = PreviousRun(facts, files, NOW)
    assert following.crashed and following.closing is closing and following.id == run.id
    run.end()
    assert not PreviousRun(facts, files, NOW).crashed


@pytest.mark.parametrize(
    "before",
    [{}, {"epoch": BEFORE, "clean_shutdown": "no"}, {"epoch": NOW, "clean_shutdown": "yes", "closing": "yes"}],
)
def test_a_crash_is_one_also_where_the_ledger_took_nothing_of_the_run(tmp_path: Path, before: dict[str, str]) -> None:
    """A full disk: the ledger still tells of the run before, so what it has saved is history, and no more."""
    files = RuntimeFiles(str(tmp_path))
    run = PreviousRun(Facts(**before), files, NOW)
    run.begin()
    run.keep(_plan("old"))
    following = PreviousRun(Facts(**before, supervisor_id=run.id), files, NOW)
    assert following.crashed and not following.closing and following.id == run.id
    assert following.current is (not before)
    assert following.plan == _plan("old")
    assert not PreviousRun(Facts(**before), files, "boot.3").crashed


def test_after_an_orderly_end_nothing_says_that_a_daemon_runs(tmp_path: Path) -> None:
    files, facts = RuntimeFiles(str(tmp_path)), Facts()
    run = PreviousRun(facts, files, NOW)
    run.begin()
    assert files.read_running() == NOW
    run.end()
    run.end()  # what is gone cannot be removed, and need not be
    assert files.read_running() == "" and not PreviousRun(facts, files, NOW).crashed


@pytest.mark.parametrize("text", ["", "abc", "abc boot 3", "\ud800"])
def test_garbage_in_the_runtime_directory_is_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / ID).write_bytes(text.encode(errors="surrogatepass"))
    (tmp_path / PLAN).write_text("[1")
    files = RuntimeFiles(str(tmp_path))
    assert files.read_id() == ("", "") and files.read_plan() is None


def test_only_the_owner_may_read_the_plan(tmp_path: Path) -> None:
    files = RuntimeFiles(str(tmp_path))
    files.write_plan(_plan("a"))
    files.write_id("abc", NOW)
    assert sorted(p.name for p in tmp_path.iterdir()) == [ID, PLAN, SOURCE, WRITTEN]
    assert {p.stat().st_mode & 0o777 for p in tmp_path.iterdir()} == {0o600}


def test_a_daemon_does_not_take_up_what_the_file_of_another_folder_left(tmp_path: Path) -> None:
    """Two files may have the same [supervisor] name: to put the other one in force would stop what runs."""
    files = RuntimeFiles(str(tmp_path / "run"), str(tmp_path / "state"))
    (tmp_path / "run").mkdir()
    one, other, link = tmp_path / "one.toml", tmp_path / "other.toml", tmp_path / "link.toml"
    one.touch()
    other.touch()
    link.symlink_to(one)
    was = replace(_plan("a"), path=str(one), folder="1:2:3")
    files.write_plan(was)  # where a directory is missing, only the record in it is

    def found(path: Path, folder: str = "4:5:6", *, crashed: bool = True) -> str:
        files.write_running(NOW if crashed else "")
        return PreviousRun(Facts(), files, NOW).other_file(replace(_plan(), path=str(path), folder=folder))

    assert found(other) == str(one)
    assert found(other, crashed=False) == ""
    assert found(one) == found(link) == ""
    (tmp_path / "moved").mkdir()
    moved = tmp_path / "moved" / "one.toml"
    moved.touch()
    assert found(moved) == str(one)
    assert found(moved, "1:2:3") == ""  # the folder was moved
    assert found(other, "1:2:3") == str(one), "another file in the same folder"
    other.unlink()
    assert found(other) == str(one), "its own file is gone"
    one.unlink()
    assert found(other) == ""  # a deploy removed it
    files.write_plan(_plan("a"))  # by an earlier version
    assert found(other) == ""


def test_which_file_a_daemon_runs_stands_in_both_directories(tmp_path: Path) -> None:
    for name in ("run", "state"):
        (tmp_path / name).mkdir()
    RuntimeFiles(str(tmp_path / "run"), str(tmp_path / "state")).write_plan(
        replace(_plan(), path="/srv/\udce9/services.toml", folder="1:2:3")
    )
    for name in ("run", "state"):
        assert (tmp_path / name / SOURCE).read_bytes() == b"1:2:3\n/srv/\xe9/services.toml\n"
        assert stat.S_IMODE((tmp_path / name / SOURCE).stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("boot.1", "boot.1", True),
        ("boot.1", "boot.2", False),
        ("boot.1", "boot.None", True),
        ("boot.None", "boot.1", True),
        ("boot.None", "boot.None", True),
        ("boot.1", "other.None", False),
        (".1", ".None", False),
        ("", "", False),
        ("", "boot.None", False),
    ],
)
def test_a_hidden_first_process_makes_no_other_boot(one: str, other: str, same: bool) -> None:
    assert same_epoch(one, other) is same


@pytest.mark.parametrize("lives", [True, False])
@pytest.mark.parametrize("ledger", [True, False], ids=["with its ledger", "with another ledger"])
def test_a_boot_with_another_name_is_one_unless_processes_of_the_run_live(
    tmp_path: Path, lives: bool, ledger: bool
) -> None:
    files, facts = RuntimeFiles(str(tmp_path)), Facts()
    run = PreviousRun(facts, files, BEFORE)
    run.begin()
    run.keep(_plan("old"))
    asked: list[tuple[str, list[str]]] = []

    def alive(supervisor_id: str, instances: Iterable[str]) -> bool:
        asked.append((supervisor_id, list(instances)))
        return lives

    following = PreviousRun(facts if ledger else Facts(), files, NOW, alive)
    assert asked == [(run.id, ["web"])]
    assert (following.crashed, following.renamed, following.current) == (lives, lives, False)
    assert following.plan == (_plan("old") if lives else None)


def test_after_an_orderly_end_in_another_boot_nothing_is_asked(tmp_path: Path) -> None:
    files, facts = RuntimeFiles(str(tmp_path)), Facts()
    run = PreviousRun(facts, files, BEFORE)
    run.begin()
    run.end()
    following = PreviousRun(facts, files, NOW, lambda *_: True)
    assert not following.crashed and following.known and not run.known


def test_the_compiler_finds_the_profiles_of_a_run_that_has_not_ended_in_order(tmp_path: Path) -> None:
    files = RuntimeFiles(str(tmp_path))
    run = PreviousRun(Facts(), files, NOW)
    run.begin()
    run.keep(replace(_plan("web"), profiles=("dev",), inactive=(("ops", ("full", "night")),)))
    kept = files.read_plan()
    assert kept is not None and kept.profiles == ("dev",) and kept.inactive == (("ops", ("full", "night")),)
    assert remembered({}, str(tmp_path)).names == ("dev",)
    run.end()
    assert remembered({}, str(tmp_path)).names == ()
