"""What a trial said of its validation pictures comes back with its order, from half the bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from raytune_planes.errors import UserError
from raytune_planes.tracking.validation import Predictions, read_validation, write_validation


def answers(logits_NK: np.ndarray) -> Predictions:
    count = len(logits_NK)
    return Predictions(logits_NK.astype(np.float32), np.arange(count) % 2, np.arange(count) + 100)


def test_answers_come_back_with_their_best_class_and_probabilities(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    near_NK = 40 + rng.normal(size=(500, 7)) * 1e-3  # far apart from 0 and close together: half precision ties them
    wide_NK = np.array([[2e5, -2e5, 0.0]])
    write_validation(tmp_path, {"a": answers(near_NK), "b": answers(wide_NK)})
    got = read_validation(tmp_path)
    assert list(got) == ["a", "b"]
    assert np.array_equal(got["a"].logits_NK.argmax(1), near_NK.argmax(1))
    assert np.exp(got["a"].logits_NK) == pytest.approx(np.exp(near_NK - near_NK.max(1, keepdims=True)), abs=1e-5)
    assert np.isfinite(got["b"].logits_NK).all()
    assert got["b"].logits_NK.argmax(1).tolist() == [0]
    assert got["a"].labels_N.tolist() == [i % 2 for i in range(500)]
    assert got["a"].pictures_N.tolist() == list(range(100, 600))
    assert [p.name for p in tmp_path.iterdir()] == ["val.npz"]


def test_a_split_without_pictures_is_kept_as_such(tmp_path: Path) -> None:
    write_validation(tmp_path, {"a": answers(np.zeros((0, 3)))})
    assert read_validation(tmp_path)["a"].logits_NK.shape == (0, 3)


def test_a_trial_without_answers_says_why_there_may_be_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no validation predictions in .*: it has no val\.npz"):
        read_validation(tmp_path)


@pytest.mark.parametrize("cut", [1, 100, 10_000])
def test_a_damaged_file_is_named(tmp_path: Path, cut: int) -> None:
    write_validation(tmp_path, {"a": answers(np.random.default_rng(0).normal(size=(50, 7)))})
    path = tmp_path / "val.npz"
    path.write_bytes(path.read_bytes()[: -min(cut, path.stat().st_size)])
    with pytest.raises(UserError, match=r"val\.npz cannot be read"):
        read_validation(tmp_path)
