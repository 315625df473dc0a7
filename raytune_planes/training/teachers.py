"""The specialists that a training learns from: one trained model for each dataset, which only answers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from raytune_planes.config import TrialConfig
from raytune_planes.datasets.base import Info
from raytune_planes.datasets.loaders import Batch
from raytune_planes.errors import UserError
from raytune_planes.tasks.implementation import Implementation
from raytune_planes.training import checkpoint
from raytune_planes.training.kept_model import KeptModel
from raytune_planes.training.left_out import digest


class Teachers:
    """The checkpoints ``datasets.<name>.teacher`` of the datasets that a task with ``taught`` wants; else none is read.

    They are no part of the training's own weights. Its state names theirs by their hash.
    """

    def __init__(
        self,
        config: TrialConfig,
        tasks: Mapping[str, Implementation],
        infos: Mapping[str, Info],
        device: torch.device,
    ) -> None:
        """Raises UserError where a specialist is missing, unreadable, of other classes or of another split."""
        asking = [task for task in tasks.values() if task.task.taught]
        names = [name for name in infos if any(task.wants(name) for task in asking)]
        if missing := [name for name in names if not config.datasets[name].teacher]:
            raise UserError(
                f"{asking[0].task.weight} above 0 needs a trained specialist of each dataset, and none is named for "
                f"{', '.join(missing)}; set datasets.{missing[0]}.teacher to its best.pt, or the weight to 0"
            )
        self._kept = {name: _read(name, Path(config.datasets[name].teacher), config, infos[name]) for name in names}
        self.digests = {name: digest(kept.network.state_dict()) for name, kept in self._kept.items()}
        """By dataset, SHA-256 of the specialist's weights."""
        for kept in self._kept.values():
            kept.network.to(device).requires_grad_(False)

    def __bool__(self) -> bool:
        return bool(self._kept)

    @torch.no_grad()
    def answers(self, batch: Batch) -> dict[str, Any]:
        """What the specialist of the batch's dataset says of its pictures, by the tasks that it learnt; {} without one.

        It sees them at the side that it was trained at.
        """
        kept = self._kept.get(batch.dataset)
        if kept is None:
            return {}
        image_BCHW, side = batch.image_BCHW, kept.config.datasets[batch.dataset].image_size
        if image_BCHW.shape[-1] != side:
            image_BCHW = _resized(image_BCHW, side)
        outputs = kept.network(batch.dataset, image_BCHW)
        learnt = {name for name, task in kept.network.tasks.items() if task.settings.weight > 0}
        return {name: answer for name, answer in outputs.items() if name in learnt and answer is not None}

    def state_dict(self) -> dict[str, str]:
        return dict(self.digests)

    def load_state_dict(self, state: Mapping[str, str]) -> None:
        """Raises UserError where the weights of a specialist are not those that the training began with."""
        for name, mine in self.digests.items():
            if name in state and state[name] != mine:
                raise UserError(
                    f"datasets.{name}.teacher holds other weights by now (SHA-256 {mine[:8]}...; the training began "
                    f"with {state[name][:8]}...); put those back, or start anew"
                )

    def in_words(self) -> str:
        """Which specialists these are; empty without any."""
        named = (f"{name} (SHA-256 {sha[:8]}...)" for name, sha in self.digests.items())
        return f"learns from the specialists of {', '.join(named)}" if self.digests else ""


def _read(name: str, path: Path, config: TrialConfig, info: Info) -> KeptModel:
    setting = f"datasets.{name}.teacher"
    try:
        state = checkpoint.load(path)
        with checkpoint.content_of(path):
            kept = KeptModel(state)
    except UserError as error:
        raise UserError(f"{setting}: {error}") from None
    if name not in kept.infos:
        raise UserError(
            f"{setting}: {path} was trained on {', '.join(kept.infos)}, not on {name}; give a checkpoint that was"
        )
    if (theirs := kept.infos[name].classes) != info.classes:
        other = sorted(set(theirs) ^ set(info.classes))
        what = f"{other[0]!r} is in one of them only" if other else "they are in another order"
        raise UserError(
            f"{setting}: {path} knows other classes than the data of {name} ({len(theirs)} and {len(info.classes)}; "
            f"{what}); give a specialist that was trained on these classes"
        )
    splits = (kept.config.split, config.split)
    if len(set(splits)) > 1 and {split.kind for split in splits} != {"holdout"}:
        raise UserError(
            f"{setting}: {path} was trained on another split of the pictures (settings split.*), so it has seen "
            "pictures that are validated here; give a specialist that was trained on this split"
        )
    return kept


def _resized(image_BCHW: Tensor, side: int) -> Tensor:
    return F.interpolate(image_BCHW.float(), (side, side), mode="bilinear", antialias=True)
