"""Draws a study's settings and times: when trials ran, what each setting gains, and two trials side by side."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from raytune_planes.records import Action
from raytune_planes.report.compare import Comparison
from raytune_planes.report.drawing.style import (
    ENDS,
    FAINT,
    INK,
    canvas,
    colour,
    ends_key,
    key_below,
    marker,
    metric_name,
    percent,
    short,
)
from raytune_planes.report.search import Importance, Timeline
from raytune_planes.report.varied import Axis, Lines, Slices

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def timeline(numbers: Timeline) -> Figure:
    figure, axes = canvas(1.9 + 0.26 * len(numbers.spans))
    for row, span in enumerate(numbers.spans):
        shade, sign = ENDS[span.end]
        axes.barh(row, max(span.stop - span.start, 0.005), left=span.start, color=shade, alpha=0.35, height=0.75)
        axes.vlines([e for e in span.epochs if e <= span.stop], row - 0.375, row + 0.375, color=shade, linewidth=0.8)
        axes.plot(span.stop, row, sign, color=shade, markersize=8)
        for at, dataset, action in span.changes:
            rests = action is Action.REST
            axes.plot(at, row, "s" if rests else "^", color=colour(dataset), markeredgecolor="white", markersize=9)
            axes.plot([], [], "s" if rests else "^", color=colour(dataset), label=f"{dataset} {action}s")
    axes.set_yticks(range(len(numbers.spans)), [f"{s.number}" for s in numbers.spans])
    axes.invert_yaxis()
    axes.grid(False, axis="y")
    axes.set_xlim(left=min(0, *(s.start for s in numbers.spans)) if not numbers.left_out else None)
    axes.set_ylabel("trial")
    axes.set_xlabel("minutes since the study began")
    ends_key(axes, [s.end for s in numbers.spans])
    key_below(figure, axes, 3)
    return figure


def importance(numbers: Importance) -> Figure:
    paths = {p: sum(s.get(p, 0.0) for s in numbers.shares.values()) for s in numbers.shares.values() for p in s}
    shown = sorted(paths, key=lambda p: -paths[p])[:12]
    figure, axes = canvas(1.8 + 0.42 * len(shown) * max(1, len(numbers.shares) / 2))
    deep = 0.8 / len(numbers.shares)
    for j, (key, shares) in enumerate(numbers.shares.items()):
        rows = [i + (j - (len(numbers.shares) - 1) / 2) * deep for i in range(len(shown))]
        dataset = key.split("/")[1]
        axes.barh(rows, [shares.get(p, 0.0) for p in shown], 0.9 * deep, color=colour(dataset), label=metric_name(key))
    axes.set_yticks(range(len(shown)), [short(p) for p in shown])
    axes.invert_yaxis()
    axes.grid(False, axis="y")
    percent(axes, "x")
    axes.set_xlabel(f"share of the variance over {numbers.trials} trials (fANOVA)")
    key_below(figure, axes, 2)
    return figure


def parallel(numbers: Lines) -> Figure:
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    figure, axes = canvas(5.4)
    values = [r.value for r, _ in numbers.lines]
    norm, ramp = Normalize(min(values), max(values)), colormaps["viridis_r"]
    for r, line in sorted(numbers.lines, key=lambda pair: pair[0].value):
        drawn = [(i, a.height(at)) for i, (a, at) in enumerate(zip(numbers.axes, line, strict=True)) if at == at]
        width = 3 if r.number == numbers.best else 1.4
        axes.plot(*zip(*drawn, strict=True), "o-", color=ramp(norm(r.value)), linewidth=width, markersize=4)
    for i, axis in enumerate(numbers.axes):
        axes.axvline(i, color=FAINT, linewidth=1)
        for height, text in _ends_of(axis):
            axes.text(i, height, text, ha="center", va="center", fontsize=9, bbox=_paper())
    axes.set_xticks(range(len(numbers.axes)), [short(a.path, 24) for a in numbers.axes], rotation=35, ha="right")
    axes.set_yticks([])
    axes.set_ylim(-0.08, 1.08)
    axes.grid(False)
    figure.colorbar(
        ScalarMappable(norm, ramp),
        ax=axes,
        label=numbers.label if len(numbers.label) < 45 else "mean of the objectives",
    )
    return figure


def slices(numbers: Slices) -> Figure:
    columns = 2 if len(numbers.axes) > 1 else 1
    rows = math.ceil(len(numbers.axes) / columns)
    figure, grid = canvas(0.9 + 2.2 * rows, rows=rows, columns=columns, squeeze=False, sharey=True)
    if len(numbers.axes) < grid.size:  # the last panel takes the place that would stay empty
        grid[-1, -1].remove()
        grid[-1, 0].set_subplotspec(grid[-1, 0].get_gridspec()[-1, :])
    for axes, axis in zip(grid.flat, numbers.axes, strict=False):
        for dataset, key in numbers.metrics.items():
            points = [(at, r.metrics[key]) for at, r in numbers.points[axis.path] if key in r.metrics]
            if points:
                axes.scatter(*zip(*points, strict=True), color=colour(dataset), marker=marker(dataset), s=26, alpha=0.8)
            axes.scatter([], [], color=colour(dataset), marker=marker(dataset), label=metric_name(key))
        if axis.log:
            _log_ticks(axes, axis)
        elif not axis.choices and axis.high > axis.low:
            edge = 0.05 * (axis.high - axis.low)
            axes.set_xlim(axis.low - edge, axis.high + edge)
            axes.xaxis.get_major_locator().set_params(integer=axis.whole)
        if axis.choices:
            axes.set_xticks(range(len(axis.choices)), axis.choices)
            axes.set_xlim(-0.4, len(axis.choices) - 0.6)
        axes.set_title(short(axis.path, 32), fontsize=11, weight="normal")
        percent(axes)
    key_below(figure, grid[0, 0])
    return figure


def comparison(numbers: Comparison) -> Figure:
    rows = len(numbers.curves)
    figure, grid = canvas(1.2 + 2.0 * rows, rows=rows, squeeze=False, sharex=True)
    for axes, (key, pair) in zip(grid[:, 0], numbers.curves.items(), strict=True):
        dataset = key.split("/")[1]
        for curve, kept, dashes in zip(pair, numbers.best, ("-", "--"), strict=True):
            if curve:
                axes.plot(*zip(*curve, strict=True), dashes, color=colour(dataset), marker=".")
            ring = [point for point in curve if point[0] == kept]
            axes.plot(*zip(*ring, strict=True), "o", ms=10, mfc="none", mec=INK) if ring else None
        axes.set_ylabel(metric_name(key))
        percent(axes)
    for label, dashes in zip(numbers.labels, ("-", "--"), strict=True):
        grid[0, 0].plot([], [], dashes, color=INK, label=label)
    grid[-1, 0].set_xlabel("training images seen")
    key_below(figure, grid[0, 0], 2)
    return figure


def _ends_of(axis: Axis) -> list[tuple[float, str]]:
    if axis.choices:
        return [(axis.height(i), text) for i, text in enumerate(axis.choices)]
    return [(-0.05, f"{axis.low:.3g}"), (1.05, f"{axis.high:.3g}")]


def _log_ticks(axes: Axes, axis: Axis) -> None:
    """Four round values: minor ticks of a logarithmic axis would run into each other in a small panel."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

    axes.set_xscale("log")
    axes.set_xlim(axis.low / 1.1, axis.high * 1.1)
    ratio = (axis.high / axis.low) ** (1 / 3)
    ticks = [float(f"{axis.low * ratio**i:.2g}") for i in range(4)]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _paper() -> dict[str, Any]:
    return {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.0}
