"""Configurations of one space as rows of numbers, and the values of another space's trials brought into this one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from raytune_planes.settings import Value
from raytune_planes.space import Dimension, Space

ABSENT = -1.0
"""Stands for a setting that a configuration does not have; those that it has are in [0, 1]."""


def fitted(space: Space, drawn: Mapping[str, Value]) -> dict[str, Value]:
    """What ``drawn``, of another study, says of the dimensions of ``space``.

    A number outside of a range is moved to its nearer end, and to the nearest step. A value that is not among the
    choices is left out, as is a dimension that ``drawn`` lacks or whose condition does not hold: the sampler draws it.
    """
    values: dict[str, Value] = {}
    for dimension in space.search:
        if dimension.path in drawn and dimension.is_drawn(values):
            value = _inside(dimension, drawn[dimension.path])
            if value is not None and dimension.contains(value):
                values[dimension.path] = value
    return values


def rows(space: Space, configurations: Sequence[Mapping[str, Value]]) -> np.ndarray:
    """A row in [0, 1] for each configuration, [N, D]; ``ABSENT`` where it lacks a dimension."""
    return np.array(
        [[_place(d, values[d.path]) if d.path in values else ABSENT for d in space.search] for values in configurations]
    ).reshape(len(configurations), len(space.search))


def distances(space: Space, one_ND: np.ndarray, other_MD: np.ndarray) -> np.ndarray:
    """Mean difference over the dimensions, [N, M] in [0, 1]; two choices, or a value and none, differ by 1."""
    whole_D = np.array([d.kind == "choice" for d in space.search])
    gap_NMD = np.abs(one_ND[:, None] - other_MD[None])
    unlike_NMD = whole_D | (one_ND[:, None] == ABSENT) | (other_MD[None] == ABSENT)
    return np.asarray(np.where(unlike_NMD, gap_NMD > 0, gap_NMD).mean(-1))


def _inside(dimension: Dimension, value: Value) -> Value | None:
    if dimension.kind == "choice":
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    value = min(dimension.high, max(dimension.low, value))
    if dimension.step:
        value = min(dimension.high, dimension.low + dimension.step * round((value - dimension.low) / dimension.step))
    return round(value) if dimension.kind == "int" else float(value)


def _place(dimension: Dimension, value: Value) -> float:
    if dimension.kind == "choice":
        index = next(i for i, option in enumerate(dimension.choices) if option == value and type(option) is type(value))
        return index / max(1, len(dimension.choices) - 1)
    low, high, here = dimension.low, dimension.high, float(value)
    if dimension.log:
        low, high, here = math.log(low), math.log(high), math.log(here)
    return (here - low) / (high - low)
