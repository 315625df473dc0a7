"""What every dataset offers: an index of its samples, its classes, and one decoded image at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from raytune_planes.datasets import images
from raytune_planes.datasets.framing import Window
from raytune_planes.datasets.images import Source
from raytune_planes.datasets.info import USUAL_TILE, Info
from raytune_planes.datasets.options import Options
from raytune_planes.datasets.outlines import Corners
from raytune_planes.datasets.sizes import Sizes
from raytune_planes.datasets.whole_scenes import Scenes

SPLITS = ("train", "val", "test")
MEASURED = 500
"""Pictures of which ``Reader.sizes`` reads the header: a fraction of a second."""
COMPARED_AT = 256
"""Least side in pixels at which ``Reader.whole`` decodes a larger picture."""


@dataclass(frozen=True)
class Sample:
    """One image, or one tile of a scene, before it is decoded."""

    path: Path
    label: int
    group: str
    """Samples of one group (scene, picture) never straddle two splits."""
    window: tuple[int, int, int, int] | None = None
    """Crop (left, top, right, bottom) in source pixels; None for the whole picture."""
    boxes: tuple[tuple[float, float, float, float], ...] = ()
    """Objects (left, top, right, bottom) in pixels of the window, cut to it: what the mask is drawn from."""
    uncut: tuple[tuple[float, float, float, float], ...] = ()
    """The same objects whole, also where they reach beyond the window; empty from readers without windows."""
    corners: tuple[Corners, ...] = ()
    """Of the oriented boxes of the same objects, whole; empty where labels tell none."""
    row: int | None = None
    """Position within ``path`` when that file holds many images; None for a file of one picture."""
    mask: Path | None = None
    """A picture of the mask; None where boxes or nothing tell it."""
    place: tuple[float, float] | None = None
    """Longitude and latitude of the centre in degrees, where the format tells it."""


@dataclass(frozen=True)
class Account:
    """What became of every file and folder below a root: nothing vanishes."""

    read: frozenset[Path] = frozenset()
    """Pictures, masks, labels and lists that were used."""
    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Reason -> paths below the root of the files and whole folders that were not."""
    unused_pictures: int = 0
    """Pictures among what was left out."""


@dataclass(frozen=True)
class Listing:
    """What a reader found under its root."""

    info: Info
    samples: tuple[Sample, ...]
    splits: Mapping[str, tuple[int, ...]]
    """Indexes into ``samples`` for each of ``SPLITS``."""
    warnings: tuple[str, ...] = ()
    """Counted faults that did not stop the reading, as messages."""
    synthetic: bool = False
    """Whether the files were drawn by ``synth``."""
    boxes_of: Mapping[str, int] = field(default_factory=dict)
    """Objects in each scene, by its group; empty for datasets of small pictures."""
    account: Account = field(default_factory=Account, compare=False)
    scenes: tuple[Sample, ...] = ()
    """The scenes that the samples are tiles of, each as a window of its own; empty for datasets of small pictures."""
    scene_splits: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Indexes into ``scenes`` for each of ``SPLITS``."""


class Reader(ABC):
    """Reads one on-disk format. Building one touches no file; ``scan`` lists, ``load`` decodes."""

    name: ClassVar[str]
    source: ClassVar[str]
    """Where people get the data, for the message about a missing folder."""
    layout: ClassVar[str]
    """The expected tree, a few lines, for the same message."""
    extent_m: ClassVar[float] = 0.0
    """Side of the ground that a picture shows, in metres; 0 where pictures tell no place."""
    trim_bottom: ClassVar[int] = 0
    """Rows at the bottom of every picture that the model never sees."""
    tiled: ClassVar[bool] = False
    """Whether samples are tiles of scenes, of ``tile`` source pixels."""
    chip: ClassVar[int] = 0
    """Side in source pixels of chips that were cut from scenes, one around each object; 0 for any other pictures."""
    boxed: ClassVar[bool] = False
    """Whether whole pictures have a box around their object, to which ``crop_to_box`` cuts them."""
    sought: ClassVar[int] = 1
    """Label of the chips that show an object."""

    def __init__(
        self, root: Path, *, name: str, image_size: int, tile: int | str, seed: int = 0, options: Options | None = None
    ) -> None:
        """``image_size``: the side in pixels at which pictures are decoded and kept (``Dataset.decoded_side``).

        ``tile``: source pixels, or ``auto``."""
        self.root, self.name_in_study, self.image_size, self.seed = root, name, image_size, seed
        self.tile_asked, self.tile = tile, tile if isinstance(tile, int) else USUAL_TILE
        """What was asked for, and the side once it is known: under ``auto`` after ``scan``, or from ``Info.tile``."""
        self.options = options or Options()
        self.values = self.options.values
        """That range, once it is known: see ``Info.values``."""
        self.shared: images.Decoded | None = None
        """What readers of other sizes that go through the same files have decoded of the last one."""

    @abstractmethod
    def scan(self) -> Listing:
        """List every sample without decoding pictures.

        Raises:
            UserError: the folder or a file of the format is missing or malformed; names file and line.
        """

    @abstractmethod
    def load(self, sample: Sample) -> tuple[np.ndarray, np.ndarray | None]:
        """Decode one sample at ``image_size``.

        Returns:
            image_HWC uint8 RGB and, for datasets with masks, mask_HW uint8 in {0, 1}.

        Raises:
            UserError: the picture cannot be decoded; names its file.
        """

    def show(self, source: Source, window: Window | None = None, box: Window | None = None) -> np.ndarray:
        """A picture, or a window of a scene, as it is decoded: uint8 [D, D, 3] at ``image_size``.

        The only way from a file to pixels: ``load`` takes it for training and evaluation, ``serving`` for any picture.

        Args:
            box: of the object in a whole picture, where ``crop_to_box`` is asked; without one all of it is shown.

        Raises:
            UserError: the picture cannot be decoded; names its file.
        """
        if window is None:
            return images.load(
                source,
                self.image_size,
                trim_bottom=self.trim_bottom,
                most=self.options.max_pixels,
                values=self.values,
                shown=self.options.bands,
                framing=self.options.framing,
                box=box,
                shared=self.shared,
            )
        return self.scene(source, window[2] - window[0]).crop(self.image_size, window)

    def scene(self, source: Source, side: float) -> images.Picture:
        """A scene that windows of ``side`` source pixels are to be cut from."""
        return self.decoded(source, coarsest=side / self.image_size)

    def size(self, sample: Sample) -> tuple[int, int]:
        """Width and height in pixels of the picture that ``sample`` is, or is a tile of."""
        return self.size_of(sample.path)

    def size_of(self, source: Source) -> tuple[int, int]:
        """Width and height of a picture, upright. Raises UserError: it cannot be read, or is larger than allowed."""
        return images.size_of(source, self.options.max_pixels)

    def sizes(self, listing: Listing) -> Sizes:
        """Of training pictures: all, or ``MEASURED`` of them evenly over the list."""
        first = {s.path if s.row is None else s.row: s for s in (listing.samples[i] for i in listing.splits["train"])}
        pictures = list(first.values())
        return Sizes.of([self.size(s) for s in pictures[:: -(-len(pictures) // MEASURED)]])

    def whole(self, sample: Sample) -> images.Picture:
        """The whole picture that ``sample`` is, or is a tile of, for comparing pictures; large ones at reduced size.

        Raises:
            UserError: it cannot be decoded; names its file.
        """
        return self.decoded(sample.path, fit=COMPARED_AT)

    def decoded(self, source: Source, *, coarsest: float = 1.0, fit: int = 0) -> images.Picture:
        """``images.decode`` with this dataset's options."""
        most, bands = self.options.max_pixels, self.options.bands
        values, shared = self.values, self.shared
        return images.decode(source, coarsest=coarsest, fit=fit, most=most, values=values, shown=bands, shared=shared)


@dataclass(frozen=True)
class Arrays:
    """A decoded dataset: read-only memory-mapped arrays that all trials of a machine share."""

    info: Info
    images_NHWC: np.ndarray
    """uint8 RGB."""
    labels_N: np.ndarray
    """int64."""
    masks_NHW: np.ndarray | None
    """uint8 in {0, 1}; None without masks."""
    splits: Mapping[str, np.ndarray]
    """int64 indexes for each of ``SPLITS``."""
    fingerprint: str
    """Of the files, the reader's version and the size: two equal fingerprints hold equal arrays."""
    synthetic: bool = False
    warnings: Sequence[str] = ()
    boxes_NM4: np.ndarray | None = None
    """float32, the objects of each picture, [N, M, 4] or with oriented boxes [N, M, 12] (see ``datasets.boxes``); None
    without boxes."""
    sizes: Sizes | None = None
    """Of the training pictures' files; None where it is not known."""
    scenes: Scenes | None = None
    """The scenes that the pictures are tiles of, whole; None for datasets of small pictures."""
    of_group_N: np.ndarray | None = None
    """int64: pictures of one scene, or copies of each other, have one number; None where each stands alone."""
    copy_N: np.ndarray | None = None
    """bool: copies of other pictures that ``augment`` wrote, which only train; None where there are none."""
    limit_bytes: int | None = None
    """What the cache that they lie in may hold; None where nobody said."""

    @property
    def groups_N(self) -> np.ndarray:
        return np.arange(len(self.labels_N)) if self.of_group_N is None else np.asarray(self.of_group_N)

    def counts(self) -> dict[str, int]:
        return {split: len(index) for split, index in self.splits.items()}


def described(data: Mapping[str, Arrays]) -> dict[str, Any]:
    """What a checkpoint tells of the data of its model, as plain values: classes, and which pictures were learnt."""
    learnt = {name: {"synthetic": a.synthetic, "sizes": a.sizes and asdict(a.sizes)} for name, a in data.items()}
    return {"infos": {name: asdict(arrays.info) for name, arrays in data.items()}, "learnt": learnt}
