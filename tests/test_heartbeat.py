"""The client that a supervised program uses: real datagrams, real forks, and a supervisor that is away."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from supervisor.core.model.sdnotify import Message, parse
from supervisor.heartbeat import Heartbeat
from tests.e2e.conftest import PATIENCE, ROOT

EXAMPLES = ROOT / "examples" / "heartbeat"
NEXT = "2000"  # WATCHDOG_USEC whose next beat is due in a quarter of a millisecond
LATER = str(10**12)  # … and one whose second beat never comes in a test


class Ear:
    """A notify socket, and what it hears."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(PATIENCE)

    def close(self) -> None:
        self._socket.close()

    def environment(self, watchdog: str | None = LATER, **more: str) -> dict[str, str]:
        asked = {"WATCHDOG_USEC": watchdog} if watchdog is not None else {}
        return {"NOTIFY_SOCKET": str(self.path), **asked, **more}

    def raw(self) -> bytes:
        datagram = self._socket.recv(4096)
        if b"FDSTORE" not in datagram and b"BARRIER" not in datagram:
            return datagram
        return self.raw()

    def hear(self) -> Message:
        """The next datagram."""
        said = parse(self.raw())
        assert said is not None
        return said

    def until_beat(self) -> Message:
        while not (said := self.hear()).beat:
            pass
        return said

    def waiting(self) -> list[bytes]:
        """What has come by now; nothing is waited for."""
        found: list[bytes] = []
        self._socket.setblocking(False)
        try:
            while True:
                found.append(self._socket.recv(4096))
        except BlockingIOError:
            return found
        finally:
            self._socket.settimeout(PATIENCE)


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[Ear]:
    ear = Ear(tmp_path / "notify")
    yield ear
    ear.close()


# -- what is said ------------------------------------------------------------------------------------------------


def test_each_call_says_what_it_is_named_after(ear: Ear) -> None:
    heart = Heartbeat(environ=ear.environment())
    heart.ready()
    assert ear.hear() == Message(ready=True)
    heart.status("two\nlines  and a\tbell\udcff READY=1")
    assert ear.hear() == Message(status="two lines and a bell? READY=1")
    heart.stopping()
    assert ear.hear() == Message(stopping=True)
    heart.status("x" * 10_000)
    assert ear.hear().status == "x" * 256


def test_a_beat_says_when_it_was_sent(ear: Ear) -> None:
    before = time.monotonic()
    Heartbeat(environ=ear.environment()).beat()
    said = ear.hear()
    assert said.beat
    assert said.sent is not None
    assert before - 1e-6 <= said.sent <= time.monotonic()


def test_the_context_says_ready_and_stopping_also_when_it_fails(ear: Ear) -> None:
    with pytest.raises(ZeroDivisionError), Heartbeat(environ=ear.environment()) as heart:
        assert ear.hear().ready
        heart.background()
        raise ZeroDivisionError
    assert ear.hear().stopping


def test_a_name_in_the_abstract_space(ear: Ear) -> None:
    name = f"phi-heartbeat-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind("\0" + name)
        bound.settimeout(PATIENCE)
        Heartbeat(environ={"NOTIFY_SOCKET": "@" + name}).ready()
        assert bound.recv(100) == b"READY=1"


# -- how often ---------------------------------------------------------------------------------------------------


def test_a_million_calls_send_one_datagram(ear: Ear) -> None:
    heart = Heartbeat(environ=ear.environment())
    for _ in range(1_000_000):
        heart.beat()
    assert len(ear.waiting()) == 1


def test_many_threads_send_one_datagram(ear: Ear) -> None:
    heart = Heartbeat(environ=ear.environment())
    together = threading.Barrier(8)

    def beat() -> None:
        together.wait()
        for _ in range(1000):
            heart.beat()

    threads = [threading.Thread(target=beat) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ear.waiting()) == 1


def test_the_next_beat_goes_out_a_quarter_of_the_interval_later(ear: Ear) -> None:
    heart = Heartbeat(environ=ear.environment(str(80_000)))  # an interval of 40 ms
    began, count = time.monotonic(), 0
    while count < 10:
        heart.beat()
        count += len(ear.waiting())
    assert time.monotonic() - began > 9 * 0.01
    assert Heartbeat(environ=ear.environment("80000")).interval == 0.04


def test_the_program_may_set_the_interval_itself(ear: Ear) -> None:
    heart = Heartbeat(60.0, ear.environment(None))
    heart.beat()
    assert ear.hear().beat
    assert heart.interval == 60.0


# -- inert -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"WATCHDOG_USEC": "1000"},
        {"NOTIFY_SOCKET": ""},
        {"NOTIFY_SOCKET": "vsock:2:1234", "WATCHDOG_USEC": "1000"},
        {"NOTIFY_SOCKET": "/nowhere/at/all", "WATCHDOG_USEC": "1000"},
        {"NOTIFY_SOCKET": "/" + "x" * 500, "WATCHDOG_USEC": "1000"},
        {"NOTIFY_SOCKET": "/with\0nul", "WATCHDOG_USEC": "1000"},
    ],
)
def test_without_a_supervisor_nothing_happens(environ: dict[str, str]) -> None:
    heart = Heartbeat(environ=environ)
    with heart as same:
        assert same is heart
        heart.status("x")
        heart.background()
        heart.progress()
        for _ in range(3):
            heart.beat()
        assert list(heart.each("abc")) == ["a", "b", "c"]
        assert heart.beats(len)("abc") == 3
        heart.adopt()


@pytest.mark.parametrize("watchdog", [None, "", "0", "-5", "1e3", "١", "9" * 5000])
def test_without_a_watchdog_no_beats(ear: Ear, watchdog: str | None) -> None:
    heart = Heartbeat(environ=ear.environment(watchdog))
    assert heart.interval is None
    heart.beat()
    asyncio.run(heart.beating())  # returns
    heart.ready()
    assert ear.waiting() == [b"READY=1"]


def test_a_watchdog_for_somebody_else(ear: Ear) -> None:
    Heartbeat(environ=ear.environment(WATCHDOG_PID="1")).beat()
    assert not ear.waiting()
    Heartbeat(environ=ear.environment(WATCHDOG_PID=str(os.getpid()))).beat()
    assert ear.hear().beat


# -- a supervisor that is slow, or away --------------------------------------------------------------------------


def test_nobody_waits_for_a_full_queue(ear: Ear) -> None:
    heart = Heartbeat(environ=ear.environment(NEXT))
    filler = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    filler.setblocking(False)
    with filler, pytest.raises(BlockingIOError):
        while True:
            filler.sendto(b"X=1", str(ear.path))
    heart.beat()  # dropped
    heart.ready()  # kept
    assert all(datagram == b"X=1" for datagram in ear.waiting())
    assert ear.hear().ready, "said again by itself, when there is room"


def test_what_was_said_while_the_supervisor_was_away_goes_out_with_the_next_beat(ear: Ear, tmp_path: Path) -> None:
    heart = Heartbeat(environ={"NOTIFY_SOCKET": str(tmp_path / "later"), "WATCHDOG_USEC": NEXT})
    heart.ready()
    heart.status("one")
    heart.status("two")
    ear = Ear(tmp_path / "later")
    try:
        while not (found := ear.waiting()):
            heart.beat()
        said = parse(found[0])
        assert said is not None
        assert (said.ready, said.status) == (True, "two")
        while not (found := ear.waiting()):
            heart.beat()
        assert b"STATUS" not in found[0], "said once"
    finally:
        ear.close()


def test_a_program_that_closes_every_descriptor_goes_on_beating(ear: Ear) -> None:
    code = (
        "import os\nfrom supervisor import heartbeat\nheartbeat.ready()\nos.closerange(3, 100)\n"
        "a, b = os.pipe()\nheartbeat.beat()\n"
    )
    subprocess.run([sys.executable, "-c", code], env=os.environ | ear.environment(), check=True)
    assert ear.hear().ready
    assert ear.hear().beat


# -- ways to beat ------------------------------------------------------------------------------------------------


def test_a_loop_beats_with_every_item(ear: Ear) -> None:
    heart = Heartbeat(environ=ear.environment(NEXT))
    for _ in heart.each(range(3)):
        assert ear.hear().beat
        while time.monotonic() < heart._next:
            os.sched_yield()
    assert not ear.waiting()


def test_a_handler_beats_with_every_call(ear: Ear) -> None:
    @Heartbeat(environ=ear.environment()).beats
    def handle(a: int, *, b: int) -> int:
        """What it does."""
        return a + b

    assert handle(1, b=2) == 3
    assert ear.hear().beat
    assert (handle.__name__, handle.__doc__) == ("handle", "What it does.")


def test_the_thread_beats_only_while_there_is_progress(ear: Ear, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[float] = []
    look = Heartbeat._beat_if_moved

    def looked(heart: Heartbeat, patience: float) -> None:
        look(heart, patience)
        looks.append(patience)

    monkeypatch.setattr(Heartbeat, "_beat_if_moved", looked)
    heart = Heartbeat(environ=ear.environment("4000"))
    heart.background()
    try:
        heart.progress()
        ear.until_beat()
        ear.waiting()
        seen = len(looks)
        while len(looks) < seen + 10:
            os.sched_yield()
        assert not ear.waiting(), "the main loop hangs here, and its thread lives"
        heart.progress()
        ear.until_beat()
    finally:
        heart.stop_background()


def test_the_thread_has_patience_with_long_steps(ear: Ear) -> None:
    heart = Heartbeat(environ=ear.environment("4000"))
    heart.background(patience=1000.0)
    try:
        assert [ear.hear().beat for _ in range(5)] == [True] * 5
    finally:
        heart.stop_background()


def test_patience_ends() -> None:
    heart = Heartbeat(environ={})
    beats: list[None] = []
    heart.beat = lambda: beats.append(None)  # type: ignore[method-assign]
    heart._moved_at = time.monotonic() - 5.0
    heart._beat_if_moved(patience=10.0)
    assert len(beats) == 1
    heart._beat_if_moved(patience=4.0)
    assert len(beats) == 1
    heart.progress()
    heart._beat_if_moved(patience=0.0)
    heart._beat_if_moved(patience=0.0)
    assert len(beats) == 2


def test_a_second_background_replaces_the_first(ear: Ear) -> None:
    heart = Heartbeat(environ=ear.environment())
    before = set(threading.enumerate())
    heart.background()
    (first,) = set(threading.enumerate()) - before
    heart.background()
    first.join(PATIENCE)
    assert not first.is_alive()
    heart.stop_background()


def test_the_event_loop_beats_and_a_blocked_one_does_not(ear: Ear) -> None:
    heart = Heartbeat(environ=ear.environment("4000"))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.create_task(heart.beating())
        for _ in range(3):
            assert (await loop.run_in_executor(None, ear.hear)).beat
        ear.waiting()
        time.sleep(0.02)  # which a program should not do here
        assert not ear.waiting()
        task.cancel()

    asyncio.run(main())


def test_a_loop_that_turns_without_progress_is_silent_too(ear: Ear) -> None:
    heart = Heartbeat(environ=ear.environment("4000"))

    async def main() -> None:
        task = asyncio.create_task(heart.beating(patience=0.0))
        for _ in range(20):
            await asyncio.sleep(0.002)
        assert not ear.waiting()
        heart.progress()
        await asyncio.get_running_loop().run_in_executor(None, ear.until_beat)
        task.cancel()

    asyncio.run(main())


# -- processes ---------------------------------------------------------------------------------------------------


def test_a_fork_is_silent_until_it_adopts_the_line(ear: Ear) -> None:
    code = (
        "import os, sys\n"
        "from supervisor import heartbeat\n"
        "heartbeat.ready()\n"
        "child = os.fork()\n"
        "if child: os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
        "heartbeat.status('not me'); heartbeat.beat(); heartbeat.stopping()\n"
        "heartbeat.adopt(); heartbeat.status('me'); heartbeat.beat()\n"
        "os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", code], env=os.environ | ear.environment(), check=True)
    assert ear.hear().ready
    assert ear.hear().status == "me"
    assert ear.hear().beat
    assert not ear.waiting()


def test_a_fork_while_another_thread_sends_cannot_deadlock(ear: Ear) -> None:
    heart = Heartbeat(environ=ear.environment())
    heart._lock.acquire()
    child = os.fork()
    if not child:
        signal.alarm(10)
        threading.Thread(target=lambda: (heart.beat(), heart.adopt(), heart.beat(), os._exit(0))).start()
        threading.Event().wait()
    heart._lock.release()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert ear.hear().beat


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_worker_of_multiprocessing_is_not_the_service(ear: Ear, tmp_path: Path, method: str) -> None:
    program = tmp_path / "pool.py"
    program.write_text(
        "import multiprocessing\n"
        "from supervisor import heartbeat\n"
        "def work(adopted):\n"
        "    if adopted: heartbeat.adopt()\n"
        "    heartbeat.status(f'worker {adopted}'); heartbeat.beat()\n"
        "if __name__ == '__main__':\n"
        f"    context = multiprocessing.get_context({method!r})\n"
        "    for adopted in (False, True):\n"
        "        one = context.Process(target=work, args=(adopted,)); one.start(); one.join()\n"
        "    heartbeat.status('main')\n"
    )
    subprocess.run([sys.executable, str(program)], env=os.environ | ear.environment(), check=True)
    assert ear.hear().status == "worker True"
    assert ear.hear().beat
    assert ear.hear().status == "main"


def test_programs_that_it_starts_inherit_no_line_if_it_says_so(ear: Ear) -> None:
    code = (
        "import os, subprocess, sys\n"
        "from supervisor import heartbeat\n"
        "heartbeat.unset_environment()\n"
        "subprocess.run([sys.executable, '-c', 'from supervisor import heartbeat; heartbeat.ready()'], check=True)\n"
        "heartbeat.beat()\n"
    )
    subprocess.run([sys.executable, "-c", code], env=os.environ | ear.environment(), check=True)
    assert ear.hear().beat
    assert not ear.waiting()


# -- the file itself ---------------------------------------------------------------------------------------------


def test_the_stacks_on_a_signal(tmp_path: Path) -> None:
    code = (
        "import threading, sys\n"
        "from supervisor import heartbeat\n"
        "assert heartbeat.dump_on()\n"
        "assert not heartbeat.dump_on(9) and not heartbeat.dump_on(12345)\n"
        "def hangs_here(): print('x', flush=True); lock.acquire()\n"
        "lock = threading.Lock(); lock.acquire(); hangs_here()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.send_signal(signal.SIGUSR2)
        assert "most recent call first" in process.stderr.readline()
        assert "in hangs_here" in process.stderr.readline()
        process.kill()


def test_it_imports_nothing_heavy_and_nothing_of_ours() -> None:
    code = "import sys, supervisor.heartbeat; print(*sys.modules)"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    assert {name for name in loaded if name.startswith("supervisor")} == {"supervisor", "supervisor.heartbeat"}
    assert not {"asyncio", "typing", "logging", "multiprocessing", "faulthandler", "subprocess"} & loaded


def test_a_copy_of_the_file_serves_an_older_python(ear: Ear, tmp_path: Path) -> None:
    places = [shutil.which("python3.8"), str(Path.home() / ".pyenv/versions/3.8.18/bin/python")]
    runs = [p for p in places if p and subprocess.run([p, "-c", ""], capture_output=True, check=False).returncode == 0]
    if not runs:
        pytest.skip("no Python 3.8 here")
    shutil.copy(ROOT / "supervisor" / "heartbeat.py", tmp_path / "beat.py")
    code = "import beat; beat.beat(); beat.background(); list(beat.each([1])); beat.dump_on()"
    subprocess.run([runs[0], "-c", code], cwd=tmp_path, env=os.environ | ear.environment(), check=True)
    assert ear.hear().beat


# -- examples ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        [sys.executable, "loop.py"],
        [sys.executable, "queue_worker.py"],
        [sys.executable, "long_steps.py"],
        [sys.executable, "event_loop.py"],
        ["sh", "notify.sh"],
        ["node", "worker.js"],
        ["go", "worker.go"],
    ],
    ids=lambda command: command[1],
)
def test_an_example_says_that_it_is_ready_and_beats(ear: Ear, tmp_path: Path, command: list[str]) -> None:
    program, source = command[0], str(EXAMPLES / command[1])
    if shutil.which(program) is None:
        pytest.skip(f"no {program} here")
    if program in ("sh", "node") and shutil.which("systemd-notify") is None:
        pytest.skip("no systemd-notify here")
    run = [program, source]
    if program == "go":
        run = [str(tmp_path / "worker")]
        subprocess.run(["go", "build", "-o", run[0], source], env=os.environ | {"GO111MODULE": "off"}, check=True)
    process = subprocess.Popen(run, env=os.environ | ear.environment("400000"), stdout=subprocess.DEVNULL)
    try:
        said: list[Message] = []
        while not any(m.ready for m in said) or sum(m.beat for m in said) < 3:
            said.append(ear.hear())
            assert len(said) < 1000
    finally:
        process.kill()
        process.wait()


def test_an_example_without_a_supervisor_runs_just_so(tmp_path: Path) -> None:
    environ = {k: v for k, v in os.environ.items() if k not in ("NOTIFY_SOCKET", "WATCHDOG_USEC")}
    command = ["sh", str(EXAMPLES / "plain.sh")]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert list(islice(process.stdout, 3)) == ["ready\n", "job 1 done\n", "job 2 done\n"]
        process.kill()


def test_work_of_known_length_is_announced_and_its_end_is_told_at_once(ear: Ear) -> None:
    heart = Heartbeat(environ=ear.environment())
    heart.beat()
    heart.busy(2.5, "a\ntask")
    heart.beat()
    heart.beat()  # not due yet
    heart.busy()
    heard = [ear.hear() for _ in range(4)]
    assert [said.beat for said in heard] == [True] * 4
    assert [(said.busy, said.doing) for said in heard] == [(None, ""), (2.5, "a task"), (None, ""), (float("inf"), "")]


def test_a_process_that_waits_beats_by_a_signal_and_one_that_works_does_not(ear: Ear) -> None:
    """The read is not interrupted by it, and a child of its own does not beat for it."""
    before = signal.getsignal(signal.SIGALRM)
    heart = Heartbeat(environ=ear.environment(str(40_000)))
    heart.idle()
    try:
        assert [ear.until_beat().beat for _ in range(4)] == [True] * 4
        heart.busy(1.0)
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
        while ear.hear().busy is None:
            pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def test_a_child_that_inherits_the_beater_beats_for_itself(ear: Ear) -> None:
    heart = Heartbeat(environ=ear.environment(NEXT))
    child = os.fork()
    if child == 0:
        heart.beat()  # it would be for the parent
        heart.adopt()
        heart.busy(7.0)
        os._exit(0)
    os.waitpid(child, 0)
    assert ear.hear().busy == 7.0
