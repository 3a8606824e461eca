"""Monitors the readiness and the heartbeats of instances by the sources in their configuration.

Each source becomes a poller, a timer or a reader of the output, and what these find becomes events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from supervisor.adapters.eventloop.dns import Resolver
from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.probes.exec_target import PATIENCE, ExecTarget
from supervisor.adapters.probes.line_pattern import LONGEST_SEARCH, LinePattern
from supervisor.adapters.probes.local import ActivityTarget, FileTarget
from supervisor.adapters.probes.prober import Cancel, Done, Poller, Prober, Target, Unasked
from supervisor.adapters.probes.tcp_http import HttpTarget, TcpTarget
from supervisor.adapters.processes.child_command import Credentials, plain_environment
from supervisor.adapters.processes.command_trees import CommandTree
from supervisor.adapters.processes.remote_files import RemoteFiles
from supervisor.core.model.actions import Purpose
from supervisor.core.model.events import Event, Heartbeat, ProbeDelayed, ProbeFailed, ProbeUnknown, Ready
from supervisor.core.model.spec import HeartbeatSpec, ReadySpec, ServiceSpec

Post = Callable[[str, Event], None]
End = Callable[[], None]

_LEAST_GAP = 0.01  # seconds; output within this time after a beat counts as the same beat


class Output(Protocol):
    """What is needed of an instance's output stream."""

    on_output: Callable[[], None] | None

    def subscribe(self, callback: Callable[[list[bytes]], None], *, progress: bool = False) -> Callable[[], None]: ...


class Monitors:
    """Observes instances and posts `Ready`, `Heartbeat`, `ProbeFailed` and `ProbeUnknown`.

    `members(instance)` gives the pids of its tree, `output(instance)` its stream, `rng` numbers from 0 to 1, and
    `tree(instance)` the process tree for one run of a command that probes it.
    Messages on the notify socket are handled elsewhere.  `on_problem(instance, text)` takes what the configuration of a
    service makes impossible.
    """

    def __init__(
        self,
        loop: EventLoop,
        post: Post,
        rng: Callable[[], float],
        members: Callable[[str], Iterable[int]],
        output: Callable[[str], Output],
        tree: Callable[[str], CommandTree],
    ) -> None:
        self._loop, self._post, self._rng, self._tree = loop, post, rng, tree
        self._members, self._output = members, output
        self._prober = Prober(loop)
        self._resolver = Resolver(loop)
        self._files = RemoteFiles(loop)
        self._watches: dict[str, End] = {}
        self._told: set[tuple[str, str]] = set()
        self.on_problem: Callable[[str, str], None] = lambda _instance, _text: None

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
        end = self._watches.pop(instance, None)
        if end is not None:
            end()

    def confirm(self, instance: str, spec: ServiceSpec, answer: Callable[[bool, str | None], None]) -> Cancel:
        """Probe once, now, whether it lives; `answer(alive, unasked)`, perhaps before this returns.

        `alive` is False where its heartbeat source cannot be probed.  `unasked`: why this probe could not ask, or None.
        """
        beat = spec.heartbeat
        target = self._question(instance, spec, beat, patience=1.0) if beat is not None else None
        if beat is None or target is None:
            answer(False, None)
            return lambda: None

        def answered(error: str | None, _at: float) -> None:
            answer(error is None, str(error) if isinstance(error, Unasked) else None)

        return self._prober.probe(target, beat.probe_timeout, answered, first=True)

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

        return self._poll(target, ready.interval, ready.timeout, answered)

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
                return self._on_output(instance, heard)

            def unjudged() -> None:
                self._complain(instance, _too_slow("heartbeat.log", "count as heartbeats"))
                heard()

            return self._on_match(instance, beat.log, heard, unjudged)
        if beat.source == "file" and beat.file is not None:
            # Twice as often as the file is touched, so that no two touches are seen as one.
            target: Target = FileTarget(beat.file, self._files)
            return self._poll(target, beat.interval / 2, beat.probe_timeout, answered, at_once=False)
        if beat.source == "activity":
            target = ActivityTarget(lambda: self._members(instance))
            return self._poll(target, beat.interval, beat.probe_timeout, answered, at_once=False)

        def delayed(since: float) -> None:
            self._post(instance, ProbeDelayed(incarnation, since))

        question = self._question(instance, spec, beat, delayed=delayed)
        return self._poll(question, beat.interval, beat.probe_timeout, answered) if question is not None else None

    def _question(
        self,
        instance: str,
        spec: ServiceSpec,
        beat: HeartbeatSpec,
        patience: float = PATIENCE,
        delayed: Callable[[float], None] | None = None,
    ) -> Target | None:
        """The target of a heartbeat source that can be probed at any time; None for the other sources."""
        if beat.source not in ("http", "tcp", "exec"):
            return None
        return self._asked(instance, spec, beat.http, beat.tcp, beat.exec, patience, delayed)

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
    ) -> Target | None:
        if http is not None and http.startswith("https:"):
            from supervisor.adapters.probes.https import HttpsTarget  # 5 MiB that few configurations need

            return HttpsTarget(http, self._resolver)
        if http is not None:
            return HttpTarget(http, self._resolver)
        if tcp is not None:
            return TcpTarget(tcp, self._resolver)
        if command is not None:
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
            )
        return None

    def _poll(self, target: Target, interval: float, timeout: float, done: Done, *, at_once: bool = True) -> End:
        return Poller(
            self._prober, target, interval=interval, timeout=timeout, rng=self._rng, done=done, at_once=at_once
        ).stop

    def _on_match(self, instance: str, pattern: str, matched: Callable[[], None], unjudged: Callable[[], None]) -> End:
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


def _too_slow(key: str, what: str) -> str:
    return f"the pattern of {key} takes more than {LONGEST_SEARCH * 1000:g} ms for a line; lines not searched {what}"


def _failure(incarnation: int, error: str) -> ProbeFailed | ProbeUnknown:
    if isinstance(error, Unasked):
        return ProbeUnknown(incarnation, str(error), error.since)
    return ProbeFailed(incarnation, error)


def probe_environment(spec: ServiceSpec, instance: str) -> dict[str, str]:
    """The environment of a probe: as the service's; what marks the processes of a probe is added at its start."""
    daemon = plain_environment()
    inherited = {name: daemon[name] for name in spec.inherited(daemon)}
    return inherited | dict(spec.environment) | {"SUPERVISOR_SERVICE": spec.name, "SUPERVISOR_INSTANCE": instance}
