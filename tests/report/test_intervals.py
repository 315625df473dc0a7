"""Intervals of metrics in [0, 1]: against published values, against their limits, and within their bounds."""

from __future__ import annotations

import math

import numpy as np
import pytest

from raytune_planes.report.intervals import of_difference, of_folds, of_mean


def test_where_seeds_agree_the_interval_is_wilsons() -> None:
    """81 of 263 and 15 of 148: the examples in Newcombe 1998, "Two-sided confidence intervals for the single
    proportion", table I."""
    assert of_mean([81 / 263] * 3, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert of_mean([15 / 148] * 3, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)


def test_six_pictures_answered_rightly_by_all_seeds_leave_much_open() -> None:
    """n / (n + z²), the lower end of Wilson's interval where all are right."""
    assert of_mean([1.0] * 5, 6) == pytest.approx((6 / (6 + 1.959964**2), 1.0))


def test_with_pictures_without_limit_the_interval_comes_near_students_over_the_seeds() -> None:
    found = of_mean([0.49, 0.5, 0.51], 10**9)
    assert found == pytest.approx((0.5 - 4.303 * 0.01 / math.sqrt(3), 0.5 + 4.303 * 0.01 / math.sqrt(3)), abs=1e-4)


def test_the_spread_of_the_seeds_adds_to_that_of_the_pictures() -> None:
    """Variance 0.24 / 40 of the pictures and 0.01 / 3 of the seeds: 0.24 / 0.00933 = 25.7 pictures, and Student's t for
    2 (0.00933 / 0.00333)² = 15.68 degrees of freedom."""
    z, n = 2.1235, 0.24 / (0.24 / 40 + 0.01 / 3)
    half = z * math.sqrt(0.24 / n + (z / n) ** 2 / 4)
    ends = tuple((0.6 + z**2 / (2 * n) + sign * half) / (1 + z**2 / n) for sign in (-1, 1))
    assert of_mean([0.5, 0.6, 0.7], 40) == pytest.approx(ends, abs=1e-4)


def test_no_interval_leaves_its_bounds_and_each_holds_its_mean() -> None:
    rng = np.random.default_rng(0)
    for _ in range(500):
        one, other = (list(np.clip(rng.normal(rng.random(), 0.3, rng.integers(3, 7)), 0, 1)) for _ in range(2))
        n = int(rng.integers(1, 2000))
        a, b = of_mean(one, n), of_mean(other, n)
        assert a is not None
        assert b is not None
        assert 0 <= a[0] <= np.mean(one) <= a[1] <= 1
        gain = float(np.mean(one) - np.mean(other))
        low, high = of_difference(float(np.mean(one)), a, float(np.mean(other)), b)
        assert -1 <= low <= gain <= high <= 1


def test_the_interval_of_a_difference_is_newcombes() -> None:
    """56 of 70 against 48 of 80: example (a) in Newcombe 1998, "Interval estimation for the difference", table II."""
    one, other = of_mean([56 / 70] * 3, 70), of_mean([48 / 80] * 3, 80)
    assert one is not None
    assert other is not None
    assert of_difference(56 / 70, one, 48 / 80, other) == pytest.approx((0.0524, 0.3339), abs=5e-5)


@pytest.mark.parametrize(
    ("values", "n"), [([0.8333, 1.0], 6), ([0.5], 100), ([0.5, 0.5, 1.5], 100), ([0.5] * 3, 0), ([math.nan] * 3, 9)]
)
def test_too_few_seeds_no_pictures_and_losses_have_no_interval(values: list[float], n: int) -> None:
    assert of_mean(values, n) is None


def test_nineteen_of_twenty_intervals_hold_the_truth() -> None:
    """Simulated: trainings that differ by 3 points, asked the same 200 pictures, of which some are harder."""
    rng, held = np.random.default_rng(1), 0
    for _ in range(600):
        hard_N = rng.normal(0, 1.2, 200)
        skill_S = rng.normal(1.4, 0.25, 3)
        right_SN = rng.random((3, 200)) < 1 / (1 + np.exp(-(skill_S[:, None] - hard_N[None])))
        found = of_mean(list(right_SN.mean(1)), 200)
        assert found is not None
        held += found[0] <= TRUTH <= found[1]
    assert held / 600 >= 0.95


TRUTH = float(np.mean(1 / (1 + np.exp(-(np.random.default_rng(2).normal(1.4, math.hypot(0.25, 1.2), 400_000))))))
"""Mean share of right answers over all trainings and pictures."""


def test_the_interval_over_folds_is_students_and_needs_three() -> None:
    low, high = of_folds([0.4, 0.5, 0.6]) or (math.nan, math.nan)
    half = 4.302652729911275 * 0.1 / math.sqrt(3)  # t of two degrees of freedom
    assert (low, high) == (pytest.approx(0.5 - half), pytest.approx(0.5 + half))
    assert of_folds([0.4, 0.5]) is None
