"""Draw aircraft and write them in the formats of all three datasets, from easy chips to variants that look alike."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from raytune_planes.catalog import CATALOG
from raytune_planes.datasets import drawing, fgvc, hrplanes, planesnet
from raytune_planes.datasets.base import SPLITS
from raytune_planes.datasets.files import MARKER
from raytune_planes.datasets.fleet import fleet
from raytune_planes.errors import UserError, listed

LEAST_CHIPS = 24
LEAST_SCENES = 3
LEAST_CLASSES = 2
CHIPS_PER_SCENE = 24


def synthesise(
    folder: Path,
    *,
    planesnet: int,
    hrplanes: int,
    fgvc: int,
    fgvc_classes: int,
    seed: int,
    scene_side: int = 640,
    oriented: bool = False,
    touching: bool = False,
) -> None:
    """Write ``planesnet`` chips, ``hrplanes`` scenes and ``fgvc`` pictures of ``fgvc_classes`` variants.

    The same arguments give the same files, byte for byte. A count of 0 leaves that dataset out.

    Args:
        scene_side: width and height of a scene in pixels; aircraft in it stay 64 to 125 pixels long.
        oriented: whether the labels of scenes are oriented boxes, along the headings; all else is the same.
        touching: whether the aircraft of every second scene stand in rows, wing tip to wing tip.

    Raises:
        UserError: a count is too small for every split to hold every class, or the folder holds such data already.
    """
    problems = []
    if 0 != planesnet < LEAST_CHIPS:
        problems.append(f"planesnet = {planesnet}: at least {LEAST_CHIPS} chips are needed, or 0 for none")
    if 0 != hrplanes < LEAST_SCENES:
        problems.append(f"hrplanes = {hrplanes}: at least {LEAST_SCENES} scenes are needed, or 0 for none")
    if fgvc and fgvc_classes < LEAST_CLASSES:
        problems.append(f"fgvc-classes = {fgvc_classes}: at least {LEAST_CLASSES} are needed")
    if 0 != fgvc < 3 * fgvc_classes:
        problems.append(
            f"fgvc = {fgvc}: at least {3 * fgvc_classes} pictures are needed, one of each of {fgvc_classes} classes in "
            f"each split, or 0 for none; or ask for fewer fgvc-classes"
        )
    if problems:
        raise listed(problems, "synth")
    counts = {"planesnet": planesnet, "hrplanes": hrplanes, "fgvc": fgvc}
    roots = {name: _new(folder, name) for name, count in counts.items() if count}
    if planesnet:
        _write_chips(roots["planesnet"], planesnet, seed)
    if hrplanes:
        _write_scenes(roots["hrplanes"], hrplanes, seed, scene_side, oriented, touching)
    if fgvc:
        _write_photos(roots["fgvc"], fgvc, fgvc_classes, seed)


def _new(folder: Path, name: str) -> Path:
    root = folder / CATALOG[name].folder
    if root.exists() and any(root.iterdir()):
        raise UserError(f"{root} holds files already; give an empty folder, or remove that one")
    root.mkdir(parents=True, exist_ok=True)
    (root / MARKER).write_text("These pictures were drawn by raytune-planes synth.\n", encoding="utf-8")
    return root


def _write_chips(root: Path, count: int, seed: int) -> None:
    """One chip in four shows a plane, as in the real set; every scene has both kinds."""
    shapes = [shape for _, shape in fleet(20)]
    scenes = max(6, round(count / CHIPS_PER_SCENE))

    def chip(number: int) -> planesnet.Chip:
        place, label = number % scenes, int(number // scenes % 4 == 0)
        image_HWC = drawing.chip((seed, number), (seed, place), shapes, label=label)
        name = f"2017{place % 12 + 1:02d}{place // 12 % 28 + 1:02d}_{170000 + place:06d}_{4096 + place:04x}"
        longitude, latitude = round(-118.4 + place * 0.01 + number * 1e-6, 6), round(33.9 + number * 1e-6, 6)
        return planesnet.Chip(image_HWC, label, name, longitude, latitude)

    planesnet.write(root, map(chip, range(count)))


def _write_scenes(root: Path, count: int, seed: int, side: int, oriented: bool, touching: bool) -> None:
    """About one scene in six each for validation and test; every sixth has no aircraft."""
    held_out = max(1, round(count / 6))

    def scene(number: int) -> hrplanes.Scene:
        split = "val" if number < held_out else "test" if number < 2 * held_out else "train"
        image_HWC, boxes, corners = drawing.scene(
            (seed, number), side, empty=number % 6 == 5, touching=touching and number % 2 == 0
        )
        name = f"SYN_{number // 2:03d}" + (" (2)" if number % 2 else "")  # blanks and parentheses, as in the original
        return hrplanes.Scene(name, image_HWC, boxes, split, corners if oriented else ())

    hrplanes.write(root, map(scene, range(count)))


def _write_photos(root: Path, count: int, classes: int, seed: int) -> None:
    craft = fleet(classes)

    def photos() -> Iterator[fgvc.Photo]:
        for number, (split, label) in enumerate(_cells(count, classes)):
            variant, shape = craft[label]
            image_HWC, box = drawing.photo((seed, number), shape)
            yield fgvc.Photo(f"{1000000 + 7 * number}", image_HWC, variant.name, split, box)

    fgvc.write(root, photos(), [variant for variant, _ in craft])


def _cells(count: int, classes: int) -> Iterator[tuple[str, int]]:
    """Split and class of every picture, dealt so that counts differ by one at most."""
    cells = [(split, label) for split in SPLITS for label in range(classes)]
    for place, cell in enumerate(cells):
        yield from [cell] * (count // len(cells) + (place < count % len(cells)))
