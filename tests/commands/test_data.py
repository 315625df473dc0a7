"""``data``: what it tells, writes, draws and refuses, and that a study follows its plan."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from PIL import Image

from raytune_planes.cli import main
from raytune_planes.commands import data_estimate
from raytune_planes.config import Dataset
from raytune_planes.datasets import estimate, reader
from raytune_planes.datasets.cache import decode
from raytune_planes.datasets.cleaning import read_plan
from raytune_planes.datasets.records import encoded
from raytune_planes.datasets.synthetic import synthesise
from raytune_planes.errors import UserError
from raytune_planes.settings import make_config
from tests.datasets.hygiene.test_copies import smooth
from tests.datasets.label_formats.exports import BOXES, coco, scene

SCENES = ["--set", "datasets.mine.reader=image_folder"]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    root = tmp_path / "pictures"
    for label, name in enumerate(("glider", "jet")):
        (root / name).mkdir(parents=True)
        for n in range(12):
            smooth(50 * label + n).save(root / name / f"{n:02d}.png")
    smooth(3).save(root / "glider" / "same.png")
    return root


def test_a_folder_of_classes_is_looked_through_as_mine(pictures: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["data", str(pictures)]) == 0
    said = capsys.readouterr().out
    for part in (
        "mine: 25 pictures in 25 groups",
        "glider",
        "identical: 2 pictures in 1 group; 0 groups with several labels",
        "40 x 40 (25)",
    ):
        assert part in said
    assert "glider/03.png = glider/same.png" in said


def test_json_is_one_document_with_every_number(pictures: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["data", str(pictures), "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert told["pictures"] == 25
    assert told["copies"]["identical"]["examples"] == [["glider/03.png", "glider/same.png"]]


def test_synthetic_data_is_called_so_and_drawn_so(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    synthesise(tmp_path / "data", planesnet=24, hrplanes=3, fgvc=0, fgvc_classes=2, seed=0, scene_side=320)
    assert main(["data", str(tmp_path / "data"), "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "planesnet: SYNTHETIC 24 pictures" in said
    assert "boxes: " in said
    assert "fgvc" not in said
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"data.json", "data-brightness.png", "data-planesnet-classes.svg", "data-hrplanes-boxes.png"} <= names
    assert {"data-planesnet-pictures.png", "data-hrplanes-pictures.svg"} <= names
    assert "SYNTHETIC" in (tmp_path / "out" / "data-brightness.svg").read_text()


def test_the_plan_is_written_and_nothing_is_deleted(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    before = sorted(pictures.rglob("*"))
    assert main(["data", str(pictures), "--clean", str(tmp_path / "plan.json")]) == 0
    assert "leaves out 1 picture; use it with --set datasets.mine.clean=" in capsys.readouterr().err
    assert len(read_plan(tmp_path / "plan.json", "mine").drop) == 1
    assert sorted(pictures.rglob("*")) == before


def test_strict_fails_on_faults_alone(pictures: Path) -> None:
    (pictures / "glider" / "same.png").unlink()
    assert main(["data", str(pictures), "--strict"]) == 0
    (pictures / "glider" / "notes.txt").write_text("no picture, and told in a note")
    assert main(["data", str(pictures), "--strict"]) == 0
    Image.new("RGB", (8, 8)).save(pictures / "glider" / "blank.png")
    assert main(["data", str(pictures), "--strict"]) == 1
    (pictures / "glider" / "blank.png").unlink()
    smooth(3).save(pictures / "jet" / "same.png")
    assert main(["data", str(pictures), "--strict"]) == 1


def test_a_dataset_that_cannot_be_listed_is_told_and_the_others_looked_at(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    synthesise(tmp_path, planesnet=24, hrplanes=0, fgvc=0, fgvc_classes=2, seed=0)
    (tmp_path / "hrplanes").mkdir()
    assert main(["data", str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert "planesnet: SYNTHETIC 24" in said.out
    assert "hrplanes cannot be listed: " in said.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no/such"], "no folder no/such; name one that holds datasets, or folders of classes"),
        ([], "nothing to check: give DIR"),
        (["."], "holds 0 folders of pictures; at least two classes are needed"),
        ([*SCENES, "--set", "datasets.mine.root=gone"], "no folder gone"),
        ([".", "--set", "datasets.mnie.root=x"], "no dataset 'mnie'"),
    ],
)
def test_what_cannot_be_looked_at_is_refused(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["data", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_figures_that_cannot_be_written_are_told(pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "file").touch()
    assert main(["data", str(pictures), "--out", str(tmp_path / "file" / "x")]) == 2
    assert "choose another --out" in capsys.readouterr().err


def test_links_into_a_named_folder_are_followed(pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "linked").mkdir()
    for name in ("glider", "jet"):
        (tmp_path / "linked" / name).symlink_to(pictures / name)
    assert main(["data", str(tmp_path / "linked")]) == 2
    assert f"(for the verb data: --follow-links {pictures / 'glider'})" in capsys.readouterr().err
    assert main(["data", str(tmp_path / "linked"), "--json", "--follow-links", str(pictures)]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert told["pictures"] == 25


def test_a_reader_that_is_named_reads_the_folder_itself(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for n in range(6):
        scene(tmp_path / "images" / f"{n}.png")
    coco(tmp_path / "annotations.json", {f"{n}.png": BOXES for n in range(6)})
    assert main(["data", str(tmp_path)]) == 2
    assert "shows that this is an export as COCO: set datasets.mine.reader=hrplanes" in capsys.readouterr().err
    assert main(["data", str(tmp_path), "--json", "--set", "datasets.mine.reader=hrplanes"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["dataset"], told["pictures"], told["boxes"]["boxes"]) == ("mine", 6, 12)


SMALL = ["model.backbone.width=8", "model.dit.heads=2", "model.decoder.width=4", "budget.batch_size=4"]


def test_an_estimate_tells_the_exact_size_and_what_was_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is decoded afterwards has this size to the byte."""
    synthesise(tmp_path / "data", planesnet=24, hrplanes=3, fgvc=0, fgvc_classes=2, seed=0, scene_side=320)
    sizes = ["datasets.planesnet.image_size=24", "datasets.hrplanes.image_size=32", "datasets.hrplanes.tile=100"]
    stages = ["plan=apart, together", "stages.apart.budget.epochs=2", "stages.together.budget.epochs=3"]
    given = [part for setting in (*SMALL, *sizes, *stages) for part in ("--set", setting)]
    monkeypatch.setattr(data_estimate, "SECONDS", 0.0)
    assert main(["data", str(tmp_path / "data"), "--json", "--estimate", *given]) == 0
    told = {each["dataset"]: each["estimate"] for each in json.loads(capsys.readouterr().out)}
    assert told.keys() == {"planesnet", "hrplanes"}
    config = make_config({path: int(v) for path, v in (setting.split("=") for setting in (*SMALL, *sizes))})
    for name, own in told.items():
        arrays = decode(reader(name, config.datasets[name], tmp_path / "data"), tmp_path / "cache")
        masks = 0 if arrays.masks_NHW is None else arrays.masks_NHW.nbytes
        scenes = 0 if arrays.scenes is None else arrays.scenes.pixels.nbytes
        assert own["decoded_bytes"] == own["disk_bytes"] == arrays.images_NHWC.nbytes + masks + scenes
        assert own["samples"] == len(arrays.labels_N)
        assert own["compressed"] is False
        assert own["decode_seconds"] > 0
        assert own["processors"] >= 1
        assert 0 < own["measured_on"] <= own["samples"]
    assert told["planesnet"]["decoded_bytes"] == 24 * 24 * 24 * 3
    training = told["planesnet"]["training"]
    assert training == told["hrplanes"]["training"]
    assert training["shared_bytes"] == sum(own["disk_bytes"] for own in told.values())
    assert training["samples_per_hour"] == pytest.approx(4 * training["steps_per_hour"], abs=4)
    assert training["trial_samples"] == (2 + 3) * config.budget.steps_per_epoch * 4
    expected = training["trial_samples"] / training["samples_per_hour"] * 3600
    assert training["trial_seconds"] == pytest.approx(expected, rel=0.01, abs=0.1)
    assert training["memory_bytes"] > 2**20
    assert training["own_parameters"] == {"planesnet": 0, "hrplanes": 0}
    assert training["steps_per_hour"] > 0


def test_an_estimate_is_told_in_sentences(
    pictures: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_estimate, "SECONDS", 0.0)
    given = [part for setting in SMALL for part in ("--set", setting)]
    assert main(["data", str(pictures), "--estimate", *given]) == 0
    said = capsys.readouterr().out
    assert "mine: 25 samples take 0.3 MiB in the cache; decoding takes about " in said
    assert "training: about " in said
    assert " samples (" in said
    assert "0.3 MiB of decoded pictures; a trial of " in said
    samples = make_config().budget.epochs * make_config().budget.steps_per_epoch * 4
    assert f"a trial of {samples:,} samples takes" in said
    folds = ["--set", "split.kind=kfold", "--set", "split.folds=3"]
    assert main(["data", str(pictures), "--estimate", *given, *folds]) == 0
    assert f"a trial of {3 * samples:,} samples takes" in capsys.readouterr().out, "it trains on every fold"
    assert re.search(r"^model: \d+,\d{3} parameters$", said, re.MULTILINE)


def test_an_estimate_tells_what_the_encoder_has_for_each_dataset_alone(
    pictures: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_estimate, "SECONDS", 0.0)
    given = [part for setting in (*SMALL, "model.sharing=adapters") for part in ("--set", setting)]
    assert main(["data", str(pictures), "--estimate", *given]) == 0
    own = sum(2 * c * (c // 2) + c for c in (8, 16, 32))
    assert f"in the image encoder for one dataset alone (model.sharing): mine {own:,}" in capsys.readouterr().out


def test_what_exceeds_the_limit_is_estimated_as_it_would_be_kept(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimate, "SMALL_BYTES", 0)
    own = reader("mine", Dataset(reader="image_folder", root=str(pictures), image_size=64), None)
    size = 25 * 64 * 64 * 3
    listing = own.scan()
    assert estimate.measure(own, listing, size)[0].disk_bytes == size
    found, arrays = estimate.measure(own, listing, size - 1)
    assert found.compressed
    assert found.decoded_bytes == size
    assert found.measured == 25
    assert found.disk_bytes == sum(len(encoded(picture)) for picture in arrays.images_NHWC)


def test_a_dataset_of_which_nothing_can_be_decoded_has_no_estimate(pictures: Path) -> None:
    own = reader("mine", Dataset(reader="image_folder", root=str(pictures)), None)
    listing = own.scan()
    for path in pictures.rglob("*.png"):
        path.write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"nothing can be estimated, as none of 25 files can be decoded: .*png"):
        estimate.measure(own, listing)
