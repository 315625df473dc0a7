"""Pictures that are kept as JPEG, decoded by an NVIDIA GPU in place of processors.

The cache itself is filled by processors alone: nvJPEG and libjpeg differ by a few grey levels, and an entry holds the
same bytes whatever host has built it. So a GPU decodes what a training reads, of entries that are kept as JPEG.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

import torch
from PIL import Image
from torch import Tensor

from raytune_planes.config import Dataset, Devices
from raytune_planes.datasets.options import JPEG
from raytune_planes.datasets.pinned import moved
from raytune_planes.datasets.records import JPEG_START, Records

AT_ONCE_BYTES = 2**28
"""Of decoded pictures: what one call decodes, so that a batch of large scenes fits."""


class CardDecoder:
    """Decodes by ``torchvision.io.decode_jpeg`` on one device.

    torchvision has deprecated it in favour of TorchCodec, which would be one dependency more: where it is gone,
    ``no_decoder`` says so, and processors decode.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def pictures(self, kept: Records, rows: Sequence[int], size: int) -> Iterator[Tensor]:
        """uint8 [H, W, 3] of each of ``rows``, on the device; processors decode those that are no JPEG.

        ``size``: bytes that the largest of them has decoded.
        """
        at_once = max(1, AT_ONCE_BYTES // size)
        for start in range(0, len(rows), at_once):
            some = rows[start : start + at_once]
            data = [kept.data(row) for row in some]
            jpegs = iter(self.decoded([each for each in data if each.startswith(JPEG_START)]))
            for row, each in zip(some, data, strict=True):
                yield next(jpegs) if each.startswith(JPEG_START) else moved(torch.from_numpy(kept[row]), self._device)

    def decoded(self, jpegs: Sequence[bytes]) -> list[Tensor]:
        """uint8 [H, W, 3] of each, on the device."""
        from torchvision.io import decode_jpeg

        if not jpegs:
            return []
        encoded = [torch.frombuffer(bytearray(each), dtype=torch.uint8) for each in jpegs]
        self._drain()
        found: list[Tensor] = decode_jpeg(encoded, mode="RGB", device=self._device)
        return [picture_CHW.permute(1, 2, 0) for picture_CHW in found]

    def _drain(self) -> None:
        """Wait until this thread's stream has done what it was asked.

        nvJPEG's hardware decoder writes into the memory that torch gives it at once, also where work that is queued on
        the stream has yet to read what lay there before: on an H100 two of three such batches were spoilt
        (github.com/pytorch/vision/pull/9606, github.com/meta-pytorch/torchcodec/pull/1634). Batches are decoded by the
        thread that prefetches, so steps do not wait; and by an event, since ``set_sync_debug_mode`` takes a wait for a
        stream for one of a step.
        """
        if self._device.type == "cuda":
            event = torch.cuda.Event()
            event.record(torch.cuda.current_stream(self._device))
            event.synchronize()


def card_decoder(devices: Devices, device: torch.device) -> CardDecoder | None:
    """What decodes on ``device``, that of the image model; None where processors do it."""
    return None if devices.decode == "cpu" or no_decoder(device) else CardDecoder(_numbered(device))


def decoding_in_words(devices: Devices, device: torch.device, datasets: Mapping[str, Dataset]) -> Iterator[str]:
    """What to say where processors decode although ``devices.decode`` asks for the GPU."""
    if devices.decode == "cpu":
        return
    if why := no_decoder(device):
        yield f"devices.decode = cuda, but processors decode, as {why}"
        return
    if others := [name for name, settings in datasets.items() if settings.kept != JPEG]:
        yield (
            f"devices.decode = cuda: pictures of {', '.join(others)} are not kept as JPEG, and processors decode what "
            f"of them is compressed (datasets.NAME.kept=jpeg)"
        )


@cache
def no_decoder(device: torch.device) -> str:
    """What keeps pictures from being decoded on ``device``, in words; empty where nothing does."""
    if device.type != "cuda":
        return f"the image model is on the device {device.type}, which is no NVIDIA GPU"
    out = io.BytesIO()
    Image.new("RGB", (16, 16)).save(out, "JPEG")
    try:
        CardDecoder(_numbered(device)).decoded([out.getvalue()])
    except (ImportError, RuntimeError) as error:  # a torchvision without nvJPEG, or of later, without decoders
        return f"torchvision does not decode on this GPU ({' '.join(str(error).split())[:200]})"
    return ""


def _numbered(device: torch.device) -> torch.device:
    """With the number of the card: torchvision keeps a decoder for one that it is told."""
    return device if device.index is not None else torch.device(device.type, torch.cuda.current_device())
