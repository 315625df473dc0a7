"""Put a study's best model into MLflow's registry, and make it the champion where no dataset loses by that."""

from __future__ import annotations

import io
from importlib.metadata import version as installed
from pathlib import Path

import numpy as np
from PIL import Image

from raytune_planes.errors import UserError
from raytune_planes.invocation import command, in_folder
from raytune_planes.report.confirmed import read_confirmed
from raytune_planes.report.standing import RESULTS, Standing, judge, standing
from raytune_planes.report.study_card import write_study_card
from raytune_planes.tracking import reading
from raytune_planes.tracking.final import handed_over, read_final
from raytune_planes.tracking.mlflow_model import LoggedModel
from raytune_planes.tracking.mlflow_place import MlflowPlace
from raytune_planes.tracking.mlflow_registry import CHAMPION, MODEL, champion, make_champion, register_version

REQUIRED = ("torch", "numpy", "scipy", "pillow", "pydantic", "pyyaml", "pandas")
PACKAGE = Path(__file__).resolve().parents[1]


def register(folder: Path, uri: str | None = None, experiment: str | None = None, *, promote: bool = False) -> str:
    """Register the model that the study in ``folder`` hands over: what held at the long budget, else the best trial.

    It becomes the champion where that is safe.

    Args:
        uri, experiment: As ``MlflowPlace.of`` takes them.
        promote: Make it the champion also where it cannot be compared with the present one, or is worse.

    Returns:
        A message of one line or more, with the numbers that were compared.

    Raises:
        UserError: nothing keeps every floor, or its weights are gone.
    """
    study = reading.read_study(folder)
    card = write_study_card(study)  # also where no store gets it
    handed = handed_over(study)
    if handed is None or card is None:
        final = read_final(study)
        raise UserError(final.verdict if final else "no complete trial keeps every floor, so none becomes the champion")
    weights, best, goal = handed.weights, handed.trial, handed.goal
    epoch = best.best(goal)
    assert epoch is not None, "what is handed over has a result"
    if not weights.is_file():
        raise UserError(f"the weights of trial {best.number} are gone: there is no {weights}")
    confirmed = {n: each for n, each in read_confirmed(folder).items() if each.epochs == handed.epochs}
    mine = standing(study.start, best, goal, confirmed)
    place = MlflowPlace.of(folder.parent, uri, experiment)
    model = _model(weights, card, list(study.start.data))
    version = register_version(folder, best, epoch.epoch, model, {RESULTS: mine.to_tag()}, place, mine.in_words())
    kind = ", a model of SYNTHETIC pictures" if study.start.synthetic else ""
    held, here = champion(place.uri), f"models:/{MODEL}@{CHAMPION} (version {version.number}{kind})"
    if held is None or held.number == version.number:
        make_champion(place.uri, version)
        return here
    judged = judge(mine, Standing.of_tags(held.tags), goal)
    if promote or judged.promoted:
        make_champion(place.uri, version)
        asked = "" if judged.promoted else " as asked, although"
        return "\n".join(
            [f"{here}, in place of version {held.number}{asked or ':'} {judged.reason}", *judged.as_lines()]
        )
    again = command(f"sync {study.start.name}{in_folder(folder.parent)} --promote")
    stays = f"models:/{MODEL}/{version.number}{kind}; @{CHAMPION} stays version {held.number}: {judged.reason}"
    return "\n".join([stays, *judged.as_lines(), f"  to make it the champion all the same: {again}"])


def _model(weights: Path, card: Path, datasets: list[str]) -> LoggedModel:
    return LoggedModel(
        loader="raytune_planes.serving:serve",
        artifacts={"checkpoint": weights, "card": card},
        input_example=_example(datasets),
        output_example=None,  # answers differ in what applies to their picture, so no schema holds them
        requirements=[f"{name}=={installed(name)}" for name in REQUIRED],
        code=[PACKAGE],
    )


def _example(datasets: list[str]):  # type: ignore[no-untyped-def]  # a pandas.DataFrame
    import pandas

    grey = io.BytesIO()
    Image.fromarray(np.full((32, 32, 3), 128, np.uint8)).save(grey, "PNG")
    return pandas.DataFrame({"dataset": datasets, "image": [grey.getvalue()] * len(datasets)})
