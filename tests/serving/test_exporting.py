"""Exported files answer as the model does, in the programs that run them elsewhere; what does not is refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image

from raytune_planes.cli import main
from raytune_planes.records import Goal, Objective
from raytune_planes.serving import ensemble
from raytune_planes.serving.export_formats import FORMATS
from raytune_planes.serving.exporting import OUTPUTS, export, noise
from raytune_planes.serving.predictor import Predictor
from raytune_planes.training.loop import train
from tests.toy import INFOS, SIDE, toy_config, toy_data, toy_prompts

PICTURES = 50


@pytest.fixture(scope="module")
def model(weights: Path) -> Predictor:
    return Predictor.load(weights, "cpu")


def pictures(dataset: str) -> np.ndarray:
    return toy_data(PICTURES)[dataset].images_NHWC


def in_onnxruntime(path: Path, pixels_NHWC: np.ndarray) -> dict[str, np.ndarray]:
    """Written without this package: all pictures in one run, one picture in another."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    pixels_NCHW = np.ascontiguousarray(pixels_NHWC.transpose(0, 3, 1, 2))
    first = session.run(None, {"pixels": pixels_NCHW[:1]})
    whole = session.run(None, {"pixels": pixels_NCHW})
    for one, all_N in zip(first, whole, strict=True):
        np.testing.assert_allclose(one, all_N[:1], atol=1e-4)
    return dict(zip(names, whole, strict=True))


def of_model(model: Predictor, dataset: str, pixels_NHWC: np.ndarray) -> dict[str, Any]:
    found = model.predict(dataset, torch.from_numpy(pixels_NHWC).permute(0, 3, 1, 2))
    return {"probability": found.probability_BK, "mask": found.mask_BHW, "embedding": found.embedding_BW}


@pytest.mark.parametrize("dataset", INFOS)
def test_onnx_answers_as_the_model_on_50_pictures(model: Predictor, dataset: str, tmp_path: Path) -> None:
    pixels_NHWC, out = pictures(dataset), tmp_path / "model.onnx"
    parity = export(model, dataset, "onnx", out, pixels_NHWC)
    assert parity.pictures == PICTURES
    assert parity.largest <= 1e-4
    found, expected = in_onnxruntime(out, pixels_NHWC), of_model(model, dataset, pixels_NHWC)
    assert set(found) == {name for name, tensor in expected.items() if tensor is not None}
    for name, array in found.items():
        np.testing.assert_allclose(array, expected[name].numpy(), atol=1e-4)
    (about,) = [json.loads(p.value) for p in onnx.load(out).metadata_props if p.key == "about.json"]
    assert about["classes"] == list(INFOS[dataset].classes)
    assert about["input"] == {"pixels": ["N", 3, SIDE, SIDE], "type": "uint8", "order": "RGB"}
    assert list(about["outputs"]) == list(found)
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"], "one file, with its weights"


@pytest.mark.filterwarnings("ignore:`torch.jit.load` is deprecated:FutureWarning")
@pytest.mark.parametrize("kind", ["torch.export", "torchscript"])
def test_programs_of_torch_answer_as_the_model_on_50_pictures(model: Predictor, kind: str, tmp_path: Path) -> None:
    pixels_NHWC, out = pictures("hrplanes"), tmp_path / "model"
    export(model, "hrplanes", kind, out, pixels_NHWC)
    pixels_NCHW = torch.from_numpy(pixels_NHWC).permute(0, 3, 1, 2).contiguous()
    about = {"about.json": ""}
    if kind == "torchscript":
        program = torch.jit.load(out, _extra_files=about)
    else:
        with out.open("rb") as file:
            program = torch.export.load(file, extra_files=about).module()
    with torch.no_grad():
        found = program(pixels_NCHW)
    for name, tensor in zip(json.loads(about["about.json"])["outputs"], found, strict=True):
        expected = of_model(model, "hrplanes", pixels_NHWC)[name]
        np.testing.assert_allclose(tensor.numpy(), expected.numpy(), atol=1e-4)


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind != "onnx"])  # those of ONNX: the next test
def test_oriented_boxes_are_exported_as_the_model_tells_them(kind: str, tmp_path: Path) -> None:
    config = toy_config(budget__epochs=1, budget__steps_per_epoch=6, losses__oriented_detection__weight=1.0)
    goal = Goal((Objective("val/hrplanes/iou"),))
    train(config, toy_data(), toy_prompts(), goal, report=lambda _, checkpoint: checkpoint.save(tmp_path))
    parity = export(
        Predictor.load(tmp_path / "best.pt", "cpu"), "hrplanes", kind, tmp_path / "out", pictures("hrplanes")
    )
    assert {"oriented_score", "oriented_boxes"} <= set(parity.differences)
    assert parity.largest <= 1e-4


@pytest.mark.slow
def test_onnx_of_a_pretrained_encoder_with_a_detector_answers_as_the_model(tmp_path: Path) -> None:
    lite0 = {"model__backbone__kind": "efficientnet_lite0", "model__backbone__weights": "pretrained"}
    boxes = {f"losses__{name}__weight": 1.0 for name in ("detection", "oriented_detection")}
    config = toy_config(budget__epochs=1, budget__steps_per_epoch=6, **boxes, **lite0)
    goal = Goal((Objective("val/hrplanes/iou"),))
    train(config, toy_data(), toy_prompts(), goal, report=lambda _, checkpoint: checkpoint.save(tmp_path))
    model, out = Predictor.load(tmp_path / "best.pt", "cpu"), tmp_path / "lite0.onnx"
    parity = export(model, "hrplanes", "onnx", out, pictures("hrplanes"))
    assert set(parity.differences) == set(OUTPUTS), "masks and both kinds of boxes, too"
    assert parity.largest <= 1e-4
    found, expected = in_onnxruntime(out, pictures("hrplanes")), of_model(model, "hrplanes", pictures("hrplanes"))
    for name, tensor in expected.items():
        np.testing.assert_allclose(found[name], tensor.numpy(), atol=1e-4)


def test_a_file_that_answers_otherwise_is_refused_and_the_one_before_stays(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "model.onnx"
    out.write_bytes(b"before")
    line = ["export", str(weights), "--format", "onnx", "--dataset", "planesnet", "--out", str(out)]
    assert main([*line, "--tolerance", "0"]) == 2
    said = capsys.readouterr().err
    assert "onnx answers otherwise than the model: the largest difference on 50 pictures is " in said
    assert "more than 0e+00; nothing was written" in said
    assert out.read_bytes() == b"before"
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_the_command_checks_on_given_pictures_and_tells_the_largest_difference(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "chips").mkdir()
    for n, pixels in enumerate(pictures("planesnet")):
        Image.fromarray(pixels).save(tmp_path / "chips" / f"{n}.png")
    out = tmp_path / "model.ts"
    line = ["export", str(weights), "--format", "torchscript", "--dataset", "planesnet", "--out", str(out)]
    assert main([*line, "--pictures", str(tmp_path / "chips")]) == 0
    said = capsys.readouterr().out
    assert f"{out}: torchscript of dataset planesnet, " in said
    assert "largest difference from the model on 50 pictures: " in said
    assert float(said.partition("on 50 pictures: ")[2].split()[0]) <= 1e-4
    assert main(line) == 0
    assert "on 50 pictures of noise (--pictures names real ones): " in capsys.readouterr().out


def test_noise_has_the_side_that_the_model_sees(model: Predictor) -> None:
    assert noise(model, "hrplanes", 5).shape == (5, SIDE, SIDE, 3)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([], "a file answers for one dataset: choose one of planesnet, hrplanes, fgvc with --dataset"),
        (["--dataset", "fvgc"], "the model knows no dataset 'fvgc'; did you mean 'fgvc'?"),
        (["--dataset", "fgvc", "--pictures", "nowhere"], "no file or folder nowhere"),
    ],
)
def test_what_is_missing_is_said(
    more: list[str], message: str, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(weights), "--format", "torchscript", "--out", str(tmp_path / "x"), *more]) == 2
    assert message in capsys.readouterr().err


def test_a_folder_that_does_not_exist_is_named(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["export", str(weights), "--dataset", "fgvc", "--format", "torchscript"]
    assert main([*line, "--out", str(tmp_path / "no" / "x.ts")]) == 2
    assert f"no folder {tmp_path / 'no'} to write x.ts into; make it first" in capsys.readouterr().err


def test_without_the_packages_of_onnx_it_is_said_how_they_come(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    line = ["export", str(weights), "--dataset", "fgvc", "--format", "onnx", "--out", str(tmp_path / "x.onnx")]
    assert main(line) == 2
    assert "onnx needs onnxscript: install the extra 'export'" in capsys.readouterr().err


def test_an_ensemble_is_not_one_model(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "both"
    rules = {name: ensemble.Rule((1.0,), (1.0,) if info.has_masks else ()) for name, info in INFOS.items()}
    ensemble.save(folder, [(weights, {})], rules, {})
    line = ["export", str(folder), "--dataset", "fgvc", "--format", "torchscript", "--out", str(tmp_path / "x.ts")]
    assert main(line) == 2
    assert "is an ensemble, which is several models; export one of its members" in capsys.readouterr().err


def test_every_format_of_the_command_has_a_writer() -> None:
    from raytune_planes.commands.export import FORMATS as OFFERED

    assert tuple(FORMATS) == OFFERED
