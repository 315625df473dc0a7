"""A dataset is decoded once; no half-written, changed or foreign entry is ever read."""

from __future__ import annotations

import gc
import os
import resource
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from raytune_planes.datasets import cache, filling, reopening, storage
from raytune_planes.datasets.base import SPLITS, Arrays, Info, Listing, Reader, Sample
from raytune_planes.datasets.fingerprint import fingerprint
from raytune_planes.datasets.sizes import Sizes
from raytune_planes.errors import UserError


class Dots(Reader):
    """Pictures ``<label>-<number>.png``; the mask shows where the picture is bright."""

    name = "dots"
    source = "nowhere"
    layout = "<label>-<number>.png"
    loads = 0
    splits: ClassVar[tuple[tuple[int, ...], ...]] = ((0, 1), (2,), (3,))

    def scan(self) -> Listing:
        paths = sorted(self.root.glob("*.png"))
        info = Info(
            self.name_in_study, ("no", "yes"), ("no dot", "a dot"), has_masks=True, parents={"family": (0, 0)}, top_k=2
        )
        samples = [Sample(p, int(p.name[0]), p.stem, window=(0, 0, 4, 4)) for p in paths]
        return Listing(info, tuple(samples), dict(zip(SPLITS, self.splits, strict=True)), ("one oddity",), True)

    def load(self, sample: Sample) -> tuple[np.ndarray, np.ndarray | None]:
        type(self).loads += 1
        try:
            with Image.open(sample.path) as picture:
                image = np.asarray(picture.convert("RGB").resize((self.image_size, self.image_size)))
        except OSError as error:
            raise UserError(f"{sample.path} cannot be decoded: {error}") from error
        return image, (image[..., 0] > 127).astype(np.uint8)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return draw(tmp_path / "dots")


def draw(folder: Path, count: int = 6) -> Path:
    folder.mkdir()
    random = np.random.default_rng(0)
    for i in range(count):
        Image.fromarray(random.integers(0, 256, (8, 8, 3), np.uint8)).save(folder / f"{i % 2}-{i}.png")
    return folder


def dots(root: Path, **changes: int) -> Dots:
    return Dots(root, name="dots", **{"image_size": 16, "tile": 320, "seed": 0, **changes})


def entries(folder: Path) -> set[str]:
    return {p.name for p in folder.iterdir() if p.is_dir()}


def same(a: Arrays, b: Arrays) -> bool:
    assert a.masks_NHW is not None
    assert b.masks_NHW is not None
    arrays = [(a.images_NHWC, b.images_NHWC), (a.masks_NHW, b.masks_NHW), (a.labels_N, b.labels_N)]
    arrays += [(a.splits[s], b.splits[s]) for s in SPLITS]
    rest = [(x.info, x.fingerprint, x.synthetic, x.warnings) for x in (a, b)]
    return rest[0] == rest[1] and all(np.array_equal(x, y) and x.dtype == y.dtype for x, y in arrays)


def test_the_sizes_of_the_training_pictures_are_kept(root: Path, tmp_path: Path) -> None:
    for name, size in {"0-0": (30, 20), "0-2": (60, 50), "0-4": (999, 9)}.items():  # the last one validates
        Image.new("RGB", size).save(root / f"{name}.png")
    built, opened = (cache.decode(dots(root), tmp_path / "cache").sizes for _ in range(2))
    assert built == opened == Sizes((30, 60), (20, 50), (1.2, 1.5), 20)


def test_the_arrays_hold_what_the_reader_loads(root: Path, tmp_path: Path) -> None:
    arrays, listing = cache.decode(dots(root), tmp_path / "cache"), dots(root).scan()
    for row, sample in enumerate(listing.samples):
        image, mask = dots(root).load(sample)
        np.testing.assert_array_equal(arrays.images_NHWC[row], image)
        np.testing.assert_array_equal(arrays.masks_NHW[row], mask)  # type: ignore[index]
    assert arrays.labels_N.tolist() == [s.label for s in listing.samples]
    assert {k: tuple(v) for k, v in arrays.splits.items()} == listing.splits
    assert (arrays.info, arrays.synthetic, arrays.warnings) == (listing.info, True, ("one oddity",))
    assert arrays.counts() == {"train": 2, "val": 1, "test": 1}


class Boxed(Dots):
    """Every second picture has two objects."""

    def scan(self) -> Listing:
        listing, boxes = super().scan(), ((0.0, 1.0, 2.0, 4.0), (1.0, 1.0, 3.0, 2.0))
        samples = tuple(replace(s, boxes=boxes if s.label else ()) for s in listing.samples)
        return replace(listing, samples=samples, info=replace(listing.info, has_boxes=True))


def boxed(root: Path, image_size: int = 16) -> Boxed:
    return Boxed(root, name="dots", image_size=image_size, tile=320)


def test_boxes_are_kept_for_readers_that_have_some(root: Path, tmp_path: Path) -> None:
    arrays = cache.decode(boxed(root), tmp_path / "cache")
    again = reopening.open_cached(cache.entry(tmp_path / "cache", arrays.fingerprint))
    for found in (arrays.boxes_NM4, again.boxes_NM4):
        assert found is not None
        assert (found.dtype, found.shape) == (np.float32, (len(arrays.labels_N), 2, 4))
        for boxes_M4, label in zip(found, arrays.labels_N, strict=True):
            expected = [[0, 0.25, 0.5, 1], [0.25, 0.25, 0.75, 0.5]] if label else [[0] * 4] * 2
            np.testing.assert_array_equal(boxes_M4, expected)
    assert cache.decode(dots(root), tmp_path / "cache").boxes_NM4 is None


def test_boxes_do_not_depend_on_the_size_of_the_pictures(root: Path, tmp_path: Path) -> None:
    small, large = (cache.decode(boxed(root, side), tmp_path / "cache").boxes_NM4 for side in (8, 32))
    np.testing.assert_array_equal(small, large)


def test_an_entry_without_its_boxes_is_built_again(root: Path, tmp_path: Path) -> None:
    arrays = cache.decode(boxed(root), tmp_path / "cache")
    folder = cache.entry(tmp_path / "cache", arrays.fingerprint)
    (folder / "boxes.npy").unlink()
    with pytest.raises(UserError, match="no decoded dataset"):
        reopening.open_cached(folder)
    assert cache.decode(boxed(root), tmp_path / "cache").boxes_NM4 is not None


def test_whether_there_are_boxes_changes_the_fingerprint(root: Path) -> None:
    class Unboxed(Boxed):
        def scan(self) -> Listing:
            listing = super().scan()
            return replace(listing, info=replace(listing.info, has_boxes=False))

    Unboxed.__module__, Unboxed.__qualname__ = Boxed.__module__, Boxed.__qualname__
    readers = (boxed(root), Unboxed(root, name="dots", image_size=16, tile=320))
    one, other = (fingerprint(reader, reader.scan()) for reader in readers)
    assert one != other


def test_a_second_call_decodes_nothing_and_gives_the_same(root: Path, tmp_path: Path) -> None:
    first = cache.decode(dots(root), tmp_path / "cache")
    Dots.loads = 0
    second = cache.decode(dots(root), tmp_path / "cache")
    assert Dots.loads == 0
    assert same(first, second)


def test_a_process_without_a_reader_opens_the_entry_by_its_folder(root: Path, tmp_path: Path) -> None:
    arrays = cache.decode(dots(root), tmp_path / "cache")
    assert same(reopening.open_cached(cache.entry(tmp_path / "cache", arrays.fingerprint)), arrays)


def test_the_arrays_are_read_only(root: Path, tmp_path: Path) -> None:
    arrays = cache.decode(dots(root), tmp_path / "cache")
    for array in (arrays.images_NHWC, arrays.masks_NHW, arrays.labels_N, *arrays.splits.values()):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0  # type: ignore[index]


def test_the_decoded_pages_are_mapped_not_copied(root: Path, tmp_path: Path) -> None:
    arrays = cache.decode(dots(root), tmp_path / "cache")
    assert isinstance(arrays.images_NHWC, np.memmap)
    assert isinstance(arrays.masks_NHW, np.memmap)


def test_an_empty_split_is_kept(root: Path, tmp_path: Path) -> None:
    class NoTest(Dots):
        splits = ((0, 1), (2,), ())

    arrays = cache.decode(NoTest(root, name="dots", image_size=16, tile=1), tmp_path / "cache")
    assert arrays.counts() == {"train": 2, "val": 1, "test": 0}
    assert arrays.splits["test"].dtype == np.int64


def test_every_cause_of_other_arrays_changes_the_fingerprint(root: Path, tmp_path: Path) -> None:
    class Other(Dots):
        pass

    class Resplit(Dots):
        splits = ((0, 2), (1,), (3,))

    def of(reader: Reader) -> str:
        return fingerprint(reader, reader.scan())

    seen = [of(dots(root)), of(dots(root, image_size=8)), of(dots(root, tile=100)), of(dots(root, seed=1))]
    seen += [of(kind(root, name="dots", image_size=16, tile=320)) for kind in (Other, Resplit)]
    seen += [of(Dots(root, name="spots", image_size=16, tile=320))]
    os.utime(root / "0-0.png", ns=(1, 1))
    seen += [of(dots(root))]
    (root / "1-1.png").rename(root / "0-1.png")
    seen += [of(dots(root))]
    (root / "0-0.png").write_bytes((root / "0-0.png").read_bytes() + b"\0")
    os.utime(root / "0-0.png", ns=(1, 1))
    seen += [of(dots(root))]
    (root / "0-4.png").unlink()
    seen += [of(dots(root))]
    assert len(set(seen)) == len(seen)
    moved = root.rename(tmp_path / "moved")
    assert of(dots(moved)) == seen[-1], "the place of the folder does not matter"


def test_a_changed_file_is_decoded_again(root: Path, tmp_path: Path) -> None:
    before = cache.decode(dots(root), tmp_path / "cache")
    Image.new("RGB", (8, 8), (9, 9, 9)).save(root / "0-0.png")
    after = cache.decode(dots(root), tmp_path / "cache")
    assert (after.images_NHWC[0] == 9).all()
    assert not (before.images_NHWC[0] == 9).all()


def test_progress_ends_at_the_number_of_pictures(root: Path, tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    cache.decode(dots(root), tmp_path / "cache", progress=lambda done, total: steps.append((done, total)), workers=2)
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)
    assert steps[-1] == (6, 6)
    assert len(steps) > 1


def test_samples_of_one_file_go_to_one_worker_in_a_row() -> None:
    scenes = [Path(f"scene{k}") for k, tiles in enumerate((1, 300, 2, 40, 1)) for _ in range(tiles)]
    samples = tuple(Sample(path, 0, path.name) for path in scenes)
    runs = list(filling.runs(samples, workers=2))
    assert [row for run in runs for row in run] == list(range(len(samples)))
    assert all(scenes[a.stop - 1] != scenes[b.start] for a, b in pairwise(runs))
    assert len(runs) > 1


def test_every_worker_has_a_reader_of_its_own(root: Path, tmp_path: Path) -> None:
    class Remembers(Dots):
        owner = 0

        def load(self, sample: Sample) -> tuple[np.ndarray, np.ndarray | None]:
            self.owner = self.owner or threading.get_ident()
            assert self.owner == threading.get_ident()
            time.sleep(0.002)
            return super().load(sample)

    draw(tmp_path / "many", 40)
    reader = Remembers(tmp_path / "many", name="dots", image_size=16, tile=1)
    cache.decode(reader, tmp_path / "cache", workers=4)
    assert reader.owner == 0


def test_an_unreadable_picture_is_named_and_leaves_no_entry(root: Path, tmp_path: Path) -> None:
    (root / "1-3.png").write_bytes((root / "1-3.png").read_bytes()[:60])
    with pytest.raises(UserError, match=r"1-3\.png cannot be decoded"):
        cache.decode(dots(root), tmp_path / "cache")
    assert entries(tmp_path / "cache") == set()


def test_many_unreadable_pictures_are_counted_and_the_first_are_named(root: Path, tmp_path: Path) -> None:
    for path in root.iterdir():
        path.write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"(?s)^6 pictures cannot be decoded.*0-0\.png.*and 1 more") as caught:
        cache.decode(dots(root), tmp_path / "cache")
    assert str(caught.value).count(".png") == 5 * str(caught.value).splitlines()[1].count(".png")


def test_a_picture_that_vanished_is_named(root: Path) -> None:
    reader = dots(root)
    listing = reader.scan()
    (root / "0-2.png").unlink()
    with pytest.raises(UserError, match=r"0-2\.png is listed but cannot be read: No such file"):
        fingerprint(reader, listing)


def test_a_folder_that_is_no_entry_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no decoded dataset at .*nothing"):
        reopening.open_cached(tmp_path / "nothing")


def test_a_cache_folder_that_cannot_be_made_is_refused(root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"the cache folder .*file/cache cannot be used"):
        cache.decode(dots(root), tmp_path / "file" / "cache")


def test_a_full_disk_is_said_and_leaves_nothing(root: Path, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
    try:
        with pytest.raises(UserError, match=r"the cache folder .* cannot be used: .*File too large"):
            cache.decode(dots(root), tmp_path / "cache")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert entries(tmp_path / "cache") == set()
    cache.decode(dots(root), tmp_path / "cache")


def test_an_entry_cut_short_is_built_again(root: Path, tmp_path: Path) -> None:
    arrays = cache.decode(dots(root), tmp_path / "cache")
    folder = cache.entry(tmp_path / "cache", arrays.fingerprint)
    expected = arrays.images_NHWC.copy()
    del arrays
    for damage in ("images.npy", "labels.npy", "info.json"):
        content = (folder / damage).read_bytes()
        (folder / damage).write_bytes(content[: len(content) // 2])
        with pytest.raises(UserError, match="no decoded dataset"):
            reopening.open_cached(folder)
        again = cache.decode(dots(root), tmp_path / "cache")
        np.testing.assert_array_equal(again.images_NHWC, expected)
        (folder / damage).unlink()
        np.testing.assert_array_equal(cache.decode(dots(root), tmp_path / "cache").images_NHWC, expected)


def test_the_default_folder_follows_the_desktop_convention(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.default_cache() == tmp_path / "raytune-planes"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache.default_cache() == tmp_path / "home" / ".cache" / "raytune-planes"


SLOW = textwrap.dedent("""
    import sys, time
    from pathlib import Path
    from raytune_planes.datasets import cache
    from tests.datasets.test_cache import Dots

    seconds = float(sys.argv[3])

    class Slow(Dots):
        def load(self, sample):
            time.sleep(seconds)
            print("loading", flush=True)
            return super().load(sample)

    Slow.__module__, Slow.__qualname__ = Dots.__module__, Dots.__qualname__
    arrays = cache.decode(Slow(Path(sys.argv[1]), name="dots", image_size=16, tile=320), Path(sys.argv[2]), workers=1)
    print("open", arrays.fingerprint, flush=True)
    if len(sys.argv) > 4:
        sys.stdin.read()
""")


@contextmanager
def elsewhere(root: Path, folder: Path, seconds: float, *hold: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", SLOW, str(root), str(folder), str(seconds), *hold]
    repository = Path(__file__).resolve().parents[2]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=repository) as process:
        try:
            yield process
        finally:
            process.kill()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_build_killed_in_the_middle_is_never_read_and_the_next_one_succeeds(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    with elsewhere(root, folder, 0.2) as process:
        assert line(process) == "loading"
        process.send_signal(signal.SIGKILL)
        process.wait()
    (left,) = entries(folder)
    assert left.startswith(storage.BUILDING)
    with pytest.raises(UserError, match="no decoded dataset"):
        reopening.open_cached(folder / left)
    Dots.loads = 0
    arrays = cache.decode(dots(root), folder)
    assert Dots.loads == 6
    assert entries(folder) == {arrays.fingerprint}, "what the killed process left is removed"


def test_two_processes_that_build_the_same_both_end_right(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    with elsewhere(root, folder, 0.05) as process:
        assert line(process) == "loading"
        ours = cache.decode(dots(root), folder)
        while (said := line(process)) == "loading":
            pass
        assert said == f"open {ours.fingerprint}"
        assert process.wait() == 0
    assert entries(folder) == {ours.fingerprint}
    assert same(cache.decode(dots(root), folder), ours)


def test_many_threads_that_build_the_same_all_end_right(root: Path, tmp_path: Path) -> None:
    results: list[Arrays] = []
    threads = [
        threading.Thread(target=lambda: results.append(cache.decode(dots(root), tmp_path / "cache"))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    assert all(same(results[0], other) for other in results)
    assert entries(tmp_path / "cache") == {results[0].fingerprint}


def test_the_entries_opened_longest_ago_are_evicted(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    prints = [cache.decode(dots(root, seed=seed), folder).fingerprint for seed in range(3)]
    gc.collect()
    for age, name in enumerate(reversed(prints)):
        os.utime(folder / name, (time.time() - 100 - age,) * 2)
    size = sum(f.stat().st_size for f in (folder / prints[0]).iterdir())
    reopening.open_cached(folder / prints[0])
    newest = cache.decode(dots(root, seed=3), folder, limit_bytes=3 * size + size // 2).fingerprint
    assert entries(folder) == {prints[0], prints[2], newest}


def test_the_entry_in_use_stays_even_above_the_limit(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    first = cache.decode(dots(root), folder, limit_bytes=1)
    view = first.images_NHWC[2:]
    expected = view.copy()
    second = cache.decode(dots(root, seed=1), folder, limit_bytes=1)
    assert entries(folder) == {first.fingerprint, second.fingerprint}, "both are open in this process"
    name = first.fingerprint
    del first
    gc.collect()
    cache.decode(dots(root, seed=1), folder, limit_bytes=1)
    assert name in entries(folder), "a view counts as use"
    np.testing.assert_array_equal(view, expected)
    del view
    gc.collect()
    cache.decode(dots(root, seed=1), folder, limit_bytes=1)
    assert entries(folder) == {second.fingerprint}


def test_entries_open_in_another_process_and_its_builds_are_not_removed(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    with elsewhere(root, folder, 0, "hold") as holder:
        while (said := line(holder)) == "loading":
            pass
        name = said.removeprefix("open ")
        other = cache.decode(dots(root, seed=1), folder, limit_bytes=1)
        assert entries(folder) == {name, other.fingerprint}
    cache.decode(dots(root, seed=1), folder, limit_bytes=1)
    assert entries(folder) == {other.fingerprint}
    with elsewhere(root, folder, 0.2) as builder:
        assert line(builder) == "loading"
        cache.decode(dots(root, seed=2), folder)
        assert any(name.startswith(storage.BUILDING) for name in entries(folder))


def test_folders_that_are_no_entries_are_left_alone(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    (folder / "mine").mkdir(parents=True)
    (folder / "mine" / "images.npy").write_bytes(b"0" * 10_000)
    cache.decode(dots(root), folder, limit_bytes=1)
    assert (folder / "mine" / "images.npy").exists()
