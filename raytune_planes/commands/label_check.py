"""Labels that models of other folds find unlikely: a list with names, and a contact sheet to look at."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from raytune_planes.config import TrialConfig
from raytune_planes.datasets.base import Arrays
from raytune_planes.datasets.hygiene.labels import LabelCheck, Suspect, check
from raytune_planes.preparation.data import open_data, picture_names
from raytune_planes.printing import printable
from raytune_planes.report.data import COLUMNS, Sheet, SheetPicture, SheetRow
from raytune_planes.report.drawing import save
from raytune_planes.report.figure import Figure
from raytune_planes.tracking.files import write_whole
from raytune_planes.tracking.validation import Predictions, probabilities

FILE = "labels.json"
ROWS = 6
"""Of a contact sheet: the most suspicious pictures."""
LETTERS = 14
"""Of the two classes above a picture."""


def check_labels(
    config: TrialConfig,
    predictions: Mapping[str, Predictions],
    out: Path,
    data: Path | None,
    cache: Path | None,
    limit: float,
) -> None:
    """Write ``labels.json`` and ``labels-NAME.png`` into ``out``, and tell how many labels look wrong.

    Args:
        config: What was trained; its datasets are in the cache.
        predictions: Of each dataset, out of fold.
        limit: GiB of the cache.
    """
    arrays = open_data(config, data, cache, limit_gib=limit)
    reports: dict[str, Any] = {}
    for name, given in predictions.items():
        checked = check(probabilities(given.logits_NK), given.labels_N)
        names = picture_names(name, config.active[name], data, cache)
        reports[name] = _as_json(checked, given, arrays[name], names)
        print(
            f"{name}: {len(checked.suspects):,} of {len(given.labels_N):,} labels look wrong to models that did not "
            f"train on their pictures (estimated: {checked.wrong:.1%}); the list: {out / FILE}"
        )
        if checked.suspects:
            figure = Figure(
                f"labels-{name}",
                f"{name}: labels that look wrong",
                "The least probable labels first; above each picture its label, and what the models find instead.",
                _sheet(checked, given, arrays[name]),
            )
            print(f"  a contact sheet: {save(figure, out, synthetic=arrays[name].synthetic)[0]}")
    write_whole(out / FILE, json.dumps(reports, indent=1) + "\n")


def _as_json(checked: LabelCheck, given: Predictions, arrays: Arrays, names: Sequence[str]) -> dict[str, Any]:
    classes, likely_NK = arrays.info.classes, probabilities(given.logits_NK)

    def as_row(suspect: Suspect) -> dict[str, Any]:
        return {
            "picture": names[int(given.pictures_N[suspect.row])],
            "label": classes[suspect.given],
            "probability": round(suspect.confidence, 4),
            "likely": classes[suspect.likely],
            "probability_of_likely": round(float(likely_NK[suspect.row, suspect.likely]), 4),
        }

    return {
        "pictures": len(given.labels_N),
        "estimated_share_of_wrong_labels": round(checked.wrong, 4),
        "suspects": [as_row(suspect) for suspect in checked.suspects],
    }


def _sheet(checked: LabelCheck, given: Predictions, arrays: Arrays) -> Sheet:
    def shown(suspect: Suspect) -> SheetPicture:
        names = [_cut(printable(arrays.info.classes[k])) for k in (suspect.given, suspect.likely)]
        image_HWC = np.asarray(arrays.images_NHWC[int(given.pictures_N[suspect.row])])
        return SheetPicture(image_HWC, about=f"{names[0]}\n{names[1]}?")

    worst = checked.suspects[: ROWS * COLUMNS]
    rows = [worst[start : start + COLUMNS] for start in range(0, len(worst), COLUMNS)]
    return Sheet(
        tuple(
            SheetRow(
                f"label at {row[0].confidence:.1%} to {row[-1].confidence:.1%}", tuple(map(shown, row)), suspicious=True
            )
            for row in rows
        )
    )


def _cut(text: str) -> str:
    return text if len(text) <= LETTERS else f"{text[: LETTERS - 1]}…"
