"""Put a study's best model into MLflow's registry, with an example of what it answers."""

from __future__ import annotations

import io
from importlib.metadata import version
from pathlib import Path

import numpy as np
from PIL import Image

from raytune_planes.errors import UserError
from raytune_planes.serving import serve
from raytune_planes.tracking import files, reading
from raytune_planes.tracking.gains import best_of
from raytune_planes.tracking.mlflow_model import register_champion

REQUIRED = ("torch", "numpy", "pillow", "pydantic", "pyyaml", "pandas")
PACKAGE = Path(__file__).resolve().parents[1]


def register(folder: Path, uri: str) -> str:
    """Register the best trial of the study in ``folder``; returns the version in the registry.

    Raises:
        UserError: there is no complete trial, or its weights are gone.
    """
    study = reading.read_study(folder)
    best = best_of(study)
    if best is None:
        raise UserError(f"study {study.start.name} has no complete trial, so there is no model to register")
    weights = files.trial_folder(folder, best.number, best.trial_id) / "best.pt"
    example = _example(list(study.start.data))
    return register_champion(
        folder,
        uri,
        loader="raytune_planes.serving:serve",
        artifacts={"checkpoint": weights},
        input_example=example,
        output_example=serve({"checkpoint": str(weights)})(example),
        requirements=[f"{name}=={version(name)}" for name in REQUIRED],
        code=[PACKAGE],
    )


def _example(datasets: list[str]):  # type: ignore[no-untyped-def]  # a pandas.DataFrame
    import pandas

    grey = io.BytesIO()
    Image.fromarray(np.full((32, 32, 3), 128, np.uint8)).save(grey, "PNG")
    return pandas.DataFrame({"dataset": datasets, "image": [grey.getvalue()] * len(datasets)})
