"""Keeps the non-dominated fronts of a rung up to date as trials come to it, one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from raytune_planes.pareto import Vector, ranks


class Fronts:
    """The fronts that ``pareto.ranks`` finds among vectors, larger is better, when more vectors come.

    Sorting n vectors anew compares all n² pairs. One vector more moves few others: those that it dominates in its own
    front go to the next one, there those that these dominate, and so on (Li et al. 2014, efficient non-domination
    level update). Trials of a front are told in the order in which they came.
    """

    def __init__(self, numbers: Sequence[int] = (), vectors: Sequence[Vector] = ()) -> None:
        self._turn = {number: turn for turn, number in enumerate(numbers)}
        values_NM, rank_N = np.asarray(vectors, dtype=np.float64), np.asarray(ranks(vectors))
        numbers_N = np.asarray(numbers, dtype=np.int64)
        count = int(rank_N.max()) + 1 if len(numbers) else 0
        self._fronts = [(numbers_N[rank_N == rank], values_NM[rank_N == rank]) for rank in range(count)]

    def __len__(self) -> int:
        return len(self._turn)

    def __contains__(self, number: int) -> bool:
        return number in self._turn

    def __iter__(self) -> Iterator[tuple[list[int], list[Vector]]]:
        """The trials of each front and their vectors, the best front first."""
        for numbers_N, values_NM in self._fronts:
            order_N = np.argsort([self._turn[number] for number in numbers_N.tolist()])
            yield numbers_N[order_N].tolist(), values_NM[order_N].tolist()

    def add(self, number: int, vector: Vector) -> None:
        """A trial that was not here before."""
        assert number not in self, number
        self._turn[number] = len(self._turn)
        coming_N, coming_NM = np.asarray([number], dtype=np.int64), np.asarray([vector], dtype=np.float64)
        rank = self._rank(coming_NM)
        while len(coming_N):
            if rank == len(self._fronts):
                self._fronts.append((coming_N, coming_NM))
                return
            here_N, here_NM = self._fronts[rank]
            leaves_N = _beats(coming_NM, here_NM).any(0)
            self._fronts[rank] = (
                np.concatenate((here_N[~leaves_N], coming_N)),
                np.concatenate((here_NM[~leaves_N], coming_NM)),
            )
            coming_N, coming_NM, rank = here_N[leaves_N], here_NM[leaves_N], rank + 1

    def _rank(self, vector_1M: np.ndarray) -> int:
        """The first front with none that dominates the vector: behind it there is none either, as each member of a
        front is dominated by one of the front before."""
        low, high = 0, len(self._fronts)
        while low < high:
            middle = (low + high) // 2
            if _beats(self._fronts[middle][1], vector_1M).any():
                low = middle + 1
            else:
                high = middle
        return low


def _beats(ones_NM: np.ndarray, others_KM: np.ndarray) -> np.ndarray:
    """[N, K]: which of ``ones`` dominates which of ``others``: no worse in any respect, and not equal."""
    no_worse_NK = (ones_NM[:, None] >= others_KM[None]).all(2)
    no_better_NK = (ones_NM[:, None] <= others_KM[None]).all(2)
    return np.asarray(no_worse_NK & ~no_better_NK)
