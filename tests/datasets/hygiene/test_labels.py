"""Confident learning by the formulas of its paper, and wrong labels that were planted are found."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raytune_planes.datasets.hygiene.labels import Suspect, check


def by_the_paper(probabilities: np.ndarray, labels: np.ndarray) -> tuple[set[tuple[int, int, int]], float]:
    """Equations 1 to 3 of Northcutt et al. 2021, set by set."""
    n, m = probabilities.shape
    of = {j: [x for x in range(n) if labels[x] == j] for j in range(m)}
    t = {j: sum(probabilities[x][j] for x in of[j]) / len(of[j]) for j in range(m) if of[j]}
    confident: dict[tuple[int, int], list[int]] = {(i, j): [] for i in range(m) for j in range(m)}
    for x in range(n):
        reached = [j for j in t if probabilities[x][j] >= t[j]]
        if reached:
            confident[labels[x], max(reached, key=lambda j: (probabilities[x][j], -j))].append(x)
    joint = {}
    for i in range(m):
        total = sum(len(confident[i, j]) for j in range(m))
        for j in range(m):
            joint[i, j] = len(confident[i, j]) / total * len(of[i]) if total else 0.0
    whole = sum(joint.values())
    off = {(x, i, j) for (i, j), members in confident.items() if i != j for x in members}
    return off, sum(v for (i, j), v in joint.items() if i != j) / whole if whole else 0.0


@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(2, 5))
def test_the_confident_joint_is_that_of_its_paper(seed: int, count: int, classes: int) -> None:
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.full(classes, 0.5), count)
    labels = random.integers(0, classes, count)
    found = check(probabilities, labels)
    off, wrong = by_the_paper(probabilities, labels)
    assert {(s.row, s.given, s.likely) for s in found.suspects} == off
    assert found.wrong == pytest.approx(wrong)
    assert [s.confidence for s in found.suspects] == sorted(s.confidence for s in found.suspects)


def test_a_worked_example() -> None:
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.3, 0.7], [0.2, 0.8], [0.9, 0.1]])
    labels = np.array([0, 0, 0, 1, 1, 1])
    # Thresholds: class 0 (0.9 + 0.8 + 0.1) / 3 = 0.6; class 1 (0.7 + 0.8 + 0.1) / 3 = 0.533.
    found = check(probabilities, labels)
    assert found.suspects == (Suspect(2, 0, 1, 0.1), Suspect(5, 1, 0, 0.1))
    assert found.wrong == pytest.approx(2 / 6)


def test_planted_errors_are_found_and_few_others() -> None:
    random = np.random.default_rng(3)
    true = random.integers(0, 4, 2000)
    logits = random.normal(0, 1, (2000, 4))
    logits[np.arange(2000), true] += 6
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    planted = random.choice(2000, 100, replace=False)
    labels = true.copy()
    labels[planted] = (true[planted] + random.integers(1, 4, 100)) % 4
    found = check(probabilities, labels)
    rows = {s.row for s in found.suspects}
    hits = rows & set(planted.tolist())
    assert len(hits) >= 90
    assert len(rows - hits) <= 40
    assert np.mean([true[s.row] == s.likely for s in found.suspects if s.row in hits]) > 0.95
    assert {s.row for s in found.suspects[:50]} <= set(planted.tolist())
    assert 0.03 < found.wrong < 0.08


def test_a_class_that_no_picture_has_is_nobodys() -> None:
    found = check(np.array([[0.2, 0.1, 0.7], [0.6, 0.3, 0.1], [0.1, 0.9, 0.0]]), np.array([0, 0, 1]))
    assert found.suspects == ()
