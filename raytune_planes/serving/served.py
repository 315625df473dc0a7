"""What MLflow calls: a registered model's answers, those of ``predict``, over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from raytune_planes.errors import UserError
from raytune_planes.serving.answers import answer
from raytune_planes.serving.predictor import Predictor


def serve(artifacts: Mapping[str, str]) -> Callable[[Any], list[dict[str, Any]]]:
    """From a table of ``dataset`` (empty for by size) and ``image`` (a picture file's bytes) to a list of answers.

    Each is what ``predict --json`` says of the picture (``Answer.to_dict``). A picture that cannot be answered has
    ``error``, a sentence, in place of all else; the others are answered.
    """
    predictor = Predictor.load(Path(artifacts["checkpoint"]))

    def answered(dataset: Any, image: Any) -> dict[str, Any]:
        try:
            return answer(predictor, bytes(image), str(dataset)).to_dict()
        except UserError as error:
            return {"error": str(error)}

    return lambda table: [answered(*row) for row in zip(table["dataset"], table["image"], strict=True)]
