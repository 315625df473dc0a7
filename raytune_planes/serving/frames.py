"""The frames of a video or of a folder, one after the other, answered while the next ones are read."""

from __future__ import annotations

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from raytune_planes.datasets.files import PICTURES
from raytune_planes.datasets.images import Source
from raytune_planes.errors import UserError
from raytune_planes.paths import there
from raytune_planes.printing import printable
from raytune_planes.serving.answers import Answer
from raytune_planes.serving.batches import Asked, Prepared, finished, prepared
from raytune_planes.serving.predictor import Model


class Frame(NamedTuple):
    """One picture of several that follow each other."""

    number: int
    """From 0."""
    time: float | None
    """Seconds from the beginning; None where nothing tells it."""
    source: Source
    file: str | None
    """Its name, of a frame that is a file."""


def frames_of(place: Path, rate: float | None = None) -> Iterator[Frame]:
    """The frames of a video in the order of time, or the pictures right in a folder in the order of names.

    Args:
        rate: Frames of a folder in a second; None where it is not known. A video tells its own times.

    Raises:
        UserError: there is no such file or folder, it holds no frames, or the package that reads videos is missing.
    """
    if not there(place):
        raise UserError(f"no video or folder {printable(place)}; give a video file, or a folder with a picture a frame")
    if not place.is_dir():
        if rate is not None:
            raise UserError("a video tells the time of each frame; leave out --rate, which is for folders")
        if find_spec("av") is None:
            raise UserError(
                "reading a video needs the package av: install the extra 'video' (python3 -m uv sync --extra video, or "
                "pip install 'raytune-planes[video]'), or give a folder with a picture a frame"
            )
        return _of_video(place)
    files = sorted(path for path in place.iterdir() if path.suffix.lower() in PICTURES)
    if not files:
        raise UserError(f"{printable(place)} holds no pictures ({', '.join(sorted(PICTURES))})")
    return (Frame(i, None if rate is None else i / rate, path, path.name) for i, path in enumerate(files))


def answered(
    model: Model, frames: Iterator[Frame], batch: int, asked: Asked
) -> Iterator[tuple[Frame, Answer | UserError]]:
    """The answer to each frame, in order, or why there is none.

    Frames go through the model ``batch`` at a time, and another thread reads and cuts up the next ones meanwhile: at
    most two batches are in memory.

    Args:
        asked: What is asked of every frame; its source counts for nothing.

    Raises:
        UserError: the video is damaged from some frame on; those before it are answered.
    """

    def read() -> tuple[list[tuple[Frame, Prepared]], UserError | None]:
        some: list[tuple[Frame, Prepared]] = []
        try:
            for frame in islice(frames, batch):
                some.append((frame, prepared(model, replace(asked, source=frame.source))))
        except UserError as error:
            return some, error
        return some, None

    with ThreadPoolExecutor(1, "frames") as reader:
        ahead, goes_on = reader.submit(read), True
        while goes_on:
            several, damage = ahead.result()
            goes_on = bool(several) and damage is None
            if goes_on:
                ahead = reader.submit(read)
            found = finished(model, [ready for _, ready in several])
            yield from zip((frame for frame, _ in several), found, strict=True)
    if damage is not None:
        raise damage


def _of_video(path: Path) -> Iterator[Frame]:
    import av

    try:
        with av.open(str(path)) as video:
            if not video.streams.video:
                raise UserError(
                    f"{printable(path)} holds no pictures; give a video, or a folder with a picture a frame"
                )
            video.streams.video[0].thread_type = "AUTO"
            for number, frame in enumerate(video.decode(video=0)):
                # As a file that needs no compression, because pictures are read from files.
                whole, image = io.BytesIO(), frame.to_image()
                (image.rotate(frame.rotation, expand=True) if frame.rotation else image).save(whole, "BMP")
                yield Frame(number, frame.time, whole.getvalue(), None)
    except av.FFmpegError as error:
        raise UserError(f"{printable(path)} cannot be read as a video: {error.strerror}") from None
