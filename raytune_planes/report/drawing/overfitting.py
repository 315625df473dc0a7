"""Draws training, validation and test over the epochs, and validation over the share of data, a panel a dataset."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from raytune_planes.report.data_curve import Curve
from raytune_planes.report.drawing.style import FAINT, INK, canvas, colour, key_below, marker, percent
from raytune_planes.report.overfitting import Gaps

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def gaps(numbers: Gaps) -> Figure:
    figure, grid = canvas(1.2 + 2.4 * len(numbers.courses), rows=len(numbers.courses), squeeze=False, sharex=True)
    epochs, at = numbers.epochs, numbers.epochs.index(numbers.kept)
    for axes, (dataset, course) in zip(grid[:, 0], numbers.courses.items(), strict=True):
        shade = colour(dataset)
        axes.fill_between(epochs, course.training, course.validation, color=shade, alpha=0.18, linewidth=0)
        axes.plot(epochs, course.training, "--", color=shade, marker=".", alpha=0.7)
        axes.plot(epochs, course.validation, "-", color=shade, marker=".")
        for i, epoch in enumerate(epochs):
            if interval := course.interval(i):
                axes.plot((epoch, epoch), interval, color=shade, linewidth=1)
        axes.axvline(numbers.kept, color=FAINT, linewidth=1)
        if course.test:
            low, high = course.test.low, course.test.high
            ends = (0.0, 0.0) if low is None or high is None else (course.test.mean - low, high - course.test.mean)
            axes.errorbar(epochs[-1] + 0.5, course.test.mean, [[ends[0]], [ends[1]]], fmt="D", color=INK, capsize=3)
            axes.plot([], [], "D", color=INK, label="test")
        gap = f": gap {course.gap(at):+.3f} at epoch {numbers.kept}" if math.isfinite(course.gap(at)) else ""
        axes.set_title(f"{dataset} {course.metric.replace('_', ' ')}{gap}", fontsize=11)
        if course.metric != "loss":
            percent(axes)
        axes.xaxis.get_major_locator().set_params(integer=True)
    first = grid[0, 0]
    for label, dashes in (("training", "--"), ("validation", "-")):
        first.plot([], [], dashes, color=INK, label=label)
    grid[-1, 0].set_xlabel("epoch")
    key_below(figure, first)
    return figure


def shares(numbers: Curve) -> Figure:
    figure, grid = canvas(0.8 + 2.4 * len(numbers.panels), rows=len(numbers.panels), squeeze=False)
    places = [math.log2(share) for share in numbers.shares]
    for axes, panel in zip(grid[:, 0], numbers.panels, strict=True):
        shade = colour(panel.dataset)
        axes.plot(places, panel.values, "-", color=shade, marker=marker(panel.dataset), markersize=9, linewidth=2.5)
        for place, value, interval in zip(places, panel.values, panel.intervals, strict=True):
            if interval:
                ends = [[value - interval[0]], [interval[1] - value]]
                axes.errorbar(place, value, ends, color=shade, elinewidth=2, capsize=6, capthick=2)
            if math.isfinite(value):
                beside = {"xytext": (10, 6), "textcoords": "offset points", "va": "bottom", "fontsize": 10}
                axes.annotate(f"{value:.1%}", (place, value), **beside)
        axes.set_title(f"{panel.dataset} {panel.metric.replace('_', ' ')}", fontsize=11)
        percent(axes)
        axes.set_xticks(places, [f"{n}\n{count:,}" for n, count in zip(numbers.names, panel.pictures, strict=True)])
        axes.set_xlim(places[0] - 0.2, places[-1] + 0.2)
    grid[-1, 0].set_xlabel("training pictures")
    return figure
