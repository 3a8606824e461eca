"""CPU and memory of real trees, limits that are exceeded for a while or for too long, and no sampling unless asked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.linux import procfs
from supervisor.adapters.processes import sampler as sampling
from supervisor.adapters.processes import usage
from supervisor.adapters.processes.sampler import Sampler
from supervisor.core.model.events import Event, LimitExceeded
from supervisor.core.model.spec import ResourcesSpec
from tests.doubles.fakes import FakeReactor, run_until

MIB = 1 << 20


class Tree:
    """Processes as /proc would show them, moved by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.loop = FakeReactor()
        self.posted: list[tuple[str, Event]] = []
        self.processes: dict[int, procfs.Stat] = {}
        self.reads = 0
        monkeypatch.setattr(procfs, "stat", self.stat)
        monkeypatch.setattr(usage, "cpu_clock", self.clock)
        self.clocked = True
        self.paused: str | None = None
        self.limited: list[tuple[str, int]] = []
        self.sampler = Sampler(
            self.loop,  # type: ignore[arg-type]
            lambda _: list(self.processes),
            lambda name, event: self.posted.append((name, event)),
            limit_commands=lambda *limit: self.limited.append(limit),
            paused=lambda _: self.paused,
        )

    def clock(self, pid: int) -> int | None:
        found = self.processes.get(pid)
        return round(found.utime * procfs.TICK * 1e9) if found and self.clocked else None

    def stat(self, pid: int) -> procfs.Stat | None:
        self.reads += 1
        return self.processes.get(pid)

    def set(self, pid: int, cpu: float, memory: int = 0, start: int = 1) -> None:
        ticks = round(cpu / procfs.TICK)
        self.processes[pid] = procfs.Stat("x", "S", 1, pid, pid, ticks, 0, 1, start, memory)

    @property
    def cpu(self) -> float:
        return self.sampler.read_now(["web"])["web"].cpu_percent


@pytest.fixture
def tree(monkeypatch: pytest.MonkeyPatch) -> Tree:
    return Tree(monkeypatch)


def test_probes_and_hooks_have_the_same_limit_of_tasks(tree: Tree) -> None:
    tree.set(10, cpu=1.0)
    tree.sampler.limit("web", 1, ResourcesSpec(max_memory=MIB))
    tree.loop.advance(30.0)
    assert tree.limited == []
    tree.sampler.limit("web", 1, ResourcesSpec(max_tasks=7))
    tree.loop.advance(1.0)
    assert set(tree.limited) == {("web", 7)} and tree.posted == []


def test_a_caller_that_comes_again_and_again_gets_the_cpu_since_its_last_look(tree: Tree) -> None:
    tree.set(10, cpu=5.0)
    tree.sampler.read_now(["web"], keep=True)
    tree.sampler.hold(1.0, lambda: None)()  # a dashboard that came and went
    tree.loop.advance(10.0)
    tree.set(10, cpu=6.0)
    assert tree.sampler.read_now(["web"], keep=True)["web"].cpu_percent == pytest.approx(10.0)


def test_cpu_is_what_was_spent_since_the_last_look(tree: Tree) -> None:
    tree.sampler.hold(1.0, lambda: None)
    tree.set(10, cpu=5.0, memory=MIB)
    tree.set(11, cpu=1.0, memory=2 * MIB)
    tree.cpu  # noqa: B018
    tree.loop.advance(2.0)
    tree.set(10, cpu=6.0, memory=MIB)
    tree.set(11, cpu=3.0, memory=2 * MIB)
    assert tree.sampler.read_now(["web"])["web"][:2] == pytest.approx((150.0, 3 * MIB))
    tree.loop.advance(0.1)
    tree.set(10, cpu=99.0)
    assert tree.cpu == pytest.approx(150.0), "too soon to say anything new"


def test_who_comes_and_who_goes(tree: Tree) -> None:
    tree.sampler.hold(1.0, lambda: None)
    tree.set(10, cpu=50.0)
    tree.cpu  # noqa: B018
    tree.loop.advance(1.0)
    del tree.processes[10]
    tree.set(11, cpu=0.5)
    assert tree.cpu == pytest.approx(50.0), "it has spent all that since the last look; what is gone takes nothing away"
    tree.loop.advance(1.0)
    tree.set(11, cpu=0.1, start=2)
    assert tree.cpu == pytest.approx(10.0), "the pid is another process now"


def test_without_a_watcher_it_is_the_average_of_its_life(tree: Tree) -> None:
    boot = time.clock_gettime(time.CLOCK_BOOTTIME)
    tree.set(10, cpu=5.0, start=int((boot - 10.0) / procfs.TICK))
    first = tree.cpu
    assert first == pytest.approx(50.0, rel=0.1)
    tree.loop.advance(5.0)
    assert tree.cpu == pytest.approx(first, rel=0.1) and tree.sampler._meters == {}


def test_watchers_are_called_on_a_grid_until_they_go(tree: Tree) -> None:
    moments: list[float] = []
    start = tree.loop.now()
    release = tree.sampler.hold(0.5, lambda: moments.append(tree.loop.now() - start))
    tree.loop.advance(1.7)
    tree.loop._now += 1.0  # we were late
    tree.loop.advance(0.5)
    assert moments == pytest.approx([0.5, 1.0, 1.5, 2.7, 3.0])
    tree.set(10, cpu=1.0)
    tree.cpu  # noqa: B018
    release()
    release()
    tree.loop.advance(10.0)
    assert len(moments) == 5 and tree.loop.next_deadline is None and tree.sampler._meters == {}


def test_nothing_is_read_while_nobody_asks(tree: Tree) -> None:
    tree.sampler.limit("web", 1, ResourcesSpec())
    tree.sampler.limit("web", 1, None)
    tree.loop.advance(1000.0)
    assert tree.reads == 0 and tree.loop.next_deadline is None


def test_memory_over_its_limit_for_too_long_is_told_once_per_breach(tree: Tree) -> None:
    tree.sampler.limit("web", 4, ResourcesSpec(max_memory=10 * MIB, sustained=10.0))
    tree.set(10, cpu=0.0, memory=11 * MIB)
    tree.loop.advance(11.0)
    assert tree.posted == [], "first seen at 2 s"
    tree.loop.advance(2.0)
    assert tree.posted == [("web", LimitExceeded(4, "memory", 11 * MIB, 10 * MIB))]
    tree.loop.advance(60.0)
    assert len(tree.posted) == 1
    tree.set(10, cpu=0.0, memory=10 * MIB)
    tree.loop.advance(5.0)
    tree.set(10, cpu=0.0, memory=12 * MIB)
    tree.loop.advance(20.0)
    assert len(tree.posted) == 2


def test_a_peak_is_no_breach(tree: Tree) -> None:
    tree.sampler.limit("web", 1, ResourcesSpec(max_memory=10 * MIB, sustained=10.0))
    for second in range(40):
        tree.set(10, cpu=0.0, memory=(5 if second % 8 < 2 else 50) * MIB)
        tree.loop.advance(1.0)
    assert tree.posted == []


def test_cpu_over_its_limit(tree: Tree) -> None:
    tree.sampler.limit("web", 1, ResourcesSpec(max_cpu=0.5, sustained=5.0))
    for second in range(20):
        tree.set(10, cpu=0.4 * second if second < 10 else 4.0 + 0.8 * (second - 10))
        tree.loop.advance(1.0)
        assert not tree.posted or second >= 15
    ((name, event),) = tree.posted
    assert name == "web" and isinstance(event, LimitExceeded)
    assert (event.resource, event.limit) == ("cpu", 0.5) and event.value == pytest.approx(0.8)


def test_a_limit_taken_away_ends_the_looking(tree: Tree) -> None:
    tree.set(10, cpu=0.0, memory=50)
    tree.sampler.limit("web", 1, ResourcesSpec(max_memory=10, sustained=0.0))
    tree.sampler.limit("web", 1, None)
    tree.loop.advance(60.0)
    assert tree.posted == [] and tree.loop.next_deadline is None


def test_what_has_not_run_is_not_read_again_while_it_is_followed(tree: Tree) -> None:
    tree.sampler.hold(1.0, lambda: None)
    tree.set(10, cpu=5.0, memory=MIB)
    tree.set(11, cpu=1.0, memory=MIB)
    tree.cpu  # noqa: B018
    reads = tree.reads
    for _ in range(29):
        tree.loop.advance(1.0)
        assert tree.sampler.read_now(["web"])["web"][:2] == (0.0, 2 * MIB)
    assert tree.reads == reads
    tree.loop.advance(1.0)
    tree.set(10, cpu=5.0, memory=0)
    assert tree.sampler.read_now(["web"])["web"].memory_bytes == MIB, "the kernel may have taken memory from it"
    tree.loop.advance(1.0)
    tree.set(11, cpu=1.5, memory=MIB)
    assert tree.cpu == pytest.approx(50.0)
    tree.loop.advance(1.0)
    del tree.processes[11]
    assert tree.sampler.read_now(["web"])["web"].memory_bytes == 0, "the end of a process is a change, too"
    tree.loop.advance(1.0)
    tree.clocked = False
    reads = tree.reads
    assert tree.cpu == 0.0 and tree.cpu == 0.0
    assert tree.reads == reads + 2, "the kernel tells no clock"


def test_what_cannot_run_is_asked_again_when_something_has_run(tree: Tree) -> None:
    assert tree.sampler.paused("web") is None
    tree.paused = "stopped"
    assert tree.sampler.paused("web") == "stopped", "nobody follows: it is asked each time"
    tree.sampler.hold(1.0, lambda: None)
    tree.set(10, cpu=5.0)
    tree.cpu  # noqa: B018
    assert tree.sampler.paused("web") == "stopped"
    tree.paused = None
    tree.loop.advance(1.0)
    tree.cpu  # noqa: B018
    assert tree.sampler.paused("web") == "stopped"
    tree.set(10, cpu=5.01)
    tree.cpu  # noqa: B018
    assert tree.sampler.paused("web") is None


def test_a_process_that_is_stopped_and_goes_on_has_run() -> None:
    """The sampler relies on it."""
    process = subprocess.Popen(["sleep", "600"])
    before = usage.cpu_clock(process.pid)
    try:
        while not procfs.executable(process.pid).endswith(("sleep", "coreutils", "busybox")):
            os.sched_yield()
        for number, state in ((signal.SIGSTOP, "T"), (signal.SIGCONT, "S"), (signal.SIGSTOP, "T")):
            while (last := usage.cpu_clock(process.pid)) != before:  # until it sleeps
                before = last
            process.send_signal(number)
            while (stat := procfs.stat(process.pid)) is None or stat.state != state:
                os.sched_yield()
            assert usage.cpu_clock(process.pid) != before
    finally:
        process.kill()
        process.wait()
    assert usage.cpu_clock(process.pid) is None


def test_an_instance_without_a_process_is_left_out(tree: Tree) -> None:
    assert tree.sampler.read_now(["web"]) == {}


# -- the real thing --------------------------------------------------------------------------------------------------


@pytest.fixture
def busy() -> Iterator[subprocess.Popen[bytes]]:
    """A process that holds 64 MiB and turns as fast as it can."""
    script = "x = bytearray(64 << 20); x[::4096] = b'1' * len(x[::4096]); print(flush=True)\nwhile True: pass"
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == b"\n"
    yield process
    process.kill()
    process.communicate()


def test_a_busy_process(busy: subprocess.Popen[bytes]) -> None:
    loop = EventLoop()
    sampler = Sampler(loop, lambda _: [busy.pid], lambda *_: None)
    samples: list[Any] = []
    release = sampler.hold(0.3, lambda: samples.append(sampler.read_now(["web"])["web"]))
    run_until(loop, lambda: samples and samples[-1].cpu_percent > 0, timeout=60)
    release()
    loop.close()
    assert 64 * MIB < samples[-1].memory_bytes < 128 * MIB


def test_the_rows_of_a_tree(busy: subprocess.Popen[bytes]) -> None:
    loop = EventLoop()
    sampler = Sampler(loop, lambda _: [], lambda *_: None)
    (row,) = sampler.tree([busy.pid, 0, 1 << 30])
    loop.close()
    assert row["pid"] == busy.pid and row["ppid"] == os.getpid() and row["threads"] == 1
    assert row["command"].startswith(sys.executable)
    assert (row["cpu_percent"] or 0) > 0 and (row["memory_bytes"] or 0) > 64 * MIB


def test_a_cgroups_own_account_is_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = FakeReactor()
    sampler = Sampler(
        loop,  # type: ignore[arg-type]
        lambda _: [os.getpid()],
        lambda *_: None,
        lambda _: str(tmp_path),
    )
    sampler.hold(1.0, lambda: None)
    assert sampler.read_now(["web"])["web"].memory_bytes > MIB, "no controllers: the processes count"
    (tmp_path / "memory.current").write_text("5000000\n")
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 1000000\n")
    (tmp_path / "cpu.stat").write_text("usage_usec 1000000\nuser_usec 1\n")
    sampler._meters.clear()
    assert sampler.read_now(["web"])["web"].memory_bytes == 4_000_000
    loop.advance(2.0)
    (tmp_path / "cpu.stat").write_text("usage_usec 2000000\nuser_usec 1\n")
    assert sampler.read_now(["web"])["web"].cpu_percent == pytest.approx(50.0)


def test_the_host() -> None:
    host = sampling.host()
    assert len(host["load"]) == 3 and host["cpus"] >= 1 and (host["memory_bytes"] or 0) > MIB
    psi = host["psi"]
    assert psi is not None and set(psi) == {"cpu", "memory", "io"}
    assert all(value is None or 0 <= value <= 100 for value in (psi["cpu"], psi["memory"], psi["io"]))


def test_a_host_that_tells_no_pressure(monkeypatch: pytest.MonkeyPatch) -> None:
    read = procfs.read
    monkeypatch.setattr(procfs, "read", lambda path, *maximum: None if "pressure" in path else read(path, *maximum))
    assert sampling.host()["psi"] == {"cpu": None, "memory": None, "io": None}
