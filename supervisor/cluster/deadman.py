# ruff: noqa: SIM105  (contextlib is an import that this process does not need)
"""The dead-man process: it kills a tree of processes when its lease is over, also without daemon and agent.

    python -I -S deadman.py SOCKET

It imports nothing that it does not need and keeps its memory locked where it may, so that it runs when the host has
none left.  It knows each exclusive tree (its control group, or the mark in the environment of its processes) before the
first process of it runs.  A tree lives until the earlier of two moments: the end of its lease, which the agent renews
as ZooKeeper answers, and the time for which the daemon is believed, which each of its beats renews.

The socket takes one message a packet, words apart by blanks.  Moments are seconds of CLOCK_BOOTTIME.

    daemon   watch ID EPOCH KILL_AT MARK     with the descriptor of the control group's directory, where there is one
             forget ID EPOCH                 the daemon saw the tree end
             beat SECONDS SENT               the daemon was there at that moment, and is believed for so long from then
    agent    renew ID EPOCH KILL_AT          ZooKeeper has answered
             trees                           tell all trees again
    answers  watched ID EPOCH                known from now on
             gone ID EPOCH killed | ended    nothing of the tree is left
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import _socket
import errno
import posix
import select
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable

CLOCK_BOOTTIME = 7
DYING, AFTERWARDS, QUIET = 0.02, 0.25, 0.5
"""Seconds between two looks: while a killed tree ends; until the daemon forgets it; and at most otherwise."""
LARGEST = 4096
EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""Why something cannot be looked at that may well be there."""
ENVIRONMENT = bytearray(64 * 1024)
"""Buffer for a part of the environment of a process.  It exists from the start, so that a kill needs no new memory."""


class Tree:
    """One exclusive tree.  `group`: the descriptor of its directory, or -1; `seen`: it was killed."""

    def __init__(self, name: str, epoch: int, kill_at: float, mark: str, group: int) -> None:
        self.name, self.epoch, self.kill_at, self.mark, self.group = name, epoch, kill_at, mark, group
        self.killed = False
        self.forgotten = False
        self.told = False

    def kill(self) -> None:
        """SIGKILL to its control group.  Repeated until it is gone."""
        self.killed = True
        if self.group >= 0:
            _write(self.group, "cgroup.kill", b"1")

    def empty(self) -> bool:
        """No process is in its control group."""
        events = _read(self.group, "cgroup.events") if self.group >= 0 else None
        return events is None or b"populated 0" in events

    def end(self) -> str:
        """How it is told that nothing is left."""
        return f"gone {self.name} {self.epoch} {'killed' if self.killed else 'ended'}"

    def close(self) -> None:
        if self.group >= 0:
            posix.close(self.group)
            self.group = -1


class DeadMan:
    """The trees, the time for which the daemon is believed, and the connections."""

    def __init__(self, path: str) -> None:
        self.trees: dict[tuple[str, int], Tree] = {}
        self.believed_until = 0.0
        self.door = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
        try:
            posix.unlink(path)
        except FileNotFoundError:
            pass
        before = posix.umask(0o177)
        self.door.bind(path)
        posix.umask(before)
        self.door.listen(16)
        self.door.setblocking(False)
        self.poll = select.poll()
        self.poll.register(self.door.fileno(), select.POLLIN)
        self.clients: dict[int, _socket.socket] = {}

    def run(self) -> None:
        """Until the end of the process."""
        beat = _watchdog()
        beat(b"READY=1")
        while True:
            self.poll.poll(int(1000 * self.wait()))
            moment = now()  # before it reads: it may be stopped at any place, and messages of that time count
            while self.hear():
                pass
            self.judge(moment)
            beat(b"WATCHDOG=1")

    def wait(self) -> float:
        """Seconds until something may be due."""
        moment = now()
        nearest = QUIET
        for tree in self.trees.values():
            if tree.told:
                nearest = min(nearest, AFTERWARDS)
            elif tree.killed or tree.forgotten:
                nearest = min(nearest, DYING)
            else:
                nearest = min(nearest, max(0.0, self.deadline(tree) - moment))
        return nearest

    def deadline(self, tree: Tree) -> float:
        """When the tree is killed."""
        return min(tree.kill_at, self.believed_until)

    def judge(self, moment: float) -> None:
        """Kill what is overdue, and tell what is gone.

        A tree that was killed is known, and killed again, until the daemon forgets it: a daemon that was stopped just
        before it started a process starts it when it is let go on."""
        trees = list(self.trees.values())
        due = [tree for tree in trees if moment >= self.deadline(tree) and not (tree.told and tree.forgotten)]
        for tree in due:
            tree.kill()  # all groups first: a look at each process of the host takes time, and may have to wait
        asked = [tree for tree in trees if tree in due or (not tree.told and (tree.killed or tree.forgotten))]
        if asked:
            found = self.marked({tree.mark for tree in asked}, {tree.mark for tree in due})
            for tree in asked:
                if not tree.told and found is not None and tree.mark not in found and tree.empty():
                    tree.told = True
                    self.tell(tree.end())
        for key, tree in list(self.trees.items()):
            if tree.told and tree.forgotten:
                tree.close()
                del self.trees[key]

    def marked(self, marks: Iterable[str], killed: Container[str]) -> set[str] | None:
        """Which of these marks are in the environment of a living process; SIGKILL to those with one that is `killed`.

        None: not all processes could be looked at."""
        sought = [(mark, b"\0" + mark.encode() + b"\0") for mark in marks]
        found: set[str] = set()
        complete = True
        for name in posix.listdir("/proc"):
            if not name.isdigit():
                continue
            try:
                descriptor = posix.pidfd_open(int(name))  # before its environment is read: the pid may be reused
                try:
                    mark = _mark_of(f"/proc/{name}/environ", sought)
                    if mark in killed:
                        _kill(descriptor)
                finally:
                    posix.close(descriptor)
            except OSError as error:
                complete = complete and error.errno not in EXHAUSTED
                continue
            if mark:
                found.add(mark)
        return found if complete else None

    def hear(self) -> bool:
        """Take one message of each connection; whether there was any."""
        heard = False
        try:
            client = _socket.socket(fileno=self.door._accept()[0])  # type: ignore[attr-defined]
        except BlockingIOError:
            pass
        else:
            heard = True
            client.setblocking(False)
            credentials = client.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)
            uid = int.from_bytes(credentials[4:8], sys.byteorder)
            if uid in (0, posix.geteuid()):
                self.clients[client.fileno()] = client
                self.poll.register(client.fileno(), select.POLLIN)
            else:
                client.close()
        for descriptor, client in list(self.clients.items()):
            try:
                text, extra, _, _ = client.recvmsg(LARGEST, _socket.CMSG_SPACE(4))
            except BlockingIOError:
                continue
            except OSError:
                text, extra = b"", []
            if not text:
                self.poll.unregister(descriptor)
                del self.clients[descriptor]
                client.close()
                continue
            heard = True
            given = [data for level, kind, data in extra if kind == _socket.SCM_RIGHTS]
            group = int.from_bytes(given[0][:4], sys.byteorder) if given else -1
            try:
                self.take(text.decode().split(), group, client)
            except (ValueError, IndexError):
                if group >= 0:
                    posix.close(group)
        return heard

    def take(self, words: list[str], group: int, client: _socket.socket) -> None:
        """One message."""
        verb = words[0]
        if verb == "watch":
            key = words[1], int(words[2])
            before = self.trees.pop(key, None)
            made = Tree(*key, float(words[3]), words[4], group)
            if before is not None:
                made.kill_at = max(made.kill_at, before.kill_at)
                before.close()
            self.trees[key] = made
            _send(client, f"watched {words[1]} {words[2]}")
        elif verb == "renew":
            tree = self.trees.get((words[1], int(words[2])))
            if tree is not None and not tree.killed:
                tree.kill_at = max(tree.kill_at, float(words[3]))
        elif verb == "beat":
            sent = float(words[2]) if len(words) > 2 else now()  # earlier daemons do not say it
            self.believed_until = sent + float(words[1])
        elif verb == "forget":
            tree = self.trees.get((words[1], int(words[2])))
            if tree is not None:
                tree.forgotten = True
            else:
                _send(client, f"gone {words[1]} {words[2]} ended")
        elif verb == "trees":
            for tree in self.trees.values():
                _send(client, tree.end() if tree.told else f"watched {tree.name} {tree.epoch}")
            _send(client, "told")

    def tell(self, text: str) -> None:
        for client in self.clients.values():
            _send(client, text)


def now() -> float:
    return time.clock_gettime(CLOCK_BOOTTIME)


def _send(client: _socket.socket, text: str) -> None:
    """A client that does not read loses the message, and asks again when it is back."""
    try:
        client.send(text.encode())
    except OSError:
        pass


def _read(directory: int, path: str) -> bytes | None:
    try:
        descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC, dir_fd=directory if directory >= 0 else None)
    except OSError:
        return None
    try:
        return posix.read(descriptor, 1 << 20)
    except OSError:
        return None
    finally:
        posix.close(descriptor)


def _mark_of(path: str, sought: list[tuple[str, bytes]]) -> str:
    """Which of these is in an environment, between two zeros; empty: none.  OSError where it cannot be read."""
    descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        ENVIRONMENT[0], kept, room = 0, 1, memoryview(ENVIRONMENT)
        while True:
            size = kept + posix.readv(descriptor, [room[kept:]])
            if whole := size < len(ENVIRONMENT):
                ENVIRONMENT[size] = 0
            for mark, text in sought:
                if ENVIRONMENT.find(text, 0, size + whole) >= 0:
                    return mark
            if whole:
                return ""
            kept = LARGEST  # a mark may stand across two parts
            room[:kept] = room[-kept:]
    finally:
        posix.close(descriptor)


def _kill(descriptor: int) -> None:
    try:
        _signal.pidfd_send_signal(descriptor, _signal.SIGKILL)
    except OSError:
        pass


def _write(directory: int, path: str, data: bytes) -> bool:
    try:
        descriptor = posix.open(path, posix.O_WRONLY | posix.O_CLOEXEC, dir_fd=directory if directory >= 0 else None)
    except OSError:
        return False
    try:
        posix.write(descriptor, data)
    except OSError:
        return False
    finally:
        posix.close(descriptor)
    return True


def _watchdog() -> Callable[[bytes], None]:
    """Tell the daemon that this process runs, as sd_notify does."""
    address = posix.environ.get(b"NOTIFY_SOCKET", b"")
    if not address:
        return lambda _text: None
    if address[:1] == b"@":
        address = b"\0" + address[1:]
    channel = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    channel.setblocking(False)

    def beat(text: bytes) -> None:
        try:
            channel.sendto(text, address)
        except OSError:
            pass

    return beat


def stand_firm() -> None:
    """Lock the memory and run before others, as far as that is allowed.

    In real time only the kernel's own threads come before it.  Where that is refused, it takes nice -20, also for its
    session, because the kernel divides the processors among sessions first (autogroup)."""
    try:
        first = posix.sched_get_priority_max(posix.SCHED_FIFO) - 1
        posix.sched_setscheduler(0, posix.SCHED_FIFO, posix.sched_param(first))
    except OSError:
        try:
            posix.setpriority(posix.PRIO_PROCESS, 0, -20)
            if posix.getsid(0) == posix.getpid():
                _write(-1, "/proc/self/autogroup", b"-20")
        except OSError:
            pass
    try:
        import ctypes

        ctypes.CDLL(None).mlockall(1 | 2 | 4)  # MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT
    except (ImportError, OSError, AttributeError):
        pass


if __name__ == "__main__":
    stand_firm()
    DeadMan(sys.argv[1]).run()
