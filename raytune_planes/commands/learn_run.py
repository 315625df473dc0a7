"""What the study of a command line takes over from earlier ones: read from their records, or from its own on resume."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from raytune_planes.learning import PACKAGED, Found, Present, collected, earlier_studies, learn
from raytune_planes.settings import flatten
from raytune_planes.tracking import files, reading
from raytune_planes.tracking.learnt import NOTHING, Learnt
from raytune_planes.tuning.plan import StudyPlan

TOLD = 3
"""Studies that are left out, as many as are named where nobody named them."""


def with_lessons(
    plan: StudyPlan, named: Sequence[str], say: Callable[[str], None], shipped: Path = PACKAGED
) -> StudyPlan:
    """The plan with what earlier studies say. A study that has begun keeps what it learnt then.

    Args:
        named: ``--learn-from``, as typed.
        shipped: file of the studies that count where nobody named any and none in ``plan.out`` resembles the new one.

    Raises:
        UserError: one of ``named`` is no study.
    """
    folder = files.study_folder(plan.out, plan.name)
    try:
        return replace(plan, learnt=reading.read_ends(folder)[0].learnt)
    except reading.DamagedFile:
        if reading.has_trials(folder):
            say(f"{folder / files.STUDY} is lost, and with it what the study took over from others: it goes on without")
            return plan
    found = earlier_studies(plan.out, named, but=plan.name)
    packaged = Found() if named else collected(shipped)
    learnt, unlike = _learn(plan, found, packaged)
    told = [*found.warnings, *packaged.warnings, *unlike]
    if not named and len(told) > TOLD:
        told = [*told[:TOLD], f"and {len(told) - TOLD} more are left out; name a study with --learn-from to see why"]
    for text in told:
        say(f"Earlier studies: {text}")
    if learnt.portfolio:
        say(f"Earlier studies: {learnt.in_words}; --learn-from none begins without them")
    return replace(plan, learnt=learnt)


def _learn(plan: StudyPlan, found: Found, packaged: Found) -> tuple[Learnt, tuple[str, ...]]:
    if not found.studies and not packaged.studies:
        return NOTHING, ()
    config = json.loads(json.dumps(flatten(plan.config(plan.space.first())), default=str))  # as records hold it
    present = Present(plan.space, plan.material.data, config, plan.settings.trials)
    return learn(present, found.studies, 1 + len(plan.start_from), packaged.studies)
