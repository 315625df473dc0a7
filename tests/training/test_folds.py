"""A trial on every fold: its mean is that of separate trainings, its answers are out of fold, and it can be resumed."""

from __future__ import annotations

import math
import shutil
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raytune_planes.config import TrialConfig
from raytune_planes.datasets.base import Arrays
from raytune_planes.datasets.folds import parted
from raytune_planes.fold_metrics import course, of_fold, plain, results, together
from raytune_planes.records import End, EpochRecord, Goal, TrialRecord
from raytune_planes.settings import epochs_in_all, flatten
from raytune_planes.tracking.reading import epoch_from_line, epoch_to_line
from raytune_planes.tracking.validation import out_of_fold, read_validation
from raytune_planes.training.checkpoint import Checkpoint, load
from raytune_planes.training.folds import on_fold, train_trial
from raytune_planes.training.loop import StopTrial, train
from tests.toy import toy_config, toy_data, toy_prompts
from tests.training.test_loop import GOAL

FOLDS: dict[str, Any] = {"split__kind": "kfold", "split__folds": 3, "budget__epochs": 2}
DATA = toy_data()


def supply(config: TrialConfig) -> tuple[Mapping[str, Arrays], Mapping[str, np.ndarray]]:
    return {name: DATA[name] for name in config.active}, toy_prompts()


class Kept:
    """Records and files of a trial, as a study keeps them; dies or stops after the epoch it is told."""

    def __init__(self, folder: Path, *, dies_after: int = 0, stops_after: int = 0) -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.dies_after, self.stops_after = folder, dies_after, stops_after
        self.records: list[EpochRecord] = []

    def __call__(self, record: EpochRecord, kept: Checkpoint) -> None:
        self.records.append(record)
        kept.save(self.folder)
        if record.epoch == self.dies_after:
            raise KeyboardInterrupt
        if record.epoch == self.stops_after:
            raise StopTrial(End.PRUNED, "after fold 1: place 3 of 3")

    @property
    def trial(self) -> TrialRecord:
        return TrialRecord("a", 0, {}, flatten(toy_config(**FOLDS)), tuple(self.records))

    def metrics(self) -> list[dict[str, float]]:
        return [dict(r.metrics) for r in self.records]


def on_all(report: Kept, resume: Path | None = None, goal: Goal = GOAL, **settings: Any) -> tuple[End, str]:
    return train_trial(toy_config(**FOLDS, **settings), supply, goal, report=report, resume=resume)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    kept = Kept(tmp_path_factory.mktemp("whole"))
    assert on_all(kept) == (End.COMPLETED, "all 3 folds are trained")
    return kept


@pytest.fixture(scope="module")
def separate(tmp_path_factory: pytest.TempPathFactory) -> list[Kept]:
    """Each fold trained on its own, with the same seed."""
    each = []
    for fold in (1, 2, 3):
        kept = Kept(tmp_path_factory.mktemp(f"fold-{fold}"))
        config = on_fold(toy_config(**FOLDS), fold)
        assert config == toy_config(**FOLDS, split__fold=fold - 1)
        train(config, *supply(config), GOAL, report=kept)
        each.append(kept)
    return each


def test_epochs_steps_and_samples_count_on_from_fold_to_fold(whole: Kept) -> None:
    assert [(r.epoch, r.fold) for r in whole.records] == [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (6, 3)]
    assert [r.step for r in whole.records] == [9 * n for n in range(1, 7)]
    assert [r.samples for r in whole.records] == [72 * n for n in range(1, 7)]
    assert whole.trial.trained == 3 * 2 * 72, "what --samples counts"
    assert epochs_in_all(whole.trial.config) == 6


def test_each_fold_is_trained_as_it_would_be_alone_and_the_mean_is_theirs_to_the_bit(
    whole: Kept, separate: list[Kept]
) -> None:
    assert [plain(r) for r in whole.records] == [m for kept in separate for m in kept.metrics()]
    bests = [kept.trial.best(GOAL) for kept in separate]
    alone = [dict(best.metrics) for best in bests if best]
    assert list(results(whole.trial)) == alone
    result = whole.trial.best(GOAL)
    assert result is not None
    for key in (*(o.metric for o in GOAL.objectives), "val/planesnet/accuracy", "val/fgvc/loss", "train/fgvc/loss"):
        assert result.metrics[key] == statistics.fmean(m[key] for m in alone)
    key = "val/fgvc/accuracy"
    spread = statistics.stdev([m[key] for m in alone])
    assert result.metrics[f"standard_error/{key}"] == spread / math.sqrt(3)
    assert result.metrics["val/fgvc/images"] == 40, "each picture of the pool validates once"
    assert not [key for key in result.metrics if key.startswith("fold")]


def test_the_mean_so_far_stands_where_a_fold_ends_and_only_there(whole: Kept) -> None:
    means = [r.metrics.get("val/fgvc/accuracy") for r in whole.records]
    first, second, third = (r["val/fgvc/accuracy"] for r in results(whole.trial))
    assert means == [
        None,
        first,
        None,
        statistics.fmean([first, second]),
        None,
        statistics.fmean([first, second, third]),
    ]
    assert "fold1/val/fgvc/accuracy" in whole.records[0].metrics
    assert "standard_error/val/fgvc/accuracy" not in whole.records[1].metrics, "of one fold there is none"


def test_the_answers_are_those_of_the_folds_models_for_every_picture(whole: Kept, separate: list[Kept]) -> None:
    kept = read_validation(whole.folder)
    wanted = out_of_fold([read_validation(each.folder) for each in separate])
    assert list(kept) == list(DATA)
    for name, arrays in DATA.items():
        pool_N = np.sort(np.concatenate([arrays.splits["train"], arrays.splits["val"]]))
        assert kept[name].pictures_N.tolist() == pool_N.tolist(), "disjoint, and all of them"
        assert np.array_equal(kept[name].logits_NK, wanted[name].logits_NK)
        assert np.array_equal(kept[name].labels_N, np.asarray(arrays.labels_N)[pool_N])
        for fold, each in enumerate(separate):
            mine = read_validation(each.folder)[name]
            split = parted(arrays, toy_config(**FOLDS, split__fold=fold).split).splits["val"]
            assert mine.pictures_N.tolist() == split.tolist()


def test_the_weights_that_are_kept_are_of_the_first_fold(whole: Kept, separate: list[Kept]) -> None:
    mine, first = (load(kept.folder / "best.pt") for kept in (whole, separate[0]))
    assert mine["config"]["split.fold"] == 0
    assert mine["metrics"] == first["metrics"]
    assert all(np.array_equal(mine["weights"][key], first["weights"][key]) for key in first["weights"])


@pytest.mark.parametrize("after", [1, 2, 3])
def test_a_trial_that_was_killed_goes_on_in_its_fold_to_the_same_metrics(
    whole: Kept, tmp_path: Path, after: int
) -> None:
    kept = Kept(tmp_path / "trial", dies_after=after)
    with pytest.raises(KeyboardInterrupt):
        on_all(kept)
    assert [r.epoch for r in kept.records] == list(range(1, after + 1))
    kept.dies_after = 0
    if after == 2:  # as if it had died in the next fold, between its answers and its checkpoint
        shutil.copy(whole.folder / "val.npz", kept.folder)
    assert on_all(kept, resume=kept.folder / "last.pt") == (End.COMPLETED, "all 3 folds are trained")
    assert kept.metrics() == whole.metrics()
    assert [r.result for r in kept.records] == [r.result for r in whole.records]
    answers, wanted = read_validation(kept.folder), read_validation(whole.folder)
    assert all(np.array_equal(answers[name].logits_NK, wanted[name].logits_NK) for name in wanted)


def test_a_trial_stopped_between_folds_has_the_mean_of_those_it_trained(whole: Kept, tmp_path: Path) -> None:
    kept = Kept(tmp_path / "trial", stops_after=2)
    assert on_all(kept) == (End.PRUNED, "after fold 1: place 3 of 3")
    best = kept.trial.best(GOAL)
    assert best is not None
    assert best.metrics == {k: v for k, v in whole.records[1].metrics.items() if not k.startswith("fold")}
    assert set(read_validation(kept.folder)["fgvc"].pictures_N) == set(
        parted(DATA["fgvc"], toy_config(**FOLDS).split).splits["val"]
    )


def test_a_trial_within_its_first_fold_has_no_result_yet(whole: Kept) -> None:
    one = TrialRecord("a", 0, {}, {}, tuple(whole.records[:1]))
    assert one.best(GOAL) is None


def test_a_fold_that_diverges_fails_the_trial_and_says_which(tmp_path: Path) -> None:
    end, reason = on_all(Kept(tmp_path / "trial"), datasets__fgvc__weight=1e308)
    assert end is End.FAILED
    assert reason.startswith("fold 1: ")
    assert reason.endswith("the training diverged")


def test_folds_in_which_all_datasets_rest_end_early_and_the_trial_converges(tmp_path: Path) -> None:
    rest = {f"datasets__{name}__stop__{k}": v for name in DATA for k, v in (("min_epochs", 1), ("target", 0.0))}
    kept = Kept(tmp_path / "trial")
    end, reason = on_all(kept, goal=Goal(GOAL.objectives), stopping__rule="stop", **rest)
    assert (end, reason) == (End.CONVERGED, "every dataset rests on each of 3 folds")
    assert [(r.epoch, r.fold, bool(r.result)) for r in kept.records] == [(1, 1, True), (2, 2, True), (3, 3, True)]


def test_a_record_of_a_fold_is_read_as_it_was_written(whole: Kept) -> None:
    for record in whole.records:
        assert epoch_from_line(epoch_to_line(record).encode()) == record


def test_the_course_of_a_trial_on_folds_is_that_of_its_first(whole: Kept, separate: list[Kept]) -> None:
    assert [dict(e.metrics) for e in course(whole.trial)] == separate[0].metrics()
    assert course(separate[0].trial) == separate[0].trial.epochs


def test_metrics_that_a_fold_lacks_have_no_mean() -> None:
    a, b = {"val/x/accuracy": 0.5, "val/x/scene_iou": 0.1}, {"val/x/accuracy": 1.0}
    assert together([a, b]) == {"val/x/accuracy": 0.75, "standard_error/val/x/accuracy": 0.25}
    assert of_fold(2, b) == {"fold2/val/x/accuracy": 1.0}
