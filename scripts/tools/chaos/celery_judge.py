"""What has to be seen of a Celery fleet that was hurt, by the daemon's own events.

Every task is done, and none had to be sent again.  Each stuck child is ended, alone or with its worker.  No worker is
ended for its silence that was not hurt, while the broker was away or had just come back.  These are exact.
How soon a child was found is judged apart (`late`), in the time in which the daemon could run: beside busy loops it
waits for a CPU.  What was held for the broker counts from the end of the hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from scripts.tools.chaos.private_daemon import JSON, ended, moment
from scripts.tools.chaos.proc_view import Process
from supervisor.core.model.documents import Event

FAULTS = ("kill-child", "stop-child", "kill-worker", "hang-child", "hang-worker")
STUCK = ("stop-child", "hang-child")
MARGIN = 4.0
"""Seconds for the examination, and for what a task says that it may take."""
AFTER_OUTAGE = 45.0
"""Seconds in which a suspicion may still come of the broker's absence."""
HURT_FOR = 60.0
"""Seconds in which a worker may be ended for a fault of its own."""
NOTHING = Process(0, 0)
"""In place of what hangs, where something was killed."""


@dataclass(frozen=True)
class Hurt:
    """A fault.  `process`: the child or the consumer that hangs by it."""

    at: float
    kind: str
    worker: str
    process: Process = NOTHING


@dataclass
class Course:
    """What was done, with times in seconds since the epoch.

    `limit`: `max_timeout` in seconds, within which a stuck child has to be found."""

    limit: float
    hurt: list[Hurt] = field(default_factory=list)
    outages: list[tuple[float, float]] = field(default_factory=list)
    sent_again: dict[int, str] = field(default_factory=dict)
    """Where the message of each number was that was sent again."""
    sender_failed: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    """Faults for which no worker was well in time."""
    daemon_waited: list[tuple[float, float]] = field(default_factory=list)
    """At each time, the seconds for which the daemon has waited for a CPU so far."""
    never_found: list[Hurt] = field(default_factory=list)
    """What hung and was still there long after its limit."""

    def waited(self, since: float, until: float) -> float:
        """Seconds within this time in which the daemon waited for a CPU."""
        seen = [waited for at, waited in self.daemon_waited if since - 2.0 <= at <= until + 2.0]
        return seen[-1] - seen[0] if seen else 0.0


def judge(ledger: Sequence[Event], course: Course, missing: Iterable[int]) -> JSON:
    """The report: counts, and what should not have been (`violations`; `late` is judged apart)."""
    lost = sorted(missing)
    violations = [f"{len(lost)} tasks are lost, for instance {lost[:5]}"] if lost else []
    where = [f"task {n} had to be sent again: it was {place}" for n, place in sorted(course.sent_again.items())]
    violations += where[:10] + [f"the sender failed: {error}" for error in course.sender_failed]
    violations += [
        f"process {hurt.process.pid} of {hurt.worker} ({hurt.kind}) was never ended: {_told(hurt, ledger)}"
        for hurt in course.never_found
    ]
    needless = [event for event in ledger if _silent(event) and _only_the_broker(event, course)]
    violations += [f"{event['instance']} was restarted, and only the broker had been away" for event in needless]

    alone = {
        hurt: event for hurt in course.hurt if hurt.kind in STUCK and (event := _ended_alone(hurt, ledger)) is not None
    }
    found = {hurt: _found_after(hurt, event, ledger, course) for hurt, event in alone.items()}
    late = [
        f"process {hurt.process.pid} ({hurt.kind}) was found after {seconds:.1f} s only"
        for hurt, seconds in found.items()
        if seconds > course.limit + MARGIN
    ]
    stuck = [hurt for hurt in course.hurt if hurt.kind in STUCK]
    return {
        "lost": len(lost),
        "sent_again_by_the_sender": len(course.sent_again),
        "where_those_were": sorted(set(course.sent_again.values())),
        "faults": {kind: sum(1 for hurt in course.hurt if hurt.kind == kind) for kind in FAULTS},
        "faults_left_out": course.left_out,
        "broker_restarts": len(course.outages),
        "stuck_children": len(stuck),
        "stuck_children_ended_alone": len(alone),
        "stuck_children_ended_with_their_worker": len(stuck)
        - len(alone)
        - sum(1 for hurt in course.never_found if hurt.kind in STUCK),
        "found_after_s": sorted(round(seconds, 1) for seconds in found.values()),
        "workers_restarted_for_silence": sum(1 for event in ledger if _silent(event)),
        "held_for_the_broker": sum(1 for event in ledger if _for_the_broker(event)),
        "healthy_workers_ended_while_the_broker_was_away": len(needless),
        "late": late,
        "violations": violations,
    }


def _silent(event: Event) -> bool:
    return event["cause"] == "heartbeat-silent" and ended(event)


def _for_the_broker(event: Event) -> bool:
    held = str(event["detail"].get("held", ""))
    return "broker" in held or "redis" in held


def _only_the_broker(event: Event, course: Course) -> bool:
    at = moment(event)
    away = any(begin <= at <= end + AFTER_OUTAGE for begin, end in course.outages)
    hurt = any(hurt.worker == event["instance"] and at - HURT_FOR <= hurt.at <= at for hurt in course.hurt)
    return away and not hurt


def _ended_alone(hurt: Hurt, ledger: Sequence[Event]) -> Event | None:
    return next(
        (
            event
            for event in ledger
            if event["cause"] == "process-ended"
            and event["detail"]["process"] == hurt.process.pid
            and event["instance"] == hurt.worker
            and moment(event) >= hurt.at
        ),
        None,
    )


def _told(hurt: Hurt, ledger: Sequence[Event]) -> list[str]:
    """The causes of the events of its worker since the fault; with what held it, if something did."""
    since = (e for e in ledger if e["instance"] == hurt.worker and moment(e) >= hurt.at)
    return [
        " ".join([e["cause"], *(str(e["detail"][key]) for key in ("process", "held") if key in e["detail"])])
        for e in since
    ]


def _found_after(hurt: Hurt, event: Event, ledger: Sequence[Event], course: Course) -> float:
    """Seconds in which the daemon could run, from the fault, or from the end of the last hold since, to the end of the
    child."""
    at = moment(event)
    since = hurt.at
    for other in ledger:
        over = other["cause"] == "process-resumed" and other["detail"].get("process") == hurt.process.pid
        if over and hurt.at < moment(other) < at:
            since = moment(other)
    return max(0.0, at - since - course.waited(since, at))
