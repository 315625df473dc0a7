"""Rows are used while others are decoded: the same numbers, what is asked for comes first, and failures are told."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from raytune_planes.datasets import cache, early, pending, reopening, storage
from raytune_planes.datasets.base import Arrays, Sample
from raytune_planes.datasets.early import FILES_AT_ONCE
from raytune_planes.datasets.pending import STATE, BrokenPictures, Pending, State
from raytune_planes.errors import UserError
from raytune_planes.records import End
from raytune_planes.tuning.failures import end_by
from tests.datasets.test_cache import Dots, dots, draw, entries, same

COUNT = 30


class Gated(Dots):
    """Loads as many pictures as it is let."""

    order: ClassVar[list[int]] = []
    may = threading.Semaphore(0)
    begun = threading.Event()

    def load(self, sample: Sample) -> tuple[np.ndarray, np.ndarray | None]:
        type(self).begun.set()
        assert type(self).may.acquire(timeout=60)
        type(self).order.append(int(sample.path.stem.split("-")[1]))
        return super().load(sample)


@pytest.fixture(autouse=True)
def every_size_begins_early(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(cache, "SMALL_BYTES", 0)
    Gated.order, Gated.may, Gated.begun = [], threading.Semaphore(0), threading.Event()
    yield
    Gated.may.release(1000)
    early.stop()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return draw(tmp_path / "dots", COUNT)


def gated(root: Path) -> Gated:
    return Gated(root, name="dots", image_size=16, tile=320)


def in_a_thread(do: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=do, daemon=True)
    thread.start()
    return thread


def until(holds: Callable[[], bool]) -> None:
    for _ in range(6000):
        if holds():
            return
        time.sleep(0.01)
    pytest.fail("it did not come about within a minute")


def begun(reader: Dots, folder: Path) -> Arrays:
    arrays = cache.decode(reader, folder, workers=1, at_once=True)
    assert isinstance(arrays.images_NHWC, Pending)
    return arrays


def test_what_is_asked_for_is_decoded_next(root: Path, tmp_path: Path) -> None:
    arrays, seen = begun(gated(root), tmp_path / "cache"), list[np.ndarray]()
    names = [sample.path for sample in gated(root).scan().samples]
    row = 23
    assert Gated.begun.wait(60), "the first files are taken before anything is asked for"
    waiting = in_a_thread(lambda: seen.append(arrays.images_NHWC[np.array([row])]))
    (state,) = (tmp_path / "cache").glob(f"{storage.BUILDING}*/*/{STATE}")
    until(lambda: State(state).asked_N[row] == 1)
    Gated.may.release(FILES_AT_ONCE)
    until(lambda: len(Gated.order) == FILES_AT_ONCE)
    assert waiting.is_alive(), "nobody may read what is not there"
    Gated.may.release(1)
    waiting.join(60)
    assert Gated.order[-1] == int(names[row].stem.split("-")[1])
    np.testing.assert_array_equal(seen[0][0], dots(root).load(dots(root).scan().samples[row])[0])


def test_it_ends_as_an_entry_that_equals_one_that_was_waited_for(root: Path, tmp_path: Path) -> None:
    Gated.may.release(COUNT)
    told: list[tuple[int, int]] = []
    arrays = cache.decode(
        gated(root), tmp_path / "cache", at_once=True, progress=lambda done, of: told.append((done, of))
    )
    whole = cache.decode(gated(root), tmp_path / "other") if not Gated.may.release(COUNT) else None
    assert whole is not None
    assert same(arrays, whole), "also while it is decoded"
    early.finish(lambda _: None)
    assert told[-1] == (COUNT, COUNT), "how far it has come is told after training began too"
    assert entries(tmp_path / "cache") == {arrays.fingerprint}
    kept, as_usual = (cache.entry(tmp_path / name, arrays.fingerprint) for name in ("cache", "other"))
    assert {p.name: p.read_bytes() for p in kept.iterdir()} == {p.name: p.read_bytes() for p in as_usual.iterdir()}
    Gated.order = []
    assert same(cache.decode(gated(root), tmp_path / "cache", at_once=True), whole)
    assert Gated.order == []


def test_a_second_call_of_this_process_joins_the_first(root: Path, tmp_path: Path) -> None:
    first = begun(gated(root), tmp_path / "cache")
    second = begun(gated(root), tmp_path / "cache")
    Gated.may.release(COUNT)
    assert same(first, second)
    assert sorted(Gated.order) == list(range(COUNT))


def test_another_process_opens_it_and_gets_what_it_asks_for(root: Path, tmp_path: Path) -> None:
    arrays = begun(gated(root), tmp_path / "cache")
    folder = cache.entry(tmp_path / "cache", arrays.fingerprint)
    code = f"""
        from pathlib import Path
        from raytune_planes.datasets.reopening import is_here, open_cached
        folder = Path({str(folder)!r})
        assert is_here(folder)
        arrays = open_cached(folder)
        print(type(arrays.images_NHWC).__name__, arrays.fingerprint, int(arrays.images_NHWC[29].astype(int).sum()))
        print(int(arrays.images_NHWC[:].astype(int).sum()))
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        (state,) = (tmp_path / "cache").glob(f"{storage.BUILDING}*/*/{STATE}")
        until(lambda: State(state).asked_N[29] == 1)
        Gated.may.release(FILES_AT_ONCE + 1)
        told = process.stdout.readline().split()
        Gated.may.release(COUNT)
        everything = int(process.stdout.readline())
    whole = cache.decode(dots(root), tmp_path / "other").images_NHWC.astype(int)
    assert told == ["Pending", folder.name, str(whole[29].sum())]
    assert everything == whole.sum()


class Broken(Gated):
    def load(self, sample: Sample) -> tuple[np.ndarray, np.ndarray | None]:
        found = super().load(sample)
        if sample.path.stem in ("0-2", "1-5"):
            raise UserError(f"{sample.path} cannot be decoded")
        return found


def test_broken_pictures_end_every_training_with_all_their_names(root: Path, tmp_path: Path) -> None:
    arrays = begun(Broken(root, name="dots", image_size=16, tile=320), tmp_path / "cache")
    Gated.may.release(COUNT)
    with pytest.raises(BrokenPictures, match=r"(?s)0-2\.png.*1-5\.png") as told:
        arrays.images_NHWC[:]
    outcome = end_by(told.value)
    assert (outcome["end"], outcome["ends_study"]) == (End.INTERRUPTED.value, True)
    until(lambda: bool(early.broken()))
    assert "0-2.png" in early.broken()
    with pytest.raises(UserError, match=r"(?s)the results stand.*1-5\.png"):
        early.finish(lambda _: None)
    assert early.broken() == ""
    assert entries(tmp_path / "cache") == set()


def test_who_waits_for_a_process_that_is_gone_is_told(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pending, "LOOK_S", 0.05)
    code = f"""
        import time
        from pathlib import Path
        from raytune_planes.datasets import cache
        from tests.datasets.test_cache import Dots
        class Slow(Dots):
            def load(self, sample):
                time.sleep(600)
        Slow.__module__, Slow.__qualname__ = Dots.__module__, Dots.__qualname__
        cache.SMALL_BYTES = 0
        reader = Slow(Path({str(root)!r}), name="dots", image_size=16, tile=320)
        print(cache.decode(reader, Path({str(tmp_path / "cache")!r}), at_once=True).fingerprint, flush=True)
        time.sleep(600)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    ) as process:
        assert process.stdout is not None
        folder = cache.entry(tmp_path / "cache", process.stdout.readline().strip())
        arrays = reopening.open_cached(folder)
        process.kill()
        process.wait()
        with pytest.raises(BrokenPictures, match="has ended; start again"):
            arrays.images_NHWC[0]
    assert not reopening.is_here(folder)
    assert same(cache.decode(dots(root), tmp_path / "cache"), cache.decode(dots(root), tmp_path / "other"))


def test_what_is_given_up_leaves_nothing_and_tells_who_waits(root: Path, tmp_path: Path) -> None:
    arrays = begun(gated(root), tmp_path / "cache")
    stopping = in_a_thread(early.stop)
    until(lambda: not early._running)
    Gated.may.release(FILES_AT_ONCE)
    stopping.join(60)
    assert entries(tmp_path / "cache") == set()
    with pytest.raises(BrokenPictures, match="decoding has ended"):
        arrays.images_NHWC[29]


def test_a_training_picture_without_a_size_is_named_before_anything_is_used(root: Path, tmp_path: Path) -> None:
    (root / "0-0.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"0-0\.png"):
        cache.decode(dots(root), tmp_path / "cache", at_once=True)
    assert entries(tmp_path / "cache") == set()


@pytest.mark.parametrize("why", ["small", "over the limit", "several sizes"])
def test_what_cannot_begin_early_is_waited_for(
    why: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside, limit = [dots(root, image_size=8)] if why == "several sizes" else [], 2**30
    if why == "small":
        monkeypatch.undo()
    if why == "over the limit":
        limit = 1000
    reader = dots(root)
    arrays = cache.decode(reader, tmp_path / "cache", at_once=True, beside=beside, limit_bytes=limit)
    assert not isinstance(arrays.images_NHWC, Pending)
    assert not early._running
    assert os.path.isdir(cache.entry(tmp_path / "cache", arrays.fingerprint))
