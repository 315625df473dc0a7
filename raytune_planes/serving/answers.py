"""The answer about a picture: the head that was used, classes, planes; the same on the terminal and served."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import numpy as np

from raytune_planes.datasets import images
from raytune_planes.datasets.images import Source
from raytune_planes.datasets.yolo import Box
from raytune_planes.scenes.grid import Scored, planes
from raytune_planes.scenes.oriented import Turned
from raytune_planes.serving.counts import DETECTIONS, MASK, ORIENTED, WINDOWS, Count
from raytune_planes.serving.predictor import Inference, Model, require
from raytune_planes.serving.routing import by_size
from raytune_planes.tracking.validation import probabilities

SHOWN = 5
"""Classes that an answer lists."""


class Label(NamedTuple):
    """A class and how likely it is."""

    label: str
    probability: float


@dataclass(frozen=True)
class Text:
    """A free text beside the picture."""

    text: str
    similarity: float
    """Cosine of the two in the space that both were taught."""
    probability: float | None
    """Among the texts; None for one that stands alone: it has nothing to be likelier than."""


@dataclass(frozen=True)
class Answer:
    """What a model answers for one picture.

    >>> answer = rp.load_model("first").predict("chip.png", dataset="planesnet")
    >>> isinstance(answer, rp.Answer)
    True
    >>> answer.width, answer.height, answer.boxes, answer.mask
    (20, 20, None, None)
    >>> sorted(label for label, probability in answer.labels)
    ['no plane', 'plane']
    >>> answer.to_dict()["labels"][0] == {"label": answer.labels[0].label, "probability": answer.labels[0].probability}
    True
    """

    dataset: str
    """Whose head answered."""
    chosen: str
    """Why that one."""
    width: int
    """Of the picture, in pixels."""
    height: int
    tiles: int
    """How many the picture was cut into; 1 for a picture that was seen whole."""
    labels: tuple[Label, ...]
    """The five likeliest classes with their probabilities, best first; of a scene, the mean over its tiles, and none of
    one that was read by windows."""
    covered: float
    """Share of the picture under the mask; NaN for datasets without masks."""
    planes: tuple[Box, ...]
    """Around each connected part of the mask, in the picture's pixels, largest first."""
    texts: tuple[Text, ...]
    mask: np.ndarray | None = field(repr=False)
    """[H, W] float32, the probability of a plane, at the scale of training: H and W are those of the picture only by
    chance. None for datasets without masks."""
    boxes: tuple[Scored, ...] | None = None
    """Planes by the detector, or windows with a plane: each (left, top, right, bottom) in the picture's pixels, and its
    score in [0, 1]; the surest first. None without either."""
    oriented: tuple[Turned, ...] | None = None
    """Planes by the oriented detector: the corners (x1, y1, ..., x4, y4) of each in the picture's pixels, one after the
    other around it, and its score in [0, 1]; the surest first. None without one."""
    upright_labels: bool = False
    """Whether the labels that ``oriented`` was learnt from hold upright boxes alone."""
    values: tuple[float, float] | None = None
    """Of a picture with more than 8 bits, the numbers that are shown as black and as white."""
    bands: tuple[str, ...] = ()
    """Of a picture of more bands than colours, those that are shown."""
    window: float = 0.0
    """Side in source pixels of the windows of a scene that was read by them; 0 for other pictures."""
    embedding: np.ndarray | None = field(default=None, repr=False)
    """[W] float32, where the picture lies in the space that pictures and texts were taught; of a scene the mean over
    its tiles or windows. None of an ensemble."""
    synthetic: tuple[str, ...] | None = ()
    """The model's datasets whose pictures were drawn by this program; None where its checkpoint does not tell."""

    @property
    def count(self) -> Count | None:
        """Of the planes; None of a picture that is answered by its class alone."""
        if self.boxes is not None:
            return Count(len(self.boxes), WINDOWS if self.window else DETECTIONS)
        if self.oriented is not None:
            return Count(len(self.oriented), ORIENTED)
        return None if self.mask is None else Count(len(self.planes), MASK)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as ``predict --json`` prints them: all but the mask; what does not apply is left out."""
        count = self.count
        counted: dict[str, Any] = {}
        if count is not None:
            error = count.measured and asdict(count.measured)
            counted = {"count": count.planes, "counted_by": count.by, "count_error": error}
        masked = {"covered": self.covered, "planes": [list(box) for box in self.planes]}
        boxes = {"boxes": [{"box": list(box), "score": score} for box, score in self.boxes or ()]}
        turned: dict[str, Any] = {"learnt_from": "upright boxes" if self.upright_labels else "oriented boxes"}
        turned["planes"] = [{"corners": list(corners), "score": score} for corners, score in self.oriented or ()]
        return {
            **{"dataset": self.dataset, "chosen": self.chosen, "size": [self.width, self.height], "tiles": self.tiles},
            "synthetic": None if self.synthetic is None else list(self.synthetic),
            **({"window": self.window} if self.window else {}),
            **({"labels": [{"label": label, "probability": p} for label, p in self.labels]} if self.labels else {}),
            **counted,
            **(masked if self.mask is not None else {}),
            **(boxes if self.boxes is not None else {}),
            **({"oriented": turned} if self.oriented is not None else {}),
            **({"texts": [_without_none(asdict(text)) for text in self.texts]} if self.texts else {}),
        }


def answer(
    model: Model, source: Source, dataset: str | None = None, texts: Sequence[str] = (), scale: float | None = None
) -> Answer:
    """Look at one picture through the head of ``dataset``, or of the only one that learnt pictures of its size.

    Args:
        scale: source pixels that stand for one pixel of the scenes or chips that were learnt; None for 1.

    Raises:
        UserError: the model was not trained on ``dataset``, the size does not tell a dataset, or the picture cannot be
            decoded, or not be read at ``scale``.
    """
    chosen = choose(model, source, dataset)
    texts = tuple(dict.fromkeys(texts))
    return composed(model, chosen, model.infer(chosen.dataset, source, texts, scale), texts)


class Chosen(NamedTuple):
    """Whose head answers a picture."""

    dataset: str
    why: str
    width: int
    """Of the picture, in pixels."""
    height: int


def choose(model: Model, source: Source, dataset: str | None) -> Chosen:
    """Raises UserError, as ``answer`` does."""
    width, height = images.size_of(source, max(d.max_pixels for d in model.config.datasets.values()))
    name, why = (
        (dataset, "asked for")
        if dataset
        else by_size(model.learnt, width, height, "" if isinstance(source, bytes) else f"{source}: ")
    )
    require(name, model.infos)
    if model.learnt[name].reader.options.framing.to_box:
        why += "; it learnt pictures cut to the aircraft, so this one should show little else"
    return Chosen(name, why, width, height)


def composed(model: Model, chosen: Chosen, inference: Inference, texts: tuple[str, ...]) -> Answer:
    """The answer that an inference says."""
    name, why, width, height = chosen
    mask_HW, slide, boxes = inference.mask_HW, inference.slide, inference.boxes
    if slide is not None:
        boxes = slide.places(inference.probability_NK[:, model.learnt[name].reader.sought])
    side = model.learnt[name].mask_side
    return Answer(
        dataset=name,
        chosen=why,
        width=width,
        height=height,
        tiles=inference.tiles,
        labels=() if slide is not None else _likeliest(inference.probability_NK[0], model.infos[name].classes),
        covered=math.nan if mask_HW is None else float((mask_HW > 0.5).mean()),
        planes=() if mask_HW is None else tuple(box for box, _ in planes(mask_HW, width, height, side)),
        texts=_texts(texts, inference),
        mask=mask_HW,
        boxes=boxes,
        oriented=inference.oriented,
        upright_labels=inference.oriented is not None and not model.infos[name].has_oriented_boxes,
        values=model.infos[name].values,
        bands=model.learnt[name].reader.options.bands,
        window=0.0 if slide is None else slide.side * slide.scale,
        embedding=inference.embedding_W,
        synthetic=model.synthetic,
    )


def _likeliest(probability_K: np.ndarray, classes: Sequence[str]) -> tuple[Label, ...]:
    order = np.argsort(-probability_K, kind="stable")[:SHOWN]
    return tuple(Label(classes[i], float(probability_K[i])) for i in order.tolist())


def _texts(texts: Sequence[str], inference: Inference) -> tuple[Text, ...]:
    shares = probabilities(inference.text_P[None])[0].tolist() if len(texts) > 1 else [None] * len(texts)
    return tuple(map(Text, texts, inference.similar_P.tolist(), shares))


def _without_none(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value is not None}
