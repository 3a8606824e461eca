"""Process trees of both kinds: processes that try to escape, trees of an earlier daemon, and the kernel's limits."""

from __future__ import annotations

import os
import resource
import select
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.linux import procfs
from supervisor.adapters.processes import cgroup_tree as cgroup
from supervisor.adapters.processes import marks
from supervisor.adapters.processes.cgroup_tree import CgroupTree, kernel_limits
from supervisor.adapters.processes.table import become_subreaper
from supervisor.adapters.processes.trees import Trees
from supervisor.core.model.events import Exited, TreeEmpty
from supervisor.core.model.spec import Enforce, ResourcesSpec
from tests.adapters.processes.test_table import PATIENCE, Bench
from tests.doubles.fakes import run_until

UP = 'echo up > "$UP"'
ID = f"test-{os.getpid()}"
NAME = f"p-{os.getpid()}"
"""Of this process alone: marks of the same id, and directories of the same name, would be found by tests beside it."""
C_PROGRAMS = {
    "vfork": """
        #include <stdio.h>
        #include <stdlib.h>
        #include <unistd.h>
        int main(void) {
            if (vfork() == 0) { FILE *f = fopen(getenv("UP"), "w"); fputs("up\\n", f); fclose(f); for (;;) pause(); }
            for (;;) pause();
        }""",
    # Three hundred in all: each goes on forking while the others are killed.
    "bomb": """
        #include <stdio.h>
        #include <stdlib.h>
        #include <sys/mman.h>
        #include <unistd.h>
        int main(void) {
            int *n = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
            for (;;) {
                usleep(2000);
                int k = __atomic_add_fetch(n, 1, __ATOMIC_SEQ_CST);
                if (k > 300) { for (;;) pause(); }
                if (k == 40) { FILE *f = fopen(getenv("UP"), "w"); fputs("up\\n", f); fclose(f); }
                if (fork() == 0) setsid();
            }
        }""",
}
SHELL = {
    "ignores SIGTERM": f"trap '' TERM HUP INT; (while :; do sleep 1000; done) & {UP}; while :; do sleep 1000; done",
    "sessions of their own": f"setsid sleep 1000 & setsid sh -c 'setsid sleep 1000 & {UP}; wait' & wait",
    "a job of its own": f"set -m; (sleep 1000 & {UP}; wait) & wait",
    "renamed, without its environment": "bash -c 'exec -a kworker/0:1 env -i sleep 1000' & " + UP + "; wait",
    "a stopped child": f"sleep 1000 & kill -STOP $!; {UP}; wait",
    "stopped itself": f"(sleep 0.05; {UP}) & kill -STOP $$",
    "a deep line": f'sh -c "sh -c \'sh -c \\"sleep 1000 & wait\\" & {UP}; wait\' & wait" & wait',
}
DAEMON = """
import os, sys, time
if os.fork(): {parent}
os.setsid()
if os.fork(): os._exit(0)
up = os.environ["UP"]
null = os.open("/dev/null", os.O_RDWR)
for fd in (0, 1, 2): os.dup2(null, fd)
os.execve("/bin/sh", ["[kthreadd]", "-c", "echo up > '" + up + "'; exec sleep 1000"], {env})
"""
PYTHON = {
    "a daemon forked twice": DAEMON.format(parent="os._exit(0)", env="dict(os.environ)"),
    "a daemon forked twice, without environment": DAEMON.format(parent="os._exit(0)", env="{}"),
    "one whose main thread has ended": "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])",
    "the same beside its parent": DAEMON.format(parent="time.sleep(1000)", env="{}"),
}
WITHOUT_MAIN_THREAD = """
import ctypes, os, threading, time
def work():
    while open("/proc/self/stat").read().rpartition(")")[2].split()[0] != "Z": time.sleep(0.001)
    open(os.environ["UP"], "w").write("up\\n")
    time.sleep(1000)
threading.Thread(target=work).start()
ctypes.CDLL(None).pthread_exit(None)
"""
CASES = [*SHELL, *PYTHON, *C_PROGRAMS]


def command(case: str, directory: Path) -> list[str]:
    if case in SHELL:
        return ["bash", "-c", SHELL[case]]
    if case in PYTHON:
        return [sys.executable, "-c", PYTHON[case], WITHOUT_MAIN_THREAD]
    if shutil.which("gcc") is None:
        pytest.skip("needs a C compiler")
    (directory / "program.c").write_text(textwrap.dedent(C_PROGRAMS[case]))
    subprocess.run(["gcc", "-O1", "-o", directory / "program", directory / "program.c"], check=True)
    return [str(directory / "program")]


def survivors(supervisor_id: str, instance: str = "web") -> list[int]:
    """The live processes with the instance's mark, read independently of the code under test."""
    mark = marks.mark_for(supervisor_id, instance)
    bearers = [pid for pid in procfs.pids() if marks.mark_of(pid) == mark]
    return [pid for pid in bearers if (stat := procfs.stat(pid)) is not None and not stat.ended]


EARLIER = """
import ctypes, os, sys
from supervisor.adapters.processes.spawn import Spawner, reset_inherited_state
from supervisor.core.model.spec import ServiceSpec
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # its orphans are to come here, not to the test
if os.fork() == 0:
    reset_inherited_state()
    spec = ServiceSpec(name="web", command=tuple(sys.argv[2:]))
    print(Spawner(os.environ, sys.argv[1], "/notify").spawn(spec, "web", 1, 2), flush=True)
    sys.stdin.readline()
    os.kill(os.getpid(), 9)
os.close(0)
while True:
    try: os.wait()
    except ChildProcessError: break
"""


class Earlier:
    """A daemon that starts `command` as the instance `web`, and dies on `die`.  Its processes get another parent."""

    def __init__(self, supervisor_id: str, command: list[str], up: Path) -> None:
        environment = os.environ | {"UP": str(up), "PYTHONPATH": os.pathsep.join(sys.path)}
        self.process = subprocess.Popen(
            [sys.executable, "-c", EARLIER, supervisor_id, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        assert self.process.stdout is not None
        self.pid = int(self.process.stdout.readline())
        self.start = procfs.start_time(self.pid) or 0

    def die(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def wait(self) -> None:
        self.process.wait(20.0)


@pytest.fixture(params=["cgroup", "descent"])
def bench(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setenv("UP", str(tmp_path / "up"))
    bench = Bench(request.param == "cgroup", tmp_path)
    if request.param == "cgroup" and bench.trees.root is None:
        pytest.skip("no cgroup v2 directory can be made here")
    yield bench
    bench.close()


def gone(bench: Bench) -> Callable[[], bool]:
    def ended() -> bool:
        last = [e for _, e in bench.events if isinstance(e, Exited | TreeEmpty)][-1:]
        return bool(last) and (isinstance(last[0], TreeEmpty) or last[0].tree_empty)

    return ended


@pytest.mark.parametrize("case", CASES)
def test_after_a_kill_nothing_remains(bench: Bench, tmp_path: Path, case: str) -> None:
    bench.spawn(*command(case, tmp_path))
    bench.until_file(tmp_path / "up")
    assert survivors(bench.id)
    bench.processes.kill("web")
    bench.until(gone(bench))
    assert survivors(bench.id) == []


@pytest.mark.parametrize("case", CASES)
def test_what_an_earlier_daemon_left_is_ended_whole(bench: Bench, tmp_path: Path, case: str) -> None:
    earlier = Earlier(bench.id, command(case, tmp_path), tmp_path / "up")
    bench.until_file(tmp_path / "up")
    earlier.die()
    main = (earlier.pid, earlier.start)
    process = bench.processes.adopt("web", 1, main, bench.trees.find("web", main))
    assert process is not None
    before, members = survivors(bench.id), process.tree.members()
    assert set(before) & set(survivors(bench.id)) <= set(members)  # who forked twice may end in between
    assert not process.tree.empty()
    if not process.pid:
        process.tree.when_empty(bench.loop, lambda: bench.events.append(("web", TreeEmpty(1))))
    bench.processes.kill("web")
    bench.until(gone(bench))
    assert survivors(bench.id) == []
    assert process.tree.empty()
    earlier.wait()


def test_an_adopted_tree_is_known_without_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By environment, session and ancestors, where the hard limit was lowered."""
    bench = Bench(False, tmp_path)
    up = f"sleep 1000 & echo up > {tmp_path}/up; wait"
    script = f"(setsid sleep 1000 &); env -i sleep 1000 & (exec env -i setsid sh -c '{up}') & wait"
    monkeypatch.setattr(marks, "mark_of", lambda _pid: None)
    earlier = Earlier(bench.id, ["sh", "-c", script], tmp_path / "up")
    try:
        bench.until_file(tmp_path / "up")
        # In the middle of an exec the kernel shows no environment.
        below = earlier.process.pid
        until(lambda: [procfs.command_line(pid)[:1] for pid in procfs.descendants(below)].count(["sleep"]) == 3)
        earlier.die()
        main = (earlier.pid, earlier.start)
        process = bench.processes.adopt("web", 1, main, bench.trees.find("web", main))
        assert process is not None
        assert len(process.tree.members()) == 5
        assert os.getpid() not in process.tree.members()
        bench.processes.kill("web")
        bench.until(gone(bench))
    finally:
        earlier.die()
        earlier.wait()
        bench.loop.close()
        become_subreaper(False)


def test_a_tree_without_a_main_process_claims_nobody(tmp_path: Path) -> None:
    """Processes from another pid namespace have 0 for a session, which belongs to no instance."""
    bench = Bench(False, tmp_path)
    tree = bench.trees._by_descent("web")
    tree.search_whole_host(None)
    assert tree.members() == []
    assert tree.empty()
    assert not [pid for pid in procfs.pids() if tree.belongs(pid)]
    bench.loop.close()
    become_subreaper(False)


def test_a_session_of_another_process_of_that_number_is_not_ours(tmp_path: Path) -> None:
    bench = Bench(False, tmp_path)
    other = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    try:
        tree = bench.trees.find("web", (other.pid, (procfs.start_time(other.pid) or 0) - 1))
        assert tree.members() == []
        assert not tree.belongs(other.pid)
    finally:
        other.kill()
        other.wait()
        bench.loop.close()
        become_subreaper(False)


def test_the_number_is_taken_off_by_us_and_borne_by_children(tmp_path: Path) -> None:
    before = resource.getrlimit(10)
    with marks.inherited_by_children(4711):
        child = subprocess.Popen(["setsid", "env", "-i", "sleep", "1000"])
    try:
        assert resource.getrlimit(10) == before
        assert marks.mark_of(child.pid) == 4711
        resource.setrlimit(10, (5, before[1]))
        marks.clear_own_mark()
        assert resource.getrlimit(10) == (before[1], before[1])
    finally:
        child.kill()
        child.wait()
    assert marks.mark_for("a", "b") != marks.mark_for("a", "c") != marks.mark_for("b", "c")
    assert marks.mark_for("a", "b") == marks.mark_for("a", "b")


# -- where trees are -------------------------------------------------------------------------------------------------


@pytest.fixture
def places(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Two cgroups in which two daemons could run."""
    mount = cgroup.mount_point()
    if mount is None or not os.access(mount, os.W_OK):
        pytest.skip("no cgroup v2 directory can be made here")
    made = [f"{mount}/phi-test-place-{os.getpid()}-{n}" for n in (1, 2)]
    for path in made:
        Path(path).mkdir()
    yield made[0], made[1]
    for path in made:
        cgroup.remove(path)


def until(condition: Callable[[], bool]) -> None:
    late = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < late
        time.sleep(0.001)


def planted(place: str, name: str = "web") -> tuple[Trees, subprocess.Popen[bytes], CgroupTree]:
    trees = Trees(NAME, ID, (), parent=place)
    child = subprocess.Popen(["sh", "-c", "sleep 1000 & echo up; wait"], stdout=subprocess.PIPE, start_new_session=True)
    assert child.stdout is not None
    child.stdout.readline()
    tree = trees.create(name)
    assert isinstance(tree, CgroupTree)
    tree.join(child.pid)
    return trees, child, tree


def test_an_adopted_tree_stays_where_its_daemon_put_it(places: tuple[str, str]) -> None:
    _, child, tree = planted(places[0])
    later = Trees(NAME, ID, (), parent=places[1])
    assert later.root != str(Path(tree.path).parent)
    found = later.find("web", (child.pid, procfs.start_time(child.pid) or 0))
    assert isinstance(found, CgroupTree)
    assert (found.path, len(found.members())) == (tree.path, 2)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    zombies = later.find("web", (child.pid, procfs.start_time(child.pid) or 0))
    assert isinstance(zombies, CgroupTree)
    assert zombies.path == tree.path
    child.wait()
    left = later.find("web", (child.pid, 1))
    assert isinstance(left, CgroupTree)
    assert (left.path, len(left.members())) == (tree.path, 1), "its main process is gone, and it is found all the same"
    left.kill()
    until(left.empty)
    left.close()
    assert not Path(tree.path).exists(), "nobody will need that place again"
    later.close()


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_tree_that_empties_while_it_is_looked_at_is_noticed(
    places: tuple[str, str], monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """Between a look and its acknowledgement the last word is not to be lost."""
    trees, child, tree = planted(places[0])
    loop = EventLoop()
    told: list[bool] = []

    def end() -> None:
        """Until the kernel has told it, too."""
        with open(f"{tree.path}/cgroup.events", "rb", buffering=0) as events:
            poll = select.poll()
            poll.register(events, select.POLLPRI)
            events.read(256)
            tree.kill()
            while True:
                poll.poll(PATIENCE * 1e3)
                events.seek(0)
                if b"populated 0" in events.read(256):
                    return

    def pread(fd: int, count: int, offset: int, read: Callable[[int, int, int], bytes] = os.pread) -> bytes:
        monkeypatch.undo()
        if when == "before":
            end()
        said = read(fd, count, offset)
        if when == "after":
            end()
        return said

    monkeypatch.setattr(os, "pread", pread)
    tree.when_empty(loop, lambda: told.append(True))
    run_until(loop, lambda: told)
    assert told == [True]
    child.wait()
    tree.close()
    trees.close()
    loop.close()


def test_who_fled_before_its_main_process_was_put_into_a_cgroup_is_put_there_too(places: tuple[str, str]) -> None:
    """A daemon that is killed in the middle of that leaves half of a tree outside."""
    script = 'setsid sh -c "exec sleep 1000 >/dev/null" & echo $!; exec sleep 1000'
    with marks.inherited_by_children(marks.mark_for(ID, "web")):
        child = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True)
    assert child.stdout is not None
    fled = int(child.stdout.readline())
    tree = Trees(NAME, ID, (), parent=places[0]).create("web")
    assert isinstance(tree, CgroupTree)
    cgroup.write(f"{tree.path}/cgroup.procs", str(child.pid))
    assert tree.members() == [child.pid]
    found = Trees(NAME, ID, (), parent=places[0]).find("web", (child.pid, procfs.start_time(child.pid) or 0))
    assert set(found.members()) >= {child.pid, fled}
    found.kill()
    child.wait()
    until(found.empty)


def test_somebody_elses_cgroup_is_not_taken_for_ours(places: tuple[str, str]) -> None:
    """The cgroup of another supervisor: a new tree is made in the daemon's own place."""
    _, child, tree = planted(places[0])
    later = Trees(f"q-{NAME}", ID, (), parent=places[1])
    found = later.find("web", (child.pid, procfs.start_time(child.pid) or 0))
    assert isinstance(found, CgroupTree)
    assert found.path == f"{places[1]}/phi-q-{NAME}/web"
    found.kill()
    child.wait()
    until(lambda: found.empty() and tree.empty())


def test_a_main_process_in_a_cgroup_of_its_own_making_is_found(places: tuple[str, str]) -> None:
    _, child, tree = planted(places[0])
    below = Path(tree.path) / "its-own"
    below.mkdir()
    (below / "cgroup.procs").write_text(str(child.pid))
    found = Trees(NAME, ID, (), parent=places[0]).find("web", (child.pid, procfs.start_time(child.pid) or 0))
    assert isinstance(found, CgroupTree)
    assert found.path == tree.path
    found.join(child.pid)
    assert procfs.cgroup_of(child.pid) == f"{tree.path[len(cgroup.mount_point() or '') :]}/its-own", "and left there"
    found.kill()
    child.wait()
    until(found.empty)


# -- what the kernel is told -----------------------------------------------------------------------------------------

BOTH = ResourcesSpec(max_memory=1 << 20, max_cpu=1.5, max_tasks=7)


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        (None, ("max", "max", "0", "max 100000")),
        (BOTH, ("7", "max", "0", "max 100000")),
        (ResourcesSpec(max_memory=1 << 20, enforce=Enforce.KERNEL), ("max", "1048576", "1", "max 100000")),
        (ResourcesSpec(max_cpu=0.25, enforce=Enforce.KERNEL), ("max", "max", "0", "25000 100000")),
    ],
)
def test_limits_as_the_kernel_reads_them(resources: ResourcesSpec | None, expected: tuple[str, ...]) -> None:
    assert tuple(kernel_limits(resources).values()) == expected


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Plain files, named as those of a cgroup to which controllers are delegated."""
    root = tmp_path / "unit" / f"phi-{NAME}"
    (root / "web").mkdir(parents=True)
    for directory in (root.parent, root):
        (directory / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
        (directory / "cgroup.subtree_control").write_text("")
        (directory / "cgroup.procs").write_text("")
    for name in ("pids.max", "memory.max", "memory.oom.group", "cpu.max", "memory.current"):
        (root / "web" / name).write_text("")
    monkeypatch.setattr(cgroup, "mount_point", lambda: str(tmp_path))
    return root


def test_controllers_are_enabled_and_limits_written(fake: Path) -> None:
    trees = Trees(NAME, ID, (), parent=str(fake.parent))
    assert trees.controllers == {"pids", "memory", "cpu"}
    assert (fake.parent / "cgroup.subtree_control").read_text().startswith("+")
    hard = ResourcesSpec(max_memory=1 << 20, max_cpu=1.5, max_tasks=7, enforce=Enforce.KERNEL)
    assert trees.create("web", hard).accounts == str(fake / "web")
    read = {name: (fake / "web" / name).read_text() for name in kernel_limits(hard)}
    assert read == {"pids.max": "7", "memory.max": "1048576", "memory.oom.group": "1", "cpu.max": "150000 100000"}


def test_what_is_not_delegated_is_left_alone(fake: Path) -> None:
    (fake / "cgroup.controllers").write_text("pids\n")
    trees = Trees(NAME, ID, (), parent=str(fake.parent))
    assert trees.controllers == {"pids"}
    assert trees.create("web", BOTH).accounts is None
    assert (fake / "web" / "memory.max").read_text() == ""
    assert (fake / "web" / "pids.max").read_text() == "7"


def test_a_delegated_cgroup_above_ours_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """systemd's DelegateSubgroup= puts us into a leaf, so that the one above has no processes of its own."""
    (tmp_path / "x.service" / "main").mkdir(parents=True)
    monkeypatch.setattr(procfs, "cgroup_of", lambda _pid: "/x.service/main")
    monkeypatch.setattr(os, "getxattr", lambda path, _name: b"1" if path.endswith("x.service") else b"0")
    assert cgroup.own_directory(str(tmp_path)) == f"{tmp_path}/x.service"
    monkeypatch.setattr(os, "getxattr", lambda _path, _name: b"0")
    assert cgroup.own_directory(str(tmp_path)) == f"{tmp_path}/x.service/main"
    monkeypatch.setattr(procfs, "cgroup_of", lambda _pid: "/")
    assert cgroup.own_directory(str(tmp_path)) == str(tmp_path)


def test_real_cgroups_without_controllers_do_as_well(places: tuple[str, str]) -> None:
    trees = Trees(NAME, ID, (), parent=places[0])
    assert trees.root is not None
    offered = Path(places[0], "cgroup.controllers").read_text().split()
    assert trees.controllers <= set(offered)
    tree = trees.create("web", BOTH)
    assert tree.empty()
    trees.close()
    assert not Path(trees.root).exists()
