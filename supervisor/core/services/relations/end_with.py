"""The end of everything with one service (`end_with`): when it has ended for good, the daemon ends with its exit code.

For good means that its policy does not start it again: an instance in backoff, or with an open breaker, will be tried
once more, and one that a user stopped, or that is left alone in maintenance, has not ended by itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from supervisor.core.lifecycle.instance import Instance
from supervisor.core.model.actions import Goal, State
from supervisor.core.model.causes import DETECTED

BY_SIGNAL = 128
"""What a shell adds to the number of a signal."""
UNKNOWN = 1
"""The exit code of the daemon where the service failed without one of its own."""


class End(NamedTuple):
    """The instance that ended, and the exit code that the daemon gets."""

    instance: str
    exit_code: int


def ended_with(instances: Iterable[Instance]) -> End | None:
    """The first instance with `end_with` that has ended for good."""
    for instance in instances:
        over = instance.state is State.EXITED and instance.goal is Goal.UP and instance.maintenance is None
        if instance.spec.end_with and over:
            return End(instance.name, _exit_code(instance))
    return None


def _exit_code(instance: Instance) -> int:
    if instance.signal is not None:
        return BY_SIGNAL + instance.signal
    code = UNKNOWN if instance.exit_code is None else instance.exit_code
    return code or (UNKNOWN if instance.cause in DETECTED else 0)
