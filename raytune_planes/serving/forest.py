"""A random forest over the members' probabilities, kept as plain arrays: nothing is pickled, any version reads it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from raytune_planes.errors import UserError

TREES = 200
LEAST_IN_LEAF = 3
"""Pictures in a leaf: finer leaves learn the validation pictures by heart."""
FOLDS = 5


@dataclass(frozen=True)
class Forest:
    """All trees' nodes in a row (Breiman 2001). A node without children is a leaf and is its own child."""

    roots_T: np.ndarray
    feature_J: np.ndarray
    threshold_J: np.ndarray
    left_J: np.ndarray
    right_J: np.ndarray
    probability_JK: np.ndarray

    def __call__(self, probability_MNK: np.ndarray) -> np.ndarray:
        """Probabilities [N, K] from those of the members, in the order of ``fit``."""
        rows_NF = features(probability_MNK)
        places_N = np.arange(len(rows_NF))
        summed_NK = np.zeros((len(rows_NF), self.probability_JK.shape[1]))
        for root in self.roots_T.tolist():
            nodes_N = np.full(len(rows_NF), root)
            while (self.left_J[nodes_N] != nodes_N).any():
                lower_N = rows_NF[places_N, self.feature_J[nodes_N]] <= self.threshold_J[nodes_N]
                nodes_N = np.where(lower_N, self.left_J[nodes_N], self.right_J[nodes_N])
            summed_NK += self.probability_JK[nodes_N]
        return np.asarray(summed_NK / len(self.roots_T))


def features(probability_MNK: np.ndarray) -> np.ndarray:
    """A row for each picture: every member's probability of every class, [N, M x K] float32."""
    return probability_MNK.transpose(1, 0, 2).reshape(probability_MNK.shape[1], -1).astype(np.float32)


def fit(probability_MNK: np.ndarray, labels_N: np.ndarray, seed: int) -> Forest:
    """Learn the true classes from the members' probabilities."""
    from sklearn.ensemble import RandomForestClassifier

    classes = probability_MNK.shape[2]
    model = RandomForestClassifier(TREES, min_samples_leaf=LEAST_IN_LEAF, random_state=seed)
    model.fit(features(probability_MNK), labels_N)
    trees = [estimator.tree_ for estimator in model.estimators_]
    starts_T = np.cumsum([0, *(tree.node_count for tree in trees)])[:-1]
    left, right, probability = [], [], []
    for start, tree in zip(starts_T.tolist(), trees, strict=True):
        own = start + np.arange(tree.node_count)
        left.append(np.where(tree.children_left < 0, own, start + tree.children_left))
        right.append(np.where(tree.children_right < 0, own, start + tree.children_right))
        among = np.zeros((tree.node_count, classes), np.float32)  # a class without a picture has no column
        among[:, model.classes_] = tree.value[:, 0] / tree.value[:, 0].sum(1, keepdims=True)
        probability.append(among)
    return Forest(
        roots_T=starts_T,
        feature_J=np.concatenate([np.maximum(tree.feature, 0) for tree in trees]),
        threshold_J=np.concatenate([tree.threshold for tree in trees]),
        left_J=np.concatenate(left),
        right_J=np.concatenate(right),
        probability_JK=np.concatenate(probability),
    )


def out_of_fold(probability_MNK: np.ndarray, labels_N: np.ndarray, groups_N: np.ndarray, seed: int) -> np.ndarray:
    """Probabilities [N, K] of each picture by a forest that saw neither it nor another picture of its group.

    Args:
        groups_N: Pictures of one scene, or copies of each other, have one number. They look alike, so a forest that
            learnt from one of them would answer the others from memory, and the figure on validation would be too good.

    Raises:
        UserError: all pictures are of one group.
    """
    names_G, of_picture_N = np.unique(groups_N, return_inverse=True)
    folds = min(FOLDS, len(names_G))
    if folds < 2:
        raise UserError(
            f"the validation pictures ({len(labels_N)}) are of one scene, and a forest needs two to be judged by what "
            "it has not seen; choose another --method"
        )
    fold_N = (np.random.default_rng(seed).permutation(len(names_G)) % folds)[of_picture_N]
    out_NK = np.zeros(probability_MNK.shape[1:])
    for fold in range(folds):
        held_out_N = fold_N == fold
        out_NK[held_out_N] = fit(probability_MNK[:, ~held_out_N], labels_N[~held_out_N], seed)(
            probability_MNK[:, held_out_N]
        )
    return out_NK
