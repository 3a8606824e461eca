"""Work that takes long is done a slice in each turn of the event loop, so that no heartbeat waits for it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Generic, TypeVar

T = TypeVar("T")


def in_slices(
    call_soon: Callable[[Callable[[], None]], None],
    now: Callable[[], float],
    work: Generator[None, None, T],
    seconds: float,
    done: Callable[[T], None],
    failed: Callable[[], None],
) -> None:
    """Run `work` from the next turn on, and call `done` with what it returns.

    A slice ends `seconds` after its begin, with the step that is under way. Where `work` raises, `failed` is called,
    and the loop gets the exception. `call_soon` and `now` are the event loop's.
    """

    call_soon(_Slices(call_soon, now, work, seconds, done, failed))


class _Slices(Generic[T]):
    """What is left of the work.  This is an object because a function that refers to itself would be kept, with all
    that it has made, until the next garbage collection."""

    __slots__ = ("__weakref__", "_call_soon", "_done", "_failed", "_now", "_seconds", "_work")

    def __init__(
        self,
        call_soon: Callable[[Callable[[], None]], None],
        now: Callable[[], float],
        work: Generator[None, None, T],
        seconds: float,
        done: Callable[[T], None],
        failed: Callable[[], None],
    ) -> None:
        self._call_soon, self._now, self._work = call_soon, now, work
        self._seconds, self._done, self._failed = seconds, done, failed

    def __call__(self) -> None:
        until = self._now() + self._seconds
        try:
            while True:
                next(self._work)
                if self._now() >= until:
                    self._call_soon(self)
                    return
        except StopIteration as end:
            result = end.value
        except Exception:
            self._failed()
            raise
        self._done(result)
