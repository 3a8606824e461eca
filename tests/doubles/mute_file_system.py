"""A FUSE file system that stops answering (`python -m tests.doubles.mute_file_system DIRECTORY`), and its fixture.

It holds `beat`, a file whose modification time is the present moment, `program`, a script that sleeps, and `directory`.
After SIGUSR1 it takes requests and answers none: a process that waits for one is in state D and survives SIGKILL.  When
the server's process ends, the kernel aborts the connection, so that each waiting process goes on with an error and
none remains in state D.  It is mounted in a mount namespace of its own.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

FILES = {2: (b"beat", b""), 3: (b"program", b"#!/bin/sh\nexec /bin/sleep 1000\n"), 4: (b"directory", b"")}
DIRECTORIES = (1, 4)
LOOKUP, FORGET, GETATTR, OPEN, READ, RELEASE, FLUSH, INIT = 1, 2, 3, 14, 15, 18, 25, 26
OPENDIR, RELEASEDIR, INTERRUPT, BATCH_FORGET = 27, 29, 36, 42
NO_SUCH_FILE, NOT_IMPLEMENTED = -2, -38
HEADER = struct.Struct("=IIQQIIII")  # struct fuse_in_header


class MuteFileSystem:
    """The file system of the fixture: the daemon is started with `prefix` to see it at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        command = ["unshare", "--mount", "--propagation", "private", sys.executable, "-m", __name__, str(path)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2], text=True)
        assert self.process.stdout is not None
        answer = self.process.stdout.readline().strip()
        if answer != "mounted":
            self.process.wait()
            pytest.skip(f"a FUSE file system cannot be mounted here: {answer or 'no mount namespace'}")

    @property
    def prefix(self) -> Sequence[str]:
        return ("nsenter", f"--mount=/proc/{self.process.pid}/ns/mnt", "--")

    def fall_silent(self) -> None:
        """Answer nothing from now on."""
        self.process.send_signal(signal.SIGUSR1)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "silent\n"

    def end(self) -> None:
        """Abort the connection: every process that waits for an answer gets an error."""
        self.process.kill()
        self.process.wait()


@contextmanager
def mute_file_system(path: Path) -> Iterator[MuteFileSystem]:
    """Mount one at `path`.  Skips the test where that is not permitted."""
    if not os.access("/dev/fuse", os.R_OK | os.W_OK) or shutil.which("nsenter") is None:
        pytest.skip("there is no /dev/fuse that this user may open, or no nsenter")
    path.mkdir()
    mounted = MuteFileSystem(path)
    try:
        yield mounted
    finally:
        mounted.end()


# -- the server --------------------------------------------------------------------------------------------------


def serve(fuse: int) -> None:
    while True:
        try:
            request = os.read(fuse, 1 << 17)
        except OSError:
            return
        _, kind, unique, node, *_ = HEADER.unpack_from(request)
        if kind not in (FORGET, BATCH_FORGET, INTERRUPT):
            error, body = answer(kind, node, request[HEADER.size :])
            os.write(fuse, struct.pack("=IiQ", 16 + len(body), error, unique) + body)


def answer(kind: int, node: int, body: bytes) -> tuple[int, bytes]:
    if kind == INIT:
        return 0, struct.pack("=IIIIHHIIHH8I", 7, 31, 1 << 16, 0, 16, 12, 1 << 16, 1, 0, 0, *[0] * 8)
    if kind == LOOKUP:
        for number, (name, _) in FILES.items():
            if name == body.rstrip(b"\0"):
                return 0, struct.pack("=QQQQII", number, 0, 0, 0, 0, 0) + attributes(number)
        return NO_SUCH_FILE, b""
    if kind == GETATTR:
        return 0, struct.pack("=QII", 0, 0, 0) + attributes(node)
    if kind in (OPEN, OPENDIR):
        return 0, struct.pack("=QII", 0, 0, 0)
    if kind == READ:
        _, offset, size = struct.unpack_from("=QQI", body)
        return 0, FILES[node][1][offset : offset + size]
    if kind in (RELEASE, RELEASEDIR, FLUSH):
        return 0, b""
    return NOT_IMPLEMENTED, b""


def attributes(node: int) -> bytes:
    now = time.time_ns()
    seconds, fraction = now // 10**9, now % 10**9
    size = len(FILES[node][1]) if node in FILES else 0
    mode = 0o040755 if node in DIRECTORIES else 0o100755
    times = (seconds, seconds, seconds, fraction, fraction, fraction)
    return struct.pack("=QQQQQQIIIIIIIIII", node, size, 1, *times, mode, 1, 0, 0, 0, 4096, 0)


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


def main(path: str) -> None:
    fuse = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"fd={fuse},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
    if libc.mount(b"mute", path.encode(), b"fuse.mute", 0, options) != 0:
        say(os.strerror(ctypes.get_errno()))
        return

    def silent(_number: int, _frame: object) -> None:
        say("silent")
        while True:
            os.read(fuse, 1 << 17)

    signal.signal(signal.SIGUSR1, silent)
    say("mounted")
    serve(fuse)


if __name__ == "__main__":
    main(sys.argv[1])
