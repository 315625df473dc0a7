"""What a dataset holds and what is wrong with it, as numbers, and as a plan of what to leave out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from raytune_planes.datasets.base import SPLITS, Listing, Reader
from raytune_planes.datasets.cleaning import CONFLICTS, Plan, picture_name
from raytune_planes.datasets.hygiene.copies import Alike, Copies, find_copies
from raytune_planes.datasets.hygiene.pictures import Pictures, measure
from raytune_planes.datasets.notes import warnings_of
from raytune_planes.datasets.objects import Several, find_several
from raytune_planes.datasets.ranges import with_range
from raytune_planes.datasets.split_folders import copies_across

SHOWN = 20
"""Examples of each finding that are named; all of them are counted."""
BINS = 20
"""Of the histograms of brightness and contrast, over [0, 1]."""


@dataclass(frozen=True)
class Findings:
    """A dataset, looked through."""

    name: str
    root: str
    listing: Listing
    pictures: Pictures
    copies: Copies
    several: tuple[Several, ...] = ()
    """Pictures of several objects under one label."""

    @property
    def faults(self) -> dict[str, int]:
        """What should not be, counted: the findings that ``data --strict`` fails on."""
        identical = self.copies.identical
        return {
            "unreadable pictures": len(self.pictures.unreadable),
            "blank pictures": int(self.pictures.blank_N.sum()),
            "pictures left out": self.listing.account.unused_pictures,
            "pictures with copies (.rf.) in several splits": len(
                copies_across(self.listing.samples, self.listing.splits)
            ),
            "identical pictures with several labels": sum(map(self.disagrees, identical)),
            "identical pictures in several splits": sum(map(self.straddles, identical)),
            "near copies with several labels": len(self.copies.across),
            "near copies in several splits": sum(self.straddles(pair[:2]) for pair in self.copies.within),
        }

    def straddles(self, group: Sequence[int]) -> bool:
        """Whether these numbers of ``pictures`` lie in several splits."""
        return len({self.pictures.splits[i] for i in group}) > 1

    def disagrees(self, group: Sequence[int]) -> bool:
        """Whether these numbers of ``pictures`` have several labels."""
        return len(set(self.pictures.labels_N[list(group)].tolist())) > 1

    def as_json(self) -> dict[str, Any]:
        """Every number that is shown and drawn, by name."""
        pictures, info = self.pictures, self.listing.info
        names = {each.sample: picture_name(self.listing.samples[each.sample], Path(self.root)) for each in self.several}
        return {
            "dataset": self.name,
            "root": self.root,
            "synthetic": self.listing.synthetic,
            "pictures": len(pictures) + len(pictures.unreadable),
            "groups": len(set(pictures.groups)),
            "samples": {
                split: {
                    name: sum(self.listing.samples[i].label == label for i in self.listing.splits[split])
                    for label, name in enumerate(info.classes)
                }
                for split in SPLITS
            },
            "sizes": _sizes(pictures),
            "modes": _counted(pictures.modes),
            "misnamed": int(pictures.misnamed_N.sum()),
            "brightness": _spread(pictures.brightness_N),
            "contrast": _spread(pictures.contrast_N),
            "masks": sum(sample.mask is not None for sample in self.listing.samples),
            "boxes": _boxes(list(self.listing.boxes_of.values())),
            "unreadable": pictures.unreadable,
            "copies": self._copies_json(),
            "several_objects": {
                "pictures": len(self.several),
                "objects": sum(len(each.boxes) for each in self.several),
                "examples": [names[each.sample] for each in self.several[:SHOWN]],
            },
            "faults": self.faults,
            "left_out": {
                reason: {"count": len(names), "examples": list(names[:SHOWN])}
                for reason, names in self.listing.account.left_out.items()
            },
            "values": info.values,
            "warnings": [*self.listing.warnings, *warnings_of(info)],
        }

    def _copies_json(self) -> dict[str, Any]:
        copies, names = self.copies, self.pictures.names
        both = [group for group in copies.identical if self.disagrees(group)]
        return {
            "identical": {
                "groups": len(copies.identical),
                "pictures": sum(map(len, copies.identical)),
                "surplus": sum(len(group) - 1 for group in copies.identical),
                "both_labels": len(both),
                "across_splits": sum(map(self.straddles, copies.identical)),
                "examples": [[names[i] for i in group] for group in (*both, *copies.identical)][:SHOWN],
            },
            "within_class": self._alike_json(copies.within),
            "across_classes": self._alike_json(copies.across),
            "too_blank_to_compare": copies.blank,
            "overlapping_crops": {
                "pairs": len(copies.crops),
                "pictures": len({low for _, low in copies.crops}),
                "examples": [[names[i] for i in pair] for pair in copies.crops[:SHOWN]],
            },
        }

    def _alike_json(self, pairs: Sequence[Alike]) -> dict[str, Any]:
        names, best = self.pictures.names, sorted(pairs, key=lambda p: -p.likeness)[:SHOWN]
        return {
            "pairs": len(pairs),
            "pictures": len({i for pair in pairs for i in pair[:2]}),
            "turned_or_mirrored": sum(pair.turned for pair in pairs),
            "resized": sum(pair.resized for pair in pairs),
            "across_splits": sum(self.straddles(pair[:2]) for pair in pairs),
            "examples": [[names[p.first], names[p.second], round(p.likeness, 4)] for p in best],
        }

    def plan(self, conflicts: str = CONFLICTS[0]) -> Plan:
        """What to leave out, and what to keep together.

        Unreadable pictures go. Of identical pictures with one label the one in the latest split stays. Identical
        pictures with several labels, and near copies (flipped, turned, resized) with two, go as ``conflicts`` says:
        none of their labels can be trusted. All other near copies stay and share a split.

        Args:
            conflicts: One of ``CONFLICTS``.
        """
        assert conflicts in CONFLICTS, conflicts
        names = self.pictures.names
        drop = dict.fromkeys(self.pictures.unreadable, "unreadable")
        together: list[tuple[str, ...]] = []
        for group in self.copies.identical:
            kept = max(group, key=self._rank)
            if not self.disagrees(group):
                drop |= {names[i]: f"identical to {names[kept]}" for i in group if i != kept}
            elif conflicts == "keep":
                together.append(tuple(names[i] for i in group))
            else:
                gone = [i for i in group if conflicts == "drop" or i != kept]
                drop |= {names[i]: f"identical to {names[group[i == group[0]]]}, with several labels" for i in gone}
        # Of identical pictures the first stood for all; whichever stays takes its place.
        stays: dict[int, int | None] = {
            g[0]: next((i for i in g if names[i] not in drop), None) for g in self.copies.identical
        }
        twins = {group[0]: group for group in self.copies.identical}
        pairs = (*self.copies.within, *self.copies.across)
        for pair in sorted(pairs, key=lambda pair: -pair.likeness) if conflicts != "keep" else ():
            first, second = stays.get(pair.first, pair.first), stays.get(pair.second, pair.second)
            ends = [i for i in (first, second) if i is not None and names[i] not in drop]
            if conflicts == "drop":
                alike = [*twins.get(pair.first, (pair.first,)), *twins.get(pair.second, (pair.second,))]
                gone = [i for i in (first, second) if i is not None] if self.disagrees(alike) else []
            else:  # a picture that an earlier pair has taken out disagrees with nothing any more
                gone = sorted(ends, key=self._rank)[:-1] if len(ends) == 2 and self.disagrees(ends) else []
            for end in gone:
                other = names[pair.second if end == first else pair.first]
                drop.setdefault(names[end], f"near copy of {other}, with another label")
        for pair in pairs:
            both = [names[i] for end in pair[:2] if (i := stays.get(end, end)) is not None]
            together += [tuple(both)] if len(both) == 2 and not drop.keys() & both else []
        return Plan(drop, tuple(together))

    def _rank(self, i: int) -> tuple[int, int]:
        """Of copies the highest stays: the latest split, then the first picture."""
        split = self.pictures.splits[i]
        return SPLITS.index(split) if split else -1, -i


def examine(reader: Reader) -> Findings:
    """Look through a dataset: decodes every picture once, into a few kilobytes each.

    Raises:
        UserError: the dataset cannot be listed.
    """
    listing = with_range(reader, reader.scan())
    pictures = measure(reader, listing)
    several = tuple(find_several(reader, listing))
    copies = find_copies(pictures, reader.extent_m)
    return Findings(reader.name_in_study, str(reader.root), listing, pictures, copies, several)


def _counted(values: Sequence[object]) -> dict[str, int]:
    distinct, counts = np.unique([str(v) for v in values], return_counts=True)
    ranked = sorted(zip(distinct.tolist(), counts.tolist(), strict=True), key=lambda pair: -pair[1])
    return dict(ranked)


def _sizes(pictures: Pictures) -> dict[str, Any]:
    width_N, height_N = pictures.sizes_N2[:, 0], pictures.sizes_N2[:, 1]
    common = _counted([f"{w} x {h}" for w, h in pictures.sizes_N2.tolist()])
    return {
        "width": _range(width_N),
        "height": _range(height_N),
        "aspect": _range(width_N / np.maximum(height_N, 1)),
        "different": len(common),
        "most_common": dict(list(common.items())[:10]),
    }


def _range(values: np.ndarray) -> dict[str, float]:
    if not len(values):
        return {}
    return {"least": float(values.min()), "median": float(np.median(values)), "most": float(values.max())}


def _spread(values: np.ndarray) -> dict[str, Any]:
    return {
        **_range(values),
        "mean": float(values.mean()) if len(values) else 0.0,
        "histogram": np.histogram(values, BINS, (0, 1))[0].tolist(),
    }


def _boxes(counts: Sequence[int]) -> dict[str, Any]:
    numbers = np.array(counts, np.int64)
    return {**_range(numbers), "scenes": len(counts), "boxes": int(numbers.sum()), "per_scene": sorted(counts)}
