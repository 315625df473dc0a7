"""The section of a report about all trials: their table, and the figures over them."""

from __future__ import annotations

from raytune_planes.printing import counted
from raytune_planes.report import search, switches, varied
from raytune_planes.report.figure import Figure, Missing, Section
from raytune_planes.report.search import Importance
from raytune_planes.report.trials import trials_table
from raytune_planes.tracking.reading import StudyFiles

OF_EPOCHS = (
    "Values and floors of a trial are those of its best epoch; the reason of a pruned trial names the epoch after "
    "which it was judged."
)
OF_FOLDS = (
    "Values and floors of a trial are means over the folds that it has trained; the reason of a pruned trial names the "
    "fold after which it was judged."
)


def search_section(study: StudyFiles, importance: Importance | Missing) -> Section:
    """What the study found: every trial, and the figures over all of them."""
    floors = bool(study.start.goal.floors)
    more = "Filled marks keep every floor. " if floors else ""
    which = "complete trials that keep every floor" if floors else "complete trials"
    lines, cuts = varied.parallel(study), varied.slices(study)
    spans = search.timeline(study)
    figures = [
        Figure("history", "Every trial, and the best so far", more + f"The line counts {which}; crosses at the "
               "bottom are trials without a result.", search.history(study)),
        Figure("front", "Pareto front", more + ("Dotted: floors. " if floors else "") +
               "Right and up is better.", search.front(study)),
        Figure("importance", "Importance of settings, by dataset", "Share of the variance that fANOVA attributes to "
               "each setting; pruned trials count with the best value that they reached.", importance),
        Figure("slices", "Gain of each setting", "One dot a trial; each dataset by the metric that it is judged by."
               + _left_out(cuts, "setting"), cuts),
        Figure("parallel", "Settings of every trial", "Darker is better, the thick line is the best trial; a line "
               "has a dot on each axis whose setting was drawn." + _left_out(lines, "setting"), lines),
        Figure("timeline", "When trials ran and how they ended", "Each dash is an epoch; squares mark datasets that "
               "begin to rest, triangles those that wake." + _left_out(spans, "earlier trial"), spans),
    ]  # fmt: skip
    what = OF_FOLDS if any(e.fold for t in study.trials for e in t.epochs[:1]) else OF_EPOCHS
    table = [trials_table(study)] if study.trials else []
    effects = switches.tables(study)
    text = [*([what] if table else []), *([switches.METHOD] if effects else [])]
    return Section("Search", text, [*table, *effects], figures)


def _left_out(numbers: object, what: str) -> str:
    count = getattr(numbers, "left_out", 0)
    return f" {counted(count, what)} left out." if count else ""
