"""Image datasets in their public on-disk formats: reading, writing, caching and drawing them."""

from __future__ import annotations

from pathlib import Path

from raytune_planes.catalog import CATALOG
from raytune_planes.config import Dataset
from raytune_planes.datasets.base import Reader
from raytune_planes.datasets.depth import Range
from raytune_planes.datasets.framing import Framing
from raytune_planes.datasets.links import Links
from raytune_planes.datasets.options import Options
from raytune_planes.errors import UserError, did_you_mean
from raytune_planes.plugins import named


def reader(name: str, config: Dataset, data: Path | None, seed: int = 0) -> Reader:
    """The reader of dataset ``name``: its root is ``config.root``, or the dataset's folder under ``data``.

    Builds the reader only; no file is touched.

    Raises:
        UserError: no such reader in the catalog, or neither a root nor a data folder is given.
    """
    kind = config.reader or name
    if kind not in CATALOG:
        raise UserError(
            f"datasets.{name}.reader = '{kind}': no such reader{did_you_mean(kind, CATALOG)}; "
            f"the readers are {', '.join(CATALOG)}"
        )
    entry = CATALOG[kind]
    if not config.root and data is None:
        raise UserError(
            f"dataset '{name}' has no folder: set datasets.{name}.root, or give --data DIR (with {entry.folder}/ in it)"
        )
    root = Path(config.root).expanduser() if config.root or data is None else data / entry.folder
    reader_class: type[Reader] = named(entry.reader)
    if reader_class.tiled and config.eval_crop < 1:
        raise UserError(
            f"datasets.{name}.eval_crop = {config.eval_crop:g}: scenes of '{kind}' are evaluated whole, tile by tile; "
            f"leave it out"
        )
    if config.crop_to_box and not reader_class.boxed:
        raise UserError(
            f"datasets.{name}.crop_to_box: pictures of '{kind}' have no boxes that they could be cut to; leave it out"
        )
    options = Options(
        framing=Framing(config.fit, config.crop_to_box, config.box_margin if config.crop_to_box else 0.0),
        max_pixels=config.max_pixels,
        classes=tuple(kind.strip() for kind in config.classes.split(",") if kind.strip()),
        values=_range(name, config.values),
        mask_shape=config.mask_shape,
        kept=config.kept,
        bands=tuple(band.strip() for band in config.bands.split(",") if band.strip()),
        links=Links(f"datasets.{name}", config.follow_links, tuple(map(Path.expanduser, config.roots_of_links))),
    )
    return reader_class(root, name=name, image_size=config.decoded_side, tile=config.tile, seed=seed, options=options)


def _range(name: str, text: str) -> Range | None:
    if not text:
        return None
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        low = high = 0.0
    if not low < high:
        raise UserError(f"datasets.{name}.values = '{text}': give two numbers, black's and a larger one for white")
    return low, high
