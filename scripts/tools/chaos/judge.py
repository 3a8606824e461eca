"""The independent judge: determines what happened to the services from their own journal and from the kernel.

It asks the supervisor nothing and uses none of its code. Code that harms a service tells the judge first (`kill`,
`order`, `want`); everything that happens without such a reason is a violation.
"""

from __future__ import annotations

import os
import select
import time
from collections import defaultdict, deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from scripts.tools.chaos import proc_view
from scripts.tools.chaos.proc_view import Process

ANSWERED_BY, UNANSWERED_BY = 5.0, 15.0
"""Seconds with a daemon after which an order has taken effect; longer if its sender got no answer."""
FOREIGN_REAP_EVERY = 1.0
HEARS_WITHIN = 0.5
"""Idle seconds after which a daemon has read all that happened before."""


@dataclass(frozen=True)
class Violation:
    """`at`: seconds, monotonic; 0: no particular time."""

    kind: str
    instance: str
    at: float
    text: str


@dataclass
class Life:
    """One process of an instance, by its own journal.

    `code`: its exit code, if it wrote one; `told`: when it got its order to stop; `seen`: when it was last seen alive;
    `gone`: when it was first seen gone.
    """

    process: Process
    instance: str
    main: bool
    incarnation: str
    began: float
    seen: float
    code: int | None = None
    told: float | None = None
    gone: float | None = None
    fd: int = -1


@dataclass
class Order:
    """An order, given at `at`. `by`: until when it may cause a start (an order to stop never does)."""

    verb: str
    at: float
    by: float


@dataclass
class Gap:
    """A time without a daemon, from `since` until, at the latest, `until`.

    What happened before `heard` was read by the daemon before.
    """

    since: float
    heard: float
    until: float = float("inf")


@dataclass
class Wish:
    """The wanted state of an instance: up since, down since, or unknown (an order without an answer).

    `started_after`: it must have been started after this time.
    """

    up: bool | None
    since: float
    started_after: float = 0.0


@dataclass
class Judge:
    """Records what happens, and finds violations.

    `oneshots`: up means that they have succeeded; `restless`: they end by themselves again and again.
    """

    place: Path
    oneshots: set[str] = field(default_factory=set)
    restless: set[str] = field(default_factory=set)
    lives: dict[Process, Life] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)
    wishes: dict[str, Wish] = field(default_factory=dict)
    orders: dict[str, list[Order]] = field(default_factory=lambda: defaultdict(list))
    killed: dict[Process, float] = field(default_factory=dict)
    found: list[Violation] = field(default_factory=list)
    not_to_reap: set[int] = field(default_factory=set)
    """Children of this process that other code waits for."""

    def __post_init__(self) -> None:
        self._read = 0
        self._rest = b""
        self._poll = select.poll()
        self._by_fd: dict[int, Life] = {}
        self._doubled: set[frozenset[Process]] = set()
        self._reaped = 0.0
        self._of: dict[str, list[Life]] = defaultdict(list)
        self._daemon = 0
        self._idle: deque[tuple[float, float]] = deque(maxlen=2000)

    # -- inputs --------------------------------------------------------------------------------------------------

    def want(self, instance: str, up: bool | None, started_after: float = 0.0) -> None:
        self.wishes[instance] = Wish(up, time.monotonic(), started_after)

    def order(self, instance: str, verb: str) -> Order:
        """Announce an order; `by` may be set once the answer is known."""
        now = time.monotonic()
        order = Order(verb, now, now + UNANSWERED_BY)
        self.orders[instance].append(order)
        return order

    def kill(self, process: Process, number: int) -> bool:
        """Signal a process, and record that its end is not a failure; False if it was gone."""
        before = self.killed.get(process)
        self.killed[process] = before or time.monotonic()
        there = proc_view.send(process, number)
        if not there and before is None:
            del self.killed[process]
        return there

    def daemon_began(self, pid: int) -> None:
        self._daemon = pid
        self._idle.clear()
        self._look_at_daemon(time.monotonic())

    def daemon_gone(self, since: float) -> None:
        if not self.gaps or self.gaps[-1].until < float("inf"):
            self.gaps.append(Gap(since, since - HEARS_WITHIN))

    def daemon_dead(self, now: float) -> None:
        """Handle the dead daemon, which is a zombie: only now does the kernel tell how long it had waited for a CPU."""
        self._look_at_daemon(now)
        idle = self._idle[-1][1]
        rested = (at for at, before in reversed(self._idle) if idle - before >= HEARS_WITHIN)
        self.gaps[-1].heard = min(self.gaps[-1].heard, next(rested, self._idle[0][0]))

    def _look_at_daemon(self, now: float) -> None:
        self._idle.append((now, now - proc_view.busy(self._daemon)))

    def daemon_there(self) -> None:
        if self.gaps and self.gaps[-1].until == float("inf"):
            self.gaps[-1].until = time.monotonic()

    # -- observations --------------------------------------------------------------------------------------------

    def look(self, within: float = 0.0) -> None:
        """Read the journal and check for ended processes; waits up to `within` seconds for one to end."""
        self._read_journal()
        for fd, _ in self._poll.poll(within * 1e3):
            self._gone(self._by_fd[fd])
        now = time.monotonic()
        for life in self._by_fd.values():
            life.seen = now
        self._look_at_daemon(now)
        if now - self._reaped > FOREIGN_REAP_EVERY:
            self._reaped = now
            proc_view.reap(self.not_to_reap)

    def mains(self, instance: str, *, alive: bool = True) -> list[Life]:
        """Its main processes, in order; with `alive` those that have not been seen gone."""
        mine = [x for x in self._of[instance] if x.main and not (alive and x.gone)]
        return sorted(mine, key=lambda x: x.began)

    def all_of(self, instance: str) -> list[Life]:
        return self._of[instance]

    def processes(self, instance: str) -> list[Life]:
        """All live processes of an instance."""
        return [x for x in list(self._by_fd.values()) if x.instance == instance]

    def _read_journal(self) -> None:
        with suppress(FileNotFoundError), open(self.place / "journal", "rb") as file:
            file.seek(self._read)
            new = file.read()
            self._read += len(new)
            *lines, self._rest = (self._rest + new).split(b"\n")
            for line in lines:
                self._take(line.decode())

    def _take(self, line: str) -> None:
        at, kind, instance, pid, start, what = line.split()
        process = Process(int(pid), int(start))
        if kind in ("start", "child"):
            life = Life(process, instance, kind == "start", what, float(at), float(at))
            self.lives[process] = life
            self._of[instance].append(life)
            self._watch(life)
            if life.main:
                self._only_one(life)
        elif kind == "end":
            self.lives[process].code = int(what)
        elif kind == "told":
            self.lives[process].told = float(at)
        elif kind == "double":
            self._violation(
                "doubled", instance, float(at), f"{pid} began while the tree of an earlier one was still there"
            )

    def _watch(self, life: Life) -> None:
        fd = proc_view.open_process(life.process)
        if fd is None:
            self._reap_own(life.process.pid)
            life.gone = time.monotonic()
        else:
            life.fd = fd
            self._by_fd[fd] = life
            self._poll.register(fd, select.POLLIN)

    def _gone(self, life: Life) -> None:
        life.gone = time.monotonic()
        self._poll.unregister(life.fd)
        del self._by_fd[life.fd]
        os.close(life.fd)
        life.fd = -1
        self._reap_own(life.process.pid)

    def _reap_own(self, pid: int) -> None:
        if pid not in self.not_to_reap:
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)

    def _only_one(self, new: Life) -> None:
        """Report two main processes at once; what /proc says at this moment decides."""
        both = [x for x in self.mains(new.instance) if proc_view.alive(x.process)]
        pair = frozenset(x.process for x in both)
        if len(both) > 1 and pair not in self._doubled:
            self._doubled.add(pair)
            pids = " and ".join(str(x.process.pid) for x in both)
            self._violation("doubled", new.instance, new.began, f"main processes {pids} at once")

    def _violation(self, kind: str, instance: str, at: float, text: str) -> None:
        self.found.append(Violation(kind, instance, at, text))

    # -- verdicts ------------------------------------------------------------------------------------------------

    def unsettled(self) -> list[Violation]:
        """Differences between what the services are and what they should be, at this moment."""
        missing = (self._missing(name, wish) for name, wish in self.wishes.items())
        return [x for x in missing if x is not None]

    def _missing(self, name: str, wish: Wish) -> Violation | None:
        def lost(text: str) -> Violation:
            return Violation("lost", name, wish.since, text)

        if wish.up is None:
            return lost("nobody knows whether it is wanted")
        if not wish.up:
            there = self.processes(name)
            return lost(f"stopped, but process {there[0].process.pid} is there") if there else None
        last = next(iter(self.mains(name, alive=False)[-1:]), None)
        if last is None or last.began < wish.started_after:
            return lost("wanted up anew, and not started since")
        if name in self.restless:
            return None
        if name in self.oneshots:
            return None if last.code == 0 else lost("wanted to succeed, and did not")
        if last.gone is not None:
            return lost(f"wanted up, and gone since {last.gone:.3f}")
        return None

    def restarts(self) -> list[Violation]:
        """Restarts without a reason: no kill, stop or order, and the process before did not fail."""
        out = []
        for name in list(self._of):
            mains = self.mains(name, alive=False)
            unused = [o for o in self.orders[name] if o.verb != "stop"]
            for before, after in pairwise(mains):
                if before.code not in (None, 0) or before.process in self.killed or self._end_unseen(before):
                    continue
                excuse = next((o for o in unused if o.at <= after.began <= o.by + self._away(o.at, after.began)), None)
                if excuse is None:
                    text = f"{after.process.pid} for {before.process.pid}, which was well (code {before.code}, "
                    out.append(Violation("needless", name, after.began, f"{text}told {before.told})"))
                else:
                    unused.remove(excuse)
            out += self._told_for_nothing(name, mains)
        return out

    def _away(self, since: float, until: float) -> float:
        """Seconds without a daemon."""
        return sum(max(0.0, min(gap.until, until) - max(gap.since, since)) for gap in self.gaps)

    def _end_unseen(self, life: Life) -> bool:
        """Whether it ended by itself while no daemon was there to learn its exit code."""
        return life.code is not None and life.told is None and self.in_gap(life)

    def _told_for_nothing(self, name: str, mains: Iterable[Life]) -> list[Violation]:
        asked = [o.at for o in self.orders[name]]
        return [
            Violation("needless", name, life.told, f"{life.process.pid} was told to stop, and nobody wanted that")
            for life in mains
            if life.told is not None and not any(life.began - UNANSWERED_BY <= at <= life.told for at in asked)
        ]

    def in_gap(self, life: Life) -> bool:
        """Whether it may have ended while no daemon was there, or so shortly before that none could read its end."""
        return bool(self._gaps(life))

    def _gaps(self, life: Life) -> list[Gap]:
        gone = life.gone if life.gone is not None else float("inf")
        return [gap for gap in self.gaps if gap.heard <= gone and life.seen <= gap.until]

    def outlived(self, life: Life) -> bool:
        """Whether another process of its instance held the pipe while no daemon was there."""
        gaps = self._gaps(life)
        others = [x for x in self._of[life.instance] if x is not life]
        return all(any(x.began < gap.since and x.seen > gap.until for x in others) for gap in gaps)

    def left_behind(self) -> list[Violation]:
        """Processes of this place that remain after everything should have ended."""
        now = time.monotonic()
        family = {
            Process(p, s.start): s.name for p, s in proc_view.descendants(os.getpid()).items() if s.state not in "ZX"
        }
        ours = {p: n for p, n in family.items() if p.pid not in self.not_to_reap}
        there = ours | dict(proc_view.marked(str(self.place)))
        return [
            Violation("left behind", self._whose(process), now, f"process {process.pid} ({name}) is still there")
            for process, name in there.items()
        ]

    def _whose(self, process: Process) -> str:
        life = self.lives.get(process)
        return life.instance if life is not None else "-"
