"""Whether an earlier study says anything about a new one, and how much: by goal, data, dimensions and settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from raytune_planes.records import Goal, TrialRecord
from raytune_planes.settings import Value
from raytune_planes.space import Space
from raytune_planes.tracking.base import DataDescription

LEAST_TRIALS = 4
"""Of an earlier study, with a result: the order of fewer says little."""
OTHER_FILES = 0.6
"""How much a dataset of the same name says whose files are other ones, of equal number."""
OTHER_KIND = 0.5
"""Less again where one of the two is synthetic."""
OTHER_SETTING = 0.97
"""Factor for each setting outside of both searches that differs."""
LEAST_WEIGHT = 0.05
IGNORED = ("seed", "devices.")
"""Beginnings of settings that do not decide which others are good."""
EQUAL = ("plan", "split.kind", "freeze")
"""Trials are compared only where these are equal: what they train and measure is not the same otherwise."""


@dataclass(frozen=True)
class Present:
    """The study that is about to begin."""

    space: Space
    data: Mapping[str, DataDescription]
    config: Mapping[str, Value]
    """Every setting of the defaults' trial."""
    trials: int
    """How many it may have."""


def weigh(
    present: Present, data: Mapping[str, DataDescription], trials: Sequence[TrialRecord], ranked: int, goal: Goal
) -> tuple[float, str]:
    """How much a study resembles the present one, in [0, 1], and where it is 0, why.

    The product of the shares of objectives and of dimensions that it has in common, the likeness of its data, and a
    factor for each further setting that differs.

    Args:
        data: of the earlier study.
        trials: its trials.
        ranked: how many of them have a result.
        goal: the present one, as far as it measured that.
    """
    wanted = present.space.goal.objectives
    theirs: Mapping[str, Value] = trials[0].config if trials else {}
    for path in EQUAL if trials else ():
        if theirs.get(path) != present.config.get(path):
            return 0.0, f"its {path} is {theirs.get(path)!r}, not {present.config.get(path)!r}"
    if not goal.objectives and any(t.end.is_complete for t in trials):
        return 0.0, f"it did not measure {', '.join(o.metric for o in wanted)}"
    if ranked < LEAST_TRIALS:
        return 0.0, f"it has {ranked} trials with a result, and {LEAST_TRIALS} are needed"
    drawn = {path for trial in trials for path in trial.drawn}
    paths = [d.path for d in present.space.search]
    shared = [path for path in paths if path in drawn]
    if not shared:
        return 0.0, "it varied none of the settings that this one varies"
    weight = len(goal.objectives) / len(wanted) * len(shared) / len(paths) * _of_data(present.data, data)
    weight *= OTHER_SETTING ** _differing(present.config, theirs, {*drawn, *paths})
    return (weight, "") if weight >= LEAST_WEIGHT else (0.0, f"it resembles this one too little (weight {weight:.2f})")


def is_same_data(mine: Mapping[str, DataDescription], theirs: Mapping[str, DataDescription]) -> bool:
    return {n: d.fingerprint for n, d in mine.items()} == {n: d.fingerprint for n, d in theirs.items()}


def _of_data(mine: Mapping[str, DataDescription], theirs: Mapping[str, DataDescription]) -> float:
    names = {*mine, *theirs}
    likeness = [_of_dataset(mine[n], theirs[n]) if n in mine and n in theirs else 0.0 for n in names]
    return sum(likeness) / len(names) if names else 0.0


def _of_dataset(mine: DataDescription, theirs: DataDescription) -> float:
    if mine.fingerprint == theirs.fingerprint:
        return 1.0
    counts = sorted(max(1, d.counts.get("train", 0)) for d in (mine, theirs))
    return OTHER_FILES * (counts[0] / counts[1]) ** 0.25 * (1.0 if mine.synthetic == theirs.synthetic else OTHER_KIND)


def _differing(mine: Mapping[str, Value], theirs: Mapping[str, Value], searched: set[str]) -> int:
    return sum(
        mine[path] != theirs[path]
        for path in mine.keys() & theirs.keys()
        if path not in searched and not path.startswith(IGNORED) and not path.endswith((".root", ".teacher", "start"))
    )
