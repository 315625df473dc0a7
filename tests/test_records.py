"""Records: names, scores, floors, and which trial is best."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from raytune_planes.records import (
    Action,
    Decision,
    End,
    EpochRecord,
    Goal,
    Objective,
    TrialRecord,
    best_trial,
    metric,
    split_metric,
)

GOAL = Goal((Objective("val/a/accuracy"), Objective("val/b/loss", "min")), {"val/c/accuracy": 0.9})


def epoch(number: int, a: float, b: float = 0.5, c: float = 0.95) -> EpochRecord:
    metrics = {"val/a/accuracy": a, "val/b/loss": b, "val/c/accuracy": c}
    return EpochRecord(number, number, number, metrics)


def trial(number: int, *epochs: EpochRecord, end: End = End.COMPLETED) -> TrialRecord:
    return TrialRecord(f"t{number}", number, {}, {}, epochs, end)


def test_a_metric_name_comes_apart_as_it_was_made() -> None:
    assert split_metric(metric("val", "fgvc", "top5")) == ("val", "fgvc", "top5")
    assert split_metric("seconds") is None


def test_the_score_is_the_mean_of_the_objectives_turned_so_that_more_is_better() -> None:
    assert GOAL.score({"val/a/accuracy": 0.8, "val/b/loss": 0.2, "val/c/accuracy": 0.9}) == pytest.approx(0.3)


def test_a_missed_floor_costs_ten_times_its_shortfall() -> None:
    kept = GOAL.score({"val/a/accuracy": 0.8, "val/b/loss": 0.2, "val/c/accuracy": 0.9})
    missed = GOAL.score({"val/a/accuracy": 0.8, "val/b/loss": 0.2, "val/c/accuracy": 0.85})
    assert kept - missed == pytest.approx(0.5)


def test_an_absent_or_undefined_metric_scores_lowest_and_misses_its_floor_wholly() -> None:
    assert GOAL.score({"val/a/accuracy": 0.8}) == -math.inf
    assert GOAL.score({"val/a/accuracy": math.nan, "val/b/loss": 0.1}) == -math.inf
    assert GOAL.shortfalls({}) == {"val/c/accuracy": 1.0}
    assert not GOAL.feasible({"val/c/accuracy": math.nan})


def test_a_trials_result_is_its_best_epoch_and_of_equals_the_first() -> None:
    best = trial(0, epoch(1, 0.5), epoch(2, 0.7), epoch(3, 0.7), epoch(4, 0.6)).best(GOAL)
    assert best is not None
    assert best.epoch == 2
    assert trial(0).best(GOAL) is None


def staged(number: int, *epochs: tuple[str, float], end: End = End.COMPLETED) -> TrialRecord:
    """A trial of the plan ``together, alone`` with the stage and accuracy of each of its epochs."""
    records = [replace(epoch(i, a), stage=stage) for i, (stage, a) in enumerate(epochs, 1)]
    return replace(trial(number, *records, end=end), config={"plan": "together, alone"})


def test_a_trial_of_several_stages_is_judged_by_its_last_one_alone() -> None:
    """Only trial 0 keeps epochs of the common stage: they must not win it the study."""
    defaults = staged(0, ("together", 0.62), ("alone", 0.525), ("alone", 0.51))
    forked = staged(1, ("alone", 0.55), ("alone", 0.56))
    judged = defaults.best(GOAL)
    assert judged is not None
    assert (judged.epoch, judged.metrics["val/a/accuracy"]) == (2, 0.525)
    assert best_trial([defaults, forked], GOAL) is forked


def test_a_trial_that_did_not_reach_its_last_stage_has_no_result() -> None:
    early = staged(1, ("together", 0.9), end=End.PRUNED)
    assert early.best(GOAL) is None
    assert best_trial([staged(2, ("together", 0.9)), staged(3, ("alone", 0.1))], GOAL).number == 3  # type: ignore[union-attr]
    assert best_trial([staged(2, ("together", 0.9))], GOAL) is None


def test_a_trial_trained_what_it_saw_itself() -> None:
    assert trial(0).trained == 0
    assert trial(0, epoch(1, 0.5), epoch(2, 0.5)).trained == 2
    forked = [replace(epoch(i, 0.5), samples=100 * i, began=300) for i in (4, 5)]
    assert trial(1, *forked).trained == 200
    assert EpochRecord.from_json(forked[0].to_json()) == forked[0]


def test_a_trial_that_keeps_the_floors_goes_before_a_better_one_that_does_not() -> None:
    good, keeps = trial(1, epoch(1, 0.99, c=0.899)), trial(2, epoch(1, 0.1))
    assert best_trial([good, keeps], GOAL) is keeps


def test_only_complete_trials_can_be_best() -> None:
    pruned, failed = trial(1, epoch(1, 0.9), end=End.PRUNED), trial(2, epoch(1, 0.9), end=End.FAILED)
    converged = trial(3, epoch(1, 0.2), end=End.CONVERGED)
    assert best_trial([pruned, failed, converged], GOAL) is converged
    assert best_trial([pruned, failed], GOAL) is None


def test_an_epoch_comes_back_from_json_as_it_was() -> None:
    decision = Decision("fgvc", Action.REST, 3, "no gain")
    record = EpochRecord(3, 9, 72, {"val/fgvc/accuracy": 0.25}, ("fgvc",), (decision,), 1.5, 1700)
    assert EpochRecord.from_json(record.to_json()) == record
