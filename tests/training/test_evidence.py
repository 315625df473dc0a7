"""The gain of a validation curve for a doubling, its noise, and limits that hold as often as they say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from raytune_planes.training.evidence import GROUPS, WEIGHT, line, quantile


@given(st.lists(st.floats(0, 1), min_size=3, max_size=GROUPS), st.integers(0, 50))
def test_a_short_stretch_has_the_line_of_least_squares(values: list[float], before: int) -> None:
    at, free = np.log(before + 1 + np.arange(len(values))), len(values) - 2
    found, (slope, start) = line(values, 1e12, before + len(values)), np.polyfit(at, values, 1)
    residuals = np.asarray(values) - start - slope * at
    error = math.sqrt(residuals @ residuals / (free + WEIGHT) / (len(values) * at.var()))
    assert found.level == pytest.approx(np.mean(values))
    assert found.slope == pytest.approx(slope, abs=1e-6)
    assert found.slope_error == pytest.approx(error, rel=1e-4, abs=1e-4)


def test_without_scatter_the_pictures_of_the_split_give_the_noise() -> None:
    """49 + 1 of 98 + 2 pictures: a variance of 0.25 / 98, which counts for 4 of 5 degrees of freedom."""
    found, pooled = line([0.5, 0.5, 0.5], 98, 3), 0.25 / 98 * 4 / 5
    spread = 3 * np.log([1, 2, 3]).var()
    assert found.slope_error == pytest.approx(math.sqrt(pooled / spread))
    assert found.chance == pytest.approx(math.sqrt(pooled * (1 + 1 / 3)))
    assert found.freedom == 5


def test_a_split_that_is_all_right_is_not_without_noise() -> None:
    assert line([1.0] * 4, 20, 4).slope_error > 0.01


def test_one_value_has_no_slope() -> None:
    found = line([0.7], 100, 1)
    assert (found.level, found.slope, found.slope_error) == (0.7, 0.0, math.inf)


def test_validating_more_often_does_not_make_a_smooth_curve_more_certain() -> None:
    """The second half of a training of 12 and of 1,200 epochs, with 0.04 for a doubling."""
    few, many = (line([0.5 + 0.04 * math.log2(e / n) for e in range(n // 2 + 1, n + 1)], 500, n) for n in (12, 1200))
    assert few.slope * math.log(2) == pytest.approx(0.04)
    assert many.slope * math.log(2) == pytest.approx(0.04)
    assert few.slope_error == pytest.approx(many.slope_error, rel=0.15)


@pytest.mark.parametrize(("count", "level", "pictures"), [(3, 0.9, 2000), (6, 0.5, 300), (40, 0.6, 200)])
def test_the_upper_limit_of_the_slope_is_too_low_at_most_as_often_as_it_says(
    count: int, level: float, pictures: int
) -> None:
    draw, slope = np.random.default_rng(1), 0.01
    truth = level + slope * np.log(np.arange(1, count + 1))
    found = [line((draw.binomial(pictures, truth) / pictures).tolist(), pictures, count) for _ in range(1000)]
    too_low = np.mean([each.highest_slope(0.9) < slope for each in found])
    assert 0.0 < too_low <= 0.11


def test_quantiles_are_those_of_student() -> None:
    assert quantile(0.9, 3) == pytest.approx(stats.t.ppf(0.9, 3))
