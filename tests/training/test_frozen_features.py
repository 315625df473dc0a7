"""Features of a frozen encoder: computed once, equal to those computed afresh, and trained from."""

from __future__ import annotations

import gc
import hashlib
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch

from raytune_planes.config import TrialConfig
from raytune_planes.datasets import storage
from raytune_planes.datasets.base import Arrays
from raytune_planes.datasets.loaders import TrainStream
from raytune_planes.errors import UserError
from raytune_planes.records import End, EpochRecord
from raytune_planes.training.checkpoint import Checkpoint
from raytune_planes.training.frozen_features import view_draws
from raytune_planes.training.loop import train
from raytune_planes.training.trainer import Trainer
from raytune_planes.training.workers import LocalWorker
from tests.toy import toy_config, toy_data, toy_prompts
from tests.training.test_loop import GOAL

VIEWS = 2
FROZEN: dict[str, Any] = {
    "model__backbone__kind": "timm/mobilenetv3_small_050",
    "model__backbone__freeze": True,
    "model__backbone__views": VIEWS,
    "losses__detection__weight": 1.0,
}


def frozen(**more: Any) -> TrialConfig:
    return toy_config(**{**FROZEN, **more})


def trainer(config: TrialConfig, data: Mapping[str, Arrays], told: list[str] | None = None) -> Trainer:
    made = Trainer(config, data, toy_prompts(), LocalWorker("cpu"))
    made.begin((told if told is not None else []).append)
    return made


def cached(cache: Path, images: int = 48) -> dict[str, Arrays]:
    """The toy data with its pictures in files of a cache."""
    found = {}
    for number, (name, arrays) in enumerate(toy_data(images).items()):
        folder = cache / f"{number:032x}"
        if not folder.is_dir():
            folder.mkdir(parents=True)
            storage.save(folder / storage.WITNESS, arrays.images_NHWC)
            storage.save(folder / "labels.npy", arrays.labels_N)
        images_NHWC, labels_N = storage.mapped(folder / storage.WITNESS), storage.mapped(folder / "labels.npy")
        found[name] = replace(arrays, images_NHWC=images_NHWC, labels_N=labels_N)
    return found


def features_in(cache: Path) -> list[Path]:
    return sorted(p for p in cache.iterdir() if storage.ENTRY.fullmatch(p.name) and not p.name.startswith("0" * 31))


@pytest.mark.parametrize("name", ["planesnet", "hrplanes", "fgvc"])
def test_stored_features_are_those_of_the_same_view_computed_afresh(name: str) -> None:
    made = trainer(frozen(), data := toy_data())
    batch = made._streams[name].batch(0)
    train_N = data[name].splits["train"]
    assert batch.place_B is not None
    view_B, at_B = batch.place_B // len(train_N), batch.place_B % len(train_N)
    views = [view_draws(name, view, len(train_N)) for view in range(VIEWS)]
    pairs = list(zip(view_B.tolist(), at_B.tolist(), strict=True))
    draws_BD = torch.stack([views[view][0][at] for view, at in pairs])
    places_B2 = np.stack([views[view][1][at] for view, at in pairs])
    stream = TrainStream(data[name], made.config.datasets[name], 8, 0, made._pixels[name])
    shown = stream.drawn(train_N[at_B], draws_BD, places_B2)
    for kept, wanted in ((batch.mask_BHW, shown.mask_BHW), (batch.boxes_BM4, shown.boxes_BM4)):
        assert (kept is None) == (wanted is None)
        assert kept is None or torch.equal(kept, wanted)  # type: ignore[arg-type]
    assert torch.equal(batch.label_B, shown.label_B)
    made.model.eval()
    with torch.no_grad():
        afresh = made.model.backbone.held_maps(shown.image_BCHW, fine=True)
        for key, kept_BCHW in made.model.stored[name](batch.place_B).items():
            torch.testing.assert_close(kept_BCHW, afresh[key], rtol=2**-10, atol=1e-4)  # 16 bits
    assert len(view_B.unique()) == VIEWS


def test_validation_on_stored_features_gives_the_metrics_of_pictures() -> None:
    data = toy_data()
    with_features, without = trainer(frozen(), data), trainer(frozen(model__backbone__views=0), data)
    assert with_features.model.stored
    assert not without.model.stored
    kept, afresh = with_features.evaluate("val"), without.evaluate("val")
    assert kept.keys() == afresh.keys()
    assert kept == pytest.approx(afresh, rel=2e-3, abs=2e-3)


def test_a_training_on_stored_features_never_asks_the_encoder_again() -> None:
    made = trainer(frozen(), toy_data())
    asked: list[int] = []
    made.model.backbone.net.conv_stem.register_forward_hook(lambda *_: asked.append(1))  # type: ignore[union-attr]
    before = {name: p.clone() for name, p in made.model.named_parameters() if p.requires_grad}
    metrics = made.train_epoch(["planesnet", "hrplanes", "fgvc"] * 3) | made.evaluate("val")
    assert not asked
    assert all(np.isfinite(value) for value in metrics.values())
    assert any(not torch.equal(p, before[n]) for n, p in made.model.named_parameters() if n in before)
    made.evaluate("test")  # of which no study may keep anything
    assert asked


def test_a_training_learns_from_stored_features() -> None:
    config, data, seen = frozen(budget__epochs=4, optim__lr=0.01), toy_data(), list[EpochRecord]()

    def report(record: EpochRecord, kept: Checkpoint) -> None:
        seen.append(record)

    end, _ = train(config, data, toy_prompts(), GOAL, report=report)
    assert end.is_complete or end is End.PRUNED
    assert (
        seen[-1].metrics["train/planesnet/classification_loss"] < seen[0].metrics["train/planesnet/classification_loss"]
    )


def test_features_are_computed_once_for_all_trials_of_a_study(tmp_path: Path) -> None:
    torch.save(timm.create_model("mobilenetv3_small_050").state_dict(), tmp_path / "net.pth")
    same = {"model__backbone__weights": str(tmp_path / "net.pth")}
    first = trainer(frozen(seed=1, **same), cached(tmp_path))
    entries = features_in(tmp_path)
    times = {path: path.stat().st_mtime_ns for entry in entries for path in entry.iterdir()}
    assert len(entries) == 3
    second = trainer(frozen(seed=2, **same, optim__lr=0.01, datasets__fgvc__head__depth=0), cached(tmp_path))
    assert features_in(tmp_path) == entries
    assert {path: path.stat().st_mtime_ns for entry in entries for path in entry.iterdir()} == times
    place_B = torch.arange(20)
    for name in first.data:
        one, other = first.model.stored[name](place_B), second.model.stored[name](place_B)
        assert all(torch.equal(one[key], other[key]) for key in one)


def asked(cache: Path, seconds: float) -> tuple[Trainer, int]:
    """A trainer that has taken its features, with an encoder that takes ``seconds`` longer for each pass; how many
    pictures it has seen."""
    made, seen = Trainer(frozen(), cached(cache), toy_prompts(), LocalWorker("cpu")), list[int]()

    def see(_: object, inputs: tuple[torch.Tensor], __: object) -> None:
        seen.append(len(inputs[0]))
        time.sleep(seconds)

    made.model.backbone.net.conv_stem.register_forward_hook(see)  # type: ignore[union-attr,operator]
    made.begin()
    return made, sum(seen)


def contents(made: Trainer) -> dict[str, dict[str, str]]:
    """A hash of each stored array of every dataset."""
    found = {}
    for name, stored in sorted(made.model.stored.items()):
        rows = VIEWS * len(made.data[name].splits["train"])
        maps = stored(torch.arange(rows))
        found[name] = {key: hashlib.sha256(maps[key].numpy().tobytes()).hexdigest() for key in sorted(maps)}
    return found


def told(cache: Path, seconds: float) -> None:
    """What another process is asked to print of ``asked``."""
    made, seen = asked(cache, seconds)
    print(json.dumps({"seen": seen, "features": contents(made)}))


def test_of_processes_that_ask_for_features_at_once_one_computes_them(tmp_path: Path) -> None:
    cached(tmp_path)
    code = f"from pathlib import Path; from {__name__} import told; told(Path({str(tmp_path)!r}), 0.2)"
    repository = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=repository) as other:
        while not list(tmp_path.glob(f"{storage.BUILDING}*")):
            assert other.poll() is None, "it ended before it computed anything"
            time.sleep(0.01)
        mine, seen = asked(tmp_path, 0)
        theirs = json.loads(other.communicate()[0])
    splits = [arrays.splits for arrays in mine.data.values()]
    rows = sum(VIEWS * len(split["train"]) + len(split["val"]) for split in splits)
    shapes = len(splits)  # each process looks at one picture of each dataset for the shapes
    assert seen + theirs["seen"] == rows + 2 * shapes
    assert len(features_in(tmp_path)) == len(splits)
    assert theirs["features"] == contents(mine), "both train on the same"


@pytest.mark.parametrize(
    "other",
    [
        {"model__backbone__views": 3},
        {"model__backbone__enlarge": 1},
        {"datasets__fgvc__augment__rotate": 3.0},
        {"precision": "bfloat16"},
    ],
)
def test_other_features_have_an_entry_of_their_own(tmp_path: Path, other: dict[str, Any]) -> None:
    trainer(frozen(), cached(tmp_path))
    before = set(features_in(tmp_path))
    trainer(frozen(**other), cached(tmp_path))
    expected = 1 if "datasets__fgvc__augment__rotate" in other else 3
    assert len(set(features_in(tmp_path)) - before) == expected


def test_features_count_in_the_limit_of_the_cache_and_stay_while_they_are_used(tmp_path: Path) -> None:
    made = trainer(frozen(), cached(tmp_path))
    keep = tmp_path / "none"
    storage.evict(tmp_path, 0, keep)
    assert len(features_in(tmp_path)) == 3
    made.model.stored[name := "fgvc"](torch.arange(2))
    assert name in made.data
    del made
    gc.collect()
    storage.evict(tmp_path, 0, keep)
    assert not features_in(tmp_path)


def test_features_that_no_process_has_open_make_room_for_new_ones(tmp_path: Path) -> None:
    """A study that searches an augmentation stores features anew in many trials."""
    trainer(frozen(), cached(tmp_path))
    gc.collect()
    before = set(features_in(tmp_path))
    data = {name: replace(arrays, limit_bytes=1) for name, arrays in cached(tmp_path).items()}
    made = trainer(frozen(datasets__fgvc__augment__rotate=3.0), data)
    after = set(features_in(tmp_path))
    assert set(made.model.stored) == set(data)
    assert (len(before), len(after), len(before & after)) == (3, 3, 2), "the old ones of fgvc are gone"


def test_features_above_the_limit_that_a_person_gave_are_computed_afresh_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raytune_planes.training.feature_files.SMALL_BYTES", 0)
    data = {name: replace(arrays, limit_bytes=2**10) for name, arrays in cached(tmp_path).items()}
    told: list[str] = []
    assert not trainer(frozen(), data, told).model.stored
    assert [line for line in told if re.match("fgvc: .* GiB of --cache-limit", line)], told
    assert not features_in(tmp_path)


def test_features_of_other_weights_or_other_training_pictures_have_an_entry_of_their_own(tmp_path: Path) -> None:
    files = [tmp_path / "one.pth", tmp_path / "two.pth"]
    for seed, file in enumerate(files):
        torch.manual_seed(seed)
        torch.save(timm.create_model("mobilenetv3_small_050").state_dict(), file)
    (cache := tmp_path / "cache").mkdir()
    one = trainer(frozen(model__backbone__weights=str(files[0])), cached(cache))
    shutil.copy(files[1], files[0])  # under the same name
    other = trainer(frozen(model__backbone__weights=str(files[0])), cached(cache))
    assert len(features_in(cache)) == 6
    place_B = torch.arange(4)
    kept, new = one.model.stored["fgvc"](place_B), other.model.stored["fgvc"](place_B)
    assert not any(torch.equal(kept[key], new[key]) for key in kept)
    fewer = cached(cache)
    arrays = fewer["fgvc"]
    fewer["fgvc"] = replace(arrays, splits={**arrays.splits, "train": arrays.splits["train"][:-1]})  # as a plan leaves
    trainer(frozen(model__backbone__weights=str(files[0])), fewer)
    assert len(features_in(cache)) == 7


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"datasets__fgvc__augment__mixup": 0.2}, "fgvc: .* afresh in every step: datasets.fgvc.augment.mixup and"),
        ({"losses__reconstruction__weight": 1.0}, "planesnet: .* losses.reconstruction reads the pictures themselves"),
    ],
)
def test_what_cannot_be_stored_is_computed_afresh_and_said(more: dict[str, Any], why: str) -> None:
    told: list[str] = []
    made = trainer(frozen(**more), toy_data(), told)
    assert any(re.match(why, line) for line in told), told
    assert set(made.model.stored) == ({"planesnet", "hrplanes"} if "fgvc" in why else set())
    assert all(np.isfinite(v) for v in made.train_epoch(["fgvc", "planesnet", "hrplanes"]).values())


def test_an_encoder_that_learns_has_no_stored_features() -> None:
    assert not trainer(frozen(model__backbone__freeze=False), toy_data()).model.stored


def test_the_own_encoder_is_stored_where_freeze_names_it() -> None:
    config = toy_config(freeze="backbone", model__backbone__views=1)
    made = trainer(config, data := toy_data())
    name = "hrplanes"
    batch = made._streams[name].batch(0)
    assert batch.place_B is not None
    shapes = [tuple(m.shape[1:]) for m in made.model.stored[name](batch.place_B).values()]
    assert shapes == [(8, 8, 8), (16, 4, 4), (32, 2, 2)]  # segmentation reads all of them
    assert list(made.model.stored["fgvc"](batch.place_B)) == ["2"]
    assert set(made.model.stored) == set(data)


def test_a_full_disk_is_told_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    data = cached(tmp_path)
    monkeypatch.setattr("raytune_planes.datasets.storage.save", full)
    with pytest.raises(UserError, match=r"no room for \d+ MiB of features .* model.backbone.views=0"):
        trainer(frozen(), data)
