"""The forest in arrays answers as scikit-learn's does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raytune_planes.errors import UserError
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
    honest = forest.out_of_fold(noise, labels_N, np.arange(200), 0).argmax(1) == labels_N
    assert learnt.mean() > 0.8
    assert honest.mean() < 0.65


def test_out_of_fold_no_picture_is_judged_by_others_of_its_scene(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forest, "TREES", 20)
    groups_N = np.arange(200) // 8  # 25 scenes of eight tiles that look alike
    labels_N = np.random.default_rng(0).integers(0, 2, 25)[groups_N]
    noise = np.random.default_rng(1).random((2, 25, 2))[:, groups_N]  # of the scene, and says nothing of its label
    honest = forest.out_of_fold(noise, labels_N, groups_N, 0).argmax(1) == labels_N
    parted = forest.out_of_fold(noise, labels_N, np.arange(200), 0).argmax(1) == labels_N
    assert parted.mean() > 0.95  # from memory
    assert honest.mean() < 0.65


@given(st.lists(st.integers(0, 6), min_size=2, max_size=40).filter(lambda groups: len(set(groups)) > 1))
@settings(max_examples=20, deadline=None)
def test_every_picture_is_judged_once_by_a_forest_of_other_scenes(groups: list[int]) -> None:
    count, taught = len(groups), list[np.ndarray]()
    groups_N = np.array(groups)
    marked = np.stack([np.arange(count), groups_N], 1)[None].astype(float)  # the number of a picture and of its group

    def learn(probability_MNK: np.ndarray, labels_N: np.ndarray, seed: int) -> forest.Forest:
        taught.append(probability_MNK[0, :, 1])
        return fit(probability_MNK, labels_N, seed)

    fit = forest.fit
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forest, "TREES", 2)
        patch.setattr(forest, "fit", learn)
        said_NK = forest.out_of_fold(marked, np.zeros(count, int), groups_N, 0)
    assert said_NK[:, 0].tolist() == [1.0] * count
    assert len(taught) == min(5, len(set(groups)))
    for group in set(groups):
        assert sum(group not in seen for seen in taught) == 1  # held out whole, once


def test_a_forest_over_a_single_scene_is_refused() -> None:
    with pytest.raises(UserError, match=r"the validation pictures \(6\) are of one scene.*choose another --method"):
        forest.out_of_fold(np.zeros((2, 6, 2)), np.arange(6) % 2, np.full(6, 4), 0)
