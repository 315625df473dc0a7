"""The settings of one dataset: its files, its share of the training, its classification head."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from raytune_planes.catalog import CATALOG
from raytune_planes.config.augmentation import Augment
from raytune_planes.config.local_path import LocalPath, all_local
from raytune_planes.config.stopping import Stop
from raytune_planes.section import Fraction, NotNegative, Section

DECODED_FOR = ("image_size", "decoded_size", "tile", "mask_shape", "fit", "crop_to_box", "box_margin", "kept")
"""Settings that decide how a dataset's pictures are decoded: each of their values is prepared before a study starts."""


def number_as_text(value: object) -> object:
    """A whole number as a text: ``classes=0`` is read as a number, and names an id."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class Head(Section):
    """A dataset's classifier on what the encoder says of an image."""

    kind: Literal["linear", "mlp", "attention", "cosine"] = "mlp"
    """``linear``: one layer on the pooled features. ``mlp``: ``depth`` hidden layers first. ``attention``: that on what
    ``queries`` learnt queries find in the grid, too. ``cosine``: after the hidden layers scaled cosines with a vector
    per class, in training with a margin (CosFace, Wang et al. 2018)."""
    depth: Annotated[int, Field(ge=0, le=3)] = 1
    """Hidden layers of every kind but ``linear``; 0 for none."""
    width: Annotated[int, Field(ge=8, le=4096)] = 256
    """Units of each hidden layer; ignored at depth 0."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Dropout before every linear layer, and before the cosines."""
    queries: Annotated[int, Field(ge=1, le=32)] = 4
    """Of ``attention``: each pools the grid in a way of its own."""
    scale: Annotated[float, Field(ge=1, le=256)] = 16.0
    """Of ``cosine``: the largest logit. K classes can have a probability of p from (K-1)/K ln((K-1) p / (1-p)) on, the
    bound of Wang et al. 2018: 9.1 for p = 0.99 of 100 classes."""
    margin: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Of ``cosine``: by how much the true class's cosine must lead the others' in training; 0 for plain cosines."""


class Dataset(Section):
    """One dataset: what is read, how it is shown to the model, and when it stops."""

    reader: str = ""
    """Which reader of the catalog reads it; empty for the one of its own name."""
    root: LocalPath = ""
    """Folder of the files; empty for the dataset's folder under ``--data``."""
    follow_links: bool = False
    """Also read what links lead to: hidden folders below the root, and what is in ``link_roots``. Without it, a link
    out of the root is refused, and links to folders are left out."""
    link_roots: Annotated[str, AfterValidator(all_local)] = ""
    """Folders outside of the root that links may lead into under ``follow_links``, with commas between."""
    clean: LocalPath = ""
    """Plan that ``data --clean`` wrote: what it lists is left out, and copies share a split; empty for everything."""
    enabled: bool = True
    """Whether the dataset takes part."""
    prompt: Annotated[str, Field(pattern=r"^$|\{class\}")] = ""
    """Sentence for the text encoder, with {class} where the name of a class goes; empty for the reader's own."""
    weight: NotNegative = 1.0
    """Weight of its loss in the total."""
    share: NotNegative = 1.0
    """Its part of the training steps, relative to the others' (``mixing.rule: share``)."""
    image_size: Annotated[int, Field(ge=16, le=1024, multiple_of=8)] = 64
    """Side in pixels at which the model sees it."""
    decoded_size: Annotated[int, Field(ge=16, le=2048)] | None = None
    """Side in pixels at which its pictures are decoded and kept, from ``image_size`` on: what random crops
    (``augment.crop_min``) are cut from. None for ``image_size``. Several values of ``image_size`` share one."""
    kept: Literal["lossless", "jpeg"] = "lossless"
    """How its decoded pictures and scenes stand in the cache. ``lossless``: ready to be mapped, or compressed without
    loss beyond ``--cache-limit``. ``jpeg``: as JPEG of quality 95, at every limit: an eighth to a quarter of the room,
    and the model sees pictures that are 1 or 2 grey levels off. An NVIDIA GPU can decode them (``devices.decode``)."""
    fit: Literal["squash", "crop", "pad"] = "squash"
    """How a picture becomes a square. ``squash``: its sides are scaled separately. ``crop``: the middle as far as the
    shorter side reaches. ``pad``: all of it, grey beside it. Tiles of scenes are squares."""
    crop_to_box: bool = False
    """Cut each picture to the box around its aircraft before that, as the files of fgvc tell it. A picture that is
    given to ``predict`` has no box: cut it likewise yourself."""
    box_margin: Fraction = 0.1
    """What ``crop_to_box`` leaves on each side of the box, as a share of the box's longer side."""
    eval_crop: Annotated[float, Field(ge=0.25, le=1)] = 1.0
    """Validation, test and ``predict`` see the middle of the decoded picture, of this share of its side; 1 for all of
    it. 0.875 is usual where training sees random crops. Not for scenes, which are evaluated tile by tile."""
    view: Literal["auto", "side", "overhead"] = "auto"
    """From where its pictures were taken: those from the side have an up, so that ``augment.flips`` only mirrors them
    left to right. ``auto``: ``side`` for what the reader ``fgvc`` reads, else ``overhead``."""
    tile: Annotated[int, Field(ge=16, le=8192)] | Literal["auto"] = "auto"
    """Side in source pixels of the tiles that large scenes are cut into, side by side; ignored by datasets of small
    pictures. ``auto``: the smallest side at which at most a tenth of the training boxes is cut in every tile, where
    neighbours share a quarter of their side."""
    train_tiles: Literal["moved", "fixed"] = "moved"
    """``moved``: each time it is trained, a tile is cut out of its whole scene anew, up to half its side beside its own
    place; its mask, boxes and label follow. ``fixed``: it stays. Validation and test tiles always stay."""
    mask_shape: Literal["rectangle", "ellipse"] = "rectangle"
    """What masks are drawn in from boxes, which tell no outline: the boxes, filled, or the ellipses inscribed."""
    max_pixels: Annotated[int, Field(ge=256)] = 64_000_000
    """Pixels that one of its pictures may have; a larger one is refused before it is decoded."""
    classes: Annotated[
        str, BeforeValidator(number_as_text), Field(pattern=r"^$|^[^,]*[^, ][^,]*(,[^,]*[^, ][^,]*)*$")
    ] = ""
    """Classes of the boxes that are planes, by id or name, such as ``0, 3`` or ``plane, helicopter``, where labels have
    several; any other object is background. Empty for the only class there is."""
    values: Annotated[str, Field(pattern=r"^$|^-?[0-9.e+-]+ *, *-?[0-9.e+-]+$")] = ""
    """Of pictures with more than 8 bits, the numbers that are shown as black and as white, such as ``0, 2047``; empty
    for the range that the dataset's files use."""
    bands: Annotated[
        str, BeforeValidator(number_as_text), Field(pattern=r"^$|^[^,]*[^, ][^,]*((,[^,]*[^, ][^,]*){2})?$")
    ] = ""
    """Of TIFF files of more bands than colours, those that are seen as red, green and blue, by number from 1 or by the
    name that the file gives them, such as ``3,2,1`` or ``red, green, blue``; one for grey. Without it, such a file is
    refused."""
    limit: Annotated[int, Field(ge=0)] = 0
    """Use at most this many training images, drawn with all classes in proportion; 0 for all."""
    class_balanced: bool = False
    """Draw training images with every class equally likely."""
    teacher: LocalPath = ""
    """Checkpoint (``best.pt``) of a specialist of this dataset, whose answers ``losses.distillation`` learns. It may
    have learnt other datasets too. Empty for none: ``tune`` then takes the dataset trained alone."""
    augment: Augment = Augment()
    head: Head = Head()
    stop: Stop = Stop()

    @property
    def decoded_as(self) -> tuple[tuple[str, Any], ...]:
        """What decides its decoded pictures: two datasets for which this is equal share them."""
        others = (name for name in DECODED_FOR if name not in ("image_size", "decoded_size"))
        return ("side", self.decoded_side), *((name, getattr(self, name)) for name in others)

    @property
    def decoded_side(self) -> int:
        """Side in pixels at which its pictures are kept."""
        return self.decoded_size or self.image_size

    def view_of(self, name: str) -> str:
        """``side`` or ``overhead``, of the dataset ``name``."""
        kind = self.reader or name
        usual = CATALOG[kind].view if kind in CATALOG else "overhead"
        return usual if self.view == "auto" else self.view

    def turns(self, name: str) -> bool:
        """Whether flips may turn a picture of the dataset ``name`` upside down."""
        return self.view_of(name) == "overhead" if self.augment.turns is None else self.augment.turns

    @property
    def roots_of_links(self) -> tuple[Path, ...]:
        """The folders of ``link_roots``."""
        return tuple(Path(part.strip()) for part in self.link_roots.split(",") if part.strip())
