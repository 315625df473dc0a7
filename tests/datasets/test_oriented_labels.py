"""Oriented boxes from label files to batches: every format's corners, and where they lie after each change."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from raytune_planes.datasets import boxes, cache, drawing, transforms, yolo
from raytune_planes.datasets.blending import Recipe
from raytune_planes.datasets.hrplanes import HRPlanes, Scene, write
from raytune_planes.datasets.label_formats import coco, dota, voc
from raytune_planes.datasets.labels import Labels, clipped
from raytune_planes.datasets.oriented import boxes_of, corners_of, hulls
from raytune_planes.datasets.pixels import Pixels, Targets
from raytune_planes.datasets.scene_crops import SceneCrops
from raytune_planes.datasets.synthetic import synthesise
from tests.datasets.test_transforms import only

BOX = (60.0, 40.0, 50.0, 20.0, 0.6)
"""x, y, w, h and angle of a plane in a picture of 200 x 100."""


def corners(*box: float) -> list[float]:
    return corners_of(torch.tensor([box], dtype=torch.float64))[0].tolist()


def told(labels: Labels) -> list[list[float]]:
    return boxes_of(torch.tensor(labels.corners, dtype=torch.float64)).tolist()


def test_yolo_lines_with_four_corners_are_oriented_boxes(tmp_path: Path) -> None:
    share = [v / size for v, size in zip(corners(*BOX), (200, 100) * 4, strict=True)]
    lines = ["0 " + " ".join(f"{v:.8f}" for v in share), "0 0.75 0.5 0.2 0.1"]
    (tmp_path / "a.txt").write_text("\n".join(lines), encoding="utf-8")
    labels = yolo.read_boxes(tmp_path / "a.txt", 200, 100)
    turned, straight = told(labels)
    assert turned == pytest.approx(BOX, abs=1e-4)
    assert straight == pytest.approx([150, 50, 40, 10, 0])
    x0, y0, x1, y1 = hulls(torch.tensor(corners(*BOX))).tolist()
    assert labels.boxes == (pytest.approx((x0, y0, x1, y1), abs=1e-4), pytest.approx((130, 45, 170, 55)))


def test_a_polygon_becomes_the_smallest_rectangle_around_it(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("0 0.1 0.2 0.3 0.2 0.3 0.4 0.2 0.5 0.1 0.4", encoding="utf-8")  # a house
    assert told(yolo.read_boxes(tmp_path / "a.txt", 100, 100)) == [pytest.approx([20, 35, 30, 20, -math.pi / 2])]
    (tmp_path / "b.txt").write_text("0 0.5 0.5 0.2 0.1", encoding="utf-8")
    assert yolo.read_boxes(tmp_path / "b.txt", 100, 100).corners == ()


def test_a_plane_whose_outline_is_a_line_keeps_its_upright_box(tmp_path: Path) -> None:
    line, house = "0 0.1 0.1 0.2 0.2 0.3 0.3", "0 0.6 0.6 0.8 0.6 0.8 0.7 0.6 0.7"
    (tmp_path / "a.txt").write_text(f"{line}\n{house}", encoding="utf-8")
    labels = yolo.read_boxes(tmp_path / "a.txt", 200, 100)
    assert labels.boxes[0] == pytest.approx((20, 10, 60, 30))
    assert told(labels) == [pytest.approx([40, 20, 40, 20, 0]), pytest.approx([140, 65, 40, 10, 0])]
    (tmp_path / "b.txt").write_text(line, encoding="utf-8")
    assert yolo.read_boxes(tmp_path / "b.txt", 200, 100).corners == ()
    marked = coco._marked(
        "plane",
        {"bbox": [20, 10, 40, 20], "segmentation": [[20, 10, 60, 30, 40, 20]]},
        "a.json",
        tmp_path / "a.png",
        (200, 100),
    )
    assert clipped([marked], 200, 100).boxes == ((20, 10, 60, 30),)
    assert clipped([marked], 200, 100).corners == ()


def test_dota_and_pascal_voc_tell_the_same_box(tmp_path: Path) -> None:
    line = " ".join(f"{v:.5f}" for v in corners(*BOX))
    (tmp_path / "a.txt").write_text(f"imagesource:GoogleEarth\ngsd:0.146\n{line} plane 0\n", encoding="utf-8")
    assert told(dota.read_boxes(tmp_path / "a.txt", 200, 100)) == [pytest.approx(BOX, abs=1e-4)]
    x, y, w, h, angle = BOX
    turned = f"<cx>{x}</cx><cy>{y}</cy><w>{w}</w><h>{h}</h><angle>{angle + math.pi}</angle>"
    place = tmp_path / "a.xml"
    place.write_text(
        f"<annotation><object><name>plane</name><robndbox>{turned}</robndbox></object></annotation>", encoding="utf-8"
    )
    (marked,) = [voc._object(each, "a.xml") for each in voc.parsed(place).iter("object")]
    assert marked.corners is not None
    assert boxes_of(torch.tensor(marked.corners, dtype=torch.float64)).tolist() == pytest.approx(BOX)


def test_synth_draws_the_same_scenes_with_boxes_along_the_headings(tmp_path: Path) -> None:
    for name in ("plain", "turned"):
        synthesise(
            tmp_path / name, planesnet=0, hrplanes=6, fgvc=0, fgvc_classes=2, seed=2, scene_side=320,
            oriented=name == "turned",
        )  # fmt: skip
    files = [sorted(p for p in (tmp_path / name).rglob("*") if p.is_file()) for name in ("plain", "turned")]
    planes = 0
    for one, other in zip(*files, strict=True):
        assert one.relative_to(tmp_path / "plain") == other.relative_to(tmp_path / "turned")
        if other.suffix != ".txt" or other.parent.name != "img":
            assert one.read_bytes() == other.read_bytes()
            continue
        upright, turned = yolo.read_boxes(one, 320, 320), yolo.read_boxes(other, 320, 320)
        assert len(upright.boxes) == len(turned.boxes) == len(turned.corners) * bool(turned.boxes)
        for box, around in zip(upright.boxes, turned.boxes, strict=True):
            planes += 1
            assert all(outer <= inner + 0.01 for outer, inner in zip(around[:2], box[:2], strict=True))
            assert all(outer >= inner - 0.01 for outer, inner in zip(around[2:], box[2:], strict=True))
    assert planes > 8
    _, _, expected = drawing.scene((2, 0), 320, empty=False)
    found = yolo.read_boxes(tmp_path / "turned/hrplanes/img/SYN_000.txt", 320, 320)
    wanted = boxes_of(torch.tensor(expected, dtype=torch.float64))
    torch.testing.assert_close(torch.tensor(told(found), dtype=torch.float64)[:, :4], wanted[:, :4], rtol=0, atol=0.01)


def painted(of: list[tuple[float, ...]], width: int, height: int) -> np.ndarray:
    """White oriented boxes on black."""
    image = Image.new("L", (width * 4, height * 4))
    for box in of:
        ImageDraw.Draw(image).polygon([v * 4 for v in corners(*box)], fill=255)
    return np.asarray(image.reduce(4))


def seen(pixels_HW: np.ndarray) -> list[float]:
    """Middle, sides and angle of the only white box, from the moments of its pixels, in shares of the side."""
    rows, columns = np.nonzero(pixels_HW > 127)
    points = np.stack([columns + 0.5, rows + 0.5]) / pixels_HW.shape[0]
    values, vectors = np.linalg.eigh(np.cov(points))
    angle = math.atan2(vectors[1, 1], vectors[0, 1])
    angle = (angle + math.pi / 2) % math.pi - math.pi / 2
    w, h = np.sqrt(12 * values[::-1])
    return [*points.mean(1).tolist(), float(w), float(h), angle]


@pytest.mark.parametrize(
    "settings",
    [
        {"flips": True},
        {"flips": True, "rotate": 40.0},
        {"flips": False, "scale": 0.2, "shift": 0.1, "rotate": 15.0},
    ],
)
def test_corners_lie_where_augmentation_moves_the_plane(settings: dict[str, float]) -> None:
    side, box = 96, (50.0, 44.0, 34.0, 12.0, 0.4)
    image_HW = torch.from_numpy(painted([box], side, side) / 255).float()
    images_BCHW = image_HW.expand(12, 3, side, side).contiguous()
    row = torch.tensor([*hulls(torch.tensor(corners(*box))).tolist(), *corners(*box)]) / side
    augment = only(**settings)
    draws = transforms.draw(12, torch.Generator().manual_seed(1))
    after, _ = transforms.apply(images_BCHW, None, augment, draws)
    moved = boxes.corners(transforms.moved_boxes(row.expand(12, 1, 12), augment, draws, images_BCHW))
    angles = set()
    for pixels, found in zip(after, boxes_of(moved)[:, 0].tolist(), strict=True):
        x, y, w, h, angle = seen(pixels[0].numpy() * 255)
        assert found[:2] == pytest.approx([x, y], abs=0.006)
        assert found[2:4] == pytest.approx([w, h], abs=0.02)
        assert math.sin(found[4] - angle) == pytest.approx(0, abs=0.03)
        angles.add(round(angle, 1))
    assert len(angles) > 2


def test_of_boxes_without_corners_the_oriented_ones_stand_upright() -> None:
    rows = torch.tensor([[[0.1, 0.2, 0.5, 0.4], [0.0, 0.0, 0.0, 0.0]]])
    assert boxes_of(boxes.corners(rows))[0].tolist()[0] == pytest.approx([0.3, 0.3, 0.4, 0.2, 0])
    assert not boxes.corners(rows)[0, 1].any()


def test_cutmix_cuts_a_pasted_box_along_its_own_sides() -> None:
    box = torch.tensor([0.5, 0.5, 0.4, 0.1, 0.0])
    row = torch.cat([hulls(corners_of(box)), corners_of(box)]).view(1, 1, 12)
    recipe = Recipe(
        partner_B=np.array([0]),
        share_B=np.array([0.5]),
        pastes_B=np.array([True]),
        box_B4=np.array([[0, 64, 32, 64]]),  # top, bottom, left, right: the right half
    )
    blended = boxes.blended(torch.zeros(1, 1, 12), row, recipe, 64)
    kept = boxes_of(boxes.corners(blended))[0, 1].tolist()
    assert kept == pytest.approx([0.6, 0.5, 0.2, 0.1, 0], abs=1e-6)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> HRPlanes:
    """Scenes with one white plane each, at other angles."""
    folder, made = tmp_path_factory.mktemp("turned"), []
    for number in range(6):
        box = (60.0 + 3 * number, 90.0 + number, 46.0, 18.0, -1.4 + 0.5 * number)
        pixels = np.repeat(painted([box], 256, 192)[..., None], 3, axis=2)
        split = "train" if number < 4 else ("val", "test")[number - 4]
        turned = torch.tensor(corners(*box))
        made.append(Scene(f"s{number}", pixels, (tuple(hulls(turned).tolist()),), split, (tuple(turned.tolist()),)))  # type: ignore[arg-type]
    write(folder / "data", made, quality=98)
    return HRPlanes(folder / "data", name="hrplanes", image_size=64, tile=128)


def whole(pixels_HW: np.ndarray) -> bool:
    """Whether the white box is not cut by the picture's border."""
    edge = np.concatenate([pixels_HW[[0, -1]].ravel(), pixels_HW[:, [0, -1]].ravel()])
    return bool((pixels_HW > 127).any() and edge.max() < 60)


def near(found: Tensor, pixels_HW: np.ndarray) -> None:
    x, y, w, h, angle = seen(pixels_HW)
    assert found[:2].tolist() == pytest.approx([x, y], abs=0.02)
    assert found[2:4].tolist() == pytest.approx([w, h], abs=0.04)
    assert math.sin(found[4].item() - angle) == pytest.approx(0, abs=0.1)


def test_tiles_and_crops_of_scenes_have_the_corners_of_what_they_show(scenes: HRPlanes, tmp_path: Path) -> None:
    arrays = cache.decode(scenes, tmp_path / "cache")
    assert arrays.info.has_oriented_boxes
    assert arrays.boxes_NM4 is not None
    assert arrays.boxes_NM4.shape[1:] == (1, 12)
    assert arrays.scenes is not None
    assert arrays.scenes.corners(0).shape == (1, 8)
    assert arrays.scenes.boxes(0).shape == (1, 4)
    chosen = arrays.splits["train"]
    draws = np.random.default_rng(0).random((len(chosen), 2))
    for shown, numbers in ((arrays, chosen), (SceneCrops(arrays).near(chosen, draws), np.arange(len(chosen)))):
        pixels = Pixels(shown, targets=Targets(boxes=True))
        rows = pixels.boxes(numbers)
        assert rows is not None
        images, compared = np.asarray(shown.images_NHWC[numbers])[..., 0], 0
        for found, image_HW in zip(boxes_of(boxes.corners(rows))[:, 0], images, strict=True):
            if whole(image_HW):
                near(found, image_HW)
                compared += 1
        assert compared >= 3
