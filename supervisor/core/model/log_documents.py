"""The documents of output: lines of a log, by page and as they come.  documents.py says how they are used."""

from __future__ import annotations

from typing import Annotated, NotRequired, TypedDict


class LogLine(TypedDict):
    """One line of output."""

    at: Annotated[float | None, "seconds since the epoch; null: not known"]
    text: str
    stream: NotRequired[Annotated[str, "stderr: it is from a log of its own for the standard error"]]


class Logs(TypedDict):
    """A page of an instance's output; `first` and `last` are cursors."""

    instance: str
    lines: list[LogLine]
    first: str
    last: str
    at_end: Annotated[bool, "false although there are no lines: those of others were read; go on from the cursor"]


class LogMessage(TypedDict):
    """New lines of one instance."""

    instance: str
    at: Annotated[float, "seconds since the epoch"]
    lines: list[str]
