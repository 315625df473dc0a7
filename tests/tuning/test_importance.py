"""Importance of settings: the one that decides gets the share, and too few trials are said to be too few."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from raytune_planes.records import End, TrialRecord, stage_names
from raytune_planes.report import interactive, varied
from raytune_planes.report.figure import Missing
from raytune_planes.report.search import Importance
from raytune_planes.settings import flatten
from raytune_planes.space import FOLDER, load_space, packaged, suggest, trial_config
from raytune_planes.space.dimension import AtRandom
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


def test_a_number_that_some_trials_leave_to_the_encoder_gets_its_share() -> None:
    draw, path, found = random.Random(0), "optim.backbone_factor", []
    for number in range(24):
        factor = draw.uniform(0.03, 1.0) if number % 2 else None
        drawn = {"optim.lr": 10 ** draw.uniform(-3, -1), path: factor}
        done = epoch(1, 0.9 if factor is None else 0.1, iou=factor or 0.0)
        found.append(ended(trial(number, drawn), End.COMPLETED, "", done))
    space = (
        "about: How fast?\nobjectives: [{metric: val/fgvc/accuracy, mode: max}]\nsearch:\n"
        "  optim.lr: {float: [1.0e-3, 0.1], log: true}\n  optim.backbone_factor: {float: [0.03, 1.0], log: true}\n"
    )
    shares = importance(study(*found, space=space, searched=("optim.lr", path)))
    assert isinstance(shares, Importance)
    assert shares.shares["val/fgvc/accuracy"][path] > 0.8
    assert shares.shares["val/hrplanes/iou"][path] > 0.8


@pytest.mark.parametrize("name", packaged())
def test_what_any_packaged_space_draws_has_importances_and_figures(name: str) -> None:
    space, draw, found = load_space(name), AtRandom(3), []
    for number in range(LEAST + 2):
        drawn = suggest(space, draw) if number else dict(space.first())
        begun = replace(trial(number, drawn), config=flatten(trial_config(space, drawn)))
        last = "".join(stage_names(str(begun.config.get("plan", "")))[-1:])
        done = replace(epoch(1, 0.1 + 0.01 * number, iou=0.5 - 0.01 * number), stage=last)
        found.append(ended(begun, End.COMPLETED, "", done))
    known = study(*found, space=(FOLDER / f"{name}.yaml").read_text(), searched=tuple(d.path for d in space.search))
    assert isinstance(importance(known), Importance)
    assert isinstance(varied.parallel(known), varied.Lines)
    assert isinstance(varied.slices(known), varied.Slices)
    assert interactive.of_search(known)["parallel"]["axes"]


def test_too_few_trials_are_said_to_be_too_few() -> None:
    failed = ended(trial(99), End.FAILED, "", epoch(1, 0.5))
    found = importance(study(*searched(LEAST - 1), failed, space=SPACE, searched=PATHS))
    assert isinstance(found, Missing)
    assert f"{LEAST - 1} trials with a result" in found.why


def test_without_a_varied_setting_there_is_no_importance() -> None:
    same = [ended(trial(n, {"optim.lr": 0.01}), End.COMPLETED, "", epoch(1, 0.1 * n)) for n in range(LEAST)]
    assert importance(study(*same, space=SPACE, searched=("optim.lr",))) == Missing("no setting varied")
