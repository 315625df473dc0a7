"""Draws what trials came to: the course of their results, and the front."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import cycle
from typing import TYPE_CHECKING, Any

from raytune_planes.report.drawing.style import BEST, ENDS, INK, canvas, ends_key, key_below, metric_name, percent
from raytune_planes.report.search import Front, History, Panel, Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DASHES = (":", "--", "-.", (0, (1, 4)))
"""Of the floors in one figure, which all have the colour of the best trial."""


def history(numbers: History) -> Figure:
    figure, axes = canvas(4.6)
    order = range(1, len(numbers.results) + 1)
    if any(map(math.isfinite, numbers.best)):
        axes.step(order, numbers.best, where="post", color=INK, label="best so far")
    for at, r in zip(order, numbers.results, strict=True):
        _dot(axes, r, at, r.value)
    lost = [at for at, r in zip(order, numbers.results, strict=True) if math.isnan(r.value)]
    for at in lost:
        axes.plot(at, 0.03, "X", color=ENDS[numbers.results[at - 1].end][0], transform=axes.get_xaxis_transform())
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("trials, in the order in which they ended")
    axes.set_ylabel(numbers.label if len(numbers.label) < 30 else "mean of the objectives")
    _ends(axes, numbers.results)
    key_below(figure, axes)
    return figure


def front(numbers: Front) -> Figure:
    figure, grid = canvas(1.0 + 3.6 * len(numbers.panels), rows=len(numbers.panels), squeeze=False)
    floors = {key: floor for panel in numbers.panels for key, floor in panel.floors_by_metric.items()}
    dashes = dict(zip(floors, cycle(DASHES), strict=False))
    for axes, panel in zip(grid[:, 0], numbers.panels, strict=True):
        _panel(axes, panel, numbers, dashes)
    axes = grid[0, 0]
    _ends(axes, [r for panel in numbers.panels for r, _, _ in panel.points])
    if numbers.best is not None:
        axes.scatter([], [], marker="*", s=160, color=BEST, edgecolor=INK, label="best")
    if numbers.defaults is not None:
        axes.scatter([], [], marker="o", s=130, facecolor="none", edgecolor=INK, label="defaults")
    if numbers.front and any(panel.is_traded for panel in numbers.panels):
        axes.plot([], [], "-", color=INK, linewidth=1.2, label="front")
    for key, floor in floors.items():
        name = f"floor of {metric_name(key)}: {100 * floor:.4g}%"
        axes.plot([], [], linestyle=dashes[key], color=BEST, label=name)
    key_below(figure, axes, 2 if floors else 4)
    return figure


def _panel(axes: Axes, panel: Panel, numbers: Front, dashes: Mapping[str, Any]) -> None:
    for r, x, y in panel.points:
        _dot(axes, r, x, y)
        if r.number == numbers.best:
            axes.scatter(x, y, marker="*", s=260, color=BEST, edgecolor=INK, zorder=5)
        if r.number == numbers.defaults:
            axes.scatter(x, y, marker="o", s=190, facecolor="none", edgecolor=INK, zorder=4)
        if r.number in (*numbers.front, numbers.best, numbers.defaults):
            axes.annotate(str(r.number), (x, y), xytext=(9, 6), textcoords="offset points", fontsize=10)
    if panel.is_traded:
        line = sorted((x, y) for r, x, y in panel.points if r.number in numbers.front)
        axes.plot(*zip(*line, strict=True), color=INK, linewidth=1.2, zorder=2) if line else None
    for key, floor in panel.floors_by_metric.items():
        draw = axes.axvline if key == panel.x else axes.axhline
        draw(floor, color=BEST, linestyle=dashes[key])
    axes.set_xlabel(metric_name(panel.x))
    axes.set_ylabel(metric_name(panel.y))
    axes.margins(0.1)
    percent(axes, "xy")


def _dot(axes: Axes, r: Result, x: float, y: float) -> None:
    """Filled when every floor is kept."""
    shade, sign = ENDS[r.end]
    axes.scatter(x, y, color=shade if r.feasible else "white", edgecolor=shade, marker=sign, s=50, zorder=3)


def _ends(axes: Axes, ends: Any) -> None:
    ends_key(axes, [r.end for r in ends])
    if any(not r.feasible for r in ends):
        axes.scatter([], [], facecolor="white", edgecolor=INK, s=45, label="misses a floor")
