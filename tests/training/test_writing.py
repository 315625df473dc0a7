"""Checkpoints are written beside the training: as they were when they were taken, in order, and no error is lost."""

from __future__ import annotations

import logging
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from raytune_planes.records import EpochRecord
from raytune_planes.training import checkpoint
from raytune_planes.training.checkpoint import Checkpoint
from raytune_planes.training.workers import LocalWorker
from raytune_planes.training.writing import Writer, snapshot
from raytune_planes.tuning.reporter import Reporter


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """The disk takes nothing before this is set."""
    opened, save = threading.Event(), Checkpoint.save

    def waiting(self: Checkpoint, folder: Path) -> None:
        opened.wait()
        save(self, folder)

    monkeypatch.setattr(Checkpoint, "save", waiting)
    yield opened
    opened.set()


def test_the_training_goes_on_and_the_file_holds_what_was_handed_over(tmp_path: Path, gate: threading.Event) -> None:
    weight, told, numbers = torch.zeros(3), ["one"], np.zeros(2)
    with Writer() as writer:
        state = {"model": {"a": weight}, "told": told, "pair": (weight, 1), "numbers": torch.from_numpy(numbers)}
        writer.save(Checkpoint(state, {"weights": {"a": weight}}, True), tmp_path)
        assert list(tmp_path.iterdir()) == [], "the disk is busy, and the trainer has its thread back"
        weight.add_(1)
        told.append("two")
        numbers += 1
        gate.set()
    for name, room in (("last.pt", "model"), ("best.pt", "weights")):
        assert checkpoint.load(tmp_path / name)[room]["a"].tolist() == [0, 0, 0]
    last = checkpoint.load(tmp_path / "last.pt")
    assert (last["told"], last["pair"][0].tolist(), last["numbers"].tolist()) == (["one"], [0, 0, 0], [0, 0])


def test_checkpoints_are_written_in_order_and_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order, save = list[tuple[str, int]](), Checkpoint.save

    def noted(self: Checkpoint, folder: Path) -> None:
        order.append(("begins", self.state["epoch"]))
        save(self, folder)
        order.append(("ends", self.state["epoch"]))

    monkeypatch.setattr(Checkpoint, "save", noted)
    with Writer() as writer:
        for epoch in (1, 2, 3):
            writer.save(Checkpoint({"epoch": epoch}, {"epoch": epoch}, epoch < 3), tmp_path)
    assert order == [(what, epoch) for epoch in (1, 2, 3) for what in ("begins", "ends")]
    assert [checkpoint.load(tmp_path / name)["epoch"] for name in ("best.pt", "last.pt")] == [2, 3]


def test_what_cannot_be_written_is_raised_by_the_next_call_or_at_the_end(tmp_path: Path) -> None:
    content = Checkpoint({"epoch": 1}, {}, False)
    writer = Writer()
    writer.save(content, tmp_path / "gone")
    with pytest.raises(FileNotFoundError, match="gone"):
        writer.save(content, tmp_path)
    writer.save(content, tmp_path)
    writer.flush()
    assert checkpoint.load(tmp_path / "last.pt")["epoch"] == 1
    with pytest.raises(FileNotFoundError, match="gone"), writer:
        writer.save(content, tmp_path / "gone")


def test_what_must_not_be_there_before_a_checkpoint_follows_it_or_is_left_out(tmp_path: Path) -> None:
    content, found = Checkpoint({"epoch": 1}, {}, True), list[list[str]]()

    def note() -> None:
        found.append(sorted(path.name for path in tmp_path.iterdir()))

    with Writer() as writer:
        writer.save(content, tmp_path, note)
    assert found == [["best.pt", "last.pt", "val.npz"]]
    with pytest.raises(FileNotFoundError), Writer() as writer:
        writer.save(content, tmp_path / "gone", note)
    assert len(found) == 1


def test_a_folder_that_has_vanished_is_not_made_again(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Checkpoint({}, {}, True).save(tmp_path / "gone")
    assert not (tmp_path / "gone").exists()


def test_an_error_of_the_training_is_not_replaced_by_one_of_the_disk(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def train() -> None:
        with Writer() as writer:
            writer.save(Checkpoint({}, {}, False), tmp_path / "gone")
            raise ValueError("the training")

    with caplog.at_level(logging.WARNING), pytest.raises(ValueError, match="the training"):
        train()
    assert "the last checkpoint was not written" in caplog.text


def test_a_trial_has_ended_when_its_last_checkpoint_is_on_the_disk(
    tmp_path: Path, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ray.tune.report", lambda told: None)
    with Reporter(tmp_path, LocalWorker("cpu")) as report:
        report(EpochRecord(1, 4, 32, {}), Checkpoint({"epoch": 1}, {}, True))
        assert not (tmp_path / "last.pt").exists()
        threading.Timer(0.1, gate.set).start()
    assert checkpoint.load(tmp_path / "last.pt")["epoch"] == 1
    assert (tmp_path / "best.pt").is_file()


def test_what_shares_memory_is_copied_once(tmp_path: Path) -> None:
    weight = torch.arange(6.0)
    whole, column = weight.view(2, 3), weight.view(2, 3)[:, 0]
    taken = snapshot(Checkpoint({"model": {"a": whole}, "column": column}, {"weights": {"a": whole}}, True))
    copies = taken.state["model"]["a"], taken.model["weights"]["a"]
    assert copies[0].data_ptr() == copies[1].data_ptr() != whole.data_ptr()
    assert taken.state["column"].tolist() == [0, 3]
    empty = snapshot(Checkpoint({"a": torch.zeros(0, 2), "b": torch.zeros(0, 3)}, {}, False))
    assert [tuple(empty.state[name].shape) for name in "ab"] == [(0, 2), (0, 3)]


def test_no_copy_of_the_file_is_made_in_memory(tmp_path: Path) -> None:
    content = {"weights": {"a": torch.zeros(2**21)}}
    checkpoint.save(content, tmp_path / "best.pt")
    tracemalloc.start()
    try:
        checkpoint.save(content, tmp_path / "best.pt")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (tmp_path / "best.pt").stat().st_size > 2**23
    assert peak < 2**20
