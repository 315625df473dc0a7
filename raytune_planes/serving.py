"""A trained model outside of training: classify pictures from a checkpoint, alone or behind MLflow."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from raytune_planes.datasets.base import Info
from raytune_planes.datasets.loaders import normalise
from raytune_planes.errors import UserError, did_you_mean
from raytune_planes.model.aircraft import Aircraft
from raytune_planes.settings import make_config
from raytune_planes.training import checkpoint


@dataclass(frozen=True)
class Answer:
    """What the model says of one picture."""

    label: str
    probability: float
    planes: float
    """Share of the picture under the mask; NaN for datasets without masks."""


class Predictor:
    """A trial's ``best.pt``, ready to answer."""

    def __init__(self, state: Mapping[str, Any]) -> None:
        self.config = make_config(state["config"], source="the checkpoint's settings")
        self.infos = {name: _info(fields) for name, fields in state["infos"].items()}
        self.prompts = state["prompts"]
        width = next(iter(self.prompts.values())).shape[1]
        self.model = Aircraft(self.infos, self.config, width)
        self.model.load_state_dict(state["weights"])
        self.model.eval()

    @staticmethod
    def load(path: Path) -> Predictor:
        """Raises UserError when ``path`` is no readable checkpoint."""
        return Predictor(checkpoint.load(path))

    @torch.no_grad()
    def classify(self, dataset: str, pictures: Sequence[Image.Image]) -> list[Answer]:
        """One answer per picture, through the head of ``dataset``; pictures of any size.

        Raises:
            UserError: the model was not trained on ``dataset``.
        """
        if dataset not in self.infos:
            raise UserError(
                f"the model knows no dataset '{dataset}'{did_you_mean(dataset, self.infos)} "
                f"It was trained on {', '.join(self.infos)}"
            )
        side = self.config.datasets[dataset].image_size
        pixels = np.stack(
            [np.asarray(p.convert("RGB").resize((side, side), Image.Resampling.BILINEAR)) for p in pictures]
        )
        output = self.model(dataset, normalise(torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255))
        probability_BK = output.logits_BK.softmax(1)
        best = probability_BK.max(1)
        covered = output.mask_logits_BHW
        planes = [float("nan")] * len(pictures) if covered is None else (covered > 0).float().mean((1, 2)).tolist()
        classes = self.infos[dataset].classes
        return [
            Answer(classes[index], probability, share)
            for index, probability, share in zip(best.indices.tolist(), best.values.tolist(), planes, strict=True)
        ]


def serve(artifacts: Mapping[str, str]) -> Callable[[Any], Any]:
    """What MLflow calls: from a table of ``dataset`` and ``image`` (a picture file's bytes) to one of answers."""
    predictor = Predictor.load(Path(artifacts["checkpoint"]))

    def answer(table: Any) -> Any:
        import pandas

        rows = []
        for dataset, image in zip(table["dataset"], table["image"], strict=True):
            (found,) = predictor.classify(str(dataset), [Image.open(io.BytesIO(image))])
            rows.append(vars(found))
        return pandas.DataFrame(rows)

    return answer


def _info(fields: Mapping[str, Any]) -> Info:
    parents = {name: tuple(of_class) for name, of_class in fields["parents"].items()}
    return Info(
        **{**fields, "classes": tuple(fields["classes"]), "prompts": tuple(fields["prompts"]), "parents": parents}
    )
