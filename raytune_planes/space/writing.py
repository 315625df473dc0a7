"""A space as the YAML that ``load_space`` reads: what was really searched, after ``--set`` and ``--config``."""

from __future__ import annotations

from typing import Any

import yaml

from raytune_planes.space.dimension import Dimension, Space
from raytune_planes.space.file import FORMAT


def to_yaml(space: Space) -> str:
    """One document; ``load_space`` of it gives an equal space, but for the start values of ``--config``."""
    tree: dict[str, Any] = {
        "format": FORMAT,
        "about": space.about,
        "objectives": [{"metric": o.metric, "mode": o.mode} for o in space.goal.objectives],
        "floors": {**space.goal.floors, **{key: str(floor) for key, floor in space.goal.relative.items()}},
        "fixed": dict(space.fixed),
        "search": {d.path: _spec(d) for d in space.search},
        "study": space.study.model_dump(exclude_defaults=True),
    }
    return yaml.safe_dump({k: v for k, v in tree.items() if v}, sort_keys=False, width=120)


def _spec(dimension: Dimension) -> dict[str, Any]:
    if dimension.kind == "choice":
        spec: dict[str, Any] = {"choice": list(dimension.choices)}
    else:
        whole = int if dimension.kind == "int" else float
        spec = {dimension.kind: [whole(dimension.low), whole(dimension.high)]}
        spec |= {"log": True} if dimension.log else {}
        spec |= {"step": whole(dimension.step)} if dimension.step else {}
    when = {path: list(values) for path, values in dimension.when.items()}
    return spec | ({"when": when} if when else {})
