"""Open a picture's file: by its content, of a format that is read here, and up to a number of pixels."""

from __future__ import annotations

import io
import logging
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from raytune_planes.errors import UserError
from raytune_planes.paths import regular, start
from raytune_planes.printing import printable

Source = Path | bytes
"""A picture's file, or what stands in one."""

SUFFIXES: Mapping[str, tuple[str, ...]] = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "MPO": (".jpg", ".jpeg", ".mpo"),
    "PNG": (".png",),
    "BMP": (".bmp",),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
    "GIF": (".gif",),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "AVIF": (".avif",),
    "JPEG2000": (".jp2", ".j2k", ".jpx"),
}
"""The formats that are read, as Pillow names them, and what their files are usually called. Pillow knows dozens more;
for one of them, PostScript, it starts another program."""
FORMATS = tuple(name for name in SUFFIXES if name != "MPO")  # which Pillow opens as a JPEG
MOST_PIXELS = 64_000_000
"""Of a picture, unless the dataset's ``max_pixels`` says otherwise: a file of 22 kB can ask for 1.6 GB."""
TIFFS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""How a TIFF begins."""
# On some files Pillow also logs an error; without a handler, Python prints it bare beside the sentence that we tell.
logging.getLogger("PIL").addHandler(logging.NullHandler())
# What Pillow's decoders raise on damaged files; RuntimeError is the one of AVIF, TypeError one of TIFF.
DAMAGE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, MemoryError, RuntimeError, TypeError)


def opened(source: Source, most: int = MOST_PIXELS) -> Image.Image:
    """The picture, of which only the header has been read.

    Args:
        most: pixels that it may have.

    Raises:
        UserError: it has more pixels.
        OSError: there is no such file, it is no regular file, or none of ``FORMATS``. Others of ``DAMAGE`` may come.
    """
    # Pillow warns and refuses by one number for the whole process; ours is the dataset's, and checked below.
    Image.MAX_IMAGE_PIXELS = None
    image = Image.open(io.BytesIO(source) if isinstance(source, bytes) else regular(source), formats=FORMATS)
    if image.width * image.height > most:
        image.close()
        raise UserError(
            f"{name_of(source)} has {image.width:,} x {image.height:,} pixels, more than the {most:,} that a picture "
            f"may have; raise datasets.<name>.max_pixels if the file is trusted, or scale the picture down"
        )
    if image.format == "TIFF":
        image.filename = ""  # Pillow 13 maps the file at this name into memory, and garbles what it must then turn
    return image


def is_picture(path: Path) -> bool:
    """Whether the content is of one of ``FORMATS``, whatever the file is called."""
    try:
        with Image.open(path, formats=FORMATS):
            return True
    except DAMAGE:
        return False


def is_tiff(source: Source) -> bool:
    """Whether the content begins as that of a TIFF."""
    return (source[:4] if isinstance(source, bytes) else start(source, 4)) in TIFFS


def unreadable(source: Source, error: Exception) -> UserError:
    """The error for a picture of which decoding raised ``error``."""
    if isinstance(source, bytes):
        why = str(error) or type(error).__name__
        if isinstance(error, Image.UnidentifiedImageError):  # which names an object in memory
            why = f"its content is none of {', '.join(FORMATS)}"
        return UserError(f"{name_of(source)} cannot be decoded as a picture: {why}")
    if isinstance(error, FileNotFoundError):
        return UserError(f"no picture {name_of(source)}: there is no such file")
    if isinstance(error, IsADirectoryError):
        return UserError(f"{name_of(source)} is a folder; give the path of one picture")
    if isinstance(error, Image.UnidentifiedImageError):
        if is_tiff(source):
            return UserError(
                f"{name_of(source)} cannot be decoded: it is a TIFF whose bands, layout or compression are not read; "
                f"save the bands to be seen as RGB or as shades of grey"
            )
        return UserError(
            f"{name_of(source)} cannot be decoded: its content is none of {', '.join(FORMATS)}; replace the file, or "
            f"unpack its archive again"
        )
    reason = getattr(error, "strerror", None) or str(error).removesuffix(f" {str(source)!r}") or type(error).__name__
    return UserError(f"{name_of(source)} cannot be decoded: {reason}; replace the file, or unpack its archive again")


def name_of(source: Source) -> str:
    """The path, or how many bytes there are."""
    return f"{len(source):,} bytes" if isinstance(source, bytes) else printable(source)
