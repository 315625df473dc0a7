"""Decode a picture, or a window of one, to an array of the study's image size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

from raytune_planes.datasets import bands
from raytune_planes.datasets.bands import Bands
from raytune_planes.datasets.depth import Range, is_deep, scaled, shades
from raytune_planes.datasets.framing import Framing, Window, padded
from raytune_planes.datasets.opening import DAMAGE, MOST_PIXELS, Source, name_of, opened, unreadable
from raytune_planes.errors import UserError

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
        return np.array(self._resized((size, size), window or (0, 0, self.width, self.height)))

    def framed(self, size: int, framing: Framing, box: Window | None = None) -> np.ndarray:
        """The picture as a square, uint8 [size, size, 3]. ``box``: of its object, for a framing that is cut to it."""
        window = framing.window(self.width, self.height, box)
        return np.array(padded(self._resized(framing.sides(window, size), window), size))

    def without_rows(self, count: int) -> Picture:
        """Without its last ``count`` source rows. To be cut before scaling: Pillow's filters reach beyond a box."""
        rows = self.height - count
        kept = self.image.crop((0, 0, self.image.width, max(1, self.image.height * rows // self.height)))
        return Picture(kept, self.width, rows)

    def _resized(self, sides: tuple[int, int], window: Window) -> Image.Image:
        across, down = self.image.width / self.width, self.image.height / self.height
        left, top, right, bottom = window
        box = (left * across, top * down, min(right * across, self.image.width), min(bottom * down, self.image.height))
        if box == (0, 0, *sides) and self.image.size == sides:
            return self.image
        return self.image.resize(sides, Image.Resampling.BILINEAR, box=box)

    def scaled(self, step: float) -> np.ndarray:
        """All of it as uint8 [H, W, 3], one pixel for ``step`` source pixels each way (see ``pixels_of``)."""
        width, height = pixels_of(self.width, step), pixels_of(self.height, step)
        right = min(width * step * self.image.width / self.width, self.image.width)
        bottom = min(height * step * self.image.height / self.height, self.image.height)
        return np.asarray(self.image.resize((width, height), Image.Resampling.BILINEAR, box=(0, 0, right, bottom)))


def pixels_of(side: int, step: float) -> int:
    """Whole pixels of ``step`` source pixels each that a side holds, at least 1; what is left over is not shown."""
    return max(1, int(side / step + 1e-6))


class Decoded:
    """What was decoded of the last file, for whoever needs the same of it at another size. For one thread."""

    def __init__(self) -> None:
        self._source: Source = b""
        self._pictures: dict[tuple[int, int], Picture] = {}

    def of(self, source: Source, size: tuple[int, int], decode: Callable[[], Picture]) -> Picture:
        """The picture in the ``size`` that the decoder gives."""
        if source != self._source:
            self._source, self._pictures = source, {}
        if size not in self._pictures:
            self._pictures[size] = decode()
        return self._pictures[size]


def size_of(source: Source, most: int = MOST_PIXELS) -> tuple[int, int]:
    """Width and height of an upright picture, from its header alone. Raises UserError naming the file."""
    try:
        with opened(source, most) as image:
            return _upright_size(image)
    except Image.UnidentifiedImageError as error:
        size = bands.size_of(source, most)
        if size is None:
            raise unreadable(source, error) from None
        return size
    except DAMAGE as error:
        raise unreadable(source, error) from None


def decode(
    source: Source,
    *,
    coarsest: float = 1.0,
    fit: int = 0,
    most: int = MOST_PIXELS,
    values: Range | None = None,
    shown: Bands = (),
    shared: Decoded | None = None,
) -> Picture:
    """The whole picture, upright and RGB; of several frames the first.

    The decoder goes by the content, not by the suffix: many public ``.jpg`` files are PNG.

    Args:
        coarsest: how many source pixels may become one; JPEG then decodes at 1/2, 1/4 or 1/8, up to 4 times as fast.
        fit: instead of ``coarsest``, the least side in pixels that is needed of the whole picture; 0 for all.
        most: pixels that the picture may have.
        values: of a picture with more than 8 bits, the numbers that become black and white: one range for a dataset.
        shown: of a TIFF of more bands than colours, those that are red, green and blue.
        shared: with whom the last file is decoded, where several sizes of it are needed.

    Raises:
        UserError: the file is missing, truncated, too large or no picture, has more than 8 bits and no range is
            known, or has several bands and none are named; names it.
    """
    try:
        if chosen := bands.chosen(source, shown, most):
            eight_bits = chosen.numbers.dtype == np.uint8
            flat = Image.fromarray(chosen.numbers) if eight_bits else scaled(chosen.numbers, name_of(source), values)
            image = _upright(flat, chosen.orientation).convert("RGB")
            return Picture(image, image.width, image.height)
        with opened(source, most) as image:
            sides = image.size
            if is_deep(image):  # before the search for EXIF, which may decode
                turned = _orientation(image)
                grey = shades(lambda: opened(source, most), name_of(source), values)
                return Picture(_upright(grey, turned).convert("RGB"), *_standing(sides, turned))
            factor = min(sides) / fit if fit else coarsest
            if factor >= 2:
                image.draft("RGB", (int(image.width / factor), int(image.height / factor)))

            def decoded() -> Picture:
                width, height = _standing(sides, _orientation(image))
                ImageOps.exif_transpose(image, in_place=True)  # no copy of what stands upright
                return Picture(_rgb(image), width, height)

            return shared.of(source, image.size, decoded) if shared else decoded()
    except DAMAGE as error:
        raise unreadable(source, error) from None


def load(
    path: Source,
    size: int,
    *,
    trim_bottom: int = 0,
    most: int = MOST_PIXELS,
    values: Range | None = None,
    shown: Bands = (),
    framing: Framing | None = None,
    box: Window | None = None,
    shared: Decoded | None = None,
) -> np.ndarray:
    """One picture as uint8 [size, size, 3], without its last ``trim_bottom`` rows. Raises UserError naming the file.

    Args:
        framing: how it becomes a square; stretched when None.
        box: of its object, for a framing that is cut to it.
    """
    framing = framing or Framing()
    if framing.to_box and box is not None:
        width, height = size_of(path, most)
        left, top, right, bottom = framing.window(width, max(1, height - trim_bottom), box)
        if min(right - left, bottom - top) < 1:
            raise UserError(f"{name_of(path)}: the box of its object {box} lies outside of the picture; correct it")
        coarsest = max(1.0, min(right - left, bottom - top) / size)
        picture = decode(path, coarsest=coarsest, most=most, values=values, shown=shown, shared=shared)
    else:
        picture = decode(path, fit=size + trim_bottom, most=most, values=values, shown=shown, shared=shared)
    if picture.height <= trim_bottom:
        name = "the picture" if isinstance(path, bytes) else path
        raise UserError(f"{name} has {picture.height} rows, and its last {trim_bottom} are cut off as a banner")
    return picture.without_rows(trim_bottom).framed(size, framing, box)


def _upright_size(image: Image.Image) -> tuple[int, int]:
    return _standing(image.size, _orientation(image))


def _standing(sides: tuple[int, int], orientation: int | None) -> tuple[int, int]:
    return sides[::-1] if orientation in _TURNED else sides


def _orientation(image: Image.Image) -> int | None:
    """As EXIF says; None for a TIFF, which Pillow turns itself, with the size that it tells from the first."""
    return None if image.format == "TIFF" else image.getexif().get(_ORIENTATION)


def _upright(image: Image.Image, orientation: int | None) -> Image.Image:
    if orientation is None:
        return image
    image.getexif()[_ORIENTATION] = orientation
    return ImageOps.exif_transpose(image)


def _rgb(image: Image.Image) -> Image.Image:
    """On black, as satellite pictures show what lies outside of them: colours under transparency are not for eyes."""
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
    return image.convert("RGB")
