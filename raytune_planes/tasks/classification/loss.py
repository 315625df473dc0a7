"""Cross-entropy of a dataset's head, divided by the chance-level loss."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor

from raytune_planes.tasks.classification.hierarchy import distribution


def classification(logits_BK: Tensor, target: Tensor, smoothing: float = 0.0, margin: float = 0.0) -> Tensor:
    """Mean cross-entropy over the batch divided by ln K: 1 for equal logits, whatever the number of classes.

    ``smoothing`` of the target's mass is spread evenly over the K - 1 wrong classes. ``margin`` is taken off the true
    class's logit first (Wang et al. 2018, eq. 4, of logits that are scaled cosines): the chance level is then above 1.

    ``target``: label_B, or target_BK, the probabilities of the classes in blended images: cross-entropy is linear in
    them, so this is the blend of the labels' losses. Smoothing and margin then act in proportion.
    """
    classes = logits_BK.shape[1]
    if margin:
        logits_BK = logits_BK - margin * distribution(target, classes)
    log_p_BK = F.log_softmax(logits_BK.float(), dim=1)
    right_B = log_p_BK.gather(1, target[:, None])[:, 0] if target.ndim == 1 else (target * log_p_BK).sum(1)
    if classes == 1:
        return -right_B.mean()  # one class leaves nothing to guess: 0
    wrong_B = (log_p_BK.sum(1) - right_B) / (classes - 1)
    return -((1 - smoothing) * right_B + smoothing * wrong_B).mean() / math.log(classes)
