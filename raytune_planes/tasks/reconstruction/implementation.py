"""Reconstruction: which pixels are hidden, what the model says of them, and its error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from raytune_planes.datasets.hiding import Hiding
from raytune_planes.tasks.implementation import Case, Features, Implementation, Shape
from raytune_planes.tasks.reconstruction.loss import reconstruction
from raytune_planes.tasks.reconstruction.patch_decoder import PatchDecoder, cover


@dataclass(frozen=True)
class Reconstructed:
    """Images whose hidden pixels are reconstructed from the visible ones, and the input of that."""

    painted_BCHW: Tensor
    """Normalised."""
    covered_BCHW: Tensor


class Reconstruction(Implementation):
    """Each image passes the encoder a second time, with its hidden pixels covered."""

    def reads_fine_maps(self, dataset: str) -> bool:
        return False

    def targets(self) -> dict[str, Any]:
        return {"hidden": Hiding(self.settings.mask, self.settings.patch)}

    def build(self, shape: Shape) -> dict[str, nn.Module | nn.Parameter]:
        return {"painter": PatchDecoder(shape.features)}

    def forward(self, parts: Mapping[str, Any], features: Features) -> Reconstructed | None:
        if features.hidden_BHW is None:
            return None
        covered_BCHW = cover(features.image_BCHW, features.hidden_BHW)
        return Reconstructed(parts["painter"](features.encode(covered_BCHW), covered_BCHW), covered_BCHW)

    def loss(self, answer: Reconstructed, case: Case) -> Tensor:
        hidden_BHW = case.batch.hidden_BHW
        assert hidden_BHW is not None, "an answer without hidden pixels"
        return reconstruction(answer.painted_BCHW, case.batch.image_BCHW, answer.covered_BCHW, hidden_BHW, case.gather)
