"""Cross-entropy of the groups of classes, from the classes' probabilities, divided by the chance-level loss."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def groups(parents: Mapping[str, Sequence[int]], device: torch.device | str = "cpu") -> tuple[Tensor, ...]:
    """For each level that tells anything apart: which parent holds which class, bool [P, K].

    ``parents``: for each level (family, manufacturer) the parent of every class. Parents without a class are left out,
    and levels of one parent.
    """
    families = []
    for of_class in parents.values():
        parent_K = torch.tensor(of_class)
        is_of_PK = parent_K.unique()[:, None] == parent_K
        if len(is_of_PK) > 1:
            families.append(is_of_PK.to(device, non_blocking=True))
    return tuple(families)


def hierarchy(logits_BK: Tensor, target: Tensor, levels: Sequence[Tensor]) -> Tensor:
    """The mean over ``levels`` (of ``groups``, at least one) of the parents' cross-entropy, each divided by ln P.

    A parent's probability is the sum of its classes', so no head is added, and a confusion within a family costs less
    than one across. 0 when all mass lies on the right parents, 1 when every level's is even over its P parents.

    ``target``: label_B, or target_BK, the probabilities of the classes in mixed pictures.
    """
    log_p_BK = F.log_softmax(logits_BK.float(), dim=1)
    target_BK = distribution(target, logits_BK.shape[1])
    return torch.stack([_cross_entropy(log_p_BK, target_BK, is_of_PK) for is_of_PK in levels]).mean()


def distribution(target: Tensor, classes: int) -> Tensor:
    """Probabilities [B, K] from labels [B]; probabilities [B, K] as they are."""
    if target.ndim == 2:
        return target
    return (target[:, None] == torch.arange(classes, device=target.device)).float()


def _cross_entropy(log_p_BK: Tensor, target_BK: Tensor, is_of_PK: Tensor) -> Tensor:
    # Summed in logarithms: probabilities that round to 0 would have none.
    log_p_BP = log_p_BK[:, None].masked_fill(~is_of_PK, -math.inf).logsumexp(2)
    target_BP = target_BK @ is_of_PK.T.to(target_BK)
    return -(target_BP * log_p_BP).sum(1).mean() / math.log(len(is_of_PK))
