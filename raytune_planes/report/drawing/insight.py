"""Draws what predictions rest on, and the map of embeddings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from raytune_planes.report.drawing.style import BEST, FAINT, PALETTE, canvas, colour, cut, marker
from raytune_planes.report.embeddings import Embedded, Map, shown_classes
from raytune_planes.report.regions import Regions, heat

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DOT = 30
"""Of a picture on the map, in points squared: to be told apart at the width of a page."""
KEY: Mapping[str, Any] = {
    **{"loc": "best", "handletextpad": 0.1, "labelspacing": 0.2},
    **{"frameon": True, "framealpha": 0.8, "edgecolor": "none"},
}
"""A legend among points, which stay visible."""


def regions(numbers: Regions) -> Figure:
    columns = max(2, len(numbers.regions))
    figure, grid = canvas(0.9 + 2 * 6.2 / columns, rows=2, columns=columns, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for (above, below), region in zip(grid.T, numbers.regions, strict=False):
        example = region.example
        above.imshow(example.image_HWC)
        below.imshow(heat(example.image_HWC, region.map_HW))
        shade = PALETTE[2] if example.right else BEST
        for axes in (above, below):
            axes.axis("on")
            axes.set(xticks=[], yticks=[])
            axes.grid(False)
            for spine in axes.spines.values():
                spine.set(visible=True, color=shade, linewidth=3)
        truth = "" if example.right else f"\nis {cut(example.truth)}"
        sign = "✓" if example.right else "✗"
        above.set_title(
            f"{sign} {cut(example.predicted)}\n{example.probability:.0%}{truth}", fontsize=10, weight="normal"
        )
        if not region.map_HW.any():
            below.set_xlabel("no region speaks for it", fontsize=9)
    return figure


def embeddings(numbers: Map) -> Figure:
    panels = 1 + len(numbers.datasets)
    rows = math.ceil(panels / 2)
    figure, grid = canvas(0.4 + 3.3 * rows, rows=rows, columns=2, squeeze=False, sharex=True, sharey=True)
    for axes in grid.flat[panels:]:
        axes.axis("off")
    for axes in grid.flat:
        axes.tick_params(labelbottom=False, labelleft=False, length=0)
    whole = grid.flat[0]
    whole.set_title("all datasets", fontsize=11)
    for name, placed in numbers.datasets.items():
        _dots(whole, placed.pictures_NW, colour(name), marker(name), label=name)
        _stars(whole, placed.prompts_KW, colour(name))
    whole.scatter([], [], marker="*", s=160, color="white", edgecolors="black", linewidths=0.8, label="prompts")
    whole.legend(fontsize=9, **KEY)
    for axes, (name, placed) in zip(grid.flat[1:], numbers.datasets.items(), strict=False):
        _classes(axes, name, placed)
    for axes, share, which in zip((whole, whole), numbers.shares_2, "xy", strict=True):
        getattr(axes, f"set_{which}label")(f"{share:.0%} of the variance", fontsize=9)
    return figure


def _classes(axes: Axes, name: str, placed: Embedded) -> None:
    """The pictures of one dataset by class, each beside its prompt; of many classes the most frequent ones."""
    shown = shown_classes(placed.labels_N, len(PALETTE))
    rest_N = ~np.isin(placed.labels_N, shown)
    _dots(axes, placed.pictures_NW[rest_N], FAINT, marker(name))
    for k, shade in zip(shown, PALETTE, strict=False):
        _dots(axes, placed.pictures_NW[placed.labels_N == k], shade, marker(name), label=cut(placed.classes[k]))
    for k, shade in zip(shown, PALETTE, strict=False):
        _stars(axes, placed.prompts_KW[k : k + 1], shade)
    more = len(placed.classes) - len(shown)
    axes.set_title(f"{name}, by class" + (f" (grey: {more} more)" if more else ""), fontsize=11)
    axes.legend(fontsize=8, **KEY)


def _dots(axes: Axes, points_N2: np.ndarray, shade: str, sign: str, **more: Any) -> None:
    axes.scatter(points_N2[:, 0], points_N2[:, 1], s=DOT, color=shade, marker=sign, alpha=0.8, linewidths=0, **more)


def _stars(axes: Axes, points_N2: np.ndarray, shade: str) -> None:
    look: dict[str, Any] = {"marker": "*", "s": 200, "edgecolors": "black", "linewidths": 0.8, "zorder": 3}
    axes.scatter(points_N2[:, 0], points_N2[:, 1], color=shade, **look)
