"""One tuned model of all datasets beside a tuned model of each, at equal training and search, on real pictures."""

from __future__ import annotations

import os
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from raytune_planes.report.confirmed import Interval, cell, confirmed
from raytune_planes.report.intervals import of_difference
from raytune_planes.tracking.files import study_folder
from tests.benchmarks.encoders import BATCH, FROZEN, PRETRAINED, train_one
from tests.benchmarks.tables import Table
from tests.benchmarks.trainings import METRICS, SEEDS, Result, of_pictures, pictures, train_all

OUT = Path("results/specialists")
DATASETS = tuple(key.split("/")[1] for key in METRICS)
SEARCHED, TRAINED = 92_160, 46_080
"""Training samples of a whole search, and of a training with what it found; each specialist gets a third of both."""
TRIAL, LONG = 4, 8
"""Epochs of a trial, and of a training with what was found."""
SAMPLES = 7_680
"""Of a trial over all datasets."""
JOINT = "all together"
TUNED = "tuned" in os.environ.get("RAYTUNE_PLANES_VARIANTS", "")
"""Whether the pretrained encoder learns too; it is frozen otherwise, and its features are stored."""
ENCODER = PRETRAINED if TUNED else FROZEN
COMMON: Mapping[str, Any] = {
    **({"optim.backbone_factor": {"float": [0.03, 1.0], "log": True}} if TUNED else {}),
    "optim.lr": {"float": [3e-4, 1e-2], "log": True},
    "losses.contrastive.weight": {"float": [0.01, 2.0], "log": True},
}
"""What every search varies."""


def measure(quick: bool) -> Table:
    """Raises Missing when the pictures are not here. ``--quick`` searches and trains a tenth, with one seed.

    ``RAYTUNE_PLANES_VARIANTS=tuned``: with an encoder that learns.
    """
    data, seeds, part = pictures(), SEEDS[:1] if quick else SEEDS, 10 if quick else 1
    found = {label: _search(label, data, part) for label in (JOINT, *DATASETS)}
    results = train_all(
        "specialists",
        train_one,
        {
            label: {**settings, **_only(label), **_steps(label, TRAINED // part, LONG)}
            for label, settings in found.items()
        },
        seeds,
        data,
        workers=1,
    )
    tested = {label: confirmed(0, [r["metrics"] for r in of]).metrics for label, of in results.items()}
    rows, figures = [], {}
    for key, dataset in zip(METRICS, DATASETS, strict=True):
        alone, joint = tested[dataset][key], tested[JOINT][key]
        rows.append((key, cell(alone), cell(joint), _difference(joint, alone)))
        figures[key] = {"alone": alone.values, "together": joint.values}
    header = ("test split", "tuned alone", "tuned together", "difference")
    return Table("specialists", header, rows, {"metrics": figures, "settings": found}, _notes(results, seeds))


def _search(label: str, data: Path, part: int) -> dict[str, Any]:
    """The settings that a study of one dataset or of all finds; it runs once, and an unfinished one goes on."""
    import raytune_planes as rp

    name, datasets = label.replace(" ", "-"), DATASETS if label == JOINT else (label,)
    out = OUT / ("tuned" if TUNED else "") / ("quick" if part > 1 else "whole")
    study, space = study_folder(out, name), out / f"{name}.yaml"
    ends = {"trials": 1_000, "samples": SEARCHED // part // (1 if label == JOINT else len(DATASETS))}
    if not study.is_dir():
        out.mkdir(parents=True, exist_ok=True)
        space.write_text(yaml.safe_dump(_space(label, datasets, SAMPLES // part)))
        rp.tune(space, data=data, out=out, name=name, only=",".join(datasets), no_references=True, **ends)
    elif rp.load_study(study).end != "completed":
        rp.tune(data=data, out=out, resume=name, **ends)
    best = rp.load_study(study).best
    assert best is not None, f"study {name} has no complete trial"
    return {**ENCODER, **best.drawn}


def _space(label: str, datasets: Sequence[str], samples: int) -> dict[str, Any]:
    metrics = [key.replace("test", "val", 1) for key in METRICS if key.split("/")[1] in datasets]
    search = {**COMMON, **{f"datasets.{each}.head.depth": {"int": [0, 2]} for each in datasets}}
    if "hrplanes" in datasets:
        search["losses.segmentation.weight"] = {"float": [0.1, 4.0], "log": True}
    if label == JOINT:
        search |= {f"datasets.{each}.share": {"float": [0.25, 4.0], "log": True} for each in datasets}
    return {
        "about": label,
        "objectives": [{"metric": metric, "mode": "max"} for metric in metrics],
        "floors": dict.fromkeys(metrics, "defaults - 0.01") if label == JOINT else {},
        "fixed": {**ENCODER, **_steps(label, samples, TRIAL), **of_pictures()},
        "search": search,
    }


def _only(label: str) -> dict[str, Any]:
    return {f"datasets.{name}.enabled": False for name in DATASETS if label not in (JOINT, name)}


def _steps(label: str, samples: int, epochs: int) -> dict[str, Any]:
    """The budget of ``samples`` for all together, or of a third of them for a specialist."""
    mine = samples if label == JOINT else samples / len(DATASETS)
    return {
        "budget.epochs": epochs,
        "budget.steps_per_epoch": round(mine / BATCH / epochs),
        "budget.batch_size": BATCH,
    }


def _difference(joint: Interval, alone: Interval) -> str:
    gain = 100 * (joint.mean - alone.mean)
    if joint.low is None or joint.high is None or alone.low is None or alone.high is None:
        return f"{gain:+.1f}"
    low, high = of_difference(joint.mean, (joint.low, joint.high), alone.mean, (alone.low, alone.high))
    return f"{gain:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"


def _notes(results: Mapping[str, Sequence[Result]], seeds: Sequence[int]) -> tuple[str, ...]:
    """How much each side took to train, and to serve."""
    seconds = {label: statistics.fmean(sum(r["epochs"]) for r in of) for label, of in results.items()}
    alone = sum(seconds[name] for name in DATASETS)
    return (
        f"Test split, best epoch by validation, {len(seeds)} seeds; intervals over seeds and pictures.",
        f"Training: {seconds[JOINT]:.0f} s of processor time together, {alone:.0f} s for the three alone.",
    )
