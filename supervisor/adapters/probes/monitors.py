"""Monitors the readiness and the heartbeats of instances by the sources in their configuration.

Each source becomes a poller, a timer or a reader of the output, and what these find becomes events.  A kind of
target is imported when the first service has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.probes.prober import PATIENCE, Cancel, Done, Poller, Prober, Target, Unasked
from supervisor.core.model.actions import Purpose
from supervisor.core.model.events import (
    Event,
    Heartbeat,
    MemberExamined,
    ProbeDelayed,
    ProbeFailed,
    ProbeUnknown,
    Ready,
)
from supervisor.core.model.spec import HeartbeatSpec, ReadySpec, ServiceSpec

if TYPE_CHECKING:
    from supervisor.adapters.eventloop.dns import Resolver
    from supervisor.adapters.probes.local import EachActivity
    from supervisor.adapters.probes.process_beats import ProcessBeats
    from supervisor.adapters.processes.command_trees import CommandTree
    from supervisor.adapters.processes.remote_files import RemoteFiles
    from supervisor.core.detection.process_lines import ProcessLine

Post = Callable[[str, Event], None]
End = Callable[[], None]

_LEAST_GAP = 0.01  # seconds; output within this time after a beat counts as the same beat


class Output(Protocol):
    """What is needed of an instance's output stream."""

    on_output: Callable[[], None] | None

    def subscribe(self, callback: Callable[[list[bytes]], None], *, progress: bool = False) -> Callable[[], None]: ...


class Monitors:
    """Observes instances and posts `Ready`, `Heartbeat`, `ProbeFailed` and `ProbeUnknown`.

    `members(instance)` gives the pids of its tree, `output(instance)` its stream, `phase(instance)` where
    in a period it is probed, from 0 to 1, and `tree(instance)` the process tree for one run of a command that probes
    it.  `main(instance)` gives its main process.
    Messages on the notify socket are handled elsewhere.  `on_problem(instance, text)` takes what the configuration of a
    service makes impossible.
    """

    def __init__(
        self,
        loop: EventLoop,
        post: Post,
        phase: Callable[[str], float],
        members: Callable[[str], Iterable[int]],
        output: Callable[[str], Output],
        tree: Callable[[str], CommandTree],
    ) -> None:
        self._loop, self._post, self._phase, self._tree = loop, post, phase, tree
        self._members, self._output = members, output
        self._prober = Prober(loop)
        self._watches: dict[str, End] = {}
        self._looks: dict[str, tuple[Target, Done]] = {}
        self._disturbs: dict[str, Callable[[float], None]] = {}
        self._told: set[tuple[str, str]] = set()
        self.on_problem: Callable[[str, str], None] = lambda _instance, _text: None
        self.main: Callable[[str], int | None] = lambda _instance: None

    @cached_property
    def _resolver(self) -> Resolver:
        from supervisor.adapters.eventloop.dns import Resolver

        return Resolver(self._loop)

    @cached_property
    def _files(self) -> RemoteFiles:
        from supervisor.adapters.processes.remote_files import RemoteFiles

        return RemoteFiles(self._loop)

    def watch(self, instance: str, incarnation: int, spec: ServiceSpec, purpose: Purpose) -> None:
        """Observe for `purpose` from now on, and no longer for the previous one: liveness begins where readiness
        ends."""
        self.unwatch(instance)
        end: End | None = None
        if purpose is Purpose.READY and spec.ready is not None:
            end = self._until_ready(instance, incarnation, spec, spec.ready)
        elif purpose is Purpose.HEARTBEAT and spec.heartbeat is not None:
            end = self._for_beats(instance, incarnation, spec, spec.heartbeat)
        if end is not None:
            self._watches[instance] = end

    def unwatch(self, instance: str) -> None:
        """Stop observing it; nothing about it is posted afterwards."""
        self._looks.pop(instance, None)
        self._disturbs.pop(instance, None)
        end = self._watches.pop(instance, None)
        if end is not None:
            end()

    def confirm(self, instance: str, spec: ServiceSpec, answer: Callable[[bool, str | None], None]) -> Cancel:
        """Probe once, now, whether it lives; `answer(alive, unasked)`, perhaps before this returns.

        `alive` is False where its heartbeat source cannot be probed.  `unasked`: why this probe could not ask, or None.
        A file and activity are looked at, and what is new is a beat: it may be older than the suspicion, because these
        sources are looked at only now and then.  Where the probe asks the broker (source celery), a broker that answers
        says nothing of the suspect, and of one that does not, the suspect cannot be asked: then `unasked` says so.
        """
        beat = spec.heartbeat
        target = self._question(instance, spec, beat, patience=1.0) if beat is not None else None
        found: Done = _ignore
        if instance in self._looks:
            target, found = self._looks[instance]
        if beat is None or target is None:
            answer(False, None)
            return lambda: None

        asks_broker = beat.shared_is_probed

        def answered(error: str | None, at: float) -> None:
            found(error, at)
            if asks_broker:
                answer(False, f"its broker does not answer: {error}" if error is not None else None)
            else:
                answer(error is None, str(error) if isinstance(error, Unasked) else None)

        return self._prober.probe(target, beat.probe_timeout, answered, first=True)

    def asked_for_stacks(self, instance: str, until: float) -> None:
        """Its processes are made to run, and perhaps to write, by this daemon until then: that is no sign of life."""
        disturb = self._disturbs.get(instance)
        if disturb is not None:
            disturb(until)

    def disturbed(self, seconds: float) -> None:
        """This daemon did not run for `seconds`: the failure of a probe that is under way proves nothing."""
        self._prober.disturbed(seconds)

    # -- readiness -----------------------------------------------------------------------------------------------

    def _until_ready(self, instance: str, incarnation: int, spec: ServiceSpec, ready: ReadySpec) -> End | None:
        def is_ready(how: str) -> None:
            self.unwatch(instance)
            self._post(instance, Ready(incarnation, how))

        if ready.delay is not None:
            return self._loop.call_at(self._loop.now() + ready.delay, lambda: is_ready("delay")).cancel
        if ready.log is not None:
            slow = _too_slow("ready.log", "are not taken for readiness")

            def unjudged() -> None:
                self._complain(instance, slow)
                self._post(instance, ProbeFailed(incarnation, slow))

            return self._on_match(instance, ready.log, lambda: is_ready("log"), unjudged)
        target = self._asked(instance, spec, ready.http, ready.tcp, ready.exec)
        if target is None:  # notify: the service reports readiness itself
            return None
        how = "http" if ready.http else "tcp" if ready.tcp else "exec"

        def answered(error: str | None, _at: float) -> None:
            if error is None:
                is_ready(how)
            else:
                self._post(instance, _failure(incarnation, error))

        return self._poll(instance, target, ready.interval, ready.timeout, answered)

    # -- liveness ------------------------------------------------------------------------------------------------

    def _for_beats(self, instance: str, incarnation: int, spec: ServiceSpec, beat: HeartbeatSpec) -> End | None:
        def answered(error: str | None, at: float) -> None:
            if error is None:
                self._post(instance, Heartbeat(incarnation, at))
            elif error:
                self._post(instance, _failure(incarnation, error))

        if beat.source == "log":
            heard = self._spaced(lambda at: answered(None, at))
            if not beat.log:
                return self._on_output(instance, self._unless_disturbed(instance, heard))

            def unjudged() -> None:
                self._complain(instance, _too_slow("heartbeat.log", "count as heartbeats"))
                heard()

            return self._on_match(instance, beat.log, heard, unjudged)
        if beat.source == "file" and beat.file is not None:
            from supervisor.adapters.probes.local import FileTarget

            # Twice as often as the file is touched, so that no two touches are seen as one.
            target: Target = FileTarget(beat.file, self._files)
            self._looks[instance] = target, answered
            return self._poll(instance, target, beat.interval / 2, beat.probe_timeout, answered, at_once=False)
        if beat.source == "activity" and beat.by_process:
            runs = self._each_activity(instance, incarnation)
            return self._poll(instance, runs, beat.interval, beat.probe_timeout, answered, at_once=False)
        if beat.source == "activity":
            from supervisor.adapters.probes.local import ActivityTarget

            target = ActivityTarget(lambda: self._members(instance))
            self._looks[instance] = target, answered
            self._disturbs[instance] = target.disturb
            return self._poll(instance, target, beat.interval, beat.probe_timeout, answered, at_once=False)

        def delayed(since: float) -> None:
            self._post(instance, ProbeDelayed(incarnation, since))

        if beat.source == "celery":
            return None
        if beat.source == "exec" and beat.by_process:
            each = self._each_told(instance, incarnation)

            def told(error: str | None, at: float) -> None:
                answered(error, at)
                each.tell()

            question = self._question(instance, spec, beat, delayed=delayed, output=each.keep)
            return None if question is None else self._poll(instance, question, beat.interval, beat.probe_timeout, told)
        question = self._question(instance, spec, beat, delayed=delayed, keep_alive=beat.keep_alive)
        if question is None:
            return None
        stop = self._poll(instance, question, beat.interval, beat.probe_timeout, answered)
        if not beat.keep_alive:
            return stop
        from supervisor.adapters.probes.tcp_http import HttpTarget

        def end() -> None:
            stop()
            if isinstance(question, HttpTarget):
                question.close()

        return end

    def _each_told(self, instance: str, incarnation: int) -> ProcessBeats:
        from supervisor.adapters.probes.process_beats import ProcessBeats  # few configurations need it

        def beat(process: tuple[int, int], at: float, line: ProcessLine) -> None:
            self._post(instance, Heartbeat(incarnation, at, process=process, busy=line.limit, doing=line.doing))

        def gone(process: tuple[int, int]) -> None:
            self._post(instance, MemberExamined(incarnation, process, gone=True))

        return ProcessBeats(
            lambda: self._members(instance),
            lambda: self.main(instance),
            beat,
            gone,
            lambda text: self._complain(instance, text),
        )

    def _each_activity(self, instance: str, incarnation: int) -> EachActivity:
        from supervisor.adapters.probes.local import EachActivity

        def ran(process: tuple[int, int]) -> None:
            self._post(instance, Heartbeat(incarnation, self._loop.now(), process=process))

        def gone(process: tuple[int, int]) -> None:
            self._post(instance, MemberExamined(incarnation, process, gone=True))

        return EachActivity(lambda: self._members(instance), ran, gone)

    def _question(
        self,
        instance: str,
        spec: ServiceSpec,
        beat: HeartbeatSpec,
        patience: float = PATIENCE,
        delayed: Callable[[float], None] | None = None,
        output: Callable[[bytes, float, float], None] | None = None,
        *,
        keep_alive: bool = False,
    ) -> Target | None:
        """The target of a heartbeat source that can be probed at any time; None for the other sources."""
        if beat.source not in ("http", "tcp", "exec") and not beat.shared_is_probed:
            return None
        return self._asked(
            instance, spec, beat.http, beat.tcp, beat.exec, patience, delayed, output, keep_alive=keep_alive
        )

    def _spaced(self, beat: Callable[[float], None]) -> Callable[[], None]:
        """Limit beats to one in _LEAST_GAP seconds: a thousand lines a second are a hundred beats."""
        last = float("-inf")

        def heard() -> None:
            nonlocal last
            now = self._loop.now()
            if now - last >= _LEAST_GAP:
                last = now
                beat(now)

        return heard

    def _unless_disturbed(self, instance: str, heard: Callable[[], None]) -> Callable[[], None]:
        """`heard`, except for what the processes write because they are asked for their stacks."""
        asked_until = float("-inf")

        def disturb(until: float) -> None:
            nonlocal asked_until
            asked_until = until

        def unless_disturbed() -> None:
            if self._loop.now() >= asked_until:
                heard()

        self._disturbs[instance] = disturb
        return unless_disturbed

    def _complain(self, instance: str, text: str) -> None:
        """Report a fault of a service's configuration, once."""
        if (instance, text) not in self._told:
            self._told.add((instance, text))
            self.on_problem(instance, text)

    # -- the ways to observe -------------------------------------------------------------------------------------

    def _asked(
        self,
        instance: str,
        spec: ServiceSpec,
        http: str | None,
        tcp: str | None,
        command: tuple[str, ...] | None,
        patience: float = PATIENCE,
        delayed: Callable[[float], None] | None = None,
        output: Callable[[bytes, float, float], None] | None = None,
        *,
        keep_alive: bool = False,
    ) -> Target | None:
        if http is not None and http.startswith("https:"):
            from supervisor.adapters.probes.https import HttpsTarget  # 5 MiB that few configurations need

            return HttpsTarget(http, self._resolver)
        if http is not None:
            from supervisor.adapters.probes.tcp_http import HttpTarget

            return HttpTarget(http, self._resolver, self._files, keep_alive=keep_alive)
        if tcp is not None:
            from supervisor.adapters.probes.tcp_http import TcpTarget

            return TcpTarget(tcp, self._resolver, self._files)
        if command is not None:
            from supervisor.adapters.probes.exec_target import ExecTarget
            from supervisor.adapters.processes.child_command import Credentials

            identity = Credentials(spec.user, spec.group, spec.extra_groups)
            environment = probe_environment(spec, instance)
            return ExecTarget(
                command,
                spec.directory,
                environment,
                identity,
                lambda: self._tree(instance),
                patience=patience,
                delayed=delayed,
                main=lambda: self.main(instance),
                output=output,
            )
        return None

    def _poll(
        self, instance: str, target: Target, interval: float, timeout: float, done: Done, *, at_once: bool = True
    ) -> End:
        return Poller(
            self._prober,
            target,
            interval=interval,
            timeout=timeout,
            phase=self._phase(instance),
            done=done,
            at_once=at_once,
        ).stop

    def _on_match(self, instance: str, pattern: str, matched: Callable[[], None], unjudged: Callable[[], None]) -> End:
        from supervisor.adapters.probes.line_pattern import LinePattern

        search = LinePattern(self._loop, pattern, matched, unjudged)
        unsubscribe = self._output(instance).subscribe(search.lines, progress=True)

        def end() -> None:
            unsubscribe()
            search.close()

        return end

    def _on_output(self, instance: str, heard: Callable[[], None]) -> End:
        output = self._output(instance)
        output.on_output = heard

        def end() -> None:
            output.on_output = None

        return end


def _ignore(_error: str | None, _at: float) -> None:
    """The answer to a question that is asked once more is no beat: the examination judges it."""


def _too_slow(key: str, what: str) -> str:
    from supervisor.adapters.probes.line_pattern import LONGEST_SEARCH

    return f"the pattern of {key} takes more than {LONGEST_SEARCH * 1000:g} ms for a line; lines not searched {what}"


def _failure(incarnation: int, error: str) -> ProbeFailed | ProbeUnknown:
    if isinstance(error, Unasked):
        return ProbeUnknown(incarnation, str(error), error.since)
    return ProbeFailed(incarnation, error)


def probe_environment(spec: ServiceSpec, instance: str) -> dict[str, str]:
    """The environment of a probe: as the service's; what marks the processes of a probe is added at its start."""
    from supervisor.adapters.processes.child_command import plain_environment

    daemon = plain_environment()
    inherited = {name: daemon[name] for name in spec.inherited(daemon)}
    return inherited | dict(spec.environment) | {"SUPERVISOR_SERVICE": spec.name, "SUPERVISOR_INSTANCE": instance}
