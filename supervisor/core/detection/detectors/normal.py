"""The upper tail of the normal distribution on a logarithmic scale: φ(z) = −log₁₀ Q(z), with Q(z) = P(Z > z) =
erfc(z/√2)/2.

Computed on the log-survival itself, because `1 − cdf` is 0 beyond z ≈ 8.2 and `erfc` underflows at z ≈ 38:
`log1p` below 0, `erfc` up to 25, and beyond it the asymptotic (Mills) series of Abramowitz & Stegun 26.2.12.
The relative error is below 1e-13 for −37 ≤ z ≤ 1e150; the result is finite for every argument.
"""

from __future__ import annotations

from math import erfc, exp, expm1, log, log1p, log10, pi, sqrt

LN10 = log(10.0)
Z_MAX = 1e150
_FAR = 25.0
_SQRT2 = sqrt(2.0)
_HALF = log10(2.0)
_ROOT_TAU = sqrt(2.0 * pi)
_TINY = 5e-324


def phi(z: float) -> float:
    """−log₁₀ Q(z), never negative, infinite or NaN; z is clamped to ±1e150, and NaN counts as no silence: 0."""
    if z < 0.0:
        return 0.0 - log1p(-0.5 * erfc(-z / _SQRT2)) / LN10
    if z <= _FAR:
        return -log10(0.5 * erfc(z / _SQRT2))
    if z > _FAR:
        z = min(z, Z_MAX)
        return (0.5 * z * z + log(z * _ROOT_TAU) - log1p(_mills(z))) / LN10
    return 0.0


def phi_inverse(score: float) -> float:
    """The z with φ(z) = score, for 0 < score; clamped to the range of `phi`, NaN to its upper end (never suspect).

    Newton's method from the right: φ is convex and φ(√(2·ln10·score)) > score, so that each step comes nearer
    without overshooting and the error is squared each time.  The lower half mirrors the upper: Q(−z) = 1 − Q(z).
    """
    if score < _HALF:
        lower = max(_TINY, -expm1(-max(score, 0.0) * LN10))
        return -phi_inverse(-log10(lower))
    if not score < _SCORE_MAX:
        return Z_MAX
    z = sqrt(2.0 * LN10 * score)
    while True:
        nearer = z - (phi(z) - score) * LN10 / _hazard(z)
        if not nearer < z - 1e-12 * (1.0 + z):
            return nearer
        z = nearer


def _mills(z: float) -> float:
    """Q(z)·z/density(z) − 1 for z > 25: six terms leave less than 1e-13."""
    w = 1.0 / (z * z)
    return -w * (1.0 - 3.0 * w * (1.0 - 5.0 * w * (1.0 - 7.0 * w * (1.0 - 9.0 * w * (1.0 - 11.0 * w)))))


def _hazard(z: float) -> float:
    """density(z)/Q(z), the slope of −ln Q; z ≥ 0."""
    if z > _FAR:
        return z / (1.0 + _mills(z))
    return exp(-0.5 * z * z) / (0.5 * _ROOT_TAU * erfc(z / _SQRT2))


_SCORE_MAX = phi(Z_MAX)
