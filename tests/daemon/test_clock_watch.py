"""The clock watch on clocks that the test sets."""

from __future__ import annotations

import pytest

from supervisor.daemon.clock_watch import CLOCK, KEPT_EVERY, ClockWatch


class Facts(dict[str, str]):
    """A ledger's facts."""

    get_meta = dict.get
    set_meta = dict.__setitem__


class Clocks:
    def __init__(self) -> None:
        self.monotonic, self.boot, self.real = 100.0, 200.0, 1e9

    def __call__(self) -> tuple[float, float, float]:
        return self.monotonic, self.boot, self.real

    def run(self, seconds: float, step: float = 0.0) -> None:
        self.monotonic += seconds
        self.boot += seconds
        self.real += seconds + step


def test_each_step_is_told_once() -> None:
    clocks = Clocks()
    watch = ClockWatch(Facts(), "boot", clocks)
    assert watch.look() == (0.0, 0.0)
    clocks.run(10, 7200.0)
    assert watch.look() == (0.0, 7200.0)
    clocks.run(10)
    assert watch.look() == (0.0, 0.0)


@pytest.mark.parametrize("step", [7200.0, -7200.0])
def test_a_step_while_no_daemon_ran_is_told_by_the_next(step: float) -> None:
    facts, clocks = Facts(), Clocks()
    ClockWatch(facts, "a boot", clocks).look()
    clocks.run(50, step)
    later = ClockWatch(facts, "a boot", clocks)
    assert later.look() == (0.0, step)
    assert later.look() == (0.0, 0.0)
    assert ClockWatch(facts, "a boot", clocks).look() == (0.0, 0.0)


def test_what_another_boot_saved_or_what_is_damaged_tells_nothing() -> None:
    facts, clocks = Facts(), Clocks()
    ClockWatch(facts, "a boot", clocks).look()
    clocks.run(50, 7200.0)
    assert ClockWatch(facts, "another", clocks).look() == (0.0, 0.0)
    for damaged in ("", "x", "a boot x y", "a boot 1"):
        facts[CLOCK] = damaged
        assert ClockWatch(facts, "a boot", clocks).look() == (0.0, 0.0)


def test_the_clocks_are_saved_at_the_first_look_after_a_step_and_now_and_then() -> None:
    facts, clocks = Facts(), Clocks()
    watch = ClockWatch(facts, "boot", clocks)

    def saved() -> str:
        watch.look()
        return facts[CLOCK]

    first = saved()
    clocks.run(KEPT_EVERY / 2)
    assert saved() == first
    clocks.run(1, 3600.0)
    stepped = saved()
    assert stepped != first
    clocks.run(KEPT_EVERY)
    assert saved() not in (first, stepped)
