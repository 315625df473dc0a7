"""Pictures that are kept as JPEG, decoded by the card and by a processor: how far apart, and how many a second."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from raytune_planes.datasets.card_decoding import CardDecoder, no_decoder
from raytune_planes.datasets.records import Records, Writer
from raytune_planes.datasets.residence import sent
from tests.gpu.place import Found, Place, Skipped

AT_ONCE, ROUNDS = 128, 5
LEVELS, MEAN_LEVELS = 8, 1.0
"""Grey levels that a pixel may differ by, and all of them on average: both decoders round, and colours have no halves
to be filled in."""
SHAPES: Mapping[str, tuple[int, int]] = {"64 px": (64, 64), "224 px": (224, 224), "scenes of 600 x 338 px": (338, 600)}


def card(place: Place) -> Found:
    """A batch of pictures on the card: decoded there, beside decoded by a processor and sent, as training does."""
    device = torch.device(place.device)
    if not place.dry and (why := no_decoder(device)):
        raise Skipped(why)
    decoder, figures, failed = CardDecoder(device), dict[str, float](), []
    for name, shape in SHAPES.items():
        with tempfile.TemporaryDirectory() as folder:
            kept = _kept(Path(folder) / "pictures.npy", shape, 8 if place.dry else AT_ONCE)
            rows = np.arange(len(kept))
            ours, theirs = sent(kept, rows, device, decoder), torch.from_numpy(np.asarray(kept))
            apart = (ours.cpu().int() - theirs.int()).abs().float()
            most, mean = float(apart.max()), float(apart.mean())
            failed += [f"{name}: {most:.0f} at most, {mean:.2f} on average"] if _too_far(most, mean) else []
            ways = {"card": _repeated(place, kept, decoder), "processor": _repeated(place, kept, None)}
            figures |= {f"{name}, levels apart": most, f"{name}, mean levels apart": mean}
            figures |= {f"{name}, {way}, pictures/s": rate for way, rate in ways.items()}
            figures[f"{name}, card / processor"] = ways["card"] / ways["processor"]
    text = "; ".join(f"{key} {value:.3g}" for key, value in figures.items() if "card / " in key or "mean" in key)
    return Found(not failed, f"{text}; too far: {', '.join(failed)}" if failed else text, figures)


def _too_far(most: float, mean: float) -> bool:
    return most > LEVELS or mean > MEAN_LEVELS


def _kept(path: Path, shape: tuple[int, int], count: int) -> Records:
    """Pictures with edges and shades, of which no two are alike."""
    random = np.random.default_rng(0)
    down, across = np.mgrid[: shape[0], : shape[1]]
    writer = Writer(path, (count, *shape, 3), "jpeg")
    for row in range(count):
        picture_HWC = np.stack([down + 3 * row, across + row, (down + across) // 2], axis=2) % 256
        picture_HWC += random.integers(-8, 9, picture_HWC.shape)
        top, left = (int(random.integers(side // 2)) for side in shape)
        picture_HWC[top : top + shape[0] // 4, left : left + shape[1] // 3] = random.integers(0, 256, 3)
        writer.write(row, picture_HWC.clip(0, 255).astype(np.uint8))
    writer.finish()
    writer.close()
    return Records(path, (count, *shape, 3))


def _repeated(place: Place, kept: Records, decoder: CardDecoder | None) -> float:
    """Pictures a second: the median of rounds, of which the first is not counted."""
    rows, device = np.arange(len(kept)), torch.device(place.device)
    seconds = []
    for _ in range(2 if place.dry else 1 + ROUNDS):
        place.wait()
        began = time.perf_counter()
        sent(kept, rows, device, decoder)
        place.wait()
        seconds.append(time.perf_counter() - began)
    return len(kept) / statistics.median(seconds[1:])
