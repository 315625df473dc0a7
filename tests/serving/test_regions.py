"""The regions that an answer rests on: Grad-CAM's values, their places in the picture, and their drawings."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from raytune_planes.cli import main
from raytune_planes.datasets.images import Picture
from raytune_planes.datasets.loaders import normalise
from raytune_planes.network import Network
from raytune_planes.report.regions import heat
from raytune_planes.serving import Predictor
from raytune_planes.serving.answers import answer
from raytune_planes.serving.ensemble import Ensemble, Rule
from raytune_planes.serving.overlay import draw_regions
from raytune_planes.serving.regions import class_regions, explained, grad_cam, regions, slid
from raytune_planes.serving.slides import Slide
from tests.serving.test_answers import photo, png, scene
from tests.toy import INFOS, toy_config, toy_data


def test_of_a_linear_model_over_the_pooled_map_they_are_its_weights_times_the_map() -> None:
    random = torch.Generator().manual_seed(0)
    map_BCHW = torch.randn(3, 5, 4, 6, generator=random).requires_grad_()
    weight_KC = torch.randn(2, 5, generator=random)
    class_B = torch.tensor([1, 0, 1])
    score_BK = map_BCHW.mean((2, 3)) @ weight_KC.T
    found_BHW = grad_cam(map_BCHW, score_BK.gather(1, class_B[:, None])[:, 0])
    by_hand_BHW = torch.einsum("bc,bchw->bhw", weight_KC[class_B], map_BCHW.detach()).relu() / 24
    torch.testing.assert_close(found_BHW, by_hand_BHW)


ENCODERS = {
    "the default": {},
    "one for each dataset": {"model.sharing": "own"},
    "a CNN of timm": {"model.backbone.kind": "timm/resnet10t"},
    "pretrained": {"model.backbone.kind": "efficientnet_lite0", "model.backbone.weights": "pretrained"},
    "a transformer": {"model.backbone.kind": "timm/test_vit"},
    "adapters": {"model.sharing": "adapters"},
}


@pytest.mark.filterwarnings("ignore")  # what timm says of itself
@pytest.mark.parametrize("which", ENCODERS)
def test_a_channel_weighs_as_much_as_the_score_rises_when_all_of_it_is_raised(which: str) -> None:
    """The mean gradient over the places of a channel is the slope of the score under a shift of that channel."""
    torch.manual_seed(0)
    settings = {key.replace(".", "__"): value for key, value in ENCODERS[which].items()}
    config = toy_config(model__dit__depth=1, **settings)
    network = Network(INFOS, config, 12)
    network.take(config.model.backbone.weights)
    with torch.no_grad():  # the refinement begins as the identity: here it mixes tokens
        for parameter in network.refinement.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    network.double().eval()
    image_BCHW, class_B = torch.randn(2, 3, 32, 48, dtype=torch.float64), torch.tensor([4, 1])
    maps_BHW, probability_B = class_regions(network, "fgvc", image_BCHW, class_B)
    with torch.no_grad():
        *finer, last_BCHW = network.encoded("fgvc", image_BCHW)
        weight_BC = _slopes(network, image_BCHW, finer, last_BCHW, class_B) / (4 * 6)
        expected_BHW = torch.einsum("bc,bchw->bhw", weight_BC, last_BCHW).relu()
        logits_BK = network("fgvc", image_BCHW)["classification"].logits_BK
    assert maps_BHW.shape == (2, 4, 6)
    assert expected_BHW.max() > 0
    torch.testing.assert_close(maps_BHW, expected_BHW, rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(probability_B, logits_BK.float().softmax(1).gather(1, class_B[:, None])[:, 0])


def _slopes(
    network: Network, image_BCHW: Tensor, finer: list[Tensor], last_BCHW: Tensor, class_B: Tensor, step: float = 1e-5
) -> Tensor:
    """Of the classes' scores [B], when each channel is raised everywhere: [B, C]."""
    columns = []
    for channel in range(last_BCHW.shape[1]):
        sides = []
        for sign in (1, -1):
            moved_BCHW = last_BCHW.clone()
            moved_BCHW[:, channel] += sign * step
            said = network.answers("fgvc", image_BCHW, [*finer, moved_BCHW])["classification"]
            sides.append(said.logits_BK.gather(1, class_B[:, None])[:, 0])
        columns.append((sides[0] - sides[1]) / (2 * step))
    return torch.stack(columns, 1)


def test_where_windows_overlap_their_mean_counts() -> None:
    slide = Slide(Picture(Image.new("RGB", (30, 20)), 30, 20), 20, 1.0, 24)
    windows_BHW = torch.tensor([1.0, 2.0, 4.0])[:, None, None].expand(3, 3, 3)
    found_HW = slid(slide, windows_BHW.split(2))
    row_W = [1.0] * 5 + [1.5] * 5 + [7 / 3] * 10 + [3.0] * 5 + [4.0] * 5  # windows begin at 0, 5 and 10
    assert found_HW.shape == (20, 30)
    np.testing.assert_allclose(found_HW, np.tile(row_W, (20, 1)), rtol=1e-6)


def test_what_speaks_for_planes_in_a_scene_lies_at_the_plane(weights: Path) -> None:
    predictor, (source, box) = Predictor.load(weights), scene()
    told = answer(predictor, source)
    assert explained(predictor, told) == "planes"  # planes are counted, whatever the mean over the tiles says
    map_HW = regions(predictor, told, source)
    assert (map_HW.min(), map_HW.max()) == (0, 1)
    y, x = np.unravel_index(map_HW.argmax(), map_HW.shape)
    across, down = 300 / map_HW.shape[1], 260 / map_HW.shape[0]
    left, top, right, bottom = box
    cell = 8 * 64 / 16  # source pixels of one place of the last map: stride 8, a tile of 64 px seen at 16
    assert left - cell <= x * across <= right + cell
    assert top - cell <= y * down <= bottom + cell


def test_the_banner_that_the_model_does_not_see_speaks_for_nothing(weights: Path) -> None:
    predictor, pixels_HWC = Predictor.load(weights), toy_data()["fgvc"].images_NHWC[3]
    told = answer(predictor, photo(pixels_HWC), "fgvc")
    map_HW = regions(predictor, told, photo(pixels_HWC))
    image_1CHW = normalise(torch.from_numpy(pixels_HWC)[None].permute(0, 3, 1, 2).float().div(255))
    wanted = INFOS["fgvc"].classes.index(told.labels[0].label)
    seen_1HW, _ = class_regions(predictor.model, "fgvc", image_1CHW, torch.tensor([wanted]))
    seen_HW = F.interpolate(seen_1HW[None], (16, 16), mode="bilinear")[0, 0].numpy()
    assert map_HW.shape == (16 + 20, 16)
    np.testing.assert_allclose(map_HW[:16], seen_HW / seen_HW.max(), atol=1e-5)
    assert not map_HW[16:].any()


def test_an_ensemble_s_members_count_by_their_weights(weights: Path) -> None:
    one, other = Predictor.load(weights), Predictor.load(weights)
    with torch.no_grad():  # answers by other channels
        for parameter in other.model.get_submodule("heads.fgvc").parameters():
            parameter.copy_(parameter.flip(0))
    source = photo(toy_data()["fgvc"].images_NHWC[3])
    told = answer(one, source, "fgvc")
    maps = [regions(each, told, source) for each in (one, other)]
    assert not np.allclose(*maps)
    rule = Rule((0.25, 0.75))
    joint_HW = regions(Ensemble([one, other], {"fgvc": rule}), told, source)
    mean_HW = 0.25 * maps[0] + 0.75 * maps[1]
    np.testing.assert_allclose(joint_HW, mean_HW / mean_HW.max(), atol=1e-6)


def test_without_a_region_that_speaks_for_it_the_drawing_says_so(weights: Path) -> None:
    source = png(np.full((20, 20, 3), 200, np.uint8))
    told = answer(Predictor.load(weights), source, "planesnet")
    none = draw_regions(told, source, np.zeros((4, 4), np.float32), "plane")
    assert np.asarray(none)[40:300, 10:300].reshape(-1, 3).tolist() == [[150, 150, 150]] * (260 * 290)
    some_HW3 = heat(np.full((1, 3, 3), 200, np.uint8), np.array([[0, 0.5, 1]]))
    np.testing.assert_allclose(some_HW3[0], [[150, 150, 150], [183, 155, 100], [226, 216, 79]], atol=1)


def test_explain_draws_what_each_answer_rests_on_beside_it(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A chip, photographs of several sizes, a scene in tiles, and a scene by windows."""
    (tmp_path / "scene.png").write_bytes(scene()[0])
    for name, size in {"chip": (16, 16), "photo": (90, 50), "tall": (40, 200), "wide": (200, 160)}.items():
        Image.effect_noise(size, 60).convert("RGB").save(tmp_path / f"{name}.png")
    out, drawings = tmp_path / "drawn", []
    for dataset, names in {"planesnet": ("chip", "wide"), "fgvc": ("photo", "tall"), "hrplanes": ("scene",)}.items():
        pictures = [str(tmp_path / f"{name}.png") for name in names]
        line = ["predict", str(weights), *pictures, "--dataset", dataset, "--out", str(out / dataset)]
        assert main([*line, "--explain", "--json"]) == 0
        for number, (name, told) in enumerate(zip(names, json.loads(capsys.readouterr().out), strict=True)):
            assert told["regions"] == str(out / dataset / f"{number:04d}-{name}-regions.png")
            with Image.open(told["drawn"]) as drawn, Image.open(told["regions"]) as shown:
                assert shown.height == drawn.height
                drawings.append(np.asarray(shown.convert("RGB")))
    assert all(np.ptp(drawing.astype(int), axis=2)[24:].max() > 50 for drawing in drawings), "no colours over the grey"
    assert main(["predict", str(weights), str(tmp_path / "chip.png"), "--out", str(out), "--explain"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"  regions: {out / '0000-chip-regions.png'}"


def test_without_a_folder_explain_draws_into_drawn(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (16, 16)).save(tmp_path / f"{'x' * 250}.png")
    monkeypatch.chdir(tmp_path)
    assert main(["predict", str(weights), "x" * 250 + ".png", "--explain"]) == 0
    assert sorted(p.name for p in Path("drawn").iterdir()) == [
        f"0000-{'x' * 187}-regions.png",
        f"0000-{'x' * 195}.png",
        "embeddings.png",
        "embeddings.svg",
    ]
    assert "Map of embeddings: drawn/embeddings.png" in capsys.readouterr().err
