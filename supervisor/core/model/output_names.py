"""The names of an instance's outputs: its own, and NAME@stderr for a standard error that has a log of its own.

Pipes, logs and handed-over descriptors carry them, so the form never changes.  No instance has such a name.
"""

from __future__ import annotations

STDERR = "@stderr"


def stderr_of(instance: str) -> str:
    """The name of the standard error of `instance`."""
    return f"{instance}{STDERR}"


def instance_of(name: str) -> str:
    """The instance to which the output of this name belongs."""
    return name.removesuffix(STDERR)
