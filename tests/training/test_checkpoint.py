"""A checkpoint is whole or it is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from raytune_planes.errors import UserError
from raytune_planes.training import checkpoint


def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path) -> None:
    checkpoint.save({"weights": {"a": torch.arange(3)}, "epoch": 2}, tmp_path / "deep" / "last.pt")
    got = checkpoint.load(tmp_path / "deep" / "last.pt")
    assert got["epoch"] == 2
    assert torch.equal(got["weights"]["a"], torch.arange(3))
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["last.pt"]


@pytest.mark.parametrize("cut", [1, 40, 200])
def test_a_checkpoint_cut_short_is_refused(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "last.pt"
    checkpoint.save({"epoch": 2}, path)
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(UserError, match="is damaged"):
        checkpoint.load(path)


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 2}, tmp_path / "x.pt")
    with pytest.raises(UserError, match="is no checkpoint of raytune-planes"):
        checkpoint.load(tmp_path / "x.pt")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no checkpoint at .*gone\.pt"):
        checkpoint.load(tmp_path / "gone.pt")


def test_a_checkpoint_of_another_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "FORMAT", 99)
    checkpoint.save({"epoch": 2}, tmp_path / "last.pt")
    monkeypatch.undo()
    with pytest.raises(UserError, match="has checkpoint format 99, this version reads 1"):
        checkpoint.load(tmp_path / "last.pt")
