"""A checkpoint is whole or it is refused."""

from __future__ import annotations

import hashlib
import io
import os
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


class Harm:
    """Would run a command if it were unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch harmed",)


@pytest.mark.parametrize(
    ("content", "said"), [({"format": 1, "weights": Harm()}, "holds no checkpoint"), ([1, 2], "but a list")]
)
def test_a_strangers_file_with_a_fitting_checksum_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: object, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    buffer = io.BytesIO()
    torch.save(content, buffer)
    body = buffer.getvalue()
    (tmp_path / "x.pt").write_bytes(checkpoint.MAGIC + hashlib.sha256(body).digest() + body)
    with pytest.raises(UserError, match=said):
        checkpoint.load(tmp_path / "x.pt")
    assert not (tmp_path / "harmed").exists()
