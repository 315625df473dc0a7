"""Batches of a decoded dataset for training, by number."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from raytune_planes import config
from raytune_planes.datasets import blending, boxes, crops, sampling, transforms
from raytune_planes.datasets.base import Arrays
from raytune_planes.datasets.pixels import Pixels
from raytune_planes.datasets.scene_crops import SceneCrops
from raytune_planes.errors import UserError

CENTRE, SPREAD = 0.5, 0.25
"""Images reach the model as (x - CENTRE) / SPREAD with x in [0, 1]: the same for all datasets, so that no statistics
of one leak into another."""


@dataclass(frozen=True)
class Batch:
    """Images of one dataset, ready for the model."""

    dataset: str
    image_BCHW: Tensor
    """float32, normalised."""
    label_B: Tensor
    """int64; of a blended image the label of its larger part."""
    mask_BHW: Tensor | None
    """float32 in {0, 1}, or between them where masks are averaged; None for datasets without masks."""
    other_B: Tensor | None = None
    """int64, the label of a blended image's smaller part; None where nothing is blended."""
    share_B: Tensor | None = None
    """float32 in [1/2, 1], what ``label_B`` has of the image; None where nothing is blended."""
    hidden_BHW: Tensor | None = None
    """bool, the pixels that are to be reconstructed; None where no task asks."""
    boxes_BM4: Tensor | None = None
    """float32, the objects (see ``datasets.boxes``); None where no task asks, or the dataset has none."""
    place_B: Tensor | None = None
    """int64, where the features of a frozen encoder stand, in place of the images; None where they are computed."""

    def __len__(self) -> int:
        return len(self.label_B)

    def target(self, classes: int) -> Tensor:
        """What is to be answered: label_B, or target_BK, the classes' probabilities, where images are blended."""
        if self.other_B is None or self.share_B is None:
            return self.label_B
        class_K = torch.arange(classes, device=self.label_B.device)
        mine_BK, other_BK = ((label[:, None] == class_K).long() for label in (self.label_B, self.other_B))
        return self.share_B[:, None] * mine_BK + (1 - self.share_B)[:, None] * other_BK

    def pieces(self, count: int) -> list[Batch]:
        """The batch in order as ``count`` smaller ones of about equal length; fewer where it has not as many images."""
        number = len(self.image_BCHW.chunk(count))
        parts = [[None] * number if rows is None else rows.chunk(count) for rows in self.rows]
        return [Batch(self.dataset, *rows) for rows in zip(*parts, strict=True)]

    def to(self, device: torch.device | str) -> Batch:
        """The same on ``device``, but for ``place_B``: the features of a frozen encoder stand on the host."""
        blank = self.image_BCHW[:1, :1, :1, :1]  # images that nobody reads are one value, and stay one
        image_BCHW = (self.image_BCHW if self.place_B is None else blank).to(device, non_blocking=True)
        beside = [None if each is None else each.to(device, non_blocking=True) for each in self.rows[1:-1]]
        moved = Batch(self.dataset, image_BCHW.expand(self.image_BCHW.shape), *beside)  # type: ignore[arg-type]
        return replace(moved, place_B=self.place_B)

    @property
    def seen(self) -> tuple[Tensor | None, ...]:
        """What the model is given."""
        return self.image_BCHW, self.hidden_BHW, self.place_B

    @property
    def rows(self) -> tuple[Tensor | None, ...]:
        blended = self.other_B, self.share_B
        return self.image_BCHW, self.label_B, self.mask_BHW, *blended, self.hidden_BHW, self.boxes_BM4, self.place_B


class BatchStream(Protocol):
    """The training batches of one dataset, by number."""

    size: int
    batch_size: int

    def batch(self, index: int, rank: int = 0, world: int = 1) -> Batch:
        """Batch ``index`` (0 is the first), or the part of worker ``rank`` of ``world``."""
        ...


class TrainStream:
    """The training batches of one dataset, each a pure function of seed and number: nothing to save or to restore.

    The images form one endless sequence, pass after pass in fresh order, cut into full batches; a batch may lie across
    the border of two passes. A worker takes its contiguous part of the batch, with the augmentation that the whole
    batch would have given it.
    """

    def __init__(
        self, arrays: Arrays, settings: config.Dataset, batch_size: int, seed: int, pixels: Pixels | None = None
    ) -> None:
        """``batch_size`` is the number of images over all workers together; ``pixels`` are those of ``arrays``.

        Raises:
            UserError: the dataset has no training images.
        """
        name, train_N = arrays.info.name, arrays.splits["train"]
        if not len(train_N):
            raise UserError(f"{name} has no training images; add some, or set datasets.{name}.enabled=false")
        labels_N = np.asarray(arrays.labels_N)[train_N]
        kept = sampling.stratified(labels_N, settings.limit, seed, name)
        self.size = len(kept)
        """Training images in use: one pass."""
        self.batch_size = batch_size
        self._pixels = pixels or Pixels(arrays, seen=crops.Seen.of(settings))
        self._augment, self._turns, self._seed = settings.augment.applied, settings.turns(name), seed
        moved = arrays.scenes is not None and settings.train_tiles == "moved"
        self._crops = SceneCrops(arrays, self._pixels.decoder) if moved else None
        self._order: sampling.Stream
        if settings.class_balanced:
            self._order = sampling.Balanced(train_N[kept], labels_N[kept], seed, name)
        else:
            self._order = sampling.Shuffled(train_N[kept], seed, name)

    def batch(self, index: int, rank: int = 0, world: int = 1) -> Batch:
        """Batch ``index`` (0 is the first), or the part of worker ``rank`` of ``world``.

        Raises:
            UserError: the batch cannot be shared evenly.
        """
        part = share(self.batch_size, rank, world)
        random = sampling.seeds(self._seed, self._pixels.name, sampling.HIDE, index)
        hidden_BHW = self._pixels.hidden(self.batch_size, random)
        shown = self._shown(index, part)
        return shown if hidden_BHW is None else replace(shown, hidden_BHW=hidden_BHW[part])

    def _shown(self, index: int, part: slice) -> Batch:
        """What these rows of the whole batch ``index`` show: images and what stands in them."""
        if not blending.is_asked(self._augment):
            return self._augmented(index, part)
        rows_R = np.arange(self.batch_size)[part]
        random = sampling.seeds(self._seed, self._pixels.name, sampling.BLEND, index)
        recipe = blending.draw(self.batch_size, self._pixels.side, self._augment, random).rows(rows_R)
        # Partners may stand in another worker's part: each is made here as that worker makes it.
        needed, places = np.unique(np.concatenate([rows_R, recipe.partner_B]), return_inverse=True)
        mine, other = np.split(places, 2)
        return _blended(self._augmented(index, needed), mine, other, recipe)

    def _augmented(self, index: int, rows: slice | np.ndarray) -> Batch:
        """These rows of the whole batch ``index``, augmented."""
        chosen = self.indexes(index)[rows]
        random = sampling.seeds(self._seed, self._pixels.name, sampling.AUGMENT, index)
        generator = torch.Generator().manual_seed(int(random.generate_state(1, np.uint64)[0]))
        draws_BD = transforms.draw(self.batch_size, generator)[rows]
        random = sampling.seeds(self._seed, self._pixels.name, sampling.MOVE, index)
        places_B2 = np.random.Generator(np.random.PCG64(random)).random((self.batch_size, 2))[rows]
        return self.drawn(chosen, draws_BD, places_B2)

    def drawn(self, chosen: np.ndarray, draws_BD: Tensor, places_B2: np.ndarray) -> Batch:
        """The images ``chosen``, augmented with the random numbers of ``transforms.draw``, and where tiles are moved in
        their scenes, by ``places_B2`` in [0, 1)."""
        pixels = self._pixels
        if self._crops is not None:
            pixels = self._pixels.of(self._crops.near(chosen, places_B2))
            chosen = np.arange(len(chosen))
        windows_B4 = None
        if crops.is_asked(self._augment):
            side = pixels.decoded
            windows_B4 = crops.drawn(draws_BD[:, transforms.CROP], self._augment, side, side, side)
        image_BCHW, mask_BHW = pixels.at(chosen, windows_B4)
        boxes_BM4 = pixels.boxes(chosen, windows_B4)
        if boxes_BM4 is not None:
            boxes_BM4 = transforms.moved_boxes(boxes_BM4, self._augment, draws_BD, image_BCHW, self._turns)
        image_BCHW, mask_BHW = transforms.apply(image_BCHW, mask_BHW, self._augment, draws_BD, self._turns)
        labels_B = pixels.labels(chosen, windows_B4)
        return Batch(self._pixels.name, normalise(image_BCHW), labels_B, mask_BHW, boxes_BM4=boxes_BM4)

    def indexes(self, index: int) -> np.ndarray:
        """The images of the whole batch ``index``, as indexes into the dataset's arrays."""
        return self._order.at(np.arange(index * self.batch_size, (index + 1) * self.batch_size))


def _blended(of: Batch, mine: np.ndarray, other: np.ndarray, recipe: blending.Recipe) -> Batch:
    """The images ``mine`` of a batch with the images ``other`` of it."""
    mine_R, other_R = torch.from_numpy(mine), torch.from_numpy(other)
    share_R = torch.from_numpy(recipe.share_B).float()
    swapped = share_R < 0.5
    label_R, other_label_R = of.label_B[mine_R], of.label_B[other_R]
    here = [rows.to(of.image_BCHW.device, non_blocking=True) for rows in (mine_R, other_R)]
    image, mask = (
        None if x is None else blending.blend(x[here[0]], x[here[1]], recipe) for x in (of.image_BCHW, of.mask_BHW)
    )
    assert image is not None
    placed, side = of.boxes_BM4, image.shape[-1]
    placed = None if placed is None else boxes.blended(placed[mine_R], placed[other_R], recipe, side)
    return Batch(
        of.dataset,
        image,
        torch.where(swapped, other_label_R, label_R),
        mask,
        torch.where(swapped, label_R, other_label_R),
        torch.where(swapped, 1 - share_R, share_R),
        boxes_BM4=placed,
    )


def share(batch_size: int, rank: int, world: int) -> slice:
    """The contiguous part of a batch that worker ``rank`` of ``world`` takes.

    Raises:
        UserError: the parts would differ in size, and with them the weight of an image in the mean gradient.
    """
    if batch_size % world:
        lower = batch_size - batch_size % world
        allowed = f"{lower} or {lower + world}" if lower else f"{world}"
        raise UserError(f"budget.batch_size = {batch_size} does not divide by {world} workers; set it to {allowed}")
    each = batch_size // world
    return slice(rank * each, (rank + 1) * each)


def normalise(image_BCHW: Tensor) -> Tensor:
    """From [0, 1] to what the model sees; changes the tensor it is given."""
    return image_BCHW.sub_(CENTRE).div_(SPREAD)
