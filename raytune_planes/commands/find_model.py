"""The model that a person names: a checkpoint, a study, an ensemble, or an address of MLflow's."""

from __future__ import annotations

from pathlib import Path

from raytune_planes.errors import UserError
from raytune_planes.paths import local, there
from raytune_planes.serving import ensemble
from raytune_planes.serving.ensemble import Ensemble
from raytune_planes.serving.predictor import Model, Predictor, require
from raytune_planes.tracking import files, reading
from raytune_planes.tracking.final import handed_over
from raytune_planes.tracking.gains import best_of
from raytune_planes.tracking.keeping import refuse_freed

IN_MLFLOW = ("runs:/", "models:/")
"""How an address of a model in MLflow begins."""


def find_model(name: str, out: Path, tracking_uri: str | None = None, device: str = "auto") -> Model:
    """Load the model ``name``.

    Args:
        name: a ``best.pt`` or the folder of one, the name or folder of a study (what it hands over: its
            training at the long budget, else its best trial), the folder of an ensemble, ``runs:/...`` or
            ``models:/...``.
        out: folder of the studies.
        device: where it computes; members of an ensemble choose theirs.
        tracking_uri: MLflow's store; when None that of ``MLFLOW_TRACKING_URI``, else the one in ``out``.

    Raises:
        UserError: there is no such model, or it was removed as one that its study no longer needs.
    """
    if name.startswith(IN_MLFLOW):
        from raytune_planes.tracking.mlflow_model import fetch
        from raytune_planes.tracking.mlflow_place import MlflowPlace

        return Predictor.load(fetch(name, MlflowPlace.of(out, tracking_uri).uri, files.WEIGHTS), device)
    for path in (local(name), out / name):
        refuse_freed(path.parent if path.name == files.WEIGHTS else path)
    path = next((path for path in (local(name), out / name) if there(path)), Path())
    if path.is_file():
        return Predictor.load(path, device)
    if (path / files.WEIGHTS).is_file():
        return Predictor.load(path / files.WEIGHTS, device)
    if (path / ensemble.FILE).is_file():
        return Ensemble.load(path)
    if (path / files.STUDY).is_file():
        return Predictor.load(_best_of_study(path), device)
    raise UserError(
        f"no model '{name}'; give a best.pt, a study or its folder, runs:/ID or models:/NAME@champion "
        f"(studies are looked for in {out}; --studies names another folder)"
    )


def one_head(model: Model, named: str, dataset: str | None, use: str, why: str) -> tuple[Predictor, str]:
    """A single model, and the dataset whose head is meant: ``dataset``, or the only one.

    Args:
        named: the model, as the person named it.
        use: what is done with it, and ``why`` that takes one head, for messages.

    Raises:
        UserError: it is an ensemble, has several heads of which none is chosen, or none of that dataset.
    """
    if not isinstance(model, Predictor):
        raise UserError(f"'{named}' is an ensemble, which is several models; {use} one of its members")
    if dataset is None and len(model.infos) > 1:
        raise UserError(f"{why}: choose one of {', '.join(model.infos)} with --dataset")
    dataset = dataset or next(iter(model.infos))
    require(dataset, model.infos)
    return model, dataset


def _best_of_study(folder: Path) -> Path:
    study = reading.read_study(folder)
    if (handed := handed_over(study)) is not None:
        return handed.weights
    best = best_of(study)
    if best is None:
        raise UserError(f"no trial of the study in {folder} is complete; give the best.pt of one of its trials")
    return files.trial_folder(folder, best.number, best.trial_id) / files.WEIGHTS
