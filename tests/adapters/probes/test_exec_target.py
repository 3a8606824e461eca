"""Commands as probes: what they say of the service, what says only something of themselves, and what they leave."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.linux import procfs
from supervisor.adapters.probes import exec_target
from supervisor.adapters.probes.exec_target import ExecTarget
from supervisor.adapters.probes.prober import Unasked
from supervisor.adapters.processes import marks
from supervisor.adapters.processes.child_command import Credentials
from supervisor.adapters.processes.command_trees import CommandTree, CommandTrees
from supervisor.adapters.processes.table import become_subreaper
from supervisor.core.detection.schedulable_time import Waited
from tests.doubles.fakes import run_until


@pytest.fixture
def loop() -> Iterator[EventLoop]:
    loop = EventLoop()
    yield loop
    loop.close()


@pytest.fixture(autouse=True)
def calm(monkeypatch: pytest.MonkeyPatch) -> None:
    """No command waits for a CPU, by its figures; the host of the test may be busy."""
    monkeypatch.setattr(exec_target, "read_waits", lambda _pids, _cgroup: {})


def shell(script: str, **more: Any) -> ExecTarget:
    return ExecTarget(("sh", "-c", script), None, dict(os.environ), Credentials(), **more)


def ask(loop: EventLoop, target: ExecTarget, timeout: float = 60.0) -> str | None:
    answers: list[str | None] = []
    target.begin(loop, timeout, lambda error, _at: answers.append(error))
    run_until(loop, lambda: answers, 60.0)
    assert len(answers) == 1
    return answers[0]


# -- what says nothing of the service --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("exit 1", ""),
        ("exit 124", ""),
        ("exit 200", ""),
        ("/nowhere/at-all", "exit code 127, it is not found: "),
        ("/dev/null", "exit code 126, it cannot be executed: "),
        ("kill -9 $$", "killed by SIGKILL"),
        ("echo begun; kill -TERM $$", "killed by SIGTERM: begun"),
        ("sh -c 'kill -KILL $$'; exit $?", "a part of it was killed by SIGKILL"),
    ],
)
def test_only_a_command_that_could_ask_says_anything(loop: EventLoop, script: str, error: str) -> None:
    answer = ask(loop, shell(script))
    assert answer is not None
    assert isinstance(answer, Unasked) is bool(error)
    assert answer.startswith(error)


@pytest.mark.parametrize("number", [errno.ENOMEM, errno.EAGAIN, errno.ENOENT, errno.EACCES])
def test_a_command_that_cannot_be_started(loop: EventLoop, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(subprocess, "Popen", refused)
    answer = ask(loop, shell("exit 0"))
    assert (answer, type(answer)) == (f"sh: {os.strerror(number)[0].lower()}{os.strerror(number)[1:]}", Unasked)


def test_a_high_code_that_no_shell_gave_is_an_answer(loop: EventLoop) -> None:
    target = ExecTarget((sys.executable, "-c", "raise SystemExit(137)"), None, dict(os.environ), Credentials())
    answer = ask(loop, target)
    assert (answer, type(answer)) == ("exit code 137", str)


def test_a_stopped_command_did_not_ask(loop: EventLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    stat = procfs.stat

    def stopped(pid: int) -> procfs.Stat | None:
        found = stat(pid)
        return found._replace(state="T") if found is not None else None

    monkeypatch.setattr(procfs, "stat", stopped)
    answer = ask(loop, shell("exec sleep 60", patience=2.0), timeout=0.1)
    assert (answer, type(answer)) == ("it is stopped", Unasked)


def test_a_command_that_ended_well_has_answered_also_after_its_timeout(loop: EventLoop) -> None:
    """A daemon that is late may fire the timer first; the exit status tells that the command was not killed."""
    answers: list[str | None] = []
    before = set(procfs.children(os.getpid()))
    shell("exit 0").begin(loop, 1e-9, lambda error, _at: answers.append(error))
    (child,) = set(procfs.children(os.getpid())) - before
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    run_until(loop, lambda: answers)
    assert answers == [None]


# -- waiting for a CPU -----------------------------------------------------------------------------------------------


@pytest.fixture
def starving(loop: EventLoop, calm: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command waits for a CPU for all of its life, by its figures."""
    began = loop.now()

    def waits(pids: list[int], _cgroup: object) -> dict[int, Waited]:
        return {pids[0]: Waited(loop.now() - began, wants=True)}

    monkeypatch.setattr(exec_target, "read_waits", waits)


def test_time_without_a_cpu_is_not_counted(loop: EventLoop, starving: None, tmp_path: Path) -> None:
    """The command answers long after its timeout, when the test lets it."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    answers: list[str | None] = []
    delays: list[float] = []
    began = loop.now()
    target = shell(f"read line <{fifo}", patience=1e6, delayed=delays.append)
    target.begin(loop, 0.05, lambda error, _at: answers.append(error))
    begun = loop.now()
    passed: list[bool] = []
    loop.call_at(loop.now() + 0.5, lambda: passed.append(True))
    run_until(loop, lambda: passed)
    assert answers == []
    assert len(delays) == 1 and began <= delays[0] <= begun, "it is told once, with the moment of its start"
    fifo.write_text("go\n")
    run_until(loop, lambda: answers)
    assert answers == [None]


def test_a_starved_command_did_not_ask(loop: EventLoop, starving: None) -> None:
    before = loop.now()
    answer = ask(loop, shell("echo begun; exec sleep 60", patience=1.0), timeout=1.0)
    assert isinstance(answer, Unasked)
    lasted = re.fullmatch(r"starved of CPU: it waited 100 % of (\d+\.\d) s: begun", answer)
    assert lasted is not None and 1.0 <= float(lasted[1]) <= loop.now() - before + 0.1, "rounded to tenths"


def test_a_command_that_had_its_time_did_ask_however_long_it_had_waited(
    loop: EventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that gets a CPU late, and then waits for a service that hangs."""
    began = loop.now()
    monkeypatch.setattr(
        exec_target,
        "read_waits",
        lambda pids, _cgroup: {pids[0]: Waited(min(loop.now() - began, 0.5), sleeps=int(loop.now() - began > 0.5))},
    )
    answer = ask(loop, shell("exec sleep 60", patience=1e6), timeout=0.2)
    assert (answer, isinstance(answer, Unasked)) == ("no answer within 0.2s", False)


def test_what_a_starved_command_says_by_itself_proves_nothing(loop: EventLoop, starving: None) -> None:
    """As of a client with a time limit of its own."""
    answer = ask(loop, shell("sleep 1; echo no reply; exit 69"))
    assert isinstance(answer, Unasked)
    assert answer.endswith("; exit code 69: no reply")


def test_a_command_that_sleeps_has_its_timeout(loop: EventLoop) -> None:
    answer = ask(loop, shell("exec sleep 60"), timeout=0.2)
    assert (answer, isinstance(answer, Unasked)) == ("no answer within 0.2s", False)


# -- what a command leaves -------------------------------------------------------------------------------------------


@pytest.fixture
def commands(loop: EventLoop, tmp_path: Path) -> Iterator[CommandTrees]:
    become_subreaper()
    yield CommandTrees(loop, tmp_path.name, set())
    become_subreaper(False)


Find = Callable[[], list[int]]


@pytest.fixture
def left(tmp_path: Path) -> Iterator[Find]:
    """The processes that keep the file `held` open."""
    held = tmp_path / "held"
    held.touch()

    def find() -> list[int]:
        found = []
        for pid in procfs.pids():
            try:
                files = Path(f"/proc/{pid}/fd").iterdir()
                if pid != os.getpid() and any(file.readlink() == held for file in files):
                    found.append(pid)
            except OSError:
                continue
        return found

    yield find
    for pid in find():
        os.kill(pid, 9)


LEAVE = [
    "sleep 600 &",
    "setsid sleep 600 &",
    "(setsid sleep 600 &) &",
    "env -i setsid sleep 600 &",
    "(env -i setsid sh -c 'sleep 600 & sleep 600' &) &",
]


@pytest.mark.parametrize("child", LEAVE)
@pytest.mark.parametrize("end", ["exit 0", "exit 1", "kill -9 $$", "exec sleep 600"])
def test_a_tree_ends_with_its_command(
    loop: EventLoop, commands: CommandTrees, left: Find, tmp_path: Path, child: str, end: str
) -> None:
    began = tmp_path / "began"
    os.mkfifo(began)
    script = f"exec 9<{tmp_path}/held; {child} read line <{began}; {end}"
    answers: list[str | None] = []
    shell(script, tree=lambda: commands.begin("web@1")).begin(loop, 0.5, lambda error, _at: answers.append(error))
    count = 1 + child.count("sleep")
    run_until(loop, lambda: len(left()) >= count or answers)
    if not answers:  # else its timeout came first, on a busy host
        began.write_text("go\n")
    run_until(loop, lambda: answers)
    run_until(loop, lambda: not left() and not commands._taken)


def test_commands_at_the_same_time_do_not_end_each_other(loop: EventLoop, commands: CommandTrees) -> None:
    answers: list[str | None] = []
    long = shell("sleep 600 & wait", tree=lambda: commands.begin("web@1"))
    cancel = long.begin(loop, 60.0, lambda error, _at: answers.append(error))
    assert ask(loop, shell("exit 0", tree=lambda: commands.begin("web@1"))) is None
    assert answers == [] and list(commands._taken) == [0]
    cancel()
    run_until(loop, lambda: not commands._taken)
    assert answers == []


def test_too_many_tasks(loop: EventLoop, commands: CommandTrees) -> None:
    answers: list[str | None] = []
    target = shell("sleep 600 & sleep 600 & sleep 600", tree=lambda: commands.begin("web@1"))
    target.begin(loop, 60.0, lambda error, _at: answers.append(error))
    (tree,) = commands._taken.values()
    run_until(loop, lambda: commands._tasks([tree]) == 4)
    commands.limit("web@2", 1)
    commands.limit("web@1", 4)
    assert tree.fault is None
    commands.limit("web@1", 3)
    run_until(loop, lambda: answers)
    assert answers == ["killed: more than 3 processes and threads (max_tasks)"]
    assert isinstance(answers[0], Unasked)


def test_no_place_is_left(loop: EventLoop, commands: CommandTrees) -> None:
    while len(commands._taken) < 256:
        commands.begin("web@1")
    answer = ask(loop, shell("exit 0", tree=lambda: commands.begin("web@1")))
    assert isinstance(answer, Unasked) and answer.endswith("too many probes and hooks are under way")


def test_the_end_waits_until_all_is_gone(loop: EventLoop, commands: CommandTrees) -> None:
    finished: list[list[str]] = []
    commands.finish(finished.append)
    assert finished == [[]]
    shell("setsid sleep 600", tree=lambda: commands.begin("web@1")).begin(loop, 60.0, lambda _error, _at: None)
    commands.finish(finished.append)
    assert len(finished) == 1
    run_until(loop, lambda: len(finished) == 2)
    assert finished[1] == [] and not commands._taken


def test_what_cannot_be_killed_is_named(
    loop: EventLoop, commands: CommandTrees, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = commands.begin("web@1")
    process = subprocess.Popen(["sleep", "600"], env={**os.environ, **tree.environment})
    tree.started(process.pid)
    while (stat := procfs.stat(process.pid)) is not None and stat.state != "S":
        os.sched_yield()
    monkeypatch.setattr(CommandTree, "kill", lambda _self: None)
    finished: list[list[str]] = []
    commands.finish(finished.append)
    run_until(loop, lambda: finished)
    assert finished == [[f"{process.pid} sleep (S) of web@1"]]
    process.kill()
    process.wait()


def test_the_mark_of_a_command_is_no_instances() -> None:
    assert marks.command_identity("id", 3) == ("id", "command 3")


# -- what the command gets and gives ---------------------------------------------------------------------------------


def test_the_command_knows_the_main_process_of_its_service(loop: EventLoop) -> None:
    told: list[tuple[bytes, float, float]] = []
    target = shell("echo $MAINPID", main=lambda: 4711, output=lambda *run: told.append(run))
    before = loop.now()
    assert ask(loop, target) is None
    ((text, began, ended),) = told
    assert text == b"4711\n"
    assert before <= began <= ended <= loop.now()


def test_only_what_a_successful_command_says_counts(loop: EventLoop) -> None:
    told: list[bytes] = []
    error = ask(loop, shell("echo 7 0; exit 1", output=lambda text, _began, _ended: told.append(text)))
    assert error == "exit code 1: 7 0"
    assert told == []


def test_a_long_output_is_kept_where_it_is_read(loop: EventLoop) -> None:
    told: list[bytes] = []
    assert ask(loop, shell("seq 9999", output=lambda text, _began, _ended: told.append(text))) is None
    assert told[0].split()[0] == b"1"
