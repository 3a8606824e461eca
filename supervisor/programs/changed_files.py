"""Finds the files named by a command that were changed while a process ran: what a reload may have found broken."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

LOOKED_AT = 200
"""Files of one directory that are looked at."""
TOLD = 5


def changed_files(command: Sequence[str], folder: Path, since: float, until: float) -> list[tuple[str, float]]:
    """The files that the command names and that were changed last between two times, each with that time; the last
    five, the newest last.

    A directory stands for the files in it.  A file that was changed again later, such as a log, is left out: the time
    of its earlier change is not known.  What counts is the last change of content, name or mode, because a copy may
    keep the time of its writing.  `folder`: where relative names begin.  Times are seconds since the epoch."""
    found: dict[str, float] = {}
    for word in command[1:]:
        for name in {word, word.partition("=")[2]} - {""}:
            for path in _named(folder / name):
                with suppress(OSError, ValueError):
                    about = path.stat()
                    if stat.S_ISREG(about.st_mode) and since < about.st_ctime <= until:
                        found[str(path)] = about.st_ctime
    return sorted(found.items(), key=lambda one: one[1])[-TOLD:]


def _named(path: Path) -> Iterator[Path]:
    try:
        yield from (path / name for name in islice(sorted(os.listdir(path)), LOOKED_AT))  # noqa: PTH208 - names alone
    except (OSError, ValueError):  # no directory
        yield path
