"""Whether the datasets, once read, measure every metric of a goal: else each trial would end without a result."""

from __future__ import annotations

from collections.abc import Mapping

from raytune_planes.datasets.info import Info
from raytune_planes.errors import listed
from raytune_planes.records import Goal, split_metric
from raytune_planes.tasks import TASKS, of_scenes

LEVEL = "_accuracy"
"""Ends the accuracy of the classes' parents: ``family_accuracy``, where the dataset's classes have families."""


def refuse_unmeasured(goal: Goal, infos: Mapping[str, Info]) -> None:
    """Refuse objectives and floors that these datasets do not measure.

    Args:
        infos: By dataset; a metric of any other dataset is not judged here.

    Raises:
        UserError: naming each metric, and what its dataset lacks.
    """
    problems = []
    for key in dict.fromkeys([*(o.metric for o in goal.objectives), *goal.floors, *goal.relative]):
        parts = split_metric(key)
        lacking = lacks(parts[2], infos[parts[1]]) if parts is not None and parts[1] in infos else ""
        if parts is not None and lacking:
            problems.append(f"'{key}' is never measured: dataset {parts[1]} has {lacking}; name another metric of it")
    if problems:
        raise listed(problems, "objectives and floors")


def lacks(name: str, info: Info) -> str:
    """What a dataset would need to have for the metric ``name``: "no masks"; empty where it measures that."""
    has = {"masks": info.has_masks, "boxes": info.has_boxes}
    needs = next((task.needs for task in TASKS.values() if name in task.measures), "")
    if needs and not has[needs]:
        return f"no {needs}"
    if name in of_scenes() and not info.tile:
        return "no scenes that are cut into tiles"
    if name == "top5" and not info.top_k:
        return f"too few classes ({len(info.classes)})"
    level = name.removesuffix(LEVEL)
    if level != name and level in ("family", "manufacturer") and level not in info.parents:
        return f"no classes of which the {level} is known"
    return ""
