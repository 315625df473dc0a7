"""Processes that ask for one entry of the cache at the same time: one builds it, the others wait."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from raytune_planes.datasets import building, cache, storage
from raytune_planes.datasets.fingerprint import fingerprint
from raytune_planes.paths import bytes_below
from tests.datasets.test_cache import Dots, dots, draw, elsewhere, entries, line, same


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return draw(tmp_path / "dots")


def holder(folder: Path, name: str, **who: object) -> Path:
    """What a builder of another machine, which renews it no longer, left in a folder without common locks."""
    claim = folder / f"{storage.BUILDING}{name}"
    (claim / "half").mkdir(parents=True)
    (claim / building.ALIVE).write_text(json.dumps({"machine": "another", "host": "far", "pid": 1, **who}))
    return claim


def building_in(folder: Path) -> bool:
    return folder.is_dir() and any(name.startswith(storage.BUILDING) for name in entries(folder))


def test_of_processes_that_ask_for_one_entry_one_decodes_it(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    with elsewhere(root, folder, 0.5) as first, elsewhere(root, folder, 0.5) as second:
        while not building_in(folder):
            time.sleep(0.01)
        Dots.loads = 0
        ours = cache.decode(dots(root), folder)
        told = [process.communicate()[0].split() for process in (first, second)]
    assert Dots.loads + sum(words.count("loading") for words in told) == 6
    assert [words[-1] for words in told] == [ours.fingerprint] * 2
    assert entries(folder) == {ours.fingerprint}
    assert same(cache.decode(dots(root), folder), ours)


def test_who_waits_says_for_whom(root: Path, tmp_path: Path) -> None:
    folder, said = tmp_path / "cache", list[str]()
    with elsewhere(root, folder, 0.1) as process:
        assert line(process) == "loading"
        Dots.loads = 0
        cache.decode(dots(root), folder, say=said.append)
        assert Dots.loads == 0
    host = os.uname().nodename
    assert said == [f"dots: waiting for process {process.pid} on {host}, which is decoding the same pictures"]


def test_of_threads_that_ask_for_one_entry_one_decodes_it(root: Path, tmp_path: Path) -> None:
    Dots.loads = 0
    threads = [threading.Thread(target=cache.decode, args=(dots(root), tmp_path / "cache")) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Dots.loads == 6


def test_a_killed_builder_frees_the_entry_for_one_that_waits(root: Path, tmp_path: Path) -> None:
    folder, said = tmp_path / "cache", list[str]()
    with elsewhere(root, folder, 30) as process:
        while not building_in(folder):
            time.sleep(0.01)

        def kill(_: str) -> None:
            said.append("waits")
            process.send_signal(signal.SIGKILL)

        Dots.loads = 0
        ours = cache.decode(dots(root), folder, say=kill)
    assert said == ["waits"]
    assert Dots.loads == 6
    assert entries(folder) == {ours.fingerprint}


def test_a_builder_that_fails_lets_the_next_one_build(root: Path, tmp_path: Path) -> None:
    entry = tmp_path / "cache" / "it"
    entry.parent.mkdir()

    def fail(room: Path) -> None:
        (room / "half").write_text("x")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        building.once(entry, lambda: entry.is_dir() or None, fail)
    assert entries(entry.parent) == set()
    assert building.once(entry, lambda: entry.is_dir() or None, lambda room: _write(room / "whole", "all"))
    assert (entry / "whole").read_text() == "all"


def _write(path: Path, text: str) -> None:
    path.write_text(text)


def test_a_builder_of_another_machine_is_waited_for_until_it_is_no_longer_renewed(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its locks may not be seen here: what is seen is the time of its file."""
    monkeypatch.setattr(building, "STALE_S", 1.0)
    folder = tmp_path / "cache"
    reader = dots(root)
    claim = holder(folder, fingerprint(reader, reader.scan()))
    renewals = 0

    def renew() -> None:
        nonlocal renewals
        for _ in range(10):
            time.sleep(0.2)
            assert claim.is_dir(), "it was taken for dead while it was renewed"
            os.utime(claim / building.ALIVE)
            renewals += 1

    thread = threading.Thread(target=renew)
    thread.start()
    said: list[str] = []
    arrays = cache.decode(reader, folder, say=said.append)
    thread.join()
    assert renewals == 10
    assert said == ["dots: waiting for process 1 on far, which is decoding the same pictures"]
    assert entries(folder) == {arrays.fingerprint}


def test_a_builder_that_was_taken_for_dead_opens_what_the_other_built(tmp_path: Path) -> None:
    """It slept, say: what it builds after that reaches nobody, and nothing half-built takes the entry's place."""
    entry = tmp_path / "it"
    built: list[str] = []

    def ready() -> str | None:
        return (entry / "whole").read_text() if (entry / "whole").is_file() else None

    def build(room: Path) -> None:
        built.append(room.name)
        if len(built) == 1:
            shutil.rmtree(room.parent)  # the other one has waited for long enough
            holder(tmp_path, "it")
            (tmp_path / f"{storage.BUILDING}it" / "half").rename(entry)
            shutil.rmtree(tmp_path / f"{storage.BUILDING}it")
            _write(entry / "whole", "the other's")
        _write(room / "whole", "ours")

    assert building.once(entry, ready, build) == "the other's"
    assert len(built) == 1
    assert entries(tmp_path) == {"it"}


def test_what_builders_of_other_machines_left_is_removed_after_an_hour(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    old, new = holder(folder, "a" * 32), holder(folder, "b" * 32)
    os.utime(old / building.ALIVE, (time.time() - 4000,) * 2)
    arrays = cache.decode(dots(root), folder)
    assert entries(folder) == {arrays.fingerprint, new.name}


def test_a_build_says_that_it_lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "RENEW_S", 0.05)
    entry, times = tmp_path / "it", set[int]()

    def build(room: Path) -> None:
        deadline = time.monotonic() + 30
        while len(times) < 3 and time.monotonic() < deadline:
            times.add((room.parent / building.ALIVE).stat().st_mtime_ns)
            time.sleep(0.01)

    assert building.once(entry, lambda: entry.is_dir() or None, build)
    assert len(times) == 3


@pytest.fixture
def giving_up(tmp_path: Path) -> Iterator[Path]:
    """A cache in which another builder begins an entry and gives it up, again and again."""
    room, over = tmp_path / f"{storage.BUILDING}x" / "half", threading.Event()

    def build() -> None:
        while not over.is_set():
            room.mkdir(parents=True)
            (room / storage.WITNESS).touch()
            shutil.rmtree(room.parent)

    builder = threading.Thread(target=build)
    builder.start()
    yield tmp_path
    over.set()
    builder.join()


@pytest.mark.parametrize(
    "look",
    [
        storage.used_bytes,
        bytes_below,
        lambda cache: building.room_here(cache / "x", storage.WITNESS),
    ],
    ids=["used_bytes", "bytes_below", "room_here"],
)
def test_a_builder_may_give_up_while_the_cache_is_looked_at(look: Callable[[Path], object], giving_up: Path) -> None:
    for _ in range(1000):
        look(giving_up)
