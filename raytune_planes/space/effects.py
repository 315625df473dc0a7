"""Searched settings of early stopping that can have no effect within the budget of a trial."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from raytune_planes.config import Stop, TrialConfig
from raytune_planes.settings import Value, flatten, make_config, nest, unstaged
from raytune_planes.space.dimension import Space
from raytune_planes.space.drawable import drawable

OF_STOPPING = re.compile(r"stopping\.\w+|datasets\.(?P<dataset>[^.]+)\.stop\.\w+")


def is_of_stopping(path: str) -> bool:
    """Whether the setting decides when datasets rest."""
    return OF_STOPPING.fullmatch(unstaged(path)) is not None


def earliest_rest(stop: Stop) -> int:
    """The first epoch after which a dataset may rest: the first one is always an improvement."""
    plateau = max(stop.min_epochs, 1 + stop.patience)
    return plateau if stop.target is None else min(plateau, stop.min_epochs)


def without_effect(space: Space) -> Iterator[str]:
    """A sentence for each searched setting of early stopping that no trial of the space lives long enough to feel."""
    searched = {d.path: of for d in space.search if (of := OF_STOPPING.fullmatch(unstaged(d.path)))}
    if not searched:
        return
    base = flatten(make_config(space.fixed, space.start))
    can_rest: set[str] = set()
    last = first = 0
    for config in _configs(base, space):
        for _, stage in config.staged:
            last = max(last, stage.budget.epochs)
            for name, dataset in stage.active.items():
                rest = earliest_rest(dataset.stop)
                first = min(first or rest, rest)
                if stage.stopping.rule != "none" and rest < stage.budget.epochs:
                    can_rest.add(name)
    for path, of in searched.items():
        if not ({of["dataset"]} & can_rest if of["dataset"] else can_rest):
            which = f"dataset '{of['dataset']}'" if of["dataset"] else "dataset"
            yield (
                f"{path} is searched without effect: no {which} can rest before the last of {last} epochs"
                + (f" (at the earliest after epoch {first})" if not of["dataset"] else "")
                + "; raise budget.epochs, or lower datasets.<name>.stop.min_epochs and patience"
            )


def _configs(base: Mapping[str, Value], space: Space) -> Iterator[TrialConfig]:
    return (TrialConfig.model_validate(nest({**base, **drawn})) for drawn in drawable(space))
