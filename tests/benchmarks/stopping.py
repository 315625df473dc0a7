"""What resting gains on pictures in ``RAYTUNE_PLANES_PICTURES`` after a common start, and at which budgets it acts."""

from __future__ import annotations

import json
import shutil
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raytune_planes.records import End, EpochRecord
from raytune_planes.report.intervals import LEAST
from tests.benchmarks.tables import Table
from tests.benchmarks.trainings import (
    METRICS,
    SEEDS,
    Result,
    folder_of,
    goal_of,
    half_width,
    of_pictures,
    pictures,
    task_of,
    train_all,
)

if TYPE_CHECKING:
    from raytune_planes.config import TrialConfig
    from raytune_planes.training.checkpoint import Checkpoint
    from raytune_planes.training.evidence_stopping import EvidenceStopping
    from raytune_planes.training.stopping import Stopping

KEPT = Path("results/stopping")
"""One folder a training, so that the benchmark goes on where it was stopped."""
COMMON = {
    "model.backbone.kind": "efficientnet_lite0",
    "model.backbone.weights": "pretrained",
    "model.backbone.freeze": True,
    "model.backbone.views": 4,
    "budget.scene_epochs": 0,
}
WARM = {"budget.epochs": 8, "budget.steps_per_epoch": 40}
"""Of the checkpoint that all trainings of a seed begin with."""
STEPS, EPOCHS, SCAN = 24, (12, 48), (6, 12, 24, 48)
"""Steps an epoch, budgets of the trainings in epochs, and those at which decisions are looked for."""
NONE = "none"
DATASETS = tuple(key.split("/")[1] for key in METRICS)
PLATEAUS: Mapping[str, Mapping[str, Any]] = {
    "epochs": {"patience": 3, "min_epochs": 4, "min_delta": 0.002, "margin": 0.02},
    "evidence": {"patience": 0.25, "min_epochs": 0.5, "min_delta": 0.005, "margin": 0.005, "confidence": 0.9},
}
"""What says that a dataset has converged, with the options of every dataset; fgvc has twice the patience in epochs."""


def options_of(plateau: str) -> dict[str, Any]:
    """The settings of a value of ``stopping.plateau``."""
    own = {f"datasets.{name}.stop.{key}": value for name in DATASETS for key, value in PLATEAUS[plateau].items()}
    longer = {"datasets.fgvc.stop.patience": 6} if plateau == "epochs" else {}
    return {"stopping.plateau": plateau, **own, **longer}


RULES: Mapping[str, Mapping[str, Any]] = {
    NONE: {},
    **{
        f"{rule}, {freed}, by {plateau}": {"stopping.rule": rule, "stopping.freed": freed, **options_of(plateau)}
        for plateau in PLATEAUS
        for rule in ("stop", "stop_and_go")
        for freed in ("given", "saved")
    },
}


def measure(quick: bool) -> Table:
    """Raises Missing when the pictures are not here. ``--quick`` takes one seed and the shorter budgets."""
    data, seeds = pictures(), SEEDS[:1] if quick else SEEDS
    budgets, scanned = (EPOCHS[:1], SCAN[:2]) if quick else (EPOCHS, SCAN)
    rows: list[tuple[str, ...]] = []
    figures: dict[str, Any] = {}
    for epochs in budgets:
        title = f"stopping, {epochs} epochs"
        base = train_all(title, train_one, {NONE: budget(epochs)}, seeds, data, workers=1)
        rules = {label: {**budget(epochs), **own} for label, own in RULES.items() if own}
        found = base | train_all(title, train_one, rules, seeds, data, workers=1)
        rows += [(str(epochs), label, *_cells(results, found[NONE])) for label, results in found.items()]
        figures[str(epochs)] = found
    lengths = {f"{n} epochs": budget(n) for n in scanned}
    scan = train_all("stopping, scan", train_one, lengths, seeds[:1], data, workers=1)
    for label, own in RULES.items():
        if "given" in label:
            firsts = [_first_rest({**budget(n), **own}, scan[f"{n} epochs"][0]) for n in scanned]
            rows.append((" / ".join(map(str, scanned)), f"first rest: {label}", " / ".join(firsts), *[""] * 4))
    notes = (
        f"Test split, best epoch by validation, in points: means of {len(seeds)} seeds, then differences from 'none'",
        "seed by seed, with the 95 % interval of their mean. Samples and decisions (rests, wakes): mean of a training.",
        "The last lines: who rests first and after which epoch, by the curves of seed 1 without a rule.",
    )
    header = ("epochs", "rule", "PlanesNet", "HRPlanes IoU", "fine-grained", "samples", "decisions")
    return Table("stopping", header, rows, figures, notes)


def budget(epochs: int) -> dict[str, Any]:
    return {"budget.epochs": epochs, "budget.steps_per_epoch": STEPS, "stopping.rule": "none"}


def train_one(settings: dict[str, Any], seed: int, data: Path) -> Result:
    """Train ``settings`` from the seed's common checkpoint and judge the best epoch by the test split once.

    Until its first decision a rule trains as ``none`` does, so that it goes on from there; that training is made first.

    Returns:
        ``metrics`` on the test split and ``epochs``, the records.
    """
    folder = folder_of(KEPT, {**COMMON, **settings}, seed)
    if (folder / "result.json").is_file():
        kept: Result = json.loads((folder / "result.json").read_bytes())
        return kept
    config, supply = _prepared({**settings, "start": str(_warm(seed, data))}, seed, data, folder)
    before: list[EpochRecord] = []
    if settings["stopping.rule"] != NONE:
        without = {key: settings[key] for key in budget(0)} | {"stopping.rule": NONE}
        base = [EpochRecord.from_json(e) for e in train_one(without, seed, data)["epochs"]]
        before = base[: first_decision(config, base) - 1]
        if before:
            _go_on(config, before, folder_of(KEPT, {**COMMON, **without}, seed), folder)
    epochs = [*before, *_train(config, supply, folder, resumes=bool(before))]
    result = {"metrics": _tested(config, supply, folder), "epochs": [e.to_json() for e in epochs]}
    (folder / "result.json").write_text(json.dumps(result))
    return result


def stopping_of(config: TrialConfig) -> Stopping | EvidenceStopping:
    """What decides in a training by ``config`` in which nobody rests yet."""
    from raytune_planes.training.evidence_stopping import make_stopping
    from raytune_planes.training.mixing import Mixer

    mixer = Mixer(config.mixing, config.stopping, {n: d.share for n, d in config.active.items()}, {})
    primary = {name: key.replace("test", "val", 1) for name, key in zip(DATASETS, METRICS, strict=True)}
    return make_stopping(config, primary, mixer.shares)


def first_decision(config: TrialConfig, epochs: Sequence[EpochRecord]) -> int:
    """The epoch after which the first dataset rests, had the training these metrics; one after the last for none."""
    stopping = stopping_of(config)
    return next((e.epoch for e in epochs if stopping.update(e.epoch, e.metrics)), len(epochs) + 1)


def _prepared(
    settings: Mapping[str, Any], seed: int, data: Path, folder: Path
) -> tuple[TrialConfig, Callable[..., Any]]:
    from raytune_planes.settings import make_config

    task = task_of("stopping", {**COMMON, **settings}, data, folder)
    return make_config(*task.layers, {"seed": seed}, source="stopping"), task.supply


def _warm(seed: int, data: Path) -> Path:
    """The checkpoint that all trainings of a seed begin with."""
    from raytune_planes.tracking.files import WEIGHTS

    settings = {**WARM, "stopping.rule": "none"}
    folder = folder_of(KEPT, {**COMMON, **settings}, seed)
    if not (folder / "done").is_file():
        _train(*_prepared(settings, seed, data, folder), folder)
        (folder / "done").touch()
    return (folder / WEIGHTS).resolve()


def _train(
    config: TrialConfig, supply: Callable[..., Any], folder: Path, *, resumes: bool = False
) -> list[EpochRecord]:
    """Its epochs; keeps the state after each, and the weights of each that was the best so far."""
    from raytune_planes.tracking.files import LAST, WEIGHTS
    from raytune_planes.training.stages import train_stages

    epochs: list[EpochRecord] = []

    def keep(record: EpochRecord, checkpoint: Checkpoint) -> None:
        checkpoint.save(folder)
        shutil.copy(folder / LAST, folder / f"{record.epoch}-{LAST}")
        shutil.copy(folder / WEIGHTS, folder / f"{record.epoch}-{WEIGHTS}")
        epochs.append(record)

    end, reason = train_stages(config, supply, goal_of({}), report=keep, resume=folder / LAST if resumes else None)
    assert end is not End.FAILED, reason
    return epochs


def _go_on(config: TrialConfig, before: Sequence[EpochRecord], source: Path, folder: Path) -> None:
    """Put into ``folder`` the state of a training by ``config`` after the epochs ``before``, made by ``source``."""
    from raytune_planes.settings import flatten
    from raytune_planes.tracking.files import LAST, WEIGHTS
    from raytune_planes.training.checkpoint import load, save

    stopping = stopping_of(config)
    for epoch in before:
        stopping.update(epoch.epoch, epoch.metrics)
    state = load(source / f"{len(before)}-{LAST}")
    save({**state, "config": flatten(config), "stopping": stopping.state_dict()}, folder / LAST)
    shutil.copy(source / f"{len(before)}-{WEIGHTS}", folder / WEIGHTS)


def _tested(config: TrialConfig, supply: Callable[..., Any], folder: Path) -> dict[str, float]:
    from raytune_planes.tracking.files import WEIGHTS
    from raytune_planes.training.checkpoint import load
    from raytune_planes.training.trainer import Trainer
    from raytune_planes.training.workers import LocalWorker

    trainer = Trainer(config, *supply(config), LocalWorker(config.devices.vision))
    trainer.use(load(folder / WEIGHTS)["weights"])
    return trainer.evaluate("test", scenes=False)


def _cells(results: Sequence[Result], base: Sequence[Result]) -> tuple[str, ...]:
    cells = []
    for key in METRICS:
        own = [100 * r["metrics"][key] for r in results]
        gains = [mine - 100 * b["metrics"][key] for mine, b in zip(own, base, strict=True)]
        width = f" ± {half_width(gains):.1f}" if len(gains) >= LEAST else ""
        cells.append(
            f"{statistics.fmean(own):.1f}"
            + (f" ({statistics.fmean(gains):+.1f}{width})" if base is not results else "")
        )
    samples = statistics.fmean(r["epochs"][-1]["samples"] for r in results)
    decisions = statistics.fmean(sum(len(e["decisions"]) for e in r["epochs"]) for r in results)
    return (*cells, f"{samples:,.0f}", f"{decisions:.1f}")


def _first_rest(settings: Mapping[str, Any], without: Result) -> str:
    """Who rests first by ``settings`` and after which epoch, had the training the metrics of ``without``."""
    from raytune_planes.settings import make_config

    stopping = stopping_of(make_config(of_pictures(), COMMON, settings, source="stopping"))
    for epoch in map(EpochRecord.from_json, without["epochs"]):
        for decision in stopping.update(epoch.epoch, epoch.metrics):
            return f"{decision.dataset} {decision.epoch}"
    return "-"
