"""Which decoded datasets live on a GPU, and how rows of the others get there."""

from __future__ import annotations

import gc
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from raytune_planes.datasets.base import Arrays
from raytune_planes.datasets.card_decoding import CardDecoder
from raytune_planes.datasets.pinned import moved
from raytune_planes.datasets.records import Records

SHARE = 0.4
"""Of the memory of a GPU that this process may still take: what decoded datasets fill at most; training needs the
rest."""
CHUNK_BYTES = 2**26
"""Sent at a time, so that the host holds no second copy of a dataset."""


def room_on(device: torch.device) -> int:
    """Bytes that decoded datasets may fill on ``device``.

    ``SHARE`` of what is free on an NVIDIA GPU and within this process's part of it (``Worker``), with what torch keeps
    of earlier stages, folds or trials and uses no more; none elsewhere: on a CPU all trials share the pages of the
    cache, and other GPUs do not say what is free.
    """
    if device.type != "cuda":
        return 0
    gc.collect()  # a training that is over may refer to itself, with all that it had on the card
    (free, total), used = torch.cuda.mem_get_info(device), torch.cuda.memory_allocated(device)
    own = torch.cuda.get_per_process_memory_fraction(device.index) * total - used
    return max(0, int(SHARE * min(free + torch.cuda.memory_reserved(device) - used, own)))


def resident(data: Mapping[str, Arrays], room: int) -> frozenset[str]:
    """The datasets that live on the device whose ``room`` in bytes they fill, the smallest first: of them the most
    pictures are drawn again and again."""
    found, left = set(), room
    for name in sorted(data, key=lambda name: size_of(data[name])):
        if (size := size_of(data[name])) > left:
            break
        found.add(name)
        left -= size
    return frozenset(found)


def size_of(arrays: Arrays) -> int:
    """Bytes of a dataset's decoded pictures and masks."""
    return int(arrays.images_NHWC.nbytes + (0 if arrays.masks_NHW is None else arrays.masks_NHW.nbytes))


def uploaded(array: np.ndarray, device: torch.device, decoder: CardDecoder | None = None) -> Tensor:
    """The whole array on ``device``; ``array`` may be on disk, or compressed, which ``decoder`` decodes there."""
    first = torch.from_numpy(np.array(array[:1]))
    whole = torch.empty((len(array), *first.shape[1:]), dtype=first.dtype, device=device)
    rows = max(1, CHUNK_BYTES // max(1, first.nbytes))
    if decoder is not None and isinstance(array, Records):
        for row, picture_HWC in enumerate(decoder.pictures(array, range(len(array)), first.nbytes)):
            whole[row] = picture_HWC
        return whole
    for start in range(0, len(array), rows):
        whole[start : start + rows] = torch.from_numpy(np.array(array[start : start + rows])).to(device)
    return whole


def sent(array: np.ndarray, chosen: np.ndarray, device: torch.device, decoder: CardDecoder | None = None) -> Tensor:
    """Rows of ``array`` on ``device``, as a copy. A GPU fetches them by itself, from pinned memory, while the host goes
    on; or decodes them, where there is a ``decoder``."""
    if decoder is not None and isinstance(array, Records) and len(chosen):
        return torch.stack(list(decoder.pictures(array, chosen.tolist(), array.nbytes // len(array))))
    if device.type != "cuda":
        return torch.from_numpy(array[chosen]).to(device, non_blocking=True)
    if not isinstance(array, np.ndarray):  # decoded as it is indexed
        return moved(torch.from_numpy(array[chosen]), device)
    dtype = torch.from_numpy(np.array(array[:0])).dtype
    pinned = torch.empty((len(chosen), *array.shape[1:]), dtype=dtype, pin_memory=True)
    np.take(array, chosen, axis=0, out=pinned.numpy(), mode="clip")
    return pinned.to(device, non_blocking=True)
