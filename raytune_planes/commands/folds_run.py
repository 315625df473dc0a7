"""One configuration trained once per fold: mean and spread of its metrics, and what it said of every picture."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from raytune_planes.commands.label_check import check_labels
from raytune_planes.commands.training_run import TrainingRun
from raytune_planes.config import TrialConfig
from raytune_planes.errors import UserError
from raytune_planes.records import Goal
from raytune_planes.settings import flatten, make_config
from raytune_planes.terminal.lines import JsonLines
from raytune_planes.tracking.files import FOLDS, LAST, write_whole
from raytune_planes.tracking.validation import VALIDATION, out_of_fold, read_validation, write_validation


def train_folds(
    config: TrialConfig, out: Path, folds: int, *, resume: bool, goal: Goal | None, lines: JsonLines, **where: Any
) -> int:
    """Train ``config`` on each of ``folds`` folds into ``out/fold-0``, ...; then write ``folds.json`` and ``val.npz``,
    and list the labels that look wrong (``label_check``).

    The answers in ``val.npz`` are out of fold: each picture's come from the model that did not train on it. Fewer folds
    than were trained, or a fold that failed, leave both files unwritten.

    Args:
        lines: gets the trainings as events.
        where: of ``TrainingRun.train``: data, cache, cache_limit_gib, test.

    Returns:
        The exit status: 0, or 1 when a fold failed.

    Raises:
        UserError: as ``TrainingRun`` does; ``out`` holds folds of another number.
    """
    earlier = len(list(out.glob("fold-*")))
    if earlier > folds:
        raise UserError(f"{out} holds {earlier} folds already; give --folds {earlier} with --resume, or another --out")
    bests: list[Mapping[str, float]] = []
    for fold in range(folds):
        folder = out / f"fold-{fold}"
        mine = make_config(flatten(config), {"split.kind": "kfold", "split.folds": folds, "split.fold": fold})
        print(f"fold {fold + 1} of {folds}")
        run = TrainingRun(mine, folder, resume=resume and (folder / LAST).is_file(), lines=lines, fold=fold + 1)
        status = run.train(goal=goal, **where)
        best = run.record.best(run.goal)
        if status or best is None:
            return 1
        bests.append(best.metrics)
    predictions = out_of_fold([read_validation(out / f"fold-{fold}") for fold in range(folds)])
    spread = {key: summary([m[key] for m in bests]) for key in bests[0] if all(key in m for m in bests)}
    write_validation(out, predictions)
    write_whole(out / FOLDS, json.dumps({"folds": folds, "metrics": spread}, indent=1) + "\n")
    lines.tell("result", result={"folder": str(out), "folds": folds, "metrics": spread})
    print(f"over {folds} folds, mean ± standard deviation (out-of-fold answers: {out / VALIDATION}):")
    for key in run.shown.values():
        values = ", ".join(f"{value:.4f}" for value in spread[key]["values"])
        print(f"  {key}  {spread[key]['mean']:.4f} ± {spread[key]['deviation']:.4f}  ({values})")
    check_labels(run.config, predictions, out, where["data"], where["cache"], where["cache_limit_gib"])
    return 0


def summary(values: Sequence[float]) -> dict[str, Any]:
    """Mean and standard deviation over folds; folds share training pictures, so it is no interval of the mean."""
    return {"mean": statistics.fmean(values), "deviation": statistics.stdev(values), "values": list(values)}
