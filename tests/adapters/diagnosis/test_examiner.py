"""The examination of suspects: real processes that hang, answer, are stopped, or cannot be asked."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from supervisor.adapters.diagnosis import pyspy
from supervisor.adapters.diagnosis.examiner import Confirm, Examiner
from supervisor.adapters.diagnosis.stack_dump import BYTES, LINES, catches
from supervisor.adapters.linux import procfs
from supervisor.adapters.processes.tree import Tree
from supervisor.core.model.spec import Evidence, ServiceSpec
from supervisor.core.text.stacks import frames
from tests.adapters.diagnosis.test_proc_snapshot import wait_for_stop
from tests.adapters.logs.capture import PLAIN, Capture
from tests.doubles.fakes import run_until

JSON = dict[str, Any]
SPEC = ServiceSpec(name="web", command=("x",))
DUMPING = replace(SPEC, dump_signal=signal.SIGUSR2)
HANGS = (
    "import faulthandler, signal, threading\n"
    "faulthandler.register(signal.SIGUSR2)\n"
    "lock = threading.Lock()\n"
    "def hangs_here(): print('hanging', flush=True); lock.acquire(); lock.acquire()\n"
    "hangs_here()\n"
)
needs_py_spy = pytest.mark.skipif(pyspy.program() is None, reason="py-spy is not installed")


class Members(Tree):
    """A tree of those that were named."""

    def __init__(self, *pids: int) -> None:
        super().__init__()
        self.pids = list(pids)

    def members(self) -> list[int]:
        return self.pids

    def belongs(self, pid: int) -> bool:
        return pid in self.pids


@dataclass
class Suspect:
    pid: int
    tree: Tree
    instance: str = "web"

    @property
    def key(self) -> str:
        return self.instance


Answer = tuple[bool, str | None, JSON, float, str | None]


def says(alive: bool, unasked: str | None = None) -> Confirm:
    """A probe that answers at once."""

    def confirm(answer: Callable[[bool, str | None], None]) -> Callable[[], None]:
        answer(alive, unasked)
        return lambda: None

    return confirm


class Practice:
    """An examiner on a real loop, and suspects whose output it can read."""

    def __init__(self, root: Path) -> None:
        self.capture = Capture(root)
        self.loop = self.capture.loop
        self.stream = self.capture.store.open("web", PLAIN)
        self.examiner = Examiner(self.loop, lambda _: self.stream)
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, code: str, *, says: str, program: str = sys.executable) -> Suspect:
        """Run it until it has said so."""
        heard: list[bytes] = []
        stop = self.stream.subscribe(heard.extend)
        output = self.stream.child_fd()
        process = subprocess.Popen([program, "-c", code], stdout=output, stderr=output, stdin=subprocess.DEVNULL)
        os.close(output)
        self.processes.append(process)
        run_until(self.loop, lambda: says.encode() in heard)
        stop()
        return Suspect(process.pid, Members(process.pid))

    def examine(
        self,
        suspect: Suspect,
        spec: ServiceSpec = SPEC,
        confirm: Confirm | None = None,
        within: float = 10.0,
        *,
        again: bool = False,
    ) -> Answer:
        answers: list[Answer] = []
        self.examiner.examine(suspect, spec, within, confirm, lambda *answer: answers.append(answer), again=again)
        run_until(self.loop, lambda: answers)
        assert json.dumps(answers[0], allow_nan=False)
        assert len(json.dumps(answers[0])) < 128 * 1024
        return answers[0]

    def next_turn(self) -> None:
        """Until the loop's clock has moved."""
        began = self.loop.now()
        run_until(self.loop, lambda: self.loop.now() > began)

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
        self.capture.close()


@pytest.fixture
def practice(tmp_path: Path) -> Iterator[Practice]:
    practice = Practice(tmp_path)
    yield practice
    practice.close()


@pytest.fixture
def no_spy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyspy, "program", lambda: None)


def test_a_dump_signal_brings_the_line_that_hangs(practice: Practice) -> None:
    suspect = practice.start(HANGS, says="hanging")
    alive, held, found, _, _ = practice.examine(suspect, DUMPING)
    assert (alive, held) == (False, None)
    (stack,) = found["stacks"]
    assert (stack["pid"], stack["how"]) == (suspect.pid, "SIGUSR2")
    assert str(frames(stack["lines"])[0]) == "hangs_here (<string>:4)"
    assert found["last_lines"] == ["hanging"], "what it said by itself, not what it was asked for"
    assert found["processes"][0]["pid"] == suspect.pid
    assert b"hangs_here" in practice.capture.kept(), "the dump is in the service's own log as well"


def test_that_a_process_is_asked_for_its_stacks_is_told_before(practice: Practice) -> None:
    """The question makes the process run, which is not to be taken for its own doing."""
    told: list[tuple[str, float]] = []
    practice.examiner.on_stacks = lambda instance, until: told.append((instance, until))
    suspect = practice.start(HANGS, says="hanging")
    practice.examine(suspect, DUMPING, says(True))
    assert told == [], "what answers is not asked"
    began = practice.loop.now()
    practice.examine(suspect, DUMPING)
    ((instance, until),) = told
    assert instance == "web" and began < until < practice.loop.now() + 1.0


@needs_py_spy
def test_py_spy_brings_it_where_no_signal_is_declared(practice: Practice) -> None:
    suspect = practice.start(HANGS.replace("faulthandler.register(signal.SIGUSR2)\n", ""), says="hanging")
    _, _, found, _, _ = practice.examine(suspect)
    (stack,) = found["stacks"]
    assert (stack["pid"], stack["how"]) == (suspect.pid, "py-spy")
    assert str(frames(stack["lines"])[0]) == "hangs_here (<string>:3)"
    assert not any("-c" in line for line in stack["lines"]), "no command line: secrets stand there"


def test_without_py_spy_there_is_the_look_alone(practice: Practice, no_spy: None) -> None:
    suspect = practice.start(HANGS, says="hanging")
    began = time.monotonic()
    _, _, found, _, _ = practice.examine(suspect)
    assert "stacks" not in found
    assert found["took_ms"] <= 1000 * (time.monotonic() - began) + 1


def test_who_has_no_handler_is_not_killed_by_the_question(practice: Practice, no_spy: None) -> None:
    suspect = practice.start("echo hanging; exec sleep 1000", says="hanging", program="sh")
    assert not catches(suspect.pid, signal.SIGUSR2)
    _, _, found, _, _ = practice.examine(suspect, DUMPING)
    assert found["stacks"] == [
        {"pid": suspect.pid, "how": "SIGUSR2", "error": "it has no handler for SIGUSR2, which would only end it"}
    ]
    assert practice.processes[0].poll() is None


def test_behind_a_wrapper_its_children_are_asked(practice: Practice) -> None:
    wrapper = practice.start("echo started; exec sleep 1000", says="started", program="sh")
    child = practice.start(HANGS, says="hanging")
    _, _, found, _, _ = practice.examine(Suspect(wrapper.pid, Members(wrapper.pid, child.pid)), DUMPING)
    (stack,) = found["stacks"]
    assert stack["pid"] == child.pid
    assert "hangs_here" in "\n".join(stack["lines"])


def test_who_catches_the_signal_and_says_nothing(practice: Practice, no_spy: None) -> None:
    code = (
        "import signal, time; signal.signal(signal.SIGUSR2, lambda *_: None); print('x', flush=True); time.sleep(1e4)"
    )
    began = time.monotonic()
    _, _, found, _, _ = practice.examine(practice.start(code, says="x"), DUMPING, within=1.0)
    assert time.monotonic() - began < 5.0
    assert found["stacks"][0]["error"] == "it wrote nothing"


def test_a_dump_without_an_end_is_cut(practice: Practice) -> None:
    code = (
        "import signal\n"
        "def flood(*_):\n"
        "    while True: print('a' * 1000)\n"
        "signal.signal(signal.SIGUSR2, flood)\n"
        "print('x', flush=True)\n"
        "while True: signal.pause()\n"
    )
    _, _, found, _, _ = practice.examine(practice.start(code, says="x"), DUMPING)
    lines = found["stacks"][0]["lines"]
    assert 0 < len(lines) <= LINES
    assert sum(map(len, lines)) <= BYTES


def test_nobody_is_asked_for_stacks_who_answers(practice: Practice) -> None:
    suspect = practice.start(HANGS, says="hanging")
    alive, _, found, _, _ = practice.examine(suspect, DUMPING, confirm=says(True))
    assert alive
    assert "stacks" not in found
    assert found["processes"]


def test_what_could_not_be_probed_is_not_asked_for_stacks(practice: Practice) -> None:
    suspect = practice.start(HANGS, says="hanging")
    alive, held, found, _, unasked = practice.examine(suspect, DUMPING, confirm=says(False, "no memory"))
    assert (alive, held, unasked) == (False, None, "no memory")
    assert "stacks" not in found


@needs_py_spy
def test_the_stacks_of_a_stopped_process(practice: Practice) -> None:
    """py-spy waits for ever for a process that is stopped, unless it is told not to stop it."""
    suspect = practice.start(HANGS, says="hanging")
    os.kill(suspect.pid, signal.SIGSTOP)
    wait_for_stop(suspect.pid)
    spy = pyspy.program()
    assert spy is not None
    seen: list[list[str]] = []
    pyspy.stacks(practice.loop, spy, suspect.pid, 30.0, lambda lines, _error: seen.append(lines))
    run_until(practice.loop, lambda: seen)
    assert any("<module>" in line for line in seen[0])


def test_who_is_stopped_is_held_and_not_asked_for_stacks(practice: Practice) -> None:
    suspect = practice.start(HANGS, says="hanging")
    os.kill(suspect.pid, signal.SIGSTOP)
    wait_for_stop(suspect.pid)
    spec = replace(DUMPING, evidence=Evidence.CORE)
    alive, held, found, _, _ = practice.examine(suspect, spec, confirm=says(False))
    assert (alive, held) == (False, "stopped (SIGSTOP)")
    assert not {"stacks", "core"} & found.keys()


def test_one_stopped_worker_of_several_holds_only_until_the_others_could_have_answered(practice: Practice) -> None:
    main, worker, other = (practice.start(HANGS, says="hanging") for _ in range(3))
    os.kill(worker.pid, signal.SIGSTOP)
    wait_for_stop(worker.pid)
    service = Suspect(main.pid, Members(main.pid, worker.pid, other.pid))
    _, held, found, *_ = practice.examine(service)
    assert held == f"stopped (SIGSTOP): pid {worker.pid}, until the others could have answered"
    assert found["others_can_run"]
    ran = 0.0
    for _ in range(100):  # on a busy host it may wait for a CPU at first
        practice.next_turn()
        ran = practice.examine(service, again=True)[3]
        if ran:
            break
    assert ran > 0.0, "the time of the others counts"
    os.kill(main.pid, signal.SIGSTOP)
    wait_for_stop(main.pid)
    _, held, found, *_ = practice.examine(service)
    assert held == "stopped (SIGSTOP)"
    assert "others_can_run" not in found


def test_a_stopped_process_behind_a_wrapper_holds_all(practice: Practice) -> None:
    wrapper = practice.start("sleep 1000 & echo started; wait", says="started", program="sh")
    (child,) = procfs.children(wrapper.pid)
    os.kill(child, signal.SIGSTOP)
    try:
        run_until(practice.loop, lambda: (found := procfs.stat(child)) is not None and found.state == "T")
        service = Suspect(wrapper.pid, Members(wrapper.pid, child))
        _, held, found, *_ = practice.examine(service)
        assert held == f"stopped (SIGSTOP): pid {child}"
        assert "others_can_run" not in found
        practice.next_turn()
        ran = practice.examine(service, again=True)[3]
        assert ran == 0.0
    finally:
        os.kill(child, signal.SIGKILL)


def test_the_count_goes_on_from_what_an_earlier_daemon_counted(practice: Practice) -> None:
    suspect = practice.start(HANGS, says="hanging")
    answers: list[Answer] = []
    practice.examiner.examine(suspect, SPEC, 10.0, None, lambda *answer: answers.append(answer), ran=7.0)
    run_until(practice.loop, lambda: answers)
    assert answers[0][3] >= 7.0


def test_a_question_that_nobody_answers_ends_with_the_time(practice: Practice) -> None:
    suspect = practice.start(HANGS, says="hanging")
    answer: list[Callable[[bool, str | None], None]] = []
    cancelled: list[bool] = []

    def confirm(says: Callable[[bool, str | None], None]) -> Callable[[], None]:
        answer.append(says)
        return lambda: cancelled.append(True)

    began = time.monotonic()
    alive, _, found, _, unasked = practice.examine(suspect, DUMPING, confirm=confirm, within=0.4)
    assert not alive
    assert unasked == "no answer yet when the time for it was over"
    assert cancelled == [True]
    took = time.monotonic() - began
    assert 0.0 < float(found["cut_short"].removeprefix("after ").removesuffix(" s")) <= took + 0.1
    assert took < 5.0
    answer[0](False, None)  # too late, and harmless
    practice.loop.call_soon(lambda: None)
    practice.loop.turn()


@needs_py_spy
def test_a_spy_that_takes_too_long_is_killed(
    practice: Practice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "py-spy"
    slow.write_text("#!/bin/sh\nexec sleep 1000\n")
    slow.chmod(0o755)
    monkeypatch.setattr(pyspy, "program", lambda: str(slow))
    began = time.monotonic()
    _, _, found, _, _ = practice.examine(practice.start(HANGS, says="hanging"), within=0.6)
    assert time.monotonic() - began < 5.0
    assert "stacks" not in found or found["stacks"][0]["error"] == "py-spy took too long"
    assert practice.examiner.spies == 0


def test_a_spy_that_fails_says_why(practice: Practice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "py-spy"
    broken.write_text(
        "#!/bin/sh\necho 'Error: Permission Denied: Try running again with elevated permissions'\nexit 1\n"
    )
    broken.chmod(0o755)
    monkeypatch.setattr(pyspy, "program", lambda: str(broken))
    suspect = practice.start(HANGS, says="hanging")
    _, _, found, _, _ = practice.examine(suspect)
    assert found["stacks"][0]["error"].startswith("Permission Denied")
    monkeypatch.setattr(pyspy, "program", lambda: str(tmp_path / "nothing"))
    _, _, found, _, _ = practice.examine(suspect)
    assert found["stacks"][0]["error"] == "no such file or directory"


def test_only_so_many_spies_at_once(practice: Practice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyspy, "program", lambda: "/bin/true")
    practice.examiner.spies = 4
    _, _, found, _, _ = practice.examine(practice.start(HANGS, says="hanging"))
    assert found["stacks"][0]["error"] == "too many suspects at once"


def test_a_new_examination_calls_the_old_one_off(practice: Practice) -> None:
    suspect = practice.start(HANGS, says="hanging")
    first: list[Answer] = []
    practice.examiner.examine(suspect, DUMPING, 10.0, None, lambda *answer: first.append(answer))
    _, _, found, _, _ = practice.examine(suspect, DUMPING)
    assert found["stacks"][0]["lines"]
    assert not first
    assert practice.stream._subscribers == ()


def test_who_is_gone_is_no_error(practice: Practice) -> None:
    suspect = practice.start("print('x')", says="x")
    practice.processes[0].wait()
    alive, held, found, _, _ = practice.examine(suspect, replace(DUMPING, evidence=Evidence.CORE))
    assert (alive, held) == (False, None)
    assert found["processes"] == []
    assert practice.examine(Suspect(0, Members()), DUMPING)[2]["processes"] == []


def core_limit(pid: int) -> int:
    return resource.prlimit(pid, resource.RLIMIT_CORE)[0]


def test_a_core_file_is_made_possible_and_its_place_told(practice: Practice, no_spy: None) -> None:
    suspect = practice.start(HANGS, says="hanging")
    _, hard = resource.prlimit(suspect.pid, resource.RLIMIT_CORE)
    if hard == 0:
        pytest.skip("no core files are allowed here")
    resource.prlimit(suspect.pid, resource.RLIMIT_CORE, (0, hard))
    forbidden = replace(SPEC, evidence=Evidence.CORE, limits=(("core", 0),))
    assert practice.examine(suspect, forbidden)[2]["core"]["limit_bytes"] == 0
    assert core_limit(suspect.pid) == 0, "what was configured stands"
    core = practice.examine(suspect, replace(SPEC, evidence=Evidence.CORE))[2]["core"]
    assert core == {
        "pattern": Path("/proc/sys/kernel/core_pattern").read_text().strip(),
        "limit_bytes": None if hard == resource.RLIM_INFINITY else core_limit(suspect.pid),
        "directory": str(Path.cwd()),
    }
    assert core_limit(suspect.pid) in (hard, resource.RLIM_INFINITY)


JAVA = """
class Hang {
    static final Object lock = new Object();
    public static void main(String[] a) throws Exception {
        Thread t = new Thread(() -> { synchronized (lock) { try { Thread.sleep(1000000); } catch (Exception e) { } } });
        t.setDaemon(true); t.start();
        while (t.getState() != Thread.State.TIMED_WAITING) Thread.yield();
        Thread main = Thread.currentThread();
        Thread teller = new Thread(() -> {
            while (main.getState() != Thread.State.BLOCKED) Thread.yield();
            System.out.println("hanging"); System.out.flush();
        });
        teller.setDaemon(true); teller.start();
        take();
    }
    static void take() { synchronized (lock) { } }
}
"""


@pytest.mark.skipif(
    not shutil.which("java") or not shutil.which("javac"), reason="no Java, or none that can compile, is installed"
)
def test_java_dumps_its_threads_at_sigquit(practice: Practice, tmp_path: Path) -> None:
    (tmp_path / "Hang.java").write_text(JAVA)
    subprocess.run(["javac", "-d", str(tmp_path), str(tmp_path / "Hang.java")], check=True)
    suspect = practice.start(f"exec java -XX:+UseSerialGC -cp {tmp_path} Hang", says="hanging", program="sh")
    _, _, found, _, _ = practice.examine(suspect, replace(SPEC, dump_signal=signal.SIGQUIT))
    (stack,) = found["stacks"]
    assert str(frames(stack["lines"])[0]).startswith("Hang.take (Hang.java:")


SPINS = "import os; print('spinning', flush=True)\nwhile True: pass"


def crowd_out(practice: Practice, process: int, hog: int, waited: float = 0.3) -> None:
    """Let the one have a tenth of a CPU and the other the rest, until the one has waited for so many seconds.

    With less than that it would not run for many seconds where others want the CPU too, and the kernel counts the
    waiting when it ends."""
    cpu = {min(os.sched_getaffinity(0))}
    for pid in (process, hog):
        os.sched_setaffinity(pid, cpu)
    os.setpriority(os.PRIO_PROCESS, process, 10)
    enough = delay(process) + waited
    waits_until(practice, lambda: delay(process) >= enough)


def delay(pid: int) -> float:
    """Seconds that it has waited for a CPU, by the kernel's count."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9


def waits_until(practice: Practice, condition: Callable[[], bool]) -> None:
    """Look every 10 ms, because the kernel does not report that its counters have changed."""

    def there() -> bool:
        practice.loop.call_at(practice.loop.now() + 0.01, lambda: None)
        return condition()

    run_until(practice.loop, there, timeout=60)


def test_who_waits_for_a_cpu_is_held_and_its_waiting_does_not_count(practice: Practice) -> None:
    suspect = practice.start(SPINS, says="spinning")
    hog = practice.start(SPINS, says="spinning")
    crowd_out(practice, suspect.pid, hog.pid)
    _, held, found, ran, _ = practice.examine(suspect)
    assert held == found["held"] == "starved of CPU"
    assert found["waited"]["share"] > 0.5
    assert "stacks" not in found
    assert ran < 0.3
    enough = delay(suspect.pid) + 0.3
    waits_until(practice, lambda: delay(suspect.pid) >= enough)
    _, held, _, longer, _ = practice.examine(suspect, again=True)
    assert held == "starved of CPU"
    assert longer >= ran


def test_who_sleeps_is_not_starved_however_busy_the_host(practice: Practice) -> None:
    suspect = practice.start(HANGS, says="hanging")
    hog = practice.start(SPINS, says="spinning")
    crowd_out(practice, suspect.pid, hog.pid, waited=0.0)
    _, held, found, _, _ = practice.examine(suspect)
    assert held is None
    assert found["waited"]["share"] < 0.5


def test_who_waits_for_a_cpu_is_held_also_where_no_time_is_left_for_a_second_look(practice: Practice) -> None:
    """So it is where the daemon waits for a CPU as well.  The last look is at the end of the time; nothing is asked."""
    suspect = practice.start(SPINS, says="spinning")
    hog = practice.start(SPINS, says="spinning")
    crowd_out(practice, suspect.pid, hog.pid)
    _, held, found, _, _ = practice.examine(suspect, DUMPING, within=0.4)
    assert held == found["held"] == "starved of CPU"
    assert found["waited"]["share"] > 0.5
    assert "stacks" not in found
