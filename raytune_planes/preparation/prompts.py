"""The embeddings of the class prompts of every dataset of a trial, encoded once and kept in the cache."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from raytune_planes.config import TrialConfig
from raytune_planes.datasets.base import Info
from raytune_planes.datasets.cache import default_cache
from raytune_planes.model.bert import encode_prompts
from raytune_planes.model.prompts import ensemble, sentences
from raytune_planes.training.workers import pick_device


def embed_prompts(infos: Mapping[str, Info], config: TrialConfig, cache: Path | None) -> dict[str, np.ndarray]:
    """Unit embeddings [K, W] of every dataset's class prompts; runs the text encoder only for those not cached.

    Raises:
        UserError: the text encoder is unavailable.
    """
    grouped = {name: sentences(i, config.datasets[name].prompt, config.text.templates) for name, i in infos.items()}
    flat = {name: [sentence for group in groups for sentence in group] for name, groups in grouped.items()}
    device = str(pick_device(config.devices.text))
    rows = encode_prompts(flat, config.text, device, (cache or default_cache()) / "prompts")
    shaped = {name: torch.from_numpy(rows[name]).unflatten(0, (len(groups), -1)) for name, groups in grouped.items()}
    return {name: ensemble(row_KTW).numpy() for name, row_KTW in shaped.items()}


def prompts_key(config: TrialConfig) -> str:
    """What the prompts' embeddings depend on: the text model, and the sentences that settings give."""
    text = [config.text.model, *([f"templates: {config.text.templates}"] if config.text.templates else [])]
    return "\n".join([*text, *(f"{n}: {d.prompt}" for n, d in config.datasets.items() if d.prompt)])
