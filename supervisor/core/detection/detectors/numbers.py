"""Keeps results finite, whatever threshold is configured."""

from __future__ import annotations

_MOST = 1e12


def margin(threshold: float) -> float:
    """The threshold, clamped to 0..10¹² so that products stay finite; NaN becomes the upper end (never suspect)."""
    return max(0.0, threshold) if threshold < _MOST else _MOST
