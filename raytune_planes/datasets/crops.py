"""Windows of decoded pictures, brought to the side at which the model sees them, with masks and boxes.

A window is left, top, right and bottom in whole pixels of the decoded picture. Pictures may have any shape: a window
is cut out of what is in memory or on disk, and nothing else of it is read.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from raytune_planes.config import Augment, Dataset
from raytune_planes.datasets import boxes

COLUMNS = 4
"""Draws of a random crop: its area, the ratio of its sides, and its place across and down."""


@dataclass(frozen=True)
class Seen:
    """What evaluation sees of a decoded picture, and at which side."""

    size: int | None = None
    """Side in pixels at which the model sees it; None for that at which it was decoded."""
    share: float = 1.0
    """Of the decoded side, in the middle."""

    @staticmethod
    def of(settings: Dataset) -> Seen:
        """As a dataset's settings say."""
        return Seen(settings.image_size if settings.decoded_size else None, settings.eval_crop)

    def side(self, decoded: int) -> int:
        """Side in pixels at which the model sees pictures of ``decoded`` pixels."""
        return self.size or decoded

    def pixels(self, pixels_NHWC: np.ndarray) -> np.ndarray:
        """uint8 [N, S, S, C] of decoded pictures uint8 [N, D, D, C], as the model sees them."""
        left, top, right, bottom = middle(pixels_NHWC.shape[1], self.share)
        part_NHWC = torch.from_numpy(np.array(pixels_NHWC[:, top:bottom, left:right]))
        return resized(part_NHWC, self.side(pixels_NHWC.shape[1])).numpy()

    def masks(self, masks_NHW: np.ndarray) -> np.ndarray:
        """uint8 [N, S, S] in {0, 1} of decoded masks, as ``pixels``."""
        left, top, right, bottom = middle(masks_NHW.shape[1], self.share)
        part_NHW = torch.from_numpy(np.array(masks_NHW[:, top:bottom, left:right]))
        return resized_masks(part_NHW, self.side(masks_NHW.shape[1])).numpy()


def is_asked(settings: Augment) -> bool:
    """Whether training sees random crops."""
    return settings.crop_min < 1


def middle(side: int, share: float) -> tuple[int, int, int, int]:
    """The window in the middle of a square picture, of ``share`` of its side."""
    own = max(1, round(side * share))
    start = (side - own) // 2
    return start, start, start + own, start + own


def drawn(
    draws_BD: Tensor, settings: Augment, side: int, width: int | np.ndarray, height: int | np.ndarray
) -> np.ndarray:
    """Random windows [B, 4], int64.

    The area is drawn evenly from ``crop_min`` to ``crop_max``, the logarithm of the ratio of the sides evenly as far as
    neither side becomes longer than ``side``: so no draw is thrown away, as torchvision's RandomResizedCrop does.

    Args:
        draws_BD: uniform in [0, 1), [B, COLUMNS].
        side: of the square whose area ``crop_min`` and ``crop_max`` are shares of, in pixels.
        width: of the pictures, in pixels; one for all, or one for each.
        height: the same.
    """
    area_B, ratio_B, across_B, down_B = draws_BD.numpy().T
    share_B = settings.crop_min + (settings.crop_max - settings.crop_min) * area_B
    half_B = (2 * ratio_B - 1) * np.minimum(np.log(settings.crop_ratio), -np.log(share_B)) / 2

    def edges(sign: int, most: int | np.ndarray, place_B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        own_B = np.clip(np.round(side * np.sqrt(share_B) * np.exp(sign * half_B)), 1, most)
        start_B = np.floor((most - own_B + 1) * place_B)
        return start_B, start_B + own_B

    (left_B, right_B), (top_B, bottom_B) = edges(1, width, across_B), edges(-1, height, down_B)
    return np.stack([left_B, top_B, right_B, bottom_B], axis=1).astype(np.int64)


def cut(pixels_HWC: np.ndarray | Tensor, window: np.ndarray, size: int) -> Tensor:
    """The window of one picture, uint8 [H, W, C], at ``size`` x ``size``."""
    return resized(_part(pixels_HWC, window)[None], size)[0]


def cut_mask(mask_HW: np.ndarray | Tensor, window: np.ndarray, size: int) -> Tensor:
    """The window of one mask, uint8 in {0, 1} [H, W], at ``size`` x ``size``."""
    return resized_masks(_part(mask_HW, window)[None], size)[0]


def _part(array_HW: np.ndarray | Tensor, window: np.ndarray) -> Tensor:
    """The window of a picture or a mask, whose first two axes are height and width."""
    left, top, right, bottom = window.tolist()
    part_HW = array_HW[top:bottom, left:right]
    return part_HW if isinstance(part_HW, Tensor) else torch.from_numpy(np.array(part_HW))


def resized(pixels_NHWC: Tensor, size: int) -> Tensor:
    """uint8 [N, H, W, C] at ``size`` x ``size``, each side scaled by itself, with a filter that covers what it
    reduces."""
    if pixels_NHWC.shape[1:3] == (size, size):
        return pixels_NHWC
    pixels_NCHW = pixels_NHWC.permute(0, 3, 1, 2)
    if pixels_NHWC.device.type != "cpu":  # where there is no such filter for bytes
        pixels_NCHW = pixels_NCHW.float()
    out_NCHW = functional.interpolate(pixels_NCHW, (size, size), mode="bilinear", antialias=True)
    if out_NCHW.dtype != torch.uint8:
        out_NCHW = out_NCHW.round_().clamp_(0, 255).to(torch.uint8)
    return out_NCHW.permute(0, 2, 3, 1)


def resized_masks(masks_NHW: Tensor, size: int) -> Tensor:
    """uint8 in {0, 1} [N, H, W] at ``size`` x ``size``: what covers half of a pixel counts."""
    if masks_NHW.shape[1:] == (size, size):
        return masks_NHW
    return (resized(masks_NHW[..., None] * 255, size)[..., 0] > 127).to(torch.uint8)


def moved_boxes(boxes_BM4: Tensor, windows_B4: np.ndarray, width: int, height: int) -> Tensor:
    """The boxes of windows of pictures, in shares of the window (see ``boxes.moved``)."""
    left, top, right, bottom = torch.from_numpy(windows_B4).double().unbind(1)
    across, down, none = (right - left) / width, (bottom - top) / height, torch.zeros_like(left)
    x0, y0 = (left + right) / width - 1, (top + bottom) / height - 1
    return boxes.moved(boxes_BM4, (across, none, x0, none, down, y0))
