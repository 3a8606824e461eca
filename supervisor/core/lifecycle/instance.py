"""One instance's life: what is wanted (`goal`), what is (`state`), and the one table of what may follow what.

`step(event, now)` is the whole interface to change: no I/O, no clock, no waiting; it gives back the orders for
the world.  `deadline` says when to call again with `Timeout` if nothing else happens.  In STARTING an instance
first *waits* (for its dependencies and a restart slot: the fleet answers `Granted`), then *spawns* (`Spawned` or
`SpawnFailed` follows), then is *up* but not yet ready; `phase` says which.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from math import inf
from typing import Any

from supervisor.core.detection.detectors.protocol import Detector
from supervisor.core.detection.detectors.registry import make
from supervisor.core.detection.interval_histogram import FEWEST, Recording
from supervisor.core.detection.target import Verdict, judge
from supervisor.core.lifecycle import snapshot as life
from supervisor.core.lifecycle.snapshot import After, Failure, Phase
from supervisor.core.model import events as ev
from supervisor.core.model.actions import (
    Action,
    Examine,
    Goal,
    Kill,
    Purpose,
    Record,
    Release,
    Signal,
    Spawn,
    State,
    Watch,
)
from supervisor.core.model.causes import DETECTED, Cause
from supervisor.core.model.saved import GARBAGE
from supervisor.core.model.spec import Evidence, HeartbeatSpec, Reaction, ReadySpec, ServiceSpec, ServiceType
from supervisor.core.restart.tracker import Breaker, RestartRule, wants_restart
from supervisor.core.text.target import shown

EXAMINE_WITHIN = 1.0
"""Seconds a suspect may be looked at before it is acted on."""
ABORT = 6
"""SIGABRT, at which a process leaves a core file."""
MANY = "many fell silent at once"
"""Why the fleet holds one of them."""
OURSELVES = "this supervisor did not run itself"
"""Why nobody is suspected for the silence in a stall of our own."""
OVERDUE = 1.5
"""Usual intervals after which a beat is missing."""
GIVE_UP_AFTER = 10.0
"""Seconds that what was killed, and told to be there all the same, is waited for."""
REVIEW = 8
"""What is made of a wish is reviewed when the record has grown by one part in so many."""
KILL_AGAIN = 5.0
"""Seconds between two attempts to kill a tree that does not go away."""


class Instance:
    """The rules for one replica of one service.  Not thread-safe; owned by the fleet."""

    __slots__ = (
        "after",
        "asked_again",
        "cause",
        "cause_at",
        "detector",
        "evidence",
        "excused_until",
        "exit_code",
        "failure",
        "false_suspicions",
        "goal",
        "healthy_at",
        "held",
        "incarnation",
        "last_probe_error",
        "lingering",
        "lingering_since",
        "name",
        "phase",
        "pid",
        "ready",
        "recording",
        "recovering",
        "refused",
        "restarts",
        "review_at",
        "rng",
        "rule",
        "running_spec",
        "signal",
        "spec",
        "started_at",
        "state",
        "status_text",
        "suspect_since",
        "unheard",
        "until",
        "verdict",
        "waiting_for",
        "wanted_by",
    )

    def __init__(self, name: str, spec: ServiceSpec, rng: Callable[[], float]) -> None:
        self.name = name
        self.spec = spec
        self.running_spec = spec
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
        self.status_text = ""
        self.last_probe_error = ""
        self.waiting_for = ""
        self.held: str | None = None
        self.lingering: tuple[str, ...] = ()
        self.lingering_since: float | None = None
        self.evidence: Mapping[str, Any] = {}
        self.detector: Detector | None = make(spec.heartbeat) if spec.heartbeat else None
        self.rule = RestartRule(spec.restart)
        self.rng = rng
        self.after = After.JUDGE
        self.wanted_by = Cause.RESTARTED_BY_USER
        self.failure: Failure | None = None
        self.until: float | None = None
        self.healthy_at: float | None = None
        self.suspect_since = 0.0
        self.asked_again = False
        self.excused_until = -inf
        """An interval that began before was not all its own doing: it is not recorded."""
        self.recording = Recording()
        self.verdict: Verdict | None = None
        self.refused = False
        self._aim()
        self.unheard = False
        """READY=1 may have been said while no supervisor was there to hear it."""

    # -- the one contract ----------------------------------------------------------------------------------------

    def step(self, event: ev.Event, now: float) -> list[Action]:
        """Take one event at time `now` (seconds, monotonic) and give back the orders that follow from it."""
        incarnation = getattr(event, "incarnation", None)
        if incarnation is not None and incarnation != self.incarnation:
            return []
        handler = TRANSITIONS.get((self.state, type(event)))
        if handler is None:
            return []
        out: list[Action] = []
        handler(self, event, now, out)
        return out

    @property
    def deadline(self) -> float | None:
        """When to step with `Timeout` if nothing happens before; None: only an event can change anything."""
        if self.state is State.RUNNING:
            suspect_at = self.suspect_at
            if self.healthy_at is None:
                return suspect_at
            return self.healthy_at if suspect_at is None else min(self.healthy_at, suspect_at)
        return self.until

    @property
    def suspect_at(self) -> float | None:
        """The moment at which the present silence becomes suspicious; None where nobody listens."""
        if self.detector is None or self.state is not State.RUNNING:
            return None
        return self.detector.suspect_at()

    @property
    def silent_since(self) -> float | None:
        """When it fell under suspicion for its silence; None where it did not."""
        return self.suspect_since if self._suspected_for() is Cause.SILENT and self.state is State.SUSPECT else None

    @property
    def silence(self) -> float:
        """Seconds of silence at which it fell under suspicion."""
        return float(self.failure[1].get("silence_s", 0.0)) if self.failure else 0.0

    def overdue(self, now: float) -> bool:
        """It has missed a beat, which is no suspicion yet."""
        if self.detector is None or self.detector.last is None or self.spec.heartbeat is None:
            return False
        known = self.detector.intervals()
        usual = max(self.spec.heartbeat.interval, sum(known) / len(known) if known else 0.0)
        return now - self.detector.last > OVERDUE * usual

    @property
    def alive(self) -> bool:
        """A process, or part of its tree, may exist."""
        return self.state in (State.RUNNING, State.SUSPECT, State.STOPPING) or self.phase >= Phase.SPAWNING

    @property
    def waiting(self) -> bool:
        """It wants to be spawned and waits for the fleet's `Granted`."""
        return self.phase is Phase.WAITING

    @property
    def spawning(self) -> bool:
        """A spawn is ordered, and its outcome not known yet."""
        return self.phase is Phase.SPAWNING

    @property
    def stays(self) -> bool:
        """It is to outlive the supervisor: `detach`, and it runs, and is to run."""
        runs = self.state in (State.RUNNING, State.SUSPECT) or self.phase is Phase.UP
        return self.spec.detach and runs and self.goal is Goal.UP

    def stuck(self, now: float) -> bool:
        """It was killed again and again and does not go (state D, say): nobody waits for it any more."""
        return self.lingering_since is not None and now - self.lingering_since >= GIVE_UP_AFTER

    @property
    def satisfied(self) -> bool:
        """A dependant may start: this is ready, or a oneshot that has succeeded."""
        if self.spec.type is ServiceType.ONESHOT:
            return self.state is State.EXITED and self.cause is Cause.SUCCEEDED
        return self.ready

    def snapshot(self, now: float) -> dict[str, Any]:
        """What a later supervisor must know to take this instance up as it is (JSON-able)."""
        return life.write(self) | {
            "at": now,
            "incarnation": self.incarnation,
            "restarts": self.restarts,
            "false_suspicions": self.false_suspicions,
            "rule": self.rule.snapshot(now),
            "detector": self.detector.snapshot() if self.detector is not None else None,
            "recording": self.recording.snapshot() if self.recording.count else None,
        }

    def restore(self, saved: Mapping[str, Any], *, crashed: bool) -> None:
        """Take up an earlier supervisor's instance of this name.  Garbage is no history.

        Incarnations go on counting and the rhythm stays learned.  Where that supervisor did not end in order, and
        in this boot (`crashed`), all else is as it was too, and who was `alive` waits for `Adopted` or `Vanished`."""
        for field in ("incarnation", "restarts", "false_suspicions"):
            value = saved.get(field)
            if isinstance(value, int) and value >= 0:
                setattr(self, field, value)
        detector = saved.get("detector")
        if self.detector is not None and isinstance(detector, Mapping):
            self.detector.restore(detector)
            self.recording.restore(saved.get("recording"))
            self._aim()
        if crashed:
            with suppress(*GARBAGE):
                for name, value in life.read(saved).items():
                    setattr(self, name, value)
                self.rule.restore(saved["rule"], saved["at"])

    def presume(self, incarnation: int) -> None:
        """A process says that it is this later incarnation: its start was recorded, and the record was lost.  All that
        is known is that it was to be started; `Adopted` or `Vanished` has to follow."""
        self.incarnation, self.goal = incarnation, Goal.UP
        self.state, self.phase, self.pid = State.STARTING, Phase.SPAWNING, None
        self.ready, self.until, self.failure = False, None, None

    # -- commands ------------------------------------------------------------------------------------------------

    def _start(self, event: ev.Start, now: float, out: list[Action]) -> None:
        self.goal = Goal.UP
        if self.state is State.FAILED:
            self.rule.trial(now)
        self._wait(event.cause, now, out)

    def _start_while_up(self, event: ev.Start, now: float, out: list[Action]) -> None:
        if self.goal is Goal.DOWN:  # it was to be stopped later, and is wanted again
            self.goal = Goal.UP
            self._note(event.cause, now, out)

    def _start_while_stopping(self, event: ev.Start, now: float, out: list[Action]) -> None:
        if self.goal is Goal.DOWN:
            self._restart_while_stopping(event, now, out)

    def _stop_at_rest(self, event: ev.Stop, now: float, out: list[Action]) -> None:
        """Nothing runs: BACKOFF, FAILED, EXITED, or STARTING while it only waits."""
        self.goal, self.phase = Goal.DOWN, Phase.NONE
        self._move(State.STOPPED, event.cause, now, out)

    def _stop_while_starting(self, event: ev.Stop, now: float, out: list[Action]) -> None:
        if self.phase is Phase.WAITING:
            self._stop_at_rest(event, now, out)
        else:
            self._stop(event, now, out)

    def _stop(self, event: ev.Stop, now: float, out: list[Action]) -> None:
        if event.cause is Cause.SHUTDOWN and self.stays:
            if self.cause is not Cause.LEFT_RUNNING:
                self._note(Cause.LEFT_RUNNING, now, out, {"pid": self.pid})
            return
        if event.later:
            self.wanted_by = event.cause
            if self.goal is Goal.UP:
                self.goal = Goal.DOWN
                self._note(event.cause, now, out)
            return
        self.goal = Goal.DOWN
        self._end(event.cause, After.STOP, now, out, force=event.force)

    def _stop_while_stopping(self, event: ev.Stop, now: float, out: list[Action]) -> None:
        if self.goal is Goal.UP:
            self.goal = Goal.DOWN
            self._note(event.cause, now, out)
        self.after = After.STOP
        if event.force and self.phase is not Phase.SPAWNING:
            out.append(Kill(self.name, self.incarnation))
            self.until = now + KILL_AGAIN

    def _restart(self, event: ev.Restart, now: float, out: list[Action]) -> None:
        self.goal = Goal.UP
        self._end(event.cause, After.RESTART, now, out)

    def _restart_while_starting(self, event: ev.Restart, now: float, out: list[Action]) -> None:
        if self.phase is not Phase.WAITING:
            self._restart(event, now, out)

    def _restart_at_rest(self, event: ev.Restart, now: float, out: list[Action]) -> None:
        self._start(ev.Start(event.cause), now, out)

    def _restart_while_stopping(self, event: ev.Restart | ev.Start, now: float, out: list[Action]) -> None:
        self.goal = Goal.UP
        self.after, self.wanted_by = After.RESTART, event.cause
        self._note(event.cause, now, out)

    def _reset(self, event: ev.Reset, now: float, out: list[Action]) -> None:
        self.rule.reset()
        self.healthy_at = None
        self._note(Cause.RESET_BY_USER, now, out)

    def _reset_at_rest(self, event: ev.Reset, now: float, out: list[Action]) -> None:
        """BACKOFF or FAILED: what kept it waiting is gone."""
        self.rule.reset()
        self._wait(Cause.RESET_BY_USER, now, out)

    def _reconfigure(self, event: ev.Reconfigure, now: float, out: list[Action]) -> None:
        self._take_spec(event.spec, out)
        if not event.restart:
            self.running_spec = event.spec
            if self.state is State.RUNNING and self.detector is not None:
                out.append(Watch(self.name, self.incarnation, Purpose.HEARTBEAT))
        elif self.state in (State.RUNNING, State.SUSPECT) or self.phase in (Phase.SPAWNING, Phase.UP):
            if self.goal is Goal.UP:
                self._end(Cause.RELOADED, After.RESTART, now, out)
            return
        self._note(Cause.RELOADED, now, out)

    def _take_spec(self, spec: ServiceSpec, out: list[Action]) -> None:
        if spec.heartbeat != self.spec.heartbeat:
            self.refused = False
            if not _same_rhythm(spec.heartbeat, self.spec.heartbeat):
                self.recording.clear()
            self.detector = make(spec.heartbeat) if spec.heartbeat else None
            if self.detector is not None and self.state is State.RUNNING and self.cause_at is not None:
                self.detector.start(self.cause_at)
        self.spec = spec
        self._aim(out)
        self.rule.reconfigure(spec.restart)

    # -- what is wished of detection -----------------------------------------------------------------------------

    @property
    def review_due(self) -> bool:
        """With one more beat so much is known that the wish is to be judged anew."""
        return self.review_at != inf and self.recording.count + 1 >= self.review_at

    def _aim(self, out: list[Action] | None = None) -> None:
        """Set the detector by what is wished and what is recorded; tell when it is sure that both wishes cannot be had,
        and when they can after all."""
        self.verdict = None
        self.review_at = inf
        beat = self.spec.heartbeat
        if self.detector is None or beat is None or beat.target is None:
            return
        self.verdict = verdict = judge(beat, self.spec.replicas, self.recording)
        self.detector.bound(verdict.least, verdict.most)
        self.review_at = max(FEWEST, self.recording.count + self.recording.count // REVIEW)
        refused = verdict.feasible is False and (verdict.sure or self.refused)
        if refused != self.refused and out is not None:
            cause = Cause.WISH_REFUSED if refused else Cause.WISH_GRANTED
            out.append(self._record(self.state, cause, shown(verdict, beat.target)))
        self.refused = refused

    # -- starting ------------------------------------------------------------------------------------------------

    def _granted(self, event: ev.Granted, now: float, out: list[Action]) -> None:
        if self.phase is not Phase.WAITING:
            return
        self.phase = Phase.SPAWNING
        self.incarnation += 1
        self.running_spec = self.spec
        self.waiting_for = ""
        self.ready = False
        self.status_text = self.last_probe_error = ""
        self.held = None
        self.lingering, self.lingering_since = (), None
        self.failure = None
        self.unheard = False
        self.after = After.JUDGE
        self.until = None
        out.append(self._record(self.state, self.cause, {"phase": "spawn"}))
        out.append(Spawn(self.name, self.incarnation))

    def _spawned(self, event: ev.Spawned, now: float, out: list[Action]) -> None:
        self.pid, self.started_at, self.phase = event.pid, now, Phase.UP
        spec = self.spec
        if spec.ready is not None:
            self.until = now + spec.start_timeout
            self._note(Cause.SPAWNED, now, out, {"pid": event.pid})
            out.append(Watch(self.name, self.incarnation, Purpose.READY))
        else:
            self._run(Cause.SPAWNED, now, out, {"pid": event.pid}, ready=spec.type is ServiceType.SERVICE)

    def _spawned_while_stopping(self, event: ev.Spawned, now: float, out: list[Action]) -> None:
        self.pid, self.started_at, self.phase = event.pid, now, Phase.NONE
        self._note(Cause.SPAWNED, now, out, {"pid": event.pid})
        self._send_stop(now, out)

    def _spawn_failed(self, event: ev.SpawnFailed, now: float, out: list[Action]) -> None:
        self.phase = Phase.NONE
        self.exit_code = self.signal = None
        self.failure = (Cause.SPAWN_FAILED, {"error": event.error})
        self._ended(now, out)

    def _adopted_while_starting(self, event: ev.Adopted, now: float, out: list[Action]) -> None:
        """It was being spawned, or was not ready yet, when the earlier supervisor ended."""
        if self.phase is Phase.WAITING:
            return
        self._take_process(event, now)
        if self.spec.ready is None:
            self._run(Cause.ADOPTED, now, out, {"pid": event.pid}, ready=self.spec.type is ServiceType.SERVICE)
        else:
            self._note(Cause.ADOPTED, now, out, {"pid": event.pid})
            self._await_ready(self.spec.ready, now, out)

    def _await_ready(self, ready: ReadySpec, now: float, out: list[Action]) -> None:
        """It has the time of a start again; READY=1 may have been said to nobody."""
        self.phase = Phase.UP
        self.until = now + self.spec.start_timeout
        self.unheard = ready.notify
        out.append(Watch(self.name, self.incarnation, Purpose.READY))

    def _adopted_alive(self, event: ev.Adopted, now: float, out: list[Action]) -> None:
        """RUNNING, or SUSPECT: what made it so is not known any more, and will show again if it lasts."""
        self._take_process(event, now)
        self.failure = None
        if self.state is State.SUSPECT and self.spec.ready is not None and not self.ready:
            self._move(State.STARTING, Cause.ADOPTED, now, out, {"pid": event.pid})
            self._await_ready(self.spec.ready, now, out)
            return
        self._move(State.RUNNING, Cause.ADOPTED, now, out, {"pid": event.pid})
        self._listen(now, out)

    def _adopted_while_stopping(self, event: ev.Adopted, now: float, out: list[Action]) -> None:
        """Nobody knows whether the signal got out, so it is sent (again)."""
        self._take_process(event, now)
        self._note(Cause.ADOPTED, now, out, {"pid": event.pid})
        self._send_stop(now, out)

    def _take_process(self, event: ev.Adopted, now: float) -> None:
        self.pid, self.phase = event.pid, Phase.NONE
        self.started_at = now - event.age

    def _vanished(self, event: ev.Vanished, now: float, out: list[Action]) -> None:
        """STARTING, RUNNING or SUSPECT when the earlier supervisor ended."""
        if self.phase is Phase.WAITING:
            return
        if self.phase is Phase.SPAWNING and event.tree_empty:  # it never came to be
            self._wait(Cause.SPAWN_INTERRUPTED, now, out)
        else:
            self._exited(ev.Exited(event.incarnation, None, None, event.tree_empty), now, out)

    def _vanished_while_stopping(self, event: ev.Vanished, now: float, out: list[Action]) -> None:
        """Where its end was seen before, only its tree was left."""
        code, number = (None, None) if self.pid is not None else (self.exit_code, self.signal)
        self.phase = Phase.NONE
        self.until = now + self.running_spec.stop_timeout
        self._exited_while_stopping(ev.Exited(event.incarnation, code, number, event.tree_empty), now, out)

    def _became_ready(self, event: ev.Ready, now: float, out: list[Action]) -> None:
        if self.phase is not Phase.UP and self.state is not State.SUSPECT:
            return
        seconds = now - self.started_at if self.started_at is not None else 0.0
        self._run(Cause.READY, now, out, {"how": event.how, "after_s": round(seconds, 3)}, ready=True)

    def _run(self, cause: Cause, now: float, out: list[Action], detail: dict[str, Any], *, ready: bool) -> None:
        self.ready = ready
        self.recovering = False
        self.last_probe_error = ""
        self.phase = Phase.NONE
        if self.rule.attempt or self.rule.breaker is not Breaker.CLOSED:
            self.healthy_at = now + self.spec.restart.reset_after
        self._move(State.RUNNING, cause, now, out, detail)
        self._listen(now, out)

    def _listen(self, now: float, out: list[Action]) -> None:
        """Silence counts from now on."""
        if self.detector is not None:
            self.detector.start(now)
            self.excused_until = -inf
            out.append(Watch(self.name, self.incarnation, Purpose.HEARTBEAT))

    def _start_timed_out(self, event: ev.Timeout, now: float, out: list[Action]) -> None:
        if self.phase is Phase.UP and self.unheard:
            how = "assumed: it may have said so while no supervisor was there to hear it"
            self._run(Cause.READY, now, out, {"how": how}, ready=True)
        elif self.phase is Phase.UP:
            detail: dict[str, Any] = {"start_timeout_s": self.spec.start_timeout}
            if self.last_probe_error:
                detail["last_probe_error"] = self.last_probe_error
            self._suspect(Cause.START_TIMEOUT, now, out, detail)

    # -- health --------------------------------------------------------------------------------------------------

    def beat(self, event: ev.Heartbeat) -> float | None:
        """Take a beat while RUNNING; the moment at which suspicion begins, or None where it is not listened to."""
        if self.detector is None or event.incarnation != self.incarnation:
            return None
        detector, last = self.detector, self.detector.last
        if detector.heartbeat(event.at, event.sent) and last is not None and last > self.excused_until:
            self.recording.add(event.at - last)
        self.last_probe_error = ""
        return detector.suspect_at()

    def _heartbeat(self, event: ev.Heartbeat, now: float, out: list[Action]) -> None:
        self.beat(event)
        if self.recording.count >= self.review_at:
            self._aim(out)

    def _heartbeat_while_suspect(self, event: ev.Heartbeat, now: float, out: list[Action]) -> None:
        if self._suspected_for() is Cause.SILENT and self.detector is not None:
            last = self.detector.last
            self.detector.forget_current()
            if self.detector.heartbeat(event.at, event.sent):
                if last is not None and self.held is None and last > self.excused_until:
                    self.recording.add(event.at - last)  # it was late, and that is all
                self._clear(Cause.HEARTBEAT_RESUMED, now, out)
                self._aim(out)

    def _probe_failed(self, event: ev.ProbeFailed, now: float, out: list[Action]) -> None:
        self.last_probe_error = event.error

    def _triggered(self, event: ev.Triggered, now: float, out: list[Action]) -> None:
        if self.phase is not Phase.WAITING:
            self._suspect(Cause.TRIGGERED, now, out, {})

    def _limit_exceeded(self, event: ev.LimitExceeded, now: float, out: list[Action]) -> None:
        cause = Cause(f"{event.resource}-limit")
        detail = {"value": event.value, "limit": event.limit}
        resources = self.spec.resources
        if resources is not None and resources.action is Reaction.REPORT:
            self._note(cause, now, out, detail | {"action": "report"})
        else:
            self._suspect(cause, now, out, detail)

    def _running_timeout(self, event: ev.Timeout, now: float, out: list[Action]) -> None:
        if self._overdue(event.patience, now):
            late = {"patience": round(event.patience, 2)} if event.patience > 1.0 else {}
            self._suspect(Cause.SILENT, now, out, self._silence(now) | late)
        elif self.healthy_at is not None and self.healthy_at <= now:
            self.healthy_at = None
            if self.rule.healthy(now):
                self._note(Cause.BREAKER_CLOSED, now, out)

    def _overdue(self, patience: float, now: float) -> bool:
        """The silence is suspicious, even with that much patience."""
        suspect_at = self.suspect_at
        if suspect_at is None or suspect_at > now:
            return False
        assert self.detector is not None  # which said so
        self.detector.spare(patience)
        suspect_at = self.detector.suspect_at()
        return suspect_at is not None and suspect_at <= now

    def _silence(self, now: float) -> dict[str, Any]:
        detector = self.detector
        assert detector is not None
        detail: dict[str, Any] = {
            "detector": detector.name,
            "suspicion": round(detector.suspicion(now), 3),
            "threshold": detector.threshold,
            "intervals_s": [round(i, 4) for i in detector.intervals()[-16:]],
        }
        if detector.last is None:
            detail["never_beat"] = True
        since = detector.last if detector.last is not None else self.cause_at
        assert since is not None  # it runs, so something caused that
        detail["silence_s"] = round(now - since, 3)
        if self.last_probe_error:
            detail["last_probe_error"] = self.last_probe_error
        return detail

    # -- suspicion -----------------------------------------------------------------------------------------------

    def _suspect(self, cause: Cause, now: float, out: list[Action], detail: dict[str, Any]) -> None:
        heartbeat = self.spec.heartbeat
        silent = cause is Cause.SILENT
        self.failure = (cause, detail)
        self.suspect_since = now
        self.phase = Phase.NONE
        self.healthy_at = None
        self.held = None
        self.asked_again = False
        self.evidence = {}
        only_report = silent and heartbeat is not None and heartbeat.on_suspect is Reaction.REPORT
        within = EXAMINE_WITHIN
        if silent and heartbeat is not None:
            within += heartbeat.probe_timeout
        self._move(State.SUSPECT, cause, now, out, detail, until=None if only_report else now + within)
        out.append(Examine(self.name, self.incarnation, within, confirm=silent))

    def _suspected_for(self) -> Cause | None:
        return self.failure[0] if self.failure else None

    def _examined(self, event: ev.Examined, now: float, out: list[Action]) -> None:
        self.evidence = event.evidence
        silent = self._suspected_for() is Cause.SILENT
        if event.alive and silent:
            if self.detector is not None:
                self.detector.forget_current()
                self.detector.heartbeat(now)
                self.excused_until = now
            self._clear(Cause.CONFIRMED_ALIVE, now, out)
        elif self.until is None:
            self._note(Cause.SILENT, now, out, {"action": "report", "evidence": dict(event.evidence)})
        elif silent and event.held is None and self.held not in (None, MANY):
            self._can_run_again(now, out)
        elif (why := self._reason_to_hold(event)) is not None:
            self._hold(why, event, now, out)
        else:
            self._act_on_suspicion(now, out, {"held": event.held, "ran_s": event.ran} if event.held else None)

    def _reason_to_hold(self, event: ev.Examined) -> str | None:
        """Why it is given more time, which ends when it could have run for as long as it may take.  A slow start,
        once held, goes on: nobody knows how much of it was lost."""
        cause = self._suspected_for()
        if cause is Cause.SILENT and self.spec.heartbeat is not None:
            return event.held if event.ran < self.spec.heartbeat.max_timeout else None
        if cause is Cause.START_TIMEOUT and event.ran < self.spec.start_timeout:
            return event.held or self.held
        return None

    def _hold(self, why: str, event: ev.Examined, now: float, out: list[Action]) -> None:
        """Its silence proves nothing: look again later, but not for ever."""
        self.asked_again = False
        self.until = now + EXAMINE_WITHIN
        if self.held != why:
            self.held = why
            numbers = {key: event.evidence[key] for key in ("waited", "host") if key in event.evidence}
            lasts = round(now - self.suspect_since, 3)
            self._note(Cause.HELD, now, out, {"held": why, "for_s": lasts, "ran_s": round(event.ran, 3), **numbers})

    def _can_run_again(self, now: float, out: list[Action]) -> None:
        """What held it is over, and its silence counts from now: it has had no time to beat yet."""
        detector = self.detector
        assert detector is not None  # which suspected it
        self.failure = None
        detail = {"held": self.held, "for_s": round(now - self.suspect_since, 3)}
        self.held = None
        self._move(State.RUNNING, Cause.HOLD_OVER, now, out, detail)
        if detector.last is None:
            detector.start(now)
        else:
            detector.excuse(now - detector.last, now)
            self.excused_until = now

    def _suspect_timeout(self, event: ev.Timeout, now: float, out: list[Action]) -> None:
        if self.held is None or self.asked_again:  # and nobody answered
            self._act_on_suspicion(now, out, {"held": self.held} if self.held else None)
            return
        self.asked_again = True
        self.until = now + 2 * EXAMINE_WITHIN
        silent = self._suspected_for() is Cause.SILENT
        out.append(Examine(self.name, self.incarnation, EXAMINE_WITHIN, confirm=silent, again=True))

    def _ready_while_suspect(self, event: ev.Ready, now: float, out: list[Action]) -> None:
        """It only took longer."""
        if self._suspected_for() is Cause.START_TIMEOUT:
            self.false_suspicions += 1
            self.failure = self.held = None
            self._became_ready(event, now, out)

    def _clear(self, cause: Cause, now: float, out: list[Action]) -> None:
        self.false_suspicions += 1
        self.failure = None
        self.held = None
        if self.rule.attempt or self.rule.breaker is not Breaker.CLOSED:
            self.healthy_at = now + self.spec.restart.reset_after
        self._move(State.RUNNING, cause, now, out, {"false_suspicions": self.false_suspicions})

    def _act_on_suspicion(self, now: float, out: list[Action], more: dict[str, Any] | None = None) -> None:
        assert self.failure is not None
        cause, detail = self.failure
        detail = detail | (more or {})
        if self.evidence:
            detail["evidence"] = dict(self.evidence)
        self.held = None
        core = self.spec.evidence is Evidence.CORE
        self._end(cause, After.JUDGE, now, out, detail=detail, signal=ABORT if core else None)
        self.failure = (cause, {k: v for k, v in detail.items() if k != "evidence"})

    # -- stopping ------------------------------------------------------------------------------------------------

    def _end(
        self,
        cause: Cause,
        after: After,
        now: float,
        out: list[Action],
        *,
        detail: dict[str, Any] | None = None,
        force: bool = False,
        signal: int | None = None,
    ) -> None:
        """Take the process down, with `signal` (None: its stop signal); `after` says what follows."""
        self.after, self.wanted_by = after, cause
        if after is not After.JUDGE:
            self.failure = None
        self.ready = False
        self.healthy_at = None
        self._move(State.STOPPING, cause, now, out, detail)
        if self.phase is Phase.SPAWNING:
            return  # `Spawned` or `SpawnFailed` is on its way, and the signal goes out then
        self.phase = Phase.NONE
        if force:
            out.append(Kill(self.name, self.incarnation))
            self.until = now + KILL_AGAIN
        else:
            self._send_stop(now, out, signal)

    def _send_stop(self, now: float, out: list[Action], signal: int | None = None) -> None:
        self.until = now + self.running_spec.stop_timeout
        out.append(Signal(self.name, self.incarnation, signal or self.running_spec.stop_signal))

    def _stop_timed_out(self, event: ev.Timeout, now: float, out: list[Action]) -> None:
        if self.cause not in (Cause.STOP_TIMEOUT, Cause.LINGERING):  # told once, however often it is killed
            self._note(Cause.STOP_TIMEOUT, now, out, {"stop_timeout_s": self.running_spec.stop_timeout})
        self.until = now + KILL_AGAIN
        out.append(Kill(self.name, self.incarnation))

    def _lingers(self, event: ev.Lingering, now: float, out: list[Action]) -> None:
        if self.lingering_since is None:
            self.lingering_since = now
        if event.processes != self.lingering:
            self.lingering = event.processes
            self._note(Cause.LINGERING, now, out, {"processes": list(event.processes)})

    def _extended(self, event: ev.Extended, now: float, out: list[Action]) -> None:
        if self.until is not None:
            self.until = max(self.until, now + event.seconds)

    # -- the end of a process ------------------------------------------------------------------------------------

    def _exited(self, event: ev.Exited, now: float, out: list[Action]) -> None:
        """It ended while it was wanted: by itself, or under suspicion."""
        self._take_exit(event)
        found = self.failure if self.state is State.SUSPECT else None
        self.failure = found or (self._exit_cause(), self._exit_detail())
        self.after = After.JUDGE
        self.phase = Phase.NONE
        if event.tree_empty:
            self._ended(now, out)
            return
        cause, detail = self.failure
        self._move(State.STOPPING, cause, now, out, detail | {"tree": "left behind"})
        self.until = now + self.running_spec.stop_timeout
        out.append(Signal(self.name, self.incarnation, self.running_spec.stop_signal, tree=True))

    def _exited_while_stopping(self, event: ev.Exited, now: float, out: list[Action]) -> None:
        self._take_exit(event)
        if event.tree_empty:
            self._ended(now, out)
        else:
            out.append(Signal(self.name, self.incarnation, self.running_spec.stop_signal, tree=True))

    def _tree_empty(self, event: ev.TreeEmpty, now: float, out: list[Action]) -> None:
        if self.pid is None:
            self._ended(now, out)

    def _take_exit(self, event: ev.Exited) -> None:
        self.pid = None
        self.ready = False
        self.healthy_at = None
        self.exit_code, self.signal = event.exit_code, event.signal

    def _exit_cause(self) -> Cause:
        if self.signal is not None:
            return Cause.KILLED
        return Cause.EXITED if self.exit_code is not None else Cause.EXIT_UNKNOWN

    def _exit_detail(self) -> dict[str, Any]:
        return {"exit_code": self.exit_code, "signal": self.signal}

    def _ended(self, now: float, out: list[Action]) -> None:
        """Process and tree are gone.  What is wanted decides first, then the restart rule."""
        self.pid = None
        self.started_at = None
        self.ready = False
        self.lingering, self.lingering_since = (), None
        self.phase = Phase.NONE
        out.append(Release(self.name, self.incarnation))
        if self.goal is Goal.DOWN or self.after is After.STOP:
            self._move(State.STOPPED, Cause.STOPPED, now, out, self._exit_detail())
        elif self.after is After.RESTART:
            self._wait(self.wanted_by, now, out)
        else:
            self._judge(now, out)

    def _judge(self, now: float, out: list[Action]) -> None:
        cause, detail = self.failure or (self._exit_cause(), {})
        self.failure = None
        detail = detail | self._exit_detail()
        spec = self.spec.restart
        oneshot = self.spec.type is ServiceType.ONESHOT
        found = cause in DETECTED or cause is Cause.SPAWN_FAILED
        if not wants_restart(spec, oneshot, self.exit_code, self.signal, found):
            if not found and self.signal is None and self.exit_code in spec.success_exit_codes:
                cause = Cause.SUCCEEDED
            self._move(State.EXITED, cause, now, out, detail)
            return
        verdict = self.rule.failed(now, self.rng)
        detail |= {
            "attempt": self.rule.attempt,
            "restarts_in_window": self.rule.restarts_in_window(now),
            "max_restarts": spec.max_restarts,
            "window_s": spec.window,
        }
        if not verdict.restart:
            assert verdict.retry_at is not None  # no restart means an open breaker, and that tries again
            detail |= {"breaker": verdict.breaker.value, "reason": verdict.reason}
            detail["retry_in_s"] = round(verdict.retry_at - now, 3)
            self._move(State.FAILED, cause, now, out, detail, until=verdict.retry_at)
            return
        self.restarts += 1
        self.recovering = True
        detail["delay_s"] = round(verdict.delay, 3)
        if verdict.delay > 0.0:
            self._move(State.BACKOFF, cause, now, out, detail, until=now + verdict.delay)
        else:
            self._wait(cause, now, out, detail)

    def _backoff_over(self, event: ev.Timeout, now: float, out: list[Action]) -> None:
        self._wait(Cause.BACKOFF_ELAPSED, now, out)

    def _cooldown_over(self, event: ev.Timeout, now: float, out: list[Action]) -> None:
        self.rule.trial(now)
        self.restarts += 1
        self.recovering = True
        self._wait(Cause.BREAKER_TRIAL, now, out)

    # -- small print ---------------------------------------------------------------------------------------------

    def _status(self, event: ev.StatusText, now: float, out: list[Action]) -> None:
        self.status_text = event.text

    def _main_pid(self, event: ev.MainPid, now: float, out: list[Action]) -> None:
        self.pid = event.pid
        self._note(self.cause, now, out, {"pid": event.pid, "mainpid": True})

    def _stalled(self, event: ev.Stalled, now: float, out: list[Action]) -> None:
        """Nobody could do anything in that time: neither beat, nor become ready, nor stop.  Whom this saves from
        suspicion is held."""
        if self.detector is not None and self.state in (State.RUNNING, State.SUSPECT):
            suspect_at = self.suspect_at
            if suspect_at is not None and suspect_at <= now:
                numbers = {"for_s": round(event.seconds, 3), "silence_s": self._silence(now)["silence_s"]}
                out.append(self._record(self.state, Cause.HELD, {"held": OURSELVES, **numbers}))
            self.detector.excuse(event.seconds, now)
            self.excused_until = now
        if self.until is not None:
            self.until += event.seconds

    def _wait(self, cause: Cause, now: float, out: list[Action], detail: dict[str, Any] | None = None) -> None:
        self._move(State.STARTING, cause, now, out, detail)
        self.phase = Phase.WAITING

    def _move(
        self,
        after: State,
        cause: Cause,
        now: float,
        out: list[Action],
        detail: Mapping[str, Any] | None = None,
        *,
        until: float | None = None,
    ) -> None:
        before, self.state = self.state, after
        self.cause, self.cause_at, self.until = cause, now, until
        out.append(self._record(before, cause, detail))

    def _note(self, cause: Cause, now: float, out: list[Action], detail: Mapping[str, Any] | None = None) -> None:
        """Something worth remembering that changes no state."""
        self.cause, self.cause_at = cause, now
        out.append(self._record(self.state, cause, detail))

    def _record(self, before: State, cause: Cause, detail: Mapping[str, Any] | None) -> Record:
        return Record(self.name, self.spec.name, self.incarnation, self.goal, before, self.state, cause, detail or {})


def _same_rhythm(one: HeartbeatSpec | None, other: HeartbeatSpec | None) -> bool:
    """Beats of the one come as those of the other do; only what is made of them may differ."""
    return one is not None and other is not None and (one.source, one.interval) == (other.source, other.interval)


Handler = Callable[[Instance, Any, float, list[Action]], None]
_REST = (State.BACKOFF, State.FAILED, State.EXITED)
_LIVE = (State.RUNNING, State.SUSPECT)
_BUSY = (State.STARTING, *_LIVE, State.STOPPING)


def _table() -> dict[tuple[State, type[ev.Event]], Handler]:
    i = Instance
    table: dict[tuple[State, type[ev.Event]], Handler] = {
        (State.STOPPED, ev.Start): i._start,
        (State.STOPPED, ev.Restart): i._restart_at_rest,
        (State.STOPPED, ev.Reset): i._reset,
        (State.EXITED, ev.Reset): i._reset,
        (State.BACKOFF, ev.Reset): i._reset_at_rest,
        (State.BACKOFF, ev.Timeout): i._backoff_over,
        (State.FAILED, ev.Reset): i._reset_at_rest,
        (State.FAILED, ev.Timeout): i._cooldown_over,
        (State.STARTING, ev.Start): i._start_while_up,
        (State.STARTING, ev.Stop): i._stop_while_starting,
        (State.STARTING, ev.Restart): i._restart_while_starting,
        (State.STARTING, ev.Reset): i._reset,
        (State.STARTING, ev.Granted): i._granted,
        (State.STARTING, ev.Spawned): i._spawned,
        (State.STARTING, ev.SpawnFailed): i._spawn_failed,
        (State.STARTING, ev.Adopted): i._adopted_while_starting,
        (State.STARTING, ev.Vanished): i._vanished,
        (State.STARTING, ev.Ready): i._became_ready,
        (State.STARTING, ev.ProbeFailed): i._probe_failed,
        (State.STARTING, ev.Exited): i._exited,
        (State.STARTING, ev.Triggered): i._triggered,
        (State.STARTING, ev.Extended): i._extended,
        (State.STARTING, ev.Timeout): i._start_timed_out,
        (State.RUNNING, ev.Heartbeat): i._heartbeat,
        (State.RUNNING, ev.ProbeFailed): i._probe_failed,
        (State.RUNNING, ev.Triggered): i._triggered,
        (State.RUNNING, ev.LimitExceeded): i._limit_exceeded,
        (State.RUNNING, ev.Timeout): i._running_timeout,
        (State.SUSPECT, ev.Heartbeat): i._heartbeat_while_suspect,
        (State.SUSPECT, ev.ProbeFailed): i._probe_failed,
        (State.SUSPECT, ev.Examined): i._examined,
        (State.SUSPECT, ev.Ready): i._ready_while_suspect,
        (State.SUSPECT, ev.Timeout): i._suspect_timeout,
        (State.STOPPING, ev.Start): i._start_while_stopping,
        (State.STOPPING, ev.Stop): i._stop_while_stopping,
        (State.STOPPING, ev.Restart): i._restart_while_stopping,
        (State.STOPPING, ev.Reset): i._reset,
        (State.STOPPING, ev.Spawned): i._spawned_while_stopping,
        (State.STOPPING, ev.SpawnFailed): i._spawn_failed,
        (State.STOPPING, ev.Adopted): i._adopted_while_stopping,
        (State.STOPPING, ev.Vanished): i._vanished_while_stopping,
        (State.STOPPING, ev.Exited): i._exited_while_stopping,
        (State.STOPPING, ev.TreeEmpty): i._tree_empty,
        (State.STOPPING, ev.Lingering): i._lingers,
        (State.STOPPING, ev.Extended): i._extended,
        (State.STOPPING, ev.Timeout): i._stop_timed_out,
    }
    for state in _REST:
        table[state, ev.Start] = i._start
        table[state, ev.Stop] = i._stop_at_rest
        table[state, ev.Restart] = i._restart_at_rest
    for state in _LIVE:
        table[state, ev.Start] = i._start_while_up
        table[state, ev.Stop] = i._stop
        table[state, ev.Restart] = i._restart
        table[state, ev.Reset] = i._reset
        table[state, ev.Exited] = i._exited
        table[state, ev.Adopted] = i._adopted_alive
        table[state, ev.Vanished] = i._vanished
    for state in State:
        table[state, ev.Reconfigure] = i._reconfigure
    for state in _BUSY:
        table[state, ev.Stalled] = i._stalled
        table[state, ev.StatusText] = i._status
        table[state, ev.MainPid] = i._main_pid
    return table


TRANSITIONS = _table()
"""Every pair of state and event that means something."""


def _but(*states: State) -> tuple[State, ...]:
    return tuple(s for s in State if s not in states)


IGNORED: dict[type[ev.Event], tuple[State, ...]] = {
    # A goal that is already met.
    ev.Stop: (State.STOPPED,),
    # Nothing waits for it: the fleet grants only what asks, and a spawn is reported only where one was ordered.
    ev.Granted: _but(State.STARTING),
    ev.Spawned: _but(State.STARTING, State.STOPPING),
    ev.SpawnFailed: _but(State.STARTING, State.STOPPING),
    # Only what was alive is taken up again.
    ev.Adopted: _but(*_BUSY),
    ev.Vanished: _but(*_BUSY),
    # News of a process where there is none, or none that matters any more.
    ev.Exited: (State.STOPPED, State.BACKOFF, State.EXITED, State.FAILED),
    ev.TreeEmpty: _but(State.STOPPING),
    ev.Lingering: _but(State.STOPPING),
    ev.StatusText: _but(*_BUSY),
    ev.MainPid: _but(*_BUSY),
    ev.Extended: _but(State.STARTING, State.STOPPING),
    ev.Stalled: _but(*_BUSY),
    # Readiness counts while starting, liveness while running; a verdict already reached is not reached again.
    ev.Ready: _but(State.STARTING, State.SUSPECT),
    ev.Heartbeat: _but(*_LIVE),
    ev.ProbeFailed: _but(State.STARTING, *_LIVE),
    ev.Triggered: _but(State.STARTING, State.RUNNING),
    ev.LimitExceeded: _but(State.RUNNING),
    ev.Examined: _but(State.SUSPECT),
    # States without a deadline of their own.
    ev.Timeout: (State.STOPPED, State.EXITED),
}
"""Every pair that means nothing, by event; together with TRANSITIONS they are all there are (a test counts)."""
