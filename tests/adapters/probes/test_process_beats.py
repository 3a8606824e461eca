"""The output of a command becomes beats of the processes that it names: real processes, and times of the test."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from supervisor.adapters.probes.process_beats import NAMES_NO_PROCESS, ProcessBeats


@dataclass
class World:
    """A main process and two others; `heard` has (pid, at, limit, doing) of each beat."""

    children: list[subprocess.Popen[bytes]]
    heard: list[tuple[int, float, float | None, str]] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pids = [child.pid for child in self.children]
        self.beats = ProcessBeats(
            lambda: self.pids,
            lambda: self.pids[0],
            lambda process, at, line: self.heard.append((process[0], at, line.limit, line.doing)),
            lambda process: self.gone.append(process[0]),
            self.problems.append,
        )

    def take(self, text: str, began: float, ended: float) -> list[tuple[int, float, float | None, str]]:
        """What is heard in one run."""
        self.heard.clear()
        main, one, two = [child.pid for child in self.children]
        self.beats.keep(text.format(main=main, one=one, two=two).encode(), began, ended)
        self.beats.tell()
        return list(self.heard)


@pytest.fixture
def world() -> Iterator[World]:
    children = [subprocess.Popen(["sleep", "1000"]) for _ in range(3)]
    yield World(children)
    for child in children:
        child.kill()
        child.wait()


def test_each_is_heard_and_the_main_process_and_strangers_are_not(world: World) -> None:
    _, one, two = world.pids
    heard = world.take(f"{{one}} 0\n{{two}} 2.5 60 /shop\n{{main}} 0\n{os.getpid()} 0\n1 0\n", 100.0, 100.2)
    assert heard == [(one, 100.2, None, ""), (two, pytest.approx(97.7), 60.0, "/shop")]
    world.beats.tell()
    assert len(world.heard) == 2, "an output is read once"


@pytest.mark.parametrize(
    ("first", "second", "new"),
    [
        ("0", "0", True),
        ("0.5", "1.5", False),  # the same sign, a second later
        ("0.5", "1.3", False),  # it may be the same: the first run took 0.3 s
        ("0.5", "1.1", True),
        ("0.5 4 a", "1.5 4 a", False),
        ("0.5 4 a", "1.5 4 b", True),  # other work
        ("0", "1.2 4", True),  # work that began while the first run measured
    ],
)
def test_what_is_a_new_sign_of_life(world: World, first: str, second: str, new: bool) -> None:
    assert len(world.take(f"{{one}} {first}", 100.0, 100.3)) == 1
    heard = world.take(f"{{one}} {second}", 101.0, 101.1)
    assert len(heard) == new
    assert all(at >= 99.8 for _, at, _, _ in heard), "no beat is older than the last one"


def test_a_stopped_process_gives_no_sign_whatever_the_server_believes(world: World) -> None:
    _, one, _ = world.pids
    assert world.take("{one} 0", 100.0, 100.1)
    os.kill(one, signal.SIGSTOP)
    os.waitid(os.P_PID, one, os.WSTOPPED | os.WNOWAIT)
    assert world.take("{one} 0", 101.0, 101.1) == []
    os.kill(one, signal.SIGCONT)
    os.waitid(os.P_PID, one, os.WCONTINUED | os.WNOWAIT)
    assert world.take("{one} 0", 102.0, 102.1)


def test_one_that_has_ended_is_told_once(world: World) -> None:
    one = world.children[1]
    assert world.take("{one} 0\n{two} 0", 100.0, 100.1)
    one.kill()
    one.wait()
    assert [pid for pid, *_ in world.take("{one} 0\n{two} 0", 101.0, 101.1)] == [world.pids[2]]
    world.take("{two} 0", 102.0, 102.1)
    assert world.gone == [one.pid]


def test_a_dead_one_that_nothing_has_reaped_gives_no_sign(world: World) -> None:
    one = world.children[1]
    one.kill()
    os.waitid(os.P_PID, one.pid, os.WEXITED | os.WNOWAIT)
    assert world.take("{one} 0", 100.0, 100.1) == []


def test_a_command_that_goes_on_naming_no_process_is_a_problem(world: World) -> None:
    for run in range(5):
        world.take("all is well", 100.0 + run, 100.1 + run)
        assert world.problems == ([NAMES_NO_PROCESS] if run >= 2 else [])
    world.pids[1:] = []
    world.take("", 110.0, 110.1)
    assert len(world.problems) == 1, "a server without a worker has none to name"
