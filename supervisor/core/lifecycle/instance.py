"""One instance: one replica of a service, over all its incarnations.  This is the data that the rules work on.

The rules are handlers, plain functions beside this file.  `transitions.step` chooses one by state and event, and its
head explains states, phases and what may interrupt what.  This file has the properties that other code reads, the
deadline of the next step, and the path of a heartbeat, which is too frequent for the table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Any

from supervisor.core.detection.interval_histogram import MIN_INTERVALS, IntervalHistogram
from supervisor.core.lifecycle import snapshot as life
from supervisor.core.lifecycle.snapshot import After, Failure, Phase, Reload
from supervisor.core.model import events as ev
from supervisor.core.model.actions import Goal, State
from supervisor.core.model.causes import Cause
from supervisor.core.model.saved import GARBAGE
from supervisor.core.model.spec import HeartbeatSpec, ServiceSpec, ServiceType
from supervisor.core.restart.tracker import RestartTracker

if TYPE_CHECKING:
    from supervisor.core.detection.detectors.protocol import Detector
    from supervisor.core.detection.members import Members
    from supervisor.core.detection.target import TargetAssessment

GIVE_UP_AFTER = 10.0
"""Seconds after which a killed tree that is still there is no longer waited for."""
REVIEW = 8
"""The target is reviewed when the number of recorded intervals has grown by a factor of 1 + 1/`REVIEW`."""
HISTORY = frozenset(
    {"incarnation", "restarts", "false_suspicions", "detector", "recording", "probe_failures", "maintenance"}
)
"""The keys of a snapshot that are restored whatever happened since."""

STARTED_IN_MAINTENANCE = frozenset(
    {
        Cause.STARTED_BY_USER,
        Cause.RESTARTED_BY_USER,
        Cause.RESET_BY_USER,
        Cause.SPAWN_INTERRUPTED,
        Cause.ROLLED_OUT,
        Cause.PUT_BACK,
    }
)
"""Causes of a start that is made although the instance is left alone: orders of a user, and what had begun."""


class Instance:
    """The data of one instance, and what follows from it.  The service set owns it; it is not thread-safe.

    Handlers and `restore` change the attributes; everything else reads them.  Moments are monotonic seconds.
    """

    __slots__ = (
        "after",
        "asked_again",
        "assessment",
        "blind_since",
        "cause",
        "cause_at",
        "counting",
        "detector",
        "draining",
        "epoch",
        "error_told",
        "evidence",
        "exit_code",
        "failure",
        "false_suspicions",
        "goal",
        "had_beaten",
        "healthy_at",
        "held",
        "histogram",
        "incarnation",
        "killed",
        "last_probe_error",
        "last_sign",
        "left_behind",
        "lingering",
        "lingering_since",
        "listening_since",
        "maintenance",
        "members",
        "name",
        "not_recorded_before",
        "notified",
        "notified_at",
        "out_of_memory",
        "phase",
        "pid",
        "probe_delayed",
        "probe_failures",
        "probe_fault",
        "ran",
        "ready",
        "ready_unseen",
        "recovering",
        "refusals",
        "reload",
        "restarts",
        "review_at",
        "revision",
        "rng",
        "running_spec",
        "says_stopping",
        "sender_refused",
        "signal",
        "signalled",
        "spawn_error",
        "spec",
        "started_at",
        "state",
        "status_at",
        "status_text",
        "stop_step",
        "suspect_since",
        "target_infeasible",
        "tracker",
        "until",
        "waiting_because",
        "waiting_for",
        "wanted_by",
    )

    def __init__(self, name: str, spec: ServiceSpec, rng: Callable[[], float]) -> None:
        self.name = name
        self.spec = spec
        self.running_spec = spec
        self.revision = ""
        """The rollout that gave it its specification last (core/services/rollout.py); empty: none."""
        self.epoch = 0
        """The epoch of the lease under which it started last (services/lease_gate.py); 0: none."""
        self.goal = Goal.DOWN
        self.state = State.STOPPED
        self.phase = Phase.NONE
        self.incarnation = 0
        self.pid: int | None = None
        self.started_at: float | None = None
        self.ready = False
        self.restarts = 0
        self.false_suspicions = 0
        self.recovering = False
        self.cause = Cause.STOPPED
        self.cause_at: float | None = None
        self.exit_code: int | None = None
        self.signal: int | None = None
        self.out_of_memory: str | None = None
        self.left_behind = False
        """The limit for which the kernel killed the last process (empty: not known); None: it did not."""
        self.signalled: tuple[int, float] | None = None
        """The last signal that a user had sent to this process, and when."""
        self.status_text = ""
        self.status_at: float | None = None
        self.notified = 0
        """Datagrams that came by sd_notify since the start began."""
        self.notified_at: float | None = None
        self.spawn_error = ""
        """Why the last start created no process; empty once one did."""
        self.last_probe_error = ""
        self.refusals = 0
        """Probes that did ask since the last beat, and were answered no or not at all."""
        self.probe_failures = 0
        """Probes that could not ask."""
        self.probe_fault = ""
        self.probe_delayed = False
        """It is blind only because a probe under way waits for a CPU, which is not told."""
        self.blind_since: float | None = None
        """Since then no probe could ask, so that silence is not counted; None where the last one did ask."""
        self.stop_step = 0
        """The step of the stop that is under way, counted from 0."""
        self.waiting_for = ""
        self.waiting_because = ""
        """Why that is not there, where its breaker is the reason (services/open_breaker.py)."""
        self.maintenance: life.Maintenance | None = None
        self.held: str | None = None
        self.draining = False
        """STOPPING: the stop signal waits until its requests are answered, or until `until`."""
        self.killed = False
        """Its end is forced: SIGKILL was sent, or is to be as soon as there is a process."""
        self.lingering: tuple[str, ...] = ()
        self.lingering_since: float | None = None
        self.evidence: Mapping[str, Any] = ev.NOTHING
        self.detector: Detector | None = detector_of(spec.heartbeat)
        self.members: Members | None = members_of(spec.heartbeat)
        """The processes that beat for themselves; None where only the instance is observed."""
        self.says_stopping = False
        """It said that it ends by itself (STOPPING=1), so that its silence is no hang."""
        self.reload: Reload | None = None
        """The last reload of this run."""
        self.error_told: Mapping[str, Any] = ev.NOTHING
        """What the process said of its failure (`ErrorTold`), for the record of its end."""
        self.sender_refused = False
        """A notification of this run did not count, because of the process that sent it."""
        self.tracker = RestartTracker(spec.restart)
        self.rng = rng
        self.after = After.DECIDE
        self.wanted_by = Cause.RESTARTED_BY_USER
        self.failure: Failure | None = None
        self.until: float | None = None
        self.healthy_at: float | None = None
        self.suspect_since = 0.0
        self.asked_again = False
        self.ran = 0.0
        """Schedulable seconds of the present silence, over all its suspicions; 0 after a beat."""
        self.counting = False
        """The examiner of this daemon has counted them until now, and goes on where the silence is suspected again."""
        self.listening_since = 0.0
        """When heartbeats of this run were first waited for by this daemon."""
        self.last_sign: float | None = None
        """When READY=1 or STATUS= last came in place of a heartbeat (signs_of_life.py)."""
        self.had_beaten = False
        """The process had beaten before this daemon took it over."""
        self.not_recorded_before = -inf
        """An interval that began before this moment is not recorded, because something else may have lengthened it."""
        self.histogram = histogram_of(spec.heartbeat)
        self.assessment: TargetAssessment | None = None
        self.target_infeasible = False
        self.ready_unseen = False
        """READY=1 may have been sent while no daemon received it."""
        self.apply_target()

    # -- when to step --------------------------------------------------------------------------------------------

    @property
    def deadline(self) -> float | None:
        """When to step with `Timeout` if nothing happens before; None: only another event can change anything."""
        if self.maintenance is not None:
            own = self._deadline_in_maintenance
            ends = self.maintenance.until
            return own if ends is None else ends if own is None else min(own, ends)
        if self.state is State.RUNNING:
            suspect_at = self.suspect_at
            if self.members is not None and (of_members := self.members_deadline) is not None:
                suspect_at = of_members if suspect_at is None else min(suspect_at, of_members)
            own = self._own_deadline
            return suspect_at if own is None else own if suspect_at is None else min(own, suspect_at)
        return None if self.state is State.STARTING and self.blind_since is not None else self.until

    @property
    def _deadline_in_maintenance(self) -> float | None:
        """Only a stop that a user ordered, a reload, and health that is forgotten, go on."""
        if self.state is State.RUNNING:
            return self._own_deadline
        return self.until if self.state is State.STOPPING else None

    @property
    def _own_deadline(self) -> float | None:
        """RUNNING: when its failures are forgotten, or its reload has taken too long."""
        healthy_at, reload = self.healthy_at, self.reload
        if reload is None or not reload.pending:
            return healthy_at
        return reload.until if healthy_at is None else min(healthy_at, reload.until)

    @property
    def suspect_at(self) -> float | None:
        """When the present silence becomes suspicious; None where heartbeats are not observed, or cannot be."""
        if self.detector is None or self.state is not State.RUNNING or self.blind_since is not None:
            return None
        if self.says_stopping or self.maintenance is not None or (self.members is not None and self.only_members_beat):
            return None
        return self.detector.suspect_at()

    @property
    def members_deadline(self) -> float | None:
        """When a process that beats for itself has to be judged next."""
        if self.members is None or self.blind_since is not None or self.maintenance is not None:
            return None
        if self.says_stopping and not self._of_celery:
            return None
        return self.members.deadline

    @property
    def only_members_beat(self) -> bool:
        """The main process has never beat, and its other processes do: they alone are judged."""
        members = self.members
        if members is None or not members.judged or not members.known or self.detector is None:
            return False
        return self.detector.last is None and not self._of_celery

    @property
    def _of_celery(self) -> bool:
        """The children of a Celery worker beat until they end.  A worker that ends waits for them without end."""
        return self.spec.heartbeat is not None and self.spec.heartbeat.source == "celery"

    @property
    def takes_beats_only(self) -> bool:
        """A beat means no more than that the process goes on: only its detector takes it."""
        if self.state is not State.RUNNING or self.blind_since is not None or self.says_stopping:
            return False
        if self.review_at != inf and self.review_due:
            return False
        return self.members is None or not self.members.troubled

    # -- properties ---------------------------------------------------------------------------------------------

    @property
    def alive(self) -> bool:
        """A process, or part of its tree, may exist."""
        return self.state in (State.RUNNING, State.SUSPECT, State.STOPPING) or self.phase >= Phase.SPAWNING

    @property
    def waiting(self) -> bool:
        """The instance is to be spawned and waits until the service set permits the start."""
        return self.phase is Phase.WAITING

    @property
    def awaits_end_of_maintenance(self) -> bool:
        """It is to be started, and no person ordered that."""
        return self.waiting and self.maintenance is not None and self.cause not in STARTED_IN_MAINTENANCE

    @property
    def spawning(self) -> bool:
        """A spawn is ordered, and its outcome is not known yet."""
        return self.phase is Phase.SPAWNING

    @property
    def dormant(self) -> bool:
        """It starts on demand and waits for a connection: there is no process, and none is missing."""
        return self.state is State.STOPPED and self.goal is Goal.UP and self.spec.on_demand

    @property
    def available(self) -> bool:
        """It answers: it is ready, or the connection that it waits for makes it so."""
        return self.ready or self.dormant

    @property
    def current(self) -> bool:
        """Its process runs the definition that the instance has.  Not compared by identity alone: a rollout that is
        rolled back gives an equal one to instances that it has not touched."""
        return self.running_spec is self.spec or self.running_spec == self.spec

    @property
    def ready_for_dependants(self) -> bool:
        """A dependant may start: the service is ready, or the oneshot has succeeded."""
        if self.spec.type is ServiceType.ONESHOT:
            return self.state is State.EXITED and self.cause is Cause.SUCCEEDED
        return self.available

    @property
    def outlives_daemon(self) -> bool:
        """The process outlives the daemon: it is detached, runs, and is wanted."""
        runs = self.state in (State.RUNNING, State.SUSPECT) or self.phase is Phase.UP
        return self.spec.detach and runs and self.goal is Goal.UP

    def unkillable(self, now: float) -> bool:
        """The tree is still there `GIVE_UP_AFTER` seconds after it was killed (in state D, for example)."""
        return self.lingering_since is not None and now - self.lingering_since >= GIVE_UP_AFTER

    @property
    def suspected_for(self) -> Cause | None:
        """The failure that was found; None where there is none."""
        return self.failure[0] if self.failure else None

    @property
    def silent_since(self) -> float | None:
        """When the process was suspected for its silence; None where it is not."""
        return self.suspect_since if self.suspected_for is Cause.SILENT and self.state is State.SUSPECT else None

    @property
    def silence(self) -> float:
        """How many seconds of silence led to the suspicion."""
        return float(self.failure[1].get("silence_s", 0.0)) if self.failure else 0.0

    def overdue(self, now: float) -> bool:
        """A beat is missing.  That alone is no suspicion."""
        if self.detector is None or self.detector.last is None or self.spec.heartbeat is None:
            return False
        from supervisor.core.detection.detectors.interval_window import OVERDUE

        known = self.detector.intervals()
        usual = max(self.spec.heartbeat.interval, sum(known) / len(known) if known else 0.0)
        return now - self.detector.last > OVERDUE * usual

    # -- heartbeats ----------------------------------------------------------------------------------------------

    def beat(self, event: ev.Heartbeat) -> float | None:
        """Take a beat while RUNNING.  Returns when suspicion begins, or None where beats are not observed."""
        if self.detector is None or event.incarnation != self.incarnation:
            return None
        if event.process is not None:
            return self._member_beat(event)
        detector, last = self.detector, self.detector.last
        if detector.heartbeat(event.at, event.sent) and last is not None and last > self.not_recorded_before:
            self.histogram.add(event.at - last)
        self.last_probe_error = ""
        self.refusals = 0
        self.ran = 0.0
        if event.busy is not None:
            from supervisor.core.detection.detectors.interval_window import FOREVER

            detector.discount_silence(min(event.busy, FOREVER), event.at)
        return detector.suspect_at()

    def _member_beat(self, event: ev.Heartbeat) -> float | None:
        """Take the beat of a process that beats for itself."""
        if self.members is None or event.process is None:
            return None
        member = self.members.beat(event.process, event.at, event.sent, event.busy, event.doing)
        return member.deadline if member is not None and self.members.judged else None

    @property
    def review_due(self) -> bool:
        """With one more beat enough new intervals are recorded to review the target."""
        return self.histogram.count + 1 >= self.review_at

    def apply_target(self) -> None:
        """Set the bounds of the detector, and `target_infeasible`, by the target and the recorded intervals."""
        self.assessment = None
        self.review_at = inf
        beat = self.spec.heartbeat
        if self.detector is None or beat is None or beat.target is None:
            return
        from supervisor.core.detection.target import assess

        self.assessment = assessment = assess(beat, self.spec.replicas, self.histogram)
        self.detector.bound(assessment.minimum, assessment.maximum)
        self.review_at = max(MIN_INTERVALS, self.histogram.count + self.histogram.count // REVIEW)
        self.target_infeasible = assessment.feasible is False and (assessment.sure or self.target_infeasible)

    # -- for a later daemon --------------------------------------------------------------------------------------

    def snapshot(self, now: float) -> dict[str, Any]:
        """What a later daemon needs to continue with this instance, as JSON-able data."""
        known = life.write(self) | {
            "at": now,
            "incarnation": self.incarnation,
            "restarts": self.restarts,
            "false_suspicions": self.false_suspicions,
            "rule": self.tracker.snapshot(now),
            "detector": self.detector.snapshot() if self.detector is not None else None,
            "recording": self.histogram.snapshot() if self.histogram.count else None,
        }
        if self.probe_failures:
            known["probe_failures"] = self.probe_failures
        if self.maintenance is not None:
            known["maintenance"] = self.maintenance._asdict() | {"by": dict(self.maintenance.by)}
        if self.members is not None and self.members.known:
            known["members"] = self.members.snapshot(now)
        return known

    def history(self, now: float) -> dict[str, Any]:
        """The part of the snapshot that holds in another boot too, and after an orderly end."""
        return {key: value for key, value in self.snapshot(now).items() if key in HISTORY}

    def restore(self, saved: Mapping[str, Any], *, crashed: bool, ahead: float | None = None) -> None:
        """Restore what an earlier daemon saved for the instance of this name; ignore what is damaged.

        The count of incarnations continues, and the learned intervals stay.  Where that daemon crashed in this boot
        (`crashed`), everything else is restored too; an `alive` instance then waits for `Adopted` or
        `NotFoundOnAdoption`.  `ahead`: see `snapshot.maintenance`.
        """
        self.incarnation = life.count(saved, "incarnation", self.incarnation)
        self.restarts = life.count(saved, "restarts", self.restarts)
        self.false_suspicions = life.count(saved, "false_suspicions", self.false_suspicions)
        self.probe_failures = life.count(saved, "probe_failures", self.probe_failures)
        detector = saved.get("detector")
        if self.detector is not None and isinstance(detector, Mapping):
            self.detector.restore(detector)
            self.histogram.restore(saved.get("recording"))
            self.apply_target()
        with suppress(*GARBAGE):
            self.maintenance = life.maintenance(saved.get("maintenance"), ahead)
        if crashed:
            with suppress(*GARBAGE):
                for name, value in life.read(saved).items():
                    setattr(self, name, value)
                self.tracker.restore(saved["rule"], saved["at"])
                if self.members is not None:
                    self.members.restore(saved.get("members"), saved["at"])

    def assume_spawning(self, incarnation: int) -> None:
        """Assume that this later incarnation was being spawned: a process carries its mark, and its record was lost.

        `Adopted` or `NotFoundOnAdoption` has to follow."""
        self.incarnation, self.goal = incarnation, Goal.UP
        self.state, self.phase, self.pid = State.STARTING, Phase.SPAWNING, None
        self.ready, self.until, self.failure = False, None, None
        self.tracker.trial(self.tracker.retry_at or 0.0)  # it was started, so that the cooldown was over


def detector_of(beat: HeartbeatSpec | None) -> Detector | None:
    """What observes an instance with this heartbeat; None without one."""
    if beat is None:
        return None
    from supervisor.core.detection.detectors.registry import make

    return make(beat)


_NOTHING_RECORDED = IntervalHistogram()


def histogram_of(beat: HeartbeatSpec | None) -> IntervalHistogram:
    """What records the intervals of an instance with this heartbeat; those without one share an empty record."""
    return IntervalHistogram() if beat is not None else _NOTHING_RECORDED


def members_of(beat: HeartbeatSpec | None) -> Members | None:
    """What observes the processes of an instance with this heartbeat; None where the instance alone is observed."""
    if beat is None or not beat.by_process:
        return None
    from supervisor.core.detection.detectors.registry import make
    from supervisor.core.detection.members import Members

    return Members(lambda: make(beat), beat.max_timeout, judged=beat.source != "activity")
