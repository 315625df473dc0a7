"""Folds and parts: whole groups, every picture validated once, the test split untouched."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raytune_planes.config import Split
from raytune_planes.datasets.base import Arrays, Info
from raytune_planes.datasets.folds import fingerprint, parted
from raytune_planes.errors import UserError
from raytune_planes.settings import make_config
from tests.toy import toy_config, toy_data, toy_prompts


def arrays(groups: list[int], labels: list[int], test: int = 0) -> Arrays:
    count = len(groups)
    splits = {"train": np.arange(count - test)[1:], "val": np.arange(1), "test": np.arange(count - test, count)}
    info = Info("mine", ("a", "b"), ("a", "b"))
    images = np.zeros((count, 8, 8, 3), np.uint8)
    return Arrays(info, images, np.array(labels), None, splits, "print", of_group_N=np.array(groups))


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 1)), min_size=40, max_size=120), st.integers(2, 4))
def test_folds_validate_every_picture_once_and_part_no_group(rows: list[tuple[int, int]], folds: int) -> None:
    rows = [*rows, *((group, group % 2) for group in range(10))]
    data = arrays([g for g, _ in rows], [label for _, label in rows], test=5)
    pool = set(data.splits["train"].tolist()) | set(data.splits["val"].tolist())
    seen: list[int] = []
    for fold in range(folds):
        found = parted(data, Split(kind="kfold", folds=folds, fold=fold))
        train, val = (set(found.splits[s].tolist()) for s in ("train", "val"))
        assert train | val == pool
        assert not train & val
        assert not {rows[i][0] for i in train} & {rows[i][0] for i in val}
        np.testing.assert_array_equal(found.splits["test"], data.splits["test"])
        seen += sorted(val)
    assert sorted(seen) == sorted(pool)


def test_folds_hold_the_classes_in_proportion() -> None:
    labels = [int(n % 10 == 0) for n in range(400)]
    data = arrays([n // 2 for n in range(400)], labels)
    for fold in range(5):
        val_N = parted(data, Split(kind="kfold", fold=fold)).splits["val"]
        assert len(val_N) == 80
        assert sum(labels[i] for i in val_N) == 8


def test_group_takes_its_share_of_the_pool() -> None:
    data = arrays([n // 4 for n in range(400)], [n % 2 for n in range(400)], test=40)
    assert len(parted(data, Split(kind="group", share=0.25)).splits["val"]) in (88, 92)  # of 360, in groups of four


def test_holdout_is_the_datasets_own_split_and_every_parting_has_its_fingerprint() -> None:
    data = arrays([n // 4 for n in range(80)], [n % 2 for n in range(80)])
    assert parted(data, Split()) is data
    kinds = [Split(), Split(kind="group"), *(Split(kind="kfold", fold=fold) for fold in range(5))]
    assert len({parted(data, kind).fingerprint for kind in kinds}) == 7


def test_pictures_without_groups_stand_alone() -> None:
    data = replace(arrays([0] * 40, [n % 2 for n in range(40)]), of_group_N=None)
    assert len(parted(data, Split(kind="kfold")).splits["val"]) == 8


def test_more_folds_than_groups_are_refused() -> None:
    with pytest.raises(UserError, match=r"'mine': its 3 groups .* cannot be split into 5 \(split.kind = kfold\)"):
        parted(arrays([0, 1, 2] * 9, [0, 1] * 13 + [0]), Split(kind="kfold"))


def test_a_fold_beyond_the_last_is_refused() -> None:
    with pytest.raises(UserError, match=r"split.fold = 5: the 5 folds \(split.folds\) count from 0 to 4"):
        make_config({"split.kind": "kfold", "split.fold": 5})


def test_a_trial_trains_on_the_parting_of_its_settings() -> None:
    from raytune_planes.training.trainer import Trainer
    from raytune_planes.training.workers import LocalWorker

    data = toy_data()
    trainer = Trainer(toy_config(split__kind="kfold", split__fold=3), data, toy_prompts(), LocalWorker())
    wanted = parted(data["fgvc"], Split(kind="kfold", fold=3)).splits
    np.testing.assert_array_equal(trainer.data["fgvc"].splits["val"], wanted["val"])
    assert not np.array_equal(wanted["val"], data["fgvc"].splits["val"])


@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 3)), min_size=2, max_size=90),
    st.floats(0.01, 1),
    st.floats(0.01, 1),
)
def test_a_smaller_share_is_part_of_a_larger_one_and_parts_no_group(
    rows: list[tuple[int, int]], one: float, other: float
) -> None:
    data = arrays([g for g, _ in rows], [label % 2 for _, label in rows])
    whole = set(data.splits["train"].tolist())
    small, large = (parted(data, Split(use=use)).splits for use in sorted([one, other]))
    assert len(small["train"]) > 0
    assert set(small["train"].tolist()) <= set(large["train"].tolist()) <= whole
    for part in (small, large):
        inside = {rows[i][0] for i in part["train"]}
        assert set(part["train"].tolist()) == {i for i in whole if rows[i][0] in inside}
        np.testing.assert_array_equal(part["val"], data.splits["val"])
        np.testing.assert_array_equal(part["test"], data.splits["test"])


def test_a_share_holds_the_classes_in_proportion_and_the_whole_is_the_whole() -> None:
    labels = [int(n % 8 == 7) for n in range(800)]
    data = replace(arrays([n // 2 for n in range(800)], labels), splits={"train": np.arange(800)})
    for use, rare in ((0.25, 25), (0.5, 50)):
        kept_N = parted(data, Split(use=use)).splits["train"]
        assert abs(len(kept_N) - 800 * use) <= 1
        assert abs(sum(labels[i] for i in kept_N) - rare) <= 1
    assert parted(data, Split(use=1.0)) is data


def test_classes_of_one_group_each_are_shared_out_too() -> None:
    data = arrays(list(range(101)), [n % 2 for n in range(101)])
    many = replace(data, labels_N=np.arange(101))
    kept = [len(parted(many, Split(use=use)).splits["train"]) for use in (0.25, 0.5, 0.75)]
    assert kept == [25, 50, 75]


def test_a_share_of_the_training_pictures_has_a_fingerprint_and_goes_with_every_kind_of_split() -> None:
    data = arrays([n // 4 for n in range(400)], [n % 2 for n in range(400)], test=40)
    for kind in ("holdout", "group", "kfold"):
        whole, half = parted(data, Split(kind=kind)), parted(data, Split(kind=kind, use=0.5))  # type: ignore[arg-type]
        np.testing.assert_array_equal(half.splits["val"], whole.splits["val"])
        assert abs(len(half.splits["train"]) - len(whole.splits["train"]) / 2) <= 2
        assert set(half.splits["train"].tolist()) < set(whole.splits["train"].tolist())
        assert half.fingerprint == f"{whole.fingerprint} use-0.5"
    assert fingerprint(data, Split(kind="kfold", use=0.5)) == "print 5-folds use-0.5"
