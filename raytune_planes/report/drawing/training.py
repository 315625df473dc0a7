"""Draws the six figures of the published work."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from raytune_planes.records import Action
from raytune_planes.report.drawing.style import FAINT, INK, canvas, colour, key_below, marker, percent
from raytune_planes.report.training import Boxes, Correlation, Counts, Curves, Histogram, Scatter

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TOUCH = 0.055
"""Accuracies nearer than this would be written over each other."""
SHADES = {"train": 1.0, "val": 0.6, "test": 0.3}


def counts(numbers: Counts) -> Figure:
    figure, axes = canvas()
    splits = [s for s in SHADES if any(s in n for n in numbers.counts.values())]
    for i, (dataset, known) in enumerate(numbers.counts.items()):
        for j, split in enumerate(splits):
            at = i + (j - (len(splits) - 1) / 2) * 0.27
            if split not in known:
                axes.text(at, 1, "?", ha="center", va="bottom", color=INK)
                continue
            axes.bar(at, known[split], 0.25, color=colour(dataset), alpha=SHADES[split])
            label = f"{split}\n{known[split]:,}"
            axes.text(at, known[split] * 1.05, label, ha="center", va="bottom", fontsize=10, color=INK)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(
        lambda value, _: f"{value:,.0f}"
    )  # matplotlib's own are formulas, which LOOK shows raw
    axes.set_ylim(1, 12 * max(n for known in numbers.counts.values() for n in known.values()))
    axes.set_xticks(range(len(numbers.counts)), list(numbers.counts))
    axes.grid(False, axis="x")
    axes.set_ylabel("samples (logarithmic)")
    return figure


def accuracy(numbers: Curves) -> Figure:
    figure, axes = canvas(4.6)
    for dataset, (train, val) in numbers.lines.items():
        style = {"color": colour(dataset), "marker": marker(dataset), "markersize": 5}
        if train:
            axes.plot(numbers.epochs, train, "--", alpha=0.55, label=f"{dataset} train", **style)
        if val:
            axes.plot(numbers.epochs, val, "-", label=f"{dataset} validation", **style)
    for decision in numbers.decisions:
        series = numbers.lines.get(decision.dataset, ((), ()))[1]
        if decision.epoch in numbers.epochs and series:
            at = series[numbers.epochs.index(decision.epoch)]
            sign, word = ("z", "rests") if decision.action is Action.REST else ("!", "wakes")
            axes.plot(decision.epoch, at, "o", ms=15, mfc="white", mec=colour(decision.dataset), mew=1.5, zorder=4)
            axes.text(decision.epoch, at, sign, ha="center", va="center", fontsize=11, weight="bold", zorder=5)
            axes.plot([], [], "o", mfc="white", mec=INK, ms=9, label=f"{sign}: {word}")
    ends = [val for _, val in numbers.lines.values() if val]
    _say(axes, numbers.epochs[-1], [val[-1] for val in ends], "right")
    if len(numbers.epochs) > 1:
        _say(axes, numbers.epochs[0], [val[0] for val in ends], "left")
    axes.margins(x=0.13)
    axes.set_ylim(-0.03, 1.06)
    percent(axes)
    axes.set_xticks(_ticks(numbers.epochs))
    axes.set_xlabel("epoch")
    axes.set_ylabel(numbers.metric)
    key_below(figure, axes, 2)
    return figure


def _say(axes: Axes, epoch: int, values: list[float], side: str) -> None:
    """The values in words, ``side`` ("left" or "right") of an epoch's points, moved apart where they would touch."""
    last = -math.inf
    for value in sorted(v for v in values if math.isfinite(v)):
        last = max(value, last + TOUCH)
        shift, away = (9, "left") if side == "right" else (-9, "right")
        axes.annotate(
            f"{value:.1%}",
            (epoch, last),
            (shift, 0),
            textcoords="offset points",
            ha=away,
            va="center",
            fontsize=10,
            color=INK,
            annotation_clip=False,
        )


def _ticks(epochs: tuple[int, ...]) -> list[int]:
    """The first, and at most eight more at a whole distance."""
    step = max(1, math.ceil((epochs[-1] - epochs[0]) / 8))
    return list(range(epochs[0], epochs[-1] + 1, step))


def losses(numbers: Boxes) -> Figure:
    figure, axes = canvas()
    stats = [
        {"med": b.median, "q1": b.quarter, "q3": b.three_quarters, "whislo": b.low, "whishi": b.high, "label": d}
        for d, b in numbers.boxes.items()
    ]
    drawn = axes.bxp(stats, showfliers=False, patch_artist=True, widths=0.5, medianprops={"color": INK})
    for i, (dataset, patch) in enumerate(zip(numbers.boxes, drawn["boxes"], strict=True)):
        patch.set(facecolor=colour(dataset), alpha=0.45, edgecolor=colour(dataset))
        values = numbers.boxes[dataset].values
        spread = [i + 1 + 0.12 * math.sin(7 * n) for n in range(len(values))]
        axes.scatter(spread, values, s=16, color=colour(dataset), marker=marker(dataset), zorder=3)
    axes.set_ylim(bottom=0)
    axes.grid(False, axis="x")
    axes.set_ylabel(f"training {numbers.unit}")
    return figure


def correlation(numbers: Correlation) -> Figure:
    from matplotlib.colors import LinearSegmentedColormap

    figure, axes = canvas()
    colours = ["#D55E00", "#ffffff", "#0072B2"]
    ramp = LinearSegmentedColormap.from_list("orange to blue", colours).with_extremes(bad="#ededed")
    image = axes.imshow(numbers.matrix, cmap=ramp, vmin=-1, vmax=1)
    for i, row in enumerate(numbers.matrix):
        for j, r in enumerate(row):
            label = "constant" if math.isnan(r) else f"{r:+.2f}"
            axes.text(j, i, label, ha="center", va="center", color="white" if abs(r) > 0.6 else INK)
    ticks = range(len(numbers.datasets))
    axes.set_xticks(ticks, numbers.datasets)
    axes.set_yticks(ticks, numbers.datasets)
    axes.grid(False)
    figure.colorbar(image, ax=axes, label=f"Pearson's r over {numbers.epochs} epochs")
    return figure


def scatter(numbers: Scatter) -> Figure:
    figure, axes = canvas(4.8)
    axes.plot([0, 1], [0, 1], "--", color=FAINT, linewidth=1.5, label="train = validation")
    for dataset, points in numbers.points.items():
        _, train, val = zip(*points, strict=True)
        axes.plot(train, val, color=colour(dataset), alpha=0.35, linewidth=1)
        axes.scatter(train, val, color=colour(dataset), marker=marker(dataset), s=40, label=dataset, zorder=3)
    axes.set_xlim(-0.03, 1.03)
    axes.set_ylim(-0.03, 1.03)
    axes.set_box_aspect(1)
    percent(axes, "xy")
    axes.set_xlabel("training accuracy")
    axes.set_ylabel("validation accuracy")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right center")
    return figure


def contrastive(numbers: Histogram) -> Figure:
    figure, axes = canvas()
    low, high = numbers.edges[0], numbers.edges[-1]
    width = (high - low) / (len(numbers.edges) - 1)
    bottom = [0] * (len(numbers.edges) - 1)
    for dataset, n in numbers.counts.items():
        axes.bar(
            numbers.edges[:-1], n, 0.92 * width, bottom, align="edge", color=colour(dataset), alpha=0.85, label=dataset
        )
        bottom = [b + more for b, more in zip(bottom, n, strict=True)]
    whole = axes.yaxis.get_major_locator()
    whole.set_params(integer=True)
    axes.set_xlabel(f"contrastive {numbers.unit}")
    axes.set_ylabel("epochs")
    key_below(figure, axes)
    return figure
