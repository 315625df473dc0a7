"""Weights of an ensemble: what each way finds where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from raytune_planes.tuning.weighing import WEIGHTS, class_score, greedy, mask_score

LABELS_N = np.arange(60) % 3


def answers(*wrong: range) -> np.ndarray:
    """A member for each range of pictures that it gets wrong, by little where wrong and by more where right."""
    out_MNK = np.full((len(wrong), 60, 3), 0.2)
    for member, pictures in zip(out_MNK, wrong, strict=True):
        member[np.arange(60), LABELS_N] = 0.6
        for i in pictures:
            member[i] = 0.3
            member[i, (LABELS_N[i] + 1) % 3] = 0.4
    return out_MNK


@pytest.mark.parametrize("method", WEIGHTS)
def test_weights_sum_to_one_and_repeat_under_a_seed(method: str) -> None:
    members = answers(range(0, 30), range(20, 50), range(10, 40))
    first, second = (WEIGHTS[method](members, class_score(LABELS_N), 3) for _ in range(2))
    assert first.sum() == pytest.approx(1)
    assert (first >= 0).all()
    assert np.array_equal(first, second)


@pytest.mark.parametrize("method", ["greedy", "bayesian", "genetic"])
def test_what_is_searched_scores_no_less_than_the_best_member_and_than_equal_weights(method: str) -> None:
    rng = np.random.default_rng(0)
    members = rng.dirichlet(np.ones(3), (5, 60)) + 0.3 * np.eye(3)[LABELS_N] * rng.random((5, 1, 1))
    score = class_score(LABELS_N)
    reached = score(np.tensordot(WEIGHTS[method](members, score, 0), members, 1))
    assert reached >= max(score(member) for member in members)
    if method != "greedy":  # selection goes its own way; the others try equal weights first
        assert reached >= score(members.mean(0))


@pytest.mark.parametrize("method", ["greedy", "bayesian", "genetic"])
def test_members_that_err_apart_correct_each_other(method: str) -> None:
    members = answers(range(0, 20), range(20, 40), range(40, 60))
    weights = WEIGHTS[method](members, class_score(LABELS_N), 0)
    assert (np.tensordot(weights, members, 1).argmax(1) == LABELS_N).all()


def test_selection_leaves_out_a_member_that_knows_nothing() -> None:
    members = np.concatenate([answers(range(0, 3), range(3, 6)), np.full((1, 60, 3), 1 / 3)])
    weights = greedy(members, class_score(LABELS_N), 0)
    assert weights[2] == 0
    assert (weights[:2] > 0).all()


def test_a_score_of_classes_is_accuracy_and_breaks_ties_by_likelihood() -> None:
    score = class_score(np.array([0, 1]))
    sure, unsure, wrong = np.array([[[0.9, 0.1], [0.1, 0.9]], [[0.6, 0.4], [0.4, 0.6]], [[0.9, 0.1], [0.6, 0.4]]])
    assert score(sure) > score(unsure) > score(wrong)
    assert score(unsure) == pytest.approx(1, abs=1e-3)


def test_a_score_of_masks_is_their_overlap() -> None:
    score = mask_score(np.array([True, True, False, False]))
    assert score(np.array([0.9, 0.1, 0.9, 0.1])) == pytest.approx(1 / 3)
    assert mask_score(np.zeros(3, bool))(np.zeros(3)) == 1
