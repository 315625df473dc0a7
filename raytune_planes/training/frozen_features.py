"""What a frozen encoder says of the pictures of a dataset, in place of the pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from raytune_planes.config import Dataset
from raytune_planes.datasets import blending, sampling, transforms
from raytune_planes.datasets.base import Arrays
from raytune_planes.datasets.loaders import Batch, TrainStream, share
from raytune_planes.datasets.pixels import Pixels
from raytune_planes.tasks.implementation import Implementation

LABELS, MASKS, BOXES = "labels", "masks", "boxes"


@dataclass(frozen=True)
class Wanted:
    """The features of one dataset that a training asks for."""

    arrays: Arrays
    pixels: Pixels
    stream: TrainStream
    asked: Dataset
    """Its settings."""
    views: int
    """Augmented views of each training picture."""
    fine: bool
    """Whether a task reads the finer maps."""
    precision: Callable[[], AbstractContextManager[object]]
    """The arithmetic of the encoder."""
    named: str
    """That arithmetic, in words."""

    @property
    def train_T(self) -> np.ndarray:
        return np.asarray(self.arrays.splits["train"])

    @property
    def val_V(self) -> np.ndarray:
        return np.asarray(self.arrays.splits["val"])

    @property
    def rows(self) -> int:
        return self.views * len(self.train_T) + len(self.val_V)


class Features:
    """Maps of every view of every training picture, then of every validation picture as it is; and what moved along."""

    def __init__(self, wanted: Wanted, kept: Mapping[str, np.ndarray], witness: np.ndarray | None = None) -> None:
        """``witness``: of an entry of the cache, which says that it is in use while this lives."""
        self._wanted, self._train, self._witness = wanted, len(wanted.train_T), witness
        rows = {name: np.asarray(array) for name, array in kept.items()}
        self._labels, self._masks, self._boxes = rows.pop(LABELS), rows.pop(MASKS, None), rows.pop(BOXES, None)
        self._maps = rows
        self._place_of = np.full(len(wanted.arrays.labels_N), -1, np.int64)
        self._place_of[wanted.train_T] = np.arange(self._train)

    def __call__(self, place_B: Tensor) -> dict[str, Tensor]:
        """The encoder's maps at these places, [B, C, H, W], float32 on the CPU."""
        at = place_B.numpy(force=True)
        return {name: torch.from_numpy(held[at]).float().permute(0, 3, 1, 2) for name, held in self._maps.items()}

    def validation(self, start: int, count: int) -> Tensor:
        """Places of ``count`` validation pictures from the ``start``-th on."""
        return torch.arange(count) + self._wanted.views * self._train + start

    def batch(self, chosen: np.ndarray, view_B: np.ndarray) -> Batch:
        """The training pictures ``chosen``, by index into the arrays, each in one of its views.

        Pictures themselves are not read: in their place stand values that are no numbers.
        """
        pixels = self._wanted.pixels
        place_B = view_B * self._train + self._place_of[chosen]
        blank_BCHW = torch.full((1, 1, 1, 1), torch.nan).expand(len(chosen), 3, pixels.side, pixels.side)
        mask_BHW = None if self._masks is None else torch.from_numpy(self._masks[place_B]).float()
        boxes_BM4 = None if self._boxes is None else torch.from_numpy(self._boxes[place_B])
        labels_B, places_B = torch.from_numpy(self._labels[place_B]), torch.from_numpy(place_B)
        return Batch(pixels.name, blank_BCHW, labels_B, mask_BHW, boxes_BM4=boxes_BM4, place_B=places_B)


class FeatureStream:
    """The training batches of a ``TrainStream``, with stored features in place of pictures.

    Which view each picture has is a pure function of seed and number, as the order of pictures is.
    """

    def __init__(self, stream: TrainStream, features: Features, views: int, seed: int, name: str) -> None:
        self.size, self.batch_size = stream.size, stream.batch_size
        self._stream, self._features, self._views, self._seed, self._name = stream, features, views, seed, name

    def batch(self, index: int, rank: int = 0, world: int = 1) -> Batch:
        """As ``TrainStream.batch``."""
        part = share(self.batch_size, rank, world)
        random = np.random.Generator(np.random.PCG64(sampling.seeds(self._seed, self._name, sampling.VIEW, index)))
        view_B = random.integers(self._views, size=self.batch_size)
        return self._features.batch(self._stream.indexes(index)[part], view_B[part])


def view_draws(dataset: str, view: int, pictures: int) -> tuple[Tensor, np.ndarray]:
    """The random numbers of a view of all training pictures, for ``TrainStream.drawn``: the same for every seed."""
    draw, move = sampling.seeds(0, dataset, sampling.VIEW, view).spawn(2)
    generator = torch.Generator().manual_seed(int(draw.generate_state(1, np.uint64)[0]))
    places_T2 = np.random.Generator(np.random.PCG64(move)).random((pictures, 2))
    return transforms.draw(pictures, generator), places_T2


def why_not(wanted: Wanted, tasks: Mapping[str, Implementation]) -> str:
    """What keeps the features of a dataset from being stored, in words; empty where nothing does.

    ``tasks``: those that the dataset has.
    """
    name = wanted.arrays.info.name
    if blending.is_asked(wanted.asked.augment):
        return f"datasets.{name}.augment.mixup and cutmix blend pictures of a batch anew in every step"
    if readers := [task for task, own in tasks.items() if own.reads_pictures]:
        return f"losses.{readers[0]} reads the pictures themselves"
    return ""
