"""How much disk the checkpoints of a study take at most, and its refusal before the start where there is less."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from raytune_planes.config import TrialConfig
from raytune_planes.datasets.base import Info
from raytune_planes.errors import UserError
from raytune_planes.invocation import command
from raytune_planes.paths import bytes_below
from raytune_planes.preparation.prompts import prompts_key
from raytune_planes.printing import counted, size_text
from raytune_planes.settings import unstaged
from raytune_planes.space import StudySettings
from raytune_planes.tracking.files import LAST, SHARED, WEIGHTS
from raytune_planes.training.size import Size, largest
from raytune_planes.tuning.entries import open_entries
from raytune_planes.tuning.plan import StudyPlan, common_stages

CHECKPOINTS = (LAST, WEIGHTS)


@dataclass(frozen=True)
class Need:
    """The checkpoints of a study, when it needs most: all that it keeps are there and trials run."""

    size: Size
    trials: int
    """That keep their weights: the best and the defaults."""
    others: int
    """More files of weights: datasets trained alone, common stages, final trainings, and the version in the registry of
    MLflow. Of trials it keeps links."""
    at_once: int
    """Trials that run; each writes a ``last.pt`` beside the one before."""
    paused: int
    """Trials that may wait at rungs at once, each with its weights and its state."""
    has_front: bool
    """The weights of the Pareto front are kept as well, and nobody knows how many that are."""

    @property
    def bytes(self) -> int:
        weights = self.trials + self.others + self.at_once + self.paused
        return weights * self.size.weights + (2 * self.at_once + self.paused) * self.size.state

    def in_words(self) -> str:
        more = ", and the Pareto front on top" if self.has_front else ""
        paused = f", up to {counted(self.paused, 'trial')} that wait (rungs.rule = promote)" if self.paused else ""
        return (
            f"{size_text(self.bytes)} of checkpoints: the weights ({size_text(self.size.weights)}) of "
            f"{counted(self.trials, 'trial')}{more}, {self.others} more of them{paused}, and "
            f"{counted(self.at_once, 'trial')} at once, each with a state of {size_text(self.size.state)}"
        )


def need(
    settings: StudySettings, size: Size, *, at_once: int, objectives: int, references: int, stages: int, final: bool
) -> Need:
    """What a study of these ``settings`` needs.

    Args:
        size: Of the largest checkpoints that it may write.
        references: How many datasets are trained alone.
        stages: How many leading stages are the same in all trials.
        final: Whether the best trial and the defaults are trained again at its end.
    """
    others = references + stages + 2 * final + 1
    at_once = min(at_once, settings.trials)
    kept = min(settings.trials, settings.keep + 1)
    return Need(
        size, kept, others, at_once, max(0, settings.trials - kept) if settings.rungs.promotes else 0, objectives > 1
    )


def need_of(plan: StudyPlan, at_once: int) -> Need:
    """What ``plan`` needs with so many trials at once."""
    first = plan.config(plan.space.first())
    infos: dict[str, Info] = {}
    for _, stage in first.staged:
        infos |= {name: a.info for name, a in open_entries(plan.material.entries, stage, plan.material.folder).items()}
    width = next(iter(plan.material.prompts[prompts_key(first)].values())).shape[1]
    return need(
        plan.settings,
        largest(_models(plan, first), infos, width),
        at_once=at_once,
        objectives=len(plan.space.goal.objectives),
        references=len(first.active) if plan.references and len(first.active) > 1 and not first.plan else 0,
        stages=common_stages(plan.space) if plan.settings.fork else 0,
        final=bool(plan.final),
    )


def refuse_small_disk(needed: Need, folder: Path) -> None:
    """Raises UserError where the disk of the study's ``folder`` has no room for what it needs beyond what it has."""
    there = next(each for each in (folder.resolve(), *folder.resolve().parents) if each.is_dir())
    free, mine = shutil.disk_usage(there).free, bytes_below(folder, CHECKPOINTS)
    shared = min(bytes_below(folder.parent / SHARED, CHECKPOINTS), needed.others * needed.size.weights)
    if needed.bytes <= free + mine + shared:
        return
    raise UserError(
        f"the disk of {there} is too small for this study: {size_text(free)} are free, and it takes up to "
        f"{needed.in_words()}. Keep fewer (--keep 1), run fewer at once (--concurrent 1), choose a smaller model or "
        f"another disk with --out, or free some space ('{command('prune STUDY')}' removes what older studies no longer "
        "need)"
    )


def _models(plan: StudyPlan, first: TrialConfig) -> Iterator[TrialConfig]:
    """The configuration of trial 0, and it with each value that a setting of the model may get."""
    yield first
    for dimension in plan.space.search:
        if unstaged(dimension.path).startswith("model."):
            for value in dimension.values():
                with suppress(UserError):  # it needs another setting beside it
                    yield plan.config({**plan.space.first(), dimension.path: value})
