"""The model that a ``best.pt`` holds, as it was trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from raytune_planes.config import TrialConfig
from raytune_planes.datasets.base import Info
from raytune_planes.network import Network
from raytune_planes.settings import make_config

BERT = "text.bert."
"""What the names of a trained text encoder's weights begin with (``model.tuned``)."""


class KeptModel:
    """Its settings, its datasets and its network, in evaluation mode on the CPU.

    A text encoder that trained jointly is not part of the network: only texts need it.
    """

    def __init__(self, state: Mapping[str, Any]) -> None:
        """``state``: what ``checkpoint.load`` read; call under ``checkpoint.content_of``."""
        self.config: TrialConfig = make_config(state["config"], source="the checkpoint's settings")
        self.infos: Mapping[str, Info] = {name: Info.of_json(fields) for name, fields in state["infos"].items()}
        width = next(iter(state["prompts"].values())).shape[1]
        self.network = Network(self.infos, self.config, width)
        weights = state["weights"]
        self.text_weights: dict[str, Tensor] = {
            k.removeprefix(BERT): w for k, w in weights.items() if k.startswith(BERT)
        }
        self.network.load_state_dict({k: w for k, w in weights.items() if not k.startswith(BERT)})
        self.network.eval()
