"""A quick study through Ray, on the card and on the processors."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.gpu.place import Found, Place, Skipped

NEEDS = ("ray", "optuna", "mlflow")
SETTINGS = ("budget.epochs=2", "model.backbone.freeze=false", "model.backbone.views=0")
"""The space's frozen features are computed once and leave a card nothing to do."""


def run(place: Place) -> Found:
    """Two trials of the space ``quick`` on each; both must end with a best trial, and the card's must be the sooner."""
    missing = [name for name in NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise Skipped(f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed")
    if place.dry:
        raise Skipped("Ray's processes know no played card; ordinary tests run studies on processors")
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, gpus in (("card", "1"), ("processors", "0")):
            out = Path(folder, name)
            line = [sys.executable, "-m", "raytune_planes", "tune", "quick", "--trials", "2", "--no-references"]
            line += ["--name", name, "--out", str(out), "--cache", str(Path(folder, "cache")), "--concurrent", "1"]
            line += ["--gpus-per-worker", gpus, *(f"--set={each}" for each in SETTINGS)]
            ended = subprocess.run(
                line, capture_output=True, text=True, timeout=max(30.0, place.left_s - 5), check=False
            )
            if ended.returncode:
                return Found(False, f"on the {name} it ended with {ended.returncode}: {ended.stderr[-400:]}")
            seconds[name] = _training_s(out / name)
        ratio = seconds["processors"] / seconds["card"]
    text = f"epochs took {seconds['card']:.1f} s on the card and {seconds['processors']:.1f} s on a processor"
    return Found(ratio > 1, text, {**seconds, "times as fast": ratio})


def _training_s(study: Path) -> float:
    """Seconds of all epochs of a study."""
    files = sorted(study.glob("trials/*/epochs.jsonl"))
    assert files, f"no records in {study}"
    return sum(json.loads(line)["seconds"] for path in files for line in path.read_text(encoding="utf-8").splitlines())
