"""Contrast between images and class prompts in which equal prompts are positives, divided by the chance-level loss."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def contrastive(
    embedding_BW: Tensor, target: Tensor, prompts_KW: Tensor, log_temperature: Tensor, first_K: Tensor | None = None
) -> Tensor:
    """Mean of the two directions, image to text and text to image, each divided by its value at chance.

    ``embedding_BW`` and ``prompts_KW`` have unit rows; with several workers, embeddings and labels are the gathered
    ones. Both directions are the supervised contrastive loss of Khosla et al. 2020 (eq. 2, the mean over positives
    outside of the logarithm, which they find better than inside) less its floor:

        -1/|P| sum_{p in P} ln softmax_p(similarity / temperature) - ln |P|

    This is the Kullback-Leibler divergence from even attention to all positives P: 0 when these share all of the
    softmax evenly, ln(N / |P|) when it is even over all N candidates, which is the chance value. Without the floor
    taken off, a batch of one dataset (many images, few prompts) could never come near 0. Image to text: each image is
    an anchor, all K prompts are candidates, those equal to its own are positives. Text to image: each different prompt
    that the batch shows is an anchor, the images are candidates, those of that prompt are positives.

    ``target``: label_B, or target_BK, the probabilities of the classes in blended images. An image then attends to the
    prompts of both its labels by their shares, and a prompt to its images by what each holds of it: the same divergence
    from attention that is not even, with the same value for whole labels. It is divided by the chance value of the
    larger parts' labels: its own comes near 0 where all images are blended alike.

    A direction whose chance value is 0 (a batch of one class leaves text to image nothing to choose) is left out.

    Args:
        embedding_BW: Of the images, unit rows.
        target: label_B (int64), or target_BK (float32).
        prompts_KW: Of the classes, unit rows.
        log_temperature: A scalar, learnt.
        first_K: Of the prompts, ``first_equal_row``; computed when None.

    Returns:
        A scalar: 1 at chance level, 0 when perfect.
    """
    similarity_BK = embedding_BW.float() @ prompts_KW.float().T * torch.exp(-log_temperature)
    # Equality of rows, not of class names: two classes may share a sentence.
    first_K = first_equal_row(prompts_KW) if first_K is None else first_K
    text_of_image_B = first_K[target if target.ndim == 1 else target.argmax(1)]
    anchors_G = _anchors(text_of_image_B, first_K)
    directions = (
        _divergence(similarity_BK, text_of_image_B[:, None] == first_K[None]),
        _divergence(similarity_BK.T[anchors_G], anchors_G[:, None] == text_of_image_B[None]),
    )
    if target.ndim == 2:
        losses = _from_shares(similarity_BK, target, first_K)
        directions = ((losses[0], directions[0][1]), (losses[1], directions[1][1]))
    return _joint(directions)


def _joint(directions: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """The mean of (loss, chance value) pairs, each divided, over those whose chance value is above 0; 0 without any."""
    loss_2, chance_2 = (torch.stack(values) for values in zip(*directions, strict=True))
    if loss_2.device.type == "cpu":  # where a look at a value costs nothing
        told = [loss / chance for loss, chance in directions if chance > 0]
        return torch.stack(told).mean() if told else loss_2.sum() * 0.0
    tells_2 = chance_2 > 0
    scaled_2 = loss_2 / torch.where(tells_2, chance_2, 1.0)
    return torch.where(tells_2, scaled_2, 0.0).sum() / tells_2.sum().clamp_min(1)


def _anchors(texts: Tensor, first_K: Tensor) -> Tensor:
    """The different ``texts`` on a CPU. On a GPU all rows of prompts, as the host would wait for how many differ; those
    without a positive are left out of the means."""
    return texts.unique() if texts.device.type == "cpu" else torch.arange(len(first_K), device=texts.device)


def _divergence(similarity_AN: Tensor, positive_AN: Tensor) -> tuple[Tensor, Tensor]:
    """Mean over anchors of the divergence from even attention to the positives, and the same at even attention.

    Anchors without a positive do not count.
    """
    count_A, stands_A = positive_AN.sum(1).clamp_min(1), positive_AN.any(1)
    log_p_AN = F.log_softmax(similarity_AN, dim=1)
    loss_A = -torch.where(positive_AN, log_p_AN, 0.0).sum(1) / count_A - count_A.log()
    return _mean(loss_A, stands_A), _mean((similarity_AN.shape[1] / count_A).log(), stands_A)


def _mean(values_A: Tensor, stands_A: Tensor) -> Tensor:
    return torch.where(stands_A, values_A, 0.0).sum() / stands_A.sum()


def _from_shares(similarity_BK: Tensor, target_BK: Tensor, first_K: Tensor) -> tuple[Tensor, Tensor]:
    """Both directions where images hold shares of several prompts; equal prompts share theirs evenly."""
    same_KK = (first_K[:, None] == first_K[None]).to(similarity_BK)
    present_BK = target_BK.to(similarity_BK) @ same_KK
    stands_K = (present_BK.sum(0) > 0) & (first_K == torch.arange(len(first_K), device=first_K.device))
    anchors_G = _anchors(first_K, first_K)
    if anchors_G.device.type == "cpu":
        anchors_G = anchors_G[stands_K[anchors_G]]
    pairs = ((similarity_BK, present_BK / same_KK.sum(0)), (similarity_BK.T[anchors_G], present_BK.T[anchors_G]))
    losses = []
    for (similarity_AN, share_AN), stands_A in zip(pairs, (None, stands_K[anchors_G]), strict=True):
        total_A1 = share_AN.sum(1, keepdim=True)
        share_AN = share_AN / (total_A1 if stands_A is None else torch.where(stands_A[:, None], total_A1, 1.0))
        log_p_AN = F.log_softmax(similarity_AN, dim=1)
        loss_A = (torch.xlogy(share_AN, share_AN) - share_AN * log_p_AN).sum(1)
        losses.append(loss_A.mean() if stands_A is None else _mean(loss_A, stands_A))
    return losses[0], losses[1]


def first_equal_row(rows_KW: Tensor) -> Tensor:
    """For each row, the index of the first row equal to it."""
    # Compared in pairs: sorting out the different rows waits for a GPU.
    return (rows_KW[:, None] == rows_KW[None]).all(2).int().argmax(1)
