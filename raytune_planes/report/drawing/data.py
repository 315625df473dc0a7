"""Figures of a dataset before training."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from raytune_planes.report.data import BoxCounts, ClassCounts, CopyPairs, Light
from raytune_planes.report.drawing.style import INK, canvas, colour, key_below

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHADES = {"train": 1.0, "val": 0.6, "test": 0.3}
NAMED = 12
"""Classes whose names are written at their bars; of more only the number."""


def classes(numbers: ClassCounts) -> Figure:
    figure, axes = canvas()
    totals = Counter[str]()
    for of_class in numbers.counts.values():
        totals.update(of_class)
    order = [name for name, _ in totals.most_common()]
    bottom = [0] * len(order)
    for split, of_class in numbers.counts.items():
        heights = [of_class[name] for name in order]
        axes.bar(
            range(len(order)), heights, 0.8, bottom, color=colour(numbers.dataset), alpha=SHADES[split], label=split
        )
        bottom = [low + more for low, more in zip(bottom, heights, strict=True)]
    if len(order) <= NAMED:
        axes.set_xticks(range(len(order)), order, rotation=0 if len(order) < 5 else 60, ha="center")
    else:
        axes.set_xlabel(f"{len(order)} classes, the largest first")
    axes.grid(False, axis="x")
    axes.set_ylabel("samples")
    key_below(figure, axes)
    return figure


def light(numbers: Light) -> Figure:
    figure, axes = canvas()
    for dataset, shares in numbers.shares.items():
        edges = [i / len(shares) for i in range(len(shares) + 1)]
        axes.stairs(shares, edges, color=colour(dataset), label=dataset, linewidth=2)
    axes.set_xlabel("mean brightness of a picture (0 black, 1 white)")
    axes.set_ylabel("share of the pictures")
    key_below(figure, axes)
    return figure


def boxes(numbers: BoxCounts) -> Figure:
    figure, axes = canvas()
    axes.hist(numbers.per_scene, bins=min(20, max(numbers.per_scene) + 1), color=colour(numbers.dataset))
    axes.set_xlabel("boxes in a scene")
    axes.set_ylabel("scenes")
    return figure


def copies(numbers: CopyPairs) -> Figure:
    columns = min(4, len(numbers.pairs))
    rows = -(-len(numbers.pairs) // columns)
    figure, grid = canvas(0.4 + 2.9 * rows, rows=2 * rows, columns=columns, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for i, pair in enumerate(numbers.pairs):
        top, low = grid[2 * (i // columns)][i % columns], grid[2 * (i // columns) + 1][i % columns]
        top.imshow(pair.first_HWC)
        low.imshow(pair.second_HWC)
        top.set_title(pair.about, fontsize=9, weight="normal", color=INK)
    return figure
