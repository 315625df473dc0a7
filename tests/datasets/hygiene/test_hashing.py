"""Hashes turn with the picture, and near ones are found without comparing all with all."""

from __future__ import annotations

import numpy as np
import pytest

from raytune_planes.datasets.hygiene import hashing
from raytune_planes.datasets.hygiene.hashing import SYMMETRIES, frequencies, hashes, near_pairs
from raytune_planes.datasets.hygiene.pictures import THUMB


def thumbs(count: int, seed: int = 0) -> np.ndarray:
    """Smooth random pictures: noise of few pixels, enlarged."""
    small = np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3)).astype(np.uint8)
    return small.repeat(THUMB // 8, axis=1).repeat(THUMB // 8, axis=2)


@pytest.mark.parametrize("symmetry", SYMMETRIES, ids=str)
def test_the_hash_of_a_turned_picture_is_the_turned_hash(symmetry: hashing.Symmetry) -> None:
    pictures = thumbs(50)
    turned = hashes(frequencies(symmetry.apply(pictures)))
    np.testing.assert_array_equal(turned, hashes(frequencies(pictures), symmetry))


def test_the_eight_symmetries_are_all_different() -> None:
    picture = thumbs(1)
    assert len({symmetry.apply(picture).tobytes() for symmetry in SYMMETRIES}) == 8


def test_a_planted_copy_is_found_under_its_symmetry_among_many() -> None:
    pictures = thumbs(300)
    for place, symmetry in enumerate(SYMMETRIES):
        pictures[200 + place] = symmetry.apply(pictures[place : place + 1])[0]
    found = {s: {tuple(pair) for pair in pairs.tolist()} for s, pairs in near_pairs(frequencies(pictures))}
    for place, symmetry in enumerate(SYMMETRIES):
        assert (place, 200 + place) in found[symmetry]
    assert sum(len(pairs) for pairs in found.values()) < 300


def test_small_runs_find_what_one_large_run_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    values = frequencies(thumbs(60).repeat(4, axis=0))
    whole = [(s, pairs.tolist()) for s, pairs in near_pairs(values)]
    monkeypatch.setattr(hashing, "AT_ONCE", 7)
    assert [(s, pairs.tolist()) for s, pairs in near_pairs(values)] == whole


def test_a_part_that_too_many_share_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    values = frequencies(thumbs(1).repeat(30, axis=0))
    assert sum(len(pairs) for s, pairs in near_pairs(values) if s == SYMMETRIES[0]) == 30 * 29 // 2
    monkeypatch.setattr(hashing, "CROWDED", 29)
    assert not sum(len(pairs) for _, pairs in near_pairs(values))


def test_no_pictures_give_no_pairs() -> None:
    assert not sum(len(pairs) for _, pairs in near_pairs(frequencies(thumbs(0))))
