"""Studies whose trials learn from the datasets trained alone: who is trained first, and what a trial records."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from raytune_planes.errors import UserError
from raytune_planes.records import End
from raytune_planes.space import Dimension
from raytune_planes.terminal import PlainView
from raytune_planes.tracking.base import Trackers
from raytune_planes.tracking.files import SHARED, WEIGHTS
from raytune_planes.tracking.jsonl import JsonlTracker
from raytune_planes.training import checkpoint
from raytune_planes.training.left_out import digest
from raytune_planes.tuning.alone import RESULT
from raytune_planes.tuning.plan import StudyPlan
from raytune_planes.tuning.study import Outcome, run_study
from raytune_planes.tuning.teaching import learns_first, with_teachers
from tests.toy import INFOS
from tests.tuning.tiny import tiny_plan

WEIGHT = "losses.distillation.weight"
SEARCHED = (Dimension(WEIGHT, "choice", choices=(0.0, 1.0)),)


def a_plan(folder: Path, **changes: Any) -> StudyPlan:
    return tiny_plan(folder, trials=2, references=True, concurrent=1, search=SEARCHED, **changes)


def test_every_dataset_has_its_training_alone_as_specialist_where_the_weight_can_be_above_0(tmp_path: Path) -> None:
    plan = with_teachers(a_plan(tmp_path))
    config = plan.config({WEIGHT: 1.0})
    for name in INFOS:
        path = Path(config.datasets[name].teacher)
        assert path.name == WEIGHTS
        assert path.parent.parent == plan.out / SHARED
        assert path.parent.name.startswith(f"{name}-")
    assert not learns_first(plan)
    fixed = tiny_plan(tmp_path / "fixed", references=True, fixed={WEIGHT: 1.0})
    assert learns_first(with_teachers(fixed))


def test_without_such_a_weight_no_specialist_is_named(tmp_path: Path) -> None:
    plan = tiny_plan(tmp_path, references=True)
    assert with_teachers(plan) is plan


def test_a_study_that_lacks_a_specialist_is_refused_with_what_to_do(tmp_path: Path) -> None:
    plan = replace(a_plan(tmp_path), references=False)
    with pytest.raises(UserError, match=r"planesnet, hrplanes, fgvc have none: --no-references .* datasets\.planesnet"):
        with_teachers(plan)
    absent = {f"datasets.{name}.teacher": str(tmp_path / "gone.pt") for name in INFOS}
    with pytest.raises(UserError, match=r"datasets\.planesnet\.teacher: no checkpoint at .*gone\.pt"):
        with_teachers(a_plan(tmp_path / "named", fixed=absent))


def test_trials_on_every_fold_learn_from_no_specialist(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="each specialist has seen what is validated"):
        with_teachers(a_plan(tmp_path, fixed={"split.kind": "kfold"}))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_trial_that_learns_starts_after_the_references_and_records_whose_weights_it_learnt_from(
    tmp_path: Path,
) -> None:
    plan = with_teachers(replace(a_plan(tmp_path), start_from=({WEIGHT: 1.0},)))
    outcome, shown = _run(plan)
    defaults, learner = outcome.study.trials
    assert [t.end for t in outcome.study.trials] == [End.COMPLETED, End.COMPLETED], shown
    assert learner.drawn == {WEIGHT: 1.0}
    places = {name: Path(learner.config[f"datasets.{name}.teacher"]) for name in INFOS}
    for name, path in places.items():
        sha256 = digest(checkpoint.load(path)["weights"])
        assert learner.tags[f"teacher.{name}"] == sha256
        assert f"teacher.{name}" not in defaults.tags, "trial 0 learns from labels alone"
        assert path.stat().st_mtime * 1000 <= learner.started_ms
        assert f"val/{name}/distillation_loss" in learner.epochs[-1].metrics
        assert f"val/{name}/distillation_loss" not in defaults.epochs[-1].metrics

    places["fgvc"].write_bytes(b"PK, and no more")
    before = places["hrplanes"].stat().st_mtime_ns
    again, shown = _run(replace(plan, name="again"))
    assert "fgvc was trained alone before, and is trained again" in shown
    assert places["hrplanes"].stat().st_mtime_ns == before, "whole weights serve again"
    assert again.study.trials[1].tags["teacher.fgvc"] == learner.tags["teacher.fgvc"], (
        "the same training, the same weights"
    )
    assert (places["fgvc"].parent / RESULT).is_file()


def _run(plan: StudyPlan) -> tuple[Outcome, str]:
    shown = io.StringIO()
    return run_study(plan, view=PlainView(shown), trackers=Trackers(JsonlTracker(plan.out))), shown.getvalue()
