"""What an earlier daemon left of thousands of instances is found by few looks at all processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from supervisor.adapters.linux import procfs
from supervisor.adapters.processes import marks
from supervisor.adapters.processes.descendant_tree import DescendantTree
from supervisor.adapters.processes.table import become_subreaper
from supervisor.adapters.processes.traces import Traces
from supervisor.adapters.processes.tree import NoTree
from tests.adapters.processes.test_table import Bench

ID = f"traces-{os.getpid()}"
ENDED = (2**22 + 1, 5)
"""A (pid, start time) that no process has."""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(False, tmp_path)
    yield made
    made.loop.close()
    become_subreaper(False)


@contextmanager
def running(env: dict[str, str], mark: int | None = None) -> Iterator[int]:
    """A process in a session of its own, with this environment and perhaps a mark."""
    code = "import os, sys, time; sys.stdout.write('up\\n'); sys.stdout.flush(); time.sleep(1000)"
    command = [sys.executable, "-S", "-c", code]
    with marks.inherited_by_children(mark if mark is not None else -1):
        child = subprocess.Popen(command, env=env, start_new_session=True, stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        child.stdout.readline()
        yield child.pid
    finally:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()


def test_two_looks_tell_of_all_instances_of_which_nothing_is_left(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a start that was killed takes the next daemon a minute with 1000 services."""
    looks = []
    pids = procfs.pids
    monkeypatch.setattr(procfs, "pids", lambda: (looks.append(1), pids())[1])
    for number in range(50):
        main = ENDED if number % 2 else None
        tree = bench.trees.find(f"web@{number}", main)
        assert isinstance(tree, NoTree) and tree.empty() and not tree.belongs(os.getpid())
        assert bench.processes.adopt(f"web@{number}", 1, main, tree) is None
    assert len(looks) == 2
    bench.trees.found()
    bench.trees.find("web", None)
    assert len(looks) == 4


@pytest.mark.parametrize(
    ("env", "mark"),
    [({"SUPERVISOR_ID": ID, "SUPERVISOR_INSTANCE": "web"}, None), ({}, marks.mark_for(ID, "web"))],
    ids=["environment", "mark"],
)
def test_what_shows_a_trace_is_searched_for(env: dict[str, str], mark: int | None) -> None:
    with running(env, mark):
        traces = Traces(ID)
    assert traces.of("web", None) and traces.of("web", ENDED)
    assert not traces.of("api", None) and not traces.of("api", ENDED)
    assert not Traces(f"another-{ID}").of("web", None)


def test_what_is_in_the_session_of_the_main_process_is_searched_for(bench: Bench) -> None:
    with running({}) as pid:
        assert isinstance(bench.trees.find("web", (pid, 1)), DescendantTree)
        assert isinstance(bench.trees.find("web", None), NoTree)


def test_what_cannot_be_looked_for_is_not_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(procfs, "pids", list)
    assert Traces(ID).of("web", None)
