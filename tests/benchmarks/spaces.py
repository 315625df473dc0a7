"""What each packaged space finds on the pictures in ``RAYTUNE_PLANES_PICTURES``, and whether a dataset loses by it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from raytune_planes.report.final import final_json
from raytune_planes.report.formatting import as_json_number
from raytune_planes.space import packaged
from raytune_planes.tracking import read_study
from raytune_planes.tracking.files import study_folder
from raytune_planes.tracking.final import called
from raytune_planes.tracking.gains import best_of, gains
from raytune_planes.tracking.reading import StudyFiles
from tests.benchmarks.tables import Aim, Table
from tests.benchmarks.trainings import METRICS, of_pictures, pictures

OUT = Path("results/spaces")
ELSEWHERE = ("own",)
"""Spaces for datasets that these pictures are not."""
TRIALS = int(os.environ.get("RAYTUNE_PLANES_TRIALS", "8"))
LONG = int(os.environ.get("RAYTUNE_PLANES_LONG", "18"))
"""Trials of a study, and epochs of its final training: three times those of a trial."""
BUDGET: Mapping[str, Any] = {"budget.epochs": 6, "budget.steps_per_epoch": 40, "budget.batch_size": 32}
LOST = 0.01
"""A dataset this much below the defaults has lost by the study."""
FIGURES = ("defaults", "best", "alone", "long_defaults", "long_choice")


def measure(quick: bool) -> Table:
    """Raises Missing when the pictures are not here. ``--quick`` studies the space of that name alone.

    ``RAYTUNE_PLANES_VARIANTS`` may name the spaces, separated by commas. A study that is complete is read, another one
    goes on. ``RAYTUNE_PLANES_TRIALS`` and ``RAYTUNE_PLANES_LONG`` ask for other budgets.
    """
    data, asked = pictures(), os.environ.get("RAYTUNE_PLANES_VARIANTS") or ("quick" if quick else "")
    names = asked.split(",") if asked else [name for name in packaged() if name not in ELSEWHERE]
    found = {name: _studied(name, data) for name in names}
    rows = [row for name, final in found.items() for row in _rows(name, final)]
    notes = (
        f"Validation split, in points; {TRIALS} trials of {BUDGET['budget.epochs']} epochs, then {LONG} epochs of the "
        "defaults and of the choice; one seed.",
        *(f"{name}: {final['verdict']}" for name, final in found.items()),
    )
    lost = sum(len(_lost(final)) for final in found.values())
    header = ("space", "metric", "defaults", "best", "alone", "defaults, long", "choice, long", "")
    return Table("spaces", header, rows, found, notes, [Aim(f"datasets {LOST} below the defaults", lost, 0)])


def _studied(name: str, data: Path) -> dict[str, Any]:
    """What a study of the space ``name`` found, as ``final_json`` gives it."""
    import raytune_planes as rp

    if not study_folder(OUT, name).is_dir():
        asked: Mapping[str, Any] = {"trials": TRIALS, "final": LONG, "learn_from": "none"}  # each space by itself
        rp.tune(name, data=data, out=OUT, name=name, settings={**BUDGET, **of_pictures()}, **asked)
    elif not (final_json(read_study(study_folder(OUT, name))) or {}).get("ended"):
        rp.tune(data=data, out=OUT, resume=name, trials=TRIALS, final=LONG)
    study = read_study(study_folder(OUT, name))
    return final_json(study) or _without_final(study)


def _without_final(study: StudyFiles) -> dict[str, Any]:
    """The same of a study that trains nothing again, as one of a space with a plan, or that was stopped before."""
    best = best_of(study)
    metrics = {
        gain.metric: {
            "defaults": as_json_number(gain.before),
            "best": as_json_number(gain.after),
            "alone": as_json_number(gain.alone),
            "long_defaults": None,
            "long_choice": None,
        }
        for gain in (gains(study, best) if best else ())
    }
    verdict = f"no final training; best: {called(best.number) if best else 'no trial'}"
    return {"verdict": verdict, "handed_over": best.number if best else None, "metrics": metrics}


def _rows(name: str, final: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    lost = _lost(final)
    for metric in (key.replace("test", "val", 1) for key in METRICS):
        values = final["metrics"].get(metric, dict.fromkeys(FIGURES))
        cells = ("-" if values[key] is None else f"{100 * values[key]:.1f}" for key in FIGURES)
        yield name, metric.removeprefix("val/"), *cells, "LOST" if metric in lost else ""


def _lost(final: Mapping[str, Any]) -> list[str]:
    """Metrics of the datasets that what the study hands over leaves below the defaults of the same budget: the long
    one, or that of a trial where nothing was trained longer."""
    if not final["handed_over"]:  # the defaults themselves, or nothing
        return []
    keys = [key.replace("test", "val", 1) for key in METRICS]
    values = {key: final["metrics"][key] for key in keys}
    pairs = {
        key: (of["long_choice"], of["long_defaults"]) if "epochs" in final else (of["best"], of["defaults"])
        for key, of in values.items()
    }
    return [key for key, (mine, usual) in pairs.items() if mine < usual - LOST]
