"""TIFF files of more bands than a picture has colours, as satellites' products come: the bands that are to be seen."""

from __future__ import annotations

import io
import logging
import lzma
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from raytune_planes.datasets import plain_xml
from raytune_planes.datasets.depth import NODATA, is_deep
from raytune_planes.datasets.opening import DAMAGE, Source, is_tiff, name_of, opened
from raytune_planes.errors import UserError
from raytune_planes.printing import printable

if TYPE_CHECKING:
    from tifffile import TiffPage

Bands = tuple[str, ...]
"""Of red, green and blue, or of shades of grey: the band's number from 1, or its name."""
_SAMPLES, _EXTRA, _PHOTOMETRIC, _ORIENTATION, _GDAL = 277, 338, 262, 274, 42112
_ALPHA, _CMYK = (1, 2), 5
# tifffile logs what it finds odd in a file; without a handler, Python prints it bare beside the sentence that we tell.
logging.getLogger("tifffile").addHandler(logging.NullHandler())
# What tifffile raises on damaged files besides what Pillow does; ImportError: a compression that is not installed.
ODD = (ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, lzma.LZMAError)


class Chosen(NamedTuple):
    """The bands of a picture that are shown."""

    numbers: np.ndarray
    """[H, W, 3] or, of one band, [H, W], as the file has them."""
    orientation: int | None
    """As EXIF counts them; None for upright."""
    nothing: object = None
    """The number that stands for 'not measured', as a text; None where the file names none."""


def chosen(source: Source, requested: Bands, most: int) -> Chosen | None:
    """The bands ``requested`` of a TIFF; None for a picture that is shown as it is: of another format, or of one or
    three colours where no bands are named.

    Args:
        most: pixels that it may have.

    Raises:
        UserError: it has more bands than colours and none are named, one that is named is not there, it has too many
            pixels, or its layout or compression is not read.
    """
    if not is_tiff(source) or not (requested or _bands(source, most)):
        return None
    if requested and (selection := _of_pillow(source, requested, most)):
        return selection
    with _Page(source, most) as page:
        count = int(page.samplesperpixel)
        if not requested:
            if count == 1:
                return None  # it is another thing that Pillow does not read
            names = _shown(_names(_metadata(page), count))
            raise UserError(
                f"{name_of(source)} has {count} bands{names}: set datasets.<name>.bands to those that are red, green "
                f"and blue, by number or name, such as '3,2,1', or to one that is shown in grey"
            )
        if count < 2:
            return None
        numbers = page.asarray()
        planes = np.moveaxis(numbers, page.axes.index("S"), -1) if "S" in page.axes else numbers[..., None]
        index = _places(requested, _names(_metadata(page), count), source)
        orientation, nothing = (page.tags.valueof(tag) for tag in (_ORIENTATION, NODATA))
        return Chosen(planes[..., index if len(index) > 1 else index[0]], int(orientation or 1), nothing)


def _of_pillow(source: Source, requested: Bands, most: int) -> Chosen | None:
    """Of four bands of 8 bits, which Pillow opens and stands upright, in more compressions than tifffile."""
    with suppress(Image.UnidentifiedImageError), opened(source, most) as image:
        if image.mode == "RGBX" and not is_deep(image):
            names = _names(str(getattr(image, "tag_v2", {}).get(_GDAL, "")), 4)
            index = _places(requested, names, source)
            return Chosen(np.asarray(image)[..., index if len(index) > 1 else index[0]], None)
    return None


def size_of(source: Source, most: int) -> tuple[int, int] | None:
    """Width and height, upright, of a TIFF that Pillow does not open; None where this reads it no better."""
    if not is_tiff(source):
        return None
    with suppress(UserError), _Page(source, most) as page:
        turned = int(page.tags.valueof(_ORIENTATION) or 1) >= 5
        width, height = int(page.imagewidth), int(page.imagelength)
        return (height, width) if turned else (width, height)
    return None


class _Page:
    """The first picture of a TIFF, opened by tifffile; whatever goes wrong inside becomes a UserError."""

    def __init__(self, source: Source, most: int) -> None:
        self._source, self._most = source, most

    def __enter__(self) -> TiffPage:
        import tifffile  # a fifth of a second, for those who have such files

        self._file = io.BytesIO(self._source) if isinstance(self._source, bytes) else self._source.open("rb")
        try:
            page = tifffile.TiffFile(self._file).pages.first
            if not 0 < page.imagewidth * page.imagelength <= self._most or page.samplesperpixel > 1000:
                raise UserError(
                    f"{name_of(self._source)} has {page.imagewidth:,} x {page.imagelength:,} pixels of "
                    f"{page.samplesperpixel:,} bands, more than the {self._most:,} pixels that a picture may have; "
                    f"raise datasets.<name>.max_pixels if the file is trusted, or scale the picture down"
                )
        except BaseException as error:
            self._file.close()
            raise self._explained(error) from None
        return page

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._file.close()
        if error is not None:
            raise self._explained(error) from None

    def _explained(self, error: BaseException) -> BaseException:
        import tifffile

        if not isinstance(error, (*DAMAGE, *ODD, tifffile.TiffFileError)):
            return error
        if "imagecodecs" in str(error):
            return UserError(
                f"{name_of(self._source)} is compressed in a way that is not read for files of many bands ({error}); "
                f"save it without compression, or install imagecodecs"
            )
        return UserError(f"{name_of(self._source)} cannot be decoded: {error or type(error).__name__}")


def _bands(source: Source, most: int) -> int:
    """How many a TIFF has, where they are more than colours; 0 for a picture that Pillow shows as it is."""
    try:
        with opened(source, most) as image:
            tags = getattr(image, "tag_v2", {})
            count = int(tags.get(_SAMPLES, 1))
            colours = count - sum(kind in _ALPHA for kind in tags.get(_EXTRA, ()))
            return count if colours not in (1, 3) and tags.get(_PHOTOMETRIC) != _CMYK else 0
    except Image.UnidentifiedImageError:
        return -1  # Pillow does not tell


def _metadata(page: TiffPage) -> str:
    return str(page.tags.valueof(_GDAL) or "")


def _names(metadata: str, count: int) -> list[str]:
    """Of the bands, as GDAL writes them; empty for one without."""
    names = [""] * count
    with suppress(UserError):
        for item in plain_xml.of_text(metadata).iter("Item"):
            place = item.get("sample", "")
            if item.get("role") == "description" and place.isdecimal() and int(place) < count:
                names[int(place)] = (item.text or "").strip()
    return names


def _shown(names: Sequence[str]) -> str:
    return f" ({printable(', '.join(name or '?' for name in names))})" if any(names) else ""


def _places(requested: Bands, names: Sequence[str], source: Source) -> list[int]:
    """From 0. Raises UserError: a band is not there."""
    folded, places = [name.lower() for name in names], []
    for band in requested:
        if folded.count(band.lower()) == 1:
            places.append(folded.index(band.lower()))
        elif band.isdecimal() and 0 < int(band) <= len(names):
            places.append(int(band) - 1)
        else:
            raise UserError(
                f"{name_of(source)} has no band '{printable(band)}', which datasets.<name>.bands names; it has "
                f"{len(names)}{_shown(names)}"
            )
    return places
