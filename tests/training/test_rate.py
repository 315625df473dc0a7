"""The learning rate by numbers: its course over the budget, and what plateaus take from it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raytune_planes.config import Optim
from raytune_planes.training.schedule import SCHEDULES, Plateau, rate


def settings(**given: object) -> Optim:
    return Optim.model_validate({"lr": 0.1, "warmup": 0.0, **given})


@pytest.mark.parametrize(
    ("schedule", "progress", "expected"),
    [
        *(("constant", at, 0.1) for at in (0.0, 0.5, 1.0)),
        *(("cosine", at, value) for at, value in ((0.0, 0.1), (0.5, 0.05), (1.0, 0.0))),
        *(("step", at, value) for at, value in ((0.0, 0.1), (0.24, 0.1), (0.25, 0.05), (0.5, 0.025), (0.99, 0.0125))),
        *(("plateau", at, 0.1) for at in (0.0, 1.0)),
    ],
)
def test_each_schedule_by_numbers(schedule: str, progress: float, expected: float) -> None:
    assert rate(settings(schedule=schedule, every=0.25, factor=0.5), progress) == pytest.approx(expected, abs=1e-9)


def test_the_rate_rises_over_the_warm_up_and_the_schedule_follows() -> None:
    warm = settings(schedule="step", warmup=0.2, every=0.5, factor=0.1)
    rising = [rate(warm, at / 100) for at in range(20)]
    assert rising == sorted(rising)
    assert 0 < rising[0] < 0.001
    assert [rate(warm, at) for at in (0.2, 0.59, 0.6, 0.99)] == pytest.approx([0.1, 0.1, 0.01, 0.01])


@given(
    st.sampled_from(sorted(SCHEDULES)),
    st.floats(0, 1),
    st.floats(0, 0.99),
    st.floats(0.01, 1),
    st.floats(0.01, 0.99),
)
def test_no_rate_is_negative_or_above_the_peak(
    schedule: str, progress: float, warmup: float, every: float, factor: float
) -> None:
    found = rate(settings(schedule=schedule, warmup=warmup, every=every, factor=factor), progress)
    assert 0 <= found <= 0.1 * (1 + 1e-12)


def test_a_dataset_that_does_not_improve_slows_down_alone() -> None:
    plateau = Plateau(settings(schedule="plateau", patience=2, factor=0.5), ("stuck", "rising"))
    for epoch in range(5):
        plateau.learn({"stuck": 0.3, "rising": 0.1 * epoch}, score=0.0)
    assert plateau.factor("rising") == 1.0
    assert plateau.factor("stuck") == 0.25, "after epochs 3 and 5"


def test_with_the_score_all_slow_down_together() -> None:
    plateau = Plateau(settings(schedule="plateau", plateau="score", patience=1, factor=0.1), ("a", "b"))
    plateau.learn({"a": 0.1, "b": 0.1}, score=0.5)
    plateau.learn({"a": 0.2, "b": 0.2}, score=0.5)
    assert plateau.factor("a") == plateau.factor("b") == pytest.approx(0.1)


def test_other_schedules_know_no_plateau() -> None:
    plateau = Plateau(settings(schedule="cosine", patience=1), ("a",))
    for _ in range(9):
        plateau.learn({"a": 0.5}, score=0.5)
    assert plateau.factor("a") == 1.0


@given(st.lists(st.floats(0, 1), max_size=12), st.lists(st.floats(0, 1), max_size=12), st.integers(1, 3))
def test_a_resumed_plateau_decides_as_one_that_never_stopped(
    before: list[float], after: list[float], patience: int
) -> None:
    asked = settings(schedule="plateau", patience=patience)
    whole, first, second = (Plateau(asked, ("a",)) for _ in range(3))
    for value in (*before, *after):
        whole.learn({"a": value}, value)
    for value in before:
        first.learn({"a": value}, value)
    second.load_state_dict(first.state_dict())
    for value in after:
        second.learn({"a": value}, value)
    assert second.state_dict() == whole.state_dict()


def test_a_checkpoint_from_before_there_were_plateaus_changes_nothing() -> None:
    plateau = Plateau(settings(schedule="plateau"), ("a",))
    before = plateau.state_dict()
    plateau.load_state_dict({})
    assert plateau.state_dict() == before
