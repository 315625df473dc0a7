"""What label files of any format say of a picture: boxes, and of which class each is; and which classes count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from raytune_planes.datasets import files
from raytune_planes.datasets.outlines import Corners, is_flat, smallest_rectangle, upright
from raytune_planes.errors import UserError
from raytune_planes.printing import counted, printable

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels."""
OUTLINE = "outlines taken as their enclosing boxes"


@dataclass(frozen=True)
class Labels:
    """What is known of one picture."""

    boxes: tuple[Box, ...] = ()
    kinds: tuple[str, ...] = ()
    """The class of each box: its name, or its id where the format has no names."""
    odd: Mapping[str, int] = field(default_factory=dict)
    """What was left out or taken for something simpler, counted."""
    corners: tuple[Corners, ...] = ()
    """Of the oriented box of each, in pixels, also where it reaches beyond the picture; that of a box without an
    outline, or with one whose corners lie on one line, stands upright. Empty where no label has another outline."""

    def of(self, kinds: Sequence[str]) -> tuple[Box, ...]:
        """The boxes whose class is among ``kinds``."""
        return tuple(box for box, kind in zip(self.boxes, self.kinds, strict=True) if kind in kinds)

    def corners_of(self, kinds: Sequence[str]) -> tuple[Corners, ...]:
        """Their oriented boxes."""
        corners = self.corners or [upright(*box) for box in self.boxes]
        return tuple(each for each, kind in zip(corners, self.kinds, strict=True) if kind in kinds)


@dataclass
class Found:
    """What all label files of one format say."""

    labels_of: dict[Path, Labels] = field(default_factory=dict)
    """Of pictures that the files name, also those without a box."""
    files: set[Path] = field(default_factory=set)
    """Label files that were used."""
    other_names: dict[str, str] = field(default_factory=dict)
    """What else a class is called: the name of an id, the id of a name."""
    split_of: dict[Path, str] = field(default_factory=dict)
    """Where the label files tell it."""
    warnings: list[str] = field(default_factory=list)


class Marked(NamedTuple):
    """An object that a label file marks, in pixels."""

    kind: str
    """Its class."""
    box: Box
    odd: str = ""
    """What was left out or taken for something simpler."""
    corners: Corners | None = None
    """Of its oriented box; None where its label is an upright box."""


def outlined(kind: str, xs: Sequence[float], ys: Sequence[float], odd: str = "") -> Marked:
    """An object whose label is an outline, by its corners in pixels."""
    return Marked(kind, enclosing(xs, ys), odd or OUTLINE, smallest_rectangle(xs, ys))


def clipped(marked: Iterable[Marked], width: int, height: int) -> Labels:
    """Boxes in pixels, clipped to their picture; those without an area, and second ones of the same, are left out."""
    boxes: dict[tuple[str, Box], Corners] = {}
    odd: Counter[str] = Counter()
    has_outlines = False
    for kind, (x0, y0, x1, y1), what, corners in marked:
        box = max(0.0, x0), max(0.0, y0), min(float(width), x1), min(float(height), y1)
        if box[2] <= box[0] or box[3] <= box[1]:
            what = "boxes without an area, left out"
        elif (kind, box) in boxes:
            what = "boxes present twice, taken once"
        else:
            turned = corners if corners and not is_flat(corners) else None  # a flat one would be no plane
            boxes[kind, box] = turned or upright(*box)
            has_outlines |= turned is not None
        odd.update([what] if what else [])
    oriented = tuple(boxes.values()) if has_outlines else ()
    return Labels(tuple(box for _, box in boxes), tuple(kind for kind, _ in boxes), dict(odd), oriented)


def enclosing(xs: Sequence[float], ys: Sequence[float]) -> Box:
    """The box around an outline's corners."""
    return min(xs), min(ys), max(xs), max(ys)


def another_size(place: str, stated: tuple[object, object], picture: Path, size: tuple[int, int]) -> UserError:
    """The error for boxes that were drawn on a picture of another size: they would lie elsewhere."""
    shown = " x ".join(printable(str(side)[:20]) for side in stated)
    return UserError(
        f"{place}: says that {printable(picture.name)} has {shown} pixels, and it has {size[0]} x {size[1]}; its boxes "
        f"would lie in other places: provide the picture as it was labelled, or export again"
    )


def chosen(
    kinds: Counter[str], requested: Sequence[str], other_names: Mapping[str, str], dataset: str
) -> tuple[tuple[str, ...], list[str]]:
    """The classes that count as planes: those asked for, or the only one there is; and what to tell.

    Args:
        kinds: how many boxes each class has in the dataset.
        requested: classes by either name, in any case.
        other_names: see ``Found``.

    Raises:
        UserError: several classes and none is asked for, or one that is asked for is not there.
    """
    known = {kind: f"{kind} {other_names[kind]}" if kind in other_names else kind for kind in kinds}
    there = ", ".join(f"{printable(known[kind])} ({kinds[kind]:,})" for kind in sorted(kinds, key=_by_number))
    setting = f"datasets.{dataset}.classes"
    called = {other_names[kind].lower(): kind for kind in kinds if kind in other_names}
    called |= {kind.lower(): kind for kind in kinds}
    lost = [name for name in requested if name.lower() not in called]
    if lost and kinds:
        raise UserError(f"{setting}: no box has the class {files.some(lost)}; the boxes are of {there}")
    if not requested and len(kinds) > 1:
        first = min(kinds, key=_by_number)
        raise UserError(
            f"the boxes are of several classes: {there}; name those that are planes, e.g. {setting}={printable(first)}"
        )
    planes = tuple(dict.fromkeys(called[name.lower()] for name in requested if kinds)) or tuple(kinds)
    others = sorted(set(kinds) - set(planes), key=_by_number)
    messages = []
    if others:
        count = sum(kinds[kind] for kind in others)
        names = files.some([known[kind] if kind.isdecimal() else kind for kind in others])
        messages.append(
            f"{counted(count, 'box', 'boxes')} of classes that are no planes ({names}), counted as background"
        )
    if not requested and planes not in ((), ("0",)):
        boxes = counted(kinds[planes[0]], "box", "boxes")
        messages.append(f"{boxes} of class {printable(known[planes[0]])}, the only one, counted as planes")
    return planes, messages


def _by_number(kind: str) -> tuple[int, str]:
    return (int(kind), "") if kind.isdecimal() else (0, kind)
