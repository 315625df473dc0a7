"""Studies through Ray: few, small, and each asserting several things, because starting Ray takes a while."""

from __future__ import annotations

import io
import os
import re
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import optuna
import psutil
import pytest

from raytune_planes.errors import UserError
from raytune_planes.records import End, EpochRecord, Goal, Objective, TrialRecord
from raytune_planes.settings import flatten, load, make_config
from raytune_planes.space import Dimension, RungSettings, StudySettings
from raytune_planes.terminal import PlainView
from raytune_planes.tracking.base import Trackers
from raytune_planes.tracking.jsonl import JsonlTracker
from raytune_planes.tuning.budget import trained_seconds
from raytune_planes.tuning.lease import FILE
from raytune_planes.tuning.plan import StudyPlan
from raytune_planes.tuning.study import Outcome, run_study
from tests.tuning.tiny import tiny_plan, trained_alone

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Ray leaves pipes to its processes for the collector
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # the same, told by pytest
]


def run(plan: StudyPlan, view: PlainView | None = None) -> tuple[Outcome, str]:
    shown = io.StringIO()
    outcome = run_study(plan, view=view or PlainView(shown), trackers=Trackers(JsonlTracker(plan.out)))
    return outcome, shown.getvalue()


def test_results_that_vanish_end_the_study_in_words_and_it_goes_on_once_they_are_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plan, away = tiny_plan(tmp_path, trials=2), tmp_path / "away"

    class Vanishing(PlainView):
        def epoch(self, trial: TrialRecord, epoch: EpochRecord) -> None:
            super().epoch(trial, epoch)
            if plan.out.is_dir():
                plan.out.rename(away)

    with pytest.raises(UserError) as refused:
        run(plan, Vanishing(io.StringIO()))
    folder = plan.out / plan.name
    assert f"the study's folder {folder} is no longer there" in str(refused.value)
    assert f"continue with --resume {plan.name}" in str(refused.value)
    assert not [p for p in folder.rglob("*") if p.is_file() and "ray" not in p.relative_to(folder).parts]
    assert "Traceback" not in caplog.text

    shutil.rmtree(plan.out, ignore_errors=True)  # where Ray has made its folders anew
    away.rename(plan.out)
    (folder / FILE).unlink()  # of a driver that is dead by then; here it is this very process
    outcome, _ = run(plan)
    assert [(t.number, t.end, len(t.epochs)) for t in outcome.study.trials] == [
        (0, End.COMPLETED, 3),
        (1, End.COMPLETED, 3),
    ]


def test_trials_fail_each_with_its_reason_and_the_study_goes_on_and_can_be_extended(tmp_path: Path) -> None:
    search = (
        Dimension("optim.lr", "float", 1e-4, 1e-2, log=True),
        Dimension("datasets.fgvc.weight", "choice", choices=(1.0, 1e308)),
        Dimension("model.dit.heads", "choice", choices=(2, 3)),
        Dimension("text.model", "choice", choices=("minilm", "other")),
    )
    wrong = ({"datasets.fgvc.weight": 1e308}, {"model.dit.heads": 3}, {"text.model": "other"}, {"optim.lr": 0.003})
    plan = tiny_plan(tmp_path, search=search, trials=5, start_from=wrong)

    outcome, shown = run(plan)

    trials = outcome.study.trials
    ends = [t.end for t in trials]
    assert [t.number for t in trials] == [0, 1, 2, 3, 4]
    assert ends[1:4] == [End.FAILED] * 3
    assert all(end.is_complete for end in (ends[0], ends[4]))
    assert "nan" in trials[1].reason
    assert "does not divide the grid's 32 channels" in trials[2].reason
    assert "KeyError" in trials[3].reason
    assert "trial 2 failed: this trial's settings: model.dit.heads = 3" in shown
    assert outcome.reason == "5 trials of 5 are done"
    assert 0 < outcome.used.busy_s < outcome.seconds * outcome.cores
    known = optuna.load_study(study_name="tiny", storage=f"sqlite:///{tmp_path}/results/tiny/optuna.db").trials
    assert [t.user_attrs["trial_id"] for t in known] == [t.trial_id for t in trials]
    assert [t.state.name for t in known] == ["COMPLETE", "FAIL", "FAIL", "FAIL", "COMPLETE"]

    more = StudySettings(trials=6, rungs=RungSettings(enabled=False))
    longer, _ = run(replace(plan, settings=more, material=plan.material))

    assert [t.trial_id for t in longer.study.trials[:5]] == [t.trial_id for t in trials]
    assert len(longer.study.trials) == 6


def test_a_trial_that_falls_behind_is_pruned_and_says_why(tmp_path: Path) -> None:
    settings = StudySettings(trials=2, rungs=RungSettings(enabled=True, grace=0.3, reduction=2))
    plan = tiny_plan(tmp_path, settings=settings, concurrent=1, start_from=({"optim.lr": 1e-4},))
    # A loss, because after so few steps every accuracy may still be at chance.
    plan = replace(plan, space=replace(plan.space, goal=Goal((Objective("val/planesnet/loss", "min"),))))

    outcome, shown = run(plan)

    defaults, behind = outcome.study.trials
    assert defaults.end.is_complete
    assert behind.end is End.PRUNED
    found = re.match(r"after epoch (\d): place 2 of 2 at (\d+) samples, 1 goes on", behind.reason)
    assert found, behind.reason
    assert int(found[1]) == behind.epochs[-1].epoch, "it must stop after the epoch that said so"
    assert int(found[2]) == round(0.3 * defaults.epochs[-1].samples), "compared where the rung is, for all alike"
    assert f"trial 1 pruned: {behind.reason}" in shown


def test_a_study_begins_no_trial_that_cannot_end_in_the_time_that_is_left(tmp_path: Path) -> None:
    plan = tiny_plan(tmp_path, settings=StudySettings(trials=3, hours=1.5, rungs=RungSettings(enabled=False)))
    metrics = {"val/fgvc/accuracy": 0.5, "val/hrplanes/iou": 0.5, "val/planesnet/accuracy": 0.9}
    hour = EpochRecord(1, 10, 72, metrics, seconds=3600.0, time_ms=1_700_003_600_000)
    drawn = plan.space.first()
    began = TrialRecord("first", 0, drawn, flatten(plan.config(drawn)), started_ms=1_700_000_000_000)
    tracker = JsonlTracker(plan.out)
    tracker.start_study(plan.as_record())
    tracker.start_trial(began)
    tracker.end_trial(replace(began, epochs=(hour,), end=End.COMPLETED, reason="done", ended_ms=hour.time_ms))

    outcome, shown = run(plan)

    assert [t.number for t in outcome.study.trials] == [0]
    assert re.fullmatch(
        r"no further trial begins: 1,\d{3} s of 1\.5 h are left, and the shortest complete trial took 3,600 s",
        outcome.reason,
    )
    assert outcome.reason in shown
    assert outcome.study.end is not None
    assert outcome.study.end.end is End.COMPLETED


def test_stages_that_trials_have_in_common_are_trained_once(tmp_path: Path) -> None:
    fixed = {"plan": "first, last", "stages.first.budget.epochs": 2, "stages.last.budget.epochs": 1}
    search = (Dimension("stages.last.optim.lr", "float", 1e-4, 1e-2, log=True),)
    plan = tiny_plan(tmp_path, fixed=fixed, search=search, trials=3, concurrent=1)

    outcome, shown = run(plan)

    first, *others = outcome.study.trials
    (kept,) = (tmp_path / "results" / "tiny" / "stages").iterdir()
    assert [t.end for t in outcome.study.trials] == [End.COMPLETED] * 3
    assert [(e.epoch, e.stage) for e in first.epochs] == [(1, "first"), (2, "first"), (3, "last")]
    assert all([(e.epoch, e.stage) for e in t.epochs] == [(3, "last")] for t in others)
    assert all(t.tags["began_with"] == f"{kept.name} of trial 0" for t in others)
    assert "began_with" not in first.tags
    epoch = first.epochs[0].samples
    assert [t.trained for t in outcome.study.trials] == [3 * epoch, epoch, epoch]
    assert f"trial 1: begins after stage first, with {kept.name} that trial 0 trained" in shown


class StopsAtEpoch(PlainView):
    """Presses Ctrl-C once trial 1 has trained two epochs."""

    def epoch(self, trial: TrialRecord, epoch: EpochRecord) -> None:
        super().epoch(trial, epoch)
        if trial.number == 1 and epoch.epoch == 2:
            os.kill(os.getpid(), signal.SIGINT)


def test_an_interrupted_study_goes_on_with_the_same_trials_and_the_same_metrics(tmp_path: Path) -> None:
    fixed = {"budget.epochs": 6, "stopping.rule": "none"}
    plan = tiny_plan(tmp_path, fixed=fixed, trials=3, concurrent=1)

    first, _ = run(plan, StopsAtEpoch(io.StringIO()))

    assert first.interrupted
    stopped = first.study.trials[1]
    assert stopped.end is End.INTERRUPTED
    assert len(stopped.epochs) == 2

    second, shown = run(plan)

    assert not second.interrupted
    assert [t.trial_id for t in second.study.trials[:2]] == [t.trial_id for t in first.study.trials]
    assert all(t.end is End.COMPLETED for t in second.study.trials)
    assert "trial 1 starts again" in shown
    resumed = second.study.trials[1]
    assert [e.epoch for e in resumed.epochs] == [1, 2, 3, 4, 5, 6]
    assert _without_time(resumed.epochs) == _without_time(trained_alone(plan, resumed))


class KillsAtEpoch(PlainView):
    """Kills the process of the trial once it has trained two epochs, as a machine that runs out of memory does."""

    killed = 0

    def epoch(self, trial: TrialRecord, epoch: EpochRecord) -> None:
        super().epoch(trial, epoch)
        if epoch.epoch == 2 and not self.killed:
            for process in psutil.Process().children(recursive=True):
                if "".join(process.cmdline()).startswith("ray::ImplicitFunc"):  # what Tune wraps a function in
                    process.kill()
                    self.killed += 1
                    break


@pytest.mark.parametrize("workers", [1, 2])
def test_a_trial_whose_process_is_killed_goes_on_from_its_checkpoint(tmp_path: Path, workers: int) -> None:
    shown = io.StringIO()
    view = KillsAtEpoch(shown)
    epochs = 40  # on a busy machine the driver hears of the second when some more have been trained
    fixed = {"budget.epochs": epochs, "stopping.rule": "none"}
    outcome, _ = run(tiny_plan(tmp_path, fixed=fixed, trials=1, workers=workers), view)

    (trial,) = outcome.study.trials
    assert view.killed == 1
    went_on = re.search(r"trial 0 lost a process and continues from epoch (\d+)", shown.getvalue())
    assert went_on is not None, shown.getvalue()
    assert 2 <= int(went_on[1]) < epochs
    assert trial.end is End.COMPLETED, trial.reason
    assert [e.epoch for e in trial.epochs] == list(range(1, epochs + 1))


def test_two_workers_train_a_trial_like_one_and_best_yaml_repeats_it(tmp_path: Path) -> None:
    still = {f"datasets.{name}.head.dropout": 0.0 for name in ("planesnet", "hrplanes", "fgvc")}
    plan = tiny_plan(tmp_path, fixed=still, trials=1, workers=2)

    outcome, _ = run(plan)

    (trial,) = outcome.study.trials
    assert trial.end.is_complete, trial.reason
    saved = make_config(load(tmp_path / "results/tiny/best.yaml"))
    assert saved == plan.config({**trial.drawn})
    for together, alone in zip(trial.epochs, trained_alone(plan, trial), strict=True):
        assert together.samples == alone.samples
        for key, value in alone.metrics.items():
            assert together.metrics[key] == pytest.approx(value, abs=1e-4), key


def test_more_processors_than_there_are_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    plan = tiny_plan(tmp_path, cpus_per_worker=1000)
    with pytest.raises(UserError, match="a trial needs 1000 CPUs; the cluster has"):
        run(plan)
    assert not (tmp_path / "results").exists()


def test_time_in_which_trials_overlap_counts_once() -> None:
    def trial(number: int, *ends_s: float) -> TrialRecord:
        epochs = tuple(EpochRecord(i, i, i, {}, seconds=10, time_ms=int(s * 1000)) for i, s in enumerate(ends_s, 1))
        return TrialRecord(str(number), number, {}, {}, epochs)

    assert trained_seconds([trial(0, 10, 20), trial(1, 15, 100)]) == pytest.approx(30)


def _without_time(epochs: object) -> list[tuple[int, float, dict[str, float]]]:
    return [(e.samples, dict(e.metrics)) for e in epochs]  # type: ignore[attr-defined]


def test_a_study_in_a_folder_with_a_name_like_an_address_is_whole_and_inside(tmp_path: Path) -> None:
    place = tmp_path / "50%20 %zz?x=1#y"
    outcome, _ = run(tiny_plan(place, trials=1))
    assert [t.end for t in outcome.study.trials] == [End.COMPLETED]
    assert (place / "results" / "tiny" / "optuna.db").stat().st_size > 0
    assert {path.name for path in place.iterdir()} == {"cache", "results"}
    assert [path.name for path in tmp_path.iterdir()] == [place.name]
