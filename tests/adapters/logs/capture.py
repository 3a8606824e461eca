"""Shared by the tests of output capture: a store on a temporary directory, and what it has kept."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

from supervisor.adapters.eventloop.loop import EventLoop
from supervisor.adapters.logs.store import LogStore
from supervisor.adapters.logs.stream import Stream
from supervisor.core.model.spec import LogSpec

PLAIN = LogSpec(compress=False)
DATED = LogSpec(compress=False, timestamps=True)


class Capture:
    """A store, its event loop, and the problems that it reported."""

    def __init__(self, root: Path) -> None:
        self.logs, self.fifos = root / "log", root / "fifo"
        self.problems: list[tuple[str, str]] = []
        self._open()

    def _open(self) -> None:
        self.loop = EventLoop()
        self.store = LogStore(self.loop, str(self.logs), str(self.fifos), self._problem)

    def _problem(self, instance: str, message: str) -> None:
        self.problems.append((instance, message))

    def close(self) -> None:
        self.store.close()
        self.loop.close()

    def again(self) -> None:
        """An orderly restart of the daemon."""
        self.close()
        self._open()

    def kept(self, instance: str = "web") -> bytes:
        """All segments in the order in which they were written."""
        return b"".join(content for _, content in self.segments(instance))

    def segments(self, instance: str = "web") -> list[tuple[str, bytes]]:
        """(file name, plain content), the oldest first."""
        files = [
            f
            for f in self.logs.iterdir()
            if f.name.startswith(f"{instance}.log") and f.suffix not in (".idx", ".new", ".raw")
        ]
        files.sort(key=lambda f: -int((f.name.removesuffix(".gz").partition(".log.")[2]) or 0))
        return [(f.name, gzip.decompress(f.read_bytes()) if f.suffix == ".gz" else f.read_bytes()) for f in files]


def undated(kept: bytes) -> bytes:
    """Without the times that stand before the lines; each line has to have one."""
    lines = kept.splitlines(keepends=True)
    assert all(line[4:5] + line[23:25] == b"-Z " for line in lines), lines
    return b"".join(line[25:] for line in lines)


def say(stream: Stream, text: bytes) -> None:
    """As a child would, and let the store take it piece by piece."""
    fd = stream.child_fd()
    try:
        for i in range(0, len(text), 4096):
            os.write(fd, text[i : i + 4096])
            stream.drain()
    finally:
        os.close(fd)


def numbered(first: int, last: int, width: int = 100) -> bytes:
    """Lines that show where one is missing or torn."""
    return b"".join(f"{i:08} ".encode().ljust(width - 1, b"x") + b"\n" for i in range(first, last))
