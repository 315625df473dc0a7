"""Reads grey pictures: a folder of ``<level>.png``, dark up to 127."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from raytune_planes.datasets import files, images
from raytune_planes.datasets.base import SPLITS, Info, Listing, Reader, Sample


class Greys(Reader):
    """Every fifth picture is for validation, the one after it for the test."""

    name: ClassVar[str] = "greys"
    source: ClassVar[str] = "drawn by a test"
    layout: ClassVar[str] = "greys/{level}.png"

    def scan(self) -> Listing:
        paths = sorted(files.expect_root(self).glob("*.png"), key=lambda path: int(path.stem))
        samples = tuple(Sample(path, int(int(path.stem) > 127), path.stem) for path in paths)
        split_of = [{3: "val", 4: "test"}.get(n % 5, "train") for n in range(len(samples))]
        parts = {split: tuple(n for n, own in enumerate(split_of) if own == split) for split in SPLITS}
        info = Info(self.name_in_study, ("dark", "light"), ("a dark picture", "a light picture"))
        return Listing(info, samples, parts)

    def load(self, sample: Sample) -> tuple[np.ndarray, None]:
        return images.load(sample.path, self.image_size), None
