"""The dead-man process against real trees: it kills at the end of a lease, whoever else lives."""

from __future__ import annotations

import errno
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from supervisor.adapters.processes.cgroup_tree import mount_point
from supervisor.cluster import deadman

PATIENCE = 60.0


def now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class DeadMan:
    """The process, and one connection to it."""

    def __init__(self, path: str) -> None:
        self.path = path
        command = [sys.executable, "-I", "-S", str(deadman.__file__), path]
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(f"{path}.notify")
        self.notify.settimeout(PATIENCE)
        self.process = subprocess.Popen(command, env={"NOTIFY_SOCKET": f"{path}.notify"})
        assert self.notify.recv(100) == b"READY=1"
        self.connection = self.connect()

    def connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.settimeout(PATIENCE)
        connection.connect(self.path)
        return connection

    def say(self, text: str, *descriptors: int) -> None:
        socket.send_fds(self.connection, [text.encode()], list(descriptors))

    def hear(self) -> str:
        return self.connection.recv(4096).decode()

    def close(self) -> None:
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()
        self.connection.close()
        self.notify.close()


@pytest.fixture
def dead_man(tmp_path: Path) -> Iterator[DeadMan]:
    found = DeadMan(str(tmp_path / "d.sock"))
    yield found
    found.close()


@pytest.fixture
def marked() -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    """A sleeper with this mark in its environment."""
    started: list[subprocess.Popen[bytes]] = []

    def start(mark: str) -> subprocess.Popen[bytes]:
        name, _, value = mark.partition("=")
        started.append(subprocess.Popen(["/bin/sleep", "600"], env={name: value}))
        environment, deadline = Path(f"/proc/{started[-1].pid}/environ"), time.monotonic() + PATIENCE
        while started[-1].poll() is None and environment.read_bytes() != f"{mark}\0".encode():
            # Popen returns when the descriptors are closed, and the kernel shows the environment only after that.
            assert time.monotonic() < deadline
            os.sched_yield()
        return started[-1]

    yield start
    for one in started:
        one.kill()
        one.wait()


def test_a_tree_is_killed_when_its_lease_is_over(
    dead_man: DeadMan, marked: Callable[[str], subprocess.Popen[bytes]]
) -> None:
    sleeper, other = marked("SUPERVISOR_LEASE=x:7"), marked("SUPERVISOR_LEASE=x:77")
    dead_man.say("beat 600")
    dead_man.say(f"watch beat 7 {now() + 0.3} SUPERVISOR_LEASE=x:7")
    assert dead_man.hear() == "watched beat 7"
    assert dead_man.hear() == "gone beat 7 killed"
    assert sleeper.wait() == -signal.SIGKILL
    assert other.poll() is None, "the mark of another epoch begins with the same digits"


def test_a_renewed_lease_lives_and_a_forgotten_tree_is_told_when_it_has_ended(
    dead_man: DeadMan, marked: Callable[[str], subprocess.Popen[bytes]]
) -> None:
    sleeper = marked("SUPERVISOR_LEASE=x:7")
    dead_man.say("beat 600")
    dead_man.say(f"watch beat 7 {now() + 600} SUPERVISOR_LEASE=x:7")
    assert dead_man.hear() == "watched beat 7"
    dead_man.say(f"renew beat 7 {now() + 700}")
    dead_man.say("forget beat 7")
    dead_man.say("trees")
    assert dead_man.hear() == "watched beat 7", "its process lives"
    assert dead_man.hear() == "told"
    sleeper.kill()
    sleeper.wait()
    assert dead_man.hear() == "gone beat 7 ended"
    dead_man.say("forget beat 7")
    assert dead_man.hear() == "gone beat 7 ended", "what it does not know is gone"


def test_the_daemons_word_is_needed_too(dead_man: DeadMan, marked: Callable[[str], subprocess.Popen[bytes]]) -> None:
    """The agent renews for ever; the daemon has said nothing since its last beat."""
    sleeper = marked("SUPERVISOR_LEASE=x:7")
    dead_man.say("beat 0.4")
    dead_man.say(f"watch beat 7 {now() + 600} SUPERVISOR_LEASE=x:7")
    assert dead_man.hear() == "watched beat 7"
    assert dead_man.hear() == "gone beat 7 killed"
    assert sleeper.wait() == -signal.SIGKILL


def test_a_beat_counts_from_its_sending(dead_man: DeadMan, marked: Callable[[str], subprocess.Popen[bytes]]) -> None:
    """A dead-man that stood still reads it late; the daemon may have died right after it."""
    sleeper = marked("SUPERVISOR_LEASE=x:7")
    dead_man.say(f"beat 600 {now() - 601}")
    dead_man.say(f"watch beat 7 {now() + 600} SUPERVISOR_LEASE=x:7")
    assert [dead_man.hear(), dead_man.hear()] == ["watched beat 7", "gone beat 7 killed"]
    assert sleeper.wait() == -signal.SIGKILL


@pytest.mark.parametrize("size", [1, 65_510, 65_511, 65_512, 65_530, 65_535, 65_536, 65_540, 200_000])
def test_a_mark_is_found_in_a_long_environment(size: int) -> None:
    """It is read in parts; the mark may stand across two of them, and a mark that only begins alike is not found."""
    with subprocess.Popen(
        [sys.executable, "-S", "-c", "import sys; print(flush=True); sys.stdin.read()"],
        env={f"V{n}": "v" * min(100_000, size - n) for n in range(0, size, 100_000)} | {"SUPERVISOR_LEASE": "x:77"},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdin is not None and process.stdout is not None
        process.stdout.readline()
        path = f"/proc/{process.pid}/environ"
        marks = [(mark, f"\0{mark}\0".encode()) for mark in ("SUPERVISOR_LEASE=x:7", "SUPERVISOR_LEASE=x:77")]
        assert [deadman._mark_of(path, [one]) for one in marks] == ["", "SUPERVISOR_LEASE=x:77"]
        assert deadman._mark_of(path, marks) == "SUPERVISOR_LEASE=x:77"


def test_all_control_groups_are_killed_before_a_look_at_the_processes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The look takes time on a busy host, by which the second tree would outlive its lease."""
    man = deadman.DeadMan(str(tmp_path / "d.sock"))
    order: list[str] = []

    class Tree(deadman.Tree):
        def kill(self) -> None:
            super().kill()
            order.append(self.name)

    man.trees = {(name, 7): Tree(name, 7, 0.0, f"M={name}", -1) for name in ("a", "b")}
    monkeypatch.setattr(man, "marked", lambda marks, _: order.append(" ".join(sorted(marks))) or set())
    man.judge(now())
    assert order == ["a", "b", "M=a M=b"]
    man.door.close()


def test_the_end_of_a_killed_tree_is_told_also_after_a_beat_that_came_late(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    man = deadman.DeadMan(str(tmp_path / "d.sock"))
    man.trees = {("a", 7): deadman.Tree("a", 7, 600.0, "M=a", -1)}
    monkeypatch.setattr(man, "marked", lambda *_: {"M=a"})
    told: list[str] = []
    monkeypatch.setattr(man, "tell", told.append)
    man.judge(1.0)
    assert not told, "one of its processes is there"
    man.believed_until = 600.0
    monkeypatch.setattr(man, "marked", lambda *_: set())
    man.judge(2.0)
    assert told == ["gone a 7 killed"]
    man.door.close()


def test_where_descriptors_are_scarce_a_tree_is_not_told_before_it_has_ended(
    dead_man: DeadMan, marked: Callable[[str], subprocess.Popen[bytes]]
) -> None:
    """The processes of one tree are more than the descriptors that the dead-man may open."""
    others = [marked("SUPERVISOR_LEASE=x:7") for _ in range(12)]
    last = marked("SUPERVISOR_LEASE=x:8")
    dead_man.say(f"beat 600 {now()}")
    for name, epoch in (("a", 7), ("b", 8)):
        dead_man.say(f"watch {name} {epoch} {now() + 600} SUPERVISOR_LEASE=x:{epoch}")
        assert dead_man.hear() == f"watched {name} {epoch}"
    used = len(list(Path(f"/proc/{dead_man.process.pid}/fd").iterdir()))
    resource.prlimit(dead_man.process.pid, resource.RLIMIT_NOFILE, (used + 4, used + 4))
    dead_man.say(f"beat 600 {now() - 601}")
    told = ""
    while told != "gone b 8 killed":
        told = dead_man.hear()
    with suppress(OSError):
        assert not Path(f"/proc/{last.pid}/environ").read_bytes(), "it lives"
    assert {sleeper.wait() for sleeper in (*others, last)} == {-signal.SIGKILL}


def test_what_could_not_be_looked_at_is_not_told_to_be_gone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    man = deadman.DeadMan(str(tmp_path / "d.sock"))
    man.trees = {("a", 7): deadman.Tree("a", 7, 0.0, "M=a", -1)}
    told: list[str] = []
    monkeypatch.setattr(man, "tell", told.append)
    for code in (errno.EMFILE, errno.ESRCH):
        monkeypatch.setattr(deadman, "_mark_of", refusing(code))
        man.judge(now())
        assert told == ([] if code == errno.EMFILE else ["gone a 7 killed"])
    man.door.close()


def refusing(code: int) -> Callable[..., str]:
    def refuse(*_: object) -> str:
        raise OSError(code, os.strerror(code))

    return refuse


def test_it_runs_before_others(dead_man: DeadMan) -> None:
    """In real time, but for the kernel's own threads; else with the largest share, also where sessions share first."""
    pid = dead_man.process.pid
    if os.sched_getscheduler(pid) == os.SCHED_FIFO:
        assert os.sched_getparam(pid).sched_priority == os.sched_get_priority_max(os.SCHED_FIFO) - 1
    else:
        assert os.getpriority(os.PRIO_PROCESS, pid) == (-20 if os.geteuid() == 0 else 0)


def test_where_nothing_may_run_in_real_time_it_has_the_largest_share(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[object] = []

    class Refusing:
        def __getattr__(self, name: str) -> object:
            return getattr(os, name)

        def sched_setscheduler(self, *_: object) -> None:
            raise PermissionError

        def setpriority(self, *given: int) -> None:
            done.append(given)

        def getsid(self, _: int) -> int:
            return os.getpid()

    monkeypatch.setattr(deadman, "posix", Refusing())
    monkeypatch.setattr(deadman, "_write", lambda *given: done.append(given))
    monkeypatch.setitem(sys.modules, "ctypes", None)
    deadman.stand_firm()
    assert done == [(os.PRIO_PROCESS, 0, -20), (-1, "/proc/self/autogroup", b"-20")]


def test_what_starts_after_the_end_of_its_lease_is_killed_until_the_daemon_forgets_it(
    dead_man: DeadMan, marked: Callable[[str], subprocess.Popen[bytes]]
) -> None:
    """A daemon was stopped between its decision and the start, and goes on later."""
    dead_man.say("beat 600")
    dead_man.say(f"watch beat 7 {now()} SUPERVISOR_LEASE=x:7")
    assert [dead_man.hear(), dead_man.hear()] == ["watched beat 7", "gone beat 7 killed"]
    assert marked("SUPERVISOR_LEASE=x:7").wait() == -signal.SIGKILL
    dead_man.say("forget beat 7")
    dead_man.say("trees")
    while (answer := dead_man.hear()) != "told":
        assert answer == "gone beat 7 killed", "it is told until it is forgotten"
    later = marked("SUPERVISOR_LEASE=x:7")
    dead_man.say(f"watch other 8 {now()} SUPERVISOR_LEASE=x:8")
    assert [dead_man.hear(), dead_man.hear()] == ["watched other 8", "gone other 8 killed"]
    assert later.poll() is None


def test_what_was_said_while_it_was_stopped_counts_before_it_judges(
    dead_man: DeadMan, marked: Callable[[str], subprocess.Popen[bytes]]
) -> None:
    """It hears of a lease that is over, and then that it was renewed."""
    sleeper = marked("SUPERVISOR_LEASE=x:7")
    dead_man.say("beat 600")
    dead_man.say("trees")
    assert dead_man.hear() == "told"
    dead_man.process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, dead_man.process.pid, os.WSTOPPED)
    dead_man.say(f"watch beat 7 {now() - 1.0} SUPERVISOR_LEASE=x:7")
    dead_man.say(f"renew beat 7 {now() + 600}")
    dead_man.process.send_signal(signal.SIGCONT)
    dead_man.say("trees")
    assert [dead_man.hear() for _ in range(3)] == ["watched beat 7", "watched beat 7", "told"]
    assert sleeper.poll() is None


def test_a_tree_in_a_control_group_is_killed_whole(dead_man: DeadMan, tmp_path: Path) -> None:
    """Also a process that cleared its environment."""
    mount = mount_point()
    group = Path(mount or "/") / f"phi-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError:
        pytest.skip("no control group can be made here")
    try:
        sleepers = [subprocess.Popen(["/bin/sleep", "600"], env={}) for _ in range(2)]
        for one in sleepers:
            (group / "cgroup.procs").write_text(str(one.pid))
        descriptor = os.open(group, os.O_RDONLY)
        dead_man.say("beat 600")
        dead_man.say(f"watch beat 7 {now() + 0.2} SUPERVISOR_LEASE=x:7", descriptor)
        os.close(descriptor)
        assert dead_man.hear() == "watched beat 7"
        assert dead_man.hear() == "gone beat 7 killed"
        assert [one.wait() for one in sleepers] == [-signal.SIGKILL] * 2
    finally:
        group.rmdir()


def test_nonsense_changes_nothing(dead_man: DeadMan) -> None:
    for text in ("watch", "watch a b c d", "renew x 1 2", "beat", "beat x", "forget", "what", "\xff"):
        dead_man.say(text)
    dead_man.say("trees")
    assert dead_man.hear() == "told"


def test_its_socket_is_closed_to_others_and_it_beats(dead_man: DeadMan) -> None:
    assert Path(dead_man.path).stat().st_mode & 0o777 == 0o600
    assert dead_man.notify.recv(100) == b"WATCHDOG=1"


def test_its_memory(dead_man: DeadMan) -> None:
    """docs/cluster.md promises at most 8 MiB."""
    lines = Path(f"/proc/{dead_man.process.pid}/smaps_rollup").read_text().splitlines()
    private = sum(int(line.split()[1]) for line in lines if line.startswith(("Private_", "SwapPss")))
    sys.stdout.write(f"dead-man: {private / 1024:.1f} MiB of its own\n")
    assert private < 8 * 1024


def test_a_tree_of_unknown_lease_keeps_the_end_that_is_known(dead_man: DeadMan) -> None:
    """The next daemon does not know when the lease is over; a tree that the dead-man does not know either ends."""
    dead_man.say("beat 600")
    end = now() + 600
    dead_man.say(f"watch known 7 {end} SUPERVISOR_LEASE=x:7")
    dead_man.say("watch known 7 0.0 SUPERVISOR_LEASE=x:7")
    dead_man.say("watch unknown 8 0.0 SUPERVISOR_LEASE=x:8")
    assert [dead_man.hear() for _ in range(4)] == ["watched known 7"] * 2 + [
        "watched unknown 8",
        "gone unknown 8 killed",
    ]
    dead_man.say("trees")
    assert [dead_man.hear() for _ in range(3)] == ["watched known 7", "gone unknown 8 killed", "told"]
