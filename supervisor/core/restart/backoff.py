"""Backoff: the delay before a restart.

Decorrelated jitter is Marc Brooker's, "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015).
"""

from __future__ import annotations

from collections.abc import Callable

from supervisor.core.model.spec import BackoffKind, RestartSpec


def delay(spec: RestartSpec, attempt: int, previous: float, rng: Callable[[], float]) -> float:
    """Seconds to wait before attempt 1, 2, …: within [0, spec.maximum], and 0 always where spec.initial is 0.

    `previous` is the delay before the last attempt (0.0 before the first); `rng` draws from [0, 1).
    """
    if spec.initial <= 0.0:
        return 0.0
    if spec.backoff is BackoffKind.DECORRELATED_JITTER:
        wait = spec.initial + (max(spec.initial, 3.0 * previous) - spec.initial) * rng()
    else:
        wait = min(_base(spec, attempt), spec.maximum) * (1.0 + spec.jitter * (2.0 * rng() - 1.0))
    return max(0.0, min(wait, spec.maximum))


def _base(spec: RestartSpec, attempt: int) -> float:
    """The delay without jitter and without a limit."""
    if spec.backoff is BackoffKind.FIXED:
        return spec.initial
    if spec.backoff is BackoffKind.LINEAR:
        return spec.initial * attempt
    try:
        return spec.initial * float(spec.factor) ** (attempt - 1)
    except OverflowError:
        return spec.maximum
