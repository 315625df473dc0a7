"""Trials that pause at rungs: who waits, who continues, and that it costs them nothing but time."""

from __future__ import annotations

import math
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from raytune_planes.records import End, EpochRecord, Goal, Objective, TrialRecord
from raytune_planes.tuning.promoting import PromotingRungs, continued
from raytune_planes.tuning.rungs import Rungs, Verdict

FGVC = "val/fgvc/accuracy"
ONE = Goal((Objective(FGVC),))


def epoch(samples: int, number: int, value: float) -> EpochRecord:
    return EpochRecord(number, samples, samples, {FGVC: value}, time_ms=number)


def rungs(reduction: int = 3, **options: object) -> PromotingRungs:
    return PromotingRungs(ONE, 100, reduction, budget=900, **options)  # type: ignore[arg-type]


def paused(judge: Rungs, values: dict[int, float], samples: int = 100) -> set[int]:
    return {n for n, value in values.items() if judge.judge(n, epoch(samples, samples // 100, value)).stop}


def test_the_first_trials_pause_and_the_baseline_does_not() -> None:
    judge = rungs()
    assert judge.judge(1, epoch(100, 1, 0.5)) == Verdict(
        True, "after epoch 1: place 1 of 1 at 100 samples, 0 go on", End.PAUSED
    )
    assert paused(judge, {0: 0.1, 2: 0.4}) == {2}
    assert judge.promoted([1, 2]) == 1, "one of three passes"
    assert judge.promoted([2]) is None


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=40, unique=True), st.integers(2, 5))
def test_who_continues_is_the_best_of_asynchronous_halving(values: list[int], reduction: int) -> None:
    judge, waiting, going = rungs(reduction), set[int](), set[int]()
    for n, value in enumerate(values, start=1):
        verdict = judge.judge(n, epoch(100, 1, value / 1000))
        (waiting if verdict.stop else going).add(n)
        while (next_ := judge.promoted(waiting)) is not None:
            waiting.remove(next_)
            going.add(next_)
        best = sorted(range(1, n + 1), key=lambda i: -values[i - 1])[: n // reduction]
        assert set(best) <= going, "the first of those that stood there so far"
    assert len(going) <= max(1, math.ceil(len(values) / reduction) * 2)


def test_the_highest_rung_comes_first_and_a_trial_that_went_on_is_judged_at_the_next() -> None:
    judge = rungs()
    assert paused(judge, {1: 0.1, 2: 0.2, 3: 0.05, 4: 0.9, 5: 0.8, 6: 0.7}) == {1, 2, 3, 5, 6}
    assert judge.promoted([1, 2, 3, 5, 6]) == 5, "when it came one of five passed, of six two do"
    assert paused(judge, {4: 0.9, 5: 0.8}, 300) == {4, 5}
    assert judge.promoted([1, 2, 3, 4, 5, 6]) is None, "two of six passed the lowest rung, and nobody the next"
    assert paused(judge, {7: 0.3, 8: 0.4, 9: 0.01}) == {7, 8, 9}
    assert judge.promoted([1, 2, 3, 4, 5, 6, 7, 8, 9]) == 6
    assert paused(judge, {6: 0.7}, 300) == {6}
    assert judge.promoted([1, 2, 3, 4, 5, 6, 7, 8, 9]) == 4, "the higher rung first"
    assert not judge.judge(4, epoch(400, 4, 0.9)).stop
    assert not judge.stopped(4).stop, "an epoch behind the rung is one of a trial that went on"
    assert judge.stopped(5) == Verdict(True, judge.stopped(5).reason, End.PAUSED)


def test_when_no_trial_comes_any_more_at_least_one_of_each_rung_continues() -> None:
    judge = rungs()
    assert paused(judge, {1: 0.5, 2: 0.6}) == {1, 2}
    assert judge.promoted([1, 2]) is None
    assert judge.promoted([1, 2], is_last=True) == 2
    assert judge.promoted([1], is_last=True) is None


def test_a_resumed_study_knows_from_its_records_who_waits() -> None:
    judge, again = rungs(), rungs()
    values = {1: 0.5, 2: 0.6, 3: 0.4, 4: 0.7}
    records = [
        TrialRecord(
            f"t{n}",
            n,
            {},
            {},
            (epoch(100, 1, v),),
            End.PAUSED if judge.judge(n, epoch(100, 1, v)).stop else End.RUNNING,
        )
        for n, v in values.items()
    ]
    again.replay(records)
    for is_last in (False, True):
        assert continued(again, records, is_last=is_last) == continued(judge, records, is_last=is_last)
    assert continued(judge, records, is_last=False) is None, "the one of four that passes came last, and goes on"
    assert continued(judge, records, is_last=True) == "t2"
    finished = [replace(r, end=End.COMPLETED) for r in records]
    assert continued(judge, finished, is_last=True) is None
    assert continued(Rungs(ONE, 100), records, is_last=True) is None


def test_what_earlier_studies_name_passes_the_lowest_rung() -> None:
    judge = rungs(spared=[1])
    assert paused(judge, {1: 0.1, 2: 0.2}) == {2}
    assert paused(judge, {1: 0.1}, 300) == {1}
