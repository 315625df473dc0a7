"""What a study took over from earlier ones, and what that brought, in words and as values."""

from __future__ import annotations

from typing import Any

from raytune_planes.records import TrialRecord, best_trial
from raytune_planes.report.formatting import shown
from raytune_planes.tracking.gains import best_of, defaults_trial
from raytune_planes.tracking.reading import StudyFiles


def learnt_lines(study: StudyFiles) -> list[str]:
    """For a terminal and the report; empty where the study took over nothing."""
    learnt = study.start.learnt
    if not learnt.portfolio:
        return []
    best = _best_of_portfolio(study)
    if best is None:
        return [f"learnt from earlier studies: {learnt.in_words}", "none of these trials is complete"]
    lesson = learnt.portfolio[best.number - learnt.first]
    after = f"trial {best.number} (as trial {lesson.trial} of {lesson.study})"
    told = f"the best of these, {after}, scored {_score(study, best)}"
    others = [("the defaults", defaults_trial(study)), ("the best trial of all", best_of(study))]
    compared = ", ".join(f"{name} {_score(study, t)}" for name, t in others if t)
    return [f"learnt from earlier studies: {learnt.in_words}", f"{told}; {compared}" if compared else told]


def learnt_json(study: StudyFiles) -> dict[str, Any] | None:
    """The same as values."""
    learnt = study.start.learnt
    if not learnt.portfolio:
        return None
    best = _best_of_portfolio(study)
    lessons = zip(learnt.numbers, learnt.portfolio, strict=True)
    return {
        "from": [{"study": s.study, "weight": s.weight, "trials": s.trials} for s in learnt.sources],
        "trials": {str(number): {"study": x.study, "trial": x.trial} for number, x in lessons},
        "packaged": learnt.packaged,
        "best_of_them": best.number if best else None,
    }


def _best_of_portfolio(study: StudyFiles) -> TrialRecord | None:
    return best_trial((t for t in study.trials if t.number in study.start.learnt.numbers), study.start.goal)


def _score(study: StudyFiles, trial: TrialRecord) -> str:
    epoch = trial.best(study.start.goal)
    return shown(study.start.goal.value(epoch.metrics)) if epoch else "-"
