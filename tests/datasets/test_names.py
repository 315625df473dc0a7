"""Names of files as old archives and other systems left them, and locales that know no more than ASCII."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from raytune_planes.datasets import files
from raytune_planes.datasets.splits import hash_of
from raytune_planes.printing import printable
from tests.datasets.test_image_folder import reader

CLASSES = (b"caf\xe9", "✈ plane (1)".encode(), b"new\nline", b"long")
SHOWN = ("caf\\xe9", "long", "new\\nline", "✈ plane (1)")
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    random = np.random.default_rng(0)
    for name in CLASSES:
        own = os.path.join(os.fsencode(folder), name)
        os.makedirs(own)
        for n in range(10):
            stem = b"x" * 245 if name == b"long" else "🛩 ".encode()
            with open(os.path.join(own, stem + b"%d.png" % n), "wb") as file:
                Image.fromarray(random.integers(0, 255, (40, 40, 3), np.uint8)).save(file, "PNG")
            Path(os.fsdecode(own), f"._{n}.png").write_bytes(b"\0\5\26\7Mac OS X")
    (folder / "long" / "Thumbs.db").write_bytes(b"x")
    return folder


def test_any_bytes_may_name_a_class_or_a_picture(root: Path) -> None:
    listing = reader(root).scan()
    assert listing.info.classes == SHOWN
    assert listing.info.prompts[0] == "a picture of caf\\xe9"
    assert len(listing.samples) == 40
    for text in (*listing.info.classes, *listing.info.prompts, *listing.warnings):
        assert text.isprintable()
        text.encode()


@pytest.mark.parametrize("locale", [{}, ASCII])
def test_data_tells_the_same_in_any_locale(root: Path, tmp_path: Path, locale: dict[str, str]) -> None:
    command = [sys.executable, "-m", "raytune_planes", "data", str(root), "--json", "--clean", str(tmp_path / "plan")]
    done = subprocess.run(command, env={**os.environ, **locale}, capture_output=True, check=True)
    (told,) = json.loads(done.stdout)
    assert {split: list(counts) for split, counts in told["samples"].items()}["train"] == list(SHOWN)
    here = reader(root).scan()
    counted = {split: sum(counts.values()) for split, counts in told["samples"].items()}
    assert counted == {split: len(index) for split, index in here.splits.items()}
    in_words = subprocess.run(command[:-3], env={**os.environ, **locale}, capture_output=True, check=True)
    assert b"40 pictures" in in_words.stdout


def test_a_name_has_one_hash_in_any_locale() -> None:
    as_ascii = "é".encode().decode("ascii", "surrogateescape")
    assert hash_of(3, as_ascii) == hash_of(3, "é")
    assert hash_of(3, "caf\udce9") != hash_of(3, "café")


def test_what_a_terminal_would_obey_is_written_out() -> None:
    assert printable("a\x1b]0;title\x07b\n") == "a\\x1b]0;title\\x07b\\n"
    assert files.some(["caf\udce9", "b"]) == "caf\\xe9, b"
