"""Successive halving over records: who goes on, who is stopped, and who never is."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raytune_planes.pareto import spread
from raytune_planes.records import EpochRecord, Goal, Objective, TrialRecord
from raytune_planes.space import load_space
from raytune_planes.tuning.rungs import Rungs, Scale, Verdict

FGVC, IOU, PLANES = "val/fgvc/accuracy", "val/hrplanes/iou", "val/planesnet/accuracy"
ONE = Goal((Objective(FGVC),))
FLOORED = Goal((Objective(FGVC),), {PLANES: 0.9})
TWO = Goal((Objective(FGVC), Objective(IOU)))


def epoch(samples: int, number: int = 1, time_ms: int = 0, **metrics: float) -> EpochRecord:
    names = {"fgvc": FGVC, "iou": IOU, "planes": PLANES}
    return EpochRecord(number, samples, samples, {names[k]: v for k, v in metrics.items()}, time_ms=time_ms)


def stopped(rungs: Rungs, *metrics: dict[str, float], samples: int = 100, first: int = 1) -> list[int]:
    """Numbers of the trials that are stopped when they report in turn at the same samples."""
    return [n for n, m in enumerate(metrics, start=first) if rungs.judge(n, epoch(samples, 1, 0, **m)).stop]


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=60), st.integers(2, 5))
def test_with_one_objective_it_is_asynchronous_halving(values: list[int], reduction: int) -> None:
    rungs = Rungs(ONE, grace=100, reduction=reduction)
    for n, value in enumerate(values, start=1):
        so_far = sorted(values[:n], reverse=True)
        bar = so_far[math.ceil(n / reduction) - 1]
        verdict = rungs.judge(n, epoch(100, fgvc=value / 1000))
        assert verdict.stop == (n >= reduction and value < bar)


def test_a_stop_says_where_and_why() -> None:
    rungs = Rungs(FLOORED, grace=100, reduction=2, floors="strict")
    rungs.judge(1, epoch(100, fgvc=0.5, planes=0.95))
    verdict = rungs.judge(2, epoch(100, fgvc=0.6, planes=0.5))
    why = f"after epoch 1: place 2 of 2 at 100 samples, 1 goes on; {PLANES} was 0.5000, below its floor of 0.9"
    assert verdict == Verdict(True, why)


def test_nobody_is_judged_below_the_first_rung_or_twice_at_the_same() -> None:
    rungs = Rungs(ONE, grace=100, reduction=2)
    told = [rungs.judge(1, epoch(40 * i, i, fgvc=0.1)).reason for i in range(1, 7)]
    assert told[0] == told[1] == told[3] == told[5] == ""
    assert told[2] == "after epoch 3: place 1 of 1 at 100 samples, 1 goes on"
    assert told[4] == "after epoch 5: place 1 of 1 at 200 samples, 1 goes on"


def met(rungs: Rungs, *samples: int) -> list[int]:
    """The epochs after which a trial is judged."""
    return [i for i, s in enumerate(samples, 1) if rungs.judge(1, epoch(s, i, fgvc=0.5)).reason]


def test_a_rung_is_met_at_the_end_of_the_epoch_nearest_to_it() -> None:
    """The packaged ``quick``: six epochs, its rungs lie 2.04 and 4.08 epochs from the start."""
    space = load_space("quick")
    each = space.fixed["budget.steps_per_epoch"] * space.fixed["budget.batch_size"]
    total = space.fixed["budget.epochs"] * each
    grace, reduction = round(space.study.rungs.grace * total), space.study.rungs.reduction
    assert (each, grace, grace * reduction) == (1280, 2611, 5222)
    assert met(Rungs(ONE, grace, reduction, budget=total), *range(each, total + 1, each)) == [2, 4]


def test_a_rung_just_before_the_end_of_an_epoch_and_one_in_its_middle_are_met_there() -> None:
    assert met(Rungs(ONE, 199, 4), 100, 200, 300, 400) == [2]
    assert met(Rungs(ONE, 150, 4), 100, 200, 300, 400) == [2]
    assert met(Rungs(ONE, 149, 4), 100, 200, 300, 400) == [1]
    assert met(Rungs(ONE, 30, 100), 100, 200, 300, 400) == [1]


def test_after_a_shorter_epoch_the_next_is_expected_to_be_as_short() -> None:
    assert met(Rungs(ONE, 260, 4), 100, 200, 240, 280) == [4]


def test_rungs_lie_a_constant_factor_apart_and_below_the_budget() -> None:
    rungs = Rungs(ONE, grace=100, reduction=3, budget=900)
    assert [rungs.level(k) for k in range(3)] == [100, 300, 900]
    assert rungs.judge(1, epoch(899, fgvc=0.5)).reason.startswith("after epoch 1: place 1 of 1 at 300 samples")
    assert rungs.judge(1, epoch(900, 2, fgvc=0.5)).reason == ""  # a trial that is done is complete, not pruned


def test_a_trial_that_skips_a_rung_is_judged_at_the_highest_it_reached() -> None:
    rungs = Rungs(ONE, grace=100, reduction=3)
    rungs.judge(1, epoch(1000, fgvc=0.5))
    told = [rungs.judge(2, epoch(300 * i, i, fgvc=0.5)).reason for i in (1, 2, 3)]
    assert told[0] == "after epoch 1: place 1 of 1 at 300 samples, 1 goes on"  # the first was not judged there
    assert told[2] == "after epoch 3: place 1 of 2 at 900 samples, 1 goes on"


def staged(samples: int, number: int, stage: str, fgvc: float, began: int = 0, **metrics: float) -> EpochRecord:
    return replace(epoch(samples, number, fgvc=fgvc, **metrics), stage=stage, began=began)


def test_a_forked_trial_is_judged_from_where_its_training_began() -> None:
    """Trials 1 to 3 begin with the weights that trial 0 trained for 200 samples: nobody knows their course before."""
    rungs = Rungs(ONE, grace=200, reduction=2)
    for i, value in ((1, 0.3), (2, 0.45)):
        rungs.judge(0, staged(100 * i, i, "together", value))
    assert [rungs.judge(n, staged(300, 3, "alone", 0.5, 200)) for n in (1, 2)] == [Verdict(False)] * 2
    rungs.judge(0, staged(300, 3, "alone", 0.42))
    rungs.judge(0, staged(400, 4, "alone", 0.45))
    verdict = rungs.judge(1, staged(400, 4, "alone", 0.5, 200))
    assert verdict == Verdict(False, "after epoch 4: place 1 of 2 at 400 samples, 1 goes on")
    rungs.judge(3, staged(300, 3, "alone", 0.4, 200))
    verdict = rungs.judge(3, staged(400, 4, "alone", 0.44, 200))
    assert verdict == Verdict(True, "after epoch 4: place 3 of 3 at 400 samples, 2 go on")


def test_a_first_report_after_a_fork_counts_as_it_is() -> None:
    """Their rung lies at 280 samples, between the fork and their first report: both stand there as they report."""
    rungs = Rungs(ONE, grace=280, reduction=2)
    for number, value in ((1, 0.45), (2, 0.5)):
        verdict = rungs.judge(number, staged(300, 3, "alone", value, 200))
    assert verdict == Verdict(False, "after epoch 3: place 1 of 2 at 280 samples, 1 goes on")
    assert rungs.judge(3, staged(280, 3, "alone", 0.47, 200)).reason.startswith("after epoch 3: place 2 of 3 at 280")


def test_trials_in_different_stages_are_not_compared() -> None:
    rungs = Rungs(ONE, grace=200, reduction=2)
    for n in (1, 2, 3):
        for i in (1, 2):
            rungs.judge(n, staged(100 * i, i, "together", 0.9))
    rungs.judge(4, staged(100, 1, "pretrain", 0.1))
    verdict = rungs.judge(4, staged(200, 2, "alone", 0.1))
    assert verdict == Verdict(False, "after epoch 2: place 1 of 1 at 200 samples, 1 goes on")


def test_the_slope_towards_a_floor_is_that_of_the_stage_alone() -> None:
    """Pretraining does not measure it: the climb from there to the first epoch is no promise for the rest."""
    rungs = Rungs(FLOORED, grace=400, reduction=2, budget=1200)
    for n, planes in ((1, 0.95), (2, 0.8)):
        rungs.judge(n, staged(100, 1, "pretrain", 0.01, planes=0.1))
        rungs.judge(n, staged(200, 2, "pretrain", 0.01, planes=0.1))
        rungs.judge(n, staged(300, 3, "alone", 0.1 * n, planes=planes))
        verdict = rungs.judge(n, staged(400, 4, "alone", 0.1 * n, planes=planes))
    why = f"{PLANES} was 0.8000 and at its slope would end at 0.8000, below its floor of 0.9"
    assert verdict == Verdict(True, f"after epoch 4: place 2 of 2 at 400 samples, 1 goes on; {why}")


def test_a_verdict_tells_the_figures_that_it_saw() -> None:
    rungs = Rungs(FLOORED, grace=200, reduction=2, budget=1000)
    course(rungs, 1, *[{"fgvc": 0.1, "planes": 0.95}] * 2)
    rungs.judge(2, epoch(100, 1, fgvc=0.3, planes=0.85))
    verdict = rungs.judge(2, epoch(200, 2, fgvc=0.3, planes=0.855))
    why = f"{PLANES} was 0.8550 and at its slope would end at 0.8950, below its floor of 0.9"
    assert verdict == Verdict(True, f"after epoch 2: place 2 of 2 at 200 samples, 1 goes on; {why}")


def test_trials_are_compared_at_equal_samples_whatever_their_epochs_are() -> None:
    """The third learns a little more slowly, but its epochs are longer: it has seen more when it reports."""
    rungs = Rungs(ONE, grace=200, reduction=2)
    for i in (1, 2):
        rungs.judge(1, epoch(100 * i, i, fgvc=0.100 * i))
        rungs.judge(2, epoch(50 * (i + 2), i, fgvc=0.048 * (i + 2)))
    verdict = rungs.judge(3, epoch(210, 1, fgvc=0.95 * 0.210))
    assert verdict == Verdict(True, "after epoch 1: place 3 of 3 at 150 samples, 2 go on")


def test_the_baseline_and_a_trial_at_its_end_are_never_stopped() -> None:
    rungs = Rungs(ONE, grace=100, reduction=2)
    assert stopped(rungs, *[{"fgvc": 0.5 + i / 100} for i in range(6)]) == []
    assert not rungs.judge(0, epoch(100, fgvc=0.0)).stop
    assert not rungs.judge(7, epoch(100, fgvc=0.0), final=True).stop
    assert rungs.judge(8, epoch(100, fgvc=0.0)).stop


def test_equals_of_a_trial_that_goes_on_go_on() -> None:
    """Fine-grained accuracy stands at chance for a while: the order of arrival must decide nothing."""
    assert stopped(Rungs(ONE, grace=100, reduction=3), *[{"fgvc": 0.01}] * 12) == []


def test_a_trial_best_in_any_objective_goes_on_and_a_dominated_one_does_not() -> None:
    rungs = Rungs(TWO, grace=100, reduction=2)
    front = [{"fgvc": 0.1, "iou": 0.9}, {"fgvc": 0.9, "iou": 0.1}, {"fgvc": 0.6, "iou": 0.6}]
    assert stopped(rungs, *front[:2]) == [2]  # of two on one front, one is let through: here the first
    rungs = Rungs(TWO, grace=100, reduction=2)
    assert stopped(rungs, *[{"fgvc": 0.05, "iou": 0.05 + i / 1000} for i in range(6)]) == []
    assert stopped(rungs, *front, first=7) == []
    assert stopped(rungs, {"fgvc": 0.04, "iou": 0.04}, first=10) == [10]


def course(rungs: Rungs, number: int, *epochs: dict[str, float], each: int = 100) -> list[int]:
    """Let a trial report one epoch after the other; at which it is stopped."""
    reports = [epoch(each * i, i, 0, **metrics) for i, metrics in enumerate(epochs, start=1)]
    return [e.epoch for e in reports if rungs.judge(number, e).stop]


@pytest.mark.parametrize(("floors", "end"), [("reach", [[], [4], []]), ("ignore", [[], [], []])])
def test_who_can_no_longer_reach_a_floor_goes_behind_who_can(floors: str, end: list[list[int]]) -> None:
    """The second has come to a halt below the floor; the third is lower still, but climbs fast enough."""
    rungs = Rungs(FLOORED, grace=400, reduction=2, budget=1600, floors=floors)  # type: ignore[arg-type]
    steady, halted, climbing = (0.91, 0.92, 0.93, 0.94), (0.8, 0.82, 0.82, 0.82), (0.5, 0.6, 0.7, 0.75)
    courses = [
        course(rungs, number, *({"fgvc": 0.1 * number, "planes": p} for p in planes))
        for number, planes in enumerate((steady, halted, climbing), start=1)
    ]
    assert courses == end


def test_a_strict_floor_puts_behind_who_is_below_it_now_however_fast_it_climbs() -> None:
    rungs = Rungs(FLOORED, grace=400, reduction=2, budget=1600, floors="strict")
    assert course(rungs, 1, *[{"fgvc": 0.1, "planes": 0.95}] * 4) == []
    assert course(rungs, 2, *({"fgvc": 0.9, "planes": p} for p in (0.5, 0.6, 0.7, 0.75))) == [4]


def test_being_below_a_floor_at_the_first_report_says_nothing() -> None:
    rungs = Rungs(FLOORED, grace=100, reduction=2, budget=1000)
    assert stopped(rungs, {"fgvc": 0.1, "planes": 0.95}, {"fgvc": 0.9, "planes": 0.2}) == []


def test_not_reaching_a_floor_stops_nobody_while_no_other_can_either() -> None:
    rungs = Rungs(FLOORED, grace=200, reduction=2, budget=1000)
    flat = [({"fgvc": 0.1, "planes": 0.7}, {"fgvc": 0.1 + i / 100, "planes": 0.7}) for i in range(6)]
    assert [course(rungs, n, *each) for n, each in enumerate(flat, start=1)] == [[]] * 6
    assert course(rungs, 7, {"fgvc": 0.01, "planes": 0.6}, {"fgvc": 0.01, "planes": 0.6}) == [2]


def test_of_two_that_cannot_keep_a_floor_the_nearer_is_better_in_that_respect() -> None:
    rungs = Rungs(FLOORED, grace=200, reduction=2, budget=1000)
    for number, planes in ((1, 0.7), (2, 0.7), (3, 0.8)):
        last = course(rungs, number, *[{"fgvc": 0.2 if number < 3 else 0.19, "planes": planes}] * 2)
    assert last == []  # not dominated: further from FGVC, nearer to the floor


def test_a_floor_that_was_never_measured_is_one_that_cannot_be_kept() -> None:
    rungs = Rungs(FLOORED, grace=200, reduction=2, budget=1000)
    course(rungs, 1, *[{"fgvc": 0.1, "planes": 0.95}] * 2)
    verdict = [rungs.judge(2, epoch(s, s // 100, fgvc=0.9)) for s in (100, 200)][-1]
    why = f"{PLANES} was not measured, so its floor of 0.9 cannot be kept"
    assert verdict == Verdict(True, f"after epoch 2: place 2 of 2 at 200 samples, 1 goes on; {why}")


@pytest.mark.parametrize("floors", ["reach", "strict"])
def test_beyond_its_floor_a_metric_counts_for_nothing(floors: str) -> None:
    rungs = Rungs(FLOORED, grace=100, reduction=2, floors=floors)  # type: ignore[arg-type]
    assert stopped(rungs, {"fgvc": 0.3, "planes": 0.91}, {"fgvc": 0.2, "planes": 0.99}) == [2]


def test_an_objective_that_is_no_number_is_not_judged_and_pushes_nobody_out() -> None:
    rungs = Rungs(ONE, grace=100, reduction=2)
    assert not rungs.judge(1, epoch(100, fgvc=math.nan)).stop
    assert not rungs.judge(2, epoch(100)).stop
    assert rungs.judge(3, epoch(100, fgvc=0.1)).reason == "after epoch 1: place 1 of 1 at 100 samples, 1 goes on"


def test_losses_count_downwards() -> None:
    rungs = Rungs(Goal((Objective(FGVC, "min"),)), grace=100, reduction=2)
    assert stopped(rungs, {"fgvc": 0.2}, {"fgvc": 0.9}, {"fgvc": 0.1}) == [2]


def test_progress_is_measured_between_chance_and_target() -> None:
    assert Scale(0.75, 0.95).progress(0.85) == pytest.approx(0.5)
    assert Scale(1.0, 0.0).progress(0.25) == pytest.approx(0.75)


@given(st.integers(0, 2**32), st.sampled_from(["reach", "strict", "ignore"]))
def test_rungs_built_again_from_the_records_decide_the_same(seed: int, floors: str) -> None:
    goal = Goal(TWO.objectives, {PLANES: 0.6})
    draw = random.Random(seed)
    reports = [
        (n, epoch(draw.randint(60, 110) * i, i, 0, fgvc=draw.random(), iou=draw.random(), planes=draw.random()))
        for i in range(1, 8)
        for n in draw.sample(range(9), 9)
    ]
    reports = [(n, EpochRecord(**{**vars(e), "time_ms": t})) for t, (n, e) in enumerate(reports)]
    whole = Rungs(goal, 100, 2, budget=700, floors=floors)  # type: ignore[arg-type]
    verdicts = [whole.judge(n, e) for n, e in reports]
    cut = draw.randint(0, len(reports))
    resumed = Rungs(goal, 100, 2, budget=700, floors=floors)  # type: ignore[arg-type]
    resumed.replay(
        [TrialRecord(str(k), k, {}, {}, tuple(e for n, e in reports[:cut] if n == k)) for k in range(9)],
    )
    assert [resumed.judge(n, e) for n, e in reports[cut:]] == verdicts[cut:]


def test_a_stop_that_did_not_reach_its_trial_is_said_again() -> None:
    rungs = Rungs(ONE, grace=100, reduction=2)
    assert stopped(rungs, {"fgvc": 0.5}, {"fgvc": 0.1}) == [2]
    assert rungs.judge(2, epoch(130, 2, fgvc=0.1)).reason.startswith("after epoch 1: place 2 of 2 at 100 samples")
    assert rungs.judge(2, epoch(140, 3, fgvc=0.1)).stop
    assert not rungs.judge(2, epoch(150, 4, fgvc=0.1), final=True).stop


def test_an_epoch_that_is_reported_again_after_a_restart_is_not_judged_again() -> None:
    rungs = Rungs(ONE, grace=100, reduction=2)
    rungs.judge(1, epoch(100, 1, fgvc=0.5))
    assert rungs.judge(1, epoch(100, 1, fgvc=0.5)).reason == ""


def test_a_front_is_taken_best_first_then_far_from_what_was_taken() -> None:
    vectors = [(0.5, 0.55), (0.52, 0.5), (1.0, 0.0), (0.0, 0.9)]
    assert spread(vectors) == [0, 2, 3, 1]
    assert spread([]) == []


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=20))
def test_the_order_of_a_front_holds_everyone_once(vectors: list[tuple[float, float]]) -> None:
    assert sorted(spread(vectors)) == list(range(len(vectors)))
