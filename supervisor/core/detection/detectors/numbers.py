"""Numbers that stay numbers."""

from __future__ import annotations

_MOST = 1e12


def margin(threshold: float) -> float:
    """A threshold that can be multiplied: within 0..10¹², and NaN is the upper end (never suspect)."""
    return max(0.0, threshold) if threshold < _MOST else _MOST
