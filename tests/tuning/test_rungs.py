"""Successive halving over records: who goes on, who is stopped, and who never is."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raytune_planes.records import EpochRecord, Goal, Objective, TrialRecord
from raytune_planes.tuning.rungs import Rungs, Scale, Verdict, spread

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
    assert verdict == Verdict(True, f"at 100 samples: place 2 of 2, 1 go on; cannot keep {PLANES}")


def test_nobody_is_judged_below_the_first_rung_or_twice_at_the_same() -> None:
    rungs = Rungs(ONE, grace=100, reduction=2)
    assert rungs.judge(1, epoch(99, fgvc=0.9)).reason == ""
    assert rungs.judge(1, epoch(150, fgvc=0.9)).reason.startswith("at 100 samples: place 1 of 1")
    assert rungs.judge(1, epoch(199, fgvc=0.1)).reason == ""
    assert rungs.judge(1, epoch(200, fgvc=0.1)).reason.startswith("at 200 samples")


def test_rungs_lie_a_constant_factor_apart_and_below_the_budget() -> None:
    rungs = Rungs(ONE, grace=100, reduction=3, budget=900)
    assert [rungs.level(k) for k in range(3)] == [100, 300, 900]
    assert rungs.judge(1, epoch(899, fgvc=0.5)).reason.startswith("at 300 samples")
    assert rungs.judge(1, epoch(900, 2, fgvc=0.5)).reason == ""  # a trial that is done is complete, not pruned


def test_a_trial_that_skips_a_rung_is_judged_at_the_highest_it_reached() -> None:
    rungs = Rungs(ONE, grace=100, reduction=3)
    assert rungs.judge(1, epoch(1000, fgvc=0.5)).reason.startswith("at 900 samples: place 1 of 1")


def test_trials_are_compared_at_equal_samples_whatever_their_epochs_are() -> None:
    """The third learns a little more slowly, but its epochs are longer: it has seen more when it reports."""
    rungs = Rungs(ONE, grace=200, reduction=2)
    for i in (1, 2):
        rungs.judge(1, epoch(100 * i, i, fgvc=0.100 * i))
        rungs.judge(2, epoch(50 * (i + 2), i, fgvc=0.048 * (i + 2)))
    rungs.judge(3, epoch(190, 1, fgvc=0.95 * 0.190))
    verdict = rungs.judge(3, epoch(380, 2, fgvc=0.95 * 0.380))
    assert verdict == Verdict(True, "at 200 samples: place 3 of 3, 2 go on")


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
    verdict = [rungs.judge(2, epoch(s, fgvc=0.9)) for s in (100, 200)][-1]
    assert verdict == Verdict(True, f"at 200 samples: place 2 of 2, 1 go on; cannot keep {PLANES}")


@pytest.mark.parametrize("floors", ["reach", "strict"])
def test_beyond_its_floor_a_metric_counts_for_nothing(floors: str) -> None:
    rungs = Rungs(FLOORED, grace=100, reduction=2, floors=floors)  # type: ignore[arg-type]
    assert stopped(rungs, {"fgvc": 0.3, "planes": 0.91}, {"fgvc": 0.2, "planes": 0.99}) == [2]


def test_an_objective_that_is_no_number_is_not_judged_and_pushes_nobody_out() -> None:
    rungs = Rungs(ONE, grace=100, reduction=2)
    assert not rungs.judge(1, epoch(100, fgvc=math.nan)).stop
    assert not rungs.judge(2, epoch(100)).stop
    assert rungs.judge(3, epoch(100, fgvc=0.1)).reason == "at 100 samples: place 1 of 1, 1 go on"


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
    assert rungs.judge(2, epoch(130, 2, fgvc=0.1)).reason.startswith("at 100 samples: place 2 of 2")
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
