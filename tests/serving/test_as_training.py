"""A file becomes for a trained model what it was in training, whichever reader the dataset has."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from raytune_planes.catalog import CATALOG
from raytune_planes.datasets import cache, planesnet, reader
from raytune_planes.datasets.base import Reader
from raytune_planes.datasets.synthetic import synthesise
from raytune_planes.records import EpochRecord
from raytune_planes.scenes.grid import Grid
from raytune_planes.serving import Predictor
from raytune_planes.serving.split_predictions import predict_split, resized
from raytune_planes.training import checkpoint
from raytune_planes.training.trainer import Trainer
from raytune_planes.training.workers import LocalWorker
from tests.toy import toy_config


def drawn(folder: Path, **counts: int) -> Path:
    """Some of the product's own pictures."""
    synthesise(folder, **{"planesnet": 0, "hrplanes": 0, "fgvc": 0, "fgvc_classes": 2, "seed": 3, **counts})
    return folder


def folders(folder: Path) -> Path:
    """Pictures of two classes in several sizes and formats, one lying on its side, with masks."""
    random = np.random.default_rng(0)
    for number in range(24):
        path = folder / "image_folder" / f"class {number % 2}" / f"{number}.{'jpg' if number % 3 else 'png'}"
        mask = folder / "image_folder" / "masks" / path.relative_to(folder / "image_folder").with_suffix(".png")
        for each in (path, mask):
            each.parent.mkdir(parents=True, exist_ok=True)
        height, width = random.integers(20, 90, 2).tolist()
        picture = Image.fromarray(random.integers(0, 256, (height, width, 3), np.uint8))
        turned = Image.Exif()
        turned[0x0112] = 6 if number == 1 else 1
        picture.save(path, exif=turned)
        inside = random.integers(0, 2, (width, height) if number == 1 else (height, width), np.uint8)
        Image.fromarray(inside * 255).save(mask)
    return folder


MAKES: dict[str, Callable[[Path], Path]] = {
    "planesnet": lambda folder: drawn(folder, planesnet=72),
    "hrplanes": lambda folder: drawn(folder, hrplanes=4),
    "fgvc": lambda folder: drawn(folder, fgvc=18),
    "image_folder": folders,
}


def test_every_reader_is_held_to_it() -> None:
    assert MAKES.keys() == CATALOG.keys()


SHAPES: dict[str, dict[str, object]] = {
    "as decoded": {"image_size": 24},
    "smaller than decoded": {"image_size": 24, "decoded_size": 40, "augment__crop_min": 0.3},
    "padded": {"image_size": 24, "fit": "pad"},
    "cropped": {"image_size": 24, "decoded_size": 32, "fit": "crop"},
    "the middle": {"image_size": 32, "decoded_size": 40, "eval_crop": 0.8, "augment__crop_min": 0.3},
}
"""Settings on the shape of pictures."""


def shaped(name: str, shape: str) -> dict[str, object]:
    if name == "hrplanes" and "eval_crop" in SHAPES[shape]:
        pytest.skip("scenes are evaluated whole")
    return {f"datasets__{name}__{key}": value for key, value in SHAPES[shape].items()}


def trained(
    name: str, read: Reader, folder: Path, precision: str, shape: str = "as decoded"
) -> tuple[Trainer, Predictor]:
    """A model of two steps, and its checkpoint, loaded."""
    arrays = cache.decode(read, folder / "cache")
    off = {f"datasets__{other}__enabled": False for other in CATALOG if CATALOG[other].standard and other != name}
    more = {f"datasets__{name}__enabled": True, **shaped(name, shape), "precision": precision}
    config = toy_config(**off, **more, losses__detection__weight=1.0)
    rows = np.random.default_rng(0).normal(size=(len(arrays.info.classes), 12)).astype(np.float32)
    trainer = Trainer(config, {name: arrays}, {name: rows / np.linalg.norm(rows, axis=1)[:, None]}, LocalWorker("cpu"))
    trainer.train_epoch([name] * 2)
    metrics = trainer.evaluate("test")
    state = trainer.model_state(EpochRecord(1, 2, 16, metrics, frozenset(), (), 1.0, 0))
    checkpoint.save(state, folder / "best.pt")
    return trainer, Predictor.load(folder / "best.pt")


@pytest.mark.parametrize(("precision", "shape"), [("bfloat16", "as decoded"), *(("float32", s) for s in SHAPES)])
@pytest.mark.parametrize("name", list(CATALOG))
def test_the_answer_from_a_file_is_the_evaluations_bit_for_bit(
    name: str, precision: str, shape: str, tmp_path: Path
) -> None:
    settings = toy_config(**shaped(name, shape)).datasets[name]
    read = reader(name, settings, MAKES[name](tmp_path), 0)
    trainer, predictor = trained(name, read, tmp_path, precision, shape)
    samples, arrays = read.scan().samples, trainer.data[name]
    for place, sample in enumerate(samples):  # of every split
        shown = predictor.learnt[name].reader.show(sample.path, sample.window)
        assert np.array_equal(shown, arrays.images_NHWC[place]), sample
    trainer.evaluate("test")
    said = trainer.predictions()[name]
    decoded = np.stack([read.show(samples[i].path, samples[i].window) for i in said.pictures_N])
    shown = predictor.learnt[name].seen.pixels(decoded)
    assert shown.shape[1] == settings.image_size
    output = predictor.outputs(name, torch.from_numpy(shown).permute(0, 3, 1, 2))
    logits_NK = output["classification"].logits_BK
    assert np.array_equal(logits_NK.numpy(), said.logits_NK)
    kept = predict_split(predictor, name, arrays, "test")  # what ensembles are made of
    assert np.array_equal(kept.probability_NK, logits_NK.softmax(1).numpy())
    if "segmentation" in output:
        assert np.array_equal(kept.mask_NHW, output["segmentation"].sigmoid().half().numpy())


@pytest.mark.parametrize("shape", list(SHAPES))
@pytest.mark.parametrize("name", ["planesnet", "fgvc", "image_folder"])
def test_a_picture_alone_is_answered_as_in_the_evaluation(name: str, shape: str, tmp_path: Path) -> None:
    """In a batch of its own sums round differently: to the sixth digit."""
    settings = toy_config(**shaped(name, shape)).datasets[name]
    read = reader(name, settings, MAKES[name](tmp_path), 0)
    trainer, predictor = trained(name, read, tmp_path, "float32", shape)
    samples, kept = read.scan().samples, predict_split(predictor, name, trainer.data[name], "test")
    for row, i in enumerate(trainer.data[name].splits["test"]):
        for source in (samples[i].path, samples[i].path.read_bytes()):
            look = predictor.infer(name, source)
            assert look.tiles == 1
            assert look.probability_NK[0] == pytest.approx(kept.probability_NK[row], abs=1e-5)
            whole = shape in ("as decoded", "smaller than decoded")  # else see test_unframed.py
            if kept.mask_NHW is not None and whole:  # a picture that was learnt whole is not cut into tiles
                assert look.mask_HW == pytest.approx(kept.mask_NHW[row], abs=1e-3)


@pytest.mark.parametrize("shape", ["as decoded", "smaller than decoded"])
def test_a_scene_of_one_tile_is_answered_as_that_tile(shape: str, tmp_path: Path) -> None:
    settings = toy_config(**shaped("hrplanes", shape)).datasets["hrplanes"]
    read = reader("hrplanes", settings, MAKES["hrplanes"](tmp_path), 0)
    trainer, predictor = trained("hrplanes", read, tmp_path, "float32", shape)
    samples, kept = read.scan().samples, predict_split(predictor, "hrplanes", trainer.data["hrplanes"], "test")
    for row, i in enumerate(trainer.data["hrplanes"].splits["test"]):
        with Image.open(samples[i].path) as scene:
            file = io.BytesIO()
            scene.crop(samples[i].window).save(file, "PNG")
        look = predictor.infer("hrplanes", file.getvalue())
        assert look.tiles == 1
        # Cut out, a tile's edge has no neighbours for the filter that reduces it: some pixels differ.
        assert look.mask_HW is not None
        side = read.image_size  # scenes are joined as they are decoded
        assert look.mask_HW == pytest.approx(resized(kept.mask_NHW[row][None], side, side)[0], abs=0.1)


def test_a_scene_is_read_by_predict_as_by_the_evaluation_bit_for_bit(tmp_path: Path) -> None:
    settings = toy_config(datasets__hrplanes__image_size=24).datasets["hrplanes"]
    assert settings.tile == "auto"
    read = reader("hrplanes", settings, MAKES["hrplanes"](tmp_path), 0)
    trainer, predictor = trained("hrplanes", read, tmp_path, "float32")
    arrays = trainer.data["hrplanes"]
    assert arrays.scenes is not None
    assert predictor.learnt["hrplanes"].reader.tile == read.tile == arrays.info.tile
    for number, scene in enumerate(read.scan().scenes):
        mine = predictor.learnt["hrplanes"].cut(scene.path, None)
        step = arrays.scenes.step(number, arrays.info.tile)
        theirs = Grid(arrays.scenes.image(number), step, 24, *arrays.scenes.size(number))
        assert isinstance(mine, Grid)
        assert (mine.step, mine.windows, mine.across, mine.down) == (step, theirs.windows, 640, 640)
        assert len(mine.windows) > 4
        assert all(map(np.array_equal, mine.pixels(), theirs.pixels()))


def test_a_row_of_a_table_is_shown_as_the_same_chip_in_a_file(tmp_path: Path) -> None:
    chips = [
        planesnet.Chip(np.random.default_rng(n).integers(0, 256, (20, 20, 3), np.uint8), n % 2, f"s{n // 2}", 0.0, 0.0)
        for n in range(12)
    ]
    planesnet.write(tmp_path / "planesnet", chips, as_json=True)
    read = reader("planesnet", toy_config(datasets__planesnet__image_size=24).datasets["planesnet"], tmp_path)
    for sample, chip in zip(read.scan().samples, chips, strict=True):
        file = io.BytesIO()
        Image.fromarray(chip.image_HWC).save(file, "PNG")
        assert np.array_equal(read.load(sample)[0], read.show(file.getvalue()))
