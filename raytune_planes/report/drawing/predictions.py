"""Draws a model's predictions: confusion, worst pairs, masks next to the ground truth, example pictures."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from raytune_planes.report.drawing.style import BEST, INK, PALETTE, canvas, colour, cut
from raytune_planes.report.predictions import LABELLED, Confusion, Examples, Masks, WorstPairs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NUMBERED = 12
"""Most classes for which each cell carries its number."""


def confusion(numbers: Confusion) -> Figure:
    k = len(numbers.classes)
    named = k <= LABELLED
    figure, axes = canvas(6.2 if named else 5.6)
    of_K = numbers.counts_KK.sum(1, keepdims=True)
    shares_KK = np.divide(numbers.counts_KK, of_K, out=np.zeros((k, k)), where=of_K > 0)
    image = axes.imshow(shares_KK, cmap="Blues", vmin=0, vmax=1)
    if k <= NUMBERED:
        for i in range(k):
            for j in range(k):
                shade = "white" if shares_KK[i, j] > 0.6 else INK
                axes.text(j, i, f"{numbers.counts_KK[i, j]:,}", ha="center", va="center", color=shade)
    if named:
        size = 11 if k <= NUMBERED else 8
        texts = [c if len(c) <= 18 else f"{c[:17]}…" for c in numbers.classes]
        axes.set_xticks(range(k), texts, rotation=90 if k > 3 else 0, fontsize=size)
        axes.set_yticks(range(k), texts, fontsize=size)
    axes.set_xlabel("predicted" if named else "predicted (number of the class)")
    axes.set_ylabel("true" if named else "true (number of the class)")
    axes.grid(False)
    figure.colorbar(image, ax=axes, label="share of the true class", shrink=0.8)
    return figure


def worst_pairs(numbers: WorstPairs) -> Figure:
    figure, axes = canvas(1.2 + 0.5 * len(numbers.pairs))
    rows = range(len(numbers.pairs))
    axes.barh(rows, [p.mistakes / p.pictures for p in numbers.pairs], 0.7, color=colour(numbers.dataset), alpha=0.5)
    for row, p in zip(rows, numbers.pairs, strict=True):
        axes.text(0, row, f"  {p.one} – {p.other}: {p.mistakes} of {p.pictures}", va="center", fontsize=11)
    axes.set_yticks([])
    axes.invert_yaxis()
    axes.grid(False, axis="y")
    axes.set_xlim(0, max(0.5, 1.1 * max(p.mistakes / p.pictures for p in numbers.pairs)))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.set_xlabel("pictures of the two classes that were confused")
    return figure


def masks(numbers: Masks) -> Figure:
    rows = len(numbers.examples)
    figure, grid = canvas(0.5 + 2.0 * rows, rows=rows, columns=3, squeeze=False)
    for line, example in zip(grid, numbers.examples, strict=True):
        line[0].imshow(example.image_HWC)
        line[1].imshow(example.image_HWC)
        line[1].imshow(_ink(example.truth_HW > 0, "#009E73"))
        line[2].imshow(example.image_HWC)
        line[2].imshow(_ink(example.predicted_HW > 0.5, BEST))
        label = "no plane, none said" if math.isnan(example.iou) else f"IoU {example.iou:.2f}"
        line[2].set_title(label, fontsize=11, weight="normal", loc="center")
        line[1].set_title(f"{(example.truth_HW > 0).mean():.1%} is plane", fontsize=11, weight="normal", loc="center")
    for axes, what in zip(grid[-1], ("picture", "truth (green)", "model (orange)"), strict=True):
        axes.set_xlabel(what)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
        axes.grid(False)
    return figure


def examples(numbers: Examples) -> Figure:
    columns = 4
    rows = math.ceil(len(numbers.examples) / columns)
    figure, grid = canvas(0.3 + 2.25 * rows, rows=rows, columns=columns, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for axes, example in zip(grid.flat, numbers.examples, strict=False):
        axes.imshow(example.image_HWC)
        axes.axis("on")
        axes.set(xticks=[], yticks=[])
        axes.grid(False)
        shade = PALETTE[2] if example.right else BEST
        for spine in axes.spines.values():
            spine.set(visible=True, color=shade, linewidth=3)
        sign = "✓" if example.right else "✗"
        truth = "" if example.right else f"\nis {cut(example.truth)}"
        axes.set_title(
            f"{sign} {cut(example.predicted)}\n{example.probability:.0%}{truth}", fontsize=10, weight="normal"
        )
    return figure


def _ink(where_HW: np.ndarray, shade: str) -> np.ndarray:
    """RGBA that paints ``shade`` over a picture where ``where_HW``."""
    rgb = [int(shade[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    rgba_HWC = np.zeros((*where_HW.shape, 4))
    rgba_HWC[..., :3], rgba_HWC[..., 3] = rgb, 0.6 * where_HW
    return rgba_HWC
