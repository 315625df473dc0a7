"""PlanesNet: 20 x 20 satellite chips with and without a plane, as a folder of PNG files or as one json file."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image

from raytune_planes.datasets import files, images, layouts, splits
from raytune_planes.datasets.base import SPLITS, Info, Listing, Reader, Sample
from raytune_planes.datasets.survey import Survey, left_out_warnings
from raytune_planes.errors import UserError
from raytune_planes.printing import counted

SIDE = 20
"""Pixels of a chip's side."""
CLASSES = ("no plane", "plane")
PROMPTS = (
    "a satellite image of the ground without an airplane",
    "a satellite image of an airplane seen from above",
)


@dataclass(frozen=True)
class Chip:
    """One image of the set."""

    image_HWC: np.ndarray
    """uint8 [20, 20, 3]."""
    label: int
    """1 for a plane."""
    scene: str
    """The satellite scene that it was cut from, e.g. ``20170121_175133_0e14``."""
    longitude: float
    latitude: float

    @property
    def stem(self) -> str:
        return f"{self.label}__{self.scene}__{self.longitude}_{self.latitude}"


@dataclass(frozen=True)
class _Table:
    """The json file, decoded once."""

    images_NHWC: np.ndarray
    labels: tuple[int, ...]
    scenes: tuple[str, ...]


class PlanesNet(Reader):
    """Splits by scene: 7,703 negatives of the full set are shifted crops of a positive of the same scene."""

    name: ClassVar[str] = "planesnet"
    source: ClassVar[str] = (
        "https://www.kaggle.com/datasets/rhammell/planesnet (Planet Labs / R. Hammell, CC BY-SA 4.0); "
        "unpack planesnet.zip there"
    )
    layout: ClassVar[str] = """
        planesnet/
            planesnet/                                 (this level may be missing)
                0__{scene}__{longitude}_{latitude}.png
                1__{scene}__{longitude}_{latitude}.png
            planesnet.json                             (read only where there are no PNG files)
    """

    extent_m: ClassVar[float] = 60.0
    chip: ClassVar[int] = SIDE
    _table: _Table | None = None

    def scan(self) -> Listing:
        root = files.expect_root(self)
        survey = Survey(root, self.options.links)
        samples, warnings = _chips(survey)
        if not samples:
            tables = [path for path in survey.files if path.name == "planesnet.json"]
            if not tables:
                raise files.absent(
                    self,
                    f"{root} holds neither chips (*.png) nor planesnet.json",
                    layouts.recognised(survey, f"datasets.{self.name_in_study}"),
                )
            samples, warnings = self._rows(tables[0])
        if len({sample.label for sample in samples}) < 2:
            raise UserError(
                f"{root}: all {len(samples):,} chips have one label; planes (1__) and others (0__) are needed"
            )
        parts = splits.by_group([s.group for s in samples], [s.label for s in samples], seed=self.seed)
        if not all(parts[split] for split in SPLITS):
            scenes = len({s.group for s in samples})
            raise UserError(
                f"{root}: {counted(scenes, 'scene')} cannot be split into train, val and test; 3 or more are needed"
            )
        info = Info(self.name_in_study, CLASSES, PROMPTS)
        survey.read(sample.path for sample in samples)
        account = survey.account()
        warnings += left_out_warnings(account.left_out)
        return Listing(info, tuple(samples), parts, tuple(warnings), survey.synthetic, account=account)

    def load(self, sample: Sample) -> tuple[np.ndarray, None]:
        if sample.row is None:
            return self.show(sample.path), None
        chip_HWC = self._read(sample.path).images_NHWC[sample.row]
        return images.Picture(Image.fromarray(chip_HWC), SIDE, SIDE).crop(self.image_size), None

    def size(self, sample: Sample) -> tuple[int, int]:
        return super().size(sample) if sample.row is None else (SIDE, SIDE)

    def whole(self, sample: Sample) -> images.Picture:
        if sample.row is None:
            return super().whole(sample)
        return images.Picture(Image.fromarray(self._read(sample.path).images_NHWC[sample.row]), SIDE, SIDE)

    def _rows(self, path: Path) -> tuple[list[Sample], list[str]]:
        table = self._read(path)
        samples = [Sample(path, a, s, row=n) for n, (a, s) in enumerate(zip(table.labels, table.scenes, strict=True))]
        contents = [chip.tobytes() for chip in table.images_NHWC]
        return samples, _contradictions(samples, contents)

    def _read(self, path: Path) -> _Table:
        if self._table is None:
            self._table = _parse(path)
        return self._table


def write(root: Path, chips: Iterable[Chip], *, as_json: bool = False) -> None:
    """Write chips as PNG files in the doubled folder of the public archive, or as its ``planesnet.json`` alone."""
    folder = root / "planesnet"
    root.mkdir(parents=True, exist_ok=True)
    if as_json:
        chips = list(chips)
        table = {
            "data": [chip.image_HWC.transpose(2, 0, 1).ravel().tolist() for chip in chips],
            "labels": [chip.label for chip in chips],
            "locations": [[chip.longitude, chip.latitude] for chip in chips],
            "scene_ids": [chip.scene for chip in chips],
        }
        (root / "planesnet.json").write_text(json.dumps(table), encoding="utf-8")
        return
    folder.mkdir(exist_ok=True)
    for chip in chips:
        Image.fromarray(chip.image_HWC).save(folder / f"{chip.stem}.png")


def _chips(survey: Survey) -> tuple[list[Sample], list[str]]:
    samples: dict[str, Sample] = {}
    strange, twice = [], []
    for path in survey.pictures:
        parts = path.stem.split("__")  # the scene's own name holds single underscores
        if len(parts) != 3 or parts[0] not in ("0", "1"):
            strange.append(path)
        elif path.name in samples:
            twice.append(path)
        else:
            samples[path.name] = Sample(path, int(parts[0]), parts[1], place=_place(parts[2]))
    survey.leave("pictures not named label__scene__location, left out", strange)
    survey.leave("chips present again in another folder, taken once", twice)
    chips = list(samples.values())
    return chips, _contradictory_files(chips)


def _place(text: str) -> tuple[float, float] | None:
    try:
        longitude, latitude = (float(part) for part in text.split("_"))
    except ValueError:
        return None
    return longitude, latitude


def _contradictory_files(samples: Sequence[Sample]) -> list[str]:
    """Compares only files of one scene and one length, so that few of them are read."""
    alike: dict[tuple[str, int], list[Sample]] = defaultdict(list)
    for sample in samples:
        alike[sample.group, sample.path.stat().st_size].append(sample)
    suspects = [s for group in alike.values() if len({s.label for s in group}) > 1 for s in group]
    return _contradictions(suspects, [s.path.read_bytes() for s in suspects])


def _contradictions(samples: Sequence[Sample], contents: Sequence[bytes]) -> list[str]:
    labels: dict[tuple[str, bytes], set[int]] = defaultdict(set)
    for sample, content in zip(samples, contents, strict=True):
        labels[sample.group, content].add(sample.label)
    both = Counter(len(its_labels) for its_labels in labels.values())[2]
    return [f"{counted(both, 'chip')} with both labels, kept though not all of it can be right"] if both else []


def _parse(path: Path) -> _Table:
    try:
        table = json.loads(path.read_bytes())
        data_NV = np.array(table["data"], dtype=np.uint8).reshape(-1, 3, SIDE, SIDE)
        labels, scenes = [int(label) for label in table["labels"]], [str(scene) for scene in table["scene_ids"]]
    except (ValueError, TypeError, OverflowError) as error:  # bad JSON and bad UTF-8 are ValueErrors
        raise UserError(f"{path} is not PlanesNet's json: {error}") from None
    except KeyError as error:
        raise UserError(f"{path} is not PlanesNet's json: it lacks the list {error}") from None
    if not len(data_NV) == len(labels) == len(scenes):
        raise UserError(
            f"{path}: its lists differ in length: {len(data_NV)} data, {len(labels)} labels, {len(scenes)} scenes"
        )
    if not set(labels) <= {0, 1}:
        raise UserError(f"{path}: labels are 0 or 1, found {files.some(sorted(set(labels)))}")
    return _Table(np.ascontiguousarray(data_NV.transpose(0, 2, 3, 1)), tuple(labels), tuple(scenes))
