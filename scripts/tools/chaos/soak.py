"""Kills the daemon in a loop, while its services are harmed and get orders; then the judge reports violations.

Ten of the twenty services are harmed in every way, and the others not at all: these must not be affected. Half of the
services that write have their pipes held open by this process, as a service manager's descriptor store would, so that
even processes that die without a daemon lose no line.
"""

from __future__ import annotations

import random
import signal
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from scripts.tools.chaos import sight
from scripts.tools.chaos.judge import UNANSWERED_BY, Judge, Order, Violation
from scripts.tools.chaos.kept import Output
from scripts.tools.chaos.stage import PATIENCE, Stage, temporary_place
from supervisor.errors import SupervisorError

SERVICES = """
[services.chat]
command = [RUN, "chat", "PLACE"]
replicas = 4
log = { max_size = "256KiB", keep = 1000 }
[services.stamped]
command = [RUN, "chat", "PLACE"]
replicas = 2
log = { max_size = "256KiB", keep = 1000, compress = false, timestamps = true }
[services.fork]
command = [RUN, "fork", "PLACE"]
replicas = 4
log = { max_size = "64KiB", keep = 1000 }
[services.beat]
command = [RUN, "beat", "PLACE"]
replicas = 4
ready = { notify = true }
heartbeat = { source = "notify", interval = "100ms", min_timeout = "3s", max_timeout = "10s" }
log = { keep = 1000 }
[services.quiet]
command = [RUN, "quiet", "PLACE"]
[services.edited]
command = [RUN, "chat", "PLACE"]
environment = { EDITION = "@EDITION" }
log = { max_size = "256KiB", keep = 1000 }
[services.once]
command = [RUN, "once", "PLACE"]
type = "oneshot"
replicas = 2
[services.crash]
command = [RUN, "crash", "PLACE"]
[services.stubborn]
command = [RUN, "stubborn", "PLACE"]
stop_timeout = "300ms"
"""
INSTANCES = (
    *(
        f"{name}@{n}"
        for name, count in (("chat", 4), ("stamped", 2), ("fork", 4), ("beat", 4))
        for n in range(1, count + 1)
    ),
    *("quiet", "edited", "once@1", "once@2", "crash", "stubborn"),
)
HURT = ("chat@3", "chat@4", "stamped@2", "fork@3", "fork@4", "beat@3", "beat@4", "once@2", "stubborn", "edited")
HELD = ("chat@2", "chat@4", "stamped@1", "stamped@2", "fork@2", "fork@4")
CALM_EVERY = 25
"""Kills after which all services get the time to become what they should be, and are checked."""
STARTING, WORKING = 1.3, 0.5
"""When a daemon is killed: within this many times the usual time to its first answer, or seconds after that."""
CARRYING_OUT = 0.08
"""Seconds after a kill or an order in which it is carried out; the last step moves a new process into its cgroup."""
WITHOUT_CGROUPS = (
    "unshare",
    "--mount",
    "--propagation",
    "private",
    "sh",
    "-c",
    'umount -a -t cgroup2; exec "$@"',
    "sh",
)
SAMPLE_EVERY = 5.0
GROWTH = 2 * 1024 * 1024
"""Bytes by which a daemon's memory may change in a soak without a kill."""


class Hurter(threading.Thread):
    """Kills, stops, restarts and reloads at random. `struck` is set when it has just done something."""

    def __init__(self, stage: Stage, dice: random.Random) -> None:
        super().__init__(daemon=True)
        self.stage, self.judge, self.dice = stage, stage.judge, dice
        self.done: Counter[str] = Counter()
        self.struck = threading.Event()
        self.at_work = threading.Lock()
        """Held to keep the services undisturbed."""
        self.error: BaseException | None = None
        self.edition = 0
        self._owed: dict[str, str] = {}
        self._ended = threading.Event()
        self._waking: list[tuple[float, sight.Process]] = []
        self._unread: Order | None = None

    def run(self) -> None:
        try:
            while not self._ended.wait(self.dice.uniform(0.01, 0.15)):
                with self.at_work:
                    self._wake_up(time.monotonic())
                    self._something()
        except BaseException as error:  # noqa: BLE001 - raised again by the main thread
            self.error = error

    def end(self) -> None:
        self._ended.set()
        self.join()
        self.settle()

    def settle(self) -> None:
        """Undo stops and repeat unanswered orders, so that what each service should be is known. Needs a running
        daemon.
        """
        self._wake_up(float("inf"))
        for instance, wish in self.judge.wishes.items():
            if not wish.up:
                self._order("start", instance)
        if self._unread is not None:
            self._tell_to_reload()

    def _something(self) -> None:
        if self._unread is not None:
            self._tell_to_reload()
            return
        if self._owed:
            instance, verb = self._owed.popitem()
            self._order(verb, instance)
            return
        ways: tuple[tuple[Callable[[str], None], int], ...] = (
            (self._kill, 5),
            (self._kill_child, 1),
            (self._pause, 2),
            (self._restart, 4),
            (self._stop_or_start, 5),
            (self._reload, 1),
        )
        way = self.dice.choices([w for w, _ in ways], [n for _, n in ways])[0]
        way(self.dice.choice(HURT))

    def _kill(self, instance: str) -> None:
        for life in self.judge.mains(instance)[-1:]:
            number = self.dice.choice((signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT))
            if self.judge.kill(life.process, number):
                self._did("killed")

    def _kill_child(self, _: str) -> None:
        """Kill a child, which must have no effect: the main process runs on."""
        children = [x for x in self.judge.processes("fork@3") if not x.main]
        if children and sight.send(self.dice.choice(children).process, signal.SIGKILL):
            self._did("children killed")

    def _pause(self, instance: str) -> None:
        for life in self.judge.mains(instance)[-1:]:
            if sight.send(life.process, signal.SIGSTOP):
                self._waking.append((time.monotonic() + self.dice.uniform(0.05, 0.8), life.process))
                self._did("paused")

    def _wake_up(self, until: float) -> None:
        for entry in [e for e in self._waking if e[0] <= until]:
            sight.send(entry[1], signal.SIGCONT)
            self._waking.remove(entry)

    def _restart(self, instance: str) -> None:
        self._order("restart", instance)

    def _stop_or_start(self, instance: str) -> None:
        self._order("stop" if self.judge.wishes[instance].up else "start", instance)

    def _order(self, verb: str, instance: str) -> None:
        wish, began = self.judge.wishes[instance], time.monotonic()
        answer = self.stage.order(verb, instance)
        if answer is None:
            self.judge.want(instance, None)
            self._owed[instance] = "start" if verb == "restart" else verb
        elif answer:
            self._did(f"{verb} ordered")
            started_after = began if verb == "restart" or (verb == "start" and wish.up is False) else 0.0
            self.judge.want(instance, verb != "stop", started_after)
        elif wish.up is None:
            self._owed[instance] = verb

    def _reload(self, _: str) -> None:
        """Change the file; the daemon that reads it next restarts what changed, by order or when it starts."""
        self.edition += 1
        wish = self.judge.wishes["edited"]
        self._unread = self.judge.order("edited", "reload")
        if wish.up:
            self.judge.want("edited", True, self._unread.at)
        self.stage.write(SERVICES.replace("@EDITION", str(self.edition)))
        self._tell_to_reload()

    def _tell_to_reload(self) -> None:
        """Repeat the order until a daemon has answered: one that was just starting may have read the old file."""
        assert self._unread is not None
        self._unread.by = time.monotonic() + UNANSWERED_BY
        with suppress(SupervisorError):
            self.stage.client.reload()
            self._unread = None
            self._did("reloaded")

    def _did(self, what: str) -> None:
        self.done[what] += 1
        self.struck.set()


@dataclass
class Report:
    """The result of a soak. `samples`: seconds since the daemon began, descriptors, bytes."""

    seed: int
    trees: str = ""
    kills: int = 0
    seconds: float = 0.0
    calms: int = 0
    done: dict[str, int] = field(default_factory=dict)
    starts: int = 0
    lines: int = 0
    answered_ms: list[float] = field(default_factory=list)
    samples: list[tuple[float, int, int]] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    evidence: list[str] = field(default_factory=list)


class Soak:
    def __init__(self, place: Path, seed: int, trees: str | None, say: Callable[[str], None]) -> None:
        self.dice, self.say = random.Random(seed), say
        self.judge = Judge(place, oneshots={"once@1", "once@2"}, restless={"crash"})
        for instance in INSTANCES:
            self.judge.want(instance, True)
        prefix = WITHOUT_CGROUPS if trees == "descent" else ()
        self.stage = Stage(SERVICES.replace("@EDITION", "0"), self.judge, prefix=prefix)
        self.trees = trees
        self.hurter = Hurter(self.stage, random.Random(seed + 1))
        self.report = Report(seed)

    def run(self, kills: int | None, seconds: float | None) -> Report:
        """Run until this many kills or seconds; `kills` 0 leaves the daemon alone."""
        sight.adopt_orphans()
        began = time.monotonic()
        with self.stage:
            self.stage.start()
            if not (self.stage.answers() and self.stage.settled()):
                raise SystemExit(f"it does not even start: {self.stage.said.read_text()[-2000:]}")
            self.stage.hold_pipes(HELD)
            self._answered()
            self.report.trees = self.stage.status()["supervisor"]["trees"]
            if self.trees not in (None, self.report.trees):
                raise SystemExit(f"no trees by {self.trees} here (for descent, only root can hide the cgroups)")
            self.hurter.start()
            self._go_on(kills, None if seconds is None else began + seconds)
            self._calm()
            self.hurter.end()
            self._end()
        self.report.seconds = time.monotonic() - began
        return self.report

    def _go_on(self, kills: int | None, until: float | None) -> None:
        sampled = 0.0
        while (kills is None or self.report.kills < (kills or 1 << 62)) and (until is None or time.monotonic() < until):
            if kills == 0:
                self._watch(SAMPLE_EVERY)
                self._sample()
                continue
            self._one_life()
            if self.report.kills % CALM_EVERY == 0:
                self._calm()
            if time.monotonic() - sampled > 10.0:
                sampled = time.monotonic()
                self.say(f"{self.report.kills:5} kills, {len(self.judge.found)} violations so far")

    def _one_life(self) -> None:
        """Let the daemon live for a moment, kill it, and start the next one at once."""
        way = self.dice.random()
        if way < 0.4:
            usual = statistics.median(self.report.answered_ms[-20:]) / 1e3
            self._watch(self.dice.uniform(0.0, STARTING * usual))
        elif self._answered():
            if way < 0.7:
                self._watch(self.dice.uniform(0.0, WORKING))
            else:  # while an order is being carried out
                self.hurter.struck.clear()
                until = time.monotonic() + 1.0
                while not self.hurter.struck.is_set() and time.monotonic() < until:
                    self._watch(0.002)
                self._watch(self.dice.uniform(0.0, CARRYING_OUT))
        self.stage.kill()
        self.stage.start()
        self.report.kills += 1

    def _answered(self) -> bool:
        began = self.stage.began
        there = self.stage.answers()
        if there:
            self.report.answered_ms.append((time.monotonic() - began) * 1e3)
        return there

    def _watch(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.judge.look(min(left, 0.02))
        if self.hurter.error is not None:
            raise self.hurter.error

    def _calm(self) -> None:
        """Stop all harm; within the time limit all services must be what they should be."""
        with self.hurter.at_work:
            if not self._answered():
                self._violation("lost", "-", f"the daemon does not answer within {PATIENCE:g} s")
                return
            self.hurter.settle()
            if not self.stage.settled():
                self.judge.found += self.judge.unsettled()
            self.report.calms += 1
            self._sample()

    def _sample(self) -> None:
        pid = self.stage.pid
        with suppress(OSError):
            age = time.monotonic() - self.stage.began
            self.report.samples.append((age, sight.descriptors(pid), sight.memory(pid)))

    def _end(self) -> None:
        judge, report = self.judge, self.report
        judge.look()
        report.violations += judge.restarts()
        code, said = self.stage.down()
        judge.look(0.05)
        if code != 0:
            self._violation("left behind", "-", f"down ended with {code}: {said.strip()}")
        judge.found += judge.left_behind()
        for name in INSTANCES:
            output = Output(name).read(self.stage.state_dir / "log")
            report.violations += output.judge(judge, held=name in HELD)
            report.lines += output.kept
        report.violations += judge.found
        report.violations += [Violation("complaint", "-", 0.0, line[:300]) for line in self.stage.complaints()[:20]]
        report.violations += growth(report.samples) if report.kills == 0 else []
        report.done = dict(self.hurter.done)
        report.starts = sum(len(judge.mains(name, alive=False)) for name in INSTANCES)
        for violation in report.violations[:10]:
            report.evidence += self._evidence(violation)

    def _violation(self, kind: str, instance: str, text: str) -> None:
        self.judge.found.append(Violation(kind, instance, time.monotonic(), text))

    def _evidence(self, violation: Violation) -> list[str]:
        """What happened around a violation: own actions, the program's journal, the ledger."""
        out = [f"{violation.kind}: {violation.instance} at {violation.at:.3f}: {violation.text}"]
        near = [g for g in self.judge.gaps if abs(g.since - violation.at) < 3.0]
        out += [f"    no daemon from {g.since:.3f} to {g.until:.3f}" for g in near]
        orders = [o for o in self.judge.orders[violation.instance] if -10.0 < o.at - violation.at < 1.0]
        out += [f"    {o.verb} ordered at {o.at:.3f}, by {o.by:.3f}" for o in orders]
        for life in self.judge.mains(violation.instance, alive=False):
            if abs(life.began - violation.at) < 10.0 or life.gone is None:
                killed = self.judge.killed.get(life.process)
                out.append(
                    f"    {life.process.pid} #{life.incarnation} began {life.began:.3f} told {life.told} "
                    f"code {life.code} gone {life.gone} killed by us {killed}"
                )
        return out + [f"    {line}" for line in self.stage.events(violation.instance, violation.at)]


def growth(samples: list[tuple[float, int, int]]) -> list[Violation]:
    """Violations of a daemon that was never killed: after the first quarter of the samples it must not grow."""
    settled = samples[len(samples) // 4 :]
    if len(settled) < 8:
        return []
    half = len(settled) // 2
    out = []
    for what, column, allowed in (("descriptors", 1, 2.0), ("bytes of memory", 2, float(GROWTH))):
        before, after = (statistics.median(row[column] for row in part) for part in (settled[:half], settled[half:]))
        if after - before > allowed:
            out.append(
                Violation("growth", "-", 0.0, f"{before:.0f} {what} in the first half, {after:.0f} in the second")
            )
    return out


KINDS = {
    "lost": "services lost (wanted up and not up, or the reverse)",
    "doubled": "services doubled",
    "needless": "healthy services restarted",
    "line lost": "output lines lost",
    "line doubled": "output lines doubled",
    "line torn": "output lines torn",
    "left behind": "processes left behind",
    "complaint": "internal errors",
    "growth": "growth of the daemon",
}


def table(report: Report) -> list[str]:
    count = Counter(v.kind for v in report.violations)
    of = {"lost": f"{len(INSTANCES)} services, {report.calms} looks", "doubled": f"{report.starts} starts"}
    of |= {"needless": of["doubled"], "line lost": f"{report.lines} lines", "line doubled": f"{report.lines} lines"}
    lines = [
        f"{report.kills} kills of the daemon in {report.seconds:.0f} s, seed {report.seed}, trees by {report.trees}"
    ]
    lines.append("  ".join(f"{what} {n}" for what, n in sorted(report.done.items())))
    if report.answered_ms:
        median, longest = statistics.median(report.answered_ms), max(report.answered_ms)
        lines.append(f"exec to the first answer: median {median:.0f} ms, longest {longest:.0f} ms")
    if report.samples:
        descriptors, memory = [s[1] for s in report.samples], [s[2] / 2**20 for s in report.samples]
        lines.append(
            f"the daemon: {min(descriptors)} to {max(descriptors)} descriptors, {min(memory):.1f} to {max(memory):.1f} "
            f"MiB in {len(report.samples)} samples"
        )
    lines += [f"{title:<56}{count[kind]:>6}   {of.get(kind, '')}".rstrip() for kind, title in KINDS.items()]
    return lines


def soak(
    kills: int | None, seconds: float | None, seed: int, trees: str | None, say: Callable[[str], None]
) -> dict[str, Any]:
    """Run a soak; returns the report as plain data. The place is kept if there were violations."""
    with temporary_place() as place:
        report = Soak(place, seed, trees, say).run(kills, seconds)
        for line in table(report) + report.evidence:
            say(line)
        if report.violations:
            (place / "keep").touch()
            say(f"everything is kept in {place}")
    return asdict(report)
