"""The pace of looks at all processes: how soon another one may be made.

The time for a look at all children, or at all of /proc, grows with the number of processes.  One look for each of many
processes that end would need a time that grows with the square of their number.  So before the next look there is a
pause, `PAUSE` times as long as the looks before took: looks take at most a quarter of the time.  A single end does not
wait.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

PAUSE = 3.0
"""Seconds of a pause for each second that a look took."""


class _Pace:
    free_at = 0.0
    """When another look may be made (CLOCK_MONOTONIC)."""


_pace = _Pace()


@contextmanager
def timed() -> Iterator[None]:
    """Count the CPU time of the block as that of a look."""
    began = time.thread_time()
    try:
        yield
    finally:
        took = time.thread_time() - began
        _pace.free_at = max(_pace.free_at, time.monotonic()) + PAUSE * took


def pause_left() -> float:
    """Seconds until another look may be made; 0: at once."""
    return max(0.0, _pace.free_at - time.monotonic())
