"""By what the trials of a study are pruned: at equal numbers of samples, or of folds, before their last epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from raytune_planes.records import EpochRecord, TrialRecord, stage_names
from raytune_planes.settings import epochs_in_all, value_of
from raytune_planes.tuning.plan import StudyPlan
from raytune_planes.tuning.promoting import PromotingRungs
from raytune_planes.tuning.rungs import Rungs, Verdict


class FoldRungs(Rungs):
    """Judges trials that train on every fold where a fold ends, by the mean over their folds so far.

    The rungs are numbers of folds. All trials have the same folds in the same order, so that those of a rung are
    compared on the same validation pictures. Each fold is a whole training, whose floors hold as they are: no slope
    is projected.
    """

    PLACED = "after fold {epoch.fold}: {place} by the mean of the folds so far"

    def judge(self, number: int, epoch: EpochRecord, *, final: bool = False) -> Verdict:
        """As ``Rungs.judge``; an epoch within a fold says again what is known."""
        if not epoch.result:
            return self.stopped(number)
        return super().judge(number, replace(epoch, samples=epoch.fold), final=final)


def rungs_of(plan: StudyPlan, earlier: Sequence[TrialRecord]) -> Rungs | None:
    """The rungs of a study, as the trials of its earlier runs left them; None where it does not prune."""
    settings, goal, first = plan.settings.rungs, plan.space.goal, plan.config(plan.space.first())
    if not settings.enabled:
        return None
    rungs: Rungs
    spared = plan.learnt.numbers  # what earlier studies name is tried for longer than one short rung
    if first.split.kind == "kfold":
        folds = first.split.folds
        floors: Literal["ignore", "strict"] = "ignore" if settings.floors == "ignore" else "strict"
        grace = _share(settings.grace, folds)
        rungs = FoldRungs(goal, grace, settings.reduction, budget=folds, floors=floors, spared=spared)
    else:
        samples = first.samples
        grace = _share(settings.grace, samples)
        kind = PromotingRungs if settings.rule == "promote" else Rungs
        rungs = kind(goal, grace, settings.reduction, budget=samples, floors=settings.floors, spared=spared)
    rungs.replay(earlier)
    return rungs


def is_final(record: TrialRecord) -> bool:
    """Whether the last epoch ends the trial anyway."""
    last = record.epochs[-1]
    if last.fold:
        return bool(last.result) and last.fold == record.config["split.folds"]
    prefix = f"stages.{last.stage}." if last.stage else ""
    switches = [k for k in record.config if k.startswith("datasets.") and k.endswith(".enabled")]
    enabled = [k for k in switches if value_of(record.config, prefix + k)]
    is_last = last.stage == "".join(stage_names(record.config["plan"])[-1:])
    return last.epoch >= epochs_in_all(record.config) or (is_last and len(last.resting) >= len(enabled))


def _share(grace: float, budget: int) -> int:
    return max(1, round(grace * budget))
