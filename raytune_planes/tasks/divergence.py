"""How far a model's logits are from a specialist's: Kullback-Leibler divergences at a temperature."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor


def of_classes(logits_BK: Tensor, taught_BK: Tensor, temperature: float) -> Tensor:
    """Mean over pictures of T^2 KL(softmax(taught / T) || softmax(logits / T)) / ln K (Hinton et al. 2015, section 2).

    T^2 keeps the size of the gradient, which falls with 1 / T^2. 0 where the two are equal; at T = 1, 1 for equal
    logits beside a specialist that is certain, as the cross-entropy's own value at chance.
    """
    classes = logits_BK.shape[1]
    if classes == 1:
        return logits_BK.sum() * 0
    mine_BK, target_BK = (F.log_softmax(each.float() / temperature, 1) for each in (logits_BK, taught_BK))
    apart = F.kl_div(mine_BK, target_BK, reduction="batchmean", log_target=True)
    return temperature**2 * apart / math.log(classes)


def of_pixels(logits_BHW: Tensor, taught_BHW: Tensor, temperature: float) -> Tensor:
    """The same of the two answers to each pixel, foreground or not, as a mean over all pixels, divided by ln 2.

    A specialist's logits of another resolution are brought to the model's.
    """
    if taught_BHW.shape != logits_BHW.shape:
        size = logits_BHW.shape[-2:]
        taught_BHW = F.interpolate(taught_BHW[:, None].float(), size, mode="bilinear", antialias=True)[:, 0]
    mine_BHW, target_BHW = (each.float() / temperature for each in (logits_BHW, taught_BHW))
    p_BHW = target_BHW.sigmoid()
    apart_BHW = p_BHW * (F.logsigmoid(target_BHW) - F.logsigmoid(mine_BHW))
    apart_BHW = apart_BHW + (1 - p_BHW) * (F.logsigmoid(-target_BHW) - F.logsigmoid(-mine_BHW))
    return temperature**2 * apart_BHW.mean() / math.log(2)
