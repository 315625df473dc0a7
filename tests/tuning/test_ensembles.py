"""A forest over the answers of trials is fitted on answers, and judged by those, that no training has seen."""

from __future__ import annotations

import numpy as np
import pytest

from raytune_planes.serving import forest
from raytune_planes.serving.split_predictions import SplitPrediction, Truth
from raytune_planes.tuning import ensembles


@pytest.fixture(autouse=True)
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forest, "TREES", 20)


def test_a_forest_is_judged_by_trees_that_have_not_seen_the_picture() -> None:
    labels_N = np.random.default_rng(0).integers(0, 2, 200)
    noise_MNK = np.random.default_rng(1).random((2, 200, 2))  # says nothing of the labels
    answers = [SplitPrediction(noise_NK) for noise_NK in noise_MNK]
    rule, told = ensembles.choose("forest", answers, Truth(labels_N, None, np.arange(200), np.arange(200)))
    assert rule.forest is not None
    assert (rule.forest(noise_MNK).argmax(1) == labels_N).mean() > 0.8, "it knows these pictures by heart"
    assert (told.probability_NK.argmax(1) == labels_N).mean() < 0.65


def test_a_forest_learns_where_which_trial_is_right() -> None:
    labels_N = np.random.default_rng(0).integers(0, 2, 300)
    right_NK, no_idea_NK = np.eye(2)[labels_N] * 0.9 + 0.05, np.full((300, 2), 0.5)
    sure_N = np.random.default_rng(1).random(300) < 0.5
    wrong_NK = right_NK[:, ::-1]  # always: a mean with the others knows nothing, a forest turns it round
    answers = [SplitPrediction(np.where(sure_N[:, None], wrong_NK, no_idea_NK)), SplitPrediction(right_NK * 0.5 + 0.25)]
    real = Truth(labels_N, None, np.arange(300), np.arange(300))
    _, mean = ensembles.choose("soft", answers, real)
    _, told = ensembles.choose("forest", answers, real)
    assert (mean.probability_NK.argmax(1) == labels_N).mean() < 0.65
    assert (told.probability_NK.argmax(1) == labels_N).mean() > 0.95
