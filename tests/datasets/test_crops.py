"""Windows of larger decoded pictures: pictures, masks, boxes and labels follow; nothing changes where none is asked."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from raytune_planes.config import Augment, Dataset
from raytune_planes.datasets import crops, transforms
from raytune_planes.datasets.base import Arrays, Info
from raytune_planes.datasets.crops import Seen
from raytune_planes.datasets.eval_batches import eval_batches
from raytune_planes.datasets.loaders import Batch, TrainStream
from raytune_planes.datasets.pixels import Pixels, Targets

SIDE = 64
STILL = Augment(flips=False, rotate=0, scale=0, shift=0, color=0)
LEFT, TOP, RIGHT, BOTTOM = 16, 24, 32, 40


def scene(count: int = 24) -> Arrays:
    """Black pictures with one white object each, at the same place, which mask and box tell too."""
    images, masks = np.zeros((count, SIDE, SIDE, 3), np.uint8), np.zeros((count, SIDE, SIDE), np.uint8)
    images[:, TOP:BOTTOM, LEFT:RIGHT], masks[:, TOP:BOTTOM, LEFT:RIGHT] = 255, 1
    boxes = np.zeros((count, 2, 4), np.float32)
    boxes[:, 0] = np.array([LEFT, TOP, RIGHT, BOTTOM]) / SIDE
    for array in (images, masks, boxes):
        array.setflags(write=False)  # as a map of the cache is
    splits = {"train": np.arange(count), "val": np.arange(count), "test": np.arange(0)}
    info = Info("toy", ("nothing", "object"), ("nothing", "an object"), has_masks=True, has_boxes=True)
    return Arrays(info, images, np.ones(count, np.int64), masks, splits, "0" * 32, boxes_NM4=boxes)


def batch_of(settings: Dataset, index: int = 0, **part: int) -> Batch:
    arrays = scene()
    pixels = Pixels(arrays, targets=Targets(boxes=True), seen=Seen.of(settings))
    return TrainStream(arrays, settings, 24, 0, pixels).batch(index, **part)


def draws(*rows: tuple[float, ...]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def test_a_window_has_the_area_the_ratio_and_the_place_that_were_drawn() -> None:
    quarter = Augment(crop_min=0.25, crop_max=0.25, crop_ratio=4)
    rows = draws((0, 0.5, 0, 0), (0, 0.5, 0.999, 0.5), (0, 0.999999, 0, 0), (0, 0, 0.999, 0))
    # The ratio reaches 4: from there on the longer side would be longer than the picture's.
    expected = [[0, 0, 32, 32], [32, 16, 64, 48], [0, 0, 64, 16], [48, 0, 64, 64]]
    assert crops.drawn(rows, quarter, 64, 64, 64).tolist() == expected


def test_windows_stay_inside_and_keep_area_and_ratio_within_their_ranges() -> None:
    settings = Augment(crop_min=0.2, crop_max=0.6, crop_ratio=2)
    rows = torch.rand(500, crops.COLUMNS, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    left, top, right, bottom = crops.drawn(rows, settings, 1000, 1000, 1000).T
    assert min(left.min(), top.min()) >= 0
    assert max(right.max(), bottom.max()) <= 1000
    share, ratio = (right - left) * (bottom - top) / 1e6, (right - left) / (bottom - top)
    assert (share.min(), share.max()) == (pytest.approx(0.2, abs=0.01), pytest.approx(0.6, abs=0.01))
    assert (ratio.min(), ratio.max()) == (pytest.approx(0.5, abs=0.02), pytest.approx(2, abs=0.05))


def test_windows_of_a_fixed_scale_lie_anywhere_in_scenes_of_different_sizes() -> None:
    rows = draws((0, 0.5, 0, 0), (0, 0.5, 0.9999, 0.9999))
    found = crops.drawn(rows, Augment(), 100, np.array([300, 150]), np.array([200, 80]))
    assert found.tolist() == [[0, 0, 100, 100], [50, 0, 150, 80]]


def test_a_window_of_a_picture_its_mask_and_its_box_land_where_computed() -> None:
    arrays, window = scene(1), np.array([8, 16, 40, 48])
    shown = crops.cut(arrays.images_NHWC[0], window, 16)
    mask = crops.cut_mask(np.asarray(arrays.masks_NHW)[0], window, 16)
    boxes = crops.moved_boxes(torch.from_numpy(np.array(arrays.boxes_NM4)), window[None], SIDE, SIDE)
    expected = torch.zeros(16, 16, dtype=torch.uint8)
    expected[4:12, 4:12] = 1  # half as many pixels as from 8 to 24 of the window
    assert torch.equal(mask, expected)
    assert torch.equal((shown[..., 0] > 127).to(torch.uint8), expected)
    assert boxes[0, 0].tolist() == pytest.approx([0.25, 0.25, 0.75, 0.75])
    assert boxes[0, 1].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("still", [STILL, Augment(rotate=0, scale=0, shift=0, color=0)])
def test_masks_and_boxes_follow_the_random_crops_of_training(still: Augment) -> None:
    augment = still.model_copy(update={"crop_min": 0.4, "crop_max": 0.9})
    batch = batch_of(Dataset(image_size=32, decoded_size=64, augment=augment))
    assert batch.image_BCHW.shape == (24, 3, 32, 32)
    assert batch.mask_BHW is not None
    assert batch.boxes_BM4 is not None
    shown = (batch.image_BCHW[:, 0] * 0.25 + 0.5 > 0.5).float()
    assert (shown != batch.mask_BHW).float().mean() < 0.01  # rounding at an object's edge
    seen = 0
    for mask_HW, box, label in zip(batch.mask_BHW, batch.boxes_BM4[:, 0], batch.label_B.tolist(), strict=True):
        assert label == int(box.any())
        if label:
            rows, columns = mask_HW.nonzero().T
            hull = torch.tensor([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
            assert (box * 32 - hull).abs().max() <= 1
            seen += 1
    assert seen > 12


def test_a_window_without_the_object_has_the_label_of_nothing() -> None:
    pixels = Pixels(scene(2), seen=Seen(16))  # also where no task asks for boxes
    windows = np.array([[0, 0, 40, 48], [40, 0, 64, 24]])
    assert pixels.labels(np.arange(2), windows).tolist() == [1, 0]
    assert pixels.labels(np.arange(2)).tolist() == [1, 1]
    assert pixels.boxes(np.arange(2), windows) is None


def test_evaluation_sees_the_middle_pixel_by_pixel_and_masks_and_boxes_with_it() -> None:
    arrays, settings = scene(3), Dataset(image_size=32, decoded_size=64, eval_crop=0.5)
    pixels = Pixels(arrays, targets=Targets(boxes=True), seen=Seen.of(settings))
    (batch,) = eval_batches(arrays, "val", 8, pixels=pixels)
    middle = torch.from_numpy(arrays.images_NHWC[:, 16:48, 16:48].copy()).permute(0, 3, 1, 2).float() / 255
    assert torch.equal(batch.image_BCHW, (middle - 0.5) / 0.25)
    assert batch.mask_BHW is not None
    assert torch.equal(batch.mask_BHW, torch.from_numpy(np.asarray(arrays.masks_NHW)[:, 16:48, 16:48].copy()).float())
    assert batch.boxes_BM4 is not None
    assert batch.boxes_BM4[0, 0].tolist() == pytest.approx([0, 0.25, 0.5, 0.75])
    assert np.array_equal(pixels.seen.pixels(arrays.images_NHWC), arrays.images_NHWC[:, 16:48, 16:48])
    assert np.array_equal(
        pixels.seen.masks(np.asarray(arrays.masks_NHW)), np.asarray(arrays.masks_NHW)[:, 16:48, 16:48]
    )


def test_pictures_that_live_on_the_device_are_cut_as_those_on_disk_are() -> None:
    arrays, seen, some = scene(6), Seen(24, 0.75), np.array([4, 1, 2])
    windows = np.array([[0, 0, 40, 48], [8, 16, 40, 48], [16, 24, 40, 48]])
    held, mapped = (Pixels(arrays, is_resident=there, seen=seen) for there in (True, False))
    for part in (None, windows):
        for one, other in zip(held.at(some, part), mapped.at(some, part), strict=True):
            assert one is not None
            assert other is not None
            assert one.shape[-1] == 24
            assert torch.equal(one, other)


def test_training_without_random_crops_sees_what_evaluation_sees() -> None:
    settings = Dataset(image_size=16, decoded_size=64, eval_crop=0.75, augment=STILL)
    arrays = scene()
    pixels = Pixels(arrays, seen=Seen.of(settings))
    (seen,) = eval_batches(arrays, "val", 24, pixels=pixels)
    assert torch.equal(TrainStream(arrays, settings, 24, 0, pixels).batch(0).image_BCHW, seen.image_BCHW)


def test_without_the_settings_everything_is_as_it_was() -> None:
    assert Seen.of(Dataset()) == Seen()
    assert not crops.is_asked(Augment())
    arrays = scene()
    assert torch.equal(Pixels(arrays).shown(np.arange(24))[0], torch.from_numpy(arrays.images_NHWC.copy()))
    generator = torch.Generator().manual_seed(3)
    earlier = [torch.rand(5, w, dtype=torch.float64, generator=generator) for w in (14, transforms.SECOND - 14)]
    drawn = transforms.draw(5, torch.Generator().manual_seed(3))
    assert torch.equal(drawn[:, : transforms.SECOND], torch.cat(earlier, dim=1))


def test_a_worker_gets_its_part_of_the_crops_bit_for_bit() -> None:
    settings = Dataset(image_size=32, decoded_size=64, augment=Augment(crop_min=0.1))
    whole = batch_of(settings, 1)
    for rank in range(3):
        part = batch_of(settings, 1, rank=rank, world=3)
        rows = slice(8 * rank, 8 * rank + 8)
        assert torch.equal(part.image_BCHW, whole.image_BCHW[rows])
        assert torch.equal(part.label_B, whole.label_B[rows])
        assert part.boxes_BM4 is not None
        assert whole.boxes_BM4 is not None
        assert torch.equal(part.boxes_BM4, whole.boxes_BM4[rows])


@pytest.mark.parametrize("size", [13, 48, 100])
def test_a_picture_is_brought_to_another_size_as_pillow_does(size: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1, 48, 48, 3), np.uint8)
    pillow = np.asarray(Image.fromarray(pixels[0]).resize((size, size), Image.Resampling.BILINEAR))
    found = crops.resized(torch.from_numpy(pixels), size)[0].numpy()
    assert np.abs(found.astype(int) - pillow).max() <= 1


def picture() -> tuple[torch.Tensor, torch.Tensor]:
    image = torch.rand(40, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    return image, (image[:, 0] > 0.5).float()


def test_pictures_from_the_side_are_mirrored_left_to_right_and_nothing_else() -> None:
    image, mask = picture()
    box = torch.tensor([0.125, 0.25, 0.5, 0.75]).expand(40, 1, 4)
    settings = STILL.model_copy(update={"flips": True})
    rows = transforms.draw(40, torch.Generator().manual_seed(0))
    out, out_mask = transforms.apply(image, mask, settings, rows, turns=False)
    boxes = transforms.moved_boxes(box, settings, rows, image, turns=False)
    assert out_mask is not None
    kinds = []
    for n in range(40):
        mirrored = not torch.equal(out[n], image[n])
        kinds.append(mirrored)
        assert torch.equal(out[n], image[n].flip(2) if mirrored else image[n])
        assert torch.equal(out_mask[n], mask[n].flip(1) if mirrored else mask[n])
        expected = [0.5, 0.25, 0.875, 0.75] if mirrored else [0.125, 0.25, 0.5, 0.75]
        assert boxes[n, 0].tolist() == pytest.approx(expected)
    assert 10 < sum(kinds) < 30


def test_the_warp_of_a_picture_from_the_side_never_turns_it_upside_down() -> None:
    image = torch.zeros(64, 3, 16, 16)
    image[:, :, :8] = 1  # the sky
    settings = STILL.model_copy(update={"flips": True, "rotate": 15})
    rows = transforms.draw(64, torch.Generator().manual_seed(0))
    upright = transforms.apply(image, None, settings, rows, turns=False)[0]
    assert upright[:, :, 2].mean() > 0.95
    turned = transforms.apply(image, None, settings, rows)[0]
    assert turned[:, :, 2].mean() < 0.8


@pytest.mark.parametrize(
    ("name", "changes", "turns"),
    [
        ("fgvc", {}, False),
        ("planesnet", {}, True),
        ("mine", {"reader": "fgvc"}, False),
        ("mine", {"reader": "image_folder"}, True),
        ("mine", {"reader": "image_folder", "view": "side"}, False),
        ("fgvc", {"view": "overhead"}, True),
        ("planesnet", {"augment": Augment(turns=False)}, False),
    ],
)
def test_the_view_decides_whether_training_turns_pictures_upside_down(
    name: str, changes: dict[str, object], turns: bool
) -> None:
    arrays = scene()
    images = np.zeros_like(arrays.images_NHWC)
    images[:, : SIDE // 2] = 255
    arrays = Arrays(Info(name, ("a", "b"), ("a", "b")), images, arrays.labels_N, None, arrays.splits, "0" * 32)
    still = {"rotate": 0, "scale": 0, "shift": 0, "color": 0}
    settings = Dataset(**{"augment": Augment(), **changes})
    settings = settings.model_copy(update={"augment": settings.augment.model_copy(update=still)})
    top = TrainStream(arrays, settings, 24, 0).batch(0).image_BCHW[:, :, 0]
    assert bool((top < 0).any()) == turns
