"""Suspends of the host and steps of the wall clock are distinguished."""

from __future__ import annotations

import pytest

from supervisor.core.detection.clock_jumps import ClockJumps


@pytest.mark.parametrize(
    ("ran", "passed", "told", "slept", "stepped"),
    [
        (1.0, 1.0, 1.0, 0.0, 0.0),
        (1.0, 3601.0, 3601.0, 3600.0, 0.0),  # suspended for an hour
        (1.0, 1.0, 3601.0, 0.0, 3600.0),  # set forwards
        (1.0, 1.0, -99.0, 0.0, -100.0),  # set backwards
        (1.0, 61.0, 31.0, 60.0, -30.0),  # both
        (3600.0, 3600.0, 3601.8, 0.0, 0.0),  # corrected little by little
        (1.0, 1.01, 1.3, 0.0, 0.0),  # read one after the other
    ],
)
def test_what_the_clocks_tell(ran: float, passed: float, told: float, slept: float, stepped: float) -> None:
    clocks = ClockJumps(100.0, 200.0, 1e9)
    assert clocks.look(100.0 + ran, 200.0 + passed, 1e9 + told) == pytest.approx((slept, stepped))
    assert clocks.look(101.0 + ran, 201.0 + passed, 1e9 + 1.0 + told) == (0.0, 0.0)
