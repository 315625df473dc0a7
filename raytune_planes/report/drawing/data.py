"""Figures of a dataset before training."""

from __future__ import annotations

import textwrap
from collections import Counter
from typing import TYPE_CHECKING

from raytune_planes.report.data import COLUMNS, BoxCounts, ClassCounts, CopyPairs, Light, Sheet, SheetPicture
from raytune_planes.report.drawing.style import BEST, INK, PALETTE, canvas, colour, key_below

if TYPE_CHECKING:
    from matplotlib.axes import Axes
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


def sheet(numbers: Sheet) -> Figure:
    rows = len(numbers.rows)
    figure, grid = canvas(0.5 + 0.78 * rows, rows=rows, columns=COLUMNS, squeeze=False)
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.04, wspace=0, hspace=0)  # type: ignore[union-attr,call-arg]
    for line, row in zip(grid, numbers.rows, strict=True):
        for axes in line:
            axes.set(xticks=[], yticks=[])
            axes.grid(False)
            axes.set_box_aspect(1)
            for spine in axes.spines.values():
                spine.set(visible=False)
        for axes, picture in zip(line, row.pictures, strict=False):
            _contact(axes, picture, row.suspicious)
        what = "\n".join(line for part in row.what.split("\n") for line in textwrap.wrap(part, 18))
        line[0].set_ylabel(what, rotation=0, ha="right", va="center", fontsize=9, color=INK)
    return figure


def _contact(axes: Axes, picture: SheetPicture, suspicious: bool) -> None:
    """One picture of a contact sheet."""
    axes.imshow(picture.image_HWC)
    mask = picture.mask_HW
    if mask is not None and 0 < mask.mean() < 1:
        for shade, width in (("black", 1.8), (PALETTE[6], 0.9)):  # seen on bright and dark ground alike
            axes.contour(mask, [0.5], colors=[shade], linewidths=width)
    if suspicious:
        for spine in axes.spines.values():
            spine.set(visible=True, color=BEST, linewidth=1.5)
    if picture.about:
        axes.set_title(picture.about, fontsize=8, weight="normal", loc="center", color=INK, pad=2)
