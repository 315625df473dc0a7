"""A file of 8-bit integers is calibrated on pictures, says what it loses, and answers in the model's place."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from raytune_planes.cli import main
from raytune_planes.errors import UserError
from raytune_planes.serving import int8
from raytune_planes.serving.exported import Exported
from raytune_planes.serving.exporting import compared, export
from raytune_planes.serving.file_judging import lost
from raytune_planes.serving.predictor import Predictor
from raytune_planes.serving.split_predictions import judged, predict_split, truth
from raytune_planes.training import checkpoint
from tests.toy import INFOS, toy_data

DATASET = "hrplanes"


@pytest.fixture(scope="module")
def files(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same model with floats and with 8-bit integers."""
    folder = tmp_path_factory.mktemp("int8")
    model, pixels_NHWC = Predictor.load(weights, "cpu"), toy_data()[DATASET].images_NHWC
    export(model, DATASET, "onnx", folder / "float.onnx", pixels_NHWC)
    pixels_NCHW = np.ascontiguousarray(pixels_NHWC.transpose(0, 3, 1, 2))
    int8.quantised(folder / "float.onnx", folder / "int8.onnx", pixels_NCHW)
    return folder / "float.onnx", folder / "int8.onnx"


@pytest.fixture
def real(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model, whose pictures were not drawn by this program: they are not at hand again."""
    state = checkpoint.load(weights)
    learnt = {name: {**own, "synthetic": False} for name, own in state["learnt"].items()}
    folder = tmp_path_factory.mktemp("real")
    checkpoint.save({**state, "learnt": learnt}, folder / "best.pt")
    return folder / "best.pt"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    (tmp_path / "seen").mkdir()
    for n, pixels in enumerate(toy_data()["planesnet"].images_NHWC):
        Image.fromarray(pixels).save(tmp_path / "seen" / f"{n:03d}.png")
    return tmp_path / "seen"


def test_every_convolution_has_8_bit_weights_with_a_scale_for_each_channel(files: tuple[Path, Path]) -> None:
    graph = onnx.load(files[1]).graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    made = {node.output[0]: node for node in graph.node}
    kernels = [made[node.input[1]] for node in graph.node if node.op_type == "Conv"]
    assert kernels
    for node in kernels:
        assert node.op_type == "DequantizeLinear"
        kernel = weights[node.input[0]]
        assert kernel.data_type == onnx.TensorProto.INT8
        assert list(weights[node.input[1]].dims) == [kernel.dims[0]], "a scale for each channel"
    (about,) = [json.loads(p.value) for p in onnx.load(files[1]).metadata_props if p.key == "about.json"]
    assert about["dataset"] == DATASET


def test_what_is_lost_is_what_training_would_measure(weights: Path, files: tuple[Path, Path]) -> None:
    model, data = Predictor.load(weights, "cpu"), toy_data()[DATASET]
    before, after = (Exported(path, model, 1) for path in files)
    assert (before.is_int8, after.is_int8) == (False, True)
    found = {each.metric: each for each in lost(model, data, before, after)}
    expected = judged(predict_split(model, DATASET, data, "val"), truth(data, "val"), INFOS[DATASET])
    assert found.keys() == expected.keys()
    for name, each in found.items():
        assert each.before == pytest.approx(expected[name], abs=1e-3)
        assert each.count == len(data.splits["val"])
    accuracy = found["accuracy"]
    assert accuracy.interval is not None
    assert accuracy.interval[0] <= accuracy.after - accuracy.before <= accuracy.interval[1]
    model.in_place = {DATASET: after}
    own = judged(predict_split(model, DATASET, data, "val"), truth(data, "val"), INFOS[DATASET])
    assert {name: each.after for name, each in found.items()} == pytest.approx(own)


def test_a_file_that_answers_at_random_is_said_to_lose(weights: Path, files: tuple[Path, Path]) -> None:
    model, data = Predictor.load(weights, "cpu"), toy_data()[DATASET]
    whole = Exported(files[0], model, 1)

    class Wrong(Exported):
        def predict(self, pixels_NCHW: torch.Tensor):
            found = super().predict(pixels_NCHW)
            return replace(found, probability_BK=1 - found.probability_BK, mask_BHW=1 - found.mask_BHW)

    found = {each.metric: each for each in lost(model, data, whole, Wrong(files[0], model, 1))}
    assert found["accuracy"].after == pytest.approx(1 - found["accuracy"].before)
    assert found["accuracy"].interval[1] < 0
    assert found["iou"].after < found["iou"].before


def test_the_command_tells_size_difference_and_speed_and_that_accuracy_is_unknown_without_data(
    real: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "small.onnx"
    line = ["export", str(real), "--format", "onnx", "--dataset", "planesnet", "--out", str(out), "--int8"]
    assert main([*line, "--calibrate", str(pictures)]) == 0
    said = capsys.readouterr().out
    assert f"{out}: onnx of dataset planesnet with 8-bit integers, " in said
    assert "with floats), calibrated on 48 pictures" in said
    assert "difference from the model on 50 pictures: floats, 8-bit (no limit is held)" in said
    assert "what accuracy is lost is not known: --data DIR" in said
    assert "  batch 8 " in said
    assert Exported(out, Predictor.load(real, "cpu"), 1).about["int8"] == {"calibrated_on": 48, "validation": {}}
    model = Predictor.load(real, "cpu")
    own = compared(model, "planesnet", Exported(out, model, 1).run, toy_data()["planesnet"].images_NHWC)
    assert 1e-4 < own.largest < 1, "8-bit integers answer a little otherwise"
    assert main(["predict", str(real), str(pictures / "000.png"), "--exported", str(out), "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert told["dataset"] == "planesnet"
    assert main(["predict", str(real), "--benchmark", "--exported", str(out), "--batch", "1", "--size", "16"]) == 0
    assert "ONNX Runtime, small.onnx (8-bit integers)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--int8"], "8-bit integers need pictures that tell the range of each activation: name the model's data"),
        (["--int8", "--calibrate", "nowhere"], "no file or folder nowhere"),
        (["--calibrate", "x"], "--calibrate is for --int8; add it, or leave out --calibrate"),
        (["--int8", "--format", "torchscript"], "--int8 is written as onnx, not as torchscript"),
    ],
)
def test_what_8_bit_integers_lack_is_said_and_nothing_is_written(
    more: list[str], message: str, real: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["export", str(real), "--dataset", "planesnet", "--format", "onnx", "--out", str(tmp_path / "x"), *more]
    assert main(line) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_file_of_another_model_does_not_answer_in_this_ones_place(
    weights: Path, files: tuple[Path, Path], tmp_path: Path
) -> None:
    model = Predictor.load(weights, "cpu")
    other = onnx.load(files[0])
    about = json.loads(other.metadata_props[0].value)
    other.metadata_props[0].value = json.dumps(about | {"classes": ["cats", "dogs"]})
    onnx.save(other, tmp_path / "other.onnx")
    with pytest.raises(UserError, match="of another model: this one has planesnet"):
        Exported(tmp_path / "other.onnx", model, 1)
    for changed, why in (
        ({"weights": "0" * 16}, "was exported from other weights"),
        ({"input": {"pixels": ["N", 3, 999, 999]}}, "was exported from other weights"),
        ({"classes": None}, "does not say of which model it is"),
        ({"input": {}}, "does not say of which model it is"),
    ):
        other.metadata_props[0].value = json.dumps(about | changed)
        onnx.save(other, tmp_path / "other.onnx")
        with pytest.raises(UserError, match=why):
            Exported(tmp_path / "other.onnx", model, 1)
    other.metadata_props[0].value = "no JSON"
    onnx.save(other, tmp_path / "other.onnx")
    with pytest.raises(UserError, match="does not say of which model it is"):
        Exported(tmp_path / "other.onnx", model, 1)
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(UserError, match="is no ONNX file of 'export --format onnx'"):
        Exported(tmp_path / "text.onnx", model, 1)
    with pytest.raises(UserError, match="no file .*; 'export --format onnx' writes one"):
        Exported(tmp_path / "none.onnx", model, 1)
    line = ["predict", str(weights), "x.png", "--exported", str(files[0])]
    assert main([*line, "--explain"]) == 2
