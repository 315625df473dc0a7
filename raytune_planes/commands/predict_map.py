"""The map that ``predict --explain`` draws of what it answered: pictures beside the prompts of their classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from raytune_planes.printing import printable

if TYPE_CHECKING:
    from raytune_planes.report.embeddings import Embedded
    from raytune_planes.serving.answers import Answer
    from raytune_planes.serving.predictor import Model, Predictor

NAME = "embeddings"
CAPTION = (
    "Pictures by the class that was said and prompts as stars, by their two principal components; near in the plane "
    "can be far in the space"
)


def draw_map(model: Model, answers: Sequence[Answer], folder: Path) -> str:
    """Draw where the answered pictures and the prompts of their datasets lie; returns a sentence that says where it is,
    or why there is none. A scene lies where the mean of its tiles or windows does."""
    from raytune_planes.report.drawing import save
    from raytune_planes.report.embeddings import in_a_plane
    from raytune_planes.report.figure import Figure, Missing
    from raytune_planes.serving.predictor import Predictor

    if not isinstance(model, Predictor):
        return "No map of embeddings: each member of an ensemble has a space of its own; give one of its members"
    datasets = dict.fromkeys(answer.dataset for answer in answers)
    numbers = in_a_plane({name: _embedded(model, name, answers) for name in datasets})
    if isinstance(numbers, Missing):
        return f"No map of embeddings: {numbers.why}"
    figure = Figure(NAME, "Embeddings of pictures and prompts", CAPTION, numbers)
    png, _ = save(figure, folder, synthetic=bool(model.synthetic))
    return f"Map of embeddings: {printable(str(png))} ({CAPTION[0].lower()}{CAPTION[1:]})"


def _embedded(model: Predictor, name: str, answers: Sequence[Answer]) -> Embedded:
    from raytune_planes.report.embeddings import Embedded
    from raytune_planes.serving.regions import explained

    own, classes = [answer for answer in answers if answer.dataset == name], model.infos[name].classes
    said_N = np.array([classes.index(explained(model, answer)) for answer in own])
    rows = [answer.embedding for answer in own if answer.embedding is not None]
    return Embedded(tuple(map(printable, classes)), said_N, np.stack(rows), model.prompts[name].float().numpy())
