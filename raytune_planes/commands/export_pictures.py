"""The pictures that ``export`` compares a file on, or calibrates it with, as the model sees them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from raytune_planes.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from raytune_planes.serving.predictor import Predictor


def seen(model: Predictor, dataset: str, named: list[Path], most: int, option: str) -> np.ndarray:
    """What the model sees of the first pictures: uint8 [N, S, S, 3]; of scenes their tiles.

    Args:
        named: Pictures and folders of them.
        most: How many.
        option: That named them, for messages.

    Raises:
        UserError: none can be read.
    """
    import numpy as np

    from raytune_planes.commands.predict import pictures_of

    def leave_out(error: UserError) -> None:
        print(f"raytune-planes export: left out: {error}", file=sys.stderr)

    parts: list[np.ndarray] = []
    for path in pictures_of(named, leave_out):
        try:
            parts.append(next(model.pixels(dataset, path)[1]))
        except UserError as error:
            leave_out(error)
        if sum(map(len, parts)) >= most:
            break
    if not parts:
        raise UserError(f"none of the pictures of {option} can be read")
    return np.concatenate(parts)[:most]
