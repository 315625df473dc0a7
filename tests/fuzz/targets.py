"""Everything that reads what others wrote, as functions of bytes: each may refuse with UserError, and nothing else."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, cast

import numpy as np
import tifffile
import torch
import yaml
from PIL import Image

from raytune_planes.datasets import data_yaml, fgvc_labels, images, reader, yolo
from raytune_planes.datasets.depth import range_of
from raytune_planes.datasets.label_formats import coco, dota, voc
from raytune_planes.datasets.links import Links
from raytune_planes.datasets.opening import DAMAGE, opened, unreadable
from raytune_planes.datasets.survey import Survey
from raytune_planes.errors import UserError
from raytune_planes.records import Action, Decision, EpochRecord
from raytune_planes.settings import defaults, load, make_config, parse_assignments
from raytune_planes.space import FOLDER as SPACES
from raytune_planes.space import load_space, packaged
from raytune_planes.tracking import files, reading
from raytune_planes.tracking.jsonl import JsonlTracker
from raytune_planes.training import checkpoint
from tests.tracking.studies import play, three_trials


@dataclass(frozen=True)
class Target:
    """One reader."""

    read: Callable[[bytes, Path], object]
    """Reads the bytes, perhaps by way of files below the folder. What else it raises is a fault of ours."""
    seeds: Callable[[], tuple[bytes, ...]]
    """Sound inputs, to be changed a little: noise alone never gets past the first check."""


def attempt(target: Target, data: bytes, folder: Path) -> bool:
    """Whether the input was taken; False when it was refused."""
    try:
        target.read(data, folder)
    except UserError as refusal:
        assert str(refusal).strip(), "a refusal must say why"
        return False
    return True


def _file(name: str, read: Callable[[Path], object]) -> Callable[[bytes, Path], object]:
    def through(data: bytes, folder: Path) -> object:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return read(path)

    return through


def _spaces() -> tuple[bytes, ...]:
    return tuple((SPACES / f"{name}.yaml").read_bytes() for name in packaged())


def _configs() -> tuple[bytes, ...]:
    return (yaml.safe_dump(defaults()).encode(), b"optim:\n  lr: 0.001\nbudget.epochs: 3\n")


def _words(data: bytes, folder: Path) -> object:
    return make_config(parse_assignments(data.decode("utf-8", "replace").split("\n")))


def _epochs() -> tuple[bytes, ...]:
    rest = Decision("fgvc", Action.REST, 2, "no gain")
    records = [
        EpochRecord(n, 6 * n, 48 * n, {"val/fgvc/accuracy": 0.1 * n}, ("fgvc",), (rest,), 1.5, n) for n in (1, 2)
    ]
    return ("".join(map(reading.epoch_to_line, records)).encode(),)


@cache
def _study() -> Mapping[str, bytes]:
    """The files of a small study, by name."""
    with TemporaryDirectory() as folder:
        play(JsonlTracker(Path(folder)), trials=three_trials()[:1])
        return {path.name: path.read_bytes() for path in Path(folder).rglob("*.json")}


def _of_study(name: str) -> Callable[[], tuple[bytes, ...]]:
    return lambda: (_study()[name],)


def _trial(name: str) -> Callable[[bytes, Path], object]:
    """A damaged file of a trial beside a sound study: the study is read, and the damage told."""

    def through(data: bytes, folder: Path) -> object:
        trial = folder / files.TRIALS / "0000-ab00"
        if not (folder / files.STUDY).is_file():
            for file in (files.STUDY, files.TRIAL, files.END):
                path = folder / file if file == files.STUDY else trial / file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(_study()[file])
        (trial / name).write_bytes(data)
        study = reading.read_study(folder)
        assert study.trials or study.warnings, "a trial that cannot be read must be told of"
        return study

    return through


def _chips(data: bytes, folder: Path) -> object:
    (folder / "planesnet.json").write_bytes(data)
    return reader(
        "planesnet", make_config().datasets["planesnet"].model_copy(update={"root": str(folder)}), folder
    ).scan()


def _table() -> tuple[bytes, ...]:
    rows = 8
    data = {
        "data": np.zeros((rows, 1200), np.uint8).tolist(),
        "labels": [n // 4 for n in range(rows)],
        "locations": [[0.5, 1.5]] * rows,
        "scene_ids": [f"scene{n % 4}" for n in range(rows)],
    }
    return (json.dumps(data).encode(),)


def _labels(data: bytes, folder: Path) -> object:
    """The label files of FGVC-Aircraft, cut out of one input at lines of ``==``."""
    names = ("variants.txt", "images_variant_train.txt", "images_variant_val.txt", "images_variant_test.txt")
    more = (
        "families.txt",
        "images_family_train.txt",
        "images_family_val.txt",
        "images_family_test.txt",
        "images_box.txt",
    )
    for name, part in zip((*names, *more), data.split(b"\n==\n"), strict=False):
        (folder / name).write_bytes(part)
    return fgvc_labels.read(folder)


def _label_files() -> tuple[bytes, ...]:
    train, val, test = b"0001 A 320\n0002 DC-3", b"0003 A 320", b"0004 DC-3"
    families = [part.replace(b"A 320", b"Airbus") for part in (train, val, test)]
    boxes = b"0001 1 2 30 40\n0002 0 5 9 9"
    return (b"\n==\n".join([b"A 320\nDC-3", train, val, test, b"Airbus\nDC-3", *families, boxes]),)


def _label_lines() -> tuple[bytes, ...]:
    return b"0 0.5 0.5 0.1 0.2\n", b"0.0 0.5 0.5 0.1 0.2 0.9\n", b"1 0.1 0.2 0.3 0.1 0.4 0.3 0.2 0.4\n"


def _export(
    name: str, read: Callable[[Survey, Mapping[Path, tuple[int, int]]], object]
) -> Callable[[bytes, Path], object]:
    """A label file beside two pictures."""

    def through(data: bytes, folder: Path) -> object:
        sizes = {folder / "a.png": (640, 480), folder / "b" / "a.png": (64, 48)}
        (folder / "b").mkdir(exist_ok=True)
        for path, size in sizes.items():
            if not path.exists():
                Image.new("L", size).save(path)
        (folder / name).write_bytes(data)
        return read(Survey(folder, Links()), sizes)

    return through


def _objects() -> tuple[bytes, ...]:
    boxes = [{"image_id": 1, "category_id": 3, "bbox": [1, 2, 3, 4], "iscrowd": 0, "segmentation": []}]
    boxes += [{"image_id": 1, "category_id": 3, "segmentation": [[1, 2, 3, 4, 5, 6]]}]
    masks = [{"size": [48, 64], "counts": counts} for counts in ("T3d0Xl2", [100, 20, 2952])]
    boxes += [{"image_id": 2, "category_id": 3, "segmentation": mask} for mask in masks]
    images = [{"id": 1, "file_name": "a.png", "width": 640, "height": 480}, {"id": 2, "file_name": "b/a.png"}]
    table = {"images": images, "annotations": boxes, "categories": [{"id": 3, "name": "plane"}]}
    return (json.dumps(table).encode(),)


def _elements() -> tuple[bytes, ...]:
    box = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>30</xmax><ymax>40</ymax></bndbox>"
    turned = "<robndbox><cx>50</cx><cy>60</cy><w>20</w><h>10</h><angle>1.5</angle></robndbox>"
    outline = "<polygon><x1>8</x1><y1>16</y1><x2>40</x2><y2>20</y2><x3>30</x3><y3>48</y3></polygon>"
    size = "<size><width>640</width><height>480</height></size>"
    objects = "".join(f"<object><name>plane</name>{shape}</object>" for shape in (box, turned, outline))
    return (f"<annotation><filename>a.png</filename>{size}{objects}</annotation>".encode(),)


def _csv(data: bytes, folder: Path) -> object:
    for name, part in zip(("train.csv", "val.csv", "test.csv"), data.split(b"\n==\n"), strict=False):
        (folder / name).write_bytes(part)
    return fgvc_labels.read_csv(folder)


def _lists(data: bytes, folder: Path) -> object:
    names = [Path(f"/data/img/{name}") for name in ("a.jpg", "b (1).jpg", "c.jpg")]
    lists = {}
    for split, part in zip(("train", "val", "test"), data.split(b"\n==\n"), strict=False):
        lists[split] = folder / f"{split}.txt"
        lists[split].write_bytes(part)
    return yolo.assign(lists, names)


def _picture(data: bytes, folder: Path) -> object:
    path = folder / "picture.jpg"
    path.write_bytes(data)
    images.size_of(path)
    try:
        values = range_of(lambda: opened(path), str(path))
    except DAMAGE as error:
        raise unreadable(path, error) from None
    return images.load(path, 16, values=values)


def _many_bands() -> tuple[bytes, ...]:
    """TIFF files of five bands, side by side and one after the other, plain and compressed."""
    kinds: tuple[tuple[type, dict[str, object]], ...] = (
        (np.uint8, {"planarconfig": "contig"}),
        (np.uint16, {"planarconfig": "separate"}),
        (np.float32, {"planarconfig": "contig", "compression": "zlib", "tile": (16, 16)}),
    )
    made = []
    for kind, how in kinds:
        kept, shape = io.BytesIO(), (5, 20, 24) if how["planarconfig"] == "separate" else (20, 24, 5)
        tifffile.imwrite(kept, np.arange(2400).reshape(shape).astype(kind), photometric="minisblack", **how)
        made.append(kept.getvalue())
    return tuple(made)


def _pictures(*forms: str) -> Callable[[], tuple[bytes, ...]]:
    """One picture in each of the formats, and for TIFF in the modes and compressions that people have."""

    def made() -> tuple[bytes, ...]:
        image = Image.fromarray(np.arange(24 * 20 * 3, dtype=np.uint8).reshape(24, 20, 3))
        deep = Image.fromarray(np.arange(24 * 20, dtype=np.uint16).reshape(24, 20))
        variants: list[tuple[Image.Image, str, dict[str, object]]] = [(image, form, {}) for form in forms]
        if "TIFF" in forms:
            variants += [(image, "TIFF", {"compression": name}) for name in ("tiff_lzw", "tiff_deflate", "jpeg")]
            variants += [(deep, "TIFF", {}), (deep.convert("F"), "TIFF", {}), (deep.convert("I"), "TIFF", {})]
        variants += [(deep, form, {}) for form in forms if form in ("PNG", "PPM")]
        variants += [(image.quantize(8), form, {}) for form in forms if form in ("PNG", "GIF", "BMP")]
        files = []
        for picture, form, options in variants:
            kept = io.BytesIO()
            picture.save(kept, form, **options)  # type: ignore[arg-type]
            files.append(kept.getvalue())
        return tuple(files)

    return made


def _not_read() -> tuple[bytes, ...]:
    """Formats that Pillow knows and this project does not read; PostScript is one that would start a program."""
    image = Image.fromarray(np.arange(24 * 20 * 3, dtype=np.uint8).reshape(24, 20, 3))
    files = []
    for form in ("EPS", "PCX", "TGA", "SGI", "ICO", "PDF", "DDS", "QOI"):
        kept = io.BytesIO()
        image.save(kept, form)
        files.append(kept.getvalue())
    return tuple(files)


def _refused(data: bytes, folder: Path) -> object:
    """Content of another format under a picture's suffix: the refusal is the right answer, and no program starts."""
    try:
        return _picture(data, folder)
    except UserError as refusal:
        return str(refusal)


def _checkpoint(data: bytes, folder: Path) -> object:
    """With a checksum that fits, in both forms: a stranger can compute one."""
    path = folder / "last.pt"
    path.write_bytes(checkpoint.BEFORE + hashlib.sha256(data).digest() + data)
    try:
        checkpoint.load(path)
    except UserError as refusal:
        assert str(refusal).strip(), "a refusal must say why"
    path.write_bytes(data + checkpoint.MARK + hashlib.sha256(data).hexdigest().encode())
    return checkpoint.load(path)


def _checkpoints() -> tuple[bytes, ...]:
    kept = io.BytesIO()
    sealing = checkpoint.Sealing(kept)
    torch.save({"format": checkpoint.FORMAT, "epoch": 2, "weights": {"a": torch.arange(3)}}, cast("IO[bytes]", sealing))
    sealing.seal()
    return (kept.getvalue()[: -checkpoint.COMMENT],)


TARGETS: Mapping[str, Target] = {
    "space": Target(_file("mine.yaml", load_space), _spaces),
    "config": Target(_file("best.yaml", lambda path: make_config(load(path))), _configs),
    "words": Target(_words, lambda: (b"optim.lr=1e-3\nbudget.epochs=3\nstopping.rule=none",)),
    "epochs": Target(_file("epochs.jsonl", reading.read_epochs), _epochs),
    "study": Target(_file("study.json", lambda path: reading.read_ends(path.parent)), _of_study("study.json")),
    "trial": Target(_trial(files.TRIAL), _of_study("trial.json")),
    "end": Target(_trial(files.END), _of_study("end.json")),
    "planesnet": Target(_chips, _table),
    "boxes": Target(_file("a.txt", lambda path: yolo.read_boxes(path, 640, 480)), _label_lines),
    "dota": Target(
        _file("a.txt", lambda path: dota.read_boxes(path, 640, 480)),
        lambda: (b"imagesource:GoogleEarth\ngsd:0.1\n1 2 30.5 2 30 40 1 40 plane 0\n1 2 3 2 3 4 1 4 ship 1",),
    ),
    "coco": Target(_export("x.json", coco.read), _objects),
    "voc": Target(_export("a.xml", voc.read), _elements),
    "data.yaml": Target(
        _export("data.yaml", lambda survey, sizes: (data_yaml.class_names(survey), data_yaml.splits(survey, [*sizes]))),
        lambda: (b"path: .\ntrain: ../train/images\nval: [b, a.txt]\nnames: {0: a, 1: b}", b"train: a.png\nnames: [x]"),
    ),
    "lists": Target(_lists, lambda: (b"x/a.jpg\n==\nb (1).jpg\n==\n\xef\xbb\xbfc.jpg",)),
    "fgvc": Target(_labels, _label_files),
    "csv": Target(_csv, lambda: (b"filename,Classes,Labels\n1.jpg,A,0\n==\n2.jpg,B,1\n==\n3.jpg,A,0",)),
    "picture": Target(_picture, _pictures("PNG", "JPEG", "BMP", "WEBP")),
    "tiff": Target(_picture, _pictures("TIFF")),
    "bands": Target(
        lambda data, _: images.decode(data, shown=("2", "1", "3"), most=100_000, values=(0, 1000)), _many_bands
    ),
    "more pictures": Target(_picture, _pictures("GIF", "PPM", "AVIF", "JPEG2000")),
    "strange pictures": Target(_refused, _not_read),
    "checkpoint": Target(_checkpoint, _checkpoints),
}
"""By name."""
