"""Learning from the command line: on by default, off by a word, kept on resume, and told where people look for it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from raytune_planes.commands.learn_run import with_lessons
from raytune_planes.learning import earlier_studies
from raytune_planes.learning.collection import write
from raytune_planes.records import End, EpochRecord, TrialRecord
from raytune_planes.report import summary, summary_json
from raytune_planes.settings import flatten
from raytune_planes.tracking import JsonlTracker, StudyEnd, read_study
from raytune_planes.tracking.learnt import NOTHING
from raytune_planes.tracking.mlflow_fields import parent_tags, trial_tags
from raytune_planes.tuning.plan import StudyPlan
from tests.tuning.tiny import tiny_plan

RATES = (0.002, 0.0001, 0.009, 0.0005, 0.004, 0.007)


def an_old_study(plan: StudyPlan, name: str = "old", rates: tuple[float, ...] = RATES) -> None:
    """A finished study of the same plan below its folder, in which a rate of 0.005 was best."""
    tracker = JsonlTracker(plan.out)
    tracker.start_study(replace(plan, name=name).as_record())
    for number, rate in enumerate(rates):
        far = abs(rate - 0.005) * 50
        metrics = {"val/fgvc/accuracy": 0.9 - far, "val/hrplanes/iou": 0.5, "val/planesnet/accuracy": 0.9}
        config = json.loads(json.dumps(flatten(plan.config({"optim.lr": rate})), default=str))
        epoch = EpochRecord(1, 10, 320, metrics, time_ms=1000 + number)
        record = TrialRecord(f"{name}{number}", number, {"optim.lr": rate}, config, (epoch,), End.COMPLETED, "done")
        tracker.start_trial(record)
        tracker.end_trial(record)
    tracker.end_study(StudyEnd(End.COMPLETED, "all trials have ended", 2000))


@pytest.fixture
def plan(tmp_path: Path) -> StudyPlan:
    return tiny_plan(tmp_path, trials=6)


def test_a_study_begins_with_what_did_best_in_one_that_is_there_unless_it_is_told_not_to(plan: StudyPlan) -> None:
    an_old_study(plan)
    said: list[str] = []
    learnt = with_lessons(plan, [], said.append).learnt
    assert [lesson.values for lesson in learnt.portfolio] == [{"optim.lr": 0.004}, {"optim.lr": 0.007}]
    assert (learnt.sources[0].study, learnt.sources[0].weight) == ("old", 1.0)
    assert said == [
        "Earlier studies: trials 1 to 2 from old (6 trials, likeness 1.00 of 1); --learn-from none begins without them"
    ]
    assert with_lessons(plan, ["none"], said.append).learnt == NOTHING
    assert with_lessons(plan, ["old"], said.append).learnt == learnt


def test_a_resumed_study_keeps_what_it_learnt_and_reads_no_other_again(plan: StudyPlan) -> None:
    an_old_study(plan)
    begun = with_lessons(plan, [], lambda _: None)
    JsonlTracker(plan.out).start_study(begun.as_record())
    shutil.rmtree(plan.out / "old")
    an_old_study(plan, "newer", (0.002, 0.0001, 0.006, 0.0052, 0.0051))
    assert with_lessons(plan, [], lambda _: None).learnt == begun.learnt
    assert read_study(plan.out / plan.name).start.learnt == begun.learnt


def test_a_study_that_lost_its_record_goes_on_without_what_it_had_learnt_and_says_so(plan: StudyPlan) -> None:
    an_old_study(plan, plan.name)
    (plan.out / plan.name / "study.json").unlink()
    said: list[str] = []
    assert with_lessons(plan, [], said.append).learnt == NOTHING
    assert "it goes on without" in said[0]


def test_a_damaged_study_is_named_and_the_others_count(plan: StudyPlan) -> None:
    an_old_study(plan)
    an_old_study(plan, "bad")
    (plan.out / "bad" / "study.json").write_text("{")
    said: list[str] = []
    assert with_lessons(plan, [], said.append).learnt.portfolio
    assert said[0].startswith("Earlier studies: study bad is not learnt from: ")


def test_what_was_learnt_and_what_it_brought_stand_in_best_and_in_mlflow(plan: StudyPlan) -> None:
    an_old_study(plan)
    begun = with_lessons(plan, [], lambda _: None)
    an_old_study(begun, "mine", (0.002, 0.004, 0.007, 0.0051))
    study = read_study(plan.out / "mine")
    text = summary.as_text(study)
    assert "learnt from earlier studies: trials 1 to 2 from old (6 trials, likeness 1.00 of 1)" in text
    assert "the best of these, trial 1 (as trial 4 of old), scored 0.6750; the defaults 0.6250, " in text
    assert "the best trial of all 0.6975" in text
    assert summary_json.as_json(study)["learnt"] == {
        "from": [{"study": "old", "weight": 1.0, "trials": 6}],
        "trials": {"1": {"study": "old", "trial": 4}, "2": {"study": "old", "trial": 5}},
        "packaged": False,
        "best_of_them": 1,
    }
    assert parent_tags(study.start)["learnt_from"] == "old (1.00)"
    assert trial_tags(study.start, study.trials[1])["learnt_from"] == "trial 4 of old"
    assert "learnt_from" not in trial_tags(study.start, study.trials[0])
    assert str(plan.out) not in (study.folder / "study.json").read_text()


def test_the_first_study_begins_with_packaged_studies_and_says_so_everywhere(plan: StudyPlan, tmp_path: Path) -> None:
    plan = replace(plan, settings=plan.settings.model_copy(update={"trials": 8}))
    elsewhere = replace(plan, out=tmp_path / "elsewhere")
    an_old_study(elsewhere)
    shipped = tmp_path / "shipped.json"
    write(shipped, earlier_studies(elsewhere.out, []).studies, "0.1.0")
    said: list[str] = []
    begun = with_lessons(plan, [], said.append, shipped)
    assert [lesson.values for lesson in begun.learnt.portfolio] == [{"optim.lr": 0.004}, {"optim.lr": 0.007}]
    assert said == [
        "Earlier studies: trials 1 to 2 from the packaged portfolio: 1 study, tiny-1 (6 trials, likeness 1.00 of 1); "
        "--learn-from none begins without them"
    ]
    assert with_lessons(plan, ["none"], said.append, shipped).learnt == NOTHING
    assert not with_lessons(plan, [str(shipped)], said.append, shipped).learnt.packaged
    an_old_study(begun, "mine", (0.002, 0.004, 0.007, 0.0051))
    study = read_study(plan.out / "mine")
    assert study.start.learnt == begun.learnt
    assert "trials 1 to 2 from the packaged portfolio: 1 study, tiny-1" in summary.as_text(study)
    learnt = summary_json.as_json(study)["learnt"]
    assert (learnt["packaged"], learnt["trials"]["1"]) == (True, {"study": "tiny-1", "trial": 4})
    assert parent_tags(study.start)["learnt_from"] == "packaged: tiny-1 (1.00)"
    assert trial_tags(study.start, study.trials[1])["learnt_from"] == "trial 4 of packaged tiny-1"
    said.clear()
    assert not with_lessons(plan, [], said.append, shipped).learnt.packaged  # a study of its own is there now
    assert "from mine (4 trials, likeness" in said[-1]


def test_a_study_unlike_the_packaged_ones_begins_cold_and_says_so(plan: StudyPlan) -> None:
    said: list[str] = []
    assert with_lessons(plan, [], said.append).learnt == NOTHING
    assert len(said) == 1
    assert "studies that come with this package resembles this one" in said[0]
