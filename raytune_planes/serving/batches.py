"""Several pictures answered together: one pass of the model for those that the same head answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch

from raytune_planes.datasets.images import Source
from raytune_planes.errors import UserError
from raytune_planes.scenes.grid import Grid
from raytune_planes.serving.answers import Answer, Chosen, answer, choose, composed
from raytune_planes.serving.predictor import Model, Predictor
from raytune_planes.serving.slides import Slide
from raytune_planes.tasks.prediction import Prediction


@dataclass(frozen=True)
class Asked:
    """One picture and what is asked of it, as ``answers.answer`` takes them."""

    source: Source
    dataset: str | None = None
    texts: tuple[str, ...] = ()
    scale: float | None = None


@dataclass(frozen=True)
class Seen:
    """What a model sees of one picture."""

    chosen: Chosen
    cut: Grid | None
    pixels_NHWC: np.ndarray


@dataclass(frozen=True)
class Prepared:
    """A picture before the model looks at it. Making it needs no model's time: another thread can do it meanwhile."""

    asked: Asked
    seen: Seen | UserError | None
    """None for what is answered on its own: a scene that chips slide over, and all that an ensemble answers."""


def prepared(model: Model, asked: Asked) -> Prepared:
    """``asked``, decoded and cut up, or with the reason why it cannot be."""
    if not isinstance(model, Predictor):
        return Prepared(asked, None)
    try:
        chosen = choose(model, asked.source, asked.dataset)
        cut, batches = model.pixels(chosen.dataset, asked.source, asked.scale)
        return Prepared(asked, None if isinstance(cut, Slide) else Seen(chosen, cut, next(batches)))
    except UserError as error:
        return Prepared(asked, error)


def answer_all(model: Model, asked: Sequence[Asked]) -> list[Answer | UserError]:
    """The answer to each, in order, or why there is none.

    Pictures seen whole, and scenes in tiles, go through the model together, for each dataset. A scene that chips slide
    over fills batches of its own, and an ensemble answers picture by picture.
    """
    return finished(model, [prepared(model, each) for each in asked])


def finished(model: Model, several: Sequence[Prepared]) -> list[Answer | UserError]:
    """As ``answer_all``, of what is prepared."""
    found: dict[int, Answer | UserError] = {}
    ready: dict[str, list[tuple[int, Asked, Seen]]] = {}
    for place, each in enumerate(several):
        if isinstance(each.seen, UserError):
            found[place] = each.seen
        elif each.seen is None:
            found[place] = _alone(model, each.asked)
        else:
            ready.setdefault(each.seen.chosen.dataset, []).append((place, each.asked, each.seen))
    for dataset, together in ready.items():
        assert isinstance(model, Predictor), "others are answered picture by picture"
        pixels_NHWC = np.concatenate([seen.pixels_NHWC for _, _, seen in together])
        said = model.predict(dataset, torch.from_numpy(pixels_NHWC).permute(0, 3, 1, 2))
        parts = _parts(said, [len(seen.pixels_NHWC) for _, _, seen in together])
        for (place, asked, seen), part in zip(together, parts, strict=True):
            texts = tuple(dict.fromkeys(asked.texts))
            try:
                inference = model.inference(dataset, asked.source, seen.cut, [part], texts)
                found[place] = composed(model, seen.chosen, inference, texts)
            except UserError as error:
                found[place] = error
    return [found[place] for place in range(len(several))]


def _alone(model: Model, asked: Asked) -> Answer | UserError:
    try:
        return answer(model, asked.source, asked.dataset, asked.texts, asked.scale)
    except UserError as error:
        return error


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
