"""Every packaged question, searched for three small trials: what its file names can be drawn, trained and told.

The search is that of a study and the training is real; Ray, which knows nothing of settings, is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from raytune_planes.datasets.synthetic import synthesise
from raytune_planes.records import End, EpochRecord, TrialRecord
from raytune_planes.space import Space, load_space, packaged, with_fixed
from raytune_planes.training.stages import train_stages
from raytune_planes.tuning.plan import StudyPlan, prepare
from raytune_planes.tuning.search import Search, Suggestion
from raytune_planes.tuning.trial import Task
from tests.oracle.simulator import Ours, simulate

SMALL = {
    "budget.epochs": 2,
    "budget.steps_per_epoch": 4,
    "budget.batch_size": 8,
    "datasets.fgvc.image_size": 32,
    "datasets.hrplanes.image_size": 32,
    "model.backbone.width": 16,
}
OWN_DATA = ("own",)
"""Asks for a folder of the user's: tests/commands/test_own_folder.py."""
TRIALS = 3


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures") / "data"
    synthesise(folder, planesnet=60, hrplanes=6, fgvc=36, fgvc_classes=3, seed=0)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in packaged() if name not in OWN_DATA])
def test_a_packaged_space_is_searched(name: str, pictures: Path, tmp_path: Path) -> None:
    space = small(load_space(name))
    material = prepare(space, pictures, pictures.parent / "cache", lambda _: None)
    task = StudyPlan(name, space, tmp_path, material, space.study).task(tmp_path)
    search = Search(space, sampler="random", limit=TRIALS)

    ended: dict[int, TrialRecord] = {}
    for moment in simulate(Ours(search), lambda asked: epochs(asked, task), workers=1, seconds=1e9):
        ended[moment.trial.number] = moment.trial

    assert [trial.end for _, trial in sorted(ended.items())] == [End.COMPLETED] * TRIALS
    assert all(trial.state.name == "COMPLETE" for trial in search.trials)
    searched = {dimension.path for dimension in space.search}
    assert all(trial.drawn and set(trial.drawn) <= searched for trial in ended.values())
    assert ended[1].drawn != ended[2].drawn


def epochs(asked: Suggestion, task: Task) -> Iterator[tuple[EpochRecord, End | None]]:
    """The course of a trial that trains in this process."""
    config = task.config(asked.drawn)
    seen: list[EpochRecord] = []
    end, _ = train_stages(config, task.supply, task.goal, report=lambda epoch, _: seen.append(epoch))
    for epoch in seen:
        yield epoch, end if epoch is seen[-1] else None


def small(space: Space) -> Space:
    """The same question over the smallest budget; what it searches stays as it is."""
    searched = {dimension.path for dimension in space.search}
    budgets = {path: 1 for path in space.fixed if path.startswith("stages.") and path.endswith(".epochs")}
    return with_fixed(space, {path: value for path, value in (SMALL | budgets).items() if path not in searched})
