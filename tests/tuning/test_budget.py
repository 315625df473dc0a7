"""What ends a study, and that it says which."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from raytune_planes.records import End, EpochRecord, Goal, Objective, TrialRecord
from raytune_planes.space import StudySettings
from raytune_planes.tuning.budget import Limits, StudyBudget, final_seconds
from raytune_planes.tuning.tally import Tally

FGVC, PLANES = "val/fgvc/accuracy", "val/planesnet/accuracy"
GOAL = Goal((Objective(FGVC),), {PLANES: 0.9})


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def trial(number: int, fgvc: float = 0.5, planes: float = 0.95, end: End = End.COMPLETED) -> TrialRecord:
    epochs = (
        EpochRecord(1, 10, 320, {FGVC: 0.0, PLANES: planes}),
        EpochRecord(2, 20, 640, {FGVC: fgvc, PLANES: planes}),
    )
    return TrialRecord(f"t{number}", number, {}, {}, epochs, end, ended_ms=number)


def ended(so_far: list[TrialRecord], /, **limits: float) -> str:
    return StudyBudget(Limits(**limits), GOAL, Clock()).ended(so_far)  # type: ignore[arg-type]


def test_without_limits_a_study_goes_on() -> None:
    assert ended([trial(n) for n in range(50)]) == ""


def test_trials_that_ended_count_whatever_their_end_and_running_ones_do_not() -> None:
    trials = [trial(0), trial(1, end=End.FAILED), trial(2, end=End.PRUNED), trial(3, end=End.RUNNING)]
    assert ended([*trials, trial(4, end=End.INTERRUPTED)], trials=4) == ""
    assert ended([*trials, trial(4)], trials=4) == "4 trials of 4 are done"


def test_hours_count_over_all_runs_of_the_study() -> None:
    clock = Clock()
    budget = StudyBudget(Limits(hours=1.0), GOAL, clock, spent_seconds=3000)
    clock.now += 599
    assert budget.ended([]) == ""
    clock.now += 1
    assert budget.seconds == 3600
    assert budget.ended([]) == "1.00 hours of 1 are over"


def test_hours_leave_the_time_that_the_final_training_will_take() -> None:
    """Ten epochs of the defaults (1 s an epoch) and of the best (3 s) take 40 s of the 120 s."""
    timed = [
        replace(t, epochs=tuple(replace(e, seconds=seconds) for e in t.epochs))
        for t, seconds in ((trial(0, 0.5), 1.0), (trial(1, 0.9), 3.0), (trial(2, 0.7), 9.0))
    ]
    clock = Clock()
    final = partial(final_seconds, epochs=10, one_by_one=True)
    budget = StudyBudget(Limits(hours=120 / 3600), GOAL, clock, final_seconds=final)
    clock.now += 79
    assert budget.ended(timed) == ""
    clock.now += 1
    assert budget.ended(timed) == "0.02 hours of 0.0333333 are over, and the final training takes about 1 min"

    assert final_seconds(timed, GOAL, 10, one_by_one=False) == 30
    assert final_seconds(timed[:1], GOAL, 10, one_by_one=True) == 20, "the choice is not known yet"
    assert final_seconds([timed[0], trial(1, 0.3)], GOAL, 10, one_by_one=True) == 10, "the choice is the defaults"
    assert final_seconds(timed, GOAL, 0, one_by_one=True) == 0
    assert final_seconds([], GOAL, 10, one_by_one=True) == 0


def test_no_trial_begins_in_less_time_than_the_shortest_complete_one_took() -> None:
    def lasted(number: int, *seconds: float, end: End = End.COMPLETED) -> TrialRecord:
        epochs = tuple(EpochRecord(n, n, n, {}, seconds=s) for n, s in enumerate(seconds, 1))
        return TrialRecord(f"t{number}", number, {}, {}, epochs, end)

    clock = Clock()
    budget = StudyBudget(Limits(hours=1.0), GOAL, clock, spent_seconds=3000)
    pruned, running = lasted(2, 20, end=End.PRUNED), lasted(3, 9, end=End.RUNNING)
    trials = [lasted(0, 500, 400), lasted(1, 250, 350, end=End.CONVERGED), pruned, running]
    assert budget.short_of_time(trials) == ""  # 600 s are left
    clock.now += 1
    assert budget.short_of_time(trials) == (
        "no further trial begins: 599 s of 1 h are left, and the shortest complete trial took 600 s"
    )
    assert budget.short_of_time([pruned, running]) == ""  # nothing is known
    assert StudyBudget(Limits(trials=4), GOAL, clock, spent_seconds=9999).short_of_time(trials) == ""
    clock.now += 599
    assert budget.short_of_time(trials) == ""  # the hours are over: that ends the study
    assert budget.ended(trials) == "1.00 hours of 1 are over"

    budget = StudyBudget(Limits(hours=1.0), GOAL, Clock(), 2900, final_seconds=lambda trials, goal: 200.0)
    assert "begins: 500 s of 1 h are left before the final training, and" in budget.short_of_time(trials)


def since_best(trials: list[TrialRecord], goal: Goal) -> int:
    tally = Tally(goal)
    tally.take(trials)
    return tally.since_best


def test_samples_of_running_and_stopped_trials_count() -> None:
    trials = [trial(0), trial(1, end=End.PRUNED), trial(2, end=End.RUNNING)]
    assert ended(trials, samples=1921) == ""
    assert ended(trials, samples=1920) == "1,920 samples of 1,920 are spent"


def test_samples_of_a_stage_that_one_trial_trained_for_the_others_count_once() -> None:
    """Trial 0 trained 640 images; the others begin after its first 320, of which they saw none."""
    forked = [replace(trial(n), epochs=(replace(trial(n).epochs[1], began=320),)) for n in (1, 2)]
    assert ended([trial(0), *forked], samples=1281) == ""
    assert ended([trial(0), *forked], samples=1280) == "1,280 samples of 1,280 are spent"


def test_a_best_that_does_not_move_ends_the_study() -> None:
    trials = [trial(0, 0.3), trial(1, 0.5), trial(2, 0.5), trial(3, end=End.PRUNED), trial(4, 0.4)]
    assert since_best(trials, GOAL) == 3
    assert ended(trials, patience=4) == ""
    assert ended(trials, patience=3) == "the best has not moved for 3 trials"


def test_the_first_trial_that_keeps_the_floors_moves_the_best_whatever_its_score() -> None:
    assert since_best([trial(0, 0.9, planes=0.89), trial(1, 0.1), trial(2, 0.9, planes=0.89)], GOAL) == 1


def test_patience_waits_for_a_first_complete_trial() -> None:
    assert since_best([trial(n, end=End.FAILED) for n in range(9)], GOAL) == 0


def test_the_order_in_which_trials_ended_decides_not_their_numbers() -> None:
    early, late = trial(5, 0.9), trial(1, 0.5)
    assert since_best([TrialRecord(**{**vars(late), "ended_ms": 9}), early], GOAL) == 1


def test_whichever_limit_is_reached_first_is_named() -> None:
    trials = [trial(0), trial(1)]
    assert ended(trials, trials=9, samples=1000).endswith("samples of 1,000 are spent")
    assert ended(trials, trials=2, samples=10_000).startswith("2 trials")


@pytest.mark.parametrize("study", [StudySettings(), StudySettings(trials=7, hours=2.0, samples=9, patience=3)])
def test_the_limits_are_those_of_the_space(study: StudySettings) -> None:
    assert Limits.of(study) == Limits(study.trials, study.hours, study.samples, study.patience)
