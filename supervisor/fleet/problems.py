"""The failure of one host: with the host, the step, and what to do."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """The kinds of problems that a script can distinguish."""

    UNREACHABLE = "unreachable"
    UNKNOWN_KEY = "unknown-key"
    CHANGED_KEY = "changed-key"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    LOST = "lost"
    FAILED = "failed"


NO_CONNECTION = frozenset({Kind.UNREACHABLE, Kind.UNKNOWN_KEY, Kind.CHANGED_KEY, Kind.REFUSED})
"""Nothing was done on the host: there was no connection."""


class HostProblem(Exception):
    """The work on one host ended; the others go on."""

    def __init__(self, kind: Kind, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.kind, self.message, self.hint = kind, message, hint
