"""Tests hostile surroundings, one after the other: supervision must continue, report the problem, do no harm, recover.

Mounts are made in a mount namespace of their own, limits are set on the daemon alone, and the clock is stepped for the
daemon alone: the machine is not affected.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from scripts.tools.chaos import proc_view
from scripts.tools.chaos.faked_time import LIBRARY, faked_time
from scripts.tools.chaos.judge import Judge, Violation
from scripts.tools.chaos.output_check import Output, counted
from scripts.tools.chaos.stage import PATIENCE, PROGRAM, DaemonEnded, Stage, temporary_place
from supervisor.errors import SupervisorError

SERVICES = """
[services.chat]
command = [RUN, "chat", "PLACE"]
[services.beat]
command = [RUN, "beat", "PLACE"]
ready = { notify = true }
heartbeat = { source = "notify", interval = "100ms", min_timeout = "2s", max_timeout = "5s" }
[services.fork]
command = [RUN, "fork", "PLACE"]
[services.victim]
command = [RUN, "quiet", "PLACE"]
"""
INSTANCES = ("chat", "beat", "fork", "victim")
NOBODY = 65534


class Skip(Exception):
    """The hardship cannot be tested here; the message says why."""


class Trial:
    """One hardship: the stage, and the violations found."""

    def __init__(self, place: Path, services: str = SERVICES) -> None:
        self.place = place
        self.judge = Judge(place)
        for instance in INSTANCES:
            self.judge.want(instance, True)
        self.stage = Stage(services, self.judge)
        self.lossy = False
        """Output may be lost, because there is no room for it."""
        self.ended: list[Violation] | None = None
        """The violations of a hardship that must end before its mount is removed."""

    def begin(self) -> None:
        self.stage.start()
        if not (self.stage.answers() and self.stage.settled()):
            raise SystemExit(f"it does not even start: {self.stage.said.read_text()[-2000:]}")

    def fails(self, kind: str, text: str) -> None:
        self.judge.found.append(Violation(kind, "-", time.monotonic(), text))

    def waits_for(self, what: Callable[[], object], text: str, kind: str = "not healed") -> bool:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            if what():
                return True
            self.judge.look(0.02)
            self.stage.check()
        self.fails(kind, text)
        return False

    def told(self, *words: str) -> None:
        """Wait until `status` names the problem, in one of these words."""

        def found() -> bool:
            with suppress(SupervisorError):
                return any(word in problem for problem in self.stage.problems() for word in words)
            return False

        self.waits_for(found, f"status does not tell of {' or '.join(words)!r}", "not told")

    def goes_on(self) -> None:
        """Check that a service that dies now is restarted."""
        self.strike()
        self.waits_for(lambda: not self.judge.unsettled(), "victim was not started again")

    def strike(self) -> None:
        for life in self.judge.mains("victim")[-1:]:
            self.judge.kill(life.process, signal.SIGKILL)
            self.judge.want("victim", True, time.monotonic())

    def dies(self) -> None:
        self.stage.kill()

    def returns(self) -> None:
        """Start the next daemon; everything must be as before within the time limit."""
        self.stage.start()
        self.waits_for(lambda: self.stage.answers(1.0), "the next daemon does not answer")
        self.waits_for(lambda: not self.judge.unsettled(), f"not as it was: {self.judge.unsettled()}")

    def crash(self) -> None:
        self.dies()
        self.returns()

    def talks(self) -> None:
        """Check that the output of `chat` is read, so that it never waits."""
        chats = self.judge.mains("chat")[-1:]
        before = [counted(self.place, chat)[1] for chat in chats]

        def more() -> bool:
            return all(counted(self.place, x)[1] > n + 200 for x, n in zip(chats, before, strict=True))

        self.waits_for(more, "chat cannot write: nobody reads it")

    def idles(self) -> None:
        """Check that the daemon does not spin."""
        before = proc_view.stat(self.stage.pid)
        self.judge.look(1.0)
        after = proc_view.stat(self.stage.pid)
        if before is not None and after is not None and after.cpu - before.cpu > 0.5:
            self.fails("busy", f"the daemon used {after.cpu - before.cpu:.2f} s of CPU in a second")

    def end(self) -> list[Violation]:
        self.judge.look(0.05)
        found = self.judge.restarts()
        code, said = self.stage.down()
        self.judge.look(0.05)
        if code != 0:
            self.fails("left behind", f"down ended with {code}: {said.strip()}")
        found += self.judge.left_behind()
        if not self.lossy:
            for name in INSTANCES:
                found += Output(name).read(self.stage.state_dir / "log").judge(self.judge, held=False)
        found += [Violation("complaint", "-", 0.0, line[:300]) for line in self.stage.complaints()[:5]]
        return found + self.judge.found


def needs_root() -> None:
    if os.geteuid() != 0:
        raise Skip("only root can do that")


def mount(*arguments: str) -> None:
    needs_root()
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Skip(f"mount {' '.join(arguments)}: {done.stderr.strip()}")


@contextmanager
def mounted(directory: Path, *arguments: str) -> Iterator[None]:
    directory.mkdir(mode=0o700)
    mount(*arguments, str(directory))
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(directory)], check=True)


def full_disk(t: Trial) -> None:
    """The disk of the state directory is full for a while, in which the daemon is killed."""
    t.lossy = True
    with mounted(t.stage.state_dir, "-t", "tmpfs", "-o", "size=2m,mode=0700", "tmpfs"):
        t.begin()
        filler = t.stage.state_dir / "filler"
        with suppress(OSError), open(filler, "wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        t.told("No space left", "full")
        t.goes_on()
        t.crash()
        t.goes_on()
        filler.unlink()
        t.told("can be written again")
        t.goes_on()
        t.crash()
        t.ended = t.end()


def read_only(t: Trial) -> None:
    """The state directory becomes read-only while no daemon runs, and writable again under the next."""
    t.lossy = True
    state = t.stage.state_dir
    with mounted(state, "-t", "tmpfs", "-o", "mode=0700", "tmpfs"):
        t.begin()
        t.dies()
        mount("-o", "remount,ro", str(state))
        t.returns()
        t.told("read-only", "readonly", "Read-only")
        t.goes_on()
        mount("-o", "remount,rw", str(state))
        t.told("can be written again")
        t.goes_on()
        t.crash()
        t.ended = t.end()


def few_descriptors(t: Trial) -> None:
    """The daemon may open no more descriptors, and a service dies."""
    t.begin()
    before = resource.prlimit(t.stage.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(t.stage.pid, resource.RLIMIT_NOFILE, (4, before[1]))
    t.strike()
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(t.stage.runtime_dir / "control.sock"))
        t.idles()
    t.talks()
    resource.prlimit(t.stage.pid, resource.RLIMIT_NOFILE, before)
    t.waits_for(lambda: not t.judge.unsettled(), "victim was not started again")
    if not any("Too many open files" in line for line in t.stage.events("victim", maximum=1000)):
        t.fails("not told", "no event tells of 'Too many open files'")
    t.goes_on()
    t.crash()


def no_processes(t: Trial) -> None:
    """The daemon's user may have no more processes (the daemon runs as nobody, with the right to read everything)."""
    needs_root()
    python = shutil.which("python3", path="/usr/bin:/bin")
    if python is None or shutil.which("setpriv") is None or shutil.which("prlimit") is None:
        raise Skip("no python3 that everybody may run, or no setpriv or prlimit")
    rights = "-all,+dac_override,+dac_read_search"
    as_nobody = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    t.stage.prefix = [*as_nobody, f"--inh-caps={rights}", f"--ambient-caps={rights}", f"--bounding-set={rights}"]
    # The file must belong to the daemon's user, and this process talks to that user's daemon.
    t.stage.asking = {"SUPERVISOR_TRUSTED_USERS": "nobody"}
    os.environ |= t.stage.asking
    t.stage.write(SERVICES.replace("RUN", f'"{python}", "-I", "-S", "{PROGRAM}"'))
    for path in (t.place, *t.place.iterdir()):
        os.chown(path, NOBODY, NOBODY)

    def allow(processes: str) -> None:
        subprocess.run([*as_nobody, "prlimit", f"--pid={t.stage.pid}", f"--nproc={processes}:"], check=True)

    t.begin()
    allow("1")
    t.strike()
    t.talks()
    t.judge.look(1.0)
    allow("4096")
    t.waits_for(lambda: not t.judge.unsettled(), "victim was not started again")
    t.goes_on()
    t.crash()


def clock_stepped(t: Trial) -> None:
    """The daemon's wall clock jumps a day ahead, then three days back."""
    if LIBRARY is None:
        raise Skip("no libfaketime (Debian: apt install libfaketime)")
    clock = t.place / "clock"
    with faked_time(clock) as t.stage.environment:
        t.begin()
        for step in ("+1d", "-2d"):
            clock.write_text(step)
            t.goes_on()
            t.talks()
            t.crash()
            t.goes_on()


def flip(path: Path) -> None:
    """Change random bytes of the whole file, its first page included."""
    dice = random.Random(7)
    with open(path, "r+b") as file:
        size = os.fstat(file.fileno()).st_size
        for _ in range(max(200, size // 50)):
            file.seek(dice.randrange(size))
            file.write(bytes([dice.randrange(256)]))


def ledger_flipped_down(t: Trial) -> None:
    """Bytes of the ledger change while no daemon runs."""
    t.begin()
    t.dies()
    for path in t.stage.state_dir.glob("ledger.db*"):
        flip(path)
    t.returns()
    t.told("ledger")
    t.goes_on()
    t.crash()


def ledger_flipped_up(t: Trial) -> None:
    """Bytes of the ledger change under a running daemon, which is killed later."""
    t.begin()
    for path in t.stage.state_dir.glob("ledger.db*"):
        flip(path)
    t.goes_on()
    t.goes_on()
    t.crash()
    t.goes_on()


def socket_removed(t: Trial) -> None:
    """The control socket is removed."""
    t.begin()
    (t.stage.runtime_dir / "control.sock").unlink()
    t.goes_on()
    t.waits_for(lambda: t.stage.answers(0.5), "the control socket does not come back")
    t.crash()


def pipe_removed(t: Trial) -> None:
    """The names of the pipes are removed; the daemon is killed later."""
    t.begin()
    for path in (t.stage.runtime_dir / "fifo").iterdir():
        path.unlink()
    t.talks()
    t.goes_on()
    t.crash()
    t.talks()
    t.goes_on()


def runtime_dir_removed(t: Trial) -> None:
    """The runtime directory is removed; no second daemon may start, and the first is killed later."""
    t.begin()
    shutil.rmtree(t.stage.runtime_dir)
    t.goes_on()
    t.talks()
    try:
        second = subprocess.run(
            t.stage.command("run", "-f", str(t.stage.file)), cwd=t.place, capture_output=True, timeout=60, check=False
        )
        if second.returncode == 0:
            t.fails("doubled", "a second daemon ran and ended")
    except subprocess.TimeoutExpired:
        t.fails("doubled", "a second daemon runs beside the first")
    t.crash()
    t.talks()
    t.goes_on()


def plan_garbage(t: Trial) -> None:
    """The plan that was in force is cut off, then garbage, when a daemon comes back."""
    t.begin()
    plan = t.stage.runtime_dir / "plan.json"
    for content in (plan.read_bytes()[:100], b"\0\xff garbage", b"[]", b'{"services": 5}'):
        t.dies()
        plan.write_bytes(content)
        t.returns()
    t.goes_on()


HARDSHIPS: dict[str, Callable[[Trial], None]] = {
    function.__name__.replace("_", "-"): function
    for function in (
        full_disk,
        read_only,
        few_descriptors,
        no_processes,
        clock_stepped,
        ledger_flipped_down,
        ledger_flipped_up,
        socket_removed,
        pipe_removed,
        runtime_dir_removed,
        plan_garbage,
    )
}


def private_mounts() -> None:
    """Continue in a private mount namespace, if possible."""
    if os.geteuid() == 0 and shutil.which("unshare") and "CHAOS_PRIVATE" not in os.environ:
        command = ["unshare", "--mount", "--propagation", "private", sys.executable, *sys.argv]
        os.execvpe(command[0], command, os.environ | {"CHAOS_PRIVATE": "yes"})


def endure(name: str, say: Callable[[str], None]) -> list[Violation] | None:
    """Run one hardship; returns its violations, or None if it was skipped."""
    proc_view.adopt_orphans()
    began = time.monotonic()
    with temporary_place() as place:
        trial = Trial(place)
        with trial.stage:
            try:
                HARDSHIPS[name](trial)
                found = trial.ended if trial.ended is not None else trial.end()
            except DaemonEnded as end:
                found = [*trial.judge.found, Violation("lost", "-", time.monotonic(), str(end))]
            except Skip as why:
                say(f"{name:<20} skipped: {why}")
                return None
            say(f"{name:<20} {'FAILED' if found else 'endured'} in {time.monotonic() - began:.1f} s")
            told: set[str] = set()
            for violation in found:
                say(f"    {violation.kind}: {violation.instance}: {violation.text}")
                if violation.instance not in ("-", *told):
                    told.add(violation.instance)
                    for line in trial.stage.events(violation.instance, maximum=6):
                        say(f"        {line}")
        if found:
            (place / "keep").touch()
            say(f"    everything is kept in {place}")
    return found
