"""Processes that leave their cgroup, never get into it, or are held by it; all of them end with their tree."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.adapters.linux import procfs
from supervisor.adapters.processes import cgroup_migration
from supervisor.adapters.processes import cgroup_tree as cgroup
from supervisor.adapters.processes.blocked import paused, why_it_stays
from supervisor.adapters.processes.cgroup_tree import CgroupTree
from supervisor.core.model.events import Exited, TreeEmpty
from tests.adapters.processes.test_table import Bench


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setenv("UP", str(tmp_path / "up"))
    bench = Bench(True, tmp_path)
    if bench.trees.root is None:
        pytest.skip("no cgroup v2 directory can be made here")
    yield bench
    bench.close()


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """A cgroup beside the daemon's."""
    mount = cgroup.mount_point()
    if mount is None or not os.access(mount, os.W_OK):
        pytest.skip("no cgroup v2 directory can be made here")
    made = Path(mount) / f"phi-test-elsewhere-{os.getpid()}"
    made.mkdir()
    yield made
    cgroup.remove(str(made))


def tree_of(bench: Bench) -> CgroupTree:
    tree = bench.processes.by_instance["web"].tree
    assert isinstance(tree, CgroupTree)
    return tree


def settled(bench: Bench) -> CgroupTree:
    bench.until(lambda: bench.processes.by_instance["web"].settled)
    return tree_of(bench)


def seen(bench: Bench, path: Path, text: str) -> None:
    """Turn until a file of the kernel has `text`, which the loop is not told of."""

    def there() -> bool:
        bench.loop.call_at(bench.loop.now() + 0.01, lambda: None)
        return text in path.read_text()

    bench.until(there)


def lives(pid: int) -> bool:
    stat = procfs.stat(pid)
    return stat is not None and not stat.ended


# -- frozen ----------------------------------------------------------------------------------------------------------


def test_a_cgroup_that_is_frozen_is_thawed_before_its_next_use(bench: Bench, tmp_path: Path) -> None:
    bench.spawn("sleep", "1000")
    tree = settled(bench)
    Path(tree.path, "cgroup.freeze").write_text("1")
    bench.processes.kill("web")
    bench.until(lambda: bench.of(Exited))
    assert Path(tree.path, "cgroup.freeze").read_text() == "1\n", "it outlives those that were frozen"
    bench.processes.release("web", 1)
    bench.spawn("sh", "-c", f"echo up > {tmp_path}/up; sleep 1000")
    assert settled(bench).path == tree.path
    bench.until_file(tmp_path / "up")
    seen(bench, Path(tree.path, "cgroup.events"), "frozen 0")


def test_a_frozen_process_hears_its_stop_signal(bench: Bench, tmp_path: Path) -> None:
    bench.spawn("sh", "-c", f"trap 'exit 7' TERM; echo up > {tmp_path}/up; while :; do sleep 1000 & wait; done")
    bench.until_file(tmp_path / "up")
    tree = settled(bench)
    below = Path(tree.path, "below")
    below.mkdir()
    (below / "cgroup.procs").write_text(str(bench.processes.by_instance["web"].pid))
    (below / "cgroup.freeze").write_text("1")
    seen(bench, below / "cgroup.events", "frozen 1")
    bench.processes.deliver("web", signal.SIGTERM)
    bench.until(lambda: bench.of(Exited))
    assert bench.of(Exited)[0].exit_code == 7
    bench.processes.kill("web")


# -- outside ---------------------------------------------------------------------------------------------------------


def test_a_cgroup_that_was_emptied_and_removed_by_hand(bench: Bench, elsewhere: Path, tmp_path: Path) -> None:
    """The old processes are known by their mark; the tree is not empty while they live."""
    bench.spawn("sh", "-c", f"sleep 1000 & echo $! > {tmp_path}/up; wait")
    child = int(bench.until_file(tmp_path / "up"))
    tree = settled(bench)
    for pid in tree.members():
        (elsewhere / "cgroup.procs").write_text(str(pid))
    Path(tree.path).rmdir()
    assert child in tree.members()
    assert tree.belongs(child)
    os.kill(bench.processes.by_instance["web"].pid, signal.SIGKILL)
    bench.until(lambda: bench.of(Exited))
    assert bench.of(Exited)[0].tree_empty is False
    assert any(str(child) in line for line in bench.processes.describe(bench.processes.by_instance["web"]))
    bench.processes.deliver("web", signal.SIGTERM, tree=True)
    bench.until(lambda: bench.of(TreeEmpty))
    assert not lives(child)


def test_the_directory_of_all_is_made_again_where_it_was_removed(bench: Bench) -> None:
    root = bench.trees.root
    assert root is not None
    Path(root).rmdir()
    bench.spawn("sleep", "1000")
    assert settled(bench).members() == [bench.processes.by_instance["web"].pid]


@pytest.mark.parametrize("order", ["stop", "kill"])
def test_a_process_that_moves_itself_into_another_cgroup_ends_too(
    bench: Bench, elsewhere: Path, tmp_path: Path, order: str
) -> None:
    flee = f"echo 0 > {elsewhere}/cgroup.procs; echo $$ > {tmp_path}/up; exec sleep 1000"
    bench.spawn("sh", "-c", f"while [ ! -e {tmp_path}/go ]; do sleep 0.01; done; setsid sh -c '{flee}' & wait")
    settled(bench)
    (tmp_path / "go").touch()
    fled = int(bench.until_file(tmp_path / "up"))
    assert procfs.cgroup_of(fled) == f"/{elsewhere.name}"
    if order == "stop":
        bench.processes.deliver("web", signal.SIGTERM)
        bench.until(lambda: bench.of(Exited))
        assert bench.of(Exited)[0].tree_empty is False
        assert lives(fled)
        bench.processes.deliver("web", signal.SIGTERM, tree=True)
    else:
        bench.processes.kill("web")
    bench.until(lambda: tree_of(bench).empty())
    assert not lives(fled)


ESCAPE = """
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
int main(int argc, char **argv) {
    char up[4096];
    strcpy(up, getenv("UP"));
    if (fork() == 0) {
        struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};
        setrlimit(RLIMIT_LOCKS, &none);
        setsid();
        if (fork()) _exit(0);
        setsid();
        FILE *file = fopen(up, "w");
        fprintf(file, "%d\\n", getpid());
        fclose(file);
        char *const sleeper[] = {"sleep", "1000", 0}, *const nothing[] = {0};
        execve("/bin/sleep", sleeper, nothing);
    }
    for (;;) pause();
}
"""


@pytest.mark.parametrize("main", ["lives", "ends"])
def test_a_process_without_any_mark_is_in_its_cgroup(bench: Bench, tmp_path: Path, main: str) -> None:
    """It sets RLIMIT_LOCKS, clears its environment, leaves its session and loses its parent before it was moved."""
    if shutil.which("gcc") is None:
        pytest.skip("needs a C compiler")
    source = textwrap.dedent(ESCAPE) if main == "lives" else ESCAPE.replace("for (;;) pause();", "return 0;")
    (tmp_path / "program.c").write_text(source)
    subprocess.run(["gcc", "-O1", "-o", tmp_path / "program", tmp_path / "program.c"], check=True)
    pid = bench.spawn(str(tmp_path / "program"))
    while not (tmp_path / "up").exists() or not (tmp_path / "up").read_text().endswith("\n"):
        os.sched_yield()  # the loop does not turn, so the move has not begun
    fled = int((tmp_path / "up").read_text())
    while procfs.environment_values(fled, "SUPERVISOR_ID") != (None,) or procfs.command_line(fled)[:1] != ["sleep"]:
        os.sched_yield()
    while (stat := procfs.stat(fled)) is not None and stat.ppid != os.getpid():
        os.sched_yield()  # the process between has not ended
    if main == "lives":
        settled(bench)
        assert set(tree_of(bench).members()) == {pid, fled}
        bench.processes.kill("web")
        bench.until(lambda: bench.of(Exited))
    else:
        bench.until(lambda: bench.of(Exited))
        assert bench.of(Exited)[0].tree_empty is False
        bench.processes.deliver("web", signal.SIGTERM, tree=True)
    bench.until(lambda: tree_of(bench).empty())
    assert not lives(fled)


def test_a_process_is_moved_however_often_others_are_spawned(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup_migration, "JOIN_AFTER", 1000.0)  # a neighbour is always spawned again before that
    bench.spawn("sleep", "1000")
    bench.until(lambda: bench.processes.by_instance["web"].settled)
    assert tree_of(bench).members() == [bench.processes.by_instance["web"].pid]


# -- what remains ----------------------------------------------------------------------------------------------------


def test_threads_of_the_kernel_are_no_remains(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    stat = procfs.stat(2)
    if stat is None or not stat.kernel_thread:
        pytest.skip("the kernel's threads are not seen here")
    pid = bench.spawn("sleep", "1000")
    process = bench.processes.by_instance["web"]
    tree = settled(bench)
    monkeypatch.setattr(CgroupTree, "_inside", lambda _self: [2])
    assert [line.split()[0] for line in bench.processes.describe(process)] == [str(pid)]
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    monkeypatch.setattr(cgroup, "populated", lambda _path: True)
    assert tree.empty()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_process_that_may_not_be_signalled_is_named_so() -> None:
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.setuid(65534)
        os.write(writer, why_it_stays(1).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 100) == b", not permitted to signal it"
    os.close(reader)
    os.close(writer)
    assert why_it_stays(os.getpid()) == ""
    assert why_it_stays(2**22 + 1) == ""


def test_a_stopped_and_a_traced_process_are_told_apart_from_others() -> None:
    with subprocess.Popen(["sleep", "1000"]) as process:
        assert paused(process.pid) is None
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
        assert paused(process.pid) == "stopped (SIGSTOP)"
        process.kill()
    assert paused(process.pid) is None


def test_whether_a_cgroup_has_members_is_read_by_one_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read between the end of a process and its restart."""
    (tmp_path / "cgroup.events").write_text("populated 1\nfrozen 0\n")
    reads: list[int] = []
    real = os.read
    with monkeypatch.context() as patch:
        patch.setattr(os, "read", lambda fd, size: (reads.append(size), real(fd, size))[1])
        assert cgroup.populated(str(tmp_path))
    assert len(reads) == 1
