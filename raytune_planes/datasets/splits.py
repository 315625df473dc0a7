"""Split samples by group, so that no scene, crop or duplicate straddles two splits."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from raytune_planes.datasets.base import SPLITS

Name = TypeVar("Name", bound=Hashable)

SEED = 0
"""Splits never change with a trial's seed: what one trial trains on, no other may be judged on."""
FRACTIONS = (0.8, 0.1, 0.1)
"""Of the samples of every class, for each of ``SPLITS``."""


def by_group(
    groups: Sequence[str], labels: Sequence[int], *, seed: int, fractions: Sequence[float] = FRACTIONS
) -> dict[str, tuple[int, ...]]:
    """Indexes for each of ``SPLITS``, as ``parts`` gives them.

    Args:
        groups: The group of each sample; a group is in one split.
        labels: The class of each sample.
        seed: Of the order of the groups.
        fractions: Share of the samples for each split, which sum to 1.
    """
    return dict(zip(SPLITS, parts(groups, labels, seed=seed, fractions=fractions), strict=True))


def parts(
    groups: Sequence[str], labels: Sequence[int], *, seed: int, fractions: Sequence[float]
) -> tuple[tuple[int, ...], ...]:
    """Indexes for each of ``fractions``: whole groups, in about that part of every label.

    Groups come in the order of a hash of seed and name and go where the counts per label stay nearest to their targets
    (iterative stratification, Sechidis et al. 2011, over groups). A split that then lacks a label gets the smallest
    group that has it, as long as this takes the label from no other split. A fraction of 0 leaves its split empty.
    """
    names = sorted(set(groups), key=lambda name: hash_of(seed, name))
    kinds = sorted(set(labels))
    row, column = {name: i for i, name in enumerate(names)}, {label: i for i, label in enumerate(kinds)}
    counts_GK = np.zeros((len(names), len(kinds)))
    for group, label in zip(groups, labels, strict=True):
        counts_GK[row[group], column[label]] += 1
    shares = np.asarray(fractions, dtype=float)
    split_G = _repair(_greedy(counts_GK, shares), counts_GK, np.flatnonzero(shares))
    chosen = {name: int(split) for name, split in zip(names, split_G, strict=True)}
    of_sample = np.array([chosen[group] for group in groups], dtype=np.int64)
    return tuple(tuple(np.flatnonzero(of_sample == split).tolist()) for split in range(len(shares)))


def nested(groups: Sequence[str], labels: Sequence[int], share: float, *, seed: int) -> np.ndarray:
    """Ascending int64 positions of about ``share`` of the samples: whole groups, every label in proportion.

    Groups have one order, whatever the share, and are taken from its beginning, so that a smaller share is part of a
    larger one. The order goes through the groups of each label, as most of a group's samples have it, at an equal pace.

    Args:
        groups: The group of each sample.
        labels: The class of each sample.
        share: In (0, 1]; at least one group is taken.
        seed: Of the order of a label's groups.
    """
    names, group_N = np.unique(np.asarray(groups), return_inverse=True)
    kinds, label_N = np.unique(np.asarray(labels), return_inverse=True)
    hash_G = np.argsort(np.argsort([hash_of(seed, str(name)) for name in names]))
    pair_P, count_P = np.unique(group_N * len(kinds) + label_N, return_counts=True)
    rising_P = pair_P[np.argsort(count_P, kind="stable")]
    label_G = np.empty(len(names), np.int64)
    label_G[rising_P // len(kinds)] = rising_P % len(kinds)  # of several labels of a group the last, the commonest
    size_G = np.bincount(group_N)
    of_label_K = np.bincount(label_G, size_G, len(kinds))
    order_G = np.lexsort((hash_G, label_G))
    before_G = np.cumsum(size_G[order_G]) - size_G[order_G] / 2 - (np.cumsum(of_label_K) - of_label_K)[label_G[order_G]]
    place_G = np.empty(len(names))
    place_G[order_G] = before_G / of_label_K[label_G[order_G]]
    order_G = np.lexsort((hash_G, place_G))
    middle_G = np.cumsum(size_G[order_G]) - size_G[order_G] / 2
    taken = max(1, int(np.searchsorted(middle_G, share * len(group_N), side="right")))
    return np.flatnonzero(np.isin(group_N, order_G[:taken]))


def by_name(split_of: Mapping[Name, str], groups: Sequence[Name]) -> dict[str, tuple[int, ...]]:
    """Indexes for each of ``SPLITS`` where every group's split is given."""
    return {split: tuple(i for i, group in enumerate(groups) if split_of[group] == split) for split in SPLITS}


def completed(
    given: Sequence[str], groups: Sequence[str], labels: Sequence[int], *, seed: int
) -> tuple[dict[str, tuple[int, ...]], list[str]]:
    """Indexes for each of ``SPLITS`` where every sample's split is given, and a warning if need be: a split of which
    nothing is given is taken from ``train``, whole groups, a tenth."""
    parts = {split: tuple(i for i, own in enumerate(given) if own == split) for split in SPLITS}
    lacking = [split for split in SPLITS if not parts[split]]
    if not lacking:
        return parts, []
    train = parts["train"]
    shares = [0.1 if split in lacking else 0.8 if split == "train" else 0.0 for split in SPLITS]
    taken = by_group([groups[i] for i in train], [labels[i] for i in train], seed=seed, fractions=shares)
    parts |= {split: tuple(train[i] for i in taken[split]) for split in ("train", *lacking)}
    return parts, [f"no folder or list of {' and '.join(lacking)}; taken from train, whole groups"]


def hash_of(seed: int, name: str) -> str:
    """A number for ``name`` that looks random, is the same everywhere and differs between seeds."""
    # Names of files may hold any bytes; in a locale without UTF-8 they are the same bytes.
    return hashlib.sha256(f"{seed}:{name}".encode(errors="surrogateescape")).hexdigest()


def _greedy(counts_GK: np.ndarray, fractions_S: np.ndarray) -> np.ndarray:
    targets_SK = fractions_S[:, None] * counts_GK.sum(0)
    filled_SK = np.zeros_like(targets_SK)
    split_G = np.zeros(len(counts_GK), dtype=np.int64)
    for group, count_K in enumerate(counts_GK):
        # The rise of the sum of (filled - target)^2 / target if the group went to each split.
        rise_SK = (2 * (filled_SK - targets_SK) + count_K) * count_K / np.maximum(targets_SK, 1e-9)
        split_G[group] = int(np.argmin(rise_SK.sum(1)))
        filled_SK[split_G[group]] += count_K
    return split_G


def _repair(split_G: np.ndarray, counts_GK: np.ndarray, splits: np.ndarray) -> np.ndarray:
    has_GK = counts_GK > 0
    # The rarest label first: its groups carry the common ones along.
    for label in np.argsort(has_GK.sum(0), kind="stable"):
        for split in splits.tolist():
            if (has_GK[:, label] & (split_G == split)).any():
                continue
            givers = [
                g
                for g in np.flatnonzero(has_GK[:, label])
                if (has_GK[split_G == split_G[g]].sum(0)[has_GK[g]] > 1).all()
            ]
            if givers:
                split_G[min(givers, key=lambda g: counts_GK[g].sum())] = split
    return split_G
