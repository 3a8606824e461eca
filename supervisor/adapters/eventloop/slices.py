"""Work that takes long is done a slice in each turn of the event loop, so that no heartbeat waits for it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from typing import TypeVar

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

    def turn(again: Callable[..., None]) -> None:
        until = now() + seconds
        try:
            while True:
                next(work)
                if now() >= until:
                    call_soon(partial(again, again))
                    return
        except StopIteration as end:
            result = end.value
        except Exception:
            failed()
            raise
        done(result)

    # A function that names itself would be kept, with all that it made, until the garbage collector comes by.
    call_soon(partial(turn, turn))
