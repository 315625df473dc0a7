"""Numbers to ink: the only place that knows matplotlib, which is imported when the first figure is drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from raytune_planes.report import compare, data_curve, embeddings, varied
from raytune_planes.report import data as looked
from raytune_planes.report import overfitting as fitted
from raytune_planes.report import predictions as said
from raytune_planes.report import regions as rests
from raytune_planes.report import search as found
from raytune_planes.report import training as trained
from raytune_planes.report.drawing import data, insight, overfitting, predictions, results, search, style, training
from raytune_planes.report.figure import Figure, Missing

DRAW: Mapping[type, Callable[[Any], Any]] = {
    trained.Counts: training.counts,
    trained.Curves: training.accuracy,
    trained.Boxes: training.losses,
    trained.Correlation: training.correlation,
    trained.Scatter: training.scatter,
    trained.Histogram: training.contrastive,
    found.History: results.history,
    found.Front: results.front,
    found.Timeline: search.timeline,
    found.Importance: search.importance,
    fitted.Gaps: overfitting.gaps,
    data_curve.Curve: overfitting.shares,
    varied.Lines: search.parallel,
    varied.Slices: search.slices,
    compare.Comparison: search.comparison,
    said.Confusion: predictions.confusion,
    said.WorstPairs: predictions.worst_pairs,
    said.Masks: predictions.masks,
    said.Examples: predictions.examples,
    rests.Regions: insight.regions,
    embeddings.Map: insight.embeddings,
    looked.ClassCounts: data.classes,
    looked.Light: data.light,
    looked.BoxCounts: data.boxes,
    looked.CopyPairs: data.copies,
    looked.Sheet: data.sheet,
}
"""Numbers -> the function that draws them. Numbers of a task's own figure may draw themselves."""
SUFFIXES = (".png", ".svg")
NOTE = "SYNTHETIC DATA"


def save(figure: Figure, folder: Path, *, synthetic: bool = False) -> tuple[Path, ...]:
    """Draw ``figure`` into ``folder`` as PNG and SVG; nothing when its numbers are missing.

    The same numbers give the same bytes.
    """
    if isinstance(figure.numbers, Missing):
        return ()
    import matplotlib

    paths = tuple(folder / f"{figure.name}{suffix}" for suffix in SUFFIXES)
    with matplotlib.rc_context(style.LOOK):  # type: ignore[arg-type]  # it wants the literal names of all its settings
        draw = DRAW.get(type(figure.numbers))
        drawn = draw(figure.numbers) if draw else figure.numbers.draw()
        note = f"   [{NOTE}]" if synthetic else ""
        drawn.suptitle(style.title(figure.title + note), x=0.01, ha="left", **style.TITLE)
        png, svg = paths
        drawn.savefig(png)
        drawn.set_layout_engine(None)  # the layout stays: finding it again would take a third of the time
        drawn.savefig(svg, metadata={"Date": None})
    return paths
