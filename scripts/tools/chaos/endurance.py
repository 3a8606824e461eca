"""Runs real programs on a busy host for a long time, and plants faults at random moments.

No healthy program may be ended, whatever its heartbeat is; each planted hang must be found in time. The verdict comes
from the ledger and, for the time in which a process that hangs could run, from the kernel's own count.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.tools.chaos import proc_view
from scripts.tools.chaos.catalog import MAX_TIMEOUT, PROGRAMS, WISH, Program
from scripts.tools.chaos.judge import Judge
from scripts.tools.chaos.prepare import Prepared, prepare
from scripts.tools.chaos.pressure import busy_host
from scripts.tools.chaos.private_daemon import ended, moment, suspected, tell
from scripts.tools.chaos.proc_view import Process
from scripts.tools.chaos.stage import Stage, temporary_place
from supervisor.core.model.causes import Cause
from supervisor.core.model.documents import Event
from supervisor.core.model.instance_documents import Instance
from supervisor.errors import SupervisorError

UP_WITHIN = 180.0
"""Seconds, before the host is made busy, within which a program is up; one that is not is left out."""
STOPPED_FOR, DAEMON_STOPPED_FOR = 40.0, 45.0
UP_FOR = 15.0
"""Seconds that a program has been up before a fault is planted in it."""
PAUSE = (2.0, 18.0)
"""Seconds between two faults: from, to."""
TICK = 0.5
LOOK = 2.0
"""Seconds from the suspicion to the stop signal (docs/detection.md), without the question once more."""
PROBE = 1.0
"""probe_timeout: the question once more."""
LOST = 30.0
"""Seconds of a hold's count that a death of the daemon may lose (docs/detection.md)."""
SETTLED = 5.0
"""Seconds after which a program that goes on no longer stops itself."""
GIVEN_UP = 900.0
OVER = ("backoff", "failed", "exited")


@dataclass
class Hang:
    """A planted hang.

    `suspect`, `ended`: seconds after it; `ran`: seconds in which it could run until it ended, `ran_before` of them
    before the suspicion, from which the daemon counts (core/detection/schedulable_time.py); `kills`: of the daemon;
    `anew`: seconds after it when the last next daemon answered, which counts silence from its own begin; `blind_ran`:
    seconds in which it could run while the daemon was stopped or dead; `late`: seconds before the suspicion for which
    this daemon waited for a CPU, which it adds to each wait (docs/detection.md).
    """

    instance: str
    run: int
    way: str
    at: float
    suspect: float | None = None
    ended: float | None = None
    ran: float = 0.0
    ran_before: float = 0.0
    kills: int = 0
    anew: float = 0.0
    blind_ran: float = 0.0
    late: float = 0.0
    held: str = ""
    open: bool = True


class Threads:
    """The threads of a process tree: for how long none of them had to wait for a CPU."""

    def __init__(self, pid: int) -> None:
        self.pid, self.began = pid, time.monotonic()
        self._before: dict[int, float] = {}
        self._waited: dict[int, float] = {}
        self._read(self._before)

    def _read(self, into: dict[int, float]) -> bool:
        """The seconds that each thread has waited, by its id; those that are gone keep what they had."""
        found = False
        for pid in (self.pid, *proc_view.tree(self.pid)):
            for file in Path(f"/proc/{pid}/task").glob("*/schedstat"):
                with suppress(OSError, ValueError):
                    into[int(file.parent.name)] = int(file.read_text().split()[1]) / 1e9
                    found = True
        return found

    def could_run(self) -> float:
        """Seconds since the beginning, less the waiting of the thread that waited longest; 0 when all are gone."""
        if not self._read(self._waited):
            return 0.0
        waited = max(w - self._before.get(tid, 0.0) for tid, w in self._waited.items())
        return max(0.0, time.monotonic() - self.began - waited)


@dataclass
class Row:
    """A line of the table."""

    suspicions: int = 0
    cleared: int = 0
    holds: int = 0
    ended: int = 0
    by_itself: int = 0
    planted: int = 0
    found: list[float] = field(default_factory=list)
    ran: list[float] = field(default_factory=list)


class Endurance:
    def __init__(self, stage: Stage, programs: list[Prepared], seed: int, say: Callable[[str], None]) -> None:
        self.stage, self.say, self.dice = stage, say, random.Random(seed)
        self.programs = {p.program.name: p for p in programs}
        self.rows = {p.program.name: Row() for p in programs}
        self.hangs: list[Hang] = []
        self.threads: dict[int, Threads] = {}
        self.waking: list[tuple[float, str, list[Process]]] = []
        self.faults: list[dict[str, Any]] = []
        self.planted: dict[tuple[str, int], str] = {}
        self.done: Counter[str] = Counter()
        self.violations: list[str] = []
        self.notes: list[str] = []
        self.began = time.monotonic()
        self._read_to = 0
        self._waited = (0, 0.0)
        self._deck: list[tuple[str, str]] = []

    # -- the course --------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start all on a calm host; what does not come up there is left out."""
        self.stage.start()
        if not self.stage.answers():
            raise SystemExit(f"the daemon does not start: {self.stage.last_words()}")
        until = time.monotonic() + UP_WITHIN
        while (late := [r for r in self._status() if not _up(r)]) and time.monotonic() < until:
            time.sleep(TICK)
        for row in late:
            self.say(f"left out: {row['name']} does not come up here ({row['state']}, {row['cause']})")
            self.stage.client.act("stop", [row["name"]])
            del self.programs[row["name"]], self.rows[row["name"]]
        self._read()
        self._forget_the_start()
        self.say(f"{len(self.programs)} programs are up")

    def run(self, seconds: float) -> None:
        self.began = time.monotonic()
        until, next_fault, said = self.began + seconds, self.began + PAUSE[1], 0.0
        while time.monotonic() < until or self.waking or any(h.open for h in self.hangs):
            time.sleep(TICK)
            self._tick()
            now = time.monotonic()
            if next_fault <= now < until:
                self._plant()
                next_fault = time.monotonic() + self.dice.uniform(*PAUSE)
            if now - said > 30.0:
                said = now
                self.say(f"  {now - self.began:6.0f} s  {dict(self.done)}  {len(self.violations)} violations")
        self._settle()

    def _settle(self) -> None:
        """At the end each program is up."""
        until = time.monotonic() + UP_WITHIN
        while (late := self._not_up()) and time.monotonic() < until:
            time.sleep(TICK)
            self._tick()
        self.violations += [f"{name} is not up at the end" for name in late]

    def _not_up(self) -> list[str]:
        return [r["name"] for r in self._status() if r["name"] in self.programs and not _up(r)]

    def _wake(self) -> None:
        """Continue what was stopped for long enough, and again what stops itself then, until all of it runs.

        `script`, for example, is told late that its child was stopped, and stops itself for that.
        """
        for stopped in [w for w in self.waking if w[0] <= time.monotonic()]:
            for process in stopped[2]:
                proc_view.send(process, signal.SIGCONT)
            if time.monotonic() >= stopped[0] + SETTLED:
                self.waking.remove(stopped)

    def _tick(self) -> None:
        self._wake()
        self.stage.judge.look()  # it reaps what a dead daemon has left to us
        late = self._daemon_late()
        for hang in self.hangs:
            if hang.open:
                self._look_at(hang)
                hang.late += late if hang.suspect is None else 0.0
        with suppress(SupervisorError):
            self._read()
        for hang in self.hangs:
            if hang.open and hang.ended is None and time.time() - hang.at > GIVEN_UP:
                self._close(hang)

    def _daemon_late(self) -> float:
        """Seconds for which this daemon waited for a CPU since the last look."""
        before, self._waited = self._waited, (self.stage.pid, proc_view.waited(self.stage.pid))
        return self._waited[1] - before[1] if self._waited[0] == before[0] else 0.0

    def _status(self) -> list[Instance]:
        return self.stage.client.status()["instances"]

    # -- faults ------------------------------------------------------------------------------------------------------

    def _plant(self) -> None:
        if not self._deck:
            self._deck = [(way, name) for name, p in self.programs.items() for way in p.program.hangs]
            self._deck += [("stop", "")] * 10 + [("stop a worker", "")] * 3 + [("kill", "")] * 5
            self._deck += [("stop and kill the daemon", "")] * 3 + [("kill the daemon", "")] * 4
            self.dice.shuffle(self._deck)
        what, name = self._deck.pop()
        if what == "stop and kill the daemon":
            self._daemon(DAEMON_STOPPED_FOR)
        elif what == "kill the daemon":
            self._daemon(0.0)
        else:
            rows = {r["name"]: r for r in self._status() if _up(r) and (r["uptime_s"] or 0.0) >= UP_FOR}
            free = [n for n in rows if n in self.programs and self._free(n)]
            if what == "stop a worker":
                free = [n for n in free if self.programs[n].program.workers]
            name = name or (self.dice.choice(free) if free else "")
            if name not in free or not self._harm(what, rows[name]):
                self.done["not possible at that moment"] += 1
                return
        self.done[what if not name else {"lock": "hang", "spin": "spinning hang"}.get(what, what)] += 1

    def _free(self, name: str) -> bool:
        return name not in {n for _, n, _ in self.waking} | {h.instance for h in self.hangs if h.open}

    def _harm(self, what: str, row: Instance) -> bool:
        name, pid = row["name"], row["pid"]
        found = proc_view.stat(pid) if pid else None
        if pid is None or found is None:
            return False
        main = Process(pid, found.start)
        tree = [main, *(Process(p, s.start) for p, s in proc_view.tree(pid).items())]
        if what == "kill":
            self.planted[name, row["incarnation"]] = what
            return proc_view.send(main, signal.SIGKILL)
        if what.startswith("stop"):
            stopped = [self.dice.choice(tree[1:] or tree)] if what == "stop a worker" else tree
            for process in stopped:
                proc_view.send(process, signal.SIGSTOP)
            self.waking.append((time.monotonic() + STOPPED_FOR, name, stopped))
            return True
        threads = Threads(pid)
        hang = Hang(name, row["incarnation"], what, time.time())
        self.planted[name, row["incarnation"]] = what
        self.hangs.append(hang)
        self.threads[id(hang)] = threads
        if not self.programs[name].hang(what, lambda number: proc_view.send(main, number)):
            self.hangs.remove(hang)
            del self.planted[name, row["incarnation"]]
            return False
        return True

    def _daemon(self, stopped_for: float) -> None:
        """Kill the daemon, after it has been stopped for a while; the next one starts at once."""
        began = time.monotonic()
        before = {id(h): self._look_at(h) for h in self.hangs if h.open}
        daemon = Process(self.stage.pid, getattr(proc_view.stat(self.stage.pid), "start", 0))
        proc_view.send(daemon, signal.SIGSTOP)
        while time.monotonic() - began < stopped_for:
            time.sleep(TICK)
            self._wake()
        self.stage.kill()
        self.stage.start()
        if not self.stage.answers(UP_WITHIN):
            raise SystemExit(f"the next daemon does not answer: {self.stage.last_words()}")
        for hang in self.hangs:
            if hang.open:
                hang.anew, hang.late = time.time() - hang.at, 0.0
                hang.blind_ran += self._look_at(hang) - before[id(hang)]
                hang.kills += 1

    def _look_at(self, hang: Hang) -> float:
        """How long it could run so far."""
        if hang.ended is None:
            hang.ran = max(hang.ran, self.threads[id(hang)].could_run())
        return hang.ran

    # -- the verdict -------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        while page := self.stage.client.events(after=self._read_to, limit=1000):
            for event in page:
                self._read_to = event["id"]
                if event["instance"] in self.rows:
                    self._judge(event, self.rows[event["instance"]])

    def _forget_the_start(self) -> None:
        self.rows = {name: Row() for name in self.programs}
        self.violations.clear()
        self.notes.clear()

    def _judge(self, event: Event, row: Row) -> None:
        name, run = event["instance"], event["incarnation"]
        hang = next((h for h in self.hangs if (h.instance, h.run) == (name, run)), None)
        after = moment(event) - hang.at if hang else 0.0
        said = f"{event['at']} {name} run {run}: {event['from']} → {event['to']}, {event['cause']} {event['detail']}"
        if suspected(event):
            if hang and after >= -0.001:
                if hang.suspect is None:
                    hang.suspect, hang.ran_before = after, min(hang.ran, after)
            else:
                row.suspicions += 1
                self.notes.append(said)
        elif event["cause"] == Cause.HELD:
            row.holds += hang is None
            if hang:
                hang.held = str(event["detail"].get("held", hang.held))
        elif event["from"] == "suspect" and event["to"] == "running":
            row.cleared += hang is None
        if ended(event) and event["cause"] not in (Cause.STOPPED_BY_USER, Cause.RESTARTED_BY_USER):
            if hang:
                hang.ended = after
            elif (name, run) not in self.planted:
                row.ended += 1
                self._violated(f"ended although healthy: {said}")
        elif event["to"] in OVER and event["from"] in ("running", "suspect") and (name, run) not in self.planted:
            row.by_itself += 1
            self.notes.append(f"ended by itself: {said}")
        if hang and hang.open and event["to"] in OVER:
            self._close(hang)

    def _violated(self, what: str) -> None:
        """Keep it for the report, and say it at once: a run may be ended before its report."""
        self.violations.append(what)
        self.say(f"  violation: {what}")

    def _close(self, hang: Hang) -> None:
        """Judge a hang that is over: found within the wish, ended within the time in which it could run."""
        hang.open = False
        row = self.rows[hang.instance]
        row.planted += 1
        what = f"{hang.instance} run {hang.run}, {hang.way}"
        if hang.suspect is not None:
            row.found.append(hang.suspect)
        if hang.ended is None:
            self._violated(f"missed: {what}")
            return
        hang.ran = min(hang.ran, hang.ended)  # the last look was perhaps after its end
        row.ran.append(hang.ran)
        within = hang.anew + MAX_TIMEOUT if hang.kills else WISH  # the next daemon does not know the last beat
        within += hang.late
        if hang.suspect is None or hang.suspect > within:
            after = "never" if hang.suspect is None else f"after {hang.suspect:.2f} s"
            self._violated(f"suspected too late: {what}, {after} instead of {within:.1f} s")
        may_run = MAX_TIMEOUT + hang.ran_before if hang.held else WISH
        may_run += LOOK + PROBE + TICK + hang.kills * LOST
        if hang.ran - hang.blind_ran > may_run:
            ran = hang.ran - hang.blind_ran
            self._violated(f"ended too late: {what}, could run for {ran:.1f} s instead of {may_run:.1f} s")
        self.say(
            f"  found: {what}, suspected after {hang.suspect or 0.0:.2f} s, ended after {hang.ended:.2f} s, could run "
            f"for {hang.ran:.2f} s{', held: ' + hang.held if hang.held else ''}"
        )


@contextmanager
def _nothing_left() -> Iterator[None]:
    """In the end no process is left, also of those that overwrite the environment by which they would be known."""
    try:
        yield
    finally:
        while left := {p: s for p, s in proc_view.descendants(os.getpid()).items() if s.state not in "ZX"}:
            for pid, found in left.items():
                proc_view.send(Process(pid, found.start), signal.SIGKILL)
            proc_view.reap(set())


def _up(row: Instance) -> bool:
    return row["state"] == "running" and row["ready"]


def table(of: Endurance) -> list[str]:
    head = f"{'PROGRAM':<20}{'HEARTBEAT':<18}{'SUSPECTED':>10}{'CLEARED':>9}{'HELD':>6}{'ENDED':>7}"
    lines = [f"{head}{'HANGS':>7}{'FOUND':>7}{'AFTER (LONGEST)':>17}{'COULD RUN':>11}"]
    for name, row in of.rows.items():
        program: Program = of.programs[name].program
        line = f"{name:<20}{program.short:<18}{row.suspicions:>10}{row.cleared:>9}{row.holds:>6}{row.ended:>7}"
        if row.planted:
            after, ran = (f"{max(x):.2f} s" if x else "–" for x in (row.found, row.ran))
            line += f"{row.planted:>7}{len(row.found):>7}{after:>17}{ran:>11}"
        lines.append(line)
    total = [sum(getattr(r, k) for r in of.rows.values()) for k in ("suspicions", "cleared", "holds", "ended")]
    lines.append(f"{'all':<38}{total[0]:>10}{total[1]:>9}{total[2]:>6}{total[3]:>7}{len(of.hangs):>7}")
    return lines


def endurance(
    seconds: float,
    loops: int,
    seed: int,
    only: list[str],
    say: Callable[[str], None],
    programs: tuple[Program, ...] = PROGRAMS,
) -> dict[str, Any]:
    """Run the programs for `seconds`; "violations" lists healthy ones that were ended, and hangs that were missed."""
    proc_view.adopt_orphans()
    wanted = [p for p in programs if not only or p.name in only or p.name == "redis"]
    with temporary_place() as place, _nothing_left():
        prepared = prepare(place, wanted, say)
        with Stage("\n".join(p.toml for p in prepared), Judge(place)) as stage:
            of = Endurance(stage, prepared, seed, say)
            of.start()
            with busy_host(place, say, loops, disk=True):
                of.run(seconds)
            code, said = stage.down()
            if code:
                of.violations.append(f"down ended with {code}: {said.strip()}")
            of.violations += stage.complaints()[:20]
        for line in [*of.notes, *table(of)]:
            say(line)
        say(f"{time.monotonic() - of.began:.0f} s, {loops} busy loops, seed {seed}: {dict(of.done)}")
        if of.violations:
            (place / "keep").touch()
            say(f"everything is kept in {place}")
    return tell(
        {
            "violations": of.violations,
            "programs": {name: vars(row) for name, row in of.rows.items()},
            "hangs": [vars(h) for h in of.hangs],
            "done": dict(of.done),
        },
        say,
    )
