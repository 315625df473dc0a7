"""The fronts of a rung, kept up to date trial by trial, are those that sorting all trials anew finds."""

from hypothesis import given
from hypothesis import strategies as st

from raytune_planes.pareto import Vector, ranks
from raytune_planes.tuning.fronts import Fronts

WORTH = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, float("nan")])


def sorted_anew(vectors: list[Vector]) -> list[list[int]]:
    found = ranks(vectors)
    return [[n for n, rank in enumerate(found) if rank == front] for front in range(max(found, default=-1) + 1)]


@given(st.integers(1, 3).flatmap(lambda m: st.lists(st.tuples(*[WORTH] * m), max_size=40)), st.integers(0, 40))
def test_fronts_are_those_of_sorting_all_anew_after_each_trial(vectors: list[Vector], at_first: int) -> None:
    fronts = Fronts(range(at_first := min(at_first, len(vectors))), vectors[:at_first])
    for number in range(at_first, len(vectors)):
        fronts.add(number, vectors[number])
        assert [front for front, _ in fronts] == sorted_anew(vectors[: number + 1])
    assert [front for front, _ in fronts] == sorted_anew(vectors)
    assert all(
        repr(list(vectors[n])) == repr(vector) for front, of in fronts for n, vector in zip(front, of, strict=True)
    )


def test_one_trial_that_beats_all_moves_every_front_down() -> None:
    fronts = Fronts()
    for number, worth in enumerate([1.0, 2.0, 3.0]):
        fronts.add(number, (worth, worth))
    assert [front for front, _ in fronts] == [[2], [1], [0]]
    fronts.add(3, (4.0, 4.0))
    assert [front for front, _ in fronts] == [[3], [2], [1], [0]]
    assert 3 in fronts
    assert len(fronts) == 4
