"""The numbers behind figures of a model's predictions: confusion, worst pairs, masks next to the truth, examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raytune_planes.report.figure import Missing
from raytune_planes.tracking.validation import probabilities

LABELLED = 30
"""Most classes whose names fit beside a confusion matrix."""
PAIRS = 10
EXAMPLES = 4
"""Pictures right, and as many wrong, of each dataset."""


@dataclass(frozen=True)
class Confusion:
    """What a model took each class of one dataset's validation split for."""

    dataset: str
    classes: tuple[str, ...]
    counts_KK: np.ndarray
    """int64; row: the true class, column: the class that was said."""

    @property
    def accuracy(self) -> float:
        return float(np.trace(self.counts_KK) / self.counts_KK.sum())


@dataclass(frozen=True)
class Pair:
    """Two classes that were taken for each other."""

    one: str
    other: str
    mistakes: int
    """In both directions."""
    pictures: int
    """Of both classes."""


@dataclass(frozen=True)
class WorstPairs:
    dataset: str
    pairs: tuple[Pair, ...]
    share: float
    """Of all mistakes that these pairs hold."""


@dataclass(frozen=True)
class MaskExample:
    """One validation picture with its mask as it is and as the model drew it."""

    image_HWC: np.ndarray
    truth_HW: np.ndarray
    predicted_HW: np.ndarray
    """Probability of a plane in [0, 1]."""
    iou: float
    """At probability 0.5; NaN when neither has a plane."""


@dataclass(frozen=True)
class Masks:
    dataset: str
    examples: tuple[MaskExample, ...]
    """Best first."""
    looked_at: int = 0
    """Pictures with planes, of the validation split, from which these are taken."""


@dataclass(frozen=True)
class Example:
    """One validation picture and what the model took it for."""

    dataset: str
    image_HWC: np.ndarray
    truth: str
    predicted: str
    probability: float
    """Of the class that was said."""

    @property
    def right(self) -> bool:
        return self.truth == self.predicted


@dataclass(frozen=True)
class Examples:
    examples: tuple[Example, ...]


def confusion(dataset: str, logits_NK: np.ndarray, labels_N: np.ndarray, classes: Sequence[str]) -> Confusion | Missing:
    """The confusion matrix of the classes with the highest logit.

    Args:
        dataset: Its name.
        logits_NK: Of every validation picture.
        labels_N: The true classes.
        classes: Their names, K of them or none.

    Returns:
        Counts [K, K], rows by true class; or why there are none.
    """
    if not len(labels_N):
        return Missing(f"{dataset} has no validation pictures")
    k = logits_NK.shape[1]
    counts_KK = np.zeros((k, k), np.int64)
    np.add.at(counts_KK, (labels_N, logits_NK.argmax(1)), 1)
    return Confusion(dataset, tuple(classes) or tuple(f"class {i}" for i in range(k)), counts_KK)


def worst_pairs(confusion: Confusion | Missing) -> WorstPairs | Missing:
    """The pairs of classes with the most mistakes between them, those of equal number in the order of classes."""
    if isinstance(confusion, Missing):
        return confusion
    wrong_KK = confusion.counts_KK - np.diag(np.diag(confusion.counts_KK))
    both_KK, of_K = wrong_KK + wrong_KK.T, confusion.counts_KK.sum(1)
    upper = [(int(both_KK[i, j]), i, j) for i in range(len(of_K)) for j in range(i + 1, len(of_K)) if both_KK[i, j]]
    worst = sorted(upper, key=lambda p: (-p[0], p[1], p[2]))[:PAIRS]
    if not worst:
        return Missing(f"there is no mistake on the validation split of {confusion.dataset}")
    pairs = tuple(Pair(confusion.classes[i], confusion.classes[j], n, int(of_K[i] + of_K[j])) for n, i, j in worst)
    return WorstPairs(confusion.dataset, pairs, sum(p.mistakes for p in pairs) / int(wrong_KK.sum()))


def mask_iou(truth_HW: np.ndarray, predicted_HW: np.ndarray) -> float:
    """Intersection over union of a mask in {0, 1} and probabilities cut at 0.5; NaN when both are empty."""
    truth, predicted = truth_HW > 0, predicted_HW > 0.5
    union = int((truth | predicted).sum())
    return int((truth & predicted).sum()) / union if union else float("nan")


def spread(ious: Sequence[float], count: int) -> list[int]:
    """Positions of the best, the worst, and others evenly between them by rank, best first; each of them once."""
    order = sorted(range(len(ious)), key=lambda i: -ious[i])
    if len(order) <= count:
        return order
    return [order[round(i * (len(order) - 1) / (count - 1))] for i in range(count)]


def chosen(logits_NK: np.ndarray, labels_N: np.ndarray) -> list[int]:
    """Positions of the most certain right answers and the most certain wrong ones, of many classes where possible.

    The certain mistakes teach most; the certain successes show what the model has learnt.
    """
    certain_N = probabilities(logits_NK).max(1)
    predicted_N = logits_NK.argmax(1)
    examples = []
    for condition_N in (predicted_N == labels_N, predicted_N != labels_N):
        order = [int(i) for i in np.argsort(-certain_N, kind="stable") if condition_N[i]]
        firsts = {int(labels_N[i]): i for i in reversed(order)}
        spread = sorted(firsts.values(), key=order.index)
        examples += [*spread, *(i for i in order if i not in set(spread))][:EXAMPLES]
    return examples
