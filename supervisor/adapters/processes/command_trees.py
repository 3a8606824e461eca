"""Gives each probe and each hook a process tree of its own, which ends with it.

What a probe leaves behind after its answer or its timeout is killed, also what left its session.  The processes are
found as those of a service without a cgroup: by a mark, by their environment, by descent (descendant_tree.py).  A
cgroup for each would make the daemon wait some 10 ms for every probe, because the kernel needs that for a move.

The marks are numbered places, so that a later daemon finds what this one left, whichever instance it was for.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Container, Iterable, Iterator

from supervisor.adapters.eventloop.loop import EventLoop, Timer
from supervisor.adapters.linux import procfs
from supervisor.adapters.processes import marks
from supervisor.adapters.processes.descendant_tree import DescendantTree, ProcessScan

GONE_WITHIN = 1.0
"""Seconds in which what is left at the daemon's end must be gone; the rest is reported."""


class CommandTrees:
    """Hands out the trees.  `mains`: the main processes of instances, whose descendants are never a command's."""

    def __init__(self, loop: EventLoop, supervisor_id: str, mains: Container[int]) -> None:
        self._loop = loop
        self._id = supervisor_id
        self._mains = mains
        self._scan = ProcessScan()
        self._taken: dict[int, CommandTree] = {}
        self._finished: Callable[[list[str]], None] | None = None
        self._timer: Timer | None = None

    def begin(self, instance: str) -> CommandTree:
        """The tree for a command that is about to be started for `instance`.  OSError where no place is free."""
        place = next((number for number in range(marks.PLACES) if number not in self._taken), None)
        if place is None:
            raise OSError(errno.EAGAIN, "too many probes and hooks are under way")
        identity = marks.command_identity(self._id, place)
        tree = DescendantTree(identity, self._mains, self._scan)
        self._taken[place] = command = CommandTree(self, place, instance, self._id, tree)
        return command

    def kill(self) -> None:
        """Kill all."""
        for command in list(self._taken.values()):
            command.kill()

    def limit(self, instance: str, most: int) -> None:
        """Kill the commands of `instance` where they have more than `most` processes and threads together."""
        commands = [command for command in self._taken.values() if command.instance == instance]
        if commands and self._tasks(commands) > most:
            for command in commands:
                command.fault = f"killed: more than {most} processes and threads (max_tasks)"
                command.kill()

    def finish(self, done: Callable[[list[str]], None]) -> None:
        """Kill all, and call `done(left)` when they are gone, at the latest in `GONE_WITHIN` seconds.

        `left`: `PID NAME (STATE) of INSTANCE` of each that is still there."""
        self.kill()
        self._finished = done
        self._timer = self._loop.call_at(self._loop.now() + GONE_WITHIN, self._settle)
        if not self._taken:
            self._settle()

    def released(self, place: int) -> None:
        """A tree is empty: its place can be taken again."""
        del self._taken[place]
        if self._finished is not None and not self._taken:
            self._settle()

    def _tasks(self, commands: Iterable[CommandTree]) -> int:
        pids = (pid for command in commands for pid in self._scan.with_mark(command.mark, now=False))
        return sum(stat.threads for pid in pids if (stat := procfs.stat(pid)) is not None and stat.state not in "ZX")

    def _settle(self) -> None:
        if self._finished is not None and self._timer is not None:
            done, self._finished = self._finished, None
            self._timer.cancel()
            done([text for command in self._taken.values() for text in command.describe()])


class CommandTree:
    """The processes of one probe or hook.

    `environment`: the variables that mark them, for the command's environment.  `mark`: what they inherit besides.
    `fault`: why it was killed before its time, or None."""

    __slots__ = ("_over", "_owner", "_place", "_tree", "environment", "fault", "instance", "mark")

    def __init__(
        self, owner: CommandTrees, place: int, instance: str, supervisor_id: str, tree: DescendantTree
    ) -> None:
        self._owner, self._place, self._tree = owner, place, tree
        self._over = False
        self.fault: str | None = None
        self.instance = instance
        self.mark = tree.mark
        self.environment = {
            marks.MARKER: supervisor_id,
            "SUPERVISOR_INSTANCE": instance,
            marks.COMMAND: str(place),
        }

    def started(self, pid: int) -> None:
        """The command runs."""
        self._tree.join(pid)

    def kill(self) -> None:
        """Kill the command and all that it started."""
        self._tree.kill()

    def end(self, loop: EventLoop) -> None:
        """The command has ended, or was not started: kill what it left behind."""
        if self._over:
            return
        self._over = True
        if self._tree.empty():
            self._owner.released(self._place)
            return
        self._tree.kill()
        self._tree.when_empty(loop, lambda: self._owner.released(self._place))

    def describe(self) -> Iterator[str]:
        """`PID NAME (STATE) of INSTANCE` of each process."""
        for pid in self._tree.members():
            stat = procfs.stat(pid)
            if stat is not None:
                yield f"{pid} {stat.name} ({stat.state}) of {self.instance}"
