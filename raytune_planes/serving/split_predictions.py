"""A model's predictions for a whole split, as probabilities, from which ensembles are built and evaluated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from raytune_planes.datasets.base import Arrays, Info
from raytune_planes.datasets.crops import Seen
from raytune_planes.serving.predictor import Predictor
from raytune_planes.tasks.classification.implementation import classification_metrics
from raytune_planes.tasks.segmentation.implementation import mask_metrics


@dataclass(frozen=True)
class SplitPrediction:
    """Of one dataset's split, by a member or by an ensemble."""

    probability_NK: np.ndarray
    mask_NHW: np.ndarray | None = None
    """Probability of a plane, float16; None without masks."""


@dataclass(frozen=True)
class Truth:
    """The ground truth of a dataset's split."""

    labels_N: np.ndarray
    masks_NHW: np.ndarray | None
    pictures_N: np.ndarray
    """Indexes into the dataset's arrays; equal ones align two trials."""
    groups_N: np.ndarray
    """Pictures of one scene, or copies of each other, have one number."""


def truth(arrays: Arrays, split: str, seen: Seen | None = None) -> Truth:
    """``seen``: by the model whose answers are judged; decoded pictures as they are when None."""
    pictures_N = np.asarray(arrays.splits[split])
    masks_NHW = None
    if arrays.masks_NHW is not None:
        masks_NHW = (seen or Seen()).masks(np.asarray(arrays.masks_NHW[pictures_N]))
    return Truth(np.asarray(arrays.labels_N)[pictures_N], masks_NHW, pictures_N, arrays.groups_N[pictures_N])


def predict_split(predictor: Predictor, dataset: str, arrays: Arrays, split: str) -> SplitPrediction:
    """Predict every picture of a split, without augmentation."""
    seen = predictor.learnt[dataset].seen
    pixels_NHWC = seen.pixels(np.asarray(arrays.images_NHWC[arrays.splits[split]]))
    prediction = predictor.predict(dataset, torch.from_numpy(pixels_NHWC).permute(0, 3, 1, 2))
    mask_NHW = None if prediction.mask_BHW is None else prediction.mask_BHW.half().numpy()
    assert prediction.probability_BK is not None, "every dataset has classes"
    return SplitPrediction(prediction.probability_BK.numpy(), mask_NHW)


def resized(mask_NHW: np.ndarray, height: int, width: int) -> np.ndarray:
    """Masks of another resolution at this one, float32."""
    mask = torch.from_numpy(mask_NHW.astype(np.float32))
    if mask.shape[1:] == (height, width):
        return mask.numpy()
    return F.interpolate(mask[:, None], size=(height, width), mode="bilinear", antialias=True)[:, 0].numpy()


def judged(prediction: SplitPrediction, real: Truth, info: Info) -> dict[str, float]:
    """The metrics of training: accuracy, mean of the classes' accuracies, F1, and of masks IoU and Dice, these at the
    resolution of ``real``."""
    classes = len(info.classes)
    cells = real.labels_N * classes + prediction.probability_NK.argmax(1)
    confusion_KK = torch.from_numpy(np.bincount(cells, minlength=classes**2).reshape(classes, classes)).double()
    out = classification_metrics(confusion_KK, info)
    if prediction.mask_NHW is not None and real.masks_NHW is not None:
        predicted, actual = resized(prediction.mask_NHW, *real.masks_NHW.shape[1:]) > 0.5, real.masks_NHW > 0
        hits = float((predicted & actual).sum())
        out |= mask_metrics(hits, float(predicted.sum()) - hits, float(actual.sum()) - hits)
    return out
