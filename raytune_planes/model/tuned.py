"""A text encoder that trains with the image model: the class prompts of a batch's dataset, encoded anew each step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from raytune_planes.model.bert import load_bert, pooled
from raytune_planes.model.prompts import ensemble, unique


class PromptEncoder(nn.Module):
    """Dataset -> unit rows [K, W], differentiable. Building one imports transformers.

    Without dropout: the same few sentences come in every step, every worker must see the same vectors, and so training
    and validation measure the same ones.
    """

    def __init__(self, sentences: Mapping[str, Sequence[Sequence[str]]], model: str) -> None:
        """``sentences``: for each dataset those of each class, equally many (``prompts.sentences``).

        Raises:
            UserError: ``model`` is unavailable.
        """
        super().__init__()
        tokenizer, self.bert = load_bert(model)
        self._tokens: dict[str, dict[str, Tensor]] = {}
        self._places: dict[str, Tensor] = {}
        for name, groups in sentences.items():
            different, places = unique(groups)
            self._tokens[name] = dict(tokenizer(different, padding=True, truncation=True, return_tensors="pt"))
            self._places[name] = torch.tensor(places)
        self.train(False)

    def forward(self, dataset: str) -> Tensor:
        """On the encoder's own device; equal prompts give equal rows."""
        tokens = {key: values.to(self.device) for key, values in self._tokens[dataset].items()}
        row_SW = pooled(self.bert(**tokens).last_hidden_state, tokens["attention_mask"])
        return ensemble(row_SW[self._places[dataset].to(self.device)])

    def train(self, mode: bool = True) -> PromptEncoder:
        """Never in training mode, which would be dropout."""
        return super().train(False)

    @property
    def device(self) -> torch.device:
        bert_device: Any = self.bert.device
        return torch.device(bert_device)
