"""Build an ensemble from what trials say of their validation pictures, and only from that."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raytune_planes.serving import forest
from raytune_planes.serving.ensemble import Rule
from raytune_planes.serving.split_predictions import SplitPrediction, Truth, resized
from raytune_planes.tuning.weighing import WEIGHTS, class_score, mask_score

FOREST = "forest"
METHODS = (*WEIGHTS, FOREST)
PIXELS = 400_000
"""Of the masks that weights are chosen by, drawn at random: enough for the third digit of an IoU."""


def choose(
    method: str, members: Sequence[SplitPrediction | None], real: Truth, seed: int = 0
) -> tuple[Rule, SplitPrediction]:
    """A dataset's rule, and the ensemble's answers on validation.

    Args:
        method: one of ``METHODS``. A forest decides classes only; masks are then averaged.
        members: each one's answers on validation; None for a member that has no part in this dataset.
        real: the truth of the validation pictures.

    Returns:
        The rule, and what it says of validation: for a forest of each picture by trees that have not seen its scene.

    Raises:
        UserError: a forest is asked for, and all validation pictures are of one scene.
    """
    present = [i for i, prediction in enumerate(members) if prediction is not None]
    predictions = [members[i] for i in present]
    probability_MNK = np.stack([prediction.probability_NK for prediction in predictions if prediction is not None])
    weigh = WEIGHTS.get(method, WEIGHTS["soft"])
    classes_M = weigh(probability_MNK, class_score(real.labels_N), seed)
    fitted = forest.fit(probability_MNK, real.labels_N, seed) if method == FOREST else None
    mask_M: np.ndarray = np.zeros(0)
    if real.masks_NHW is not None:
        pixels_MP, truth_P = _pixels(predictions, real.masks_NHW, seed)
        mask_M = weigh(pixels_MP, mask_score(truth_P), seed)
    rule = Rule(_spread(classes_M, present, len(members)), _spread(mask_M, present, len(members)), fitted)
    every_MNK = np.zeros((len(members), *probability_MNK.shape[1:]))
    every_MNK[present] = probability_MNK
    combined = rule.combine(every_MNK, [None if prediction is None else prediction.mask_NHW for prediction in members])
    if fitted is not None:
        honest_NK = forest.out_of_fold(probability_MNK, real.labels_N, real.groups_N, seed)
        combined = SplitPrediction(honest_NK, combined.mask_NHW)
    return rule, combined


def aligned(one: Truth, other: Truth) -> bool:
    """Whether two trials validated the same pictures: another tile or fold gives others."""
    return np.array_equal(one.pictures_N, other.pictures_N) and np.array_equal(one.labels_N, other.labels_N)


def _pixels(
    predictions: Sequence[SplitPrediction | None], masks_NHW: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    _, height, width = masks_NHW.shape
    places = np.arange(masks_NHW.size)
    if masks_NHW.size > PIXELS:
        places = np.sort(np.random.default_rng(seed).choice(masks_NHW.size, PIXELS, replace=False))
    masks = [
        prediction.mask_NHW for prediction in predictions if prediction is not None and prediction.mask_NHW is not None
    ]
    assert len(masks) == len(predictions), "a dataset with masks has one from every member"
    return np.stack([resized(mask, height, width).ravel()[places] for mask in masks]), masks_NHW.ravel()[places] > 0


def _spread(weights: np.ndarray, present: Sequence[int], members: int) -> tuple[float, ...]:
    if not len(weights):
        return ()
    out = np.zeros(members)
    out[list(present)] = weights
    return tuple(out.tolist())
