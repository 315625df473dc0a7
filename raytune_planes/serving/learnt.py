"""What a model tells of the pictures that it learnt, and how it reads others: whole, in tiles, or by sliding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from raytune_planes.config import TrialConfig
from raytune_planes.datasets import reader
from raytune_planes.datasets.base import Info, Reader
from raytune_planes.datasets.crops import Seen
from raytune_planes.datasets.images import Source
from raytune_planes.datasets.sizes import Sizes
from raytune_planes.errors import UserError
from raytune_planes.scenes.grid import Grid
from raytune_planes.serving.slides import Slide
from raytune_planes.serving.unframed import unframed

SCENE = 2
"""A picture whose shorter side holds this many chips is a scene of them."""

SCALES = 0.01, 100.0
"""What ``--scale`` may be."""


@dataclass(frozen=True)
class Learnt:
    """One dataset of a model."""

    reader: Reader
    """As in training: it turns files into decoded pictures."""
    sizes: Sizes | None
    """Of the pictures that it learnt; None in checkpoints that do not tell."""
    synthetic: bool | None
    """Whether these were drawn by this program; None in checkpoints that do not tell."""
    seen: Seen
    """What the model sees of a decoded picture."""

    def shown(self, source: Source) -> np.ndarray:
        """What the model sees of a whole picture: uint8 [1, S, S, 3]. Raises UserError: it cannot be decoded."""
        return self.seen.pixels(self.reader.show(source)[None])

    @property
    def mask_side(self) -> int:
        """Side in mask pixels of what was seen at once: scenes are joined as they are decoded."""
        return self.reader.image_size if self.reader.tiled else self.seen.side(self.reader.image_size)

    def unframed(self, mask_SS: np.ndarray, source: Source) -> np.ndarray:
        """A mask of all of the picture, from that of what the model saw of it (see ``serving.unframed``)."""
        width, height = self.reader.size_of(source)
        framing, decoded = self.reader.options.framing, self.reader.image_size
        return unframed(mask_SS, framing, self.seen, decoded, width, height - self.reader.trim_bottom)

    @property
    def chip(self) -> int:
        """Side of its chips in source pixels; 0 where its pictures are none."""
        return self.sizes.side if self.sizes and self.reader.chip else self.reader.chip

    def cut(self, source: Source, scale: float | None) -> Grid | Slide | None:
        """How the picture is cut up; None for one that is seen whole.

        Args:
            scale: source pixels that stand for one pixel of what was learnt; None for 1, and for a chip seen whole.

        Raises:
            UserError: there is no such scale, or the picture cannot be decoded.
        """
        if scale is not None:
            check_scale(scale)
        if self.reader.tiled:
            tile = min(round(self.reader.tile * (scale or 1.0)), *self.reader.size_of(source))
            return Grid.of(self.reader.scene(source, tile), tile, self.reader.image_size)
        if self.chip and (scale is not None or min(self.reader.size_of(source)) >= SCENE * self.chip):
            return Slide.of(self.reader, source, self.chip, scale or 1.0)
        if scale is not None:
            raise UserError(
                f"the pictures of '{self.reader.name_in_study}' are seen whole, at no scale; leave out --scale, or name"
                " a dataset of chips or scenes"
            )
        return None

    def __str__(self) -> str:
        """For people: which pictures it reads."""
        kind = "scenes" if self.reader.tiled else "chips, or scenes of them" if self.chip else "whole pictures"
        if self.reader.options.framing.to_box:
            kind = "pictures that are cut to the aircraft"
        return f"{kind}, learnt at {self.sizes}" if self.sizes else kind


def learnt(state: Mapping[str, Any], config: TrialConfig) -> dict[str, Learnt]:
    """From a checkpoint, by dataset."""
    stated: Mapping[str, Any] = state.get("learnt", {})
    out = {}
    for name in state["infos"]:
        sizes, synthetic = (stated.get(name, {}).get(key) for key in ("sizes", "synthetic"))
        of_dataset = reader(name, config.datasets[name], Path())
        info = Info.of_json(state["infos"][name])
        of_dataset.values, of_dataset.tile = info.values, info.tile or of_dataset.tile
        seen = Seen.of(config.datasets[name])
        out[name] = Learnt(of_dataset, Sizes.of_json(sizes) if sizes else None, synthetic, seen)
    return out


def check_scale(scale: float) -> None:
    """Raises UserError: a picture cannot be read at this scale."""
    if not SCALES[0] <= scale <= SCALES[1]:
        raise UserError(f"--scale {scale:g}: give a factor from {SCALES[0]:g} to {SCALES[1]:g}")


def drawn(of: Mapping[str, Learnt]) -> tuple[str, ...] | None:
    """The datasets whose pictures were drawn by this program; None where that is not known of all."""
    if any(each.synthetic is None for each in of.values()):
        return None
    return tuple(name for name, each in of.items() if each.synthetic)
