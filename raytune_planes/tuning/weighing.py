"""How much each member of an ensemble counts: five ways to choose, from validation alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

ROUNDS = 30
"""Of greedy selection: the finest step of a weight is 1 / ROUNDS."""
TRIALS = 150
"""Of Optuna."""
POPULATION, GENERATIONS, PARENTS = 24, 40, 8
"""Of the genetic search."""

Score = Callable[[np.ndarray], float]
"""From the weighted mean of the members' answers to a figure that grows with quality."""
Weigh = Callable[[np.ndarray, Score, int], np.ndarray]
"""From the members' answers [M, ...], a score and a seed to weights [M] that sum to one."""


def class_score(labels_N: np.ndarray) -> Score:
    """Accuracy; among equals the likelihood of the truth decides, so that small splits do not end in ties."""

    def score(probability_NK: np.ndarray) -> float:
        right = float((probability_NK.argmax(1) == labels_N).mean())
        likelihood_N = np.log(np.maximum(probability_NK[np.arange(len(labels_N)), labels_N], 1e-6))
        return right + 1e-3 * float(likelihood_N.mean())

    return score


def mask_score(truth_P: np.ndarray) -> Score:
    """Intersection over union."""

    def score(probability_P: np.ndarray) -> float:
        predicted_P = probability_P > 0.5
        union = int((predicted_P | truth_P).sum())
        return int((predicted_P & truth_P).sum()) / union if union else 1.0

    return score


def soft(members_M: np.ndarray, score: Score, seed: int) -> np.ndarray:
    """Every member alike."""
    return np.full(len(members_M), 1 / len(members_M))


def greedy(members_M: np.ndarray, score: Score, seed: int) -> np.ndarray:
    """Selection with replacement (Caruana et al. 2004): each round adds the member that helps most.

    Starts from the best member; of all rounds the best mean is kept, the earliest of equals.

    Args:
        members_M: The members' predictions, [M, ...].
        score: Of a weighted mean of them, higher is better.
        seed: Not used: the method is deterministic.

    Returns:
        Weights [M] that sum to 1.
    """
    counts_M, summed = np.zeros(len(members_M)), np.zeros(members_M.shape[1:])
    best, kept_M = -np.inf, counts_M
    for size in range(1, ROUNDS + 1):
        scores = [score((summed + answer) / size) for answer in members_M]
        chosen = int(np.argmax(scores))
        counts_M = counts_M + (np.arange(len(members_M)) == chosen)
        summed = summed + members_M[chosen]
        if scores[chosen] > best:
            best, kept_M = scores[chosen], counts_M
    return kept_M / kept_M.sum()


def bayesian(members_M: np.ndarray, score: Score, seed: int) -> np.ndarray:
    """Weights by Optuna's TPE, which first tries equal weights and each member alone."""
    import optuna

    from raytune_planes.tuning.samplers import build, quiet

    names = [f"member {m}" for m in range(len(members_M))]

    def value(trial: optuna.Trial) -> float:
        return score(_mean(np.array([trial.suggest_float(name, 0, 1) for name in names]), members_M))

    with quiet():
        study = optuna.create_study(direction="maximize", sampler=build("tpe", seed, 0))
        for first in (np.ones(len(names)), *np.eye(len(names))):
            study.enqueue_trial(dict(zip(names, first.tolist(), strict=True)))
        study.optimize(value, n_trials=len(names) + 1 + TRIALS)
    return _normal(np.array([study.best_params[name] for name in names]))


def genetic(members_M: np.ndarray, score: Score, seed: int) -> np.ndarray:
    """Weights by a genetic search: tournaments among the fittest, blending, mutation; the best always survives.

    Args:
        members_M: The members' predictions, [M, ...].
        score: Of a weighted mean of them, higher is better.
        seed: Of all draws.

    Returns:
        Weights [M] that sum to 1.
    """
    rng, members = np.random.default_rng(seed), len(members_M)
    population = np.concatenate([np.ones((1, members)), np.eye(members), rng.random((POPULATION, members))])
    scores = np.array([score(_mean(w, members_M)) for w in population])
    for _ in range(GENERATIONS):
        order = np.argsort(-scores, kind="stable")[:PARENTS]
        population, scores = population[order], scores[order]
        pairs = rng.integers(0, len(population), (POPULATION, 2))
        share = rng.random((POPULATION, members))
        children = share * population[pairs[:, 0]] + (1 - share) * population[pairs[:, 1]]
        moved = rng.random(children.shape) < 1 / members
        children = np.clip(children + moved * rng.normal(0, 0.2, children.shape), 0, 1)
        population = np.concatenate([population, children])
        scores = np.concatenate([scores, [score(_mean(w, members_M)) for w in children]])
    return _normal(population[int(np.argmax(scores))])


WEIGHTS: Mapping[str, Weigh] = {"soft": soft, "greedy": greedy, "bayesian": bayesian, "genetic": genetic}


def _mean(weights_M: np.ndarray, members_M: np.ndarray) -> np.ndarray:
    return np.asarray(np.tensordot(_normal(weights_M), members_M, 1))


def _normal(weights_M: np.ndarray) -> np.ndarray:
    """Summing to one; equal where all are zero. Weights too small to matter become zero, which saves their member."""
    kept_M = np.where(weights_M < 0.01 * weights_M.max(initial=0), 0, weights_M)
    return kept_M / kept_M.sum() if kept_M.sum() else np.full(len(weights_M), 1 / len(weights_M))
