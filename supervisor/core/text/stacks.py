"""Reads the call stack of a program from text that it or a tracer wrote: Python's faulthandler, py-spy, Java.

The lines come from the output of a program and may contain anything; lines that are not part of a stack are skipped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from sys import stdlib_module_names
from typing import NamedTuple

_THREADS = (
    re.compile(r"(?P<name>Current thread|Thread) 0x[0-9a-f]+.*\(most recent call first\):"),  # faulthandler
    re.compile(r'^Thread \S+ \([a-z+]+\)(?:: "(?P<name>.*)")?'),  # py-spy
    re.compile(r'^"(?P<name>[^"]*)" .*(?:prio|tid|nid)='),  # Java
)
_FRAMES = (
    re.compile(r'^\s*File "(?P<file>[^"]*)", line (?P<line>\d+) in (?P<function>.+)$'),
    re.compile(r"^\s+(?P<function>\S.*) \((?P<file>[^()]*):(?P<line>\d+)\)$"),
    re.compile(r"^\s+at (?P<function>[^()]+)\((?P<file>[^():]*)(?::(?P<line>\d+))?\)$"),
)
_FOREMOST = ("Current thread", "MainThread", "main")
"""Names of the thread in which a signal handler runs, and of the main thread."""
_LIBRARY = re.compile(r"^<|(?:^|/)(?:site|dist)-packages/|/lib(?:32|64)?/python[\d.]+t?/|/s?bin/")
"""Paths of Python's standard library, of installed packages, of frozen modules, and of the scripts that start them."""
_JAVA_LIBRARY = ("java.", "javax.", "jdk.", "sun.", "com.sun.")


class Frame(NamedTuple):
    """One call: the function, and the file and line where it was."""

    function: str
    file: str
    line: str

    @property
    def place(self) -> str:
        """`moody.py:31`, or only the file where no line is known."""
        file = self.file.rpartition("/")[2]
        return f"{file}:{self.line}" if self.line else file

    def __str__(self) -> str:
        return f"{self.function} ({self.place})"


def frames(lines: Iterable[str]) -> list[Frame]:
    """The frames of the main (or first) thread, innermost first; empty without any."""
    threads: list[tuple[str, list[Frame]]] = []
    for line in lines:
        header = next((found for pattern in _THREADS if (found := pattern.search(line))), None)
        if header is not None:
            threads.append((header["name"] or "", []))
        elif threads and (frame := next((found for p in _FRAMES if (found := p.match(line))), None)) is not None:
            threads[-1][1].append(Frame(frame["function"].strip(), frame["file"], frame["line"] or ""))
    told = [(name, found) for name, found in threads if found]
    foremost = next((found for name, found in told if name in _FOREMOST), None)
    return foremost or (told[0][1] if told else [])


def is_own_code(frame: Frame) -> bool:
    """Whether the frame is in the program itself: neither in the standard library nor in an installed package.

    py-spy can shorten paths to `threading.py` and `asyncio/events.py`; then the name of the module decides.
    """
    if not frame.line or frame.function.startswith(_JAVA_LIBRARY) or _LIBRARY.search(frame.file):
        return False
    return frame.file.partition("/")[0].removesuffix(".py") not in stdlib_module_names


def innermost(stack: Sequence[Frame]) -> Frame | None:
    """The frame that says most about where a program is: the innermost one of its own code, else simply the innermost
    one.  None: the stack is empty."""
    return next(filter(is_own_code, stack), stack[0] if stack else None)
