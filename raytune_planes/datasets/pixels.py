"""What a decoded dataset holds of its pictures, by index: pixels, masks, labels and boxes, and which pixels to hide."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from raytune_planes.datasets import hiding
from raytune_planes.datasets.base import Arrays
from raytune_planes.datasets.hiding import Hiding

RESIDENT_BYTES = 2**30
"""A dataset whose decoded arrays are no larger lives on the GPU of each trial that uses one."""


@dataclass(frozen=True)
class Targets:
    """What batches hold beside pictures, masks and labels, because a task asks for it."""

    boxes: bool = False
    hidden: Hiding | None = None
    """Which pixels are hidden; None for none."""


class Pixels:
    """Pictures and masks by index, as tensors of their own, on the device where they are augmented."""

    def __init__(
        self,
        arrays: Arrays,
        device: torch.device | str = "cpu",
        resident_bytes: int | None = None,
        targets: Targets | None = None,
    ) -> None:
        """``resident_bytes``: up to this size the arrays are copied to ``device`` once, rather than batch by batch;
        None for ``RESIDENT_BYTES`` on a GPU and 0 on a CPU, where all trials share the pages of the cache.

        ``targets``: what the batches hold beside pictures, masks and labels; nothing when None.
        """
        self.name, self._device = arrays.info.name, torch.device(device)
        self._targets = targets or Targets()
        if resident_bytes is None:
            resident_bytes = 0 if self._device.type == "cpu" else RESIDENT_BYTES
        masks = arrays.masks_NHW
        size = arrays.images_NHWC.nbytes + (0 if masks is None else masks.nbytes)
        self._images_NHWC = self._held(arrays.images_NHWC, size <= resident_bytes)
        self._masks_NHW = None if masks is None else self._held(masks, size <= resident_bytes)
        self._boxes_NM4 = None
        if self._targets.boxes and arrays.boxes_NM4 is not None:
            self._boxes_NM4 = np.asarray(arrays.boxes_NM4)
        self._labels_N = np.asarray(arrays.labels_N)
        self.side = arrays.images_NHWC.shape[1]

    def at(self, chosen: np.ndarray) -> tuple[Tensor, Tensor | None]:
        """image_BCHW in [0, 1] and mask_BHW in {0, 1}, float32."""
        image_BHWC = self._rows(self._images_NHWC, chosen)
        image_BCHW = image_BHWC.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format).div_(255)
        return image_BCHW, None if self._masks_NHW is None else self._rows(self._masks_NHW, chosen).float()

    def boxes(self, chosen: np.ndarray) -> Tensor | None:
        """boxes_BM4, float32 on the CPU (see ``datasets.boxes``), or None where no task asks for any."""
        return None if self._boxes_NM4 is None else torch.from_numpy(self._boxes_NM4[chosen])

    def hidden(self, count: int, seeds: np.random.SeedSequence) -> Tensor | None:
        """hidden_BHW of ``count`` images, or None where no task asks for any."""
        settings = self._targets.hidden
        return None if settings is None else hiding.draw(count, self.side, settings, seeds)

    def labels(self, chosen: np.ndarray) -> Tensor:
        return torch.from_numpy(self._labels_N[chosen])

    def of(self, arrays: Arrays) -> Pixels:
        """The same of other pictures, which are given batch by batch."""
        return Pixels(arrays, self._device, 0, self._targets)

    def _held(self, array: np.ndarray, resident: bool) -> np.ndarray | Tensor:
        # np.asarray: indexing np.memmap costs a Python call that looks for its file each time.
        return torch.from_numpy(np.array(array)).to(self._device) if resident else np.asarray(array)

    def _rows(self, held: np.ndarray | Tensor, chosen: np.ndarray) -> Tensor:
        """Rows of their own, so that the map stays untouched; bytes travel to the device, not floats."""
        if isinstance(held, Tensor):
            return held[torch.from_numpy(np.array(chosen)).to(self._device)]
        return torch.from_numpy(held[chosen]).to(self._device, non_blocking=True)
