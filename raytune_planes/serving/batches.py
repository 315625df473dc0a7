"""Several pictures answered together: one pass of the model for those that the same head answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch

from raytune_planes.errors import UserError
from raytune_planes.scenes.grid import Grid
from raytune_planes.serving.answers import Answer, Chosen, answer, choose, composed
from raytune_planes.serving.predictor import Model, Predictor
from raytune_planes.serving.slides import Slide
from raytune_planes.tasks.prediction import Prediction


@dataclass(frozen=True)
class Asked:
    """One picture and what is asked of it, as ``answers.answer`` takes them."""

    source: bytes
    dataset: str | None = None
    texts: tuple[str, ...] = ()
    scale: float | None = None


@dataclass(frozen=True)
class _Ready:
    place: int
    chosen: Chosen
    cut: Grid | None
    pixels_NHWC: np.ndarray


def answer_all(model: Model, asked: Sequence[Asked]) -> list[Answer | UserError]:
    """The answer to each, in order, or why there is none.

    Pictures seen whole, and scenes in tiles, go through the model together, for each dataset. A scene that chips slide
    over fills batches of its own, and an ensemble answers picture by picture.
    """
    found: dict[int, Answer | UserError] = {}
    ready: dict[str, list[_Ready]] = {}
    for place, each in enumerate(asked):
        try:
            one = _prepared(model, place, each)
            if one is None:
                found[place] = answer(model, each.source, each.dataset, each.texts, each.scale)
            else:
                ready.setdefault(one.chosen.dataset, []).append(one)
        except UserError as error:
            found[place] = error
    for dataset, several in ready.items():
        assert isinstance(model, Predictor), "others are answered picture by picture"
        pixels_NHWC = np.concatenate([one.pixels_NHWC for one in several])
        said = model.predict(dataset, torch.from_numpy(pixels_NHWC).permute(0, 3, 1, 2))
        for one, part in zip(several, _parts(said, [len(one.pixels_NHWC) for one in several]), strict=True):
            each = asked[one.place]
            texts = tuple(dict.fromkeys(each.texts))
            try:
                inference = model.inference(dataset, each.source, one.cut, [part], texts)
                found[one.place] = composed(model, one.chosen, inference, texts)
            except UserError as error:
                found[one.place] = error
    return [found[place] for place in range(len(asked))]


def _prepared(model: Model, place: int, asked: Asked) -> _Ready | None:
    """Its pixels; None for what is answered on its own."""
    if not isinstance(model, Predictor):
        return None
    chosen = choose(model, asked.source, asked.dataset)
    cut, batches = model.pixels(chosen.dataset, asked.source, asked.scale)
    return None if isinstance(cut, Slide) else _Ready(place, chosen, cut, next(batches))


def _parts(said: Prediction, lengths: Sequence[int]) -> Iterator[Prediction]:
    """What was said of each stretch of so many pictures; what has no rows is of all."""
    start = 0
    for length in lengths:
        rows = {
            f.name: tensor[start : start + length] if tensor.ndim else tensor
            for f in fields(said)
            if (tensor := getattr(said, f.name)) is not None
        }
        yield replace(said, **rows)
        start += length
