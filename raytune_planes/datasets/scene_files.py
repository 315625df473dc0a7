"""The files of a decoded dataset's whole scenes: written while its tiles are decoded, opened as memory maps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from raytune_planes.datasets import records, storage
from raytune_planes.datasets.base import SPLITS, Listing, Reader, Sample
from raytune_planes.datasets.images import pixels_of
from raytune_planes.datasets.whole_scenes import COLUMNS, Scenes, step_of

PIXELS, TABLE, BOXES, TILES = "scenes.npy", "scene_table.npy", "scene_boxes.npy", "scene_tiles.npy"


class Writer:
    """Writes the scenes of a listing into a folder of the cache, each when it is decoded anyway."""

    def __init__(
        self, reader: Reader, listing: Listing, folder: Path, groups: Sequence[str], compressed: bool = False
    ) -> None:
        """``groups``: of the dataset's samples, sorted; their places are the groups' numbers.

        ``compressed``: whether each scene is kept as one of ``records``.
        """
        self._folder, self._reader, self._listing = folder, reader, listing
        numbers = {group: n for n, group in enumerate(groups)}
        self._row = {scene.path: n for n, scene in enumerate(listing.scenes)}
        split_of = {n: place for place, split in enumerate(SPLITS) for n in listing.scene_splits[split]}
        start, rows = 0, []
        for n, scene in enumerate(listing.scenes):
            source = _size(scene)
            width, height = _scaled(source, reader)
            group = numbers.setdefault(scene.group, len(numbers))
            rows.append((start, width, height, group, split_of[n], len(scene.boxes), *source))
            start += 3 * width * height
        self._table_NC = np.array(rows, np.int64).reshape(-1, len(COLUMNS))
        self._file: storage.Blank | records.Writer = (
            records.Writer(folder / PIXELS, (len(rows),), reader.options.kept)
            if compressed
            else storage.Blank(folder / PIXELS, (start,))
        )
        self._left = dict.fromkeys(self._row)

    def write(self, reader: Reader, path: Path) -> None:
        """Scale the scene that ``reader`` has just cut a tile from; nothing for one that is written."""
        if path not in self._left:
            return
        del self._left[path]
        row = self._row[path]
        side = min(reader.tile, *_size(self._listing.scenes[row]))
        scaled_HWC = reader.scene(path, side).scaled(side / reader.image_size)
        # As records they have numbers, else places among the bytes.
        self._file.put(row if isinstance(self._file, records.Writer) else int(self._table_NC[row, 0]), scaled_HWC)

    def finish(self) -> None:
        """Decode what no tile is from, and write the rest. Raises UserError: a scene cannot be decoded."""
        for path in list(self._left):
            self.write(self._reader, path)
        self._file.finish()
        storage.save(self._folder / TABLE, self._table_NC)
        rows = [row for scene in self._listing.scenes for row in _boxes(scene)]
        columns = 12 if self._listing.info.has_oriented_boxes else 4
        storage.save(self._folder / BOXES, np.array(rows, np.float64).reshape(-1, columns))
        tiles = [self._tile(sample) for sample in self._listing.samples]
        storage.save(self._folder / TILES, np.array(tiles, np.float64))

    def close(self) -> None:
        self._file.close()

    def _tile(self, sample: Sample) -> tuple[float, float, float]:
        assert sample.window is not None, "scenes have tiles"
        row = self._row[sample.path]
        step = step_of(*_size(self._listing.scenes[row]), self._reader.tile, self._reader.image_size)
        return row, sample.window[0] / step, sample.window[1] / step


def size(reader: Reader, listing: Listing) -> int:
    """Bytes of the decoded scenes; 0 where there are none."""
    sides = (_scaled(_size(scene), reader) for scene in listing.scenes)
    return sum(3 * width * height for width, height in sides)


def opened(folder: Path, image_size: int, compressed: bool = False) -> Scenes:
    """What ``Writer`` left. Raises OSError, ValueError: a file is missing or cut short."""
    table_NC = storage.mapped(folder / TABLE)
    splits = {split: np.flatnonzero(table_NC[:, 4] == n) for n, split in enumerate(SPLITS)}
    boxes_B4, tile_N3 = storage.mapped(folder / BOXES), storage.mapped(folder / TILES)
    path = folder / PIXELS
    pixels = records.Records(path, (len(table_NC),)) if compressed else storage.mapped(path)
    return Scenes(pixels, table_NC, boxes_B4, tile_N3, image_size, splits)


def _boxes(scene: Sample) -> list[tuple[float, ...]]:
    """Rows as those of ``datasets.boxes``, in source pixels."""
    return [a + b for a, b in zip(scene.boxes, scene.corners, strict=True)] if scene.corners else list(scene.boxes)


def _size(scene: Sample) -> tuple[int, int]:
    assert scene.window is not None, "a scene is its own window"
    return scene.window[2], scene.window[3]


def _scaled(size: tuple[int, int], reader: Reader) -> tuple[int, int]:
    """A scene's own pixels: whole ones alone, so that all of them show ``step`` source pixels each way."""
    step = step_of(*size, reader.tile, reader.image_size)
    return pixels_of(size[0], step), pixels_of(size[1], step)
