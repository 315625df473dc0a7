"""Which few configurations together do well on all earlier studies, chosen greedily by predicted quantiles."""

from __future__ import annotations

import numpy as np

NEAR = 0.05
"""Mean difference over the dimensions below which two configurations are too alike to be tried side by side."""
LEAST, MOST = 4, 8


def size(studies: int, trials: int) -> int:
    """How many trials a portfolio may have, of a study of ``trials``: at most half of those after the defaults."""
    return min(max(LEAST, studies), MOST, max(0, trials - 1) // 2)


def size_of_packaged(studies: int, trials: int) -> int:
    """The same where the studies are of other people's pictures: at most a quarter of all trials."""
    return min(size(studies, trials), trials // 4)


def choose(quantile_CJ: np.ndarray, weight_J: np.ndarray, distance_CC: np.ndarray, count: int) -> list[int]:
    """Indexes of up to ``count`` candidates, in the order in which to try them.

    Each time the candidate that lowers the weighted mean over studies of the best quantile so far most, as in the
    portfolios of Feurer et al. (2015) and Wistuba et al. (2015); where none lowers it, the best on average. A candidate
    that is near to one that is taken is left out.

    Args:
        quantile_CJ: of each candidate in each study, 0 for the best.
        weight_J: of the studies.
        distance_CC: between the candidates, in [0, 1].
    """
    share_J = weight_J / weight_J.sum()
    mean_C = quantile_CJ @ share_J
    best_J = np.ones(len(share_J))
    free_C = np.ones(len(mean_C), dtype=bool)
    taken: list[int] = []
    while len(taken) < count and free_C.any():
        together_C = np.minimum(quantile_CJ, best_J) @ share_J
        order = np.lexsort((mean_C, np.round(together_C, 6), ~free_C))
        index = int(order[0])
        taken.append(index)
        best_J = np.minimum(best_J, quantile_CJ[index])
        free_C &= distance_CC[index] >= NEAR
        free_C[index] = False
    return taken
