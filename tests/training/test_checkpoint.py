"""A checkpoint is whole or it is refused."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, cast

import pytest
import torch

from raytune_planes.errors import UserError
from raytune_planes.records import Goal, Objective
from raytune_planes.serving.predictor import Predictor
from raytune_planes.settings import make_config
from raytune_planes.training import checkpoint
from raytune_planes.training.loop import train
from tests.toy import toy_data, toy_prompts


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
    with pytest.raises(UserError, match="no checkpoint of raytune-planes: it does not end with a checksum"):
        checkpoint.load(tmp_path / "x.pt")
    (tmp_path / "y.pt").write_bytes(b"something else")
    with pytest.raises(UserError, match="is not a checkpoint of raytune-planes"):
        checkpoint.load(tmp_path / "y.pt")


def test_torch_opens_a_checkpoint_without_us(tmp_path: Path) -> None:
    checkpoint.save({"weights": {"a": torch.arange(3)}, "epoch": 2}, tmp_path / "best.pt")
    for more in ({}, {"mmap": True}):
        got = torch.load(tmp_path / "best.pt", weights_only=True, **more)
        assert (got["format"], got["epoch"], got["weights"]["a"].tolist()) == (1, 2, [0, 1, 2])
    with zipfile.ZipFile(tmp_path / "best.pt") as archive:
        assert archive.testzip() is None
        assert archive.comment.startswith(b"raytune-planes sha256 ")


def test_any_changed_byte_of_a_checkpoint_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "best.pt"
    checkpoint.save({"epoch": 2}, path)
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(UserError, match="is damaged|is not a checkpoint"):
            checkpoint.load(path)
    path.write_bytes(whole)
    assert checkpoint.load(path)["epoch"] == 2


def before(content: object) -> bytes:
    """A checkpoint as earlier versions wrote it: a mark and a checksum in front."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return b"RTPLANES" + hashlib.sha256(buffer.getvalue()).digest() + buffer.getvalue()


def test_a_checkpoint_of_an_earlier_version_is_still_read(tmp_path: Path) -> None:
    (tmp_path / "best.pt").write_bytes(before({"format": 1, "weights": {"a": torch.arange(3)}, "epoch": 2}))
    got = checkpoint.load(tmp_path / "best.pt")
    assert (got["epoch"], got["weights"]["a"].tolist()) == (2, [0, 1, 2])
    (tmp_path / "best.pt").write_bytes(before({"format": 1})[:-3])
    with pytest.raises(UserError, match="is damaged"):
        checkpoint.load(tmp_path / "best.pt")


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "best.pt")
    with pytest.raises(UserError, match=r"no checkpoint at .*best\.pt \(it is a named pipe, not a file\)"):
        checkpoint.load(tmp_path / "best.pt")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda state: {k: v for k, v in state.items() if k != "config"}, "KeyError: 'config'"),
        (lambda state: {k: v for k, v in state.items() if k != "weights"}, "KeyError: 'weights'"),
        (lambda state: {**state, "infos": {"fgvc": {"classes": ["a"]}}}, "KeyError: 'prompts'"),
        (lambda state: {**state, "weights": {"a": torch.zeros(1)}}, "RuntimeError"),
        (lambda state: {**state, "prompts": {}}, "StopIteration"),
        (lambda state: {**state, "infos": 3}, "AttributeError"),
    ],
    ids=["no config", "no weights", "half an info", "other weights", "no prompts", "no infos"],
)
def test_wrong_content_under_a_fitting_checksum_is_a_mistake_that_names_the_file(
    change: Callable[[dict[str, Any]], dict[str, Any]], why: str, weights: Path, tmp_path: Path
) -> None:
    path = tmp_path / "best.pt"
    checkpoint.save(change(checkpoint.load(weights)), path)
    with pytest.raises(UserError, match=rf"best\.pt holds no checkpoint that can be used \({why}"):
        Predictor.load(path)


def test_a_training_is_not_resumed_from_another_content(weights: Path, tmp_path: Path) -> None:
    state = checkpoint.load(weights.parent / "last.pt")
    checkpoint.save({k: v for k, v in state.items() if k != "optimizer"}, tmp_path / "last.pt")
    config, goal = make_config(state["config"]), Goal((Objective("val/hrplanes/iou"),))
    with pytest.raises(UserError, match=r"last\.pt holds no checkpoint that can be used \(KeyError: 'optimizer'\)"):
        train(config, toy_data(), toy_prompts(), goal, resume=tmp_path / "last.pt", report=lambda *_: None)


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
    sealing = checkpoint.Sealing(buffer)
    torch.save(content, cast("IO[bytes]", sealing))
    sealing.seal()
    for file in (buffer.getvalue(), before(content)):
        (tmp_path / "x.pt").write_bytes(file)
        with pytest.raises(UserError, match=said):
            checkpoint.load(tmp_path / "x.pt")
    assert not (tmp_path / "harmed").exists()
