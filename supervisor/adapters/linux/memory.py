"""Returns to the kernel the memory that the process does not need.

The C library keeps freed memory that lies between blocks in use.  A daemon frees much after its start, when it has
read, compiled and parsed its files: half a MiB with a thousand services, and one and a half where Python had to compile
the modules.  A status of five thousand services leaves 12 to 15 MiB.

Code that only a start needs stays mapped, too: the interpreter, SQLite and the C library take 4 to 6 MiB, of which a
daemon at rest needs hardly any.  Its pages are taken out of the process.  They stay in the page cache, so that the next
use of a page costs the kernel about a microsecond and no read.
"""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from supervisor.adapters.eventloop.loop import EventLoop

AT_REST = 1.0
"""Seconds without a start of a process, after which the daemon is at rest."""
APART = 60.0
"""Seconds from one time to the next at least, because each holds the event loop: for some 10 ms with thousands of
services.  Rest is awaited for no longer than that."""
_DONT_NEED = 4
_SOLE_THREAD = 1
_MAPPING = re.compile(rb"(\w+)-(\w+) (r-[-x]p) \w+ \w+:\w+ [1-9]\d* +/")
_OWN = (b"Anonymous:", b"Private_Hugetlb:", b"Swap:")
"""Lines that count the pages of a mapping that its file does not have.  Those in the swap space do not count as
anonymous; they may hold what the loader has written into a library before it made that part read only."""
_LAST = _OWN[-1]


class SpareMemory:
    """Gives memory back when the daemon is at rest after work that took much of it."""

    def __init__(self, loop: EventLoop, started: Callable[[], int], busy: Callable[[], bool]) -> None:
        """`started()`: how many processes have been started so far.  `busy()`: whether work is left."""
        self._loop, self._started, self._busy = loop, started, busy
        self._due = False
        self._earliest = 0.0

    def worked(self) -> None:
        """Much memory was used and is free now."""
        if not self._due:
            self._due = True
            when = max(self._loop.now() + AT_REST, self._earliest)
            self._look_at(when, latest=when + APART)

    def _look_at(self, when: float, latest: float) -> None:
        self._loop.call_at(when, partial(self._look, self._started(), latest))

    def _look(self, started: int, latest: float) -> None:
        now = self._loop.now()
        if self._busy() or (now < latest and self._started() != started):
            self._look_at(now + AT_REST, latest)
            return
        self._due = False
        self._earliest = now + APART
        give_back()


def give_back() -> None:
    """Return what can be returned; takes up to a few milliseconds.  Freed memory stays without glibc."""
    libc = ctypes.CDLL(None)
    mapped = _unchanged_file_pages()
    with suppress(AttributeError):
        libc.malloc_trim(0)
    for start, length in mapped:
        libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(length), _DONT_NEED)


def _unchanged_file_pages() -> list[tuple[int, int]]:
    """Address and length of each mapping of a file that is read only and has no page of its own, which would be lost.

    None beside other threads: one may be loading a library, and map writable data where this saw its code."""
    with suppress(OSError), open("/proc/self/smaps", "rb") as file:
        if sum(1 for _ in os.scandir("/proc/self/task")) == _SOLE_THREAD:
            return unchanged(file)
    return []


def unchanged(smaps: Iterable[bytes]) -> list[tuple[int, int]]:
    """The same, of these lines of /proc/PID/smaps."""
    found: list[tuple[int, int]] = []
    start = end = 0
    for line in smaps:
        if line.startswith(_OWN):
            if line.split()[1] != b"0":
                end = 0
            elif end and line.startswith(_LAST):
                found.append((start, end - start))
                end = 0
        elif mapping := _MAPPING.match(line):
            start, end = int(mapping[1], 16), int(mapping[2], 16)
    return found
