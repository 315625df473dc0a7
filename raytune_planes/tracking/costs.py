"""What a result cost, in words."""

from __future__ import annotations

import math

from raytune_planes.printing import counted, time_text
from raytune_planes.records import TrialRecord
from raytune_planes.tracking.reading import StudyFiles


def trained_for(trial: TrialRecord) -> float:
    """Seconds of wall-clock time of all epochs of the trial."""
    return math.fsum(epoch.seconds for epoch in trial.epochs)


def cost_in_words(study: StudyFiles, best: TrialRecord) -> str:
    """What the best trial's training took, and what those of the whole study took, one after the other.

    Of a trial that began with another's weights, its own part.
    """
    alone = f"Trial {best.number} trained for {time_text(trained_for(best))} on {counted(best.trained, 'sample')}"
    trained = [trial for trial in study.trials if trial.epochs]
    together = time_text(math.fsum(map(trained_for, trained)))
    return f"{alone}; {counted(len(trained), 'trial')} of the study trained for {together} in all."
