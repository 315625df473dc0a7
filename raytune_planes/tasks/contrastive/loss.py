"""Contrast between images and class prompts in which equal prompts are positives, divided by the chance-level loss."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def contrastive(embedding_BW: Tensor, target: Tensor, prompts_KW: Tensor, log_temperature: Tensor) -> Tensor:
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

    Returns:
        A scalar: 1 at chance level, 0 when perfect.
    """
    similarity_BK = embedding_BW.float() @ prompts_KW.float().T * torch.exp(-log_temperature)
    # Equality of rows, not of class names: two classes may share a sentence.
    first_K = _first_equal_row(prompts_KW)
    text_of_image_B = first_K[target if target.ndim == 1 else target.argmax(1)]
    anchors_G = text_of_image_B.unique()
    directions = (
        _divergence(similarity_BK, text_of_image_B[:, None] == first_K[None]),
        _divergence(similarity_BK.T[anchors_G], anchors_G[:, None] == text_of_image_B[None]),
    )
    if target.ndim == 2:
        losses = _from_shares(similarity_BK, target, first_K)
        directions = ((losses[0], directions[0][1]), (losses[1], directions[1][1]))
    scaled = [loss / chance for loss, chance in directions if chance > 0]
    return torch.stack(scaled).mean() if scaled else similarity_BK.sum() * 0.0


def _divergence(similarity_AN: Tensor, positive_AN: Tensor) -> tuple[Tensor, Tensor]:
    """Mean over anchors of the divergence from even attention to the positives, and the same at even attention."""
    count_A = positive_AN.sum(1)
    log_p_AN = F.log_softmax(similarity_AN, dim=1)
    loss_A = -torch.where(positive_AN, log_p_AN, 0.0).sum(1) / count_A - count_A.log()
    return loss_A.mean(), (similarity_AN.shape[1] / count_A).log().mean()


def _from_shares(similarity_BK: Tensor, target_BK: Tensor, first_K: Tensor) -> tuple[Tensor, Tensor]:
    """Both directions where images hold shares of several prompts; equal prompts share theirs evenly."""
    same_KK = (first_K[:, None] == first_K[None]).to(similarity_BK)
    present_BK = target_BK.to(similarity_BK) @ same_KK
    anchors_G = first_K.unique()
    anchors_G = anchors_G[present_BK[:, anchors_G].sum(0) > 0]
    pairs = ((similarity_BK, present_BK / same_KK.sum(0)), (similarity_BK.T[anchors_G], present_BK.T[anchors_G]))
    losses = []
    for similarity_AN, share_AN in pairs:
        share_AN = share_AN / share_AN.sum(1, keepdim=True)
        log_p_AN = F.log_softmax(similarity_AN, dim=1)
        losses.append((torch.xlogy(share_AN, share_AN) - share_AN * log_p_AN).sum(1).mean())
    return losses[0], losses[1]


def _first_equal_row(rows_KW: Tensor) -> Tensor:
    """For each row, the index of the first row equal to it."""
    _, group_K = torch.unique(rows_KW, dim=0, return_inverse=True)
    same_KK = group_K[:, None] == group_K[None]
    return same_KK.int().argmax(1)
