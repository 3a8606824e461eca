"""The logistic approximation of the normal tail that Akka, Pekko and Hazelcast call φ, for comparison with them.

With u = y·(1.5976 + 0.070566·y²) their e/(1+e), e = exp(−u), is 1/(1+exp(u)), so φ = log₁₀(1 + exp(u)): a softplus,
which neither overflows nor takes the logarithm of 0.  In the tail it overstates φ: its 8 is a true φ of 7.06,
its 12 one of 9.81.
"""

from __future__ import annotations

from math import asinh, exp, expm1, log, log1p, sinh, sqrt

LN10 = log(10.0)
_LINEAR, _CUBIC = 1.5976, 0.070566
_SCALE = 2.0 * sqrt(_LINEAR / (3.0 * _CUBIC))
_Y_MAX = 1e100
_TINY = 5e-324


def phi(y: float) -> float:
    """log₁₀(1 + exp(u(y))), never negative, infinite or NaN; NaN counts as no silence: 0."""
    if y != y:
        return 0.0
    y = min(max(y, -_Y_MAX), _Y_MAX)
    u = y * (_LINEAR + _CUBIC * y * y)
    return (u + log1p(exp(-u)) if u > 0.0 else log1p(exp(u))) / LN10


def phi_inverse(score: float) -> float:
    """The y with φ(y) = score; clamped to the range of `phi`, NaN to its upper end (never suspect).

    Softplus inverted gives u, and the cubic u(y), which only rises, has the one real root
    y = s·sinh(asinh(3u/(1.5976·s))/3) with s = 2·√(1.5976/(3·0.070566)) (the hyperbolic solution of a depressed cubic).
    """
    if not score < _SCORE_MAX:
        return _Y_MAX
    reach = max(score * LN10, _TINY)
    u = reach + log(-expm1(-reach))
    return _SCALE * sinh(asinh(3.0 * u / (_SCALE * _LINEAR)) / 3.0)


_SCORE_MAX = phi(_Y_MAX)
