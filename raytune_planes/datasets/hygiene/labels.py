"""Which labels are probably wrong, by models that did not train on their pictures: confident learning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class Suspect(NamedTuple):
    """A picture whose label is probably another one."""

    row: int
    """Of the arrays that were given."""
    given: int
    """Its label."""
    likely: int
    """The class that the model finds instead."""
    confidence: float
    """Probability of the label that it has: the lower, the more suspicious."""


@dataclass(frozen=True)
class LabelCheck:
    """What ``check`` found."""

    suspects: tuple[Suspect, ...]
    """The most suspicious first."""
    wrong: float
    """Estimated share of wrong labels in the whole: the sum off the diagonal of the joint distribution."""


def check(probabilities_NK: np.ndarray, labels_N: np.ndarray) -> LabelCheck:
    """Confident learning (Northcutt, Jiang and Chuang 2021): the pictures off the diagonal of the confident joint.

    Args:
        probabilities_NK: Of each class, by a model that did not train on the picture (out of fold).
        labels_N: int, the labels as they are.
    """
    classes = probabilities_NK.shape[1]
    rows_N = np.arange(len(labels_N))
    own_N = probabilities_NK[rows_N, labels_N]
    counts_K = np.bincount(labels_N, minlength=classes)
    # Their equation 2: the threshold of a class is the mean probability of that class among the pictures that have it
    # as their label. A class without any is nobody's.
    sums_K = np.bincount(labels_N, own_N, classes)
    thresholds_K = np.where(counts_K > 0, sums_K / np.maximum(counts_K, 1), np.inf)
    # Equation 1: a picture counts for the most probable of the classes that reach their thresholds, if one does.
    reached_NK = np.where(probabilities_NK >= thresholds_K, probabilities_NK, -1.0)
    likely_N = np.where(reached_NK.max(1) >= 0, reached_NK.argmax(1), -1)
    off_N = (likely_N >= 0) & (likely_N != labels_N)
    order = sorted(np.flatnonzero(off_N).tolist(), key=lambda row: (float(own_N[row]), row))
    suspects = tuple(Suspect(row, int(labels_N[row]), int(likely_N[row]), float(own_N[row])) for row in order)
    return LabelCheck(suspects, _wrong(labels_N, likely_N, counts_K))


def _wrong(labels_N: np.ndarray, likely_N: np.ndarray, counts_K: np.ndarray) -> float:
    """The sum off the diagonal of the joint of given and true labels: their equation 3, whose rows are calibrated to
    the counts of the labels."""
    joint_KK = np.zeros((len(counts_K), len(counts_K)))
    sure_N = likely_N >= 0
    np.add.at(joint_KK, (labels_N[sure_N], likely_N[sure_N]), 1)
    totals_K1 = joint_KK.sum(1, keepdims=True)
    joint_KK = joint_KK / np.maximum(totals_K1, 1) * counts_K[:, None]
    total = joint_KK.sum()
    return float(1 - np.trace(joint_KK) / total) if total else 0.0
