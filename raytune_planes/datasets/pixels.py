"""What a decoded dataset holds of its pictures, by index: pixels, masks, labels and boxes, and which pixels to hide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from raytune_planes.config import Dataset, Devices
from raytune_planes.datasets import boxes, crops, hiding
from raytune_planes.datasets.base import Arrays
from raytune_planes.datasets.card_decoding import CardDecoder, card_decoder
from raytune_planes.datasets.crops import Seen
from raytune_planes.datasets.hiding import Hiding
from raytune_planes.datasets.options import JPEG
from raytune_planes.datasets.pinned import moved
from raytune_planes.datasets.records import Records
from raytune_planes.datasets.residence import resident, room_on, sent, uploaded

NOTHING = 0
"""Label of the pictures without a box, in datasets that have boxes."""


@dataclass(frozen=True)
class Targets:
    """What batches hold beside pictures, masks and labels, because a task asks for it."""

    boxes: bool = False
    hidden: Hiding | None = None
    """Which pixels are hidden; None for none."""


def pixels_of(
    data: Mapping[str, Arrays],
    settings: Mapping[str, Dataset],
    device: torch.device | str,
    targets: Targets,
    devices: Devices | None = None,
) -> dict[str, Pixels]:
    """Of each dataset, as its settings say that the model sees it; decoded as ``devices`` say, by the CPU when None."""
    device = torch.device(device)
    there, decoder = resident(data, room_on(device)), card_decoder(devices or Devices(), device)
    return {
        name: Pixels(
            arrays,
            device,
            name in there,
            targets,
            Seen.of(settings[name]),
            decoder if settings[name].kept == JPEG else None,
        )
        for name, arrays in data.items()
    }


class Pixels:
    """Pictures and masks by index, as tensors of their own, on the device where they are augmented."""

    def __init__(
        self,
        arrays: Arrays,
        device: torch.device | str = "cpu",
        is_resident: bool = False,
        targets: Targets | None = None,
        seen: Seen | None = None,
        decoder: CardDecoder | None = None,
    ) -> None:
        """``is_resident``: whether the arrays are copied to ``device`` once, rather than batch by batch.

        ``targets``: what the batches hold beside pictures, masks and labels; nothing when None.

        ``seen``: what is seen of a decoded picture, and at which side; all of it as it is when None.

        ``decoder``: of pictures that are kept as JPEG, where ``device`` decodes them.
        """
        self.name, self._device = arrays.info.name, torch.device(device)
        self._targets, self.decoder = targets or Targets(), decoder
        masks = arrays.masks_NHW
        self._images_NHWC = self._held(arrays.images_NHWC, is_resident, decoder)
        self._masks_NHW = None if masks is None else self._held(masks, is_resident)
        self._boxes_NM4 = None if arrays.boxes_NM4 is None else np.asarray(arrays.boxes_NM4)
        self._labels_N = np.asarray(arrays.labels_N)
        self.decoded = arrays.images_NHWC.shape[1]
        """Side in pixels at which pictures are kept."""
        self.seen = seen or Seen()
        self.side = self.seen.side(self.decoded)
        """Side in pixels at which batches show them."""
        self._middle = np.array(crops.middle(self.decoded, self.seen.share))

    def at(self, chosen: np.ndarray, windows_B4: np.ndarray | None = None) -> tuple[Tensor, Tensor | None]:
        """image_BCHW in [0, 1] and mask_BHW in {0, 1}, float32.

        ``windows_B4``: the parts of the decoded pictures that are shown (``datasets.crops``); None for what evaluation
        sees.
        """
        image_BHWC, mask_BHW = self.shown(chosen, windows_B4)
        image_BCHW = image_BHWC.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format).div_(255)
        return image_BCHW, None if mask_BHW is None else mask_BHW.float()

    def shown(self, chosen: np.ndarray, windows_B4: np.ndarray | None = None) -> tuple[Tensor, Tensor | None]:
        """The same as uint8: image_BHWC, and mask_BHW in {0, 1}."""
        if windows_B4 is not None:
            return self._crops(self._images_NHWC, self._masks_NHW, chosen, windows_B4)
        image_BHWC, masks = self._rows(self._images_NHWC, chosen, self.decoder), self._masks_NHW
        mask_BHW = None if masks is None else self._rows(masks, chosen)
        if mask_BHW is not None and self.side != mask_BHW.shape[1]:
            mask_BHW = crops.resized_masks(mask_BHW, self.side)
        return crops.resized(image_BHWC, self.side), mask_BHW

    def boxes(self, chosen: np.ndarray, windows_B4: np.ndarray | None = None) -> Tensor | None:
        """boxes_BM4 of the same, float32 on the CPU (see ``datasets.boxes``), or None where no task asks for any."""
        return self._placed(chosen, windows_B4) if self._targets.boxes else None

    @property
    def has_boxes(self) -> bool:
        """Whether ``boxes`` gives any."""
        return self._targets.boxes and self._boxes_NM4 is not None

    def hidden(self, count: int, seeds: np.random.SeedSequence) -> Tensor | None:
        """hidden_BHW of ``count`` images, or None where no task asks for any."""
        settings = self._targets.hidden
        return None if settings is None else hiding.draw(count, self.side, settings, seeds)

    def labels(self, chosen: np.ndarray, windows_B4: np.ndarray | None = None) -> Tensor:
        """int64. A window that shows none of its picture's boxes has the label of pictures without any."""
        label_B = torch.from_numpy(self._labels_N[chosen])
        boxes_BM4 = None if windows_B4 is None else self._placed(chosen, windows_B4)
        return label_B if boxes_BM4 is None else torch.where((boxes.area(boxes_BM4) > 0).any(1), label_B, NOTHING)

    def _placed(self, chosen: np.ndarray, windows_B4: np.ndarray | None) -> Tensor | None:
        """Boxes where the windows show them."""
        if self._boxes_NM4 is None:
            return None
        boxes_BM4 = torch.from_numpy(self._boxes_NM4[chosen])
        if windows_B4 is None:
            if self.seen.share == 1:
                return boxes_BM4
            windows_B4 = np.repeat(self._middle[None], len(chosen), axis=0)
        return crops.moved_boxes(boxes_BM4, windows_B4, self.decoded, self.decoded)

    def of(self, arrays: Arrays) -> Pixels:
        """The same of other pictures, which are given batch by batch."""
        return Pixels(arrays, self._device, False, self._targets, self.seen, self.decoder)

    def _held(self, array: np.ndarray, resident: bool, decoder: CardDecoder | None = None) -> np.ndarray | Tensor:
        if resident:
            return uploaded(array, self._device, decoder)
        # np.asarray: indexing np.memmap costs a Python call that looks for its file each time. Records are no array.
        return np.asarray(array) if isinstance(array, np.ndarray) else array

    def _crops(
        self, images: np.ndarray | Tensor, masks: np.ndarray | Tensor | None, chosen: np.ndarray, windows: np.ndarray
    ) -> tuple[Tensor, Tensor | None]:
        """One by one, since each has a size of its own; of a map on disk only the windows are read."""
        pairs = list(zip(chosen.tolist(), windows, strict=True))
        if self.decoder is not None and isinstance(images, Records):
            there = self.decoder.pictures(images, chosen.tolist(), images.nbytes // len(images))
            shown = zip(there, windows, strict=True)
            image_BHWC = torch.stack([crops.cut(picture, window, self.side) for picture, window in shown])
        else:
            image_BHWC = torch.stack([crops.cut(images[i], window, self.side) for i, window in pairs])
        if masks is None:
            return moved(image_BHWC, self._device), None
        mask_BHW = torch.stack([crops.cut_mask(masks[i], window, self.side) for i, window in pairs])
        return moved(image_BHWC, self._device), moved(mask_BHW, self._device)

    def _rows(self, held: np.ndarray | Tensor, chosen: np.ndarray, decoder: CardDecoder | None = None) -> Tensor:
        """Rows of their own, so that the map stays untouched; bytes travel to the device, not floats."""
        left, top, right, bottom = self._middle
        if isinstance(held, Tensor):
            return held[torch.from_numpy(np.array(chosen)).to(self._device, non_blocking=True), top:bottom, left:right]
        # The whole picture by its index alone: with slices beside it, numpy takes twice the time.
        if self.seen.share == 1:
            return sent(held, chosen, self._device, decoder)
        if decoder is not None:
            return sent(held, chosen, self._device, decoder)[:, top:bottom, left:right]
        return moved(torch.from_numpy(held[chosen, top:bottom, left:right]), self._device)
