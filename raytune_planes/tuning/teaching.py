"""Which specialists the trials of a study learn from: its references, where no setting names others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from raytune_planes.errors import UserError
from raytune_planes.settings import Value, overlaid, unstaged
from raytune_planes.space import Space
from raytune_planes.tasks import TASKS
from raytune_planes.tracking.files import SHARED, WEIGHTS
from raytune_planes.training import checkpoint
from raytune_planes.tuning.alone import alone, folder_name
from raytune_planes.tuning.plan import StudyPlan
from raytune_planes.tuning.trial import Task

WEIGHTS_OF_TAUGHT = tuple(task.weight for task in TASKS.values() if task.taught)
"""Settings that are above 0 where a training learns from specialists."""


def with_teachers(plan: StudyPlan) -> StudyPlan:
    """The plan in whose trials every dataset has a specialist, if one of them can learn from any.

    Raises:
        UserError: a dataset has none, and is not trained alone either; one that a setting names cannot be read; or
            trials are trained on every fold.
    """
    if not _can_learn(plan.space):
        return plan
    first = plan.space.first()
    config = plan.config(first)
    if config.split.kind == "kfold":
        raise UserError(
            f"{WEIGHTS_OF_TAUGHT[0]} can be above 0, and split.kind = kfold validates on every picture, so each "
            f"specialist has seen what is validated; choose another split.kind, or set {WEIGHTS_OF_TAUGHT[0]}=0"
        )
    for name, dataset in config.active.items():
        if dataset.teacher:  # else each trial would find out for itself
            try:
                checkpoint.load(Path(dataset.teacher))
            except UserError as error:
                raise UserError(f"datasets.{name}.teacher: {error}") from None
    missing = [name for name, dataset in config.active.items() if not dataset.teacher and dataset.share > 0]
    if not missing:
        return plan
    if why := _why_no_references(plan, len(config.active), config.plan):
        raise UserError(
            f"{WEIGHTS_OF_TAUGHT[0]} can be above 0, so trials learn from a specialist of each dataset, and "
            f"{', '.join(missing)} {'has' if len(missing) == 1 else 'have'} none: {why}. Name a best.pt with "
            f"datasets.{missing[0]}.teacher, or set {WEIGHTS_OF_TAUGHT[0]}=0"
        )
    task = Task(plan.layers, plan.material.entries, {}, plan.space.goal, "", plan.material.folder)
    data = plan.material.data
    places = {n: plan.out / SHARED / folder_name(n, alone(task, first, n), data[n].fingerprint) for n in missing}
    return replace(plan, teachers={f"datasets.{n}.teacher": str(place / WEIGHTS) for n, place in places.items()})


def learns_first(plan: StudyPlan) -> bool:
    """Whether trial 0 itself learns from references, so that it starts after them."""
    return bool(plan.teachers) and _is_above_0(overlaid(plan.space.fixed, plan.space.start, plan.space.first()))


def _can_learn(space: Space) -> bool:
    searched = [d for d in space.search if unstaged(d.path) in WEIGHTS_OF_TAUGHT]
    return _is_above_0(overlaid(space.fixed, space.start)) or any(v > 0 for d in searched for v in d.values())


def _is_above_0(flat: Mapping[str, Value]) -> bool:
    return any(bool(value) for path, value in flat.items() if unstaged(path) in WEIGHTS_OF_TAUGHT)


def _why_no_references(plan: StudyPlan, datasets: int, stages: str) -> str:
    if not plan.references:
        return "--no-references leaves out what would be trained alone"
    if stages:
        return "a space with a plan of stages trains no dataset alone"
    return "a single dataset is not trained alone" if datasets < 2 else ""
