"""The daemon is killed at any moment without harm to services; the judge is tested with planted violations."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scripts.tools.chaos import judge, output_check, proc_view, soak
from tests.e2e.conftest import PATIENCE, ROOT


def chaos(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "scripts.tools.chaos", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_daemon_is_killed_a_dozen_times_and_nothing_is_lost() -> None:
    done = chaos("--soak", "--kills", "12", "--seed", "3", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["kills"] == 12
    assert report["violations"] == []
    assert report["lines"] > 500
    assert report["starts"] > 20 + report["done"]["killed"] // 2


HARDSHIPS = (
    *("full-disk", "read-only", "few-descriptors", "no-processes", "clock-stepped"),
    *("ledger-flipped-down", "ledger-flipped-up"),
    *("socket-removed", "pipe-removed", "runtime-dir-removed", "plan-garbage"),
)


@pytest.mark.parametrize("name", HARDSHIPS)
def test_a_hardship_is_endured(name: str) -> None:
    done = chaos("--hardship", name)
    if "skipped" in done.stdout:
        pytest.skip(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr


def test_many_are_adopted_and_nobody_is_suspected() -> None:
    done = chaos("--adopt", "30", "--for", "6s", "--json")
    report = json.loads(done.stdout)
    assert report["adopted"] == 30, done.stderr
    assert report["suspicions"] == 0
    assert {violation["kind"] for violation in report["violations"]} <= {"late"}, "other tests run at the same time"


def test_the_hardships_are_listed() -> None:
    done = chaos("--hardship", "list")
    assert done.returncode == 0
    assert tuple(line.split()[0] for line in done.stdout.splitlines()) == HARDSHIPS


# -- the judge itself: without a daemon, on programs that we start as a daemon would --------------------------------


@pytest.fixture(scope="module")
def parts() -> SimpleNamespace:
    return SimpleNamespace(judge=judge, output_check=output_check, proc_view=proc_view, soak=soak)


class Scene:
    """An instance `a` whose output goes to log/a.log, and its judge."""

    def __init__(self, place: Path, parts: SimpleNamespace) -> None:
        self.place, self.parts = place, parts
        for name in ("locks", "counts", "log"):
            (place / name).mkdir()
        self.judge = parts.judge.Judge(place)
        self.judge.not_to_reap = Everybody()
        self.log = place / "log" / "a.log"
        self.programs: list[subprocess.Popen[bytes]] = []

    def run(self, role: str) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            program = subprocess.Popen(
                [
                    sys.executable,
                    "-I",
                    "-S",
                    str(ROOT / "scripts" / "tools" / "chaos" / "program.py"),
                    role,
                    str(self.place),
                ],
                stdout=log,
                env={"SUPERVISOR_INSTANCE": "a", self.parts.proc_view.MARK: str(self.place)},
            )
        self.programs.append(program)
        self.until(lambda: any(life.process.pid == program.pid for life in self.judge.lives.values()))
        return program

    def end(self, program: subprocess.Popen[bytes], number: int = signal.SIGKILL) -> None:
        program.send_signal(number)
        program.wait(PATIENCE)
        self.until(lambda: not any(life.process.pid == program.pid for life in self.judge.processes("a")))

    def until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline
            self.judge.look(0.01)

    def has_said(self, lines: int) -> None:
        self.until(lambda: self.log.read_bytes().count(b"\n") >= lines)

    def output(self, *, held: bool = True) -> list[str]:
        found = self.parts.output_check.Output("a").read(self.place / "log").judge(self.judge, held)
        return [violation.kind for violation in found]


class Everybody(set[int]):
    """The test waits for its children itself."""

    def __contains__(self, pid: object) -> bool:
        return True


@pytest.fixture
def scene(tmp_path: Path, parts: SimpleNamespace) -> Iterator[Scene]:
    made = Scene(tmp_path, parts)
    yield made
    for program in made.programs:
        program.kill()
        program.wait()
    for process, _ in parts.proc_view.marked(str(tmp_path)):
        parts.proc_view.send(process, signal.SIGKILL)


def kinds(violations: list[Any]) -> list[str]:
    return [violation.kind for violation in violations]


def test_nothing_is_found_where_nothing_is_wrong(scene: Scene) -> None:
    scene.judge.want("a", True)
    program = scene.run("chat")
    scene.has_said(20)
    assert scene.judge.unsettled() == []
    scene.judge.order("a", "stop")
    scene.end(program, signal.SIGTERM)
    scene.judge.want("a", False)
    assert scene.judge.unsettled() == scene.judge.restarts() == scene.judge.found == []
    assert scene.output() == []
    assert list(scene.parts.proc_view.marked(str(scene.place))) == []


def test_a_second_copy_is_found(scene: Scene) -> None:
    scene.run("quiet")
    scene.run("quiet")
    scene.until(lambda: len(scene.judge.found) >= 2)
    assert set(kinds(scene.judge.found)) == {"doubled"}
    texts = " ".join(violation.text for violation in scene.judge.found)
    assert "at once" in texts and "tree of an earlier one" in texts, "by the kernel's word and by the lock"


def test_a_start_beside_the_remains_of_the_last_one_is_found(scene: Scene) -> None:
    first = scene.run("fork")
    scene.until(lambda: len(scene.judge.processes("a")) >= 3)
    scene.end(first)
    scene.run("quiet")
    scene.until(lambda: scene.judge.found)
    assert kinds(scene.judge.found) == ["doubled"]


def test_a_restart_without_need_is_found(scene: Scene) -> None:
    scene.end(scene.run("quiet"))  # and the judge was not told
    scene.run("quiet")
    assert kinds(scene.judge.restarts()) == ["needless"]


def test_a_stop_without_need_is_found(scene: Scene) -> None:
    scene.end(scene.run("quiet"), signal.SIGTERM)
    scene.until(lambda: scene.judge.mains("a", alive=False)[0].told)
    assert kinds(scene.judge.restarts()) == ["needless"]


def test_one_order_excuses_one_restart(scene: Scene) -> None:
    scene.judge.order("a", "restart")
    for _ in range(2):
        scene.end(scene.run("quiet"))
    scene.run("quiet")
    assert kinds(scene.judge.restarts()) == ["needless"]


def test_a_kill_excuses_what_follows(scene: Scene) -> None:
    program = scene.run("quiet")
    (life,) = scene.judge.mains("a")
    scene.judge.kill(life.process, signal.SIGKILL)
    program.wait(PATIENCE)
    scene.run("quiet")
    assert scene.judge.restarts() == []


def test_a_lost_service_is_found(scene: Scene) -> None:
    scene.judge.want("a", True)
    assert kinds(scene.judge.unsettled()) == ["lost"]
    program = scene.run("quiet")
    assert scene.judge.unsettled() == []
    scene.judge.want("a", False)
    assert kinds(scene.judge.unsettled()) == ["lost"], "a stop that was not done"
    scene.judge.want("a", True, started_after=time.monotonic())
    assert kinds(scene.judge.unsettled()) == ["lost"], "a restart that was not done"
    scene.judge.want("a", True)
    scene.end(program)
    assert kinds(scene.judge.unsettled()) == ["lost"]


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (lambda lines: lines[:4] + lines[5:], ["line lost"]),
        (lambda lines: lines[:-1], ["line lost"]),
        (lambda lines: lines[:4] + lines[3:], ["line doubled"]),
        (lambda lines: lines + lines[-1:], ["line doubled"]),
        (lambda lines: [lines[0][:9], *lines[1:]], ["line torn", "line lost"]),
        (lambda lines: [*lines[:-1], lines[-1][:-4]], ["line torn", "line lost"]),
        (lambda lines: [*lines, b"[supervisor: 7 bytes of output lost here: No space]"], ["line torn"]),
        (lambda lines: lines[:1] + lines[2:3] + lines[1:2] + lines[3:], ["line lost", "line doubled"]),
    ],
)
def test_damaged_output_is_found(scene: Scene, damage: Callable[[list[bytes]], list[bytes]], found: list[str]) -> None:
    program = scene.run("chat")
    scene.has_said(20)
    scene.end(program)
    lines = scene.log.read_bytes().splitlines()
    scene.log.write_bytes(b"".join(line + b"\n" for line in damage(lines)))
    assert set(scene.output()) >= set(found)


def test_only_what_died_without_a_daemon_may_lose_its_last_lines(scene: Scene) -> None:
    program = scene.run("chat")
    scene.has_said(20)
    scene.judge.daemon_gone(time.monotonic())
    scene.end(program)
    scene.judge.daemon_there()
    lines = scene.log.read_bytes().splitlines()
    scene.log.write_bytes(b"".join(line + b"\n" for line in lines[:-2]))
    assert scene.output(held=False) == []
    assert scene.output(held=True) == ["line lost"]
    scene.log.write_bytes(b"".join(line + b"\n" for line in lines[:3] + lines[4:]))
    assert scene.output(held=False) == ["line lost"], "in the middle nothing is forgiven"


@pytest.mark.parametrize(("starved", "found"), [(True, []), (False, ["line lost"])])
def test_a_daemon_that_was_starved_until_it_died_is_not_to_blame(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, starved: bool, found: list[str]
) -> None:
    """Five seconds lie between the end of the program and that of the daemon."""
    scene.judge.daemon_began(os.getpid())
    program = scene.run("chat")
    scene.has_said(20)
    scene.end(program)
    lines = scene.log.read_bytes().splitlines()
    scene.log.write_bytes(b"".join(line + b"\n" for line in lines[:-2]))
    before = scene.parts.proc_view.busy(os.getpid())
    monkeypatch.setattr(scene.parts.proc_view, "busy", lambda _pid: before + 5.0 * starved)
    dead = time.monotonic() + 5.0
    scene.judge.daemon_gone(dead)
    scene.judge.daemon_dead(dead)
    assert scene.output(held=False) == found


def test_what_is_left_behind_is_found(scene: Scene) -> None:
    program = scene.run("fork")
    scene.until(lambda: len(scene.judge.processes("a")) >= 3)
    scene.end(program)
    left = scene.judge.left_behind()
    assert set(kinds(left)) == {"left behind"}
    assert {violation.instance for violation in left} == {"a"}
    assert str(os.getpid()) not in " ".join(violation.text for violation in left)


def test_growth_is_found(parts: SimpleNamespace) -> None:
    flat = [(5.0 * n, 80 + n % 2, 15_000_000 + n % 3 * 10_000) for n in range(100)]
    assert parts.soak.growth(flat) == []
    assert kinds(parts.soak.growth([(at, fds + int(at / 60), size) for at, fds, size in flat])) == ["growth"]
    assert kinds(parts.soak.growth([(at, fds, size + int(at * 20_000)) for at, fds, size in flat])) == ["growth"]
