"""How many pictures a second a model answers here, by the number that it sees together."""

from __future__ import annotations

import io
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from raytune_planes.datasets.images import Source
from raytune_planes.datasets.opening import DAMAGE, opened, unreadable
from raytune_planes.serving.batches import Asked
from raytune_planes.serving.exporting import noise
from raytune_planes.serving.frames import Frame, answered
from raytune_planes.serving.predictor import Model, Predictor

ROUNDS = 5
LEAST_SECONDS = 0.3
"""Of a round: short calls are repeated."""
NETWORK, FRAMES = "the network alone", "frames, read and answered"
FRAMES_IN_A_ROUND = 4
"""Batches that follow each other, because the next one is read while the model looks at one."""


@dataclass(frozen=True)
class Speed:
    """Of one way of asking."""

    what: str
    """``NETWORK``: pictures that are decoded and cut already; ``FRAMES``: files, with everything that an answer takes,
    as ``frames.answered`` does it."""
    side: int
    """Of a picture in pixels."""
    batch: int
    per_second: float
    """Pictures; the median of ``ROUNDS``."""
    slowest: float
    fastest: float


def speeds(
    model: Predictor, dataset: str, batches: Sequence[int], side: int, pictures: Sequence[Source] = ()
) -> Iterator[Speed]:
    """One after the other, as they are measured.

    Args:
        side: Of the frames, in pixels.
        pictures: What the frames show, scaled to that side; noise where there are none.
    """
    for batch in batches:
        pixels_NCHW = torch.from_numpy(noise(model, dataset, batch)).permute(0, 3, 1, 2)
        told = rate(lambda seen=pixels_NCHW: model.predict(dataset, seen), batch)  # type: ignore[misc]
        yield Speed(NETWORK, pixels_NCHW.shape[-1], batch, *told)
    shown = list(map(_square(side), pictures)) or [_noise(side, seed) for seed in range(4)]
    for batch in batches:
        count = batch * FRAMES_IN_A_ROUND
        several = [Frame(i, None, shown[i % len(shown)], None) for i in range(count)]
        told = rate(lambda all_=several, b=batch: _through(model, dataset, all_, b), count)  # type: ignore[misc]
        yield Speed(FRAMES, side, batch, *told)


def rate(run: Callable[[], object], pictures: int) -> tuple[float, float, float]:
    """Pictures a second in ``run``, which answers so many: the median of ``ROUNDS``, the slowest and the fastest."""
    run()  # memory is asked for and kernels are chosen
    found = []
    for _ in range(ROUNDS):
        began, times = time.perf_counter(), 0
        while (took := time.perf_counter() - began) < LEAST_SECONDS or not times:
            run()
            times += 1
        found.append(times * pictures / took)
    return statistics.median(found), min(found), max(found)


def _through(model: Model, dataset: str, frames: Sequence[Frame], batch: int) -> None:
    for _ in answered(model, iter(frames), batch, Asked(b"", dataset)):
        pass


def _square(side: int) -> Callable[[Source], bytes]:
    def square(source: Source) -> bytes:
        try:
            with opened(source) as image:
                return _file(image.convert("RGB").resize((side, side)))
        except DAMAGE as error:
            raise unreadable(source, error) from error

    return square


def _noise(side: int, seed: int) -> bytes:
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (max(1, side // 8), max(1, side // 8), 3), dtype=np.uint8)
    return _file(Image.fromarray(coarse).resize((side, side)))


def _file(image: Image.Image) -> bytes:
    whole = io.BytesIO()
    image.save(whole, "JPEG", quality=90)
    return whole.getvalue()
