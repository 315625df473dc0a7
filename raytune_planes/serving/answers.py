"""What is told of a picture: by which dataset's head, its classes, its planes; the same on the terminal and served."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from raytune_planes.datasets import images
from raytune_planes.datasets.images import Source
from raytune_planes.datasets.yolo import Box
from raytune_planes.serving.boxes import Scored
from raytune_planes.serving.predictor import Look, Model, Predictor, require
from raytune_planes.serving.scenes import planes
from raytune_planes.tracking.validation import probabilities

SHOWN = 5
"""Classes that are told."""
SCENE = 4
"""A picture is a scene when its shorter side holds this many tiles; a photograph holds two or three."""


@dataclass(frozen=True)
class Answer:
    """All that is told of one picture."""

    dataset: str
    """Whose head answered."""
    chosen: str
    """Why that one."""
    width: int
    height: int
    tiles: int
    """How many the picture was cut into; 1 for a picture that was seen whole."""
    top: tuple[tuple[str, float], ...]
    """The likeliest classes with their probabilities, best first; of a scene, the mean over its tiles."""
    covered: float
    """Share of the picture under the mask; NaN for datasets without masks."""
    planes: tuple[Box, ...]
    """Around each connected part of the mask, in the picture's pixels, largest first."""
    texts: tuple[tuple[str, float, float], ...]
    """Each free text with its score (cosine over temperature) and its probability among the texts."""
    mask_HW: np.ndarray | None
    """Probability of a plane."""
    boxes: tuple[Scored, ...] | None = None
    """Planes by the detector, in the picture's pixels, the surest first; None where none was trained, and of an
    ensemble."""
    values: tuple[float, float] | None = None
    """Of a picture with more than 8 bits, the numbers that are shown as black and as white."""

    def to_json(self) -> dict[str, Any]:
        """Without the mask; what does not apply is left out."""
        masked = {"covered": self.covered, "count": len(self.planes), "planes": [list(box) for box in self.planes]}
        boxes = {"boxes": [{"box": list(box), "score": score} for box, score in self.boxes or ()]}
        texts = [{"text": text, "score": score, "probability": share} for text, score, share in self.texts]
        return {
            **{"dataset": self.dataset, "chosen": self.chosen, "size": [self.width, self.height], "tiles": self.tiles},
            "top": [{"label": label, "probability": probability} for label, probability in self.top],
            **(masked if self.mask_HW is not None else {}),
            **(boxes if self.boxes is not None else {}),
            **({"texts": texts} if texts else {}),
        }


def answer(model: Model, source: Source, dataset: str | None = None, texts: Sequence[str] = ()) -> Answer:
    """Look at one picture through the head of ``dataset``, or of the one that its size suggests.

    Raises:
        UserError: the model was not trained on ``dataset``, or the picture cannot be decoded.
    """
    width, height = images.size_of(source, max(d.max_pixels for d in model.config.datasets.values()))
    name, why = (dataset, "asked for") if dataset else by_size(model, width, height)
    require(name, model.infos)
    look = model.look(name, source, tuple(texts))
    mask_HW = look.mask_HW
    return Answer(
        dataset=name,
        chosen=why,
        width=width,
        height=height,
        tiles=look.tiles,
        top=_top(look, model.infos[name].classes),
        covered=math.nan if mask_HW is None else float((mask_HW > 0.5).mean()),
        planes=() if mask_HW is None else planes(mask_HW, width, height, model.config.datasets[name].image_size),
        texts=tuple(zip(texts, look.text_P.tolist(), probabilities(look.text_P[None])[0].tolist(), strict=True)),
        mask_HW=mask_HW,
        boxes=look.boxes,
        values=model.infos[name].values,
    )


def by_size(model: Model, width: int, height: int) -> tuple[str, str]:
    """The dataset whose pictures are most like one of this size, and why, for people.

    A picture of several tiles is a scene, for a dataset with masks. Of the others the one that sees pictures at the
    nearest size, in ratio: a chip is hardly scaled, a photograph much.
    """
    shorter, settings = min(width, height), model.config.datasets
    scenes = [n for n, info in model.infos.items() if info.has_masks and shorter >= SCENE * settings[n].tile]
    if scenes:
        name = max(scenes, key=lambda n: settings[n].tile)
        return name, f"by size: {shorter} px hold {SCENE} tiles of {settings[name].tile} or more"
    whole = [n for n, info in model.infos.items() if not info.has_masks] or list(model.infos)
    name = min(whole, key=lambda n: abs(math.log(shorter / settings[n].image_size)))
    return name, f"by size: {shorter} px, it sees pictures at {settings[name].image_size}"


def serve(artifacts: Mapping[str, str]) -> Callable[[Any], Any]:
    """What MLflow calls: from a table of ``dataset`` (empty for by size) and ``image`` (a picture file's bytes).

    Returns a table with ``dataset``, ``label``, ``probability``, and, for datasets with masks, ``planes`` (their
    number) and ``covered`` (share of the picture); NaN otherwise.
    """
    predictor = Predictor.load(Path(artifacts["checkpoint"]))

    def told(table: Any) -> Any:
        import pandas

        rows = []
        for dataset, image in zip(table["dataset"], table["image"], strict=True):
            found = answer(predictor, bytes(image), str(dataset))
            label, probability = found.top[0]
            count = math.nan if found.mask_HW is None else float(len(found.planes))
            named = {"dataset": found.dataset, "label": label, "probability": probability}
            rows.append({**named, "planes": count, "covered": found.covered})
        return pandas.DataFrame(rows)

    return told


def _top(look: Look, classes: Sequence[str]) -> tuple[tuple[str, float], ...]:
    order = np.argsort(-look.probability_K, kind="stable")[:SHOWN]
    return tuple((classes[i], float(look.probability_K[i])) for i in order.tolist())
