"""How an exported file answers a whole validation split, beside the file that it was made of: accuracy and speed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from raytune_planes.datasets import crops
from raytune_planes.datasets.base import Arrays, Info
from raytune_planes.datasets.outlines import UPRIGHT
from raytune_planes.report.intervals import of_difference, of_pairs, of_pictures
from raytune_planes.serving.exported import Exported
from raytune_planes.serving.exporting import noise
from raytune_planes.serving.predictor import Predictor
from raytune_planes.serving.speed import rate
from raytune_planes.serving.split_predictions import Truth, resized, truth
from raytune_planes.tasks.classification.implementation import classification_metrics
from raytune_planes.tasks.detection.average_precision import SIZE, counted, detection_metrics
from raytune_planes.tasks.segmentation.implementation import mask_metrics

AT_ONCE = 256
"""Pictures whose masks are in memory as floats."""
DRAWS = 500
"""Bootstrap samples of an interval."""


@dataclass(frozen=True)
class Lost:
    """One metric on the same pictures by two files."""

    metric: str
    before: float
    after: float
    interval: tuple[float, float] | None
    """95 %, of ``after - before`` over pictures, or over scenes; None without pictures."""
    count: int
    """Pictures, or scenes where several pictures are of one."""


def lost(model: Predictor, arrays: Arrays, before: Exported, after: Exported, split: str = "val") -> list[Lost]:
    """Each metric of the files' dataset: accuracies, and where there are any masks and boxes.

    The interval of an accuracy is Newcombe's of paired answers (1998). Others are sums over pictures, so their interval
    is that of ``DRAWS`` bootstrap samples of the pictures, whole scenes, the same for both files (Efron 1979).
    """
    info, index_N = model.infos[before.dataset], np.asarray(arrays.splits[split])
    real = truth(arrays, split, model.learnt[before.dataset].seen)
    groups, group_N = np.unique(real.groups_N, return_inverse=True)
    sums = [_sums(file, model, arrays, index_N, real, group_N) for file in (before, after)]
    found = [own.metrics(info, np.ones(len(groups))) for own in sums]
    random = np.random.default_rng(0)
    drawn = random.multinomial(len(groups), np.full(len(groups), 1 / len(groups)), DRAWS).astype(float)
    again = [[own.metrics(info, weight_G) for weight_G in drawn] for own in sums]
    out = []
    for key, was in found[0].items():
        now = found[1][key]
        changes = [b[key] - a[key] for a, b in zip(*again, strict=True)]
        interval: tuple[float, float] | None = tuple(np.percentile(changes, (2.5, 97.5)).tolist())
        if key == "accuracy":
            interval = _paired(sums[0].right_N, sums[1].right_N)
        out.append(Lost(key, was, now, interval, len(real.labels_N) if key == "accuracy" else len(groups)))
    return out


def speed(file: Exported, model: Predictor, batches: Sequence[int]) -> Iterator[tuple[int, float]]:
    """Pictures a second by batch, of the network alone: the median of rounds."""
    for batch in batches:
        pixels_NCHW = torch.from_numpy(noise(model, file.dataset, batch)).permute(0, 3, 1, 2).contiguous()
        yield batch, rate(lambda seen=pixels_NCHW: file.predict(seen), batch)[0]  # type: ignore[misc]


@dataclass(frozen=True)
class _Sums:
    """What a file says of each picture, as numbers that add up to the metrics."""

    cell_N: np.ndarray
    """Of the confusion matrix."""
    right_N: np.ndarray
    """bool."""
    group_N: np.ndarray
    masks_N3: np.ndarray | None
    """Pixels where a plane is said and is, is said, and is."""
    boxes_GC: np.ndarray | None
    """The counts of average precision, by scene."""

    def metrics(self, info: Info, weight_G: np.ndarray) -> dict[str, float]:
        """As ``judged`` tells them, with each scene counted so often."""
        weight_N, kinds = weight_G[self.group_N], len(info.classes)
        confusion = np.bincount(self.cell_N, weight_N, kinds**2).reshape(kinds, kinds)
        out = dict(classification_metrics(torch.from_numpy(confusion), info))
        if self.masks_N3 is not None:
            hits, said, there = (weight_N @ self.masks_N3).tolist()
            out |= mask_metrics(hits, said - hits, there - hits)
        if self.boxes_GC is not None:
            out |= detection_metrics(torch.from_numpy(weight_G @ self.boxes_GC))
        return out


def _sums(
    file: Exported, model: Predictor, arrays: Arrays, index_N: np.ndarray, real: Truth, group_N: np.ndarray
) -> _Sums:
    seen, kinds = model.learnt[file.dataset].seen, len(model.infos[file.dataset].classes)
    said_N, masks, boxes = [], [], np.zeros((int(group_N.max()) + 1, SIZE))
    has_boxes = False
    for start in range(0, len(index_N), AT_ONCE):
        rows = slice(start, start + AT_ONCE)
        pixels_NHWC = seen.pixels(np.asarray(arrays.images_NHWC[index_N[rows]]))
        found = file.predict(torch.from_numpy(pixels_NHWC).permute(0, 3, 1, 2))
        assert found.probability_BK is not None, "every dataset has classes"
        said_N.append(found.probability_BK.argmax(1).numpy())
        if found.mask_BHW is not None and real.masks_NHW is not None:
            there = real.masks_NHW[rows] > 0
            said = resized(found.mask_BHW.half().numpy(), *there.shape[1:]) > 0.5
            masks.append(np.stack([(said & there).sum((1, 2)), said.sum((1, 2)), there.sum((1, 2))], 1))
        if found.box_logit_BN is not None and found.boxes_BN4 is not None and arrays.boxes_NM4 is not None:
            has_boxes, truth_BM4 = True, _true_boxes(arrays, index_N[rows], seen.share)
            for place, group in enumerate(group_N[rows]):
                one = slice(place, place + 1)
                boxes[group] += counted(found.box_logit_BN[one], found.boxes_BN4[one], truth_BM4[one]).numpy()
    label_N = np.concatenate(said_N)
    return _Sums(
        real.labels_N * kinds + label_N,
        label_N == real.labels_N,
        group_N,
        np.concatenate(masks).astype(float) if masks else None,
        boxes if has_boxes else None,
    )


def _true_boxes(arrays: Arrays, index_N: np.ndarray, share: float) -> torch.Tensor:
    """In shares of what the model sees."""
    assert arrays.boxes_NM4 is not None
    side = arrays.images_NHWC.shape[1]
    truth_BM4 = torch.from_numpy(np.asarray(arrays.boxes_NM4[index_N])[..., :UPRIGHT])
    windows_B4 = np.tile(np.array(crops.middle(side, share)), (len(index_N), 1))
    return crops.moved_boxes(truth_BM4, windows_B4, side, side) if share < 1 else truth_BM4


def _paired(before_N: np.ndarray, after_N: np.ndarray) -> tuple[float, float] | None:
    """The 95 % interval of the change of an accuracy, from which pictures each answers rightly."""
    count = len(before_N)
    both, first = int((before_N & after_N).sum()), int((after_N & ~before_N).sum())
    second = int((before_N & ~after_N).sum())
    was, now = float(before_N.mean()), float(after_N.mean())
    ends = of_pictures(now, count), of_pictures(was, count)
    if ends[0] is None or ends[1] is None:
        return None
    same = of_pairs(both, first, second, count - both - first - second)
    return of_difference(now, ends[0], was, ends[1], same)
