"""The synthetic pictures that replace a data folder: drawn once, kept in the cache."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from raytune_planes.datasets.cache import default_cache
from raytune_planes.datasets.synthetic import synthesise

Say = Callable[[str], None]
"""Receives a message for the person who waits."""


@dataclass(frozen=True)
class SyntheticSizes:
    """How much data is drawn when no ``--data`` is given."""

    planesnet: int = 2000
    hrplanes: int = 16
    fgvc: int = 1200
    fgvc_classes: int = 20


def synthetic_folder(cache: Path | None, say: Say, sizes: SyntheticSizes | None = None) -> Path:
    """A folder of synthetic pictures, drawn once and kept in the cache."""
    sizes = sizes or SyntheticSizes()
    name = f"synthetic-{sizes.planesnet}-{sizes.hrplanes}-{sizes.fgvc}-{sizes.fgvc_classes}"
    folder = (cache or default_cache()) / name
    if not folder.is_dir():
        say(
            f"No folder of data is given: drawing SYNTHETIC data ({sizes.planesnet} chips, {sizes.hrplanes} scenes, "
            f"{sizes.fgvc} pictures of {sizes.fgvc_classes} variants)"
        )
        _draw(folder, sizes)
    return folder


def _draw(folder: Path, sizes: SyntheticSizes) -> None:
    """Draw beside, then rename: two studies that start at once, or a kill, never leave half a folder."""
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        synthesise(temporary, **asdict(sizes), seed=0)
        temporary.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
