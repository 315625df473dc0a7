"""Splits by group: whole groups, near the fractions, every class everywhere, the same for the same seed."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from raytune_planes.datasets.base import SPLITS
from raytune_planes.datasets.splits import by_group, by_name

samples = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 1)), min_size=1, max_size=200)


@settings(max_examples=100, deadline=None)
@given(samples, st.integers(0, 1000))
def test_every_sample_is_in_one_split_and_no_group_straddles_two(rows: list[tuple[int, int]], seed: int) -> None:
    groups, labels = [str(group) for group, _ in rows], [label for _, label in rows]
    parts = by_group(groups, labels, seed=seed)
    assert sorted(i for index in parts.values() for i in index) == list(range(len(rows)))
    owners = [{groups[i] for i in parts[split]} for split in SPLITS]
    assert sum(len(owner) for owner in owners) == len(set(groups))
    assert parts == by_group(groups, labels, seed=seed)


@settings(max_examples=60, deadline=None)
@given(st.integers(3, 40), st.integers(1, 9), st.integers(0, 1000))
def test_three_groups_with_both_classes_are_enough_for_every_split(count: int, each: int, seed: int) -> None:
    groups = [str(group) for group in range(count) for _ in range(2 * each)]
    labels = [n % 2 for n in range(len(groups))]
    parts = by_group(groups, labels, seed=seed)
    assert all({labels[i] for i in parts[split]} == {0, 1} for split in SPLITS)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 20), min_size=3, max_size=12), st.lists(st.integers(1, 20), min_size=3, max_size=12))
def test_groups_of_one_class_each_still_give_every_split_both_classes(first: list[int], second: list[int]) -> None:
    sizes = [*((size, 0) for size in first), *((size, 1) for size in second)]
    groups = [str(group) for group, (size, _) in enumerate(sizes) for _ in range(size)]
    labels = [label for size, label in sizes for _ in range(size)]
    parts = by_group(groups, labels, seed=0)
    assert all({labels[i] for i in parts[split]} == {0, 1} for split in SPLITS)


def test_the_fractions_of_both_classes_are_about_80_10_10() -> None:
    random = np.random.default_rng(0)
    groups = [str(g) for g in random.integers(0, 150, 6000)]
    labels = [int(random.random() < (0.5 if int(g) % 3 else 0.05)) for g in groups]
    parts, total = by_group(groups, labels, seed=1), Counter(labels)
    for split, fraction in zip(SPLITS, (0.8, 0.1, 0.1), strict=True):
        counts = Counter(labels[i] for i in parts[split])
        assert all(abs(counts[label] / total[label] - fraction) < 0.02 for label in (0, 1))


def test_another_seed_gives_another_split_and_the_order_of_samples_none() -> None:
    groups, labels = [str(n // 4) for n in range(200)], [n % 2 for n in range(200)]
    held = {groups[i] for i in by_group(groups, labels, seed=0)["val"]}
    assert held != {groups[i] for i in by_group(groups, labels, seed=1)["val"]}
    turned = groups[::-1]
    assert held == {turned[i] for i in by_group(turned, labels[::-1], seed=0)["val"]}


def test_given_splits_of_groups_are_kept() -> None:
    parts = by_name({"a": "train", "b": "test"}, ["b", "a", "b"])
    assert parts == {"train": (1,), "val": (), "test": (0, 2)}
