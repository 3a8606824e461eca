"""A value compares, hashes and protects itself as a frozen dataclass does."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import pytest

from supervisor.core.model.spec import BreakerSpec, StopStep, TargetSpec


def test_equal_values_are_equal_and_have_one_hash() -> None:
    one, same, other = StopStep(signal=15, wait=1.0), StopStep(signal=15, wait=1.0), StopStep(signal=9, wait=1.0)
    assert one == same and hash(one) == hash(same)
    assert one != other and one != (15, 1.0)
    assert TargetSpec() != BreakerSpec()
    assert replace(one, signal=9) == other


def test_a_value_shows_its_fields() -> None:
    assert repr(StopStep(signal=15, wait=1.0)) == "StopStep(signal=15, wait=1.0)"


def test_a_value_cannot_be_changed() -> None:
    step = StopStep(signal=15, wait=1.0)
    with pytest.raises(FrozenInstanceError, match="'signal' of StopStep"):
        step.signal = 9  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        del step.wait
    assert step.signal == 15
