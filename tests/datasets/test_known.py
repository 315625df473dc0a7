"""A dataset whose files have not changed is found in the cache without reading one of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from raytune_planes.config import Dataset
from raytune_planes.datasets import cache, reader, storage
from raytune_planes.datasets.base import Reader
from raytune_planes.datasets.cleaning import Plan
from raytune_planes.datasets.hrplanes import HRPlanes, Scene, write
from tests.datasets.test_cache import Dots, dots, draw, same


def scenes(root: Path, count: int = 12) -> Path:
    """A folder of scenes whose files are not of this moment."""
    random = np.random.default_rng(0)
    parts = ["train"] * (count - 4) + ["val", "val", "test", "test"]
    write(
        root,
        [
            Scene(f"scene ({i})", random.integers(0, 256, (64, 96, 3), np.uint8), ((10.0, 10.0, 30.0, 30.0),), part)
            for i, part in enumerate(parts)
        ],
    )
    return aged(root)


def aged(root: Path) -> Path:
    for path in root.rglob("*"):
        os.utime(path, (1_700_000_000, 1_700_000_000))
    return root


def hrplanes(root: Path, **settings: object) -> Reader:
    return reader("hrplanes", Dataset(**{"root": str(root), "image_size": 16, "tile": 32, **settings}), None)


OPENED = textwrap.dedent("""
    import json, sys
    from pathlib import Path
    opened = []

    def heard(event, arguments):
        if event == "open" and str(arguments[0]).startswith(sys.argv[1]):
            opened.append(str(arguments[0]))

    from tests.datasets.test_known import hrplanes
    from raytune_planes.datasets import cache
    sys.addaudithook(heard)
    arrays = cache.decode(hrplanes(Path(sys.argv[1])), Path(sys.argv[2]))
    print(json.dumps([arrays.fingerprint, list(arrays.warnings), arrays.counts(), opened]))
""")


def test_an_unchanged_folder_is_found_without_opening_one_of_its_files(tmp_path: Path) -> None:
    """Counted by the interpreter itself, in processes of their own: pictures, labels and lists alike."""
    root = scenes(tmp_path / "scenes")
    (root / "notes.md").write_text("of no use")
    aged(root)

    def run() -> list[object]:
        command = [sys.executable, "-c", OPENED, str(root), str(tmp_path / "cache")]
        done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=True)
        return json.loads(done.stdout)  # type: ignore[no-any-return]

    first, second = run(), run()
    assert len([p for p in set(first[3]) if p.endswith(".jpg")]) == 12  # type: ignore[call-overload]
    assert second == [*first[:3], []], "the same entry, the same warnings on every file, and nothing opened"
    assert any("notes.md" in warning for warning in second[1])  # type: ignore[attr-defined]


def change_a_picture(root: Path) -> None:
    path = root / "img" / "scene (3).jpg"
    path.write_bytes((root / "img" / "scene (4).jpg").read_bytes())
    os.utime(path, (1_700_000_000, 1_700_000_001))


def change_a_label_in_place(root: Path) -> None:
    """Neither its size nor its time tells: as an editor that puts the time back, or an archive unpacked over it."""
    path = root / "img" / "scene (3).txt"
    text = path.read_text()
    path.write_text(text.replace("0.208333", "0.308333"))
    assert path.read_text() != text
    os.utime(path, (1_700_000_000, 1_700_000_000))


def add_a_picture(root: Path) -> None:
    (root / "img" / "more.jpg").write_bytes((root / "img" / "scene (4).jpg").read_bytes())
    aged(root)


def remove_a_picture(root: Path) -> None:
    (root / "img" / "scene (3).jpg").unlink()


def rename_a_picture(root: Path) -> None:
    (root / "img" / "scene (3).jpg").rename(root / "img" / "scene (3b).jpg")


def add_a_hidden_file(root: Path) -> None:
    (root / "img" / ".hidden").write_text("it is accounted for as well")
    aged(root)


def add_an_empty_folder(root: Path) -> None:
    (root / "img" / "empty").mkdir()


def change_a_list(root: Path) -> None:
    lines = (root / "test.txt").read_text().splitlines()
    (root / "test.txt").write_text(lines[0] + "\n")
    aged(root)


@pytest.mark.parametrize(
    "change",
    [
        change_a_picture,
        change_a_label_in_place,
        add_a_picture,
        remove_a_picture,
        rename_a_picture,
        add_a_hidden_file,
        add_an_empty_folder,
        change_a_list,
    ],
)
def test_what_was_changed_added_or_removed_is_noticed(tmp_path: Path, change: Callable[[Path], None]) -> None:
    """The answer is that of a cache that has never seen the folder."""
    root = scenes(tmp_path / "scenes")
    before = cache.decode(hrplanes(root), tmp_path / "cache")
    change(root)
    after = cache.decode(hrplanes(root), tmp_path / "cache")
    fresh = cache.decode(hrplanes(root), tmp_path / "other")
    assert same(after, fresh)
    assert (after.fingerprint, after.warnings) != (before.fingerprint, before.warnings)


def listings(root: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Decodes, and tells how often the folder was listed for it."""
    times = 0
    scan = HRPlanes.scan

    def counted(self: HRPlanes) -> object:
        nonlocal times
        times += 1
        return scan(self)

    monkeypatch.setattr(HRPlanes, "scan", counted)

    def decode(plan: Plan | None = None, **settings: object) -> int:
        before = times
        cache.decode(hrplanes(root, **settings), folder, plan=plan)
        return times - before

    return decode


def test_every_setting_that_decides_the_listing_is_asked_for_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = scenes(tmp_path / "scenes")
    decode = listings(root, tmp_path / "cache", monkeypatch)
    plan = Plan({"img/scene (3).jpg": "unreadable"})
    asked = [{}, {"image_size": 24}, {"tile": 24}, {"classes": "0"}, {"max_pixels": 10_000}, {"follow_links": True}]
    assert [decode(**settings) for settings in asked] == [1] * 6
    assert decode(plan) == 1
    assert [decode(**settings) for settings in asked] == [0] * 6
    assert decode(plan) == 0
    assert decode(replace(plan, drop={"img/scene (2).jpg": "unreadable"})) == 1


def test_files_of_this_moment_are_listed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within the grain of a file's time a second change would leave no trace."""
    root = scenes(tmp_path / "scenes")
    decode = listings(root, tmp_path / "cache", monkeypatch)
    os.utime(root / "img" / "scene (1).jpg")
    assert [decode(), decode()] == [1, 1]
    aged(root)
    assert [decode(), decode()] == [1, 0]


def test_an_entry_that_was_removed_or_cut_short_is_built_again(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    arrays = cache.decode(dots(root), folder)
    expected = arrays.images_NHWC.copy()
    entry = cache.entry(folder, arrays.fingerprint)
    del arrays
    (entry / "images.npy").write_bytes((entry / "images.npy").read_bytes()[:200])
    np.testing.assert_array_equal(cache.decode(dots(root), folder).images_NHWC, expected)
    storage.discard(entry)
    Dots.loads = 0
    np.testing.assert_array_equal(cache.decode(dots(root), folder).images_NHWC, expected)
    assert Dots.loads == 6


def test_what_is_kept_of_a_folder_may_be_damaged(root: Path, tmp_path: Path) -> None:
    arrays = cache.decode(dots(root), tmp_path / "cache")
    (kept,) = (tmp_path / "cache").glob(".known-*")
    for damage in (b"", b"{}", b"[1]", b'{"files": 3}', b"\xff"):
        kept.write_bytes(damage)
        assert same(cache.decode(dots(root), tmp_path / "cache"), arrays)


def test_links_are_followed_to_what_they_show(root: Path, tmp_path: Path) -> None:
    """Stores of contents give all files one size and time; a link that leads elsewhere shows another picture."""
    folder, store = tmp_path / "cache", tmp_path / "store"
    root.rename(store)
    root.mkdir()
    for path in store.iterdir():
        (root / path.name).symlink_to(path)
    before = cache.decode(dots(root), folder)
    size = (store / "0-2.png").stat().st_size
    other = store / "other.png"
    other.write_bytes((store / "0-0.png").read_bytes()[:size].ljust(size, b"\0"))
    os.utime(other, (1_700_000_000, 1_700_000_000))
    (root / "0-2.png").unlink()
    (root / "0-2.png").symlink_to(other)
    after = cache.decode(dots(root), folder)
    np.testing.assert_array_equal(after.images_NHWC[1], before.images_NHWC[0])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return aged(draw(tmp_path / "dots"))
