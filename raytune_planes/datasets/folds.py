"""Which pictures train and validate: the dataset's own split or a new one, and a share of what trains."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from raytune_planes.config import Split
from raytune_planes.datasets import splits
from raytune_planes.datasets.base import Arrays
from raytune_planes.datasets.repeats import unrepeated
from raytune_planes.errors import UserError
from raytune_planes.printing import counted

UNIQUE = " unique"


def parted(arrays: Arrays, split: Split) -> Arrays:
    """The dataset with the training and validation pictures that ``split`` asks for; the test split stays as it is.

    Whole groups, every class in proportion: iterative stratification over groups, the same in every trial. The
    fingerprint tells the parting, since results on different pictures do not compare.

    Raises:
        UserError: there are fewer groups than parts.
    """
    whole = _validating(arrays, split)
    if split.unique:
        kept = {**whole.splits, "train": unrepeated(whole)}
        if not len(kept["train"]) and len(whole.splits["train"]):
            raise UserError(
                f"split.unique leaves '{arrays.info.name}' no training picture: each is a copy of a validation "
                "picture; look at them with 'data', or set split.unique=false"
            )
        whole = replace(whole, splits=kept, fingerprint=f"{whole.fingerprint}{UNIQUE}")
    if split.use == 1:
        return whole
    train_N = np.sort(whole.splits["train"])
    groups, labels_N = [str(group) for group in arrays.groups_N[train_N]], np.asarray(arrays.labels_N)[train_N]
    kept_N = train_N[splits.nested(groups, labels_N.tolist(), split.use, seed=splits.SEED)] if len(train_N) else train_N
    return replace(whole, splits={**whole.splits, "train": kept_N}, fingerprint=f"{whole.fingerprint}{_used(split)}")


def fingerprint(arrays: Arrays, split: Split) -> str:
    """Of the pictures that a study trains and validates on: of all folds where there are any, as its trials do."""
    if split.kind == "kfold":
        unique = UNIQUE if split.unique else ""
        return f"{arrays.fingerprint} {split.folds}-folds{unique}{_used(split)}"
    return parted(arrays, split).fingerprint


def _used(split: Split) -> str:
    return "" if split.use == 1 else f" use-{split.use}"


def _validating(arrays: Arrays, split: Split) -> Arrays:
    """All training pictures, and the validation pictures that ``split`` asks for. Raises UserError as ``parted``."""
    if split.kind == "holdout":
        return arrays
    pool_N = np.sort(np.concatenate([arrays.splits["train"], arrays.splits["val"]]))
    shares = [1 - split.share, split.share] if split.kind == "group" else [1 / split.folds] * split.folds
    named = f"share-{split.share:g}" if split.kind == "group" else f"fold-{split.fold}-of-{split.folds}"
    groups = [str(group) for group in arrays.groups_N[pool_N]]
    parts = splits.parts(groups, np.asarray(arrays.labels_N)[pool_N].tolist(), seed=splits.SEED, fractions=shares)
    if not all(parts):
        raise UserError(
            f"dataset '{arrays.info.name}': its {counted(len(set(groups)), 'group')} of pictures cannot be split into "
            f"{len(shares)} (split.kind = {split.kind}); ask for fewer folds, or for split.kind=holdout"
        )
    chosen = parts[1 if split.kind == "group" else split.fold]
    val_N = pool_N[list(chosen)]
    train_N = np.setdiff1d(pool_N, val_N)
    if arrays.copy_N is not None:  # they validate nothing, and do not train where their source validates
        val_N = val_N[~np.asarray(arrays.copy_N)[val_N]]
    anew = {**arrays.splits, "train": train_N, "val": val_N}
    scenes = arrays.scenes and arrays.scenes.validating(np.unique(arrays.groups_N[val_N]))
    return replace(arrays, splits=anew, scenes=scenes, fingerprint=f"{arrays.fingerprint} {named}")
