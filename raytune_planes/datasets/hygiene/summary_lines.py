"""The findings about a dataset, as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from raytune_planes.datasets import files
from raytune_planes.printing import counted, printable

CLASSES = 6
"""Classes that are listed; of more than this only the smallest and the largest."""
EXAMPLES = 3


def lines(report: Mapping[str, Any]) -> Iterator[str]:
    """The text for a terminal; ``report`` is what ``Findings.as_json`` returns."""
    drawn = " SYNTHETIC" if report["synthetic"] else ""
    number = f"{counted(report['pictures'], 'picture')} in {counted(report['groups'], 'group')}"
    yield f"{report['dataset']}:{drawn} {number}, {report['root']}"
    for split, counts in report["samples"].items():
        yield f"  {split:<6} {sum(counts.values()):>7,} samples: {_classes(counts)}"
    sizes = report["sizes"]
    if sizes["width"]:
        common = ", ".join(f"{size} ({n:,})" for size, n in list(sizes["most_common"].items())[:3])
        yield f"  sizes: {_least_most(sizes['width'])} wide, {_least_most(sizes['height'])} high; mostly {common}"
        yield f"  aspect ratio: {sizes['aspect']['least']:.2f} to {sizes['aspect']['most']:.2f}"
    modes = ", ".join(f"{mode} {n:,}" for mode, n in report["modes"].items())
    misnamed = f"; {report['misnamed']:,} of another format than their suffix says" if report["misnamed"] else ""
    yield f"  modes: {modes or 'none'}{misnamed}"
    light, contrast = report["brightness"], report["contrast"]
    if light["mean"]:
        yield (
            f"  brightness: mean {light['mean']:.2f}, {light['least']:.2f} to {light['most']:.2f}; "
            f"contrast: mean {contrast['mean']:.2f}"
        )
    if report["masks"]:
        verb = "has" if report["masks"] == 1 else "have"
        yield f"  masks: {counted(report['masks'], 'picture')} {verb} one; validation measures iou and dice"
    boxes = report["boxes"]
    if boxes["scenes"]:
        yield (
            f"  boxes: {boxes['boxes']:,} in {counted(boxes['scenes'], 'scene')}, {boxes['least']:.0f} to "
            f"{boxes['most']:.0f} each, median {boxes['median']:g}"
        )
    yield from _copies(report["copies"])
    several = report["several_objects"]
    if several["pictures"]:
        yield (
            f"  several objects under one label: {counted(several['pictures'], 'picture')} with "
            f"{counted(several['objects'], 'object')} "
            "(--split-objects DIR cuts them into pictures of their own)"
        )
        yield from (f"    {printable(name)}" for name in several["examples"][:EXAMPLES])
    yield from (f"  note: {warning}" for warning in report["warnings"])
    faults = {what: count for what, count in report["faults"].items() if count}
    yield "  faults: " + (", ".join(f"{count:,} {what}" for what, count in faults.items()) or "none")
    yield from (f"    {why}" for why in list(report["unreadable"].values())[:EXAMPLES])


def _copies(copies: Mapping[str, Any]) -> Iterator[str]:
    same, within, across = copies["identical"], copies["within_class"], copies["across_classes"]
    yield (
        f"  identical: {counted(same['pictures'], 'picture')} in {counted(same['groups'], 'group')}; "
        f"{counted(same['both_labels'], 'group')} with several labels, {same['across_splits']:,} in several splits"
    )
    yield from _examples(same["examples"])
    yield (
        f"  near copies in a class (SSIM 0.95 or more): {counted(within['pairs'], 'pair')}, "
        f"{within['turned_or_mirrored']:,} turned or mirrored, {within['resized']:,} resized, "
        f"{within['across_splits']:,} in several splits"
    )
    yield from _examples(within["examples"])
    yield f"  alike in two classes (cosine 0.99 or more): {counted(across['pairs'], 'pair')}"
    yield from _examples(across["examples"])
    if copies["too_blank_to_compare"]:
        yield f"  nearly blank, compared for identity only: {copies['too_blank_to_compare']:,}"
    crops = copies["overlapping_crops"]
    if crops["pairs"]:
        yield (
            f"  shifted crops: {counted(crops['pictures'], 'picture')} with ground of a picture of another label, "
            "same scene; splits by scene keep them together"
        )


def _examples(examples: Sequence[Sequence[object]]) -> Iterator[str]:
    for example in examples[:EXAMPLES]:
        yield "    " + " = ".join(printable(part) for part in example if isinstance(part, str))


def _classes(counts: Mapping[str, int]) -> str:
    if len(counts) <= CLASSES:
        return ", ".join(f"{printable(name)} {count:,}" for name, count in counts.items())
    ranked = sorted(counts.items(), key=lambda item: item[1])
    empty = [name for name, count in ranked if not count]
    lacking = f"; none of {files.some(empty)}" if empty else ""
    (least, fewest), (most, largest) = ((printable(name), count) for name, count in (ranked[0], ranked[-1]))
    return f"{counted(len(counts), 'class', 'classes')} of {fewest:,} ({least}) to {largest:,} ({most}){lacking}"


def _least_most(numbers: Mapping[str, float]) -> str:
    low, high = numbers["least"], numbers["most"]
    return f"{low:.0f}" if low == high else f"{low:.0f} to {high:.0f}"
