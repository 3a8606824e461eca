"""From a service's configuration to events: each way to be ready, each source of heartbeats."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.probes import exec_target
from supervisor.adapters.probes.monitors import Monitors, probe_environment
from supervisor.adapters.processes.command_trees import CommandTrees
from supervisor.core.model.actions import Purpose
from supervisor.core.model.events import Event, Heartbeat, MemberExamined, ProbeFailed, Ready
from supervisor.core.model.spec import HeartbeatSpec, ReadySpec, Scope, ServiceSpec
from tests.doubles.fakes import FakeReactor, run_until


class FakeOutput:
    """An instance's stream, spoken by the test.  On a fake loop all that was said is searched when `say` returns: on a
    busy host the search goes on in the next turn."""

    def __init__(self, loop: Any) -> None:
        self.loop = loop
        self.on_output: Callable[[], None] | None = None
        self.readers: list[Callable[[list[bytes]], None]] = []

    def subscribe(self, callback: Callable[[list[bytes]], None], *, progress: bool = False) -> Callable[[], None]:
        self.readers.append(callback)
        return lambda: self.readers.remove(callback)

    def say(self, *lines: bytes) -> None:
        for reader in list(self.readers):
            reader(list(lines))
        if self.on_output is not None:
            self.on_output()
        if isinstance(self.loop, FakeReactor):
            self.loop.settle()


@dataclass
class World:
    loop: Any
    monitors: Monitors
    posted: list[tuple[str, Event]]
    output: FakeOutput
    members: list[int]

    def watch(self, purpose: Purpose, ready: ReadySpec | None = None, beat: HeartbeatSpec | None = None) -> ServiceSpec:
        spec = ServiceSpec(name="web", command=("web",), ready=ready, heartbeat=beat, environment=(("X", "y"),))
        self.monitors.watch("web@1", 3, spec, purpose)
        return spec

    def until(self, kind: type[Event], count: int = 1) -> list[Event]:
        def found() -> list[Event]:
            return [event for _, event in self.posted if isinstance(event, kind)]

        run_until(self.loop, lambda: len(found()) >= count)
        return found()


def world(loop: Any) -> World:
    posted: list[tuple[str, Event]] = []
    output, members = FakeOutput(loop), [os.getpid()]
    monitors = Monitors(
        loop,
        lambda name, event: posted.append((name, event)),
        lambda _: 0.5,
        lambda _: members,
        lambda _: output,
        CommandTrees(loop, "test-monitors", set()).begin,
    )
    return World(loop, monitors, posted, output, members)


@pytest.fixture(autouse=True)
def calm(monkeypatch: pytest.MonkeyPatch) -> None:
    """No command waits for a CPU, by its figures; the host of the test may be busy."""
    monkeypatch.setattr(exec_target, "read_waits", lambda _pids, _cgroup: {})


@pytest.fixture
def real() -> Iterator[World]:
    loop = EventLoop()
    w = world(loop)
    yield w
    w.monitors.unwatch("web@1")
    loop.close()


@pytest.fixture
def fake() -> World:
    return world(FakeReactor())


@pytest.fixture
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


# -- readiness -------------------------------------------------------------------------------------------------------


def test_the_connection_of_all_probes_is_closed_with_the_watch(real: World, port: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        real.watch(Purpose.HEARTBEAT, beat=HeartbeatSpec(source="http", http=url, interval=0.01, keep_alive=True))
        connection, _ = listener.accept()
        with connection:
            for _ in range(3):
                beats = len(real.posted)
                run_until(real.loop, lambda: bool(select.select([connection], [], [], 0)[0]))
                assert connection.recv(4096).startswith(b"GET / ")
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                real.until(Heartbeat, beats + 1)
            real.monitors.unwatch("web@1")
            assert connection.recv(4096) == b""


def test_ready_by_delay(fake: World) -> None:
    fake.watch(Purpose.READY, ReadySpec(delay=2.0))
    fake.loop.advance(1.9)
    assert fake.posted == []
    fake.loop.advance(0.2)
    assert fake.posted == [("web@1", Ready(3, "delay"))]


def test_ready_by_a_line_of_output(fake: World) -> None:
    fake.watch(Purpose.READY, ReadySpec(log=r"listening on port \d+"))
    fake.output.say(b"starting", b"listening on port none")
    assert fake.posted == []
    fake.output.say(b"\xff", b"now listening on port 80")
    fake.output.say(b"listening on port 81")
    assert fake.posted == [("web@1", Ready(3, "log"))] and fake.output.readers == []


def test_ready_by_a_line_as_it_is_read(fake: World) -> None:
    fake.watch(Purpose.READY, ReadySpec(log="^ready$"))
    fake.output.say(b"ready\r")
    assert fake.posted == [("web@1", Ready(3, "log"))]


def test_a_pattern_that_takes_too_long(fake: World) -> None:
    endless, problems = b"a" * 40 + b"b", []
    fake.monitors.on_problem = lambda *problem: problems.append(problem)
    fake.watch(Purpose.READY, ReadySpec(log="(a+)+$"))
    fake.output.say(endless)
    fake.output.say(endless)
    slow = "the pattern of ready.log takes more than 10 ms for a line; lines not searched are not taken for readiness"
    assert problems == [("web@1", slow)] and fake.posted == [("web@1", ProbeFailed(3, slow))] * 2
    fake.posted.clear()
    fake.watch(Purpose.HEARTBEAT, beat=HeartbeatSpec(source="log", log="(a+)+$"))
    fake.output.say(endless)
    assert problems[1][1].endswith("lines not searched count as heartbeats")
    assert [type(e) for _, e in fake.posted] == [Heartbeat], (
        "it spoke; that it could not be understood is not its fault"
    )


def test_a_pattern_is_searched_only_so_far(fake: World) -> None:
    fake.watch(Purpose.READY, ReadySpec(log="end"))
    fake.output.say(b"x" * 5000 + b"end")
    assert fake.posted == []


def test_ready_by_probe_after_failures(real: World, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    real.watch(Purpose.READY, ReadySpec(exec=("test", "-e", str(flag)), interval=0.01, timeout=5.0))
    assert real.until(ProbeFailed)[0] == ProbeFailed(3, "exit code 1")
    flag.touch()
    assert real.until(Ready) == [Ready(3, "exec")]
    assert isinstance(real.posted[-1][1], Ready)


def test_ready_by_tcp_and_http(real: World, port: int) -> None:
    real.watch(Purpose.READY, ReadySpec(tcp=f"127.0.0.1:{port}"))
    assert real.until(Ready) == [Ready(3, "tcp")]
    real.watch(Purpose.READY, ReadySpec(http=f"http://127.0.0.1:{port}/", timeout=0.01))
    assert real.until(ProbeFailed)[0] == ProbeFailed(3, "no answer within 0.01s")


def test_notify_is_not_polled(fake: World) -> None:
    fake.watch(Purpose.READY, ReadySpec(notify=True))
    fake.watch(Purpose.HEARTBEAT, beat=HeartbeatSpec(source="notify"))
    fake.output.say(b"anything")
    assert fake.loop.next_deadline is None and fake.posted == []


# -- heartbeats ------------------------------------------------------------------------------------------------------


def test_beats_by_probe_have_the_time_of_the_answer(real: World, port: int) -> None:
    before = real.loop.now()
    real.watch(Purpose.HEARTBEAT, beat=HeartbeatSpec(source="tcp", tcp=f"127.0.0.1:{port}", interval=0.01))
    beats = real.until(Heartbeat, 3)
    times = [before, *(b.at for b in beats if isinstance(b, Heartbeat)), real.loop.now()]
    assert times == sorted(times) and all(b.incarnation == 3 for b in beats if isinstance(b, Heartbeat))


def test_a_failed_probe_is_told_and_is_no_beat(real: World) -> None:
    real.watch(
        Purpose.HEARTBEAT,
        beat=HeartbeatSpec(source="exec", exec=("sh", "-c", "echo $X; exit 4"), interval=0.01, probe_timeout=60.0),
    )
    assert set(real.until(ProbeFailed, 2)) == {ProbeFailed(3, "exit code 4: y")}
    assert not [e for _, e in real.posted if isinstance(e, Heartbeat)]


def test_beats_by_any_output(fake: World) -> None:
    fake.watch(Purpose.HEARTBEAT, beat=HeartbeatSpec(source="log"))
    start = fake.loop.now()
    for delay in (0.0, 0.001, 0.002, 0.5):
        fake.loop.advance(delay)
        fake.output.say(b"x")
    times = [event.at for _, event in fake.posted if isinstance(event, Heartbeat)]
    assert times == pytest.approx([start, start + 0.503]) and len(fake.posted) == 2
    assert fake.output.readers == [], "nobody splits lines where nobody needs them"
    fake.monitors.unwatch("web@1")
    assert fake.output.on_output is None


def test_beats_by_lines_that_match(fake: World) -> None:
    fake.watch(Purpose.HEARTBEAT, beat=HeartbeatSpec(source="log", log="^tick"))
    fake.output.say(b"other", b"a tick")
    assert fake.posted == []
    fake.output.say(b"tick 1", b"tick 2")
    assert [type(e) for _, e in fake.posted] == [Heartbeat]


def test_beats_by_a_touched_file(real: World, tmp_path: Path) -> None:
    path = tmp_path / "beat"
    real.watch(Purpose.HEARTBEAT, beat=HeartbeatSpec(source="file", file=str(path), interval=0.02))
    assert real.until(ProbeFailed)[0] == ProbeFailed(3, "no such file or directory")
    path.touch()
    real.until(Heartbeat)
    os.utime(path, (5, 5))
    real.until(Heartbeat, 2)


def test_beats_by_activity(fake: World) -> None:
    fake.watch(Purpose.HEARTBEAT, beat=HeartbeatSpec(source="activity", interval=1.0))
    fake.loop.advance(1.0)
    assert [type(e) for _, e in fake.posted] == [Heartbeat]
    fake.members.clear()
    fake.loop.advance(1.0)
    assert len(fake.posted) == 2, "who comes and goes is active"
    fake.loop.advance(5.0)
    assert len(fake.posted) == 2, "and silence is no failed probe"


def test_what_a_process_does_because_it_is_asked_for_its_stacks_is_no_beat(fake: World) -> None:
    """This process works all the time; what it does from the question on, and until the first look after it, is not
    taken for its own doing."""
    fake.watch(Purpose.HEARTBEAT, beat=HeartbeatSpec(source="activity", interval=1.0))
    fake.loop.advance(1.0)
    fake.monitors.asked_for_stacks("web@1", fake.loop.now() + 1.5)
    fake.monitors.asked_for_stacks("other", fake.loop.now() + 1.5)
    fake.loop.advance(1.0)
    fake.loop.advance(1.0)
    assert len(fake.posted) == 1
    Path("/proc/self/stat").read_bytes()
    fake.loop.advance(1.0)
    assert [type(e) for _, e in fake.posted] == [Heartbeat] * 2


def test_what_it_writes_because_it_is_asked_for_its_stacks_is_no_beat(fake: World) -> None:
    fake.watch(Purpose.HEARTBEAT, beat=HeartbeatSpec(source="log"))
    fake.monitors.asked_for_stacks("web@1", fake.loop.now() + 1.0)
    fake.loop.advance(0.9)
    fake.output.say(b'  File "a.py", line 3')
    assert fake.posted == []
    fake.loop.advance(0.1)
    fake.output.say(b"a job is done")
    assert [type(e) for _, e in fake.posted] == [Heartbeat]
    fake.monitors.unwatch("web@1")
    fake.monitors.asked_for_stacks("web@1", fake.loop.now() + 1.0)


def test_which_processes_are_active(fake: World) -> None:
    """Each beats when it has run; one that has ended is told."""
    pids = [os.getpid(), os.getppid()]
    fake.members[:] = pids
    fake.watch(Purpose.HEARTBEAT, beat=HeartbeatSpec(source="activity", scope=Scope.PROCESS, interval=1.0))
    fake.loop.advance(1.0)
    new = [event.process for _, event in fake.posted if isinstance(event, Heartbeat) and event.process is not None]
    assert sorted(pid for pid, _ in new) == sorted(pids), "all are new"
    fake.members.remove(os.getppid())
    fake.loop.advance(1.0)
    gone = [event.process for _, event in fake.posted if isinstance(event, MemberExamined) and event.gone]
    assert [pid for pid, _ in gone] == [os.getppid()]


def test_which_processes_a_command_names(real: World) -> None:
    """The beat of the instance comes first, because it may end a time in which silence did not count."""
    real.members[:] = [os.getpid(), os.getppid()]
    real.monitors.main = lambda _: os.getppid()
    told = ("sh", "-c", f"echo $MAINPID 0; echo {os.getpid()} 0 60 work")
    real.watch(Purpose.HEARTBEAT, beat=HeartbeatSpec(source="exec", exec=told, scope=Scope.PROCESS, probe_timeout=60.0))
    whole, one = real.until(Heartbeat, 2)[:2]
    assert isinstance(whole, Heartbeat) and isinstance(one, Heartbeat)
    assert whole.process is None and whole.busy is None
    assert one.process is not None and one.process[0] == os.getpid()
    assert (one.at, one.busy, one.doing) == (whole.at, 60.0, "work")


def test_a_command_that_names_no_process_is_a_problem_once(real: World) -> None:
    problems: list[str] = []
    real.monitors.on_problem = lambda instance, text: problems.append(f"{instance}: {text}")
    beat = HeartbeatSpec(source="exec", exec=("true",), scope=Scope.PROCESS, interval=0.05, probe_timeout=60.0)
    real.watch(Purpose.HEARTBEAT, beat=beat)
    real.until(Heartbeat, 5)
    (problem,) = problems
    assert problem.startswith("web@1: the command of heartbeat.exec succeeds, but names no process")


@pytest.mark.parametrize(
    ("asks", "said"),
    [
        ({"exec": ("true",)}, (False, None)),
        ({"exec": ("false",)}, (False, "its broker does not answer: exit code 1")),
        ({}, (False, None)),
    ],
)
def test_the_broker_of_a_celery_worker_is_asked(real: World, asks: Any, said: tuple[bool, str | None]) -> None:
    """It is not the worker that answers; and without a broker to ask there is nothing to ask."""
    answers: list[tuple[bool, str | None]] = []
    spec = ServiceSpec(
        name="web", command=("web",), heartbeat=HeartbeatSpec(source="celery", probe_timeout=60.0, **asks)
    )
    real.monitors.confirm("web@1", spec, lambda *answer: answers.append(answer))
    run_until(real.loop, lambda: answers)
    assert answers == [said]


# -- the rest --------------------------------------------------------------------------------------------------------


def test_a_new_watch_ends_the_old_one(fake: World) -> None:
    fake.watch(Purpose.READY, ReadySpec(delay=1.0))
    fake.watch(Purpose.HEARTBEAT, beat=HeartbeatSpec(source="log"))
    fake.loop.advance(2.0)
    assert fake.posted == []


def test_after_unwatch_nothing_is_posted(fake: World) -> None:
    fake.watch(Purpose.READY, ReadySpec(delay=1.0))
    fake.monitors.unwatch("web@1")
    fake.monitors.unwatch("web@1")
    fake.loop.advance(2.0)
    assert fake.posted == [] and fake.loop.next_deadline is None


@pytest.mark.parametrize(
    ("beat", "said"),
    [
        (HeartbeatSpec(source="exec", exec=("true",), probe_timeout=60.0), (True, None)),
        (HeartbeatSpec(source="exec", exec=("false",), probe_timeout=60.0), (False, None)),
        (HeartbeatSpec(source="exec", exec=("/nowhere",)), (False, "/nowhere: no such file or directory")),
        (HeartbeatSpec(source="notify"), (False, None)),
        (HeartbeatSpec(source="file", file="/proc/self/stat"), (False, None)),
        (HeartbeatSpec(source="log"), (False, None)),
        (HeartbeatSpec(source="activity"), (False, None)),
        (None, (False, None)),
    ],
)
def test_confirmation(real: World, beat: HeartbeatSpec | None, said: tuple[bool, str | None]) -> None:
    answers: list[tuple[bool, str | None]] = []
    spec = ServiceSpec(name="web", command=("web",), heartbeat=beat)
    real.monitors.confirm("web@1", spec, lambda *answer: answers.append(answer))
    run_until(real.loop, lambda: answers)
    assert answers == [said]


def test_confirmation_by_tcp(real: World, port: int) -> None:
    answers: list[tuple[bool, str | None]] = []
    beat = HeartbeatSpec(source="tcp", tcp=f"127.0.0.1:{port}", probe_timeout=60.0)
    spec = ServiceSpec(name="web", command=("web",), heartbeat=beat)
    real.monitors.confirm("web@1", spec, lambda *answer: answers.append(answer))
    run_until(real.loop, lambda: answers)
    assert answers == [(True, None)]


def test_a_file_is_looked_at_once_more(real: World, tmp_path: Path) -> None:
    """It was touched since the last look, and the next one would come too late for the suspect."""
    path = tmp_path / "beat"
    path.write_text("")
    spec = real.watch(Purpose.HEARTBEAT, beat=HeartbeatSpec(source="file", file=str(path), interval=600.0))
    answers: list[tuple[bool, str | None]] = []

    def ask() -> None:
        real.monitors.confirm("web@1", spec, lambda *answer: answers.append(answer))

    ask()
    assert (answers, real.posted) == ([(False, None)], [])
    before = real.loop.now()
    path.touch()
    ask()
    assert answers[1:] == [(True, None)]
    ((_, beat),) = real.posted
    assert isinstance(beat, Heartbeat) and beat.incarnation == 3 and beat.at >= before - 0.02  # the kernel's tick
    ask()
    assert answers[2:] == [(False, None)], "the same touch is one beat"


def test_activity_is_looked_at_once_more(real: World) -> None:
    spec = real.watch(Purpose.HEARTBEAT, beat=HeartbeatSpec(source="activity", interval=600.0))
    Path("/proc/self/stat").read_bytes()
    answers: list[tuple[bool, str | None]] = []
    real.monitors.confirm("web@1", spec, lambda *answer: answers.append(answer))
    assert answers == [(True, None)]
    assert [type(event) for _, event in real.posted] == [Heartbeat]


def test_what_is_no_longer_watched_is_not_looked_at(real: World) -> None:
    spec = real.watch(Purpose.HEARTBEAT, beat=HeartbeatSpec(source="activity", interval=600.0))
    real.monitors.unwatch("web@1")
    answers: list[tuple[bool, str | None]] = []
    real.monitors.confirm("web@1", spec, lambda *answer: answers.append(answer))
    assert (answers, real.posted) == ([(False, None)], [])


def test_a_probe_inherits_what_its_service_inherits(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PHI_A", "PHI_B"):
        monkeypatch.setenv(name, "1")
    spec = ServiceSpec(
        name="web", command=("web",), inherit_environment=("PHI_A", "PHI_B"), unset_environment=("PHI_B",)
    )
    assert probe_environment(spec, "web").keys() == {"PATH", "PHI_A", "SUPERVISOR_SERVICE", "SUPERVISOR_INSTANCE"}


def test_a_probe_does_not_pass_for_a_part_of_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "SUPERVISOR_ID", "LISTEN_FDS"):
        monkeypatch.setenv(name, "1")
    environment = probe_environment(ServiceSpec(name="web", command=("web",), environment=(("A", "b"),)), "web@2")
    assert environment["A"] == "b" and environment["PATH"] == os.environ["PATH"]
    assert {k: v for k, v in environment.items() if k.startswith(("NOTIFY", "WATCHDOG", "SUPERVISOR", "LISTEN"))} == {
        "SUPERVISOR_SERVICE": "web",
        "SUPERVISOR_INSTANCE": "web@2",
    }
