"""A trained model as a detector: the boxes of objects that it sees in a picture."""

from __future__ import annotations

from pathlib import Path

from raytune_planes.datasets.labels import Box, enclosing
from raytune_planes.datasets.objects import Detect
from raytune_planes.errors import UserError

SURE = 0.5
"""Least score of an object."""


def detect_with(name: str) -> Detect:
    """What finds objects by the model ``name`` (as for ``predict``): by its detector, else by the parts of its mask.

    Raises:
        UserError: there is no such model, or it learnt neither boxes nor masks.
    """
    from raytune_planes.commands.find_model import find_model
    from raytune_planes.serving.answers import answer

    model = find_model(name, Path("results"))
    able = [dataset for dataset, info in model.infos.items() if info.has_boxes or info.has_masks]
    if not able:
        raise UserError(
            f"--detector {name}: it learnt neither boxes nor masks; give a model that did, e.g. of hrplanes"
        )

    def detect(picture: Path) -> list[Box]:
        result = answer(model, picture, able[0])
        if result.boxes is not None:
            return [box for box, score in result.boxes if score >= SURE]
        if result.oriented is not None:
            return [enclosing(corners[::2], corners[1::2]) for corners, score in result.oriented if score >= SURE]
        return list(result.planes)

    return detect
