"""Keeps descriptors free: what takes many of them must leave enough for orders to be heard and carried out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

RESERVE = 16
"""Descriptors for connections of clients, for the configuration's compiler and for reading /proc."""

WATCHED = 2
"""Descriptors that it takes to watch a new process: its pidfd, and one to read /proc."""


_NOTHING: AbstractContextManager[None] = nullcontext()


def kept_free(count: int) -> AbstractContextManager[None]:
    """Take `count` descriptors within the block, so that as many are free after it.  OSError where there are fewer."""
    return _taken(count) if count else _NOTHING


@contextmanager
def _taken(count: int) -> Iterator[None]:
    taken: list[int] = []
    try:
        for _ in range(count):
            taken.append(os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC))
        yield
    finally:
        for fd in taken:
            os.close(fd)
