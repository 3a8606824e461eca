"""What a target's figures are in a reader's units."""

from __future__ import annotations

import pytest

from supervisor.core.text.target import monthly


@pytest.mark.parametrize(
    ("rate", "said"), [(1 / 86_400.0, 30.0), (1 / (30 * 86_400.0), 1.0), (1.23456e-6, 3.2), (0.0, 0.0), (None, None)]
)
def test_rates_are_told_for_thirty_days(rate: float | None, said: float | None) -> None:
    assert monthly(rate) == said
