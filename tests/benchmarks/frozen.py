"""A study on stored features of a frozen encoder, beside the same trials that compute them in every step.

It trains on the pictures in ``RAYTUNE_PLANES_PICTURES``: what a trial takes, and whether both rank the trials alike.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from raytune_planes.errors import UserError
from raytune_planes.records import End, EpochRecord
from raytune_planes.settings import defaults, make_config, value_of
from raytune_planes.space import Space, load_space, trial_config, with_fixed
from raytune_planes.tuning.search import Search
from raytune_planes.tuning.trial import Task
from tests.benchmarks.ranks import agreement, best_epoch, scores
from tests.benchmarks.tables import Aim, Table
from tests.benchmarks.trainings import Result, folder_of, goal_of, of_pictures, pictures, task_of

KEPT = Path("results/frozen")
"""One folder a training, so that the benchmark goes on where it was stopped; and a cache of its own in ``cache``."""
TRIALS, QUICK = 40, 8
VIEWS = 4
VALIDATION = tuple(objective.metric for objective in goal_of({}).objectives)
AIM = 20.0
BASE: Mapping[str, Any] = {
    "model.backbone.kind": "efficientnet_lite0",
    "model.backbone.weights": "pretrained",
    "model.backbone.freeze": True,
    "budget.epochs": 2,
    "budget.steps_per_epoch": 30,
    "budget.batch_size": 32,
    "budget.scene_epochs": 0,
}
"""1,920 samples a trial, in too few epochs for a dataset to rest. Whole scenes, whose features are not stored, are not
evaluated."""
OTHER_FEATURES = (
    "datasets.fgvc.augment.",
    "datasets.fgvc.image_size",
    "losses.reconstruction.",
    "model.sharing",
    "text.",
)
"""Dimensions of the space ``full`` that give other features or prompts, or keep features from being stored: with
``model.sharing=stage`` each dataset trains a last stage of its own."""
OF_OTHERS = ("model.backbone.depth",)
"""Those that only another encoder has."""
AFRESH, STORED, AGAIN = "afresh", "stored", "stored, another seed"
ARMS: Mapping[str, tuple[int, int]] = {AFRESH: (0, 1), STORED: (VIEWS, 1), AGAIN: (VIEWS, 2)}
"""``model.backbone.views`` and seed of each way to train a configuration. The last tells how far chance reaches."""


def measure(quick: bool) -> Table:
    """Raises Missing when the pictures are not here. ``--quick`` takes 8 configurations."""
    data, space = pictures(), searched()
    task = task_of("frozen", BASE, data, KEPT / "task", KEPT / "cache")
    once = features(task)
    drawn = configurations(space, QUICK if quick else TRIALS)
    found: dict[str, list[Result]] = {arm: [] for arm in ARMS}
    for arms in ((AFRESH, STORED), (AGAIN,)):  # what is compared runs in turn, so that both meet the same load
        for number, values in enumerate(drawn, 1):
            for arm in arms:
                views, seed = ARMS[arm]
                found[arm].append(train_one({"model.backbone.views": views, **values}, seed, task))
            seconds = {arm: round(found[arm][-1]["seconds"], 1) for arm in arms}
            print(f"frozen: {number} of {len(drawn)}: {seconds}", file=sys.stderr, flush=True)
    return tabulate(found, once, space)


def searched() -> Space:
    """The packaged space ``full`` without the dimensions that give other features."""
    space = load_space("full")
    out = [d.path for d in space.search if d.path.startswith((*OTHER_FEATURES, *OF_OTHERS))]
    return with_fixed(space, {**BASE, **of_pictures(), **{path: value_of(defaults(), path) for path in out}})


def configurations(space: Space, count: int) -> list[dict[str, Any]]:
    """The defaults and what random search draws next, of those that fit together."""
    search = Search(space, sampler="random")

    def valid() -> Iterator[dict[str, Any]]:
        while (asked := search.ask()) is not None:
            with suppress(UserError):
                trial_config(space, asked.drawn)
                yield asked.drawn

    return list(islice(valid(), count))


def features(task: Task) -> float:
    """Processor seconds of computing the features, when this was done first."""
    from raytune_planes.training.trainer import Trainer
    from raytune_planes.training.workers import LocalWorker

    kept = KEPT / "features.json"
    config = make_config(*task.layers, {"model.backbone.views": VIEWS}, source="frozen")
    trainer = Trainer(config, *task.supply(config), LocalWorker(config.devices.vision))
    began = time.process_time()
    trainer.begin(partial(print, file=sys.stderr))
    if not kept.is_file():
        kept.write_text(json.dumps({"seconds": time.process_time() - began}))
    return float(json.loads(kept.read_bytes())["seconds"])


def train_one(values: Mapping[str, Any], seed: int, task: Task) -> Result:
    """Train a configuration in this process, as a study's process trains one after the other, unless it was done.

    Returns:
        ``epochs``: the metrics of ``VALIDATION`` after each, and ``seconds`` of processor time of the whole
        trial with its checkpoints; or ``failed`` with the reason.
    """
    from raytune_planes.training.checkpoint import Checkpoint
    from raytune_planes.training.stages import train_stages

    folder = folder_of(KEPT, {**BASE, **values}, seed)
    kept = folder / "result.json"
    if kept.is_file():
        result: Result = json.loads(kept.read_bytes())
        return result
    epochs: list[dict[str, float]] = []

    def keep(record: EpochRecord, checkpoint: Checkpoint) -> None:
        checkpoint.save(folder)
        epochs.append({key: record.metrics[key] for key in VALIDATION})

    began = time.process_time()
    config = make_config(*task.layers, values, {"seed": seed}, source="frozen")
    end, reason = train_stages(config, task.supply, task.goal, report=keep)
    result = {"epochs": epochs, "seconds": time.process_time() - began}
    if end is End.FAILED:
        result["failed"] = reason
    for checkpoint in folder.glob("*.pt"):
        checkpoint.unlink()
    kept.write_text(json.dumps(result))
    return result


def tabulate(found: Mapping[str, Sequence[Result]], once: float, space: Space) -> Table:
    """The table of what ``ARMS`` gave for the same configurations, the defaults first."""
    whole = [i for i in range(len(found[STORED])) if not any("failed" in results[i] for results in found.values())]
    of = {arm: [results[i] for i in whole] for arm, results in found.items()}
    seconds = {arm: [result["seconds"] for result in results] for arm, results in of.items()}
    ratio = statistics.median(a / b for a, b in zip(seconds[AFRESH], seconds[STORED], strict=True))
    total = sum(seconds[AFRESH]) / (sum(seconds[STORED]) + once)
    trials = {arm: [result["epochs"] for result in results] for arm, results in of.items()}
    free = replace(space.goal, floors={}, relative={})
    ranked = {
        key: {arm: [best_epoch(epochs, free)[key] for epochs in trials[arm]] for arm in ARMS} for key in VALIDATION
    }
    ranked["mean of the objectives"] = {arm: scores(trials[arm], space.goal, floors=False) for arm in ARMS}
    ranked["score with floors"] = {arm: scores(trials[arm], space.goal, floors=True) for arm in ARMS}
    header = ("ranked by", AFRESH, STORED, "correlation", "of seeds", "best stored", "best afresh", "best of seed 1")
    notes = (
        f"{len(whole)} of {len(found[STORED])} configurations, medians. Spearman's rank correlation: afresh with",
        "stored, and of two seeds, both stored. Best: its place in the other's ranking (of stored, of afresh, of the",
        "first seed), and by how much it is behind the best there.",
        f"processor time of a trial, median: {statistics.median(seconds[AFRESH]):.1f} s afresh, "
        f"{statistics.median(seconds[STORED]):.1f} s stored; computing features once: {once:.0f} s",
        f"median of the ratios: x{ratio:.1f}; of the whole study, features included: x{total:.1f}",
    )
    figures = {"results": found, "features": once, "ratio": ratio, "of the study": total, "ranked": ranked}
    aims = [Aim("time of a trial, afresh / stored", ratio, AIM, at_least=True)]
    return Table("frozen", header, [_row(*item) for item in ranked.items()], figures, notes, aims)


def _row(label: str, by_arm: Mapping[str, Sequence[float]]) -> tuple[str, ...]:
    """Median of afresh and of stored, the correlations, and where the best of one is in the other's ranking."""
    there, back = agreement(by_arm[STORED], by_arm[AFRESH]), agreement(by_arm[AFRESH], by_arm[STORED])
    chance = agreement(by_arm[STORED], by_arm[AGAIN])
    medians = (f"{statistics.median(by_arm[arm]):.3f}" for arm in (AFRESH, STORED))
    bests = (f"{each.place}, -{each.behind:.3f}" for each in (there, back, chance))
    return (label, *medians, f"{there.correlation:.2f}", f"{chance.correlation:.2f}", *bests)
