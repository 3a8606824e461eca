"""The tails of the score functions against 60-digit arithmetic."""

from __future__ import annotations

from math import inf, isfinite, log10, nan, nextafter

import mpmath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.detection.detectors import logistic, normal

mpmath.mp.dps = 60


def true_phi(z: float) -> mpmath.mpf:
    """−log₁₀ Q(z), below 0 by the complement, which 60 digits could not hold as 1 − Q."""
    half = mpmath.erfc(abs(mpmath.mpf(z)) / mpmath.sqrt(2)) / 2
    return -(mpmath.log(half) if z > 0 else mpmath.log1p(-half)) / mpmath.log(10)


def akka_phi(y: float) -> mpmath.mpf:
    """Akka's own form, in which doubles overflow and take log10(0)."""
    e = mpmath.exp(-mpmath.mpf(y) * (mpmath.mpf("1.5976") + mpmath.mpf("0.070566") * mpmath.mpf(y) ** 2))
    return -mpmath.log10(e / (1 + e)) if y > 0 else -mpmath.log10(1 - 1 / (1 + e))


@given(st.floats(-5.0, 1000.0) | st.floats(-5.0, 40.0))
def test_the_normal_tail_is_exact(z: float) -> None:
    assert normal.phi(z) == pytest.approx(float(true_phi(z)), rel=1e-9, abs=0)


@pytest.mark.parametrize("z", [-37.0, -20.0, -1e-9, 0.0, 1e-9, 8.3, 24.999, 25.0, 25.001, 38.6, 1e6, 1e149])
def test_the_normal_tail_is_exact_where_its_formulas_meet_and_far_out(z: float) -> None:
    assert normal.phi(z) == pytest.approx(float(true_phi(z)), rel=1e-9, abs=0)


@pytest.mark.parametrize("joint", [0.0, 25.0])
def test_the_normal_tail_rises_across_its_joints(joint: float) -> None:
    below, above = normal.phi(joint - 1e-9), normal.phi(joint + 1e-9)
    assert below < normal.phi(nextafter(joint, -inf)) <= normal.phi(joint) + 1e-13 * joint
    assert normal.phi(joint) <= normal.phi(nextafter(joint, inf)) + 1e-13 * joint < above


@given(st.floats(-6.0, 12.0))
def test_the_logistic_tail_is_akkas(y: float) -> None:
    assert logistic.phi(y) == pytest.approx(float(akka_phi(y)), rel=1e-9, abs=0)


def test_the_logistic_tail_promises_more_than_it_keeps() -> None:
    assert normal.phi(logistic.phi_inverse(8.0)) == pytest.approx(7.06, abs=0.01)
    assert normal.phi(logistic.phi_inverse(12.0)) == pytest.approx(9.81, abs=0.01)


@pytest.mark.parametrize("law", [normal, logistic])
@given(z=st.floats(-8.0, 8.0) | st.floats(-1e-6, 1e-6) | st.floats(8.0, 1e99))
def test_the_inverse_finds_z_again(law: object, z: float) -> None:
    found = law.phi_inverse(law.phi(z))  # type: ignore[attr-defined]
    assert found == pytest.approx(z, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("law", [normal, logistic])
@given(score=st.floats(1e-12, 1e12))
def test_the_inverse_meets_the_score(law: object, score: float) -> None:
    assert law.phi(law.phi_inverse(score)) == pytest.approx(score, rel=1e-9, abs=0)  # type: ignore[attr-defined]


@pytest.mark.parametrize("law", [normal, logistic])
@given(a=st.floats(), b=st.floats())
def test_any_float_has_an_answer_and_a_longer_silence_never_a_smaller_one(law: object, a: float, b: float) -> None:
    low, high = law.phi(min(a, b)), law.phi(max(a, b))  # type: ignore[attr-defined]
    assert isfinite(low) and low >= 0.0 and isfinite(high)
    assert isfinite(law.phi_inverse(a))  # type: ignore[attr-defined]
    if a == a and b == b:
        assert low <= high * (1 + 1e-12)


@pytest.mark.parametrize("law", [normal, logistic])
def test_beyond_the_range_the_ends_stand_in(law: object) -> None:
    phi, inverse = law.phi, law.phi_inverse  # type: ignore[attr-defined]
    assert phi(nan) == phi(-inf) == 0.0
    assert phi(inf) == phi(1e300) > 1e290
    assert inverse(0.0) == inverse(-1.0) == inverse(-inf) < -3.0
    assert inverse(inf) == inverse(nan) >= 1e100


def test_the_median_is_where_both_are_certain() -> None:
    for law in (normal, logistic):
        assert law.phi(0.0) == pytest.approx(log10(2.0), rel=1e-15)
        assert law.phi_inverse(log10(2.0)) == pytest.approx(0.0, abs=1e-9)
