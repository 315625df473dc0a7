"""The forest in arrays answers as scikit-learn's does."""

from __future__ import annotations

import numpy as np
import pytest

from raytune_planes.serving import forest


def members(seed: int, labels_N: np.ndarray) -> np.ndarray:
    """Three members' probabilities of four classes, the last of which never occurs."""
    rng = np.random.default_rng(seed)
    noisy = rng.random((3, len(labels_N), 4)) + np.eye(4)[labels_N]
    return noisy / noisy.sum(2, keepdims=True)


def test_it_answers_as_the_library_that_grew_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.ensemble import RandomForestClassifier

    monkeypatch.setattr(forest, "TREES", 20)
    labels_N = np.arange(90) % 3
    seen, unseen = members(0, labels_N), members(1, labels_N)
    library = RandomForestClassifier(20, min_samples_leaf=forest.LEAST_IN_LEAF, random_state=5)
    library.fit(forest.features(seen), labels_N)
    ours = forest.fit(seen, labels_N, 5)(unseen)
    assert ours.shape == (90, 4)
    assert ours[:, :3] == pytest.approx(library.predict_proba(forest.features(unseen)), abs=1e-6)
    assert (ours[:, 3] == 0).all()


def test_out_of_fold_no_picture_is_judged_by_what_it_taught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forest, "TREES", 20)
    labels_N = np.random.default_rng(0).integers(0, 2, 200)
    noise = np.random.default_rng(1).random((2, 200, 2))  # says nothing of the labels
    learnt = forest.fit(noise, labels_N, 0)(noise).argmax(1) == labels_N
    honest = forest.out_of_fold(noise, labels_N, 0).argmax(1) == labels_N
    assert learnt.mean() > 0.8
    assert honest.mean() < 0.65
