"""The processes of one instance that beat for themselves, each with a failure detector of its own.

A pre-fork server has a main process that goes on while one of its workers hangs.  So each process of the tree that has
beat once must go on (`heartbeat.scope = "process"`).  A process is identified by its pid and its start time, because a
pid alone may belong to another process by now.  The first beat only makes it known: the second may come up to
`max_timeout` later, which is the time to load an application.  A beat that announces work (`BUSY_USEC=`) excuses
silence for so long.  During that time the process is only looked at from time to time, because one that is stopped does
no work.  What one process has taught its detector is passed on to the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from supervisor.core.detection.detectors.interval_window import FOREVER, OVERDUE
from supervisor.core.detection.detectors.protocol import Detector
from supervisor.core.model.saved import GARBAGE, integer, number, sequence

Process = tuple[int, int]
"""A process: its pid, and its start time in clock ticks since boot."""

MOST = 256
"""Processes of one instance that are observed; further ones are only counted."""
LOOKS = 4
"""How often within `max_timeout` a process at work is looked at."""
_AGES = 1e12


class Ended(NamedTuple):
    """The last process that was ended because it was silent."""

    pid: int
    at: float
    replaced_by: int | None = None
    """The first new process that beat afterwards."""
    replaced_at: float | None = None


class Member:
    """One process.  `since` is when it became suspect, `until` when something is to be done about that.

    `stopped_at` is since when it has been stopped at each look while it is at work, `stopped_ran` the CPU seconds that
    it had used by then, `look_at` when to look next."""

    __slots__ = (
        "asked_again",
        "busy_until",
        "counting",
        "detector",
        "doing",
        "ended_at",
        "held",
        "look_at",
        "process",
        "ran",
        "since",
        "stopped",
        "stopped_at",
        "stopped_ran",
        "until",
    )

    def __init__(self, process: Process, detector: Detector, at: float) -> None:
        self.process = process
        self.detector = detector
        self.doing = ""
        """What it said that it works on."""
        self.busy_until: float | None = None
        self.ended_at: float | None = None
        """When it was killed."""
        self.ran = 0.0
        """Schedulable seconds of the present silence."""
        self.counting = False
        self.look_at: float | None = None
        self.stopped_ran = 0.0
        self.clear()
        detector.start(at)

    @property
    def pid(self) -> int:
        return self.process[0]

    @property
    def deadline(self) -> float | None:
        """When this process has to be judged; None: only a beat or an answer changes anything."""
        if self.since is not None:
            return self.until
        suspect_at = self.detector.suspect_at()
        if self.look_at is None:
            return suspect_at
        return self.look_at if suspect_at is None else min(suspect_at, self.look_at)

    def at_work(self, now: float) -> bool:
        """It does not beat, because it does what it has announced."""
        return self.busy_until is not None and now < self.busy_until

    def works(self, seconds: float, now: float, look_at: float) -> None:
        """Its silence counts only after so many seconds (inf: never)."""
        self.detector.discount_silence(min(seconds, FOREVER), now)
        self.busy_until, self.look_at = now + seconds, look_at

    def clear(self) -> None:
        """It is no suspect (any more)."""
        self.since: float | None = None
        self.until: float | None = None
        self.held: str | None = None
        self.stopped_at: float | None = None
        self.stopped = self.asked_again = False

    def silence(self, now: float, since: float) -> float:
        """Seconds since its last beat; `since` stands for one that it never sent."""
        last = self.detector.last
        return max(0.0, now - (since if last is None else last))

    def overdue(self, now: float, interval: float) -> bool:
        """A beat is missing.  That alone is no suspicion."""
        if self.since is not None:
            return True
        if self.detector.last is None or self.at_work(now):
            return False
        known = self.detector.intervals()
        usual = max(interval, sum(known) / len(known) if known else 0.0)
        return now - self.detector.last > OVERDUE * usual


class Members:
    """All processes of an instance that have beat.  `make()` gives a new detector.  `max_timeout`: seconds for which
    one may be silent.  `judged`: silence is suspicious; else it is only shown (`source = "activity"`)."""

    __slots__ = ("_make", "ended", "first_at", "judged", "kills", "known", "left_out", "longest_work", "max_timeout")

    def __init__(self, make: Callable[[], Detector], max_timeout: float, *, judged: bool = True) -> None:
        self._make = make
        self.max_timeout = max_timeout
        self.judged = judged
        self.known: dict[Process, Member] = {}
        self.first_at: dict[Process, float] = {}
        """When each process became known, or was judged from the beginning again after an interruption."""
        self.kills: tuple[float, ...] = ()
        """When processes were ended, as far as that is younger than the window of the restart limits."""
        self.ended: Ended | None = None
        self.left_out = 0
        self.longest_work = 0.0
        """The longest time that one of them has announced for a work, in seconds."""

    def __iter__(self) -> Iterator[Member]:
        return iter(self.known.values())

    @property
    def deadline(self) -> float | None:
        """The earliest deadline of all."""
        if not self.judged:
            return None
        return min((at for member in self if (at := member.deadline) is not None), default=None)

    @property
    def troubled(self) -> bool:
        """A beat may mean more than that its process goes on: it clears a suspect, or replaces what was ended."""
        if self.ended is not None and self.ended.replaced_by is None:
            return True
        return any(member.since is not None for member in self)

    def due(self, now: float) -> list[Member]:
        """Those whose deadline has passed."""
        if not self.judged:
            return []
        return [member for member in self if (at := member.deadline) is not None and at <= now]

    def beat(
        self, process: Process, at: float, sent: float | None = None, busy: float | None = None, doing: str = ""
    ) -> Member | None:
        """Take a beat.  None: there are too many processes already."""
        member = self.known.get(process)
        if member is None:
            if len(self.known) >= MOST:
                self.left_out += 1
                return None
            member = self.known[process] = Member(process, self._taught(), at)
            self.first_at[process] = at
        else:
            member.detector.heartbeat(at, sent)
            member.ran, member.counting = 0.0, False
        member.doing, member.busy_until, member.look_at, member.stopped_at = doing, None, None, None
        if busy is not None:
            self.longest_work = max(self.longest_work, busy)
            member.works(busy, at, self.next_look(at))
        return member

    def next_look(self, now: float) -> float:
        """When to look again at a process that is at work."""
        return now + self.max_timeout / LOOKS

    def forget(self, process: Process) -> None:
        """The process has ended."""
        self.known.pop(process, None)
        self.first_at.pop(process, None)

    def clear(self) -> None:
        """All processes are gone, as is what was done about them."""
        self.known.clear()
        self.first_at.clear()
        self.kills, self.ended, self.left_out, self.longest_work = (), None, 0, 0.0

    def begin_again(self, now: float) -> None:
        """Silence counts from now on, and each process has `max_timeout` for its next beat; one that is at work has it
        afterwards."""
        for member in self:
            member.clear()
            member.ended_at, member.ran, member.counting = None, 0.0, False
            member.detector.start(now)
            self.first_at[member.process] = now
            if member.busy_until is not None and member.at_work(now):
                member.works(member.busy_until - now, now, self.next_look(now))
            else:
                member.busy_until, member.look_at = None, None

    def clear_suspicions(self) -> None:
        """Drop what is suspected at present, except of those that were killed; it shows again if it lasts."""
        for member in self:
            if member.ended_at is None:
                member.clear()

    def discount_silence(self, seconds: float, now: float) -> None:
        """Do not count `seconds` up to now, because the processes did not cause them."""
        for member in self:
            member.detector.discount_silence(seconds, now)
            member.counting = False
            if member.until is not None:
                member.until += seconds
            if member.stopped_at is not None:
                member.stopped_at += seconds

    def silent_with(self, member: Member, now: float, interval: float) -> bool:
        """Half or more of two or more processes are silent, so that something they share is to blame.

        One that is stopped is silent for a reason of its own, and one that was killed is as good as gone."""
        others = [other for other in self if other.ended_at is None and not (other.stopped and other is not member)]
        silent = sum(1 for other in others if other is member or other.overdue(now, interval))
        return silent >= 2 and 2 * silent >= len(others)

    def suspicion(self, now: float) -> float:
        """The highest score."""
        return max((member.detector.suspicion(now) for member in self), default=0.0)

    def count_kill(self, pid: int, now: float, window: float) -> int:
        """Note that this process is ended; the number of such ends within `window`."""
        self.kills = (*(at for at in self.kills if at > now - window), now)
        self.ended = Ended(pid, now)
        return len(self.kills)

    def kills_within(self, window: float, now: float) -> int:
        return sum(1 for at in self.kills if at > now - window)

    def take_over(self, former: Members, now: float) -> None:
        """Go on with the processes that `former` observed with other detectors."""
        for process, known in former.known.items():
            member = self.beat(process, now, doing=known.doing)
            if member is not None and known.busy_until is not None and known.at_work(now):
                member.works(known.busy_until - now, now, self.next_look(now))
        self.kills, self.ended, self.longest_work = former.kills, former.ended, former.longest_work

    def _taught(self) -> Detector:
        """A detector that knows what the most experienced one has learned."""
        detector = self._make()
        teacher = max(self, key=lambda member: len(member.detector.intervals()), default=None)
        if teacher is not None and teacher.detector.intervals():
            detector.restore(_learned(teacher.detector))
        return detector

    # -- for a later daemon --------------------------------------------------------------------------------------

    def snapshot(self, now: float) -> dict[str, Any]:
        """What a later daemon needs to observe the same processes, as JSON-able data."""
        teacher = max(self, key=lambda member: len(member.detector.intervals()), default=None)
        return {
            "known": [list(process) for process in self.known],
            "kills": [now - at for at in self.kills],
            "learned": _learned(teacher.detector) if teacher is not None else None,
            "longest_work": min(self.longest_work, FOREVER),
        }

    def restore(self, saved: object, now: float) -> None:
        """Go on with the processes of a snapshot, each as if it had just become known; ignore what is damaged.

        One of them may have begun a work of which the earlier daemon saved nothing, so each may be at one that takes as
        long as any of them has ever announced."""
        if not isinstance(saved, Mapping):
            return
        try:
            pairs: list[Any] = sequence(saved["known"], MOST)
            known = [(integer(pid, 1, 2**31 - 1), integer(start, 0, 2**63)) for pid, start in pairs]
            kills = sorted(now - number(age, 0.0, _AGES) for age in sequence(saved["kills"], MOST))
            longest = number(saved.get("longest_work", 0.0), 0.0, FOREVER)
        except GARBAGE:
            return
        learned = saved.get("learned")
        for process in known:
            member = self.beat(process, now)
            if member is not None and isinstance(learned, Mapping):
                member.detector.restore(learned)
                member.detector.start(now)
            if member is not None and longest:
                member.works(longest, now, self.next_look(now))
        self.kills, self.longest_work = tuple(kills), longest


def _learned(detector: Detector) -> dict[str, object]:
    """The snapshot of a detector without its present silence."""
    nothing: dict[str, object] = {"started": None, "last": None, "excused": 0.0, "spared": 0.0, "keep": True}
    return {**detector.snapshot(), **nothing}
