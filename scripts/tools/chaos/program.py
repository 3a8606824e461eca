"""The program of every service under chaos: it records what it does in files of its own, for the judge.

    python -I -S program.py ROLE PLACE

It appends to PLACE/journal when it begins, gets an order to stop, and ends. It counts the lines of its output in a
memory-mapped file below PLACE/counts, which survives a SIGKILL. It holds PLACE/locks/INSTANCE, which its children
inherit: a process that finds the lock taken is a second copy, or was started before the tree of the first was gone. It
imports nothing of the supervisor, and nothing it records passes through it.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import signal
import socket
import struct
import sys
import time
from contextlib import suppress

COUNTS = struct.Struct("<QQ")
"""Lines begun, lines done."""
CHANNELS = (signal.SIGTERM, signal.SIGCHLD)
BURST_EVERY, BURST = 40, 25


class Program:
    """One process: its journal, its counted output, its signals."""

    def __init__(self, place: str, kind: str) -> None:
        self.place, self.instance = place, os.environ["SUPERVISOR_INSTANCE"]
        self.journal = os.open(f"{place}/journal", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        self._become(kind)

    def _become(self, kind: str) -> None:
        self.pid = os.getpid()
        with open("/proc/self/stat", "rb") as file:
            self.start = int(file.read().rpartition(b")")[2].split()[19])
        self.lines = 0
        fd = os.open(f"{self.place}/counts/{self.pid}.{self.start}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        os.ftruncate(fd, COUNTS.size)
        self.counts = mmap.mmap(fd, COUNTS.size)
        os.close(fd)
        self.note(kind, os.environ.get("SUPERVISOR_INCARNATION", "0"))

    def note(self, kind: str, what: str = "-") -> None:
        """Write one line into the journal, whole or not at all."""
        text = f"{time.monotonic():.6f} {kind} {self.instance} {self.pid} {self.start} {what}\n"
        os.write(self.journal, text.encode())

    def lock(self) -> None:
        """Take the instance's lock, which is held until the last process of the tree is gone."""
        fd = os.open(f"{self.place}/locks/{self.instance}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.note("double")

    def say(self, lines: int = 1) -> None:
        """Write numbered lines. They are counted before and after, so that a kill in between can be told."""
        for _ in range(lines):
            self.lines += 1
            n = self.lines
            filling = "x" * (n * 37 % 90)
            line = f"{self.instance} {self.pid} {self.start} {n} {time.monotonic():.3f} {filling}.\n".encode()
            COUNTS.pack_into(self.counts, 0, n, n - 1)
            os.write(1, line)
            COUNTS.pack_into(self.counts, 0, n, n)

    def rest(self, seconds: float, stubborn: bool = False) -> None:
        """Wait until the time is over or an order to stop comes; then end, or, if `stubborn`, only record it."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            told = signal.sigtimedwait(CHANNELS, left)
            if told is not None and told.si_signo == signal.SIGTERM:
                self.note("told")
                if not stubborn:
                    self.say()
                    self.end(0)
            elif told is not None:
                reap()

    def end(self, code: int) -> None:
        self.note("end", str(code))
        os._exit(code)

    def fork(self, *, own_session: bool = False) -> bool:
        """Fork; True in the child, which has a name, a count and journal entries of its own."""
        if os.fork():
            return False
        if own_session:
            os.setsid()
        self._become("child")
        return True


def reap() -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def chat(me: Program) -> None:
    """Writes lines all the time, sometimes many at once."""
    for turn in range(1 << 62):
        me.say(BURST if turn % BURST_EVERY == 0 else 1)
        me.rest(0.02)


def fork(me: Program) -> None:
    """Has a child, a grandchild in a session of its own, and short-lived children again and again."""
    if me.fork():
        flee(me)
        chat_slowly(me)
    while True:
        me.say()
        if me.fork():
            me.say(3)
            me.end(0)
        me.rest(1.2)


def flee(me: Program) -> None:
    """Start a process in a session of its own, whose parent ends at once, so that it is an orphan at once."""
    if os.fork() == 0:
        if me.fork(own_session=True):
            chat_slowly(me)
        os._exit(0)


def chat_slowly(me: Program) -> None:
    while True:
        me.say()
        me.rest(0.15)


def beat(me: Program) -> None:
    """Sends READY=1, then WATCHDOG=1 ten times a second; ignores a missing supervisor."""
    path = os.environ["NOTIFY_SOCKET"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        for turn in range(1 << 62):
            with suppress(OSError):
                channel.sendto(b"WATCHDOG=1" if turn else b"READY=1\nWATCHDOG=1", path)
            if turn % 10 == 0:
                me.say()
            me.rest(float(sys.argv[3]) if len(sys.argv) > 3 else 0.1)


def quiet(me: Program) -> None:
    while True:
        me.rest(3600.0)


def once(me: Program) -> None:
    for _ in range(5):
        me.say()
        me.rest(0.03)
    me.end(0)


def crash(me: Program) -> None:
    me.say(3)
    me.rest(0.25)
    me.say()
    me.end(1)


def stubborn(me: Program) -> None:
    """Does not stop when it gets the order."""
    while True:
        me.say()
        me.rest(0.2, stubborn=True)


ROLES = {f.__name__: f for f in (chat, fork, beat, quiet, once, crash, stubborn)}


def main() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, CHANNELS)
    me = Program(sys.argv[2], "start")
    me.lock()
    ROLES[sys.argv[1]](me)


if __name__ == "__main__":
    main()
