"""Pictures that are kept compressed, and decoded when they are asked for: slower, and a third as large or less."""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from raytune_planes.datasets import storage
from raytune_planes.datasets.opening import opened
from raytune_planes.datasets.options import JPEG, LOSSLESS

WEBP_MOST = 16_383
"""Pixels along a side that the format can tell."""
JPEG_MOST = 65_500
"""The same of JPEG, as libjpeg writes it."""
QUALITY = 95
"""Of JPEG, with colours at the full size. On 60 photographs at 224 px: an eighth of their bytes and 0.8 grey levels off
on average, beside 0.3 of their bytes without loss."""
JPEG_START = b"\xff\xd8\xff"
"""How a JPEG begins."""
ANY_PIXELS = 2**63
"""What is kept has been held against the dataset's limit when it was decoded."""
SUFFIX = ".places.npy"
"""Of the file beside the records, which tells where each begins and ends."""


class Records:
    """What ``Writer`` wrote, as an array that decodes what is indexed: the same numbers as a memory map's.

    It stands in for an array where its first axis is indexed: by a number, a slice or an array of numbers, and by
    slices of the other axes beside that.
    """

    def __init__(self, path: Path, shape: Sequence[int]) -> None:
        """Raises OSError, ValueError: the files are missing or cut short."""
        self.shape, self.dtype, self.ndim = tuple(shape), np.dtype(np.uint8), len(shape)
        self._bytes, self._places_N2 = np.asarray(storage.mapped(path)), np.asarray(storage.mapped(_places(path)))
        if len(self._places_N2) != len(self) or self._places_N2.max(initial=0) > len(self._bytes):
            raise ValueError(f"{path} and {_places(path)} do not fit together")

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def nbytes(self) -> int:
        """Of what is decoded."""
        return int(np.prod(self.shape))

    def __getitem__(self, key: Any) -> np.ndarray:
        rows, *rest = key if isinstance(key, tuple) else (key,)
        if isinstance(rows, int | np.integer):
            row = range(len(self))[int(rows)]
            decoded = self._decoded(row)
            return decoded[tuple(rest)] if rest else decoded
        chosen = np.arange(len(self))[rows]
        some = np.empty((len(chosen), *self.shape[1:]), np.uint8)
        for place, row in enumerate(chosen.tolist()):
            some[place] = self._decoded(row)
        return some[(slice(None), *rest)] if rest else some

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """All of it, decoded."""
        return self[:].astype(dtype or np.uint8, copy=False)

    def data(self, row: int) -> bytes:
        """The record as it is kept: see ``encoded``."""
        start, end = self._places_N2[row]
        return self._bytes[start:end].tobytes()

    def _decoded(self, row: int) -> np.ndarray:
        with opened(self.data(row), ANY_PIXELS) as image:
            return np.array(image)


class Writer:
    """Pictures of one size and of bytes, written in any order and by several threads: ``storage.Blank``, compressed."""

    def __init__(self, path: Path, shape: tuple[int, ...], kept: str = LOSSLESS) -> None:
        """``kept``: see ``Dataset.kept``."""
        self.shape, self._kept = shape, kept
        self._path, self._lock = path, threading.Lock()
        self._places_N2 = np.zeros((shape[0], 2), np.int64)
        self._file = storage.Growing(path)

    def write(self, row: int, values: np.ndarray) -> None:
        """Raises OSError when the disk is full."""
        assert (values.shape, values.dtype) == (self.shape[1:], np.uint8), f"got {values.shape} {values.dtype}"
        self.put(row, values)

    def put(self, row: int, values: np.ndarray) -> None:
        """The same for a picture of any size, which the record itself tells."""
        data = encoded(values, self._kept)
        with self._lock:
            self._places_N2[row] = self._file.append(data)

    def finish(self) -> None:
        self._file.finish()
        storage.save(_places(self._path), self._places_N2)

    def close(self) -> None:
        self._file.close()


def encoded(values: np.ndarray, kept: str = LOSSLESS) -> bytes:
    """One picture or mask, compressed; without loss unless it is a picture that is to be ``kept`` as JPEG.

    WebP takes a third less room than PNG and two thirds of its time to be decoded, at its fastest setting: 0.9 ms for
    224 x 224, beside 0.02 ms from a memory map. JPEG takes half of that time, and changes the pictures.
    """
    out = io.BytesIO()
    if kept == JPEG and values.ndim == 3 and max(values.shape) <= JPEG_MOST:
        Image.fromarray(values).save(out, "JPEG", quality=QUALITY, subsampling=0)
    elif values.ndim == 3 and max(values.shape) <= WEBP_MOST:
        Image.fromarray(values).save(out, "WEBP", lossless=True, method=0, quality=0)
    else:
        Image.fromarray(values).save(out, "PNG", compress_level=1)
    return out.getvalue()


def _places(path: Path) -> Path:
    return path.with_suffix(SUFFIX)
