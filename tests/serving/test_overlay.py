"""What was found stands in the drawing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from raytune_planes.serving import Predictor
from raytune_planes.serving.answers import answer
from raytune_planes.serving.overlay import FOUND, TINT, caption, draw
from tests.serving.test_answers import grey, scene


def test_a_plane_is_tinted_and_boxed(weights: Path) -> None:
    source, (left, top, right, bottom) = scene()
    told = answer(Predictor.load(weights), source)
    drawn_HWC = np.asarray(draw(told, source).convert("RGB"))
    scale, caption_rows = 320 / 300, 24
    y, x = round((top + bottom) / 2 * scale) + caption_rows, round((left + right) / 2 * scale)
    assert drawn_HWC.shape[1] >= 320  # the words below may be longer
    assert drawn_HWC[y, x, 0] > 80  # the bar is green: red comes from the tint
    assert (drawn_HWC == TINT).all(2).sum() > 40
    plural = "" if len(told.planes) == 1 else "s"
    said = f"hrplanes: {len(told.planes)} plane{plural} by mask parts, {told.covered:.1%} of the picture"
    assert caption(replace(told, synthetic=())) == said


def test_a_chip_is_enlarged_and_named(weights: Path) -> None:
    told = answer(Predictor.load(weights), grey(20, 20), "planesnet")
    assert draw(told, grey(20, 20)).size == (320, 344)
    said = f"planesnet: {told.labels[0][0]} {told.labels[0][1]:.2f}"
    assert caption(told) == f"{said} - SYNTHETIC model"
    assert caption(replace(told, synthetic=())) == said


def test_the_detectors_boxes_stand_beside_the_masks_parts(weights: Path) -> None:
    source, (left, top, right, bottom) = scene()
    told = replace(answer(Predictor.load(weights), source), boxes=(((left, top, right, bottom), 0.75),))
    drawn_HWC = np.asarray(draw(told, source).convert("RGB"))
    rows, columns = np.nonzero((drawn_HWC == FOUND).all(2))
    scale, caption_rows = 320 / 300, 24
    assert abs(columns.min() - left * scale) <= 1
    assert abs(columns.max() - right * scale) <= 2
    assert abs(rows.min() - caption_rows - top * scale) <= 1
    assert caption(told).startswith("hrplanes: 1 plane by detections, ")
