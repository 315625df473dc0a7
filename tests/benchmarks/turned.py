"""What the oriented detector finds in drawn scenes beside the upright one, and how planes that touch are counted."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.tables import Table
from tests.benchmarks.trainings import Result, Variants, folder_of, task_of, train_all

KEPT = Path("results/turned")
"""One folder a training, so that the benchmark goes on where it was stopped."""
DATASET = "hrplanes"
SEEDS = (0, 1, 2)
SCENES = 120
"""Drawn, SYNTHETIC; a sixth each for validation and test. In every second one planes touch."""
BASE: Mapping[str, Any] = {
    "datasets.planesnet.enabled": False,
    "datasets.fgvc.enabled": False,
    "stopping.rule": "none",
    "budget.epochs": 8,
    "budget.steps_per_epoch": 80,
    "budget.batch_size": 32,
    "budget.scene_epochs": 0,
}
"""20,480 samples of tiles with boxes and masks."""
ORIENTED, UPRIGHT, PARTS = "oriented detector", "upright detector", "mask parts"
DETECTORS: Variants = {
    ORIENTED: {"losses.oriented_detection.weight": 1.0},
    UPRIGHT: {"losses.detection.weight": 1.0},
}
OBJECTIVES = {ORIENTED: "oriented_ap50", UPRIGHT: "ap50"}
"""By which the epoch is chosen, on validation tiles."""
KINDS = ("touching", "apart", "none")
"""Scenes in which planes touch, stand apart, or are not."""


def measure(quick: bool) -> Table:
    """``--quick`` takes one seed."""
    seeds, data = SEEDS[:1] if quick else SEEDS, drawn(KEPT / "scenes")
    keys = [f"test/{DATASET}/{name}" for name in ("scene_oriented_ap50", "scene_ap50")]
    return tabulate(train_all("turned", train_one, DETECTORS, seeds, data, workers=1, keys=keys))


def tabulate(found: Mapping[str, Sequence[Result]]) -> Table:
    """A row for each way of finding planes; ``found`` as ``train_all`` returns it."""
    rows = []
    for by, label in ((ORIENTED, ORIENTED), (UPRIGHT, UPRIGHT), (PARTS, UPRIGHT)):
        results = found[label]
        own = "scene_oriented" if by == ORIENTED else "scene"
        told = [[r["metrics"][f"test/{DATASET}/{own}_{name}"] for r in results] for name in ("ap50", "map")]
        turned = [r["turned"]["scene_oriented_ap50"] for r in results]
        precisions = ["-"] * 3 if by == PARTS else [_cell(values) for values in (*told, turned)]
        errors = [_cell([error_of(r["counts"], by, kind) for r in results]) for kind in KINDS]
        rows.append((by, *precisions, *errors))
    counts = found[ORIENTED][0]["counts"]
    there = {kind: [c["there"] for c in counts if c["kind"] == kind] for kind in KINDS}
    scenes = "; ".join(f"{kind}: {len(each)} scenes, {sum(each)} planes" for kind, each in there.items())
    seconds = ", ".join(f"{label} {statistics.fmean(r['seconds'] for r in rs):.0f} s" for label, rs in found.items())
    notes = (
        f"Test scenes, SYNTHETIC ({scenes}); mean of {len(found[ORIENTED])} seeds, in brackets each.",
        "Overlaps are of boxes of the detector's own kind, but in the third column those with the oriented boxes that",
        f"are there. Mask parts are those of the upright detector's model. Processor time: {seconds}",
    )
    header = ("planes by", "AP50", "mAP50-95", "oriented AP50", *(f"error of the count, {kind}" for kind in KINDS))
    return Table("turned", header, rows, {"results": dict(found)}, notes)


def error_of(counts: Sequence[Mapping[str, Any]], by: str, kind: str) -> float:
    """Mean of |told - there| in planes, over the scenes of a kind."""
    return statistics.fmean(abs(c[by] - c["there"]) for c in counts if c["kind"] == kind)


def drawn(folder: Path) -> Path:
    """A folder with the scenes, drawn unless it is there."""
    from raytune_planes.datasets.synthetic import synthesise

    if not folder.exists():
        partial = folder.with_name("scenes.partial")
        synthesise(partial, planesnet=0, hrplanes=SCENES, fgvc=0, fgvc_classes=0, seed=0, oriented=True, touching=True)
        partial.rename(folder)
    return folder


def train_one(settings: dict[str, Any], seed: int, data: Path) -> Result:
    """Train ``settings`` and judge the best epoch's weights on the test scenes, unless that was done before.

    Returns:
        ``metrics`` on test, ``turned``: the overlap with oriented boxes of what was told, ``counts``: of each scene
        its kind and how many planes are ``there``, told by the detector and by mask parts, and ``seconds`` of
        processor time.
    """
    from raytune_planes.records import Goal, Objective
    from raytune_planes.serving.predictor import Predictor
    from raytune_planes.settings import make_config
    from raytune_planes.tracking.files import WEIGHTS
    from raytune_planes.training.checkpoint import load
    from raytune_planes.training.loop import train
    from raytune_planes.training.trainer import Trainer
    from raytune_planes.training.workers import LocalWorker

    folder = folder_of(KEPT, {**BASE, **settings}, seed)
    kept = folder / "result.json"
    if kept.is_file():
        result: Result = json.loads(kept.read_bytes())
        return result
    by = next(name for name, own in DETECTORS.items() if own == settings)
    task = task_of("turned", {**BASE, **settings}, data, folder)
    config = make_config(*task.layers, {"seed": seed}, source="turned")
    goal, began = Goal((Objective(f"val/{DATASET}/{OBJECTIVES[by]}"),)), time.process_time()
    train(config, *task.supply(config), goal, report=lambda _, checkpoint: checkpoint.save(folder))
    seconds = time.process_time() - began
    trainer = Trainer(config, *task.supply(config), LocalWorker(config.devices.vision))
    trainer.use(load(folder / WEIGHTS)["weights"])
    found = trainer.data[DATASET].scenes
    assert found is not None, f"{DATASET} has whole scenes"
    model = Predictor.load(folder / WEIGHTS, "cpu")
    counts, turned = judge(model, found, trainer.data[DATASET].info.tile, by)
    result = {"metrics": trainer.evaluate("test"), "turned": turned, "counts": counts, "seconds": seconds}
    kept.write_text(json.dumps(result))
    return result


def judge(model: Any, scenes: Any, tile: int, by: str) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """What ``model`` tells of each test scene: the counts, and the score of its boxes beside oriented ones."""
    import numpy as np
    import torch

    from raytune_planes.datasets import oriented
    from raytune_planes.scenes.boxes import SURE, detected
    from raytune_planes.scenes.grid import Grid, planes
    from raytune_planes.scenes.oriented import detected_oriented, judged_oriented, oriented_scene_metrics
    from raytune_planes.training.scene_evaluation import FAINT

    counts, rows = [], []
    for scene in scenes.splits["test"].tolist():
        (width, height), there_M8 = scenes.size(scene), scenes.corners(scene)
        grid = Grid(scenes.image(scene), scenes.step(scene, tile), scenes.image_size, width, height)
        pixels_NHWC = model.learnt[DATASET].seen.pixels(np.stack(list(grid.pixels())))
        said = model.predict(DATASET, torch.from_numpy(pixels_NHWC).permute(0, 3, 1, 2))
        if by == ORIENTED:
            found = detected_oriented(said.oriented_logit_BN, said.oriented_BN8, grid, FAINT)
        else:
            upright = detected(said.box_logit_BN, said.boxes_BN4, grid, FAINT)
            corners = [tuple(oriented.upright(torch.tensor(box)).tolist()) for box, _ in upright]
            found = tuple(zip(corners, (score for _, score in upright), strict=True))
        rows.append(judged_oriented(found, there_M8, width, height))
        counts.append(
            {
                "kind": kind_of(there_M8),
                "there": len(there_M8),
                by: sum(score >= SURE for _, score in found),
                PARTS: len(planes(grid.blend(said.mask_BHW), width, height, scenes.image_size)),
            }
        )
    return counts, oriented_scene_metrics(torch.stack(rows))


def kind_of(corners_M8: Any) -> str:
    """One of ``KINDS``, of a scene whose planes have oriented boxes with these corners: planes touch that share some of
    their boxes and stand in one direction. Boxes of planes that stand apart may share their empty corners."""
    import torch

    from raytune_planes.datasets import oriented

    if not len(corners_M8):
        return "none"
    boxes_1M8 = torch.tensor(corners_M8)[None]
    points_M42 = boxes_1M8[0].view(-1, 4, 2)
    ahead_M2 = torch.nn.functional.normalize(points_M42[:, 0] - points_M42[:, 3], dim=-1)
    parallel_MM = (ahead_M2 @ ahead_M2.T).abs() > 0.9999
    shared_MM = oriented.iou(boxes_1M8, boxes_1M8)[0].fill_diagonal_(0)
    return "touching" if (parallel_MM & (shared_MM > 0.001)).any() else "apart"


def _cell(values: Sequence[float]) -> str:
    """The mean, and each value where there are several."""
    mean = f"{statistics.fmean(values):.3f}"
    return mean if len(values) == 1 else f"{mean} ({', '.join(f'{value:.3f}' for value in values)})"
