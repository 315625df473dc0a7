"""One trained model, looking at pictures of any size as it did in training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from raytune_planes.config import TrialConfig
from raytune_planes.datasets import images
from raytune_planes.datasets.base import Info
from raytune_planes.datasets.images import Source
from raytune_planes.datasets.loaders import normalise
from raytune_planes.errors import UserError, did_you_mean
from raytune_planes.model.text import encode_prompts
from raytune_planes.network import Network
from raytune_planes.processors import tensor_threads
from raytune_planes.serving.boxes import Scored, detected
from raytune_planes.serving.scenes import Grid
from raytune_planes.settings import make_config
from raytune_planes.tasks.answers import joined
from raytune_planes.training import checkpoint
from raytune_planes.training.workers import pick_device

BERT = "text.bert."
"""What the names of a trained text encoder's weights begin with (``model.tuned``)."""
AT_ONCE = 64
"""Tiles of a batch."""


@dataclass(frozen=True)
class Look:
    """What a model sees in one picture."""

    probability_K: np.ndarray
    """Of the dataset's classes; of a scene, the mean over its tiles."""
    tiles: int
    mask_HW: np.ndarray | None
    """Probability of a plane, float32, at the scale of training; None for datasets without masks."""
    text_P: np.ndarray
    """For each free text its cosine with the picture, divided by the learnt temperature; of a scene, the mean."""
    boxes: tuple[Scored, ...] | None = None
    """Planes in the picture's pixels, the surest first; None where the model learnt no boxes."""


class Model(Protocol):
    """A single model or an ensemble of several."""

    config: TrialConfig
    infos: Mapping[str, Info]

    def look(self, dataset: str, source: Source, texts: tuple[str, ...] = ()) -> Look:
        """Through the head of ``dataset``. Raises UserError: not trained on it, or the picture cannot be decoded."""
        ...


class Predictor:
    """A trial's ``best.pt``, ready to answer."""

    def __init__(self, state: Mapping[str, Any], device: str = "auto") -> None:
        self.config = make_config(state["config"], source="the checkpoint's settings")
        self.infos: Mapping[str, Info] = {name: _info(fields) for name, fields in state["infos"].items()}
        self.device = pick_device(device)
        width = next(iter(state["prompts"].values())).shape[1]
        self.model = Network(self.infos, self.config, width)
        # A text encoder that trained along is asked only when somebody gives a text: transformers is slow to import.
        self._text_weights = {k.removeprefix(BERT): w for k, w in state["weights"].items() if k.startswith(BERT)}
        self.model.load_state_dict({k: w for k, w in state["weights"].items() if not k.startswith(BERT)})
        self.model.to(self.device).eval()
        self._texts: dict[tuple[str, ...], torch.Tensor] = {}

    @staticmethod
    def load(path: Path) -> Predictor:
        """Raises UserError when ``path`` is no readable checkpoint, or holds no model of ours."""
        state = checkpoint.load(path)
        with checkpoint.content_of(path):
            return Predictor(state)

    def look(self, dataset: str, source: Source, texts: tuple[str, ...] = ()) -> Look:
        """Datasets with masks or boxes were trained on tiles, so their pictures are tiled; others are seen whole."""
        require(dataset, self.infos)
        settings, grid = self.config.datasets[dataset], None
        if self.infos[dataset].has_masks or self.infos[dataset].has_boxes:
            tile = min(settings.tile, *images.size_of(source))
            picture = images.decode(source, coarsest=tile / settings.image_size)
            grid = Grid(picture, tile, settings.image_size)
            pixels_NHWC = np.stack(list(grid.pixels()))
        else:
            pixels_NHWC = np.stack([images.decode(source, fit=settings.image_size).crop(settings.image_size)])
        found = self.outputs(dataset, torch.from_numpy(pixels_NHWC).permute(0, 3, 1, 2))
        mask_HW = None
        if grid is not None and "segmentation" in found:
            mask_HW = grid.blend(found["segmentation"].sigmoid())
        text_PW = self._embed(texts)
        similar_NP = found["contrastive"].embedding_BW @ text_PW.T / found["contrastive"].log_temperature.exp()
        return Look(
            probability_K=found["classification"].logits_BK.softmax(1).mean(0).numpy(),
            tiles=len(pixels_NHWC),
            mask_HW=mask_HW,
            text_P=similar_NP.mean(0).numpy(),
            boxes=detected(found["detection"], grid) if grid is not None and "detection" in found else None,
        )

    @torch.no_grad()
    def outputs(self, dataset: str, pixels_NCHW: torch.Tensor) -> dict[str, Any]:
        """What each task says of uint8 pictures at the dataset's image size, on the CPU.

        Computed by as many threads as in training: sums may round differently with another number, and the threads of
        torch's default, one for each core of the machine, mostly wait for each other over a small picture.
        """
        with tensor_threads(self.config.devices.threads):
            return self._outputs(dataset, pixels_NCHW)

    def _outputs(self, dataset: str, pixels_NCHW: torch.Tensor) -> dict[str, Any]:
        parts = []
        for some_BCHW in pixels_NCHW.split(AT_ONCE):
            image_BCHW = some_BCHW.to(torch.float32, memory_format=torch.contiguous_format).div_(255)
            parts.append(self.model(dataset, normalise(image_BCHW).to(self.device)))
        return {task: joined([part[task] for part in parts]) for task in parts[0]}

    def _embed(self, texts: tuple[str, ...]) -> torch.Tensor:
        """Unit rows [P, W]; the text encoder runs once for each set of texts."""
        if not texts:
            return torch.zeros(0, self.model.projection.out_features)
        if texts not in self._texts:
            text, device = self.config.text, self.config.devices.text
            encoded = encode_prompts({"texts": texts}, text, device, weights=self._text_weights)
            self._texts[texts] = torch.from_numpy(encoded["texts"])
        return self._texts[texts]


def require(dataset: str, infos: Mapping[str, Info]) -> None:
    """Raises UserError when the model was not trained on ``dataset``."""
    if dataset not in infos:
        raise UserError(
            f"the model knows no dataset '{dataset}'{did_you_mean(dataset, infos)} It was trained on {', '.join(infos)}"
        )


def _info(fields: Mapping[str, Any]) -> Info:
    parents = {name: tuple(of_class) for name, of_class in fields["parents"].items()}
    return Info(
        **{**fields, "classes": tuple(fields["classes"]), "prompts": tuple(fields["prompts"]), "parents": parents}
    )
