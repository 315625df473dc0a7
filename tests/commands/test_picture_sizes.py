"""Photographs at 224 and 448 pixels, from files over training to reports and ensembles of models of different sizes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from raytune_planes.commands.ensemble_run import Member, build
from raytune_planes.commands.report_pictures import _chosen_examples, _masks
from raytune_planes.config import TrialConfig
from raytune_planes.datasets.synthetic import synthesise
from raytune_planes.preparation.data import open_data
from raytune_planes.records import EpochRecord, TrialRecord
from raytune_planes.report.predictions import Masks
from raytune_planes.serving import Predictor
from raytune_planes.training import checkpoint
from raytune_planes.training.passes import EVAL_BATCH, eval_batch
from raytune_planes.training.trainer import Trainer
from raytune_planes.training.workers import LocalWorker
from tests.toy import toy_config


def config_of(size: int, scenes: int) -> TrialConfig:
    photographs = {"image_size": size, "decoded_size": size + 32, "fit": "pad", "eval_crop": 0.875}
    photographs |= {"augment__crop_min": 0.35, "crop_to_box": True}
    tiles = {"image_size": scenes, "decoded_size": 96, "augment__crop_min": 0.5}
    return toy_config(
        datasets__planesnet__enabled=False,
        budget__batch_size=4,
        **{f"datasets__fgvc__{k}": v for k, v in photographs.items()},
        **{f"datasets__hrplanes__{k}": v for k, v in tiles.items()},
    )


def trained(config: TrialConfig, folder: Path) -> tuple[Trainer, dict[str, float], Member]:
    """After one step on each dataset: what training measures, and the same model from its checkpoint."""
    data = open_data(config, folder / "data", folder / "cache")
    random = np.random.default_rng(0)
    prompts = {name: random.normal(size=(len(a.info.classes), 12)).astype(np.float32) for name, a in data.items()}
    trainer = Trainer(config, data, prompts, LocalWorker("cpu"))
    trainer.train_epoch(["fgvc", "hrplanes"])
    metrics = trainer.evaluate("test")
    path = folder / f"{config.datasets['fgvc'].image_size}.pt"
    checkpoint.save(trainer.model_state(EpochRecord(1, 2, 8, metrics, frozenset(), (), 1.0, 0)), path)
    return trainer, metrics, Member(TrialRecord(path.stem, 0, {}, {}), path, Predictor.load(path), trainer.data, {})


def test_the_whole_path_works_at_the_sizes_that_are_usual_for_photographs(tmp_path: Path) -> None:
    synthesise(tmp_path / "data", planesnet=0, hrplanes=6, fgvc=18, fgvc_classes=2, seed=0)
    first, metrics, member = trained(config_of(448, 64), tmp_path)
    second = trained(config_of(224, 32), tmp_path)[2]
    assert first.data["fgvc"].images_NHWC.shape[1] == 480

    rules, verdicts = build([member, second], "soft", 0)
    assert rules.keys() == verdicts.keys() == {"hrplanes", "fgvc"}
    for name in verdicts:  # the verdict on the single model is what its training measured, masks at their size too
        alone = verdicts[name].single["test"]
        assert alone == {
            k: pytest.approx(metrics[f"test/{name}/{k}"], abs=2e-3) for k in alone
        }  # masks at half precision
    assert "iou" in verdicts["hrplanes"].ensemble["test"]

    first.evaluate("val")
    (example, *_) = _chosen_examples(first, "fgvc", first.predictions()["fgvc"], ("a", "b"))
    assert example.image_HWC.shape == (448, 448, 3)
    masks = _masks("hrplanes", first)
    assert isinstance(masks, Masks)
    assert masks.examples[0].image_HWC.shape == (64, 64, 3)
    assert masks.examples[0].truth_HW.shape == masks.examples[0].predicted_HW.shape == (64, 64)

    photograph = next((tmp_path / "data").rglob("*.jpg"))
    look = member.predictor.infer("fgvc", photograph)
    assert look.probability_NK.shape == (1, 2)


def test_evaluation_batches_of_large_pictures_hold_fewer_of_them() -> None:
    assert [eval_batch(side) for side in (16, 64, 128)] == [EVAL_BATCH] * 3
    assert [eval_batch(side) for side in (224, 448, 1024)] == [41, 10, 8]
