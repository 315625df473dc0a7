"""A scene for a dataset of chips: a head slides over it at its own scale, and each plane is one place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from raytune_planes.datasets.sizes import Sizes
from raytune_planes.errors import UserError
from raytune_planes.serving import Predictor
from raytune_planes.serving.answers import answer
from raytune_planes.serving.overlay import FOUND, caption, draw
from tests.serving.test_answers import grey, png
from tests.toy import SIDE, toy_data

AT = [(40, 24), (96, 24), (40, 72)]
"""Where the chips with a plane lie in the scene, left and top."""


def field() -> np.ndarray:
    """Noise of 160 x 112 with three chips of the toy data that show a plane."""
    pixels_HWC = np.random.default_rng(0).integers(0, 120, (112, 160, 3), dtype=np.uint8)
    arrays = toy_data()["planesnet"]
    planes = arrays.images_NHWC[arrays.labels_N == 1]
    for (left, top), chip in zip(AT, planes, strict=False):
        pixels_HWC[top : top + SIDE, left : left + SIDE] = chip
    return pixels_HWC


def test_each_plane_of_a_scene_is_one_place_where_it_is(weights: Path) -> None:
    told = answer(Predictor.load(weights), png(field()), "planesnet")
    assert (told.tiles, told.window) == (37 * 25, SIDE)  # every fourth pixel
    assert told.count is not None
    assert (told.count.planes, told.count.by) == (3, "sliding windows")
    assert told.labels == ()  # the windows' mean is that of the ground
    for left, top in AT:
        near = [b for b, _ in told.boxes or () if abs(b[0] - left) <= 4 and abs(b[1] - top) <= 4]
        assert len(near) == 1
    assert told.to_dict()["boxes"][0].keys() == {"box", "score"}


def test_a_window_is_answered_as_the_chip_in_a_file_of_its_own(weights: Path) -> None:
    predictor, scene = Predictor.load(weights), field()
    look = predictor.infer("planesnet", png(scene))
    assert look.slide is not None
    across, down = look.slide.starts
    windows = np.concatenate(list(look.slide.pixels()))
    for left, top in [(0, 0), (40, 24), (144, 96), (8, 60)]:
        n = down.index(top) * len(across) + across.index(left)
        chip = png(scene[top : top + SIDE, left : left + SIDE])
        assert np.array_equal(windows[n], predictor.learnt["planesnet"].reader.show(chip))
        alone = predictor.infer("planesnet", chip)
        assert alone.slide is None
        assert look.probability_NK[n] == pytest.approx(alone.probability_NK[0], abs=1e-5)


def test_a_scene_of_twice_the_scale_gives_the_same_places_in_its_own_pixels(weights: Path) -> None:
    predictor = Predictor.load(weights)
    doubled = png(field().repeat(2, 0).repeat(2, 1))
    told, plain = answer(predictor, doubled, "planesnet", scale=2.0), answer(predictor, png(field()), "planesnet")
    assert told.window == 2 * SIDE
    assert sorted(box for box, _ in told.boxes or ()) == sorted(
        tuple(2 * value for value in box) for box, _ in plain.boxes or ()
    )


def test_the_scale_is_that_of_the_chips_that_were_learnt(weights: Path) -> None:
    predictor = Predictor.load(weights)
    larger = replace(predictor.learnt["planesnet"], sizes=Sizes.of([(32, 32), (30, 32), (40, 40)]))
    unknown = replace(larger, sizes=None)  # in an older checkpoint: the format's own
    predictor.learnt = {"planesnet": larger}
    assert answer(predictor, png(field())).window == 32
    predictor.learnt = {"planesnet": unknown}
    assert answer(predictor, png(field())).window == 20


def test_a_picture_of_about_one_chip_is_seen_whole(weights: Path) -> None:
    predictor = Predictor.load(weights)
    assert answer(predictor, grey(2 * SIDE - 1, 90), "planesnet").labels
    assert not answer(predictor, grey(2 * SIDE, 90), "planesnet").labels
    assert not answer(predictor, grey(SIDE + 1, SIDE + 1), "planesnet", scale=1.0).labels


def test_tiles_of_a_scene_follow_its_scale(weights: Path) -> None:
    predictor = Predictor.load(weights)  # tiles of 64
    assert predictor.infer("hrplanes", grey(256, 256)).tiles == 49
    assert predictor.infer("hrplanes", grey(512, 512), scale=2.0).tiles == 49


def test_a_scale_that_cannot_be_is_refused(weights: Path) -> None:
    predictor = Predictor.load(weights)
    with pytest.raises(UserError, match=r"160×112 px holds no window of 160 px \(chips of 16 px at --scale 10\)"):
        answer(predictor, png(field()), "planesnet", scale=10)
    with pytest.raises(UserError, match="--scale 0: give a factor from 0.01 to 100"):
        answer(predictor, grey(256, 256), "hrplanes", scale=0)
    with pytest.raises(UserError, match="the pictures of 'fgvc' are seen whole, at no scale; leave out --scale"):
        answer(predictor, grey(60, 40), "fgvc", scale=2)


def test_the_places_are_drawn(weights: Path) -> None:
    told = answer(Predictor.load(weights), png(field()), "planesnet")
    drawn = draw(told, png(field()))
    assert isinstance(drawn, Image.Image)
    assert (np.asarray(drawn.convert("RGB")) == FOUND).all(2).sum() > 3 * 100
    assert caption(told) == "planesnet: 3 planes by sliding windows - SYNTHETIC model"
