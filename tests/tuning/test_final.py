"""The long training at a study's end: its budget, what goes on after a kill, and both trainings through Ray."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest

from raytune_planes import load_study
from raytune_planes.errors import UserError
from raytune_planes.floors import Relative
from raytune_planes.records import End, Goal
from raytune_planes.space import cautioned, describe, lengthened, load_space, planned, refuse_short, with_fixed
from raytune_planes.terminal import PlainView
from raytune_planes.tracking.files import CONFIG, EPOCHS, LAST, WEIGHTS
from raytune_planes.tracking.final import final_folder, read_final
from raytune_planes.tracking.jsonl import JsonlTracker
from raytune_planes.tracking.reading import StudyFiles, epochs_digest, read_study, read_trial
from raytune_planes.training.checkpoint import Checkpoint
from raytune_planes.tuning.confirm import train_again
from raytune_planes.tuning.final import Long, train_final, train_long
from raytune_planes.tuning.plan import StudyPlan
from tests.tracking.studies import FINISH, ended, epoch, trial
from tests.tuning.tiny import GOAL, tiny_plan

PLANES = "val/planesnet/accuracy"


def a_plan(tmp_path: Path, epochs: int = 5) -> StudyPlan:
    plan = tiny_plan(tmp_path)
    return replace(plan, settings=plan.settings.model_copy(update={"final": epochs}))


def test_the_long_budget_is_of_epochs_or_of_the_last_stage() -> None:
    assert lengthened("", 24) == {"budget.epochs": 24}
    assert lengthened("pretrain, together", 24) == {"stages.together.budget.epochs": 24}


def test_the_cost_is_said_before() -> None:
    """36 epochs of 60 steps of 32 pictures; two of them cost as much as six trials of 12 epochs."""
    space = load_space("rebalance")
    said = (
        "final training: the choice and the defaults again, with 36 epochs and 69,120 samples each; both together cost "
        "as much as 6 trials of 23,040 samples"
    )
    assert planned(space, 36) == said
    assert said in describe(space).splitlines()
    assert "final training" not in describe(load_space("quick"))
    folds = with_fixed(space, {"split.kind": "kfold", "split.folds": 5})
    assert "345,600 samples each; both together cost as much as 6 trials of 115,200 samples" in planned(folds, 36)


def test_a_final_training_that_is_not_longer_than_a_trial_is_refused_or_warned_of(tmp_path: Path) -> None:
    space = with_fixed(load_space("rebalance"), {"budget.epochs": 36})
    why = "a final training of 36 epochs is not longer than a trial, which has 36 (budget.epochs)"
    assert cautioned(space) == (f"{why}: there is none; --final EPOCHS asks for a longer one",)
    with pytest.raises(UserError, match=r"--final 36: a final training of 36 epochs .* or --final 0 for none"):
        refuse_short(space, 36)
    refuse_short(space, 0)
    assert [a_plan(tmp_path / str(n), n).final for n in (0, 3, 4)] == [0, 0, 4], "a tiny trial has 3 epochs"


def test_a_long_training_that_was_cut_off_goes_on_and_comes_to_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = a_plan(tmp_path).task(tmp_path)
    long = Long("t1-final5", 1, {"optim.lr": 0.003}, 5, GOAL)
    assert "reason" in train_long(task, long, tmp_path / "whole")
    whole = read_trial(tmp_path / "whole")[0]
    assert (len(whole.epochs), whole.end, whole.config["budget.epochs"]) == (5, End.COMPLETED, 5)
    assert whole.epochs[-1].samples == 5 * 9 * 8, "as many steps an epoch as a trial has"
    assert not (tmp_path / "whole" / LAST).exists(), "it is of no use any more"
    assert (tmp_path / "whole" / WEIGHTS).exists()

    kept = Checkpoint.save

    def dies_after_the_second(self: Checkpoint, folder: Path) -> None:
        kept(self, folder)
        if len(self.state["final"]) == 2:
            raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(Checkpoint, "save", dies_after_the_second)
        with pytest.raises(SystemExit):
            train_long(task, long, tmp_path / "cut")
    assert read_trial(tmp_path / "cut")[0].end is End.RUNNING
    train_long(task, long, tmp_path / "cut")
    again, warnings = read_trial(tmp_path / "cut")
    assert warnings == ()
    assert (again.end, epochs_digest(again.epochs)) == (End.COMPLETED, epochs_digest(whole.epochs))
    written = (tmp_path / "cut" / EPOCHS).stat().st_mtime_ns
    assert train_long(task, long, tmp_path / "cut") == {"reason": again.reason}
    assert (tmp_path / "cut" / EPOCHS).stat().st_mtime_ns == written, "nothing is trained again"


def test_a_confirmation_trains_with_the_long_budget(tmp_path: Path) -> None:
    task = a_plan(tmp_path).task(tmp_path)
    assert "metrics" in train_again(task, {"optim.lr": 0.003}, 5, tmp_path / "again", 4)
    assert "budget.epochs: 4\n" in (tmp_path / "again" / CONFIG).read_text()


def searched(plan: StudyPlan) -> StudyFiles:
    """The records of a study whose trial 1 beat the defaults."""
    tracker = JsonlTracker(plan.out)
    tracker.start_study(plan.as_record())
    config = plan.config(plan.space.first())
    for number, fgvc, lr in ((0, 0.3, config.optim.lr), (1, 0.6, 0.004)):
        record = replace(trial(number, {"optim.lr": lr}), config={"budget.epochs": 3, "optim.lr": lr})
        tracker.start_trial(record)
        tracker.end_trial(ended(record, End.COMPLETED, "3 epochs", *(epoch(n, fgvc) for n in (1, 2, 3))))
    tracker.end_study(FINISH)
    return read_study(tracker.folder)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_choice_and_the_defaults_are_trained_through_ray_and_judged_by_the_long_defaults(tmp_path: Path) -> None:
    plan = a_plan(tmp_path)
    goal = Goal(GOAL.objectives, {PLANES: 0.5}, {PLANES: Relative("defaults", -0.01)})
    plan = replace(plan, space=replace(plan.space, goal=goal))
    study = searched(plan)
    said = io.StringIO()
    final = train_final(plan, study, PlainView(said))
    assert final is not None
    assert (final.epochs, final.number, final.has_ended) == (5, 1, True)
    assert [(t.number, len(t.epochs), t.drawn["optim.lr"]) for t in final.trained] == [(0, 5, 0.002), (1, 5, 0.004)]
    assert final.defaults is not None
    best = final.defaults.best(Goal(GOAL.objectives))
    assert best is not None
    assert final.goal.floors == {PLANES: pytest.approx(max(0.0, best.metrics[PLANES] - 0.01))}
    shown = said.getvalue()
    assert "final training: trial 1 and the defaults, 5 epochs each; about 1 min" in shown
    assert shown.index("the defaults: the budget of 5 epochs") < shown.index("trial 1: the budget of 5 epochs")

    told = load_study(study.folder).final
    assert told is not None
    assert (told["epochs"], told["trial"], told["ended"], told["verdict"]) == (5, 1, True, final.verdict)
    assert told["handed_over"] == (final.held.number if final.held else None)
    assert told["metrics"][PLANES]["long_defaults"] == best.metrics[PLANES]
    assert load_study(searched(replace(plan, name="short")).folder).final is None

    folder = final_folder(study.folder, study.trials[1], 5)
    before = (folder / EPOCHS).stat().st_mtime_ns
    said.seek(0)
    assert train_final(plan, read_study(study.folder), PlainView(said)) == read_final(study), (
        "no Ray is needed for that"
    )
    assert (folder / EPOCHS).stat().st_mtime_ns == before
