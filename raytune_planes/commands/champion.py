"""Put a study's best model into MLflow's registry, with an example of what it answers."""

from __future__ import annotations

import io
from importlib.metadata import version
from pathlib import Path

import numpy as np
from PIL import Image

from raytune_planes.errors import UserError
from raytune_planes.tracking import files, reading
from raytune_planes.tracking.gains import best_of
from raytune_planes.tracking.mlflow_model import LoggedModel
from raytune_planes.tracking.mlflow_registry import MODEL, register_champion

REQUIRED = ("torch", "numpy", "scipy", "pillow", "pydantic", "pyyaml", "pandas")
PACKAGE = Path(__file__).resolve().parents[1]


def register(folder: Path, uri: str | None = None, experiment: str | None = None) -> str:
    """Register the best trial of the study in ``folder``; returns a message.

    Raises:
        UserError: no complete trial keeps every floor, or its weights are gone.
    """
    study = reading.read_study(folder)
    best = best_of(study)
    epoch = best.best(study.start.goal) if best else None
    if best is None or epoch is None or not study.start.goal.feasible(epoch.metrics):
        raise UserError("no complete trial keeps every floor, so none becomes the champion")
    weights = files.trial_folder(folder, best.number, best.trial_id) / files.WEIGHTS
    model = LoggedModel(
        loader="raytune_planes.serving:serve",
        artifacts={"checkpoint": weights},
        input_example=_example(list(study.start.data)),
        output_example=None,  # answers differ in what applies to their picture, so no schema holds them
        requirements=[f"{name}=={version(name)}" for name in REQUIRED],
        code=[PACKAGE],
    )
    mine, champion = register_champion(folder, model, uri, experiment)
    kind = ", a model of SYNTHETIC pictures" if study.start.synthetic else ""
    if mine == champion:
        return f"models:/{MODEL}@champion (version {mine}{kind})"
    return f"models:/{MODEL}/{mine}{kind}; @champion stays version {champion}, which scored higher on the same data"


def _example(datasets: list[str]):  # type: ignore[no-untyped-def]  # a pandas.DataFrame
    import pandas

    grey = io.BytesIO()
    Image.fromarray(np.full((32, 32, 3), 128, np.uint8)).save(grey, "PNG")
    return pandas.DataFrame({"dataset": datasets, "image": [grey.getvalue()] * len(datasets)})
