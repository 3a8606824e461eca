"""The table of main processes, spawned or adopted: each is watched, signalled and reaped through its pidfd."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from select import EPOLLHUP

from supervisor.adapters.eventloop.loop import EventLoop, Timer
from supervisor.adapters.linux import procfs
from supervisor.adapters.linux.pidfd import Status, child_has_ended, final_status, has_identity
from supervisor.adapters.processes import look_pace, marks, own_children
from supervisor.adapters.processes.blocked import paused, why_it_stays
from supervisor.adapters.processes.cgroup_migration import CgroupMigration
from supervisor.adapters.processes.cgroup_tree import CgroupTree
from supervisor.adapters.processes.out_of_memory import OutOfMemory
from supervisor.adapters.processes.process import Process
from supervisor.adapters.processes.tree import Tree, send
from supervisor.adapters.processes.trees import Trees
from supervisor.core.model.events import Event, Exited, KillIncomplete, MainPid, TreeEmpty
from supervisor.core.model.spec import ResourcesSpec
from supervisor.core.services.adoption import is_main
from supervisor.core.services.succession import Member, successor

PR_SET_CHILD_SUBREAPER = 36
STRANGERS_AFTER = 0.1
"""Seconds from a SIGCHLD to a search for zombies of no instance, and to the second search, which reaps them."""
KNOWN_AFTER = 1.0
"""Seconds from a spawn until what the process executes is noted: a wrapper has executed its program by then."""
TOGETHER = 0.1
"""Seconds by which that is done earlier for those that are spawned soon after another."""
RESUME_AFTER = 0.1
"""Seconds from a stop signal until stopped processes of the tree are looked for.  Most trees have ended by then.  While
other trees end, the look is postponed."""
RESUME_WITHIN = 1.0
"""Seconds after a stop signal for which it can be postponed."""
AGAIN_AFTER = 0.005
"""Seconds until ends are looked at again that have to wait."""
PARENT_REAPS_WITHIN = 1.5
"""Seconds in which the parent of an adopted process must reap it, else its exit status counts as unknown."""


class ProcessTable:
    """All main processes by instance.

    `post(instance, event)` takes what happens to them; `before_exit(instance, tree_empty)` runs before an exit is
    posted, so that the last line of output is recorded before the exit.
    """

    def __init__(
        self,
        loop: EventLoop,
        post: Callable[[str, Event], None],
        before_exit: Callable[[str, bool], None],
        supervisor_id: str,
    ) -> None:
        self.mains: dict[int, Process] = {}
        self.by_instance: dict[str, Process] = {}
        self._loop = loop
        self._post = post
        self._before_exit = before_exit
        self._id = supervisor_id
        self._by_mark: dict[int, Process] = {}
        self._new: deque[tuple[float, Process]] = deque()
        """What has to be recognized, and when it began."""
        self._exits: deque[tuple[Process, int]] = deque()
        """Exits to be handled at the end of the turn or soon after, with the pidfds that told of them."""
        self._reaped: deque[tuple[Process, int, Status]] = deque()
        self._resuming: deque[tuple[float, Process, int]] = deque()
        """Trees that are still to be looked at: since when they wait, and the process that was continued at once;
        another may have become the main one since."""
        self._last_end = 0.0
        self._on_ready = self._ready
        """One object for all processes."""
        self._migration = CgroupMigration(loop, self.mains, self._owner)
        self._memory = OutOfMemory()
        self.before_exits: Callable[[list[str]], bool] | None = None
        """Called with the instances whose main processes have ended, while they are still known by their pids.  False:
        that has to last a little longer, and it is called again."""
        self._strangers: set[int] = set()
        self._stranger_timer: Timer | None = None
        self.reaped_strangers = 0
        become_subreaper()
        marks.clear_own_mark()
        loop.on_signal(signal.SIGCHLD, self._child_died)

    # -- adding ---------------------------------------------------------------------------------------------------

    def take(
        self, instance: str, incarnation: int, pid: int, trees: Trees, resources: ResourcesSpec | None = None
    ) -> Process:
        """Watch a process that was just spawned.  It is an unreaped child, so its pid cannot be another's.

        OSError where no descriptor is free for that: the process is killed."""
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            with suppress(PermissionError):  # else it runs on beside that of the next attempt; reaped as a stranger
                os.kill(pid, signal.SIGKILL)
            raise
        tree = trees.create(instance, resources)
        process = self._process(instance, incarnation, pid, pidfd, tree)
        self._add(process, tree)
        self._recognize_later(process)
        if not process.settled:
            self._migration.plan(process)
        return process

    def adopt(self, instance: str, incarnation: int, main: tuple[int, int] | None, tree: Tree) -> Process | None:
        """Watch what an earlier daemon started: `main` is the (pid, start time) of its main process, `tree` its tree.

        Where the main process has ended but the tree has members, the result has no `pid`, and `TreeEmpty` will be
        posted.  None: nothing is left.  OSError where no descriptor is free to watch it.
        """
        if main is not None:
            pid, start = main
            try:
                pidfd = os.pidfd_open(pid)
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE):  # it may well be alive
                    raise
            else:
                stat = procfs.stat(pid)
                if is_main(start, stat):
                    process = self._process(instance, incarnation, pid, pidfd, tree)
                    process.known(stat)
                    process.settled = True
                    process.program = _program(pid)
                    self._add(process, tree)
                    return process
                os.close(pidfd)
        if tree.empty():
            tree.close()
            return None
        process = self._process(instance, incarnation, 0, -1, tree)
        process.known(None)
        self.by_instance[instance] = process
        tree.when_empty(self._loop, lambda: self._post(instance, TreeEmpty(incarnation)))
        return process

    def _process(self, instance: str, incarnation: int, pid: int, pidfd: int, tree: Tree) -> Process:
        mark = marks.mark_for(self._id, instance)
        process = Process(instance, incarnation, pid, pidfd, tree, mark, self._on_ready)
        self._by_mark[process.mark] = process
        return process

    def _add(self, process: Process, tree: Tree) -> None:
        self.mains[process.pid] = process
        self.by_instance[process.instance] = process
        if isinstance(tree, CgroupTree):
            self._memory.begin(tree.path)
        self._loop.register(process.pidfd, process)

    def _recognize_later(self, process: Process) -> None:
        if not self._new:
            self._loop.call_at(self._loop.now() + KNOWN_AFTER, self._recognize)
        self._new.append((self._loop.now(), process))

    def _recognize(self) -> None:
        """Note what new processes execute while that can still be read: at their end it is too late.

        Those that began a little later are looked at as well, so that many starts do not wake the daemon as often."""
        latest = self._loop.now() - KNOWN_AFTER + TOGETHER
        while self._new and self._new[0][0] <= latest:
            _, process = self._new.popleft()
            if not process.program and process.pidfd >= 0 and self.mains.get(process.pid) is process:
                process.program = _program(process.pid)
        if self._new:
            self._loop.call_at(self._new[0][0] + KNOWN_AFTER, self._recognize)

    def members(self, instance: str) -> list[int]:
        """The pids of its tree, whether or not it was moved into its cgroup yet."""
        process = self.by_instance.get(instance)
        if process is None:
            return []
        return self._migration.members(process)

    def main(self, instance: str) -> int | None:
        """Its main process; None where it has none."""
        process = self.by_instance.get(instance)
        return process.main if process is not None else None

    def with_settled_tree(self, instance: str) -> Process | None:
        """The process, after its move into its cgroup where it has one: then its tree can be signalled or examined."""
        process = self.by_instance.get(instance)
        if process is not None:
            self._migration.move_now(process)
        return process

    def _owner(self, pid: int) -> Process | None:
        """The process to whose tree this pid belongs, by its mark or its environment."""
        process = self._by_mark.get(marks.mark_of(pid) or 0)
        if process is not None:
            return process
        supervisor, instance = marks.identity(pid) or ("", "")
        return self.by_instance.get(instance) if supervisor == self._id else None

    # -- signals -------------------------------------------------------------------------------------------------

    def signal(self, instance: str, number: int, *, tree: bool = False) -> None:
        """Send signal `number` to the main process through its pidfd, or to the whole tree."""
        process = self.with_settled_tree(instance) if tree else self.by_instance.get(instance)
        if process is None:
            return
        if tree:
            process.tree.signal(number)
        elif process.main != process.pid:
            send(process.main, number, process.tree.belongs)
        elif process.pidfd >= 0:
            with suppress(ProcessLookupError, PermissionError):
                signal.pidfd_send_signal(process.pidfd, number)

    def deliver(self, instance: str, number: int, *, tree: bool = False) -> None:
        """Send signal `number`, then SIGCONT to all that is stopped: a stopped process takes no other signal.

        Where the main process lives, it is continued at once, and other stopped processes of its tree RESUME_AFTER
        later: to look for them takes longer than all the rest of a stop, and most trees have ended by then."""
        self.signal(instance, number, tree=tree)
        process = self.by_instance.get(instance)
        if process is None:
            return
        resumed = 0
        if process.pidfd >= 0:  # whatever its state, because a SIGSTOP may be on its way
            with suppress(ProcessLookupError, PermissionError):
                signal.pidfd_send_signal(process.pidfd, signal.SIGCONT)
                resumed = process.pid
        if resumed and not tree:
            self._resume_later(process)
        else:
            process.tree.resume(resumed)

    def _resume_later(self, process: Process) -> None:
        if not self._resuming:
            self._loop.call_at(self._loop.now() + RESUME_AFTER, self._resume)
        self._resuming.append((self._loop.now(), process, process.pid))

    def _resume(self) -> None:
        """Continue the stopped processes of trees that have been signalled and have not ended."""
        now, later = self._loop.now(), []
        latest = now - (RESUME_AFTER if now - self._last_end >= RESUME_AFTER else RESUME_WITHIN)
        ending = {process for process, *_ in (*self._exits, *self._reaped)}
        while self._resuming and self._resuming[0][0] <= latest:
            _, process, resumed = self._resuming.popleft()
            if process in ending:  # its tree may live on
                later.append((now, process, resumed))
            elif self.by_instance.get(process.instance) is process:
                process.tree.resume(resumed)
        self._resuming += later
        if self._resuming:
            self._loop.call_at(now + RESUME_AFTER, self._resume)

    def kill(self, instance: str) -> None:
        """Send SIGKILL to the whole tree; what is left a second later is posted as `KillIncomplete`."""
        process = self.with_settled_tree(instance)
        if process is None:
            return
        process.tree.kill()
        if process.pidfd >= 0:
            with suppress(ProcessLookupError, PermissionError):
                signal.pidfd_send_signal(process.pidfd, signal.SIGKILL)
        self._loop.call_at(self._loop.now() + 1.0, lambda: self._report_lingering(process))

    def _report_lingering(self, process: Process) -> None:
        if self.by_instance.get(process.instance) is process and not process.tree.empty():
            self._post(process.instance, KillIncomplete(process.incarnation, tuple(self.describe(process))))

    def describe(self, process: Process) -> Iterator[str]:
        """`PID NAME (STATE)` of each remaining member, with the reason why it cannot be killed where that is known."""
        for pid in process.tree.all_members():
            stat = procfs.stat(pid)
            if stat is not None and not stat.kernel_thread:
                yield f"{pid} {stat.name} ({stat.state}{why_it_stays(pid)})"

    def paused(self, instance: str) -> str | None:
        """Why its main process cannot run at the moment; None where it can, or where there is none."""
        process = self.by_instance.get(instance)
        if process is None or not process.pid:
            return None
        return paused(process.pid, process.tree.path if isinstance(process.tree, CgroupTree) else None)

    def is_main(self, instance: str, pid: int) -> bool:
        """Whether this is the main process of the instance, or the one that it began with."""
        process = self.by_instance.get(instance)
        return process is not None and pid in (process.pid, process.main)

    def kill_member(self, instance: str, pid: int, start: int) -> None:
        """Send SIGKILL to one process of the tree, if the pid still is that process."""
        process = self.with_settled_tree(instance)
        if process is not None:
            belongs = process.tree.belongs
            send(pid, signal.SIGKILL, lambda found: procfs.start_time(found) == start and belongs(found))

    def set_main(self, instance: str, pid: int, identity: int | None = None) -> bool:
        """Make another member of the tree the main process (`MAINPID=`).  `identity`: the inode of a pidfd of it, where
        that is known (`MAINPIDFDID=`).  False: it is no member, or another process has that pid now."""
        process = self.with_settled_tree(instance)
        if process is None or not process.tree.belongs(pid):
            return False
        return process.main == pid or self._switch(process, pid, identity)

    def _switch(self, process: Process, pid: int, identity: int | None = None) -> bool:
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            return False
        if identity is not None and not has_identity(pidfd, identity):
            os.close(pidfd)
            return False
        self._forget_pidfd(process)
        self.mains.pop(process.pid, None)
        stat = procfs.stat(pid)
        process.pid = process.main = pid
        process.pidfd = pidfd
        process.known(stat)
        process.program = _program(pid)
        process.tree.follow(pid, stat)
        self.mains[pid] = process
        self._loop.register(pidfd, process)
        return True

    def age(self, process: Process) -> float:
        """Seconds since the process began, to a clock tick."""
        return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - (process.start or 0) * procfs.TICK)

    def release(self, instance: str, incarnation: int) -> None:
        """Remove an incarnation that is over."""
        process = self.by_instance.get(instance)
        if process is not None and process.incarnation == incarnation:
            del self.by_instance[instance]
            self._by_mark.pop(process.mark, None)
            self.mains.pop(process.pid, None)
            self._forget_pidfd(process)
            process.tree.close()

    # -- exits ---------------------------------------------------------------------------------------------------

    def _ready(self, process: Process, events: int) -> None:
        try:
            ended = child_has_ended(process.pidfd)
        except ChildProcessError:
            ended = bool(events & EPOLLHUP)  # its parent has reaped it, so that its status can be read
            if not ended:
                self._wait_for_parent(process)
        if ended:
            self._has_ended(process)

    def _has_ended(self, process: Process) -> None:
        """Handle the end soon.  An own child stays a zombie until then: its pid cannot become another's, and a daemon
        that takes over in the meantime finds how it ended."""
        self._loop.unregister(process.pidfd)
        self._last_end = self._loop.now()
        if not self._exits:
            self._handle_exits()
        self._exits.append((process, process.pidfd))

    def _handle_exits(self) -> None:
        """Handle those that have ended at the end of this turn, or after the pause that looks at all processes need."""
        pause = look_pace.pause_left()
        if pause:
            self._loop.call_at(self._loop.now() + pause, self._all_exited)
        else:
            self._loop.call_soon(self._all_exited)

    def _all_exited(self) -> None:
        """Handle the exits until now together: to look for what they left takes as long as there are processes.

        Otherwise the end of many would take as long as their square."""
        if self.before_exits is not None and not self.before_exits([process.instance for process, _ in self._exits]):
            self._loop.call_at(self._loop.now() + AGAIN_AFTER, self._all_exited)
            return
        while self._exits:
            process, pidfd = self._exits.popleft()
            if process.pidfd == pidfd:  # else another became the main process
                process.identify()
                self._reaped.append((process, pidfd, final_status(pidfd)))
        unsettled = [process for process, _, _ in self._reaped if not process.settled]
        if unsettled:
            self._migration.ended(unsettled)
        try:
            with own_children.one_look():
                while self._reaped:
                    process, pidfd, status = self._reaped.popleft()
                    if process.pidfd == pidfd:
                        self._exited(process, status)
        finally:
            if self._reaped:
                self._loop.call_soon(self._all_exited)

    def _wait_for_parent(self, process: Process) -> None:
        """Wait until the parent of another's child has reaped it (EPOLLHUP)."""
        pidfd = process.pidfd
        self._loop.modify(pidfd, 0)  # EPOLLHUP is reported in any case; EPOLLIN would be reported for ever

        def give_up() -> None:
            if process.pidfd == pidfd:
                self._has_ended(process)

        self._loop.call_at(self._loop.now() + PARENT_REAPS_WITHIN, give_up)

    def _exited(self, process: Process, status: Status) -> None:
        self._forget_pidfd(process)
        self.mains.pop(process.pid, None)
        empty = process.tree.empty()
        if not empty and self._taken_over(process, status):
            return
        self._before_exit(process.instance, empty)
        reason = self._memory.killed(process.tree.path, status) if isinstance(process.tree, CgroupTree) else None
        exited = Exited(process.incarnation, *status, tree_empty=empty, out_of_memory=reason)
        self._post(process.instance, exited)
        if not empty:
            process.tree.when_empty(self._loop, lambda: self._post(process.instance, TreeEmpty(process.incarnation)))

    def _taken_over(self, process: Process, status: Status) -> bool:
        """Whether another process of the tree took over from the main process that ended; it is the main one then."""
        if status[0] != 0:
            return False
        stats = {pid: procfs.stat(pid) for pid in process.tree.members()}
        left = {
            pid: Member(s.ppid, _program(pid), s.executed) for pid, s in stats.items() if s is not None and not s.ended
        }
        pid = successor(process.program, status[0], left)
        if pid is None or not self._switch(process, pid):
            return False
        self._post(process.instance, MainPid(process.incarnation, pid))
        return True

    def _forget_pidfd(self, process: Process) -> None:
        if process.pidfd >= 0:
            self._loop.unregister(process.pidfd)
            os.close(process.pidfd)
            process.pidfd = -1

    # -- strangers -----------------------------------------------------------------------------------------------

    def _child_died(self) -> None:
        if self._stranger_timer is None:
            self._look_later()

    def _look_later(self) -> None:
        self._stranger_timer = self._loop.call_at(self._loop.now() + STRANGERS_AFTER, self._reap_strangers)

    def _reap_strangers(self) -> None:
        """Reap orphans that became children of the daemon (as subreaper or PID 1) and died.

        The daemon's own children are reaped through their pidfds within one turn of the loop, so a zombie that is seen
        in two looks is an orphan.
        """
        self._stranger_timer = None
        zombies = {pid for pid in own_children.all_children() if pid not in self.mains and _is_zombie(pid)}
        for pid in zombies & self._strangers:
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
                self.reaped_strangers += 1
        self._strangers = zombies - self._strangers
        if self._strangers:
            self._look_later()


def become_subreaper(yes: bool = True) -> None:
    """Make orphaned descendants children of the daemon rather than of PID 1, so that none escapes unseen."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, int(yes), 0, 0, 0)


def _program(pid: int) -> str:
    return sys.intern(procfs.executable(pid))  # many run the same program


def _is_zombie(pid: int) -> bool:
    stat = procfs.stat(pid)
    return stat is not None and stat.state == "Z" and stat.ended
