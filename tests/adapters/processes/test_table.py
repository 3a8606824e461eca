"""Real processes: spawned, watched, signalled and ended as whole trees; with cgroups where available, and without."""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.linux import procfs
from supervisor.adapters.linux.pidfd import child_status, foreign_status
from supervisor.adapters.processes import cgroup_migration, look_pace, marks, own_children, table
from supervisor.adapters.processes.cgroup_tree import CgroupTree
from supervisor.adapters.processes.descendant_tree import DescendantTree, ProcessScan
from supervisor.adapters.processes.spawn import Spawner, raise_descriptor_limit, reset_inherited_state
from supervisor.adapters.processes.table import ProcessTable, become_subreaper
from supervisor.adapters.processes.trees import Trees
from supervisor.core.model.events import Event, Exited, KillIncomplete, MainPid, TreeEmpty
from supervisor.core.model.spec import ServiceSpec

PATIENCE = 60.0


class Bench:
    """An event loop with processes on it, and all events that they caused."""

    def __init__(self, cgroups: bool, tmp_path: Path) -> None:
        reset_inherited_state()
        self.loop = EventLoop()
        self.events: list[tuple[str, Event]] = []
        self.id = os.urandom(8).hex()
        self.before_exit: list[tuple[str, bool, int]] = []
        self.processes = ProcessTable(self.loop, lambda n, e: self.events.append((n, e)), self.take_output, self.id)
        self.trees = Trees(f"test-{self.id}", self.id, self.processes.mains, cgroups=cgroups)
        self.spawner = Spawner({**os.environ, "NOTIFY_SOCKET": "/theirs"}, self.id, "/notify")
        self.tmp_path = tmp_path
        self.output = tmp_path / "output"
        self.count = 0

    def spawn(self, *command: str, name: str = "web", **keys: Any) -> int:
        self.count += 1
        fd = os.open(self.output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            pid = self.spawner.spawn(ServiceSpec(name=name, command=command, **keys), name, self.count, fd)
        finally:
            os.close(fd)
        self.processes.take(name, self.count, pid, self.trees)
        return pid

    def take_output(self, name: str, tree_empty: bool) -> None:
        self.before_exit.append((name, tree_empty, len(self.events)))

    def until(self, condition: Callable[[], Any]) -> None:
        """Turn the loop until `condition` holds."""
        failed = []
        alarm = self.loop.call_at(self.loop.now() + PATIENCE, lambda: failed.append(True))
        while not condition():
            self.loop.turn()
            assert not failed, f"never came: {self.events}"
        alarm.cancel()

    def until_file(self, path: Path) -> str:
        """Turn until a child has written a whole line to `path` (looked at whenever something happens, and each 10 ms:
        a file tells nobody)."""

        def there() -> bool:
            self.loop.call_at(self.loop.now() + 0.01, lambda: None)
            return path.exists() and path.read_text().endswith("\n")

        self.until(there)
        return path.read_text()

    def close(self) -> None:
        """Kill all that was spawned, and leave nothing open."""
        for name in list(self.processes.by_instance):
            self.processes.kill(name)
        self.until(lambda: all(p.tree.empty() for p in self.processes.by_instance.values()))
        for process in list(self.processes.by_instance.values()):
            self.processes.release(process.instance, process.incarnation)
        self.trees.close()
        self.loop.close()
        become_subreaper(False)

    def of(self, kind: type[Event]) -> list[Any]:
        return [e for _, e in self.events if isinstance(e, kind)]


@pytest.fixture(params=["cgroup", "descent"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(request.param == "cgroup", tmp_path)
    if request.param == "cgroup" and bench.trees.root is None:
        pytest.skip("no cgroup v2 directory can be made here")
    yield bench
    bench.close()


def test_a_start_reads_little_of_proc(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The start of a thousand services costs as much as what is read for each of them."""
    paths: list[str] = []
    for name in ("open", "listdir", "readlink"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda path, *a, r=real, **k: (paths.append(str(path)), r(path, *a, **k))[1])
    monkeypatch.setattr(table, "KNOWN_AFTER", 0.0)
    pid = bench.spawn("sleep", "1000")
    process = bench.processes.by_instance["web"]
    bench.until(lambda: process.program and process.settled)
    assert process.start is not None, "as the record of its start has it"
    monkeypatch.undo()
    assert process.start == procfs.start_time(pid)
    moved = isinstance(process.tree, CgroupTree)
    assert sorted(path.removeprefix(f"/proc/{pid}/") for path in paths if path.startswith(f"/proc/{pid}/")) == [
        "exe", "stat", *([f"task/{pid}/children"] if moved else []),
    ]  # fmt: skip
    asked = [path.rpartition("/")[2] for path in paths if f"test-{bench.id}/web/cgroup." in path]
    assert asked == ["cgroup.procs"] * moved, "a cgroup that was just made is not frozen"


def test_what_cannot_be_watched_does_not_run(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a second one is started beside it a moment later."""

    def refused(pid: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    child = subprocess.Popen(["sleep", "1000"])
    with monkeypatch.context() as patch, pytest.raises(OSError, match="Too many open files"):
        patch.setattr(os, "pidfd_open", refused)
        bench.processes.take("web", 1, child.pid, bench.trees)
    assert not bench.processes.by_instance and not bench.processes.mains
    assert child.wait(PATIENCE) == -signal.SIGKILL


def test_spawns_in_a_row_do_not_wait_until_the_kernel_tells_of_each(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does so once a process has executed its program and closed what it inherited: milliseconds with thousands.

    What tells a process from others is read before it is reaped, at the latest: its pid may be another's then."""
    read: list[int] = []
    stat = procfs.stat
    monkeypatch.setattr(procfs, "stat", lambda pid: (read.append(pid), stat(pid))[1])
    pids = [bench.spawn("sleep", "0", name=f"web{n}") for n in range(3)]
    processes = list(bench.processes.by_instance.values())
    assert not set(pids) & set(read)
    started = [procfs.start_time(pid) for pid in pids]
    bench.until(lambda: len(bench.of(Exited)) == len(pids))
    assert [process.start for process in processes] == started


def test_the_end_of_many_takes_few_looks_at_all_children(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look takes as long as the daemon has children, so that one for each would take as long as their square."""
    looks: list[int] = []
    children, others = procfs.children, set(procfs.children(os.getpid()))  # of other tests

    def look(pid: int) -> list[int]:
        looks.append(pid)
        return [child for child in children(pid) if child not in others]

    monkeypatch.setattr(procfs, "children", look)
    monkeypatch.setattr(own_children, "RECENT", PATIENCE)
    pids = {f"web{n}": bench.spawn("sleep", "1000", name=f"web{n}") for n in range(8)}
    bench.until(lambda: all(process.settled for process in bench.processes.by_instance.values()))
    looks.clear()
    for name in pids:
        bench.processes.deliver(name, signal.SIGTERM)
    assert looks.count(os.getpid()) <= 1
    for pid in pids.values():
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    looks.clear()
    bench.until(lambda: len(bench.of(Exited)) == len(pids))
    assert looks.count(os.getpid()) == 1, "what is left stays among the children until it is reaped: one look sees it"
    assert all(exited.tree_empty for exited in bench.of(Exited))


def test_a_stop_looks_only_at_what_goes_on_after_it(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is stopped besides the main process is let go on a moment later.  What has ended by then costs no look."""
    deaf = f"trap '' TERM; echo up > {tmp_path}/up; while :; do sleep 1000; done"
    pids = {"web": bench.spawn("sleep", "1000"), "deaf": bench.spawn("sh", "-c", deaf, name="deaf")}
    bench.until(lambda: all(process.settled for process in bench.processes.by_instance.values()))
    bench.until_file(tmp_path / "up")
    for process in bench.processes.by_instance.values():
        process.identify()
    paths: list[str] = []
    real = os.open
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", lambda path, *a, **k: (paths.append(str(path)), real(path, *a, **k))[1])
        for name in pids:
            bench.processes.deliver(name, signal.SIGTERM)
        assert paths == []
        bench.until(lambda: bool(bench.of(Exited)))
        bench.processes.release("web", 1)
        bench.until(lambda: f"/proc/{pids['deaf']}/stat" in paths)
    assert paths.count(f"/proc/{pids['deaf']}/stat") == 1, "to see whether it belongs to the tree; it goes on already"
    assert f"/proc/{pids['web']}/stat" not in paths
    bench.processes.kill("deaf")
    bench.until(lambda: len(bench.of(Exited)) == 2)


def test_what_is_stopped_in_the_tree_goes_on_although_the_end_of_its_main_process_waits(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end may be handled late, and another process may take over from the main one."""
    bench.spawn("sh", "-c", f"sleep 1000 & echo $! > {tmp_path}/up; wait")
    child = int(bench.until_file(tmp_path / "up"))
    bench.until(lambda: bench.processes.by_instance["web"].settled)
    os.kill(child, signal.SIGSTOP)
    while _state(child) != "T":
        os.sched_yield()
    handles: list[Callable[[], None]] = []
    with monkeypatch.context() as patch:
        patch.setattr(bench.processes, "_handle_exits", lambda: handles.append(bench.processes._all_exited))
        bench.processes.deliver("web", signal.SIGTERM)
        bench.until(lambda: handles)
        monkeypatch.setattr(table, "RESUME_AFTER", 0.0)
        bench.processes._resume()
    handles[0]()
    assert not bench.of(Exited)[0].tree_empty
    bench.processes._resume()
    bench.until(lambda: _state(child) != "T")
    bench.processes.kill("web")
    bench.until(lambda: bench.of(TreeEmpty))


def test_a_stopped_process_that_takes_over_from_the_main_one_goes_on(bench: Bench, tmp_path: Path) -> None:
    """Only the former main process went on at once."""
    script = "trap 'exit 0' TERM; sleep 1000 & echo $! > %s/up; while :; do sleep 0.01; done"
    bench.spawn("sh", "-c", script % tmp_path)
    child = int(bench.until_file(tmp_path / "up"))
    process = bench.processes.by_instance["web"]
    bench.until(lambda: process.settled)
    os.kill(child, signal.SIGSTOP)
    while _state(child) != "T":
        os.sched_yield()
    bench.processes.deliver("web", signal.SIGTERM)
    assert bench.processes.set_main("web", child)
    bench.until(lambda: _state(child) != "T")
    bench.processes.kill("web")
    bench.until(lambda: bench.of(Exited))


def test_a_look_at_what_is_stopped_waits_while_others_end(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many ends that follow each other take longer than one; nobody waits for them for ever."""
    bench.spawn("sh", "-c", "trap '' TERM; while :; do sleep 1000; done")
    looked: list[int] = []
    monkeypatch.setattr(
        type(bench.processes.by_instance["web"].tree), "resume", lambda _tree, main=0: looked.append(main)
    )
    bench.processes.deliver("web", signal.SIGTERM)
    monkeypatch.setattr(bench.processes, "_last_end", bench.loop.now() + PATIENCE)
    monkeypatch.setattr(table, "RESUME_AFTER", 0.0)
    bench.processes._resume()
    assert looked == []
    monkeypatch.setattr(table, "RESUME_WITHIN", 0.0)
    bench.processes._resume()
    assert looked == [bench.processes.by_instance["web"].pid]
    bench.processes._resume()
    assert len(looked) == 1
    monkeypatch.undo()


def test_members_of_many_that_have_ended_are_known_by_one_look(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The status of many that were just stopped, and are not reaped yet."""
    pids = {f"web{n}": bench.spawn("sleep", "1000", name=f"web{n}") for n in range(4)}
    bench.until(lambda: all(process.settled for process in bench.processes.by_instance.values()))
    for pid in pids.values():
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    looks: list[int] = []
    children = procfs.children
    with monkeypatch.context() as patch:
        patch.setattr(own_children, "RECENT", PATIENCE)
        patch.setattr(procfs, "children", lambda pid: (looks.append(pid), children(pid))[1])
        if bench.trees.root is not None:
            assert [bench.processes.members(name) for name in pids] == [[]] * 4
            assert looks.count(os.getpid()) <= 1
    bench.until(lambda: len(bench.of(Exited)) == 4)


def test_cgroups_without_others_below_them_are_removed_without_a_look(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    if bench.trees.root is None:
        pytest.skip("without cgroups")
    for name in "abc":
        (Path(bench.trees.root) / name).mkdir()
    (Path(bench.trees.root) / "a" / "below").mkdir()
    listed: list[str] = []
    real = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: (listed.append(Path(path).name), real(path))[1])
    bench.trees.close()
    monkeypatch.undo()
    assert listed == [Path(bench.trees.root).name, "a"]
    assert not Path(bench.trees.root).exists()


def test_what_ends_during_a_pause_is_handled_by_one_look(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """However the ends come, looks take at most a part of the time."""
    pids = {f"web{n}": bench.spawn("sleep", "1000", name=f"web{n}") for n in range(3)}
    bench.until(lambda: all(process.settled for process in bench.processes.by_instance.values()))
    later: list[Callable[[], None]] = []
    looks: list[int] = []
    children, mine = procfs.children, os.getpid()
    with monkeypatch.context() as patch:
        patch.setattr(look_pace, "pause_left", lambda: 1000.0)
        patch.setattr(bench.loop, "call_at", lambda _when, callback: later.append(callback))
        patch.setattr(
            procfs, "children", lambda pid: (looks.append(pid), [p for p in children(pid) if p in pids.values()])[1]
        )
        for pid in pids.values():
            os.kill(pid, signal.SIGKILL)
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
            bench.loop.turn()
        assert bench.of(Exited) == []
        assert all(_is_zombie(pid) for pid in pids.values()), "a daemon that took over now would find how they ended"
        handle = [callback for callback in later if callback == bench.processes._all_exited]
        assert len(handle) == 1
        handle[0]()
    assert [exited.signal for exited in bench.of(Exited)] == [signal.SIGKILL] * 3
    assert looks.count(mine) == 1
    assert not any(procfs.stat(pid) for pid in pids.values())


def test_the_ends_of_many_adopted_processes_take_few_looks_at_proc(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are no descendants of the daemon, so what they leave is looked for in all of /proc, for all at once."""
    names = [f"web{n}" for n in range(8)]
    mother = subprocess.Popen(
        [sys.executable, "-c", _STARTS_MARKED, *(str(marks.mark_for(bench.id, name)) for name in names)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert mother.stdout is not None
    for name in names:
        pid = int(mother.stdout.readline())
        main = (pid, procfs.start_time(pid) or 0)
        assert bench.processes.adopt(name, 5, main, bench.trees.find(name, main)) is not None
    looks: list[int] = []
    pids = procfs.pids
    monkeypatch.setattr(procfs, "pids", lambda: (looks.append(1), pids())[1])
    monkeypatch.setattr(ProcessScan, "GOOD_FOR", PATIENCE)
    for name in names:
        bench.processes.deliver(name, signal.SIGTERM)
    assert len(looks) <= 1
    mother.wait()
    looks.clear()
    bench.until(lambda: len(bench.of(Exited)) == len(names))
    assert len(looks) == 2, "the second shows that nothing was hidden from the first"
    assert all(exited.tree_empty for exited in bench.of(Exited))


_STARTS_MARKED = """
import resource, subprocess, sys
hard = resource.getrlimit(10)[1]
started = []
for mark in sys.argv[1:]:
    resource.setrlimit(10, (int(mark), hard))
    started.append(subprocess.Popen(["sleep", "1000"], start_new_session=True))
    print(started[-1].pid, flush=True)
for one in started:
    one.wait()
"""
"""Starts a process with each of these marks, and reaps them all."""


def _state(pid: int) -> str:
    stat = procfs.stat(pid)
    return stat.state if stat is not None else ""


def _is_zombie(pid: int) -> bool:
    stat = procfs.stat(pid)
    return stat is not None and stat.state == "Z"


def test_an_exit_is_seen_with_its_code(bench: Bench) -> None:
    bench.spawn("sh", "-c", "exit 7")
    bench.until(lambda: bench.of(Exited))
    assert bench.of(Exited) == [Exited(1, 7, None, tree_empty=True)]


def test_the_last_output_is_taken_before_an_exit_is_told(bench: Bench) -> None:
    bench.spawn("true")
    bench.until(lambda: bench.of(Exited))
    bench.spawn("sh", "-c", "sleep 1000 & exit 3", name="leaver")
    bench.until(lambda: len(bench.of(Exited)) == 2)
    assert bench.before_exit == [("web", True, 0), ("leaver", False, 1)]


def test_an_exit_waits_for_what_has_to_be_done_before_it(bench: Bench) -> None:
    answers = [True, False, False]
    bench.processes.before_exits = lambda names: names == ["web"] and answers.pop()
    bench.spawn("sh", "-c", "exit 7")
    bench.until(lambda: bench.of(Exited))
    assert not answers


def test_an_exit_is_seen_with_its_signal(bench: Bench) -> None:
    bench.spawn("sleep", "1000")
    bench.processes.signal("web", signal.SIGTERM)
    bench.until(lambda: bench.of(Exited))
    assert bench.of(Exited) == [Exited(1, None, signal.SIGTERM, tree_empty=True)]


def test_the_kind_of_tree_is_what_was_asked_for(bench: Bench) -> None:
    bench.spawn("sleep", "1000")
    tree = bench.processes.by_instance["web"].tree
    assert isinstance(tree, CgroupTree if bench.trees.kind == "cgroup" else DescendantTree)


def test_a_tree_is_torn_down_whole(bench: Bench, tmp_path: Path) -> None:
    script = f"""
        sleep 1001 &
        setsid sleep 1002 &
        setsid sh -c 'sleep 1003 & sleep 1004 & echo up > {tmp_path}/up; wait' &
        trap '' TERM
        wait; while :; do sleep 1000; done
    """
    bench.spawn("sh", "-c", script)
    bench.until_file(tmp_path / "up")
    bench.until(lambda: not bench.processes._migration.waiting)
    assert len(bench.processes.by_instance["web"].tree.members()) >= 6
    bench.processes.kill("web")
    bench.until(lambda: bench.of(Exited))
    if not bench.of(Exited)[0].tree_empty:
        bench.until(lambda: bench.of(TreeEmpty))
    assert bench.processes.by_instance["web"].tree.members() == []
    assert bench.processes.by_instance["web"].tree.empty()


def test_a_newcomer_is_whole_before_it_is_in_its_cgroup(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is asked, and done, in the moment before it is moved there concerns all of it."""
    monkeypatch.setattr(cgroup_migration, "JOIN_AFTER", 1000.0)
    bench.spawn("sh", "-c", f"sleep 1001 & (trap '' TERM; echo up > {tmp_path}/up; exec sleep 1002) & wait")
    bench.until_file(tmp_path / "up")
    members = bench.processes.members("web")
    assert len(members) == 3
    assert members[0] == bench.processes.by_instance["web"].pid
    assert bench.processes.members("nobody") == []
    bench.processes.signal("web", signal.SIGTERM, tree=True)
    bench.until(lambda: bench.of(Exited))
    assert bench.of(Exited) == [Exited(1, None, signal.SIGTERM, tree_empty=False)]
    bench.until(lambda: len(bench.processes.members("web")) == 1)  # who does not mind SIGTERM
    bench.processes.kill("web")
    bench.until(lambda: bench.of(TreeEmpty))


def test_a_newcomer_is_examined_in_its_cgroup(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup_migration, "JOIN_AFTER", 1000.0)
    pid = bench.spawn("sleep", "1000")
    suspect = bench.processes.with_settled_tree("web")
    assert suspect is not None
    assert suspect.tree.members() == [pid]
    assert bench.processes.with_settled_tree("nobody") is None


def test_what_the_leader_leaves_behind_is_told_and_found(bench: Bench, tmp_path: Path) -> None:
    bench.spawn("sh", "-c", f"(trap '' HUP; echo up > {tmp_path}/up; exec sleep 1000) & exit 3")
    bench.until(lambda: bench.of(Exited))
    bench.until_file(tmp_path / "up")
    assert bench.of(Exited) == [Exited(1, 3, None, tree_empty=False)]
    bench.processes.signal("web", signal.SIGTERM, tree=True)
    bench.until(lambda: bench.of(TreeEmpty))


def test_a_daemon_that_forks_twice_cannot_escape(bench: Bench, tmp_path: Path) -> None:
    daemon = f"""
import os
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
with open({str(tmp_path / "pid")!r}, "w") as f: f.write(f"{{os.getpid()}}\\n")
import signal; signal.pause()
"""
    bench.spawn(sys.executable, "-c", daemon)
    pid = int(bench.until_file(tmp_path / "pid"))
    bench.until(lambda: bench.of(Exited))
    assert not bench.of(Exited)[0].tree_empty
    assert pid in bench.processes.by_instance["web"].tree.members()
    bench.processes.kill("web")
    bench.until(lambda: bench.of(TreeEmpty))
    assert (stat := procfs.stat(pid)) is None or stat.state == "Z"


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs a C compiler for a program that forks at once")
def test_a_program_that_forks_in_its_first_instruction(bench: Bench, tmp_path: Path) -> None:
    source = tmp_path / "quick.c"
    source.write_text(
        """#include <unistd.h>
        #include <stdio.h>
        int main(int c, char **v) {
            if (fork()) _exit(0);
            setsid();
            if (fork()) _exit(0);
            FILE *f = fopen(v[1], "w"); fprintf(f, "%d\\n", getpid()); fclose(f);
            for (;;) pause();
        }"""
    )
    subprocess.run(["gcc", "-O1", "-o", tmp_path / "quick", source], check=True)

    def has_exited(name: str) -> bool:
        return any(n == name and isinstance(e, Exited) for n, e in bench.events)

    for i in range(20):
        name, written = f"quick{i}", tmp_path / f"pid{i}"
        bench.spawn(str(tmp_path / "quick"), str(written), name=name)
        pid = int(bench.until_file(written))
        bench.until(partial(has_exited, name))
        assert pid in bench.processes.by_instance[name].tree.members()
        assert not next(e for n, e in bench.events if n == name and isinstance(e, Exited)).tree_empty


def test_orphans_are_reaped(bench: Bench) -> None:
    bench.spawn("sh", "-c", "(setsid sh -c 'exit 0' &) ; sleep 1000")
    bench.until(lambda: bench.processes.reaped_strangers)
    ours = [p for p in procfs.children(os.getpid()) if p not in bench.processes.mains]
    assert not [p for p in ours if (s := procfs.stat(p)) is not None and s.state == "Z"]


def test_main_process_can_hand_over(bench: Bench, tmp_path: Path) -> None:
    bench.spawn("sh", "-c", f"(echo up > {tmp_path}/up; exec sleep 1000) & wait")
    bench.until_file(tmp_path / "up")
    bench.until(lambda: not bench.processes._migration.waiting)
    tree = bench.processes.by_instance["web"].tree
    child = next(p for p in tree.members() if p != bench.processes.by_instance["web"].pid)
    assert not bench.processes.set_main("web", os.getpid()), "a stranger cannot be made the main process"
    assert bench.processes.set_main("web", child)
    bench.processes.signal("web", signal.SIGKILL)
    bench.until(lambda: bench.of(Exited))
    assert bench.processes.by_instance["web"].pid == child


HANDS_OVER = """
import os, sys, time
if len(sys.argv) > 2:  # the next main process
    print(os.getpid(), file=open(sys.argv[1], "w"), flush=True)
    time.sleep(300)
open(os.path.dirname(sys.argv[1]) + "/go").read()
if os.fork() == 0:
    os.execv(sys.executable, [sys.executable, __file__, sys.argv[1], "next"])
while not os.path.exists(sys.argv[1]) or not open(sys.argv[1]).read().endswith("\\n"):
    time.sleep(0.01)
"""


def test_the_process_that_takes_over_becomes_the_main_one(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supervisor.adapters.processes.table.KNOWN_AFTER", 0.0)
    os.mkfifo(tmp_path / "go")
    script = tmp_path / "hands_over.py"
    script.write_text(HANDS_OVER)
    bench.spawn(sys.executable, str(script), str(tmp_path / "next"))
    process = bench.processes.by_instance["web"]
    bench.until(lambda: process.program is not None)
    (tmp_path / "go").write_text("\n")
    bench.until(lambda: bench.of(MainPid) or bench.of(Exited))
    successor = int((tmp_path / "next").read_text())
    assert bench.events == [("web", MainPid(1, successor))]
    assert bench.processes.by_instance["web"].pid == successor
    bench.processes.signal("web", signal.SIGTERM)
    bench.until(lambda: bench.of(Exited))
    assert bench.of(Exited) == [Exited(1, None, signal.SIGTERM, tree_empty=True)]


@pytest.mark.parametrize("left", ["sleep 300 &", "(while :; do sleep 300; done) &"], ids=["helper", "fork"])
def test_what_is_left_behind_takes_nothing_over(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: str
) -> None:
    monkeypatch.setattr("supervisor.adapters.processes.table.KNOWN_AFTER", 0.0)
    os.mkfifo(tmp_path / "go")
    bench.spawn("sh", "-c", f"{left} read line < {tmp_path}/go")
    process = bench.processes.by_instance["web"]
    bench.until(lambda: process.program is not None)
    (tmp_path / "go").write_text("\n")
    bench.until(lambda: bench.of(Exited))
    assert bench.of(Exited) == [Exited(1, 0, None, tree_empty=False)]


def test_an_adopted_process_is_known_by_its_start_and_its_end_is_seen(bench: Bench) -> None:
    mother = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import subprocess as s; p = s.Popen(['sleep', '1000']); print(p.pid, flush=True); p.wait()",
        ],
        stdout=subprocess.PIPE,
    )
    assert mother.stdout is not None
    pid = int(mother.stdout.readline())
    start = procfs.start_time(pid)
    assert start is not None
    another = (pid, start + 1)
    assert bench.processes.adopt("web", 5, another, bench.trees.find("web", another)) is None, "of the same number"
    assert bench.processes.adopt("web", 5, (pid, start), bench.trees.find("web", (pid, start))) is not None
    bench.processes.signal("web", signal.SIGKILL)
    bench.until(lambda: bench.of(Exited))
    event = bench.of(Exited)[0]
    assert (event.incarnation, event.exit_code) == (5, None)
    assert event.signal in (9, None), "older kernels cannot tell"
    mother.wait()


def test_adopting_what_is_gone_says_so(bench: Bench) -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    assert bench.processes.adopt("web", 1, (child.pid, 1), bench.trees.find("web", (child.pid, 1))) is None


def test_a_survivor_is_named(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.spawn("sleep", "1000")
    process = bench.processes.by_instance["web"]
    bench.until(lambda: not bench.processes._migration.waiting)
    while (stat := procfs.stat(process.pid)) is not None and stat.state != "S":
        os.sched_yield()
    with monkeypatch.context() as patch:
        patch.setattr(type(process.tree), "kill", lambda self: None)
        patch.setattr(signal, "pidfd_send_signal", lambda *_: None)
        bench.processes.kill("web")
        bench.until(lambda: bench.of(KillIncomplete))
    assert bench.of(KillIncomplete)[0].processes == (f"{process.pid} sleep (S)",)


def test_what_a_child_gets(bench: Bench, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "go")
    script = "env; umask; pwd; ulimit -n; ulimit -c; ls /proc/self/fd; cat /proc/self/oom_score_adj; nice"
    bench.spawn(
        "sh",
        "-c",
        f"read line < {tmp_path}/go; {script}",
        environment=(("KEY", "välue"),),
        umask=0o27,
        directory="/",
        limits=(("nofile", 321), ("core", 0)),
        oom_score_adj=500,
        nice=3,
    )
    (tmp_path / "go").write_text("\n")  # some of it is set right after the spawn
    bench.until(lambda: bench.of(Exited))
    lines = bench.output.read_text().splitlines()
    for expected in (
        "KEY=välue",
        "SUPERVISOR_SERVICE=web",
        "SUPERVISOR_INSTANCE=web",
        "SUPERVISOR_INCARNATION=1",
        "0027",
        "/",
        "321",
        "500",
        "3",
    ):
        assert expected in lines
    assert not [line for line in lines if line.startswith("NOTIFY_SOCKET")], "that one is ours"
    after_limits = lines[lines.index("321") + 2 :]
    assert [n for n in after_limits if n.isdigit()][:4] == ["0", "1", "2", "3"], "and 3 is the directory that ls reads"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user(bench: Bench) -> None:
    bench.spawn("sh", "-c", "id -u; id -g; id -G", user=65534, group=65534, extra_groups=(), directory="/")
    bench.until(lambda: bench.of(Exited))
    assert bench.output.read_text().split() == ["65534"] * 3


@pytest.mark.parametrize("command", ["/does/not/exist", "/etc/passwd", "/tmp"])
def test_what_cannot_be_started_says_why(bench: Bench, command: str) -> None:
    with pytest.raises(OSError, match=r"No such file|Permission denied"):
        bench.spawn(command)


def test_descriptor_limit_is_raised_for_us_and_not_for_children(bench: Bench) -> None:
    soft, _ = bench.spawner._nofile
    limit, hard = raise_descriptor_limit()
    assert limit == hard or hard == -1
    bench.spawn("sh", "-c", "ulimit -n")
    bench.until(lambda: bench.of(Exited))
    assert bench.output.read_text().strip() == str(soft)


def test_reset_inherited_state_closes_what_would_be_inherited(bench: Bench) -> None:
    fd = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(fd, True)
    try:
        reset_inherited_state()
        assert not os.get_inheritable(fd)
    finally:
        os.close(fd)


def test_signals_that_are_errors_to_us_are_signals_to_children(bench: Bench) -> None:
    def ignored(status: str) -> int:
        return int(re.findall(r"^SigIgn:\t(\w+)$", status, re.MULTILINE)[0], 16)

    errors = 1 << (signal.SIGPIPE - 1) | 1 << (signal.SIGXFSZ - 1)
    assert ignored(Path("/proc/self/status").read_text()) & errors == errors
    bench.spawn("cat", "/proc/self/status")
    bench.until(lambda: bench.of(Exited))
    of_the_c_library = 1 << 31 | 1 << 32  # glibc's posix_spawn leaves these ignored; it sets them when it needs them
    assert ignored(bench.output.read_text()) & ~of_the_c_library == 0


def test_statuses_of_children_and_of_others() -> None:
    child = subprocess.Popen(["sleep", "1000"])
    fd = os.pidfd_open(child.pid)
    try:
        assert child_status(fd) is None
        assert foreign_status(fd) == (None, None), "it still runs"
        child.kill()
        child.wait()
        with pytest.raises(ChildProcessError):
            child_status(fd)
        assert foreign_status(fd) in ((None, 9), (None, None))
    finally:
        os.close(fd)
