"""What benchmarks share that train on the pictures in ``RAYTUNE_PLANES_PICTURES``: each training is kept."""

from __future__ import annotations

import hashlib
import json
import math
import multiprocessing
import os
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from scipy.stats import t as student

from raytune_planes.records import Goal, Objective
from raytune_planes.settings import parse_assignments
from raytune_planes.space import Space, StudySettings
from raytune_planes.tuning.plan import StudyPlan, prepare
from raytune_planes.tuning.trial import Task
from tests.benchmarks.tables import Missing

SEEDS = (1, 2, 3)
METRICS = ("test/planesnet/accuracy", "test/hrplanes/iou", "test/fgvc/accuracy")

Result = dict[str, Any]
Variants = Mapping[str, Mapping[str, Any]]
"""Settings by label."""
Train = Callable[[dict[str, Any], int, Path], Result]
"""Trains settings with a seed on the pictures in a folder; returns ``metrics``, or ``failed`` with the reason."""


def pictures() -> Path:
    """The folder with the three datasets. Raises Missing when it is not here."""
    data = os.environ.get("RAYTUNE_PLANES_PICTURES", "")
    if not data or not Path(data).is_dir():
        raise Missing("RAYTUNE_PLANES_PICTURES names no folder; it should hold planesnet/, hrplanes/ and so on")
    return Path(data)


def of_pictures() -> Mapping[str, Any]:
    """Settings in ``RAYTUNE_PLANES_SETTINGS`` that these pictures need, such as ``datasets.fgvc.view=overhead``."""
    return parse_assignments(os.environ.get("RAYTUNE_PLANES_SETTINGS", "").split())


def chosen(variants: Variants) -> Variants:
    """Those whose label holds ``RAYTUNE_PLANES_VARIANTS``, and the defaults, which change nothing."""
    part = os.environ.get("RAYTUNE_PLANES_VARIANTS", "")
    return {label: settings for label, settings in variants.items() if part in label or not settings}


def folder_of(root: Path, settings: Mapping[str, Any], seed: int) -> Path:
    """The folder below ``root`` that keeps this training; made, and told what it is, when it is new."""
    asked = {"settings": {**of_pictures(), **settings}, "seed": seed}
    folder = root / hashlib.sha256(json.dumps([*asked.values()], sort_keys=True).encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "asked.json").write_text(json.dumps(asked))
    return folder


def goal_of(settings: Mapping[str, Any]) -> Goal:
    """The primary validation metric of every dataset that ``settings`` leave on."""
    names = [key.replace("test", "val", 1) for key in METRICS]
    return Goal(
        tuple(Objective(key) for key in names if settings.get(f"datasets.{key.split('/')[1]}.enabled", True) is True)
    )


def task_of(name: str, fixed: Mapping[str, Any], data: Path, folder: Path, cache: Path | None = None) -> Task:
    """What a trial of a study that searches nothing is told.

    ``cache``: of decoded pictures; None for the usual one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    space = Space(name, "", goal_of(fixed), {**of_pictures(), **fixed}, (), StudySettings())
    return StudyPlan(name, space, folder.parent, prepare(space, data, cache, lambda _: None), space.study).task(folder)


def train_all(
    title: str,
    train: Train,
    variants: Variants,
    seeds: Sequence[int],
    data: Path,
    workers: int,
    keys: Sequence[str] = METRICS,
) -> dict[str, list[Result]]:
    """The results of every variant by seed, each training in a process of its own, ``workers`` at once.

    ``keys``: the metrics that are told of each, where it has them.
    """
    found: dict[str, list[Result]] = {label: [{} for _ in seeds] for label in variants}
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), max_tasks_per_child=1) as pool:
        jobs = {
            pool.submit(train, dict(settings), seed, data): (label, i)
            for i, seed in enumerate(seeds)
            for label, settings in variants.items()
        }
        for done, job in enumerate(as_completed(jobs), 1):
            label, i = jobs[job]
            found[label][i] = result = job.result()
            figures = result.get("failed") or [
                round(result["metrics"][key], 4) for key in keys if key in result["metrics"]
            ]
            print(f"{title}: {done} of {len(jobs)}: {label}, seed {seeds[i]}: {figures}", file=sys.stderr, flush=True)
    return found


def half_width(values: Sequence[float]) -> float:
    """Of Student's 95 % interval of their mean."""
    count = len(values)
    return float(student.ppf(0.975, count - 1)) * statistics.stdev(values) / math.sqrt(count)
