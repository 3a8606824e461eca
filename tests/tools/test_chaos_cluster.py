"""The judge of faults in a cluster: which tree has outlived its lease, and what several runs come to."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from argparse import ArgumentTypeError
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from scripts.tools.arguments import duration
from scripts.tools.chaos.__main__ import main as chaos
from scripts.tools.chaos.cluster import Cluster, Host
from scripts.tools.chaos.cluster_judge import IN_TIME, LATE, UNSEEN, WENT_ON, figures, main, together, verdict
from scripts.tools.chaos.cluster_observer import Observer, Run
from scripts.tools.chaos.cluster_slots import Slots, node
from scripts.tools.chaos.cluster_times import Times
from supervisor.config.load import load
from supervisor.core.model.cluster_spec import ClusterSpec

SESSION, BEGAN = 10.0, 100.0
RUN = Run("a", "web@1", 7, 4711, begin=50.0, alone=True)


@pytest.mark.parametrize(
    ("run", "unowned", "no_contact", "said"),
    [
        (RUN, None, True, WENT_ON),
        (RUN, 112.0, True, LATE),
        (replace(RUN, gone=108.8, gone_after=108.7), 112.0, True, IN_TIME),
        (replace(RUN, gone=108.8, gone_after=108.7), None, True, IN_TIME),
        (replace(RUN, gone=112.2, gone_after=112.1), 112.0, False, LATE),
        (replace(RUN, gone=111.9, gone_after=111.8), 112.0, False, IN_TIME),
        (replace(RUN, gone=111.9, gone_after=111.8), 112.0, True, LATE),
        (replace(RUN, gone=112.2, gone_after=112.1, said_end=111.9), 112.0, False, IN_TIME),
        (replace(RUN, gone=115.0, gone_after=109.0), 112.0, True, UNSEEN),
    ],
    ids=[
        "runs, and its node is there",
        "runs, and its node is gone",
        "killed in time",
        "killed in time, its node not yet gone",
        "killed after its node was gone",
        "a lease that was prolonged after the fault began",
        "nothing could prolong it",
        "its own word of its end",
        "the observer did not run for six seconds",
    ],
)
def test_what_became_of_a_tree(run: Run, unowned: float | None, no_contact: bool, said: str) -> None:
    assert verdict(run, BEGAN, SESSION, unowned, no_contact=no_contact) == said


def test_the_end_of_an_owner_is_seen() -> None:
    slots = Slots([], "", [])
    for epoch, at in ((None, 1.0), (5, 2.0), (5, 3.0), (None, 4.0), (9, 5.0), (11, 6.0)):
        slots.heard("web@1", epoch, at)
    assert slots.owner == {"web@1": 11}
    assert [slots.gone("web@1", epoch) for epoch in (5, 9, 11)] == [4.0, 6.0, None]
    assert [node(one) for one in ("scheduler", "web@2")] == ["/slots/scheduler@0/owner", "/slots/web@1/owner"]


def test_the_figures_of_several_runs() -> None:
    first = {
        "faults": 3, "runs": 9, "seed": 1, "violations": [], "late": [],
        "kinds": {"daemon killed": 2, "busy loops": 1, "drain": 1},
        "trees": {"daemon killed": {IN_TIME: 3}, "busy loops": {WENT_ON: 1}},
        "takeovers": {"daemon killed": [3.0, 4.0]},
    }  # fmt: skip
    second = {
        "faults": 2, "runs": 5, "seed": 2, "violations": ["two at a time"], "late": ["slow"],
        "kinds": {"daemon killed": 1, "agent killed": 1},
        "trees": {"daemon killed": {LATE: 1}, "agent killed": {WENT_ON: 2}},
        "takeovers": {"daemon killed": [9.0]},
    }  # fmt: skip
    whole = together([first, second])
    assert whole["kinds"] == {"daemon killed": 3, "busy loops": 1, "drain": 1, "agent killed": 1}
    assert whole["violations"] == ["seed 2: two at a time"]
    told = figures(whole)
    assert told[0] == "random faults on three hosts: 5, runs of slots: 14; violations: 1, late: 1"
    assert told[-1].endswith("gone by its lease's end in 3 of 4; 2 more went on under a lease that was prolonged")
    row = next(line for line in told if line.startswith("daemon killed"))
    assert " ".join(row.split()) == "daemon killed 3 4 3 0 1 0 median 4.00 s, worst 9.00 s of 3"


def test_reports_in_files_are_added_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of one cluster, of several side by side, and of one that was killed before its end."""
    one: dict[str, object] = {
        "faults": 2, "runs": 4, "seed": 1, "violations": [], "late": [], "kinds": {"link down": 2},
        "trees": {"link down": {IN_TIME: 2}}, "takeovers": {},
    }  # fmt: skip
    killed = {"clock": 0.0, "runs": [], "report": one | {"seed": 2, "violations": ["two at a time"]}}
    files = [tmp_path / name for name in ("one", "several", "killed")]
    for file, report in zip(files, (one, together([one, one | {"seed": 7}]), killed), strict=True):
        file.write_text(json.dumps(report))
    assert main([str(file) for file in files]) == 1
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "random faults on three hosts: 8, runs of slots: 16; violations: 1, late: 0"
    assert told[-2].startswith("part killed, stopped or starved") and "in 8 of 8" in told[-2]
    assert told[-1] == "VIOLATION: seed 2: two at a time"
    assert main([str(files[0])]) == 0


@pytest.mark.parametrize("text", [None, "no JSON", "[]", "{}", '{"report": {"faults": 1}}'])
def test_a_file_without_a_report_is_named(text: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "other.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(SystemExit, match="2"):
        main([str(file)])
    assert f"{file} has no report" in capsys.readouterr().err


def test_figures_of_no_file_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([])
    assert "required: FILE" in capsys.readouterr().err


def test_a_time_that_cannot_be_read_is_answered_with_what_to_write() -> None:
    with pytest.raises(ArgumentTypeError, match=r"write .* \(units: ms s m h d\)"):
        duration("4 seconds")


@pytest.mark.parametrize("session", [3.4, 4.0, 10.0, 60.0])
def test_all_times_follow_from_the_session(session: float, tmp_path: Path) -> None:
    """The supervisor takes what a host is given, and ZooKeeper grants the session."""
    times = Times(session)
    assert 2 * times.tick <= session <= 20 * times.tick
    assert times.lasts > session + times.tick
    network = SimpleNamespace(address=dict.fromkeys("abc", "127.0.0.1"))
    host = Host(network, "a", tmp_path, times)  # type: ignore[arg-type]
    cluster = load(host.place / "services.toml").cluster
    assert cluster is not None
    assert [cluster.session_timeout, cluster.contact_interval] == pytest.approx([session, times.contact], abs=1e-3)
    assert [cluster.request_timeout, cluster.tick_time] == pytest.approx([times.request, times.tick], abs=1e-3)
    assert f"tickTime={1000 * times.tick:.0f}\n" in (host.place / "zoo.cfg").read_text()


def test_the_times_of_ten_seconds_are_the_defaults() -> None:
    times, given = Times(), ClusterSpec(hosts="a", node="a")
    assert (times.session, times.contact, times.request, times.tick) == (
        given.session_timeout, given.contact_interval, given.request_timeout, given.tick_time
    )  # fmt: skip
    assert (times.stop, times.lasts, times.bound) == (2.0, 15.0, 17.0)


def test_a_session_that_leaves_no_room_for_a_stop_is_refused() -> None:
    with pytest.raises(ValueError, match="a session of 3 s is too short"):
        Times(3.0)


def test_a_fault_begins_when_it_has_taken_effect(tmp_path: Path) -> None:
    """A busy daemon may name its processes late, and prolong its leases until then."""
    network = SimpleNamespace(address=dict.fromkeys("abc", "127.0.0.1"))
    sleeper = subprocess.Popen(["/bin/sleep", "600"])
    named: list[float] = []

    class Busy:
        def pids(self, *_: str) -> list[int]:
            named.append(time.clock_gettime(time.CLOCK_BOOTTIME))
            return [sleeper.pid] if len(named) == 1 else []

    with Observer(tmp_path / "o") as observer:
        world = Cluster(tmp_path, network, observer, random.Random(1), Times())  # type: ignore[arg-type]
        world.killed(Busy(), ("cluster-agent",))  # type: ignore[arg-type]
    assert sleeper.wait() == -signal.SIGKILL
    assert named[0] <= world.struck <= named[1]


@pytest.mark.parametrize("option", ["--session=4s", "--only=host dies", "--side-by-side=2"])
def test_what_is_of_a_cluster_alone_is_refused_elsewhere(
    option: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["scripts/chaos", option])
    with pytest.raises(SystemExit) as error:
        chaos()
    assert error.value.code == 2
    assert "are of --cluster" in capsys.readouterr().err
