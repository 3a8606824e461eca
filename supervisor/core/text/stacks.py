"""Reads the call stack of a program from text that it or a tracer wrote: Python's faulthandler, py-spy, Java.

The lines come from the output of a program and may contain anything; lines that are not part of a stack are skipped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

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


def where(lines: Iterable[str]) -> list[str]:
    """The frames of the main (or first) thread as `function (file:line)`, innermost first; empty without any."""
    threads: list[tuple[str, list[str]]] = []
    for line in lines:
        header = next((found for pattern in _THREADS if (found := pattern.search(line))), None)
        if header is not None:
            threads.append((header["name"] or "", []))
        elif threads and (frame := next((found for p in _FRAMES if (found := p.match(line))), None)) is not None:
            threads[-1][1].append(_frame(frame))
    told = [(name, frames) for name, frames in threads if frames]
    foremost = next((frames for name, frames in told if name in _FOREMOST), None)
    return foremost or (told[0][1] if told else [])


def _frame(found: re.Match[str]) -> str:
    file = found["file"].rpartition("/")[2]
    place = f"{file}:{found['line']}" if found["line"] else file
    return f"{found['function'].strip()} ({place})"
