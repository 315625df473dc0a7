"""Searched settings of early stopping that can have no effect within the budget of a trial."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from raytune_planes.config import TrialConfig
from raytune_planes.printing import counted
from raytune_planes.settings import unstaged

OF_STOPPING = re.compile(r"stopping\.\w+|datasets\.(?P<dataset>[^.]+)\.stop\.\w+")


def is_of_stopping(path: str) -> bool:
    """Whether the setting decides when datasets rest."""
    return OF_STOPPING.fullmatch(unstaged(path)) is not None


def without_effect(searched: Iterable[str], configs: Iterable[TrialConfig]) -> Iterator[str]:
    """A sentence for each setting of early stopping among ``searched`` that no trial lives long enough to feel.

    Args:
        searched: The paths that a space varies.
        configs: Trials that it can draw.
    """
    can_rest: set[str] = set()
    plateaus: set[str] = set()
    last = first = 0
    for config in configs:
        for _, stage in config.staged:
            last = max(last, stage.budget.epochs)
            plateaus.add(stage.stopping.plateau)
            for name, dataset in stage.active.items():
                rest = dataset.stop.earliest_rest(stage.stopping.plateau, stage.budget.epochs)
                first = min(first or rest, rest)
                if stage.stopping.rule != "none" and rest < stage.budget.epochs:
                    can_rest.add(name)
    for path in searched:
        if path.endswith(".stop.confidence") and "evidence" not in plateaus:
            yield f"{path} is searched without effect: only stopping.plateau 'evidence' reads it, and no trial has that"
            continue
        of = OF_STOPPING.fullmatch(unstaged(path))
        if of and not ({of["dataset"]} & can_rest if of["dataset"] else can_rest):
            which = f"dataset '{of['dataset']}'" if of["dataset"] else "dataset"
            yield (
                f"{path} is searched without effect: no {which} can rest before the last of {counted(last, 'epoch')}"
                + (f" (at the earliest after epoch {first})" if not of["dataset"] else "")
                + "; raise budget.epochs (a smaller budget.steps_per_epoch keeps the samples), or lower "
                "datasets.<name>.stop.min_epochs and patience"
            )
