"""The front, its knee, and the trial to take."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raytune_planes.errors import UserError
from raytune_planes.pareto import Vector, choose, front, knee, ranks
from raytune_planes.records import End, EpochRecord, Goal, Objective, TrialRecord

FGVC, IOU, PLANES, LOSS = "val/fgvc/accuracy", "val/hrplanes/iou", "val/planesnet/accuracy", "val/fgvc/loss"
GOAL = Goal((Objective(FGVC), Objective(IOU)), {PLANES: 0.9})
VECTORS = st.integers(1, 3).flatmap(lambda n: st.lists(st.tuples(*[st.integers(0, 5)] * n), max_size=25))


def trial(number: int, fgvc: float, iou: float, planes: float = 0.95, end: End = End.COMPLETED) -> TrialRecord:
    metrics = {FGVC: fgvc, IOU: iou, PLANES: planes, LOSS: 1 - fgvc}
    return TrialRecord(f"t{number}", number, {}, {}, (EpochRecord(1, 1, 32, metrics),), end)


FOUR = [trial(0, 0.1, 0.5), trial(1, 0.5, 0.45), trial(2, 0.6, 0.1), trial(3, 0.4, 0.4)]


def dominates(one: Vector, other: Vector) -> bool:
    """Whether ``one`` is nowhere worse and somewhere better."""
    return all(a >= b for a, b in zip(one, other, strict=True)) and any(a > b for a, b in zip(one, other, strict=True))


@given(VECTORS)
def test_a_front_is_what_nothing_left_dominates(vectors: list[tuple[int, ...]]) -> None:
    found, left, rank = ranks(vectors), set(range(len(vectors))), 0
    while left:
        layer = {i for i in left if not any(dominates(vectors[j], vectors[i]) for j in left)}
        assert {i for i, r in enumerate(found) if r == rank} == layer
        left, rank = left - layer, rank + 1


def test_domination_is_nowhere_worse_and_somewhere_better() -> None:
    assert dominates((1, 2), (1, 1))
    assert not dominates((1, 1), (1, 1))
    assert not dominates((2, 0), (1, 1))


def test_the_front_holds_complete_trials_that_keep_the_floors_best_in_the_first_objective_first() -> None:
    others = [trial(4, 0.9, 0.9, planes=0.8), trial(5, 0.9, 0.9, end=End.PRUNED), trial(6, float("nan"), 0.9)]
    assert [t.number for t in front([*FOUR, *others], GOAL)] == [2, 1, 0]


def test_the_knee_bulges_farthest_beyond_the_line_between_the_extremes() -> None:
    found = knee(front(FOUR, GOAL), GOAL)
    assert found is not None
    assert found.number == 1
    assert knee(FOUR[:2], GOAL) is None
    assert knee(FOUR, Goal((Objective(FGVC),))) is None


def test_the_best_mean_is_taken_unless_a_metric_is_preferred() -> None:
    def taken(prefer: str | None) -> int:
        choice = choose(FOUR, GOAL, prefer)
        assert choice is not None
        return choice.trial.number

    assert [taken(p) for p in (None, FGVC, IOU, LOSS)] == [1, 2, 0, 2]


def test_a_choice_tells_front_knee_and_reason() -> None:
    choice = choose([*FOUR, trial(4, 0.9, 0.9, planes=0.8)], GOAL, IOU)
    assert choice is not None
    assert choice.feasible
    assert choice.reason == f"best {IOU} among the trials that keep every floor (4 of 5 complete trials)"
    assert [t.number for t in choice.front] == [2, 1, 0]
    assert choice.knee is not None
    assert choice.knee.number == 1


def test_when_no_trial_keeps_the_floors_the_nearest_is_shown_with_its_shortfall() -> None:
    choice = choose([trial(0, 0.9, 0.9, planes=0.5), trial(1, 0.1, 0.1, planes=0.88)], GOAL, FGVC)
    assert choice is not None
    assert not choice.feasible
    assert choice.trial.number == 1
    assert choice.shortfalls == pytest.approx({PLANES: 0.02})
    assert choice.reason == f"no trial keeps every floor; the nearest misses {PLANES} by 0.0200"
    assert choice.front == ()
    assert choice.knee is None


def test_without_a_complete_trial_there_is_no_choice() -> None:
    assert choose([trial(0, 0.5, 0.5, end=End.PRUNED), trial(1, 0.5, 0.5, end=End.FAILED)], GOAL) is None


def test_preferring_a_metric_that_was_not_measured_names_those_that_were() -> None:
    with pytest.raises(
        UserError, match=r"no trial has the metric 'val/fgvc/acc'; did you mean.*there are: val/fgvc/acc"
    ):
        choose(FOUR, GOAL, "val/fgvc/acc")


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0.8, 1)), min_size=1, max_size=15))
def test_what_is_taken_is_on_the_front_and_keeps_the_floors_whenever_any_trial_does(
    metrics: list[tuple[float, float, float]],
) -> None:
    trials = [trial(n, *each) for n, each in enumerate(metrics)]
    choice = choose(trials, GOAL)
    assert choice is not None
    assert choice.feasible == any(planes >= 0.9 for _, _, planes in metrics)
    assert choice.feasible == (choice.trial in choice.front)
