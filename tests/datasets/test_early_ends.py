"""Decoding beside a training ends in good order: given up while it waits, failed at once, taken over by others."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from raytune_planes.datasets import cache, early, pending, reopening
from raytune_planes.datasets.base import Arrays, Listing
from raytune_planes.datasets.early import TAKEN_OVER, Early
from raytune_planes.datasets.pending import BrokenPictures, Pending, State
from raytune_planes.errors import UserError
from tests.datasets.test_building import building_in
from tests.datasets.test_cache import Dots, dots, draw, elsewhere
from tests.datasets.test_early import (  # noqa: F401  its fixtures
    COUNT,
    Broken,
    Gated,
    begun,
    every_size_begins_early,
    gated,
    in_a_thread,
    root,
    until,
)


def test_who_is_stopped_while_it_waits_for_another_process_ends_at_once(root: Path, tmp_path: Path) -> None:  # noqa: F811
    said, ends = list[str](), list[BaseException]()

    def ask() -> None:
        try:
            cache.decode(dots(root), tmp_path / "cache", at_once=True, say=said.append)
        except BaseException as error:
            ends.append(error)

    with elsewhere(root, tmp_path / "cache", 600):
        until(lambda: building_in(tmp_path / "cache"))
        asking = in_a_thread(ask)
        until(lambda: bool(said))
        stopping = in_a_thread(early.stop)
        for thread in (stopping, asking):
            thread.join(60)
            assert not thread.is_alive()
    assert [type(error) for error in ends] == [early.Stopped]


def test_an_error_before_the_first_row_is_seen_at_once(tmp_path: Path) -> None:
    class Slow(Early):
        def _run(self) -> None:
            super()._run()
            time.sleep(0.3)

    def build(_: Early) -> None:
        raise UserError("no space")

    job = Slow(tmp_path / "x", build)
    job.start()
    assert job.is_over


def test_an_error_after_the_first_row_is_told_where_the_rows_are_gone_before_they_are_opened(
    root: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened = reopening.open_cached

    def late(folder: Path) -> Arrays:
        until(lambda: bool(early.broken()))
        return opened(folder)

    monkeypatch.setattr(reopening, "open_cached", late)
    Gated.may.release(COUNT)
    with pytest.raises(UserError, match=r"0-2\.png"):
        cache.decode(Broken(root, name="dots", image_size=16, tile=320), tmp_path / "cache", at_once=True)


def test_what_the_decoder_tells_a_moment_after_its_folder_is_gone_is_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pending, "LOOK_S", 0.0)
    state, looks = State.made(tmp_path / "state.npy", 3), list[int]()

    def lives() -> bool:
        looks.append(1)
        if len(looks) == 2:
            state.tell("0-2.png cannot be decoded")
        return False

    with pytest.raises(BrokenPictures, match=r"0-2\.png"):
        Pending(draw_rows(3), state, lives)[1]


def draw_rows(count: int) -> np.ndarray:
    return np.zeros((count, 2, 2, 3), np.uint8)


def test_a_reason_with_the_name_of_a_file_in_no_encoding_is_told(tmp_path: Path) -> None:
    state = State.made(tmp_path / "state.npy", 3)
    state.tell("a\udcff.png cannot be decoded")
    assert state.told == "a\\udcff.png cannot be decoded"


@pytest.mark.parametrize("again", [True, False])
def test_who_waits_for_rows_that_another_process_decodes_by_now_is_told(again: bool, tmp_path: Path) -> None:
    rooms = [tmp_path / "a", tmp_path / "b"][: 1 + again]

    def build(job: Early) -> None:
        for room in rooms:
            room.mkdir()
            job.begin(room, 3)
        if again:
            job.done(range(3), ())

    early.started(tmp_path / "x", build).finish()
    assert State(rooms[0] / pending.STATE).told == TAKEN_OVER
    assert not again or State(rooms[1] / pending.STATE).told == ""


def test_what_is_being_filled_counts_toward_the_limit_of_the_cache(root: Path, tmp_path: Path) -> None:  # noqa: F811
    def decode(reader: Dots) -> object:
        limit = COUNT * 16 * 16 * 4 * 3 // 2
        return cache.decode(reader, tmp_path / "cache", workers=1, at_once=True, limit_bytes=limit).images_NHWC

    assert isinstance(decode(gated(root)), Pending)
    assert isinstance(decode(gated(root)), Pending), "it has its place already"
    # The first is not let go on: once it is whole, it may be removed, and then there is a place.
    more = Dots(draw(tmp_path / "more", COUNT + 1), name="dots", image_size=16, tile=320)
    assert not isinstance(decode(more), Pending)


class Listed(Gated):
    scans: ClassVar[list[Path]] = []

    def scan(self) -> Listing:
        self.scans.append(self.root)
        return super().scan()


def test_pictures_that_are_being_decoded_are_not_listed_again(root: Path, tmp_path: Path) -> None:  # noqa: F811
    for path in root.iterdir():
        os.utime(path, (1e9, 1e9))
    for _ in range(3):
        begun(Listed(root, name="dots", image_size=16, tile=320), tmp_path / "cache")
    assert len(Listed.scans) == 1
