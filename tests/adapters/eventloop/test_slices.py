"""Long work is done in slices, between which the loop turns."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Generator

import pytest

from supervisor.adapters.eventloop.slices import in_slices
from tests.doubles.fakes import FakeReactor

SLICE, STEP = 0.004, 0.001


class Turned:
    """A loop that is turned by hand; each step of the work takes `STEP` seconds."""

    def __init__(self, steps: int, fault: Exception | None = None) -> None:
        self.reactor = FakeReactor()
        self.soon: list[Callable[[], None]] = []
        self.answers: list[str] = []
        work = self._work(steps, fault)
        in_slices(
            self.soon.append, self.reactor.now, work, SLICE, self.answers.append, lambda: self.answers.append("?")
        )

    def _work(self, steps: int, fault: Exception | None) -> Generator[None, None, str]:
        for _ in range(steps):
            self.reactor.advance(STEP)
            yield
        if fault is not None:
            raise fault
        return "done"

    def turn(self) -> float:
        """One turn of the loop; returns the seconds that it took."""
        due, self.soon[:] = list(self.soon), []
        began = self.reactor.now()
        for callback in due:
            callback()
        return self.reactor.now() - began


def test_a_turn_takes_no_longer_than_a_slice_and_one_step() -> None:
    turned = Turned(20)
    took = [turned.turn() for _ in range(6)]
    assert max(took) <= SLICE + STEP
    assert sum(took) == pytest.approx(20 * STEP)
    assert turned.answers == ["done"] and not turned.soon


def test_short_work_is_done_in_the_next_turn() -> None:
    turned = Turned(3)
    assert turned.answers == []
    turned.turn()
    assert turned.answers == ["done"]


def test_a_fault_is_told_and_reaches_the_loop() -> None:
    turned = Turned(2, ValueError("broken"))
    with pytest.raises(ValueError, match="broken"):
        turned.turn()
    assert turned.answers == ["?"] and not turned.soon


def test_what_the_work_has_made_goes_with_it() -> None:
    """At once, not at the next garbage collection: there is none while a daemon is at rest."""
    turned = Turned(6)
    work = [weakref.ref(callback) for callback in turned.soon]
    gc.disable()
    try:
        while turned.soon:
            turned.turn()
        assert [ref() for ref in work] == [None]
    finally:
        gc.enable()
