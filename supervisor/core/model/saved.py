"""Reading back what was saved, trusting nothing: a value of the right type and range, or ValueError."""

from __future__ import annotations

GARBAGE = (AttributeError, KeyError, TypeError, ValueError)
"""What reading a damaged snapshot can raise; whoever restores catches these and starts cold."""


def number(value: object, low: float, high: float) -> float:
    """A finite number within [low, high]; NaN is within nothing."""
    if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
        return float(value)
    raise ValueError(f"no number within {low}..{high}: {value!r:.60}")


def optional_number(value: object, low: float, high: float) -> float | None:
    """`number`, where there may be none."""
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
