"""libfaketime shows processes another wall clock, as a file says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
"""None: it is not installed."""


@contextmanager
def faked_time(clock: Path) -> Iterator[dict[str, str]]:
    """The environment of such processes.  `clock`: the file, with the distance from the real time ("+2h").

    A process that is killed leaves its semaphore and its shared memory, which have its number in their names, and the
    next process of this number would open them.  So what is new at the end is removed."""
    clock.write_text("+0")
    before = _left()
    try:
        yield {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(clock),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
    finally:
        for path in _left() - before:
            path.unlink(missing_ok=True)


def _left() -> set[Path]:
    return set(Path("/dev/shm").glob("*faketime_s*_*"))
