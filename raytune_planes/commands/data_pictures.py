"""The pictures that ``data`` shows: examples of classes, and suspicious pairs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from raytune_planes.datasets.base import Reader, Sample
from raytune_planes.datasets.cleaning import picture_name
from raytune_planes.datasets.hygiene import Findings
from raytune_planes.datasets.hygiene.copies import Alike
from raytune_planes.errors import UserError
from raytune_planes.printing import counted, printable
from raytune_planes.report.data import COLUMNS, CopyPair, Sheet, SheetPicture, SheetRow

FREQUENT, RARE = 3, 3
"""Classes that are shown, of more than both together."""
SIDE = 128
"""Longer side in pixels at which suspicious pictures are shown."""
LETTERS = 12
"""Of a class or split above a picture."""


def pairs(findings: Findings) -> list[CopyPair]:
    """Identical pictures first, those with several labels before all, then the most alike."""
    pictures, classes = findings.pictures, [printable(name) for name in findings.listing.info.classes]

    def pair(first: int, second: int, why: str) -> CopyPair:
        labels = [int(pictures.labels_N[i]) for i in (first, second)]
        both = f"\n{classes[labels[0]]} | {classes[labels[1]]}" if labels[0] != labels[1] else ""
        return CopyPair(pictures.thumbs_NHWC[first], pictures.thumbs_NHWC[second], why + both)

    same = [pair(group[0], next((i for i in group if pictures.labels_N[i] != pictures.labels_N[group[0]]), group[1]),
                 "identical") for group in findings.copies.identical]  # fmt: skip
    same.sort(key=lambda each: "|" not in each.about)
    near = sorted((*findings.copies.across, *findings.copies.within), key=lambda each: -each.likeness)
    return [*same[:4], *(pair(e.first, e.second, f"alike {e.likeness:.3f}") for e in near)]


def sheet(reader: Reader, findings: Findings) -> Sheet:
    """Rows of examples, at the study's image size with their masks, and of suspicious pairs; none if none can be read.

    Decodes at most ``COLUMNS`` samples for each row.
    """
    return Sheet((*_examples(reader, findings), *_suspects(reader, findings)))


def _examples(reader: Reader, findings: Findings) -> Iterator[SheetRow]:
    of_class: dict[int, list[Sample]] = defaultdict(list)
    for sample in findings.listing.samples:
        of_class[sample.label].append(sample)
    ranked = sorted(of_class, key=lambda label: (-len(of_class[label]), label))
    if len(ranked) > FREQUENT + RARE:
        ranked = [*ranked[:FREQUENT], *ranked[-RARE:]]
    for label in ranked:
        samples = of_class[label]
        # From the whole listing: neighbours in it are often of one scene.
        places = np.unique(np.linspace(0, len(samples) - 1, COLUMNS).round().astype(int))
        pictures = [picture for i in places if (picture := _example(reader, samples[i]))]
        if pictures:
            yield SheetRow(
                f"{printable(findings.listing.info.classes[label])}\n{counted(len(samples), 'sample')}", tuple(pictures)
            )


def _example(reader: Reader, sample: Sample) -> SheetPicture | None:
    try:
        return SheetPicture(*reader.load(sample))
    except UserError:  # told with all others that cannot be decoded
        return None


def _suspects(reader: Reader, findings: Findings) -> Iterator[SheetRow]:
    copies = findings.copies
    labels, splits = findings.pictures.labels_N, findings.pictures.splits

    def class_of(i: int) -> str:
        return printable(findings.listing.info.classes[labels[i]]) if labels[i] >= 0 else ""

    def split_of(i: int) -> str:
        return splits[i] or "no split"

    # What a pair differs in, most alike first; of a group its first picture and the first that differs from it.
    kinds: tuple[tuple[str, Iterable[Sequence[int]], Callable[[int], str]], ...] = (
        ("identical, several labels", filter(findings.disagrees, copies.identical), class_of),
        ("identical, several splits", filter(findings.straddles, copies.identical), split_of),
        ("alike, two classes", _ends(copies.across), class_of),
        ("alike, two splits", filter(findings.straddles, _ends(copies.within)), split_of),
        ("overlapping ground, two classes", copies.crops, class_of),
    )
    sample_of = {picture_name(sample, reader.root): sample for sample in findings.listing.samples}
    for what, groups, name in kinds:
        ends = [(g[0], next(i for i in g if name(i) != name(g[0]))) for g in groups]
        if ends:
            pictures = [
                SheetPicture(_thumbnail(reader, sample_of[findings.pictures.names[i]]), about=_cut(name(i)))
                for pair in ends[: COLUMNS // 2]
                for i in pair
            ]
            yield SheetRow(f"{what}\n{len(ends):,} found", tuple(pictures), suspicious=True)


def _ends(pairs: Iterable[Alike]) -> Iterator[Sequence[int]]:
    return (pair[:2] for pair in sorted(pairs, key=lambda pair: -pair.likeness))


def _thumbnail(reader: Reader, sample: Sample) -> np.ndarray:
    image = reader.whole(sample).image.copy()
    image.thumbnail((SIDE, SIDE))
    return np.asarray(image)


def _cut(text: str) -> str:
    return text if len(text) <= LETTERS else f"{text[: LETTERS - 1]}…"
