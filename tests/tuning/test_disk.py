"""What a study needs of the disk is told from the shapes of its model, and refused where there is less."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
import timm
import torch

from raytune_planes.errors import UserError
from raytune_planes.model import build_encoder
from raytune_planes.records import EpochRecord
from raytune_planes.space import Dimension, StudySettings
from raytune_planes.training.checkpoint import Checkpoint
from raytune_planes.training.size import Size, largest
from raytune_planes.training.trainer import Trainer
from raytune_planes.training.workers import LocalWorker
from raytune_planes.tuning.disk import Need, need, need_of, refuse_small_disk
from tests.toy import INFOS, toy_config, toy_data, toy_prompts
from tests.tuning.tiny import tiny_plan

MIB = 2**20
WIDTH = toy_prompts()["fgvc"].shape[1]
VIT = {"model__backbone__kind": "timm/vit_base_patch16_224", "model__sharing": "trunk"}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"optim__kind": "sgd"},
        {"optim__kind": "lion", "optim__ema": 0.9},
        {"freeze": "backbone"},
        {"model__sharing": "own"},
        {"model__backbone__kind": "timm/mobilenetv3_small_050"},
    ],
    ids=str,
)
def test_the_size_told_from_shapes_is_that_of_the_files(tmp_path: Path, settings: dict[str, Any]) -> None:
    config = toy_config(**settings)
    trainer = Trainer(config, toy_data(), toy_prompts(), LocalWorker("cpu"))
    trainer.begin()
    trainer.train_epoch(["planesnet", "hrplanes", "fgvc"])
    record = EpochRecord(1, 3, 24, {})
    Checkpoint(trainer.state_dict(0.0), trainer.model_state(record), True).save(tmp_path)
    told = largest([config], INFOS, WIDTH)
    assert (tmp_path / "best.pt").stat().st_size == pytest.approx(told.weights, rel=0.15, abs=100_000)
    assert (tmp_path / "last.pt").stat().st_size == pytest.approx(told.state, rel=0.15, abs=200_000)


def test_a_frozen_pretrained_encoder_takes_no_disk(tmp_path: Path) -> None:
    kind, file = "mobilenetv3_small_050", tmp_path / "net.pth"
    torch.save(timm.create_model(kind).state_dict(), file)
    own = {"model__backbone__kind": f"timm/{kind}", "model__backbone__weights": str(file)}
    whole, frozen = (largest([toy_config(**own, model__backbone__freeze=f)], INFOS, WIDTH) for f in (False, True))
    encoder = build_encoder(toy_config(**own).model.backbone).held().values()
    assert whole.weights - frozen.weights == sum(tensor.numel() * tensor.element_size() for tensor in encoder) > MIB


def test_a_vit_b_has_checkpoints_of_a_third_and_of_one_gigabyte() -> None:
    size = largest([toy_config(**VIT)], INFOS, WIDTH)
    assert 320 * MIB < size.weights < 360 * MIB
    assert size.state == pytest.approx(3 * size.weights, rel=0.01)


def test_what_a_study_needs_is_counted() -> None:
    size = Size(weights=100, state=300)
    more: dict[str, Any] = {"objectives": 1, "references": 0, "stages": 0, "final": False}
    plain = need(StudySettings(trials=60), size, at_once=2, **more)
    assert plain == Need(size, trials=4, others=1, at_once=2, paused=0, has_front=False)
    assert plain.bytes == (4 + 1 + 2) * 100 + 2 * 2 * 300
    all_of_it = need(
        StudySettings(trials=60, keep=8), size, at_once=4, objectives=2, references=3, stages=1, final=True
    )
    assert all_of_it == Need(size, trials=9, others=3 + 1 + 2 + 1, at_once=4, paused=0, has_front=True)
    assert "of 9 trials, and the Pareto front on top, 7 more of them, and 4 trials at once" in all_of_it.in_words()
    promoting = need(StudySettings(trials=60, rungs={"rule": "promote"}), size, at_once=2, **more)
    assert (promoting.paused, promoting.bytes) == (56, plain.bytes + 56 * 400)
    assert "1 more of them, up to 56 trials that wait (rungs.rule = promote), and 2 trials" in promoting.in_words()
    assert need(StudySettings(trials=2), size, at_once=9, **more).trials == 2
    assert need(StudySettings(trials=2), size, at_once=9, **more).at_once == 2


def test_a_plan_counts_the_largest_model_that_it_may_draw(tmp_path: Path) -> None:
    width = Dimension("model.backbone.width", "choice", choices=(8, 64))
    rate = Dimension("optim.lr", "float", 1e-4, 1e-2, log=True)
    plan = tiny_plan(tmp_path, search=(rate, width), references=True)
    needed = need_of(plan, 2)
    wide, narrow = (largest([plan.config({"model.backbone.width": w})], INFOS, WIDTH) for w in (64, 8))
    assert needed.size == wide != narrow
    assert (needed.trials, needed.others, needed.at_once) == (3, 3 + 1, 2), "three datasets alone, the registry"


def test_a_study_is_refused_where_the_disk_is_smaller_and_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = Need(Size(100 * MIB, 300 * MIB), trials=4, others=1, at_once=1, paused=0, has_front=False)
    assert needed.bytes == 1200 * MIB
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, 1200 * MIB))
    refuse_small_disk(needed, tmp_path / "study")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, 1200 * MIB - 1000))
    told = (
        rf"the disk of {tmp_path} is too small for this study: 1\.2 GiB are free, and it takes up to 1\.2 GiB of "
        r"checkpoints: the weights \(100\.0 MiB\) of 4 trials, 1 more of them, and 1 trial at once, each with a state "
        r"of 300\.0 MiB\. Keep fewer \(--keep 1\), run fewer at once \(--concurrent 1\), .*prune STUDY"
    )
    with pytest.raises(UserError, match=told):
        refuse_small_disk(needed, tmp_path / "study")
    (tmp_path / "study" / "trials" / "0000-a").mkdir(parents=True)
    (tmp_path / "study" / "trials" / "0000-a" / "best.pt").write_bytes(b"x" * 1000)
    refuse_small_disk(needed, tmp_path / "study")  # a study that goes on has part of it already
