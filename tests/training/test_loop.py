"""The loop trains, stops, resumes and repeats itself exactly."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raytune_planes.config import TrialConfig
from raytune_planes.errors import UserError
from raytune_planes.records import Action, End, EpochRecord, Goal, Objective
from raytune_planes.tracking.validation import read_validation
from raytune_planes.training import checkpoint
from raytune_planes.training.checkpoint import Checkpoint
from raytune_planes.training.loop import StopTrial, train
from raytune_planes.training.trainer import Trainer
from raytune_planes.training.workers import LocalWorker
from tests.toy import toy_config, toy_data, toy_prompts

GOAL = Goal((Objective("val/fgvc/accuracy"), Objective("val/hrplanes/iou")), {"val/planesnet/accuracy": 0.6})


class Recorder:
    """Keeps what the loop reports; saves checkpoints when given a folder."""

    def __init__(self, folder: Path | None = None, stop_after: int = 0) -> None:
        self.records: list[EpochRecord] = []
        self.best: list[int] = []
        self.folder, self.stop_after = folder, stop_after

    def __call__(self, record: EpochRecord, checkpoint: Checkpoint) -> None:
        self.records.append(record)
        if checkpoint.is_best:
            self.best.append(record.epoch)
        if self.folder:
            checkpoint.save(self.folder)
        if record.epoch == self.stop_after:
            raise StopTrial(End.PRUNED, "told to")

    @property
    def metrics(self) -> list[dict[str, float]]:
        return [dict(r.metrics) for r in self.records]


def run(config: TrialConfig, recorder: Recorder, *, goal: Goal = GOAL, **more: Any) -> tuple[End, str]:
    return train(config, toy_data(), toy_prompts(), goal, report=recorder, **more)


def test_training_learns_every_dataset() -> None:
    seen = Recorder()
    end, reason = run(toy_config(budget__epochs=8, budget__steps_per_epoch=30, stopping__rule="none"), seen)
    assert (end, reason) == (End.COMPLETED, "the budget of 8 epochs is spent")
    last = seen.records[-1].metrics
    assert last["val/planesnet/accuracy"] > 0.9
    assert last["val/fgvc/accuracy"] > 0.6
    assert last["val/hrplanes/iou"] > 0.3


def test_an_epoch_reports_every_metric_of_every_dataset() -> None:
    seen = Recorder()
    run(toy_config(budget__epochs=1), seen)
    metrics = seen.records[0].metrics
    for split in ("train", "val"):
        for name in ("planesnet", "hrplanes", "fgvc"):
            for key in ("accuracy", "class_accuracy", "f1", "loss", "classification_loss", "contrastive_loss"):
                assert math.isfinite(metrics[f"{split}/{name}/{key}"])
        assert f"{split}/fgvc/segmentation_loss" not in metrics
        assert {f"{split}/hrplanes/{key}" for key in ("iou", "dice", "segmentation_loss")} <= set(metrics)
        assert {f"{split}/fgvc/{key}" for key in ("top5", "family_accuracy")} <= set(metrics)
    assert metrics["val/planesnet/images"] == 8
    assert metrics["train/fgvc/steps"] == 3
    assert metrics["train/fgvc/images"] == 24
    assert seen.records[0].samples == 9 * 8


def test_the_same_seed_gives_the_same_metrics_and_another_seed_others() -> None:
    one, two, other = Recorder(), Recorder(), Recorder()
    run(toy_config(), one)
    run(toy_config(), two)
    run(toy_config(seed=1), other)
    assert one.metrics == two.metrics
    assert one.metrics != other.metrics


@pytest.mark.parametrize("rule", ["fixed", "uncertainty", "dwa", "famo"])
@pytest.mark.parametrize("mixing", ["share", "gain"])
def test_a_resumed_training_goes_on_bit_for_bit(tmp_path: Path, rule: str, mixing: str) -> None:
    settings = {"budget__epochs": 4, "balancing__rule": rule, "mixing__rule": mixing, "stopping__rule": "none"}
    whole, first, second = Recorder(), Recorder(tmp_path, stop_after=2), Recorder()
    run(toy_config(**settings), whole)
    assert run(toy_config(**settings), first) == (End.PRUNED, "told to")
    end, _ = run(toy_config(**settings), second, resume=tmp_path / "last.pt")
    assert end is End.COMPLETED
    assert first.metrics + second.metrics == whole.metrics
    assert first.best + second.best == whole.best


def test_resuming_a_finished_training_trains_nothing(tmp_path: Path) -> None:
    run(toy_config(), Recorder(tmp_path))
    again = Recorder()
    assert run(toy_config(), again, resume=tmp_path / "last.pt")[0] is End.COMPLETED
    assert again.records == []


def test_a_checkpoint_from_before_a_setting_existed_is_resumed(tmp_path: Path) -> None:
    run(toy_config(), Recorder(tmp_path))
    state = checkpoint.load(tmp_path / "last.pt")
    older = {k: v for k, v in state["config"].items() if not k.startswith("split.")}
    checkpoint.save({**state, "config": older}, tmp_path / "last.pt")
    assert run(toy_config(), Recorder(), resume=tmp_path / "last.pt")[0] is End.COMPLETED
    with pytest.raises(UserError, match=r"split.kind differs: it has 'holdout', asked is 'kfold'"):
        run(toy_config(split__kind="kfold"), Recorder(), resume=tmp_path / "last.pt")


def test_resuming_another_configuration_is_refused(tmp_path: Path) -> None:
    run(toy_config(budget__epochs=1), Recorder(tmp_path))
    with pytest.raises(UserError, match=r"another configuration \(optim.lr differs"):
        run(toy_config(optim__lr=0.01), Recorder(), resume=tmp_path / "last.pt")


FLOORLESS = Goal(GOAL.objectives)
UNREACHED = Goal(GOAL.objectives, {"val/planesnet/f1": 1.5})


@pytest.mark.parametrize("rule", ["stop", "stop_and_go"])
def test_the_floors_of_the_goal_keep_a_dataset_training(rule: str) -> None:
    """By its metric each would rest after the second epoch; the floor is of another metric of the same dataset."""
    stop = {f"datasets__{name}__stop__target": 0.0 for name in ("planesnet", "hrplanes", "fgvc")}
    stop |= {f"datasets__{name}__stop__min_epochs": 2 for name in ("planesnet", "hrplanes", "fgvc")}
    seen, without = Recorder(), Recorder()
    end, _ = run(toy_config(**stop, budget__epochs=4, stopping__rule=rule), seen, goal=UNREACHED)
    assert (end, len(seen.records)) == (End.COMPLETED, 4)
    assert [r.resting for r in seen.records] == [(), *[("hrplanes", "fgvc")] * 3]
    end, _ = run(toy_config(**stop, budget__epochs=4, stopping__rule=rule), without, goal=FLOORLESS)
    assert (end, len(without.records)) == (End.CONVERGED, 2)


def test_the_floor_of_a_dataset_that_gets_no_steps_does_not_keep_the_trial_going() -> None:
    stop = {f"datasets__{name}__stop__target": 0.0 for name in ("planesnet", "hrplanes", "fgvc")}
    stop |= {f"datasets__{name}__stop__min_epochs": 1 for name in ("planesnet", "hrplanes", "fgvc")}
    seen = Recorder()
    end, _ = run(toy_config(**stop, datasets__planesnet__share=0.0), seen, goal=UNREACHED)
    assert (end, len(seen.records)) == (End.CONVERGED, 1)


def test_a_training_goes_on_with_other_threads(tmp_path: Path) -> None:
    run(toy_config(budget__epochs=2), Recorder(tmp_path))
    assert run(toy_config(budget__epochs=2, devices__threads=2), Recorder(), resume=tmp_path / "last.pt")[0] is (
        End.COMPLETED
    )


def test_a_trial_ends_converged_when_every_dataset_rests() -> None:
    stop = {f"datasets__{name}__stop__target": 0.0 for name in ("planesnet", "hrplanes", "fgvc")}
    stop |= {f"datasets__{name}__stop__min_epochs": 2 for name in ("planesnet", "hrplanes", "fgvc")}
    seen = Recorder()
    end, reason = run(toy_config(**stop, budget__epochs=9, stopping__rule="stop"), seen)
    assert (end, reason) == (End.CONVERGED, "every dataset rests after epoch 2")
    assert {d.dataset for d in seen.records[-1].decisions} == {"planesnet", "hrplanes", "fgvc"}


def test_a_resting_dataset_trains_no_more_and_is_still_validated() -> None:
    seen = Recorder()
    stop = {"datasets__planesnet__stop__target": 0.0, "datasets__planesnet__stop__min_epochs": 2}
    run(toy_config(**stop, stopping__rule="stop", budget__epochs=4), seen)
    steps = [r.metrics["train/planesnet/steps"] for r in seen.records]
    assert steps == [3, 3, 0, 0]
    assert "train/planesnet/accuracy" not in seen.records[-1].metrics
    assert "val/planesnet/accuracy" in seen.records[-1].metrics
    assert [sum(r.metrics[f"train/{n}/steps"] for n in toy_data()) for r in seen.records] == [9, 9, 9, 9]
    (decision,) = seen.records[1].decisions
    assert (decision.dataset, decision.action) == ("planesnet", Action.REST)
    assert seen.records[1].resting == ("planesnet",)


def test_saved_steps_make_later_epochs_shorter() -> None:
    seen = Recorder()
    settings = {"stopping__rule": "stop", "stopping__freed": "saved", "datasets__fgvc__stop__target": 0.0}
    run(toy_config(**settings, datasets__fgvc__stop__min_epochs=2, budget__epochs=3), seen)
    assert [r.step for r in seen.records] == [9, 18, 24]


def test_a_loss_that_is_no_number_ends_the_trial_as_failed() -> None:
    seen = Recorder()
    data = toy_data()
    end, reason = train(
        toy_config(),
        data,
        {name: np.full_like(rows, np.nan) for name, rows in toy_prompts().items()},
        GOAL,
        report=seen,
    )
    assert end is End.FAILED
    assert "is nan after epoch 1: the training diverged" in reason
    assert seen.records == []


def test_the_best_epoch_is_the_one_with_the_highest_score(tmp_path: Path) -> None:
    seen = Recorder(tmp_path)
    run(toy_config(budget__epochs=5), seen)
    scores = [GOAL.score(r.metrics) for r in seen.records]
    assert seen.best[-1] == 1 + scores.index(max(scores))


def test_a_dataset_of_weight_zero_changes_nothing_but_its_own_metrics() -> None:
    seen = Recorder()
    run(toy_config(losses__contrastive__weight=0.0, budget__epochs=1), seen)
    assert seen.records[0].metrics["train/fgvc/contrastive_loss"] > 0
    assert seen.records[0].metrics["train/fgvc/loss"] == pytest.approx(
        seen.records[0].metrics["train/fgvc/classification_loss"]
    )


def test_a_dataset_whose_terms_all_weigh_nothing_is_measured_but_not_trained() -> None:
    one, other = Recorder(), Recorder()
    alone = {f"datasets__{name}__share": 0.0 for name in ("planesnet", "hrplanes")}
    run(toy_config(datasets__fgvc__weight=0.0, **alone, budget__epochs=1), one)
    run(toy_config(datasets__fgvc__weight=0.0, **alone, budget__epochs=1, optim__lr=0.5), other)
    key = "val/planesnet/classification_loss"
    assert one.records[0].metrics["train/fgvc/images"] == 72
    assert one.records[0].metrics[key] == other.records[0].metrics[key]


def test_the_weights_that_a_rule_gives_stand_in_the_record() -> None:
    seen = Recorder()
    run(toy_config(balancing__rule="famo", budget__epochs=1), seen)
    weights = {k: v for k, v in seen.records[0].metrics.items() if k.endswith("_weight")}
    assert len(weights) == 7
    assert sum(weights.values()) == pytest.approx(1)
    assert "train/hrplanes/segmentation_weight" in weights


def test_a_disabled_dataset_takes_no_part() -> None:
    seen = Recorder()
    run(toy_config(datasets__planesnet__enabled=False, budget__epochs=1), seen)
    assert not [k for k in seen.records[0].metrics if "planesnet" in k]


def test_the_best_epoch_keeps_what_it_said_of_every_validation_picture(tmp_path: Path) -> None:
    seen, data = Recorder(tmp_path), toy_data()
    run(toy_config(), seen)
    kept = read_validation(tmp_path)
    best = seen.records[seen.best[-1] - 1].metrics
    assert list(kept) == list(data)
    for name, answers in kept.items():
        assert np.array_equal(answers.pictures_N, data[name].splits["val"])
        assert np.array_equal(answers.labels_N, data[name].labels_N[answers.pictures_N])
        right = (answers.logits_NK.argmax(1) == answers.labels_N).mean()
        assert right == pytest.approx(best[f"val/{name}/accuracy"])


def test_two_workers_keep_the_answers_that_one_would() -> None:
    class Part(LocalWorker):
        """Once its model is there, one of two that see the other's batches never: its sum is its own part."""

        def join(self, rank: int) -> None:
            self.rank, self.world = rank, 2

    data = toy_data(images=6 * 300)  # three batches of validation, the last one not full
    workers = [Part(), Part(), Part()]
    one, *parts = (Trainer(toy_config(), data, toy_prompts(), worker) for worker in workers)
    for rank, worker in enumerate(workers[1:]):
        worker.join(rank)
    for trainer in (one, *parts):
        trainer.evaluate("val")
    whole, (first, second) = one.predictions(), (trainer.predictions() for trainer in parts)
    for name in data:
        assert np.allclose(first[name].logits_NK + second[name].logits_NK, whole[name].logits_NK, atol=1e-5)
        assert (first[name].logits_NK[128:256] == 0).all()
        assert (second[name].logits_NK[128:256] != 0).all()


def test_a_batch_in_two_halves_takes_the_step_of_the_whole_batch() -> None:
    still = {f"datasets__{name}__head__dropout": 0.0 for name in ("planesnet", "hrplanes", "fgvc")}
    # Contrast and Dice compare the images of a batch with each other: only they may tell halves from the whole.
    alone = {"losses__contrastive__weight": 0.0, "losses__segmentation__dice": 0.0}
    config = toy_config(budget__epochs=1, **still, **alone)
    seen: list[EpochRecord] = []
    for pieces in (1, 2):
        train(config, toy_data(), toy_prompts(), GOAL, pieces=pieces, report=lambda epoch, _: seen.append(epoch))
    whole, halves = seen
    for key, value in whole.metrics.items():
        if "contrastive" not in key:
            assert halves.metrics[key] == pytest.approx(value, abs=1e-4), key
