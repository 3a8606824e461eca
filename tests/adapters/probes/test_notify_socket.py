"""The notify socket and attribution: real datagrams and processes, garbage, foreign senders, stepped clocks."""

from __future__ import annotations

import os
import signal
import socket
import stat
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.linux import procfs
from supervisor.adapters.linux.mounts import LOCAL
from supervisor.adapters.probes import descriptor_sink, notify_socket
from supervisor.adapters.probes.notify_socket import NotifySocket
from supervisor.adapters.processes.attribution import Attribution
from supervisor.core.model.sdnotify import Message
from tests.doubles.fakes import run_until

Delivered = list[tuple[int, int, Message, float]]


@dataclass
class House:
    """A socket, what it delivered, what it complained about, and a sender."""

    loop: EventLoop
    notify: NotifySocket
    delivered: Delivered
    problems: list[str]
    sender: socket.socket

    def send(self, datagram: bytes) -> None:
        self.sender.sendto(datagram, self.notify.path)

    def send_with(self, datagram: bytes, *descriptors: int) -> None:
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack(f"={len(descriptors)}i", *descriptors))
        self.sender.sendmsg([datagram], [rights], 0, self.notify.path)

    def receive(self, count: int) -> Delivered:
        run_until(self.loop, lambda: len(self.delivered) >= count)
        return self.delivered


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    loop = EventLoop()
    delivered: Delivered = []
    problems: list[str] = []
    notify = NotifySocket(loop, str(tmp_path / "notify"), lambda *d: delivered.append(d), problems.append)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        yield House(loop, notify, delivered, problems, sender)
    notify.close()
    loop.close()


def test_who_and_what_and_when(house: House) -> None:
    before = time.monotonic()
    house.send(b"READY=1\nSTATUS=up")
    after = time.monotonic()
    ((pid, uid, message, at),) = house.receive(1)
    assert (pid, uid, message) == (os.getpid(), os.getuid(), Message(ready=True, status="up"))
    assert before - 0.001 <= at <= after + 0.001


def test_a_successor_of_any_version_looks_at_the_first_datagram_as_often_as_it_likes(house: House) -> None:
    house.send(b"WATCHDOG=1")
    house.receive(1)
    with socket.socket(fileno=os.dup(house.notify.fileno())) as handed_over:
        house.send(b"READY=1")
        house.send(b"STOPPING=1")
        assert [handed_over.recv(20, socket.MSG_PEEK) for _ in range(2)] == [b"READY=1"] * 2
    assert [message for _, _, message, _ in house.receive(3)[1:]] == [Message(ready=True), Message(stopping=True)]


def test_our_own_lateness_is_not_charged_to_the_sender(house: House) -> None:
    before = time.monotonic()
    house.send(b"WATCHDOG=1")
    after = time.monotonic()
    late = after + 0.05
    while time.monotonic() < late:  # we are stalled
        pass
    house.notify.drain()
    assert before - 0.001 <= house.delivered[0][3] <= after + 0.001


@pytest.mark.parametrize("step", [-3600, 3600, 0.5])
def test_a_stepped_clock_is_not_believed(house: House, monkeypatch: pytest.MonkeyPatch, step: float) -> None:
    house.notify.drain()
    house.send(b"WATCHDOG=1")
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + int(step * 1e9))
    before = time.monotonic()
    house.notify.drain()
    assert before <= house.delivered[0][3] <= time.monotonic()


def test_garbage_is_counted_and_what_follows_is_heard(house: House) -> None:
    for datagram in (b"", b"\0" * 4096, b"X_OWN=1", b"\xff=\n\n="):
        house.send(datagram)
    house.send(b"WATCHDOG=1")
    house.receive(1)
    assert house.notify.meaningless == 4 and house.problems == []


def test_sixty_four_kibibytes_are_dropped_and_told_once(house: House) -> None:
    for size in (65536, 65536, 65536, 4097):
        house.send(b"READY=1\n" * (size // 8) + b"x" * (size % 8))
        house.notify.drain()
    house.send(b"WATCHDOG=1")
    assert [d[2] for d in house.receive(1)] == [Message(beat=True)]
    assert house.notify.oversized == 4
    assert len(house.problems) == 1 and str(os.getpid()) in house.problems[0]


def test_before_a_silence_is_judged_a_beat_is_heard_that_stands_behind_descriptors(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify_socket, "_LONGEST_DRAIN", 60.0)
    monkeypatch.setattr(descriptor_sink, "_SOON", 60.0)
    for number in (1, 3):
        house.send_with(b"STATUS=%d" % number, house.sender.fileno())
        house.send(b"STATUS=%d" % (number + 1))
    house.notify.drain()
    assert [message.status for _, _, message, _ in house.delivered] == ["1", "2", "3", "4"]


def test_a_flood_is_taken_in_bounded_turns(house: House) -> None:
    script = (
        "import socket, sys\ns = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
        "for _ in range(1000): s.sendto(b'WATCHDOG=1', sys.argv[1])"
    )
    process = subprocess.Popen([sys.executable, "-c", script, house.notify.path])
    run_until(house.loop, lambda: len(house.delivered) == 1000)
    assert process.wait() == 0
    assert {d[0] for d in house.delivered} == {process.pid}
    times = [d[3] for d in house.delivered]
    assert all(later - earlier > -0.001 for earlier, later in pairwise(times))


def test_fast_beats_are_taken_in_batches_and_slow_ones_at_once(house: House) -> None:
    turns = 0

    def count(_now: float, _expected: float | None) -> None:
        nonlocal turns
        turns += 1

    house.notify._batch = 0.05
    house.loop.on_wake = count
    house.send(b"READY=1")
    house.receive(1)
    house.send(b"WATCHDOG=1")
    house.receive(2)
    assert turns == 2, "each was heard as it came"
    before = time.monotonic()
    for _ in range(5):
        house.send(b"WATCHDOG=1")
    after = time.monotonic()
    house.receive(7)
    assert turns == 3, "five in one turn"
    assert all(before - 0.001 <= at <= after + 0.001 for *_, at in house.delivered[2:]), "with the times they came"
    house.send(b"WATCHDOG=1")
    house.notify.drain()
    assert len(house.delivered) == 8, "who wants to judge need not wait for the batch to end"
    idle: list[bool] = []
    house.loop.call_at(house.loop.now() + 0.2, lambda: idle.append(True))
    run_until(house.loop, lambda: idle)
    turns = 0
    house.send(b"WATCHDOG=1")
    house.receive(9)
    assert turns == 1, "and when it is quiet again, one is heard at once"


def test_barrier_is_answered_after_what_came_before(house: House) -> None:
    reader, writer = os.pipe()
    house.send(b"READY=1")
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("=i", writer))
    house.sender.sendmsg([b"BARRIER=1"], [rights], 0, house.notify.path)
    os.close(writer)
    seen: list[int] = []

    def closed(_events: int) -> None:
        seen.append(len(house.delivered))
        house.loop.unregister(reader)

    house.loop.register(reader, closed)
    run_until(house.loop, lambda: seen)
    assert seen == [2] and house.delivered[0][2].ready and house.delivered[1][2].barrier
    os.close(reader)


def nulls() -> int:
    """How many descriptors of /dev/null this process has."""
    return sum(os.path.realpath(fd) == "/dev/null" for fd in Path("/proc/self/fd").iterdir())


def test_passed_descriptors_do_not_stay(house: House) -> None:
    before = nulls()
    null = os.open("/dev/null", os.O_RDONLY)
    for datagram in (b"X_OWN=1", b"x" * 5000, b"WATCHDOG=1"):
        house.send_with(datagram, *[null] * 200)
    os.close(null)
    house.send(b"STATUS=after")
    assert [d[2] for d in house.receive(2)] == [Message(beat=True), Message(status="after")], "each once"
    assert nulls() == before and house.notify.oversized == 1


def lingering() -> tuple[socket.socket, socket.socket]:
    """A connection whose close waits for a minute, because the other end does not read; that end."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 60))
    ours.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            ours.send(b"x" * 65536)
    ours.setblocking(True)
    return ours, theirs


def test_a_descriptor_whose_close_blocks_keeps_no_other_datagram_waiting(house: House) -> None:
    stuck, theirs = lingering()
    house.send_with(b"WATCHDOG=1", stuck.fileno())
    os.close(stuck.detach())  # the last one is on its way; sending it kept this from waiting
    reader, writer = os.pipe()
    house.send_with(b"BARRIER=1", writer)
    os.close(writer)
    house.send(b"STATUS=after")
    assert [d[2] for d in house.receive(3)] == [Message(beat=True), Message(barrier=True), Message(status="after")]
    closed: list[int] = []
    house.loop.register(reader, closed.append)
    run_until(house.loop, lambda: closed)
    house.loop.unregister(reader)
    os.close(reader)
    theirs.close()  # unread data: a reset, with which the waiting ends


def test_a_helper_that_is_gone_or_hangs_is_replaced(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptor_sink, "PATIENCE", 0.2)
    null = os.open("/dev/null", os.O_RDONLY)
    house.send_with(b"STATUS=1", null)
    house.send(b"STATUS=2")
    house.receive(2)
    (sink,) = house.notify._sinks.values()
    for number, status in ((signal.SIGKILL, b"STATUS=3"), (signal.SIGSTOP, b"STATUS=4")):
        before = sink._pid
        os.kill(before, number)
        house.send_with(status, null)
        house.send(b"WATCHDOG=1")
        house.receive(len(house.delivered) + 2)
        assert sink._pid != before
    os.close(null)
    assert [d[2].status for d in house.delivered if d[2].status] == ["1", "2", "3", "4"], "none twice, none lost"


def test_a_daemon_without_processes_still_hears(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    house.send_with(b"WATCHDOG=1", house.sender.fileno())
    house.send(b"STATUS=after")
    assert [d[2] for d in house.receive(2)] == [Message(beat=True), Message(status="after")]
    assert "no process can be started that closes descriptors" in house.problems[0]


def test_it_replaces_a_socket_left_behind_and_is_open_to_all(house: House, tmp_path: Path) -> None:
    other = NotifySocket(house.loop, house.notify.path, lambda *d: house.delivered.append(d), house.problems.append)
    assert Path(other.path).stat().st_mode & 0o777 == 0o666
    house.send(b"WATCHDOG=1")
    house.receive(1)
    other.close()
    assert not Path(other.path).exists()


def test_a_place_that_cannot_be_bound_is_an_error(house: House) -> None:
    with pytest.raises(OSError):
        NotifySocket(house.loop, "/nowhere/notify", lambda *d: None, house.problems.append)


# -- attribution ---------------------------------------------------------------------------------------------------

ID = "a-random-id"


@dataclass
class Main:
    instance: str


Start = Callable[..., tuple[int, int]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start `sh -c script` with more environment; it prints a pid.  Returns (pid of the shell, that pid)."""
    processes: list[subprocess.Popen[bytes]] = []

    def run(script: str, **environment: str) -> tuple[int, int]:
        process = subprocess.Popen(
            ["sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True, env={**os.environ, **environment}
        )
        processes.append(process)
        assert process.stdout is not None
        return process.pid, int(process.stdout.readline())

    yield run
    for process in processes:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_main_pids_and_what_descends_from_them(start: Start) -> None:
    main, grandchild = start("sh -c 'sleep 60 & echo $!; wait' & wait")
    attribution = Attribution({main: Main("web@1")}, None, ID)
    assert attribution.resolve(main) == attribution.resolve(grandchild) == attribution.resolve(grandchild) == "web@1"
    assert attribution.strangers == 0


def test_an_orphan_is_known_by_its_marker(start: Start) -> None:
    main, orphan = start("sh -c 'sleep 60 & echo $!'; wait", SUPERVISOR_ID=ID, SUPERVISOR_INSTANCE="web@2")
    run_until_orphaned(orphan, main)
    assert Attribution({}, None, ID).resolve(orphan) == "web@2"


def test_strangers_are_nobody(start: Start) -> None:
    _, stranger = start("echo $$; read x", SUPERVISOR_ID="another", SUPERVISOR_INSTANCE="web@2")
    attribution = Attribution({}, None, ID)
    assert attribution.resolve(stranger) is None
    assert attribution.resolve(1) is None and attribution.resolve(os.getpid()) is None
    assert attribution.strangers == 3


def test_who_is_gone_is_counted_apart() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    attribution = Attribution({}, None, ID)
    assert attribution.resolve(process.pid) is None
    assert (attribution.strangers, attribution.vanished) == (0, 1)


def test_a_reused_pid_is_looked_at_anew(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    main, child = start("sleep 60 & echo $!; wait")
    mains = {main: Main("web")}
    attribution = Attribution(mains, None, ID)
    assert attribution.resolve(child) == "web"
    mains.clear()
    assert attribution.resolve(child) == "web"
    monkeypatch.setattr(procfs, "start_time", lambda _pid: 1)
    assert attribution.resolve(child) is None


def test_by_cgroup(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    _, pid = start("echo $$; read x")
    paths = {pid: "/own/phi-demo/web@3/below"}
    monkeypatch.setattr(procfs, "cgroup_of", paths.get)
    monkeypatch.setattr(os.path, "ismount", lambda p: p == "/sys/fs/cgroup")
    attribution = Attribution({}, "/sys/fs/cgroup/own/phi-demo", ID)
    assert attribution.resolve(pid) == "web@3"
    for other in ("/own/phi-demonstration/web@3", "/own/phi-demo/exec:web@3"):  # what `supervisor exec` runs beside it
        paths[pid] = other
        assert Attribution({}, "/sys/fs/cgroup/own/phi-demo", ID).resolve(pid) is None


def run_until_orphaned(pid: int, main: int) -> None:
    """Until the process hangs below neither `main` nor a child of it, and its program has begun (the kernel shows no
    environment in the middle of an exec)."""
    loop = EventLoop()

    def orphaned() -> bool:
        loop.call_soon(lambda: None)
        return pid not in procfs.descendants(main) and procfs.command_line(pid) == ["sleep", "60"]

    run_until(loop, orphaned)
    loop.close()


def wanting(house: House, room: int) -> list[tuple[list[int], int]]:
    """Want the descriptors of each datagram from now on; returns what comes."""
    taken: list[tuple[list[int], int]] = []

    def deliver(*delivered: Any) -> tuple[Any, int]:
        house.delivered.append(delivered)
        return lambda descriptors, refused: taken.append((descriptors, refused)), room

    house.notify._deliver = deliver
    return taken


def test_wanted_descriptors_are_passed_on_as_many_as_there_is_room_for(house: House) -> None:
    taken = wanting(house, 2)
    memory = os.memfd_create("state")
    reader, writer = os.pipe()
    house.send_with(b"FDSTORE=1", memory, reader, writer)
    run_until(house.loop, lambda: bool(taken))
    ((first, second), refused), targets = taken[0], [str(Path(f"/proc/self/fd/{fd}").readlink()) for fd in taken[0][0]]
    assert refused == 1 and targets[0].startswith("/memfd:state") and targets[1].startswith("pipe:")
    assert not os.get_inheritable(first) and not os.get_inheritable(second)
    for fd in (memory, reader, writer, first, second):
        os.close(fd)
    house.send(b"STATUS=after")
    assert house.receive(2)[1][2] == Message(status="after")


def test_a_file_on_a_file_system_that_may_not_answer_is_not_passed_on(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    monkeypatch.setattr(descriptor_sink, "_SCRIPT", descriptor_sink._SCRIPT.replace(str(sorted(LOCAL)), "[b'tmpfs ']"))
    taken = wanting(house, 9)
    one, other = socket.socketpair()
    house.send_with(b"FDSTORE=1", here, one.fileno(), other.fileno())
    run_until(house.loop, lambda: bool(taken))
    descriptors, refused = taken[0]
    assert refused == 1 and all(stat.S_ISSOCK(os.fstat(fd).st_mode) for fd in descriptors)
    for fd in (here, *descriptors):
        os.close(fd)
    one.close()
    other.close()


def test_where_no_helper_can_be_started_nothing_comes_and_that_is_known(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    taken = wanting(house, 9)
    memory = os.memfd_create("state")
    house.send_with(b"FDSTORE=1", memory)
    os.close(memory)
    run_until(house.loop, lambda: bool(taken))
    assert taken == [([], 0)] and house.problems


def test_a_helper_that_hangs_gives_nothing_and_the_next_one_does(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptor_sink, "PATIENCE", 0.05)
    script = descriptor_sink._SCRIPT
    monkeypatch.setattr(descriptor_sink, "_SCRIPT", "import signal; signal.pause()")
    taken = wanting(house, 9)
    memory = os.memfd_create("state")
    house.send_with(b"FDSTORE=1", memory)
    os.close(memory)
    run_until(house.loop, lambda: bool(taken))
    assert taken[0] == ([], 0)
    monkeypatch.setattr(descriptor_sink, "_SCRIPT", script)
    run_until(house.loop, lambda: bool(taken[-1][0]), timeout=60)
    assert len(taken[-1][0]) == 1 and len(house.delivered) == 1, "it is delivered once"
    os.close(taken[-1][0][0])
