"""Carries out what the rules order for single processes of a tree: looks, the examination of a silent one, its end."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from supervisor.adapters.linux import procfs
from supervisor.adapters.processes.tree import Tree
from supervisor.core.model import actions as act
from supervisor.core.model import events as ev
from supervisor.core.services.replica import for_instance
from supervisor.daemon.needed import Confirm, Question, no_answer, paused_dependency

if TYPE_CHECKING:
    from supervisor.core.model.evidence_documents import Evidence
    from supervisor.daemon.parts import Parts

STOPPED = "T"


class Alone(Tree):
    """A process of a tree, looked at without the others."""

    __slots__ = ("_pid", "_start")

    def __init__(self, pid: int, start: int) -> None:
        super().__init__()
        self._pid, self._start = pid, start

    def members(self) -> list[int]:
        return [self._pid] if self.belongs(self._pid) else []

    def belongs(self, pid: int) -> bool:
        return pid == self._pid and procfs.start_time(pid) == self._start


class SilentProcess:
    """The suspect of an examination."""

    def __init__(self, instance: str, pid: int, start: int) -> None:
        self.instance, self.pid = instance, pid
        self.tree: Tree = Alone(pid, start)
        self.key = f"{instance} {pid}"


class MemberActions:
    """Performs `LookAtMember`, `ExamineMember` and `KillMember`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def kill(self, action: act.KillMember) -> None:
        self._parts.processes.kill_member(action.instance, *action.process)

    def look_at(self, action: act.LookAtMember) -> None:
        pid, start = action.process
        stat = procfs.stat(pid)
        gone = stat is None or stat.ended or stat.start != start
        stopped = stat is not None and stat.state == STOPPED and not self._main_is_stopped(action.instance)
        ran = 0.0 if stat is None else (stat.utime + stat.stime) * procfs.TICK
        looked_at = ev.MemberLookedAt(action.incarnation, action.process, gone, stopped and not gone, ran)
        self._parts.engine.post(action.instance, looked_at)

    def examine(self, action: act.ExamineMember) -> None:
        parts, (pid, start) = self._parts, action.process
        suspect = SilentProcess(action.instance, pid, start)
        post = partial(parts.engine.post, action.instance)
        stat = procfs.stat(pid)
        if stat is None or stat.ended or not suspect.tree.members():
            post(ev.MemberExamined(action.incarnation, action.process, gone=True))
            return
        spec = for_instance(parts.service_set.instances[action.instance].spec, action.instance)
        beat = spec.heartbeat
        confirm: Confirm = no_answer
        if beat is not None and beat.shared_is_probed:
            confirm = partial(parts.observers.confirm, action.instance, spec)
        question = Question(confirm, partial(paused_dependency, parts, spec))

        def answer(_alive: bool, held: str | None, found: Evidence, ran: float, unasked: str | None) -> None:
            stopped = held is not None and _state(pid) == STOPPED and not self._main_is_stopped(action.instance)
            elsewhere = question.cannot_run or unasked
            shared = elsewhere is not None
            why = elsewhere or (None if stopped else held)
            parts.notify.read()  # a beat that has come meanwhile counts first
            examined = ev.MemberExamined(
                action.incarnation, action.process, False, stopped and not shared, why, found, ran, shared
            )
            post(examined)

        parts.observers.examiner.examine(
            suspect, spec, action.timeout, question.ask, answer, again=action.again, ran=action.ran
        )

    def _main_is_stopped(self, instance: str) -> bool:
        process = self._parts.processes.by_instance.get(instance)
        return process is not None and _state(process.main) == STOPPED


def _state(pid: int) -> str:
    stat = procfs.stat(pid)
    return stat.state if stat is not None else ""
