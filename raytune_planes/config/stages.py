"""The stages of a plan: each is the whole tree of settings with some of them changed."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from typing import Any

from raytune_planes.errors import did_you_mean
from raytune_planes.records import stage_names

KEPT = ("plan", "stages", "split", "devices")
"""What no stage may change: its pictures must stay on their side of the split, its process where it is."""
KEPT_OF_DATASETS = ("reader", "root", "clean", "classes", "values", "follow_links", "link_roots")


def check_stages(plan: str, stages: Mapping[str, Mapping[str, Any]]) -> None:
    """Raises ValueError where ``plan`` names no stage of ``stages``, or a stage changes what it must keep."""
    names = stage_names(plan)
    if len(set(names)) < len(names):
        raise ValueError(f"plan = {plan}: a stage is listed twice; give each its own name")
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
            raise ValueError(f"plan: '{name}' is not a valid stage name; use up to 64 letters, digits, - and _")
        if name not in stages:
            raise ValueError(
                f"plan: stage '{name}' has no setting{did_you_mean(name, stages)}; set what differs in it, "
                f"such as stages.{name}.budget.epochs: 5"
            )
    for path in (f"{name}.{path}" for name, changes in stages.items() for path in _paths(changes)):
        _, top, *rest = path.split(".")
        if top in KEPT or (top == "datasets" and set(rest[-1:]) & set(KEPT_OF_DATASETS)):
            raise ValueError(f"stages.{path} cannot change within a training; set it outside of the stages")


def stage_trees(tree: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and whole tree of settings of each stage that the plan of ``tree`` names, in order.

    A later stage does not take ``start`` from the rest of the tree, as it has weights, and draws with a seed of its
    own, so that it does not repeat the order and augmentation of the stage before.
    """
    for position, name in enumerate(stage_names(tree["plan"])):
        base = {**tree, "plan": "", "stages": {}}
        if position:
            base |= {"start": "", "seed": random.Random(f"{tree['seed']}/{name}").randrange(2**31)}
        yield name, _merged(base, tree["stages"][name])


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    deeper = {
        k: _merged(base[k], v) for k, v in changes.items() if isinstance(v, dict) and isinstance(base.get(k), dict)
    }
    return {**base, **changes, **deeper}


def _paths(changes: Mapping[str, Any]) -> Iterator[str]:
    for key, value in changes.items():
        yield from (f"{key}.{path}" for path in _paths(value)) if isinstance(value, dict) else (key,)
