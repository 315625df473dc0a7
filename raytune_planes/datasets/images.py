"""Decode a picture, or a window of one, to an array of the study's image size."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from raytune_planes.errors import UserError
from raytune_planes.paths import regular
from raytune_planes.printing import printable

Window = tuple[float, float, float, float]
"""Left, top, right, bottom in source pixels."""
Source = Path | bytes
"""A picture's file, or what stands in one."""

# What Pillow's decoders raise on damaged files. Its guard against decompression bombs stays on.
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError)
_ORIENTATION = 0x0112
_TURNED = frozenset({5, 6, 7, 8})


@dataclass(frozen=True)
class Picture:
    """A decoded picture, upright and RGB, possibly smaller than its file says."""

    image: Image.Image
    width: int
    """Of the file, upright, in source pixels."""
    height: int

    def crop(self, size: int, window: Window | None = None) -> np.ndarray:
        """The window (default: all) at ``size`` x ``size`` as uint8 [size, size, 3]; sides are scaled separately."""
        across, down = self.image.width / self.width, self.image.height / self.height
        left, top, right, bottom = window or (0, 0, self.width, self.height)
        box = (left * across, top * down, min(right * across, self.image.width), min(bottom * down, self.image.height))
        if box == (0, 0, size, size) and self.image.size == (size, size):
            return np.asarray(self.image).copy()
        return np.asarray(self.image.resize((size, size), Image.Resampling.BILINEAR, box=box))


def size_of(source: Source) -> tuple[int, int]:
    """Width and height of an upright picture, from its header alone. Raises UserError naming the file."""
    try:
        with _open(source) as image:
            return _upright_size(image)
    except _DAMAGE as error:
        raise _unreadable(source, error) from None


def decode(source: Source, *, coarsest: float = 1.0, fit: int = 0) -> Picture:
    """The whole picture, upright and RGB.

    The decoder goes by the content, not by the suffix: many public ``.jpg`` files are PNG.

    Args:
        coarsest: how many source pixels may become one. JPEG then decodes at 1/2, 1/4 or 1/8 of its size: four times
            faster for a scene of 13 megapixels.
        fit: instead of ``coarsest``, the least side in pixels that is needed of the whole picture; 0 for all.

    Raises:
        UserError: the file is missing, truncated or no picture; names it.
    """
    try:
        with _open(source) as image:
            width, height = _upright_size(image)
            factor = min(width, height) / fit if fit else coarsest
            if factor >= 2:
                image.draft("RGB", (int(image.width / factor), int(image.height / factor)))
            return Picture(_rgb(ImageOps.exif_transpose(image)), width, height)
    except _DAMAGE as error:
        raise _unreadable(source, error) from None


def load(path: Source, size: int, *, trim_bottom: int = 0) -> np.ndarray:
    """One picture as uint8 [size, size, 3], without its last ``trim_bottom`` rows. Raises UserError naming the file."""
    picture = decode(path, fit=size + trim_bottom)
    if picture.height <= trim_bottom:
        name = "the picture" if isinstance(path, bytes) else path
        raise UserError(f"{name} has {picture.height} rows, and its last {trim_bottom} are cut off as a banner")
    rows = picture.height - trim_bottom
    # Cut before scaling: Pillow's filters reach beyond a box that is given to them.
    kept = picture.image.crop((0, 0, picture.image.width, picture.image.height * rows // picture.height))
    return Picture(kept, picture.width, rows).crop(size)


def _open(source: Source) -> Image.Image:
    return Image.open(io.BytesIO(source) if isinstance(source, bytes) else regular(source))


def _upright_size(image: Image.Image) -> tuple[int, int]:
    turned = image.getexif().get(_ORIENTATION) in _TURNED
    return (image.height, image.width) if turned else (image.width, image.height)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):  # Pillow clips 16 bits to 8 instead of scaling them
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode == "P":  # a palette with transparency warns unless it goes by way of RGBA
        image = image.convert("RGBA")
    return image.convert("RGB")


def _unreadable(path: Source, error: Exception) -> UserError:
    if isinstance(path, bytes):
        return UserError(f"{len(path):,} bytes cannot be decoded as a picture: {str(error) or type(error).__name__}")
    if isinstance(error, FileNotFoundError):
        return UserError(f"no picture {printable(path)}; it is listed but not there")
    reason = getattr(error, "strerror", None) or str(error).removesuffix(f" {str(path)!r}") or type(error).__name__
    return UserError(f"{printable(path)} cannot be decoded: {reason}; replace the file, or unpack its archive again")
