"""Effects: carries out the actions of the rules by calls of adapters, and writes each record before it is published.

It also carries out recovery: it finds, kills and adopts the processes of an earlier daemon.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from supervisor.adapters.eventloop.loop import Timer
from supervisor.adapters.linux import procfs
from supervisor.adapters.linux.descriptor_reserve import WATCHED, kept_free
from supervisor.adapters.processes import orphans
from supervisor.core.model import actions as act
from supervisor.core.model import events as ev
from supervisor.core.model.actions import Action, Record
from supervisor.core.model.causes import ROLLOUT, SURGE
from supervisor.core.model.daemon_records import clock_set
from supervisor.core.model.spec import ServiceType
from supervisor.core.services.adoption import MarkedProcess, adoption_event
from supervisor.core.services.monitoring_policy import monitoring_change
from supervisor.core.services.replica import for_instance
from supervisor.core.services.socket_policy import open_sockets, storing
from supervisor.core.text.timestamps import to_iso
from supervisor.daemon.clock_watch import ClockWatch
from supervisor.daemon.compilation import Completion
from supervisor.daemon.needed import Question, paused_dependency
from supervisor.daemon.parts import FIFO, SOCKET, Parts
from supervisor.daemon.previous_run import current_epoch
from supervisor.daemon.reload import keep_plan_in_force, keep_without_ended
from supervisor.errors import OperationFailed, SupervisorError

if TYPE_CHECKING:
    from supervisor.adapters.ledger.entry import Entry
    from supervisor.core.model.documents import Event
    from supervisor.core.model.evidence_documents import Evidence
    from supervisor.core.model.spec import ServiceSpec
    from supervisor.daemon.member_actions import MemberActions

OUTPUT_UNREAD = "the output of some services is not read, because no descriptor is free for it"
AT_ONCE = 500
"""Records that are written in one commit and kept until they are published, at most: those of thousands of services at
once would be most of the memory that a daemon ever needs."""
READ_OUTPUT_AGAIN = 5.0
"""Seconds until the pipe of an instance is opened again for which no descriptor was free."""


class Effects:
    """Implements `engine.World` and `recovery.HostProcesses`.  `publish` takes the event object of each record."""

    def __init__(self, parts: Parts, publish: Callable[[Event], None]) -> None:
        self._parts = parts
        self._publish = publish
        self._completion = Completion(parts, self._spawn)
        self._clock = ClockWatch(parts.ledger, current_epoch())
        self._unpublished: list[tuple[Record, Entry]] = []
        self._review_sockets = False
        self._members: MemberActions | None = None
        self._timer: Timer | None = None
        self._timer_at: float | None = None

    # -- records -------------------------------------------------------------------------------------------------

    def record(self, records: Sequence[Record]) -> None:
        """Write the records before anything is done; they are published in `finish`, when the actions are under way."""
        parts = self._parts
        self.look_at_clocks()
        if any(r.cause in ROLLOUT or r.cause in SURGE for r in records):
            parts.keep_rollouts()  # before the instances that it moves: else a later daemon would move them again
        dropped = parts.service_set.taken_dropped()
        if dropped:
            keep_without_ended(parts)
        for begin in range(0, len(records), AT_ONCE):
            some = records[begin : begin + AT_ONCE]
            for name in {r.instance for r in some} | dropped:
                parts.ledger.save(name, partial(parts.snapshot, name))
            self._append(some)
            dropped = set()
            if len(self._unpublished) > AT_ONCE:
                self._publish_all()
        if parts.previous_run.plan_behind:
            keep_plan_in_force(parts)
        if parts.on_demand is not None:
            self._review_sockets = True
        if parts.stored is not None:
            self._review_sockets = True
        if parts.reporter is not None:
            parts.reporter.changed()
        for record in records:
            self._change_monitoring(record)
            if parts.balancer is not None:
                parts.balancer.changed(record)
        if parts.balancer is not None:
            parts.balancer.turn()  # before any action: until then a suspect gets requests

    def look_at_clocks(self) -> None:
        """Write that the wall clock was set, before anything is written with its new time."""
        slept, stepped = self._clock.look()
        if slept:
            words = f"the host was suspended for {slept:.1f} s; silence during that time is not counted"
            self._parts.say("warning", words)
        if stepped:
            self._append([clock_set(stepped)])

    def _append(self, records: Sequence[Record]) -> None:
        self._unpublished += zip(records, self._parts.ledger.write(records, time.time()), strict=True)

    def _change_monitoring(self, record: Record) -> None:
        parts, name, change = self._parts, record.instance, monitoring_change(record)
        if change.sample:
            resources = parts.service_set.instances[name].spec.resources
            parts.sampler.limit(name, record.incarnation, resources)
            process = parts.processes.by_instance.get(name)
            if change.apply_limits and process is not None:
                parts.trees.limit(process.tree, resources)
        if change.end:
            parts.observers.unwatch(name)

    def finish(self) -> None:
        """Do what can wait until the actions of a turn are under way."""
        if self._review_sockets:  # first, so that what is said to wait for a connection can be connected to
            self._review_sockets = False
            if self._parts.on_demand is not None:
                self._parts.on_demand.review()
            if self._parts.sockets.any_open:  # else each end would be a look at all instances
                self._parts.sockets.keep_only(open_sockets(self._parts.service_set.instances.values()))
            if self._parts.stored is not None:
                self._parts.stored.keep_only(storing(self._parts.service_set.instances.values()))
        if self._unpublished:
            self._publish_all()
            if self._parts.cluster is not None:
                self._parts.cluster.review()

    def review_sockets(self) -> None:
        """Look at the end of this turn which sockets are to be open and watched."""
        self._review_sockets = True

    def _publish_all(self) -> None:
        """Publish the records; all listeners get the same event object."""
        parts, now = self._parts, self._parts.now()
        pending, self._unpublished = self._unpublished, []
        at, stamp = 0.0, ""
        for record, entry in pending:
            if entry.at != at:  # those of one commit have the same
                at, stamp = entry.at, to_iso(entry.at)
            event = entry.event(stamp)
            parts.log.event(event, _place(record))
            instance = parts.service_set.instances.get(record.instance)
            oneshot = instance is not None and instance.spec.type is ServiceType.ONESHOT
            parts.metrics.observe(record, now, oneshot=oneshot)
            self._publish(event)
            if instance is not None and instance.spec.hooks:
                parts.hooks.offer(record, event, instance.spec)

    # -- actions -------------------------------------------------------------------------------------------------

    def perform(self, action: Action) -> None:
        _PERFORM[type(action)](self, action)

    def _spec_of(self, instance: str) -> ServiceSpec:
        spec = for_instance(self._parts.service_set.instances[instance].spec, instance)
        if spec.exclusive and self._parts.cluster is not None:
            spec = replace(spec, environment=(*spec.environment, *self._parts.cluster.environment(instance)))
        return spec

    def _spawn(self, action: act.Spawn) -> None:
        parts, name, incarnation = self._parts, action.instance, action.incarnation
        spec = self._spec_of(name)
        if spec.unresolved:
            self._completion.ask(action)
            return
        if parts.stored is not None and parts.stored.when_settled(name, partial(self._completion.go_on, action)):
            return
        stored = parts.stored.of(name) if parts.stored is not None else []
        output, errors = -1, None
        try:
            if parts.balancer is not None:
                parts.balancer.before_start(name)
            stream = parts.stream(name)
            with kept_free(parts.reserve):
                output = stream.child_fd()
                pipes = {f"{FIFO}{name}": stream.fd}
                if spec.log.stderr is not None and stream.errors is not None:
                    errors = stream.errors.child_fd()
                    pipes[f"{FIFO}{stream.errors.writer.instance}"] = stream.errors.fd
                sockets = parts.sockets.open(spec) if spec.sockets else ()
                if parts.reporter is not None:
                    held = {f"{SOCKET}{s.url}": fd for s, fd in zip(spec.sockets, sockets, strict=True)}
                    parts.reporter.keep(pipes | held)
                sockets, names = (*sockets, *(one.fd for one in stored)), [one.name for one in stored]
                mount = parts.spawner.remote(spec)
                if mount is not None:
                    self._spawn_apart(action, spec, mount, output, sockets, errors, names)
                    return
                with kept_free(WATCHED if parts.reserve else 0):  # else it runs, and its start time cannot be recorded
                    pid = parts.spawner.spawn(spec, name, incarnation, output, sockets, errors, names)
                process = parts.processes.take(name, incarnation, pid, parts.trees, spec.resources)
                if parts.reserve:  # now a descriptor is free for it
                    process.identify()
                if spec.notifies:
                    parts.notify.hurry()
        except OSError as error:
            parts.engine.post(name, ev.SpawnFailed(incarnation, _explain(error, spec.command[0])))
        except SupervisorError as error:
            parts.engine.post(name, ev.SpawnFailed(incarnation, error.message))
        else:
            parts.engine.post(name, ev.Spawned(incarnation, pid))
        finally:
            if output >= 0:
                os.close(output)
            if errors is not None:
                os.close(errors)

    def _spawn_apart(
        self,
        action: act.Spawn,
        spec: ServiceSpec,
        mount: str,
        output: int,
        sockets: Sequence[int],
        errors: int | None,
        names: Sequence[str],
    ) -> None:
        """Begin a spawn that may have to wait for a file system; what comes of it is posted later."""
        parts, name, incarnation = self._parts, action.instance, action.incarnation

        def begun(pid: int) -> None:
            try:
                parts.processes.take(name, incarnation, pid, parts.trees, spec.resources)
            except OSError as error:
                parts.engine.post(name, ev.SpawnFailed(incarnation, _explain(error, spec.command[0])))
                return
            parts.spawner.adjust(pid, spec)
            parts.engine.post(name, ev.Spawned(incarnation, pid))

        def failed(error: OSError, pid: int | None) -> None:
            if pid is not None:
                parts.processes.take(name, incarnation, pid, parts.trees, spec.resources)
            text = str(error) if error.errno is None else _explain(error, spec.command[0])
            parts.engine.post(name, ev.SpawnFailed(incarnation, text, pid))

        pid, report = parts.spawner.spawn_apart(spec, name, incarnation, output, sockets, errors, names)
        parts.apart.add(pid, report, mount, spec.command[0], spec.start_timeout, begun, failed)

    def _signal(self, action: act.Signal) -> None:
        processes = self._parts.processes
        send = processes.deliver if action.resume else processes.signal
        send(action.instance, action.number, tree=action.tree)

    def _kill(self, action: act.Kill) -> None:
        self._parts.processes.kill(action.instance)

    def _start_monitoring(self, action: act.StartMonitoring) -> None:
        spec = self._spec_of(action.instance)
        self._parts.observers.watch(action.instance, action.incarnation, spec, action.purpose)

    def _examine(self, action: act.Examine) -> None:
        parts = self._parts
        process = parts.processes.with_settled_tree(action.instance)
        if process is None:
            return
        spec = self._spec_of(action.instance)
        question = Question(
            partial(parts.observers.confirm, action.instance, spec), partial(paused_dependency, parts, spec)
        )

        def answer(alive: bool, held: str | None, found: Evidence, ran: float, unasked: str | None) -> None:
            asks_broker = spec.heartbeat is not None and spec.heartbeat.shared_is_probed
            elsewhere = question.cannot_run or (unasked if asks_broker else None)
            shared = elsewhere is not None
            why, unknown = (elsewhere, None) if shared else (held, unasked)
            parts.notify.read()  # a beat that has come meanwhile counts first
            examined = ev.SuspectExamined(action.incarnation, alive, why, found, ran, unknown, shared)
            parts.engine.post(action.instance, examined)

        confirm = question.ask if action.confirm else None
        parts.observers.examiner.examine(
            process, spec, action.timeout, confirm, answer, again=action.again, ran=action.ran
        )

    def _examine_member(self, action: act.ExamineMember) -> None:
        self._of_members().examine(action)

    def _look_at_member(self, action: act.LookAtMember) -> None:
        self._of_members().look_at(action)

    def _kill_member(self, action: act.KillMember) -> None:
        self._of_members().kill(action)

    def _of_members(self) -> MemberActions:
        if self._members is None:
            from supervisor.daemon.member_actions import MemberActions  # few services need it

            self._members = MemberActions(self._parts)
        return self._members

    def _release(self, action: act.ReleaseInstance) -> None:
        parts = self._parts
        parts.observers.cancel(action.instance)
        if action.instance in parts.service_set.instances:
            with suppress(SupervisorError):  # no descriptor was free for its output
                parts.stream(action.instance).finish_line()
        else:
            parts.logs.remove(action.instance)
        parts.observers.unwatch(action.instance)
        parts.sampler.limit(action.instance, action.incarnation, None)
        parts.processes.release(action.instance, action.incarnation)
        self._review_sockets = True

    # -- time ----------------------------------------------------------------------------------------------------

    def listen(self) -> None:
        """Read the beats that are still in the kernel, before a deadline that has passed is judged."""
        self._parts.notify.drain()

    def wake_at(self, when: float | None) -> None:
        """Keep one timer.  One that became too early is replaced: a wake-up costs more than a heap operation."""
        if when == self._timer_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = when
        self._timer = None if when is None else self._parts.loop.call_at(when, self._timer_fired)

    def _timer_fired(self) -> None:
        """A deadline may be due: the engine looks at the end of this turn."""
        self._timer = self._timer_at = None

    # -- processes of an earlier daemon --------------------------------------------------------------------------

    def marked(self) -> list[MarkedProcess]:
        parts = self._parts
        return orphans.find(parts.id, f"{parts.runtime_dir}/fifo", parts.service_set.instances)

    def end_orphans(self, found: Sequence[MarkedProcess]) -> list[MarkedProcess]:
        return orphans.end(found)

    def describe(self, orphan: MarkedProcess) -> str:
        return orphans.describe(orphan)

    def adopt(self, name: str, incarnation: int, main: tuple[int, int] | None) -> ev.Adopted | ev.NotFoundOnAdoption:
        """Adopt the process of an earlier daemon, if the pid still belongs to it by its start time."""
        parts = self._parts
        try:
            with kept_free(parts.reserve // 2):  # else what lives would be taken for gone, because /proc cannot be read
                pass
            if main is not None and procfs.start_time(main[0]) == main[1]:
                parts.logs.reach(name, main[0])
            process = parts.processes.adopt(name, incarnation, main, parts.trees.find(name, main))
        except OSError as error:
            raise OperationFailed(
                f"{name} cannot be watched: {error.strerror}; {parts.shortage}",
                "Services of an earlier daemon keep running.",
            ) from error
        if parts.reserve:  # output can wait in its pipe; first of all, processes are watched
            parts.call_soon(lambda: self._read_output(name))
        else:
            parts.stream(name)
        spec = self._spec_of(name)
        if process is not None and process.pid and spec.sockets:
            parts.sockets.adopt(spec, process.pid, process.pidfd)
        if process is None or not process.pid:
            return adoption_event(incarnation, None, 0.0, tree_empty=process is None)
        return adoption_event(incarnation, process.pid, parts.processes.age(process), tree_empty=False)

    def _read_output(self, name: str) -> None:
        """Open the pipe of an adopted instance where descriptors are few; try again where none is free."""
        parts = self._parts
        instance = parts.service_set.instances.get(name)
        if instance is None or not instance.alive:
            return
        try:
            parts.stream(name)
        except SupervisorError:
            if OUTPUT_UNREAD not in parts.problems:
                parts.problem(OUTPUT_UNREAD)
            parts.loop.call_at(parts.now() + READ_OUTPUT_AGAIN, lambda: self._read_output(name))


def _place(record: act.Record) -> str:
    """Where a suspect that is ended was; empty for other records."""
    evidence = record.detail.get("evidence") if record.after is act.State.STOPPING else None
    if not evidence:
        return ""
    from supervisor.core.history.place import place  # only a hang pays for the import

    return place(record.cause, evidence) or ""


_PERFORM: dict[type[Action], Callable[[Effects, Any], None]] = {
    act.Spawn: Effects._spawn,
    act.Signal: Effects._signal,
    act.Kill: Effects._kill,
    act.StartMonitoring: Effects._start_monitoring,
    act.Examine: Effects._examine,
    act.ExamineMember: Effects._examine_member,
    act.LookAtMember: Effects._look_at_member,
    act.KillMember: Effects._kill_member,
    act.ReleaseInstance: Effects._release,
}


def _explain(error: OSError, program: str) -> str:
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return f"no descriptor is free for it: {error.strerror}"
    subject = error.filename if error.filename is not None else program
    if isinstance(subject, bytes):
        subject = subject.decode(errors="replace")
    return f"{subject}: {error.strerror}"
