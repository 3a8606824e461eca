"""A kill by the kernel for lack of memory is told from every other SIGKILL by the counters of the cgroup."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from supervisor.adapters.processes import out_of_memory
from supervisor.adapters.processes.out_of_memory import OutOfMemory
from supervisor.adapters.processes.table import become_subreaper
from supervisor.core.model.events import Exited
from tests.adapters.processes.test_table import Bench

EVENTS = "low 0\nhigh 3\nmax 4711\noom 12\noom_kill {0}\noom_group_kill {1}\n"
KILLED = (None, 9)


class Cgroups:
    """Plain files, named as those of cgroups: `unit` with a limit, and `unit/web` in it."""

    def __init__(self, directory: Path, *, own: bool) -> None:
        self.unit, self.web = directory / "unit", directory / "unit" / "web"
        self.web.mkdir(parents=True)
        self.counting = self.web if own else self.unit
        for place in (self.unit, self.web):
            (place / "cgroup.procs").write_text("1\n")
        (self.unit / "memory.max").write_text("536870912\n")
        if own:
            (self.web / "memory.max").write_text("268435456\n")
        self.count(0, 0)

    def count(self, killed: int, groups: int) -> None:
        (self.counting / "memory.events").write_text(EVENTS.format(killed, groups))


def test_a_kill_that_the_cgroup_counted(tmp_path: Path) -> None:
    host, memory = Cgroups(tmp_path, own=True), OutOfMemory()
    memory.begin(str(host.web))
    assert memory.killed(str(host.web), KILLED) is None
    host.count(3, 1)
    assert memory.killed(str(host.web), KILLED) == "memory.max 256 MiB"
    memory.begin(str(host.web))
    assert memory.killed(str(host.web), KILLED) is None, "the counters of an earlier run count no more"


@pytest.mark.parametrize("status", [(0, None), (1, None), (None, 15), (None, None)])
def test_another_end_is_no_kill_for_memory(tmp_path: Path, status: tuple[int | None, int | None]) -> None:
    host, memory = Cgroups(tmp_path, own=True), OutOfMemory()
    memory.begin(str(host.web))
    host.count(1, 0)
    assert memory.killed(str(host.web), status) is None
    host.count(2, 0)
    assert memory.killed(str(host.web), (137, None)) == "memory.max 256 MiB", "as a shell tells it"


def test_a_limit_above_its_own_cgroup(tmp_path: Path) -> None:
    host, memory = Cgroups(tmp_path, own=False), OutOfMemory()
    memory.begin(str(host.web))
    host.count(1, 0)
    assert memory.killed(str(host.web), KILLED) == "memory.max 512 MiB"
    assert memory.killed(str(host.web), KILLED) is None


def test_without_a_limit_or_without_counters(tmp_path: Path) -> None:
    host, memory = Cgroups(tmp_path, own=True), OutOfMemory()
    for place in (host.unit, host.web):
        (place / "memory.max").write_text("max\n")
    memory.begin(str(host.web))
    host.count(1, 0)
    assert memory.killed(str(host.web), KILLED) == ""
    (host.web / "memory.events").unlink()
    assert memory.killed(str(host.web), KILLED) is None
    assert memory.killed("/", KILLED) is None


def test_an_exit_tells_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(True, tmp_path)
    if bench.trees.root is None:
        pytest.skip("no cgroup v2 directory can be made here")
    counted = [0]
    monkeypatch.setattr(out_of_memory, "_nearest", lambda cgroup: (cgroup, counted[0]))
    bench.spawn("sleep", "1000")
    counted[0] = 2
    bench.processes.signal("web", signal.SIGKILL)
    bench.until(lambda: bench.of(Exited))
    assert bench.of(Exited) == [Exited(1, None, 9, tree_empty=True, out_of_memory="")]
    bench.processes.release("web", 1)
    bench.spawn("sleep", "1000")
    bench.processes.signal("web", signal.SIGKILL)
    bench.until(lambda: len(bench.of(Exited)) == 2)
    assert bench.of(Exited)[1].out_of_memory is None
    bench.processes.release("web", 2)
    bench.trees.close()
    bench.loop.close()
    become_subreaper(False)
