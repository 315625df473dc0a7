"""Floors that follow a reference: how they are written, and what they come to."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raytune_planes.floors import ALONE, DEFAULTS, Relative
from raytune_planes.records import Goal, Objective

KEY = "val/hrplanes/iou"
metrics = st.floats(0, 1)


@pytest.mark.parametrize(
    ("text", "floor", "at_half"),
    [
        ("defaults", Relative(DEFAULTS), 0.5),
        ("defaults - 0.01", Relative(DEFAULTS, -0.01), 0.49),
        ("alone-0.02", Relative(ALONE, -0.02), 0.48),
        ("alone + .1", Relative(ALONE, 0.1), 0.6),
        ("defaults - 5 %", Relative(DEFAULTS, -0.05, is_share=True), 0.475),
        ("defaults - 0.6", Relative(DEFAULTS, -0.6), 0.0),
    ],
)
def test_a_floor_follows_its_reference_as_it_is_written(text: str, floor: Relative, at_half: float) -> None:
    assert Relative.parse(text) == floor
    assert floor.value(0.5) == pytest.approx(at_half)
    assert Relative.parse(str(floor)) == floor


@pytest.mark.parametrize("text", ["best - 0.01", "defaults -", "0.01 - defaults", "defaults - x", "- 0.1", ""])
def test_another_form_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match=r"neither a number nor a floor like 'defaults - 0.01'"):
        Relative.parse(text)


@given(metrics, metrics, metrics, st.floats(-0.5, 0.5))
def test_a_goal_judges_by_the_reference_once_it_is_known(
    defaults: float, alone: float, reached: float, offset: float
) -> None:
    goal = Goal((Objective("val/fgvc/accuracy"),), {}, {KEY: Relative(DEFAULTS, offset), "val/b/iou": Relative(ALONE)})
    mine = {"val/fgvc/accuracy": 0.5, KEY: reached, "val/b/iou": reached}
    assert goal.unknown == (KEY, "val/b/iou")
    assert goal.feasible(mine), "nothing is judged by a floor that is not known"

    settled = goal.with_references({KEY: defaults}, {"b": {"val/b/iou": alone, KEY: math.nan}})

    assert settled.unknown == ()
    assert settled.floors == {KEY: max(0.0, defaults + offset), "val/b/iou": alone}
    assert settled.feasible(mine) == (reached >= max(0.0, defaults + offset) and reached >= alone)
    assert settled.with_references({KEY: defaults}, {"b": {"val/b/iou": alone}}) == settled


def test_a_reference_without_a_result_settles_nothing() -> None:
    goal = Goal((), {}, {KEY: Relative(ALONE), "val/b/iou": Relative(DEFAULTS)})
    assert goal.with_references({}, {}).unknown == (KEY, "val/b/iou")
    assert goal.with_references({"val/b/iou": math.nan}).unknown == (KEY, "val/b/iou")
