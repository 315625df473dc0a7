"""What a result cost, in words."""

from __future__ import annotations

import math

from raytune_planes.printing import counted
from raytune_planes.records import TrialRecord
from raytune_planes.tracking.reading import StudyFiles

MINUTE_S, HOUR_S = 60.0, 3600.0


def trained_for(trial: TrialRecord) -> float:
    """Seconds of wall-clock time of all epochs of the trial."""
    return math.fsum(epoch.seconds for epoch in trial.epochs)


def time_text(seconds: float) -> str:
    """``41 s``, ``12 min``, ``3.5 h``: with as much of it as tells two apart."""
    if seconds < 2 * MINUTE_S:
        return f"{seconds:.0f} s"
    return f"{seconds / MINUTE_S:.0f} min" if seconds < 2 * HOUR_S else f"{seconds / HOUR_S:.1f} h"


def cost_in_words(study: StudyFiles, best: TrialRecord) -> str:
    """What the best trial's training took, and what those of the whole study took, one after the other.

    Of a trial that began with another's weights, its own part.
    """
    own = best.epochs[-1].samples - best.epochs[0].began if best.epochs else 0
    alone = f"Trial {best.number} trained for {time_text(trained_for(best))} on {counted(own, 'sample')}"
    trained = [trial for trial in study.trials if trial.epochs]
    together = time_text(math.fsum(map(trained_for, trained)))
    return f"{alone}; {counted(len(trained), 'trial')} of the study trained for {together} in all."
