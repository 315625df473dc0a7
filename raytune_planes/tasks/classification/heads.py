"""Classifiers, one per dataset: from an image's pooled features and its grid of tokens to a logit for each class."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from raytune_planes.config import Head


class Mlp(nn.Sequential):
    """``depth`` hidden layers of ``width`` units with GELU, then a linear layer; dropout before every linear layer."""

    margin: float = 0.0
    """By how many logits the true class must lead in training, for the loss; every head states it."""

    def __init__(self, features: int, classes: int, settings: Head) -> None:
        hidden, wide = _hidden(features, settings)
        super().__init__(*hidden, nn.Dropout(settings.dropout), nn.Linear(wide, classes))

    def forward(self, pooled_BC: Tensor, grid_BCHW: Tensor) -> Tensor:  # type: ignore[override]  # a head's two inputs
        """Logits [B, K] from the pooled features; it needs no grid."""
        logits_BK: Tensor = super().forward(pooled_BC)
        return logits_BK


def linear(features: int, classes: int, settings: Head) -> Mlp:
    """One linear layer after dropout."""
    return Mlp(features, classes, settings.model_copy(update={"depth": 0}))


class Attention(nn.Module):
    """An MLP on what learnt queries find in the grid, beside the pooled features.

    Each query weighs the tokens by softmax(query . token / sqrt(C)), as attention does (Vaswani et al. 2017, eq. 1),
    and takes their weighted sum: a part of the plane that pooling over the whole picture drowns. The queries are free
    vectors (Lee et al. 2019, eq. 9), so projections of keys and values would add nothing that queries and the next
    layer cannot learn. Tokens carry no positions: pictures of any size, and planes anywhere in them, look alike.
    """

    margin = 0.0

    def __init__(self, features: int, classes: int, settings: Head) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(features)
        self.query_QC = nn.Parameter(torch.randn(settings.queries, features))
        self.mlp = Mlp((1 + settings.queries) * features, classes, settings)

    def forward(self, pooled_BC: Tensor, grid_BCHW: Tensor) -> Tensor:
        """Logits [B, K]."""
        token_BNC = self.norm(grid_BCHW.flatten(2).transpose(1, 2))
        score_BQN = self.query_QC @ token_BNC.transpose(1, 2) / self.query_QC.shape[1] ** 0.5
        pooled_BQC = score_BQN.softmax(2) @ token_BNC
        logits_BK: Tensor = self.mlp(torch.cat([pooled_BC, pooled_BQC.flatten(1)], 1), grid_BCHW)
        return logits_BK


class Cosine(nn.Module):
    """Cosines between an image's features and a vector per class, times ``scale``; hidden layers as those of ``mlp``.

    In training the true class's cosine must lead by ``margin``: CosFace's additive margin (Wang et al. 2018, eq. 4).
    It is a constant off one logit, which the loss takes off where it knows the label. What the head says, and with it
    every metric, validation answer and prediction, are plain scaled cosines.
    """

    def __init__(self, features: int, classes: int, settings: Head) -> None:
        super().__init__()
        hidden, wide = _hidden(features, settings)
        self.hidden = nn.Sequential(*hidden, nn.Dropout(settings.dropout))
        self.class_KF = nn.Parameter(torch.randn(classes, wide))
        self.scale, self.margin = settings.scale, settings.scale * settings.margin

    def forward(self, pooled_BC: Tensor, grid_BCHW: Tensor) -> Tensor:
        """Logits [B, K], none beyond ``scale`` in size."""
        feature_BF = F.normalize(self.hidden(pooled_BC).float(), dim=1)
        return self.scale * (feature_BF @ F.normalize(self.class_KF, dim=1).T)


def _hidden(features: int, settings: Head) -> tuple[list[nn.Module], int]:
    """Hidden layers, and how many features come out of them."""
    layers: list[nn.Module] = []
    for _ in range(settings.depth):
        layers += [nn.Dropout(settings.dropout), nn.Linear(features, settings.width), nn.GELU()]
        features = settings.width
    return layers, features
