"""For every reader, over random additions to a sound folder: what was used and what is named is all that was given."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from raytune_planes.config import Dataset
from raytune_planes.datasets import reader
from raytune_planes.datasets.synthetic import synthesise
from raytune_planes.errors import UserError
from raytune_planes.printing import in_number
from tests.datasets.label_formats.exports import BOXES, coco, scene, voc, yolo
from tests.datasets.label_formats.test_dota import archive
from tests.datasets.test_image_folder import classes
from tests.datasets.test_survey import accounted, given_files

BOX = "0 0.5 0.5 0.1 0.1\n"
CONTENTS: Mapping[str, str] = {
    **{
        "notes.txt": "by me\n",
        ".hidden": "x",
        "Thumbs.db": "x",
        "a.txt": BOX,
        "labels.csv": "filename,label\n1.png,a\n",
    },
    **{
        "a.xml": "<annotation></annotation>",
        "b.xml": "<svg></svg>",
        "other.json": "[1]",
        "data.yaml": "names: [plane]\n",
    },
    **{
        "more.json": json.dumps({"images": [], "annotations": [], "categories": []}),
        "photo.heic": "\0\0\0\x18ftypheic",
    },
}
PICTURES = ("1.png", "2.jfif", "3", "a.jpg")
FOLDERS = (
    *(".", "images", "img", "labels", "train", "train/images", "valid/images", "sample", "masks/big_jet", "big_jet"),
    *("lost+found", "__MACOSX", "JPEGImages", "Annotations", "data/images", "data/images_cropped", "deep/er"),
)


def _yolo(root: Path) -> None:
    for split, count in (("train", 4), ("valid", 2), ("test", 2)):
        for n in range(count):
            scene(root / split / "images" / f"{split}{n}.png")
            yolo(root / split / "labels" / f"{split}{n}.txt")


def _coco(root: Path) -> None:
    for n in range(6):
        scene(root / "images" / f"{n}.png")
    coco(root / "annotations.json", {f"{n}.png": BOXES for n in range(6)})


def _voc(root: Path) -> None:
    for n in range(6):
        scene(root / "JPEGImages" / f"00{n}.png")
        voc(root / "Annotations" / f"00{n}.xml")


def _public(folder: str) -> Callable[[Path], None]:
    def write(root: Path) -> None:
        with tempfile.TemporaryDirectory() as made:
            synthesise(Path(made), planesnet=24, hrplanes=3, fgvc=24, fgvc_classes=2, seed=0)
            shutil.copytree(Path(made) / folder, root, dirs_exist_ok=True)

    return write


SOUND: Mapping[str, tuple[str, Callable[[Path], object]]] = {
    "class folders": ("image_folder", classes),
    "class folders in splits": ("image_folder", lambda root: [classes(root / s, 4) for s in ("train", "val", "test")]),
    "a list of labels": ("image_folder", lambda root: _listed(root)),
    "YOLO": ("hrplanes", _yolo),
    "DOTA": ("hrplanes", archive),
    "COCO": ("hrplanes", _coco),
    "Pascal VOC": ("hrplanes", _voc),
    "PlanesNet": ("planesnet", _public("planesnet")),
    "HRPlanes": ("hrplanes", _public("hrplanes")),
    "FGVC": ("fgvc", _public("fgvc-aircraft-2013b")),
}
"""Reader, and what writes a folder that it reads."""
CLASSES = {"DOTA": "plane"}
"""That count as planes, where there are several."""


def _listed(root: Path) -> None:
    for n in range(12):
        scene(root / f"{n}.png", size=(16, 16), boxes=())
    (root / "all.csv").write_text("filename,label\n" + "".join(f"{n}.png,{'ab'[n % 2]}\n" for n in range(12)))


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    made = {name: tmp_path_factory.mktemp("sound") / "root" for name in SOUND}
    for name, (_, write) in SOUND.items():
        made[name].mkdir()
        write(made[name])
    return made


@pytest.mark.parametrize("name", SOUND)
def test_everything_is_used_or_named_whatever_lies_beside(name: str, sound: Mapping[str, Path]) -> None:
    taken = 0

    @settings(max_examples=40, deadline=None, derandomize=True, database=None)
    @given(
        st.sets(st.tuples(st.sampled_from(FOLDERS), st.sampled_from((*CONTENTS, *PICTURES))), max_size=5),
        st.sets(st.sampled_from(("empty", "images/empty", "link", "gone")), max_size=2),
    )
    def holds(more: set[tuple[str, str]], odd: set[str]) -> None:
        nonlocal taken
        with tempfile.TemporaryDirectory() as made:
            root = Path(made) / "root"
            shutil.copytree(sound[name], root)
            for folder, file in sorted(more):
                add(root / folder / file)
            for what in sorted(odd):
                strange(root / what)
            try:
                config = Dataset(reader=SOUND[name][0], root=str(root), tile=64, classes=CLASSES.get(name, ""))
                listing = reader("mine", config, None).scan()
            except UserError as refusal:
                assert str(refusal).strip()
                return
            taken += 1
            read, named = accounted(listing, root)
            assert read & named == set()
            assert read | named == given_files(root)
            told = " ".join(listing.warnings)
            for reason, names in listing.account.left_out.items():
                assert f"{in_number(len(names), reason)}: " in told
            assert {sample.path for sample in listing.samples} <= read

    holds()
    assert taken >= 8, "nearly all trees were refused, and the property was not tried"


def add(path: Path) -> None:
    """One more file, unless it would change one of the sound folder."""
    if path.exists() or any(parent.is_file() for parent in path.parents):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.name in CONTENTS:
        path.write_text(CONTENTS[path.name])
    else:
        Image.new("RGB", (192, 128), (9, 9, 9)).save(path, "PNG")


def strange(path: Path) -> None:
    """An empty folder, a link to a folder or a link to nothing."""
    if path.name == "empty":
        path.mkdir(parents=True, exist_ok=True)
    elif path.name == "link":
        os.symlink(next((p for p in sorted(path.parent.iterdir()) if p.is_dir()), path.parent), path)
    else:
        os.symlink(path.parent / "nothing", path)
