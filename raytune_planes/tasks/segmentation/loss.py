"""Binary cross-entropy and soft Dice of a mask, divided by the chance-level loss."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def segmentation(logits_BHW: Tensor, mask_BHW: Tensor, dice: float) -> Tensor:
    """Mean over images of (1 - dice) x BCE / ln 2 + dice x soft Dice loss / its chance value.

    Both are computed per image, so that the mean over workers' equal slices is that of the whole batch, and both are 1
    at probability 1/2 everywhere. With p the probabilities and m the mask, the Dice loss (Milletari et al. 2016, with
    linear denominator) is 1 - 2 sum(p m) / (sum p + sum m). At p = 1/2 and foreground share f it is
    1 - f / (1/2 + f) = 1 / (1 + 2 f): its chance value, 0.91 at a foreground of 5 %.

    Of masks between 0 and 1, which MixUp gives, p m becomes min(p, m), the same number where m is 0 or 1: the loss is
    then the distance |p - m| over the sum, and 0 at p = m (Wang et al. 2023, "Dice Semimetric Losses: Optimizing the
    Dice Score with Soft Labels", MICCAI).

    An image without foreground has no Dice to speak of (its loss would be 1 whatever is predicted, with no gradient):
    there the cross-entropy takes Dice's part as well.

    Args:
        logits_BHW: Of the foreground.
        mask_BHW: In [0, 1].
        dice: Share of the Dice loss, in [0, 1].

    Returns:
        A scalar: 1 at chance level, 0 when perfect.
    """
    logits_BN, mask_BN = logits_BHW.float().flatten(1), mask_BHW.float().flatten(1)
    entropy_B = F.binary_cross_entropy_with_logits(logits_BN, mask_BN, reduction="none").mean(1) / math.log(2)
    p_BN, area_B = logits_BN.sigmoid(), mask_BN.sum(1)
    overlap_B = 2 * torch.minimum(p_BN, mask_BN).sum(1) / (p_BN.sum(1) + area_B).clamp_min(1e-6)
    dice_B = (1 - overlap_B) * (1 + 2 * mask_BN.mean(1))
    return ((1 - dice) * entropy_B + dice * torch.where(area_B > 0, dice_B, entropy_B)).mean()
