"""What is wrong with single pictures, as a plan that ``data --clean`` writes, people may edit and a trial follows."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from raytune_planes.datasets import files
from raytune_planes.datasets.base import SPLITS, Listing, Sample
from raytune_planes.errors import UserError, did_you_mean
from raytune_planes.invocation import command
from raytune_planes.paths import regular
from raytune_planes.printing import counted

FORMAT = 1
CONFLICTS = ("drop", "one", "keep")
"""What a plan does with pictures that show the same under several labels: leave all of them out, leave out all but one,
or keep all, in one split."""


@dataclass(frozen=True)
class Plan:
    """What a study leaves out of one dataset, and what it keeps together. Pictures go by ``picture_name``."""

    drop: Mapping[str, str] = field(default_factory=dict)
    """Picture -> why it is left out."""
    copies: tuple[tuple[str, ...], ...] = ()
    """Copies that are kept: they are never in two splits."""


def picture_name(sample: Sample, root: Path) -> str:
    """The path of a sample's picture below its dataset's root, with its row where one file holds many pictures."""
    path = sample.path.relative_to(root).as_posix() if sample.path.is_relative_to(root) else sample.path.as_posix()
    path = os.fsencode(path).decode("utf-8", "surrogateescape")  # the same name in any locale
    return path if sample.row is None else f"{path}#{sample.row}"


def write_plan(path: Path, plans: Mapping[str, Plan]) -> None:
    """Write the plans of several datasets as one JSON file. Raises UserError when it cannot be written."""
    datasets = {n: {"drop": dict(p.drop), "copies": [list(c) for c in p.copies]} for n, p in plans.items()}
    try:
        path.write_text(json.dumps({"format": FORMAT, "datasets": datasets}, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"the plan cannot be written to {path}: {error.strerror}; name another file") from None


def read_plan(path: Path, dataset: str) -> Plan:
    """The part of a plan about ``dataset``.

    Raises:
        UserError: there is no such file, it is not a plan, or it does not mention ``dataset``.
    """
    where = f"datasets.{dataset}.clean = {path}"
    try:
        tree: Any = json.loads(regular(path.expanduser()).read_text(encoding="utf-8"))
        plans = {
            name: Plan(
                {str(k): str(v) for k, v in part["drop"].items()}, tuple(tuple(map(str, c)) for c in part["copies"])
            )
            for name, part in tree["datasets"].items()
        }
    except OSError as error:
        raise UserError(f"{where}: {error.strerror}; write a plan with '{command('data DIR --clean FILE')}'") from None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{where} is not a plan that '{command('data DIR --clean FILE')}' writes ({error})") from None
    if tree.get("format") != FORMAT:
        raise UserError(f"{where} has format {tree.get('format')}, this version reads {FORMAT}; write the plan again")
    if dataset not in plans:
        there = ", ".join(plans) or "none"
        raise UserError(f"{where} does not mention '{dataset}'{did_you_mean(dataset, plans)}; it holds {there}")
    return plans[dataset]


def cleaned(listing: Listing, root: Path, plan: Plan) -> Listing:
    """The listing without what ``plan`` drops. Of copies in several splits those in the latest (val, then test) stay;
    copies in one split become one group.

    Raises:
        UserError: the plan is of other pictures, or a split is left without any.
    """
    names = [picture_name(sample, root) for sample in listing.samples]
    known, meant = set(names), {*plan.drop, *(name for copies in plan.copies for name in copies)}
    if meant and not meant & known:
        raise UserError(f"the plan for '{listing.info.name}' names none of the pictures in {root}; write it again")
    split_of = {names[i]: split for split in SPLITS for i in listing.splits[split]}
    dropped = set(plan.drop)
    group_of = {name: sample.group for name, sample in zip(names, listing.samples, strict=True)}
    joined: dict[str, str] = {}
    for copies in plan.copies:
        here = [name for name in copies if name in split_of and name not in plan.drop]
        latest = max((split_of[name] for name in here), key=SPLITS.index, default="")
        dropped |= {name for name in here if split_of[name] != latest}
        _join(joined, [group_of[name] for name in here if split_of[name] == latest])
    place: dict[int, int] = {}
    samples: list[Sample] = []
    for i, (name, sample) in enumerate(zip(names, listing.samples, strict=True)):
        if name not in dropped:
            place[i] = len(samples)
            group = _root(joined, sample.group)
            samples.append(sample if group == sample.group else replace(sample, group=group))
    parts = {split: tuple(place[i] for i in listing.splits[split] if i in place) for split in SPLITS}
    kept = [n for n, scene in enumerate(listing.scenes) if picture_name(scene, root) not in dropped]
    scenes = tuple(replace(listing.scenes[n], group=_root(joined, listing.scenes[n].group)) for n in kept)
    of_scenes = {s: tuple(kept.index(n) for n in rows if n in kept) for s, rows in listing.scene_splits.items()}
    empty = [split for split in SPLITS if listing.splits[split] and not parts[split]]
    if empty:
        raise UserError(
            f"the plan for '{listing.info.name}' leaves {' and '.join(empty)} without a picture; shorten it"
        )
    warnings = [*listing.warnings, f"{counted(len(dropped & known), 'picture')} left out by the plan"]
    if meant - known:
        warnings.append(
            f"{counted(len(meant - known), 'picture')} of the plan not there: {files.some(sorted(meant - known))}"
        )
    return replace(
        listing,
        samples=tuple(samples),
        splits=parts,
        warnings=tuple(warnings),
        scenes=scenes,
        scene_splits=of_scenes,
    )


def _join(parents: dict[str, str], groups: Sequence[str]) -> None:
    for group in groups[1:]:
        first, other = _root(parents, groups[0]), _root(parents, group)
        if first != other:
            parents[other] = first


def _root(parents: Mapping[str, str], group: str) -> str:
    while group in parents:
        group = parents[group]
    return group
