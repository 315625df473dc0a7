"""What people export is trained on, tuned, reported and answered for: COCO, Roboflow's YOLO, VOC, and 16-bit TIFF."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from raytune_planes.cli import main
from raytune_planes.tracking import reading
from raytune_planes.tracking.files import SHARED
from tests.datasets.label_formats.exports import BOXES, coco, scene, voc, yolo

SPLITS = {"train": 6, "valid": 2, "test": 2}
"""Scenes of each; a scene has six tiles, of which two show a plane and two of the others are kept."""
TINY: Mapping[str, object] = {
    **{"model.backbone.width": 8, "model.dit.heads": 2, "model.decoder.width": 4, "stopping.rule": "none"},
    **{"budget.epochs": 1, "budget.steps_per_epoch": 8, "budget.batch_size": 8},
}
SCENES = {"reader": "hrplanes", "tile": 64, "image_size": 16, "head.width": 16}
OWN: Mapping[str, Mapping[str, object]] = {
    "coco": {**SCENES, "classes": "airplane"},
    "roboflow": SCENES,
    "voc": SCENES,
    "deep": {"reader": "image_folder", "image_size": 16, "head.width": 16},
}


def write_coco(root: Path) -> None:
    for split, count in SPLITS.items():
        names = [f"{split}{n}.png" for n in range(count)]
        for name in names:
            scene(root / split / name)
        table = coco(root / split / "_annotations.coco.json", dict.fromkeys(names, BOXES), names=("airplane", "ship"))
        table["annotations"] += [{"id": 99, "image_id": 0, "category_id": 2, "bbox": [140, 80, 20, 20]}]
        (root / split / "_annotations.coco.json").write_text(json.dumps(table))


def write_roboflow(root: Path) -> None:
    for split, count in SPLITS.items():
        for n in range(count):
            name = f"{split}{n // 2}_jpg.rf.{n:032x}"
            scene(root / split / "images" / f"{name}.jpg")
            yolo(root / split / "labels" / f"{name}.txt")
    places = "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n"
    (root / "data.yaml").write_text(f"{places}nc: 1\nnames: ['airplane']\n")


def write_voc(root: Path) -> None:
    for split, count in SPLITS.items():
        names = [f"{split}{n}" for n in range(count)]
        for name in names:
            scene(root / "JPEGImages" / f"{name}.jpg")
            voc(root / "Annotations" / f"{name}.xml")
        path = root / "ImageSets" / "Main" / f"{split.removesuffix('id')}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{name}\n" for name in names))


def write_deep(root: Path) -> None:
    """Bars across and bars down, of 11 bits, as satellites take them."""
    random = np.random.default_rng(0)
    for name in ("across", "down"):
        (root / name).mkdir(parents=True)
        for n in range(20):
            pixels = random.integers(100, 300, (20, 20), np.uint16)
            at = int(random.integers(3, 14))
            pixels[at : at + 4] += 1500
            Image.fromarray(pixels.T if name == "down" else pixels).save(root / name / f"{n}.tif")


METRICS = {"coco": "iou", "roboflow": "iou", "voc": "iou", "deep": "accuracy"}
PICTURES = {
    "coco": "test/test0.png",
    "roboflow": f"test/images/test0_jpg.rf.{0:032x}.jpg",
    "voc": "JPEGImages/test0.jpg",
    "deep": "down/0.tif",
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exports")
    for name, write in (("coco", write_coco), ("roboflow", write_roboflow), ("voc", write_voc), ("deep", write_deep)):
        write(folder / name)
    return folder


def settings(root: Path) -> dict[str, object]:
    own = {f"datasets.{name}.{key}": value for name, given in OWN.items() for key, value in given.items()}
    return {**TINY, **own, **{f"datasets.{name}.root": str(root / name) for name in OWN}}


def answers(model: list[str], root: Path, capsys: pytest.CaptureFixture) -> None:
    """Ask for a picture of each, and look at what is told of it."""
    for name, picture in PICTURES.items():
        assert main(["predict", *model, str(root / name / picture), "--dataset", name, "--json"]) == 0
        (told,) = json.loads(capsys.readouterr().out)
        assert told["dataset"] == name
        assert told["size"] == ([20, 20] if name == "deep" else [192, 128])
        assert (told["tiles"] > 1) == (name != "deep")
        assert {found["label"] for found in told["labels"]} == (
            {"across", "down"} if name == "deep" else {"background", "plane"}
        )


def test_each_export_is_trained_on_and_answered_for(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    given = [part for path, value in settings(root).items() for part in ("--set", f"{path}={value}")]
    place = ["--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "run")]
    assert main(["train", "--only", ",".join(OWN), *given, *place, "--test"]) == 0
    said = capsys.readouterr().out
    for name in ("coco", "roboflow", "voc"):
        assert f"{name}: 24 train, 8 val, 8 test; 2 classes at 16 px" in said
    assert "coco: 3 boxes of classes that are no planes (ship), counted as background" in said
    assert "deep: 32 train, 4 val, 4 test; 2 classes at 16 px" in said
    assert "SYNTHETIC" not in said
    answers([str(tmp_path / "run" / "best.pt")], root, capsys)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_all_exports_are_tuned_reported_and_answered_for(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    space = {
        "about": "Which learning rate suits what people export?",
        "objectives": [{"metric": f"val/{name}/{own}", "mode": "max"} for name, own in METRICS.items()],
        "fixed": {
            **settings(root),
            **{f"datasets.{name}.enabled": False for name in ("planesnet", "hrplanes", "fgvc")},
        },
        "search": {"optim.lr": {"float": [0.0003, 0.01], "log": True}},
    }
    (tmp_path / "exports.yaml").write_text(yaml.safe_dump(space))
    place = ["--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "out")]
    assert (
        main(["tune", str(tmp_path / "exports.yaml"), *place, "--trials", "2", "--name", "exports", "--no-references"])
        == 0
    )
    study = json.loads((tmp_path / "out" / "exports" / "study.json").read_text())
    assert set(study["start"]["data"]) == set(OWN)
    capsys.readouterr()
    assert main(["best", "exports", "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert all(f"val/{name}/{own}" in said for name, own in METRICS.items())
    assert " alone" not in said, "--no-references: no column, and nothing was trained alone"
    assert not (tmp_path / "out" / SHARED).exists()
    assert reading.read_study(tmp_path / "out" / "exports").alone == {}
    assert main(["report", "exports", "--out", str(tmp_path / "out"), "--to", str(tmp_path / "report")]) == 0
    (page,) = (path.read_text() for path in (tmp_path / "report").glob("*.html"))
    assert all(name in page for name in OWN)
    capsys.readouterr()
    answers(["exports", "--studies", str(tmp_path / "out")], root, capsys)
