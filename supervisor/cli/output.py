"""The standard streams of a command: characters that they cannot take, and disks that are full.

A command does its work to the end although its output is lost; what was lost is told once, at the end.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys

TYPE_CHECKING = False  # importing typing takes time
if TYPE_CHECKING:
    from typing import Any

MOST_LOST = 100
"""Writes that may fail before the command ends: only a command that follows something writes more."""
_SUBSTITUTES = {
    "–": "-",
    "−": "-",
    "→": "->",
    "…": "...",
    "·": "|",
    "×": "x",
    "●": "*",
    "≥": ">=",
    "≤": "<=",
    "φ": "phi",
}


class Output(io.FileIO):
    """Standard output.  A write that fails counts as done; `lost` keeps the first reason."""

    def __init__(self) -> None:
        super().__init__(1, "w", closefd=False)
        self.lost: OSError | None = None
        self._failures = 0

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self._failures += 1
            if error.errno == errno.EPIPE:
                discard()  # else Python 3.13 and later tell of it once more, when they close the stream
                raise
            if self._failures > MOST_LOST:
                raise
            self.lost = self.lost or error
            return len(data)


def prepare() -> Output | None:
    """Replace sys.stdout by a stream that takes any text and any failure; None where something else has replaced it."""
    codecs.register_error("substitute", _substitute)
    if sys.stderr is None:  # it was closed; the descriptor leads to /dev/null by now (launch.py)
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    elif isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr.reconfigure(errors="substitute")
    if sys.stdout is not sys.__stdout__:
        return None
    output = Output()
    encoding = sys.stdout.encoding if sys.stdout is not None else "utf-8"
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(output),
        encoding=encoding,
        errors="substitute",
        line_buffering=output.isatty(),
    )
    return output


def discard() -> None:
    """Throw away what is written from now on: the interpreter flushes once more when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _substitute(error: UnicodeError) -> tuple[str, int]:
    """What stands for characters that the encoding does not have."""
    assert isinstance(error, UnicodeEncodeError)
    wrong = error.object[error.start : error.end]
    return "".join(_SUBSTITUTES.get(character, "?") for character in wrong), error.end
