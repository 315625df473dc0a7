"""Pictures with more than 8 bits a value, as satellites take them: which they are, and their numbers as shades."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
from PIL import Image, ImageFile

from raytune_planes.errors import UserError

Range = tuple[float, float]
"""The numbers that are shown as black and as white."""
ENDS = (0.1, 99.9)
"""Percentiles of a picture's numbers between which its range lies: single dead or hot pixels do not set it."""
LOOKED_AT = 1_000_000
"""Numbers of a picture that its range is taken from, evenly over it."""
TINY = 1e-30
"""The least extent of a range, so that nothing is divided by zero."""
NODATA = 42113
"""TIFF tag of GDAL: the number that stands for 'nothing was measured'."""
_BITS, _FORMAT = 258, 339
_SIZ = re.compile(rb"\xff\x51.{36}(?P<components>..)(?P<depth>.)", re.DOTALL)
"""Of a JPEG 2000 codestream: image and tile sizes, then how many components there are and the first one's depth."""
_SPLIT = ("RGB;16", "RGBA;16", "RGBX;16")


def is_deep(image: Image.Image) -> bool:
    """Whether an opened picture has more than 8 bits a value; it is not decoded."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return True
    if image.format == "JPEG2000":
        return _jpeg2000_bits(image) > 8
    if image.format == "PPM":
        most = (tile.args[-1] for tile in _tiles(image) if isinstance(tile.args, tuple))
        return any(isinstance(own, int) and own > 255 for own in most)
    tags = getattr(image, "tag_v2", {})
    return any(";16" in name for name in _raw_modes(image)) or max(tags.get(_BITS, (8,)), default=8) > 8


def shades(reopen: Callable[[], Image.Image], name: str, values: Range | None) -> Image.Image:
    """A deep picture in 8 bits, L or RGB: ``values`` become black and white, what lies beyond is cut off.

    Args:
        reopen: opens the picture; it may be called twice.
        name: of the picture, for messages.
        values: None where no range is known, which is an error.

    Raises:
        UserError: no range is known, or the numbers cannot be had.
    """
    return scaled(_numbers(reopen, name), name, values)


def scaled(numbers: np.ndarray, name: str, values: Range | None) -> Image.Image:
    """The same for numbers [H, W] or [H, W, 3]. Raises UserError: no range is known."""
    if values is None:
        finite = numbers[np.isfinite(numbers)]
        low, high = (finite.min(), finite.max()) if finite.size else (np.nan, np.nan)
        raise UserError(
            f"{name} has numbers of more than 8 bits, from {low:g} to {high:g}, and none "
            f"of the pictures that were learnt has: scale it to 8 bits as they were, or set datasets.<name>.values"
        )
    low, high = values
    with np.errstate(all="ignore"):  # floats may hold anything
        parts = (numbers.astype(np.float32) - low) * (255 / max(high - low, TINY))
        return Image.fromarray(np.nan_to_num(parts, nan=0.0).clip(0, 255).round().astype(np.uint8))


def range_of(reopen: Callable[[], Image.Image], name: str) -> Range | None:
    """The range of a deep picture's numbers, None for any other or where all are missing. Raises UserError."""
    with reopen() as image:
        if not is_deep(image):
            return None
        nothing = getattr(image, "tag_v2", {}).get(NODATA)
    return range_in(_numbers(reopen, name), nothing)


def range_in(numbers: np.ndarray, nothing: object = None) -> Range | None:
    """The range of a picture's numbers; None where all are missing.

    Args:
        nothing: the number that stands for none, as a text.
    """
    numbers = numbers.reshape(-1).astype(np.float64)
    numbers = numbers[:: max(1, len(numbers) // LOOKED_AT)]
    numbers = numbers[np.isfinite(numbers)]
    if nothing is not None:
        with suppress(ValueError):  # a text that is no number stands for none
            numbers = numbers[numbers != float(str(nothing).strip("\0 "))]
    if not len(numbers):
        return None
    low, high = np.percentile(numbers, ENDS)
    return float(low), float(high)


def _numbers(reopen: Callable[[], Image.Image], name: str) -> np.ndarray:
    """[H, W] or [H, W, 3]. Pillow keeps the upper half of 16 bits in colours; a second reading gives the lower."""
    with reopen() as image:
        if image.mode in ("I", "F") or image.mode.startswith("I;16"):
            return np.asarray(image)
        modes = _raw_modes(image)
        if not modes or not all(mode.startswith(_SPLIT) for mode in modes):
            raise UserError(
                f"{name} is a {image.format} with more than 8 bits in {image.mode}, which is not read; save it as TIFF "
                f"or PNG in RGB or in shades of grey"
            )
        upper = np.asarray(image)[..., :3].astype(np.uint16)
    with reopen() as image:
        assert isinstance(image, ImageFile.ImageFile)
        image.tile = [tile._replace(args=_other_half(tile.args)) for tile in image.tile]
        return upper << 8 | np.asarray(image)[..., :3]


def _other_half(arguments: Any) -> Any:
    if isinstance(arguments, tuple):
        return (_other_half(arguments[0]), *arguments[1:])
    mode = str(arguments)
    return f"{mode[:-1]}{'L' if mode.endswith('B') else 'B'}"  # N is the order of this machine: L everywhere we run


def _tiles(image: Image.Image) -> list[ImageFile._Tile]:
    return image.tile if isinstance(image, ImageFile.ImageFile) else []


def _raw_modes(image: Image.Image) -> list[str]:
    firsts = [tile.args[0] if isinstance(tile.args, tuple) and tile.args else tile.args for tile in _tiles(image)]
    return [first for first in firsts if isinstance(first, str)]


def _jpeg2000_bits(image: Image.Image) -> int:
    assert isinstance(image, ImageFile.ImageFile)
    assert image.fp is not None
    place = image.fp.tell()
    image.fp.seek(0)
    header = _SIZ.search(image.fp.read(4096))
    image.fp.seek(place)
    return (header["depth"][0] & 0x7F) + 1 if header else 8
