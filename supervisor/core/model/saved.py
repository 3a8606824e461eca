"""Checks for values read from a snapshot: each returns a value of the right type and range, or raises ValueError."""

from __future__ import annotations

GARBAGE = (AttributeError, KeyError, TypeError, ValueError)
"""The exceptions that reading a damaged snapshot can raise; the caller catches them and starts cold."""

MOST_SECONDS = 2.0**33
"""More than any moment is: 272 years."""


def number(value: object, low: float, high: float) -> float:
    """A number within [low, high]; NaN is not."""
    if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
        return float(value)
    raise ValueError(f"no number within {low}..{high}: {value!r:.60}")


def optional_number(value: object, low: float, high: float) -> float | None:
    """As `number`, but None is allowed."""
    return None if value is None else number(value, low, high)


def integer(value: object, low: int, high: int) -> int:
    """An integer within [low, high]."""
    if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
        return value
    raise ValueError(f"no integer within {low}..{high}: {value!r:.60}")


def sequence(value: object, newest: int) -> list[object]:
    """The last `newest` items of a list."""
    if isinstance(value, list):
        return value[max(0, len(value) - newest) :]
    raise ValueError(f"no list: {value!r:.60}")
