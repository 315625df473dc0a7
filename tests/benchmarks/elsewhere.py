"""How soon a study on new pictures that learnt from studies of others reaches what a cold one reaches in 40 trials.

Every configuration of a pool is trained once on every world of ``worlds``, on stored features of a frozen encoder. Then
searches are replayed over that table: what a search asks for is moved to the nearest configuration of the pool that it
has not had, and the search is told that one with its result.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from raytune_planes.learning import Earlier, Present, learn
from raytune_planes.learning.coding import distances, rows
from raytune_planes.records import End, EpochRecord, Goal, Objective, TrialRecord
from raytune_planes.settings import flatten, make_config
from raytune_planes.space import Dimension, Space, StudySettings
from raytune_planes.tracking import DataDescription
from raytune_planes.tracking.learnt import NOTHING, Learnt
from raytune_planes.tuning.memory import rebuild
from raytune_planes.tuning.plan import StudyPlan, prepare
from raytune_planes.tuning.search import Search
from tests.benchmarks.tables import Aim, Table
from tests.benchmarks.trainings import pictures
from tests.benchmarks.worlds import WORLDS, world

KEPT = Path("results/elsewhere")
"""One file a training, so that the benchmark goes on where it was stopped; its pictures and its cache."""
POOL, QUICK_POOL = 80, 24
TRIALS, SEEDS, QUICK_SEEDS = 40, 5, 2
METRIC = "val/mine/class_accuracy"
AIM = 8.0
NEAR = 0.01
"""What counts as good as the cold study's, in the second column of trials."""
FIXED: Mapping[str, Any] = {
    "datasets.mine.reader": "image_folder",
    "datasets.planesnet.enabled": False,
    "datasets.hrplanes.enabled": False,
    "datasets.fgvc.enabled": False,
    "model.backbone.kind": "efficientnet_lite0",
    "model.backbone.weights": "pretrained",
    "model.backbone.freeze": True,
    "model.backbone.views": 2,
    "budget.epochs": 1,
    "budget.steps_per_epoch": 24,
    "budget.batch_size": 32,
}
SEARCH = (
    Dimension("optim.lr", "float", 3e-4, 3e-2, log=True),
    Dimension("optim.weight_decay", "float", 1e-3, 0.3, log=True),
    Dimension("datasets.mine.head.depth", "int", 0, 2),
    Dimension("datasets.mine.head.width", "choice", choices=(128, 256, 512), when={"datasets.mine.head.depth": (1, 2)}),
    Dimension("datasets.mine.head.dropout", "float", 0.0, 0.5),
    Dimension("losses.contrastive.weight", "float", 0.01, 1.0, log=True),
    Dimension("losses.classification.label_smoothing", "float", 0.0, 0.2),
)
SPACE = Space("elsewhere", "", Goal((Objective(METRIC),)), FIXED, SEARCH, StudySettings(trials=TRIALS))


def measure(quick: bool) -> Table:
    """Raises Missing when the pictures are not here. ``--quick`` takes fewer configurations and seeds."""
    pool = configurations(QUICK_POOL if quick else POOL)
    tables = {name: trained(name, pool) for name in WORLDS}
    return tabulate(replayed(pool, tables, QUICK_SEEDS if quick else SEEDS), tables)


def configurations(count: int) -> list[dict[str, Any]]:
    """The defaults and what random search draws next."""
    search = Search(SPACE, sampler="random")
    return [asked.drawn for _ in range(count) if (asked := search.ask()) is not None]


def trained(name: str, pool: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """``scores`` of the configurations in a world, ``data`` as studies describe it, and processor ``seconds``."""
    from raytune_planes.training.stages import train_stages

    folder = KEPT / "table" / name.replace(" ", "-")
    folder.mkdir(parents=True, exist_ok=True)
    kept = [folder / f"{number:03d}.json" for number in range(len(pool))]
    about = folder / "data.json"
    if not about.is_file() or not all(path.is_file() for path in kept):
        fixed = {**FIXED, "datasets.mine.root": str(world(name, pictures(), KEPT / "worlds").resolve())}
        space = replace(SPACE, fixed=fixed)
        plan = StudyPlan(name, space, KEPT, prepare(space, None, KEPT / "cache", lambda _: None), space.study)
        described = plan.material.data["mine"]
        about.write_text(json.dumps([described.fingerprint, dict(described.counts), described.synthetic]))
        task = plan.task(folder)
        for number, (values, path) in enumerate(zip(pool, kept, strict=True)):
            if path.is_file():
                continue
            epochs: list[float] = []
            began = time.process_time()
            config = make_config(*task.layers, values, source="elsewhere")
            end, reason = train_stages(
                config, task.supply, task.goal, report=lambda record, _, to=epochs: to.append(record.metrics[METRIC])
            )
            result = {"drawn": values, "epochs": epochs, "seconds": time.process_time() - began}
            path.write_text(json.dumps(result | ({"failed": reason} if end is End.FAILED else {})))
            print(f"elsewhere: {name}, {number + 1} of {len(pool)}: {result}", file=sys.stderr, flush=True)
    results = [json.loads(path.read_bytes()) for path in kept]
    return {
        "scores": [max(r["epochs"], default=0.0) for r in results],
        "seconds": [r["seconds"] for r in results],
        "data": DataDescription(*json.loads(about.read_bytes())),
    }


def replayed(
    pool: Sequence[Mapping[str, Any]], tables: Mapping[str, Mapping[str, Any]], seeds: int
) -> dict[str, dict[str, list[list[float]]]]:
    """By world and arm, for each seed the scores of 40 trials in their order. The earlier studies have another seed."""

    @cache
    def cold(name: str, seed: int) -> tuple[TrialRecord, ...]:
        return search(pool, tables[name]["scores"], seed)

    found: dict[str, dict[str, list[list[float]]]] = {}
    for name in tables:
        for seed in range(seeds):
            past = [
                Earlier(other, other, cold(other, (seed + 1) % seeds), {"mine": tables[other]["data"]})
                for other in tables
                if other != name
            ]
            present = Present(SPACE, {"mine": tables[name]["data"]}, _config(), TRIALS)
            learnt, notes = learn(present, past)
            arms = {"cold": cold(name, seed), "learnt": search(pool, tables[name]["scores"], seed, learnt)}
            for arm, trials in arms.items():
                found.setdefault(name, {}).setdefault(arm, []).append([t.epochs[0].metrics[METRIC] for t in trials])
            print(f"elsewhere: {name}, seed {seed}: {learnt.in_words if learnt.portfolio else notes}", file=sys.stderr)
    return found


def search(
    pool: Sequence[Mapping[str, Any]], scores: Sequence[float], seed: int, learnt: Learnt = NOTHING
) -> tuple[TrialRecord, ...]:
    """The trials of a study over the pool."""
    place_PD = rows(SPACE, pool)
    left, records = list(range(len(pool))), list[TrialRecord]()
    for number in range(min(TRIALS, len(pool))):
        asked = rebuild(SPACE, None, records, seed=seed, learnt=learnt).ask()
        assert asked is not None
        gap_L = distances(SPACE, rows(SPACE, [asked.drawn]), place_PD[left])[0]
        index = left.pop(int(np.argmin(gap_L)))
        epoch = EpochRecord(1, 1, 1, {METRIC: scores[index]}, time_ms=10 * number + 4)
        record = TrialRecord(f"{number}", number, dict(pool[index]), _config(), (epoch,), End.COMPLETED)
        records.append(replace(record, started_ms=10 * number, ended_ms=10 * number + 5))
    return tuple(records)


def trials_to(scores: Sequence[float], target: float) -> int:
    """How many trials, with the defaults, until one reaches ``target``; where none does, one more."""
    return next((number for number, score in enumerate(scores, 1) if score >= target), len(scores) + 1)


def tabulate(found: Mapping[str, Mapping[str, Sequence[Sequence[float]]]], tables: Mapping[str, Any]) -> Table:
    """A row a world, medians over seeds; in the last all worlds and seeds."""
    figures: dict[str, dict[str, Any]] = {}
    for name, arms in found.items():
        targets = [max(scores) for scores in arms["cold"]]
        figures[name] = {"target": targets, "defaults": [scores[0] for scores in arms["cold"]]}
        for arm, runs in arms.items():
            figures[name][arm] = [trials_to(s, t) for s, t in zip(runs, targets, strict=True)]
            figures[name][f"{arm} near"] = [trials_to(s, t - NEAR) for s, t in zip(runs, targets, strict=True)]
            figures[name][f"{arm} in 8"] = [max(scores[: int(AIM)]) for scores in runs]
            figures[name][f"{arm} in 40"] = [max(scores) for scores in runs]
    keys = list(next(iter(figures.values())))
    every = {key: [value for f in figures.values() for value in f[key]] for key in keys}
    rows_ = [(name, *(_shown(key, f[key]) for key in keys)) for name, f in {**figures, "all": every}.items()]
    seconds = sum(sum(table["seconds"]) for table in tables.values())
    notes = (
        f"{len(every['cold'])} pairs of a cold and a learnt study, {TRIALS} trials each, over the same pool; medians.",
        f"trials until the cold study's best after {TRIALS} (near: that less {NEAR}), the defaults among them;",
        f"{TRIALS + 1}: not reached. The table took {seconds:.0f} s of processor time.",
    )
    aims = [Aim(f"trials to the cold study's best after {TRIALS}, median", statistics.median(every["learnt"]), AIM)]
    return Table("elsewhere", ("world", *keys), rows_, {"worlds": figures}, notes, aims)


def _shown(key: str, values: Sequence[float]) -> str:
    middle = statistics.median(values)
    return f"{middle:.3f}" if key == "target" or key == "defaults" or " in " in key else f"{middle:g}"


@cache
def _config() -> dict[str, Any]:
    return json.loads(json.dumps(flatten(make_config(FIXED, SPACE.first())), default=str))  # type: ignore[no-any-return]
