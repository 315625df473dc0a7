"""What the views of a running study know of its trials, as these change."""

import random
from dataclasses import replace

from raytune_planes.records import End, EpochRecord, Goal, Objective, TrialRecord
from raytune_planes.terminal.board import Board, Outline, keeps_floors, score_of

GOAL = Goal((Objective("val/a/accuracy"),), {"val/b/accuracy": 0.5})


def best_of(trials: list[TrialRecord], goal: Goal) -> TrialRecord | None:
    """By comparing all of them."""
    fit = [t for t in trials if t.best(goal) and t.end not in (End.PRUNED, End.FAILED)]
    return max(fit, key=lambda t: (keeps_floors(t, goal), score_of(t, goal), -t.number), default=None)


def test_the_best_is_that_of_comparing_all_trials_after_each_change() -> None:
    for seed in range(10):
        chance, goal = random.Random(seed), GOAL
        board = Board(Outline("s", goal, {}, 20, 9))
        for step in range(100):
            number = chance.randrange(12)
            trial = board.trials.get(f"t{number}") or TrialRecord(f"t{number}", number, {}, {})
            metrics = {name: chance.choice([0.25, 0.5, 0.75]) for name in ("val/a/accuracy", "val/b/accuracy")}
            epoch = EpochRecord(len(trial.epochs) + 1, step, 100, metrics, seconds=1.0, time_ms=step)
            board.take(replace(trial, epochs=(*trial.epochs, epoch), end=chance.choice(list(End))))
            if step == 50:
                board.take_goal(goal := replace(GOAL, floors={"val/b/accuracy": 0.75}))
            assert board.best() is best_of(list(board.trials.values()), goal)
