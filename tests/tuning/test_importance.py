"""Importance of settings: the one that decides gets the share, and too few trials are said to be too few."""

from __future__ import annotations

import random

from raytune_planes.records import End, TrialRecord
from raytune_planes.report.figure import Missing
from raytune_planes.report.search import Importance
from raytune_planes.tuning.importance import LEAST, importance
from tests.report.test_search import PATHS, SPACE, study
from tests.tracking.studies import ended, epoch, trial


def searched(count: int) -> list[TrialRecord]:
    """FGVC follows the depth, HRPlanes the rule, PlanesNet nothing."""
    draw = random.Random(0)
    found = []
    for number in range(count):
        depth, rule = draw.randrange(4), draw.choice(["none", "stop"])
        drawn = {"optim.lr": 10 ** draw.uniform(-3, -1), "datasets.fgvc.head.depth": depth, "stopping.rule": rule}
        done = epoch(1, 0.1 + 0.2 * depth, iou=0.8 if rule == "stop" else 0.2)
        found.append(ended(trial(number, drawn), End.PRUNED if number % 2 else End.COMPLETED, "", done))
    return found


def test_the_setting_that_decides_a_dataset_gets_its_share() -> None:
    found = importance(study(*searched(24), space=SPACE, searched=PATHS))
    assert isinstance(found, Importance)
    assert found.trials == 24
    assert set(found.shares) == {"val/fgvc/accuracy", "val/hrplanes/iou"}, "a metric that never changes has no cause"
    assert found.shares["val/fgvc/accuracy"]["datasets.fgvc.head.depth"] > 0.8
    assert found.shares["val/hrplanes/iou"]["stopping.rule"] > 0.8
    assert abs(sum(found.shares["val/fgvc/accuracy"].values()) - 1) < 1e-9


def test_too_few_trials_are_said_to_be_too_few() -> None:
    failed = ended(trial(99), End.FAILED, "", epoch(1, 0.5))
    found = importance(study(*searched(LEAST - 1), failed, space=SPACE, searched=PATHS))
    assert isinstance(found, Missing)
    assert f"{LEAST - 1} trials with a result" in found.why


def test_without_a_varied_setting_there_is_no_importance() -> None:
    same = [ended(trial(n, {"optim.lr": 0.01}), End.COMPLETED, "", epoch(1, 0.1 * n)) for n in range(LEAST)]
    assert importance(study(*same, space=SPACE, searched=("optim.lr",))) == Missing("no setting varied")
