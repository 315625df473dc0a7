"""The counts of a study, taken change by change, are those of counting all of its trials anew."""

import math
import random
from dataclasses import replace

from raytune_planes.records import End, EpochRecord, Goal, Objective, TrialRecord
from raytune_planes.tuning.tally import Tally

GOAL = Goal((Objective("val/a/accuracy"),), {"val/b/accuracy": 0.5})


def since_best(trials: list[TrialRecord]) -> int:
    """By going through all trials in the order of their ends."""
    best, since = (False, -math.inf), 0
    for trial in sorted(trials, key=lambda t: (t.ended_ms, t.number)):
        epoch = trial.best(GOAL) if trial.end.is_complete else None
        rank = (GOAL.feasible(epoch.metrics), GOAL.score(epoch.metrics)) if epoch else (False, -math.inf)
        best, since = (rank, 0) if rank > best else (best, since + 1)
    return since if best[1] > -math.inf else 0


def changed(trial: TrialRecord, chance: random.Random, now_ms: int) -> TrialRecord:
    """After another epoch, an end, or, now and then, the loss of its end."""
    if not trial.end.is_open:
        return replace(trial, end=End.RUNNING) if chance.random() < 0.1 else trial
    if trial.epochs and chance.random() < 0.3:
        return replace(trial, end=chance.choice([e for e in End if e is not End.RUNNING]), ended_ms=now_ms)
    metrics = {name: chance.choice([0.25, 0.5, 0.75]) for name in ("val/a/accuracy", "val/b/accuracy")}
    number = len(trial.epochs) + 1
    epoch = EpochRecord(number, number, 100 * number, metrics, seconds=1.0, time_ms=now_ms)
    return replace(trial, epochs=(*trial.epochs, epoch))


def test_counts_taken_change_by_change_are_those_of_counting_all_anew() -> None:
    for seed in range(20):
        chance, tally, trials = random.Random(seed), Tally(GOAL), dict[str, TrialRecord]()
        for now_ms in range(150):
            number = chance.randrange(12)
            trial = trials.get(f"t{number}") or TrialRecord(f"t{number}", number, {}, {})
            trials[trial.trial_id] = changed(trial, chance, now_ms // 3)
            tally.take(trials.values())
            done = [t for t in trials.values() if not t.end.is_open]
            of_defaults = sum(len(t.epochs) for t in trials.values() if t.number == 0)
            assert tally.done == len(done)
            assert tally.samples == sum(t.trained for t in trials.values())
            assert tally.state == (sum(t.end.is_complete for t in done), of_defaults)
            assert tally.since_best == since_best(done), (seed, now_ms)
