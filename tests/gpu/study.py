"""A quick study through Ray, on the card and on the processors."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.gpu.place import Found, Place, Skipped

NEEDS = ("ray", "optuna", "mlflow")
SETTINGS = ("budget.epochs=2", "model.backbone.freeze=false", "model.backbone.views=0")
"""The space's frozen features are computed once and leave a card nothing to do."""
CLEANING_S = 20.0
"""For a study that is ended, and for its folder."""
DRY = ("budget.steps_per_epoch=2", "model.backbone.kind=residual", "model.backbone.weights=random")
"""Both studies are on processors, and to be over soon."""


def run(place: Place) -> Found:
    """Two trials of the space ``quick`` on each; both must end with a best trial, and the card's must be the sooner.

    Dry, both are on processors, as Ray's processes know no played card."""
    missing = [name for name in NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise Skipped(f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed")
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, gpus in (("card", "1"), ("processors", "0")):
            out = Path(folder, name)
            line = [sys.executable, "-m", "raytune_planes", "tune", "quick", "--no-references"]
            line += ["--trials", "1" if place.dry else "2"]
            line += ["--name", name, "--out", str(out), "--cache", str(Path(folder, "cache")), "--concurrent", "1"]
            settings = SETTINGS + (DRY if place.dry else ())
            line += ["--gpus-per-worker", "0" if place.dry else gpus, *(f"--set={each}" for each in settings)]
            told = Path(folder, f"{name}.txt")
            status = _run(line, told, max(1.0, place.left_s - CLEANING_S))
            if status:
                why = "was ended, as no time is left" if status < 0 else f"ended with {status}"
                return Found(False, f"on the {name} it {why}: {told.read_text(encoding='utf-8')[-400:]}")
            seconds[name] = _training_s(out / name)
        ratio = seconds["processors"] / seconds["card"]
    text = f"epochs took {seconds['card']:.1f} s on the card and {seconds['processors']:.1f} s on a processor"
    text += "; dry, both are a processor" if place.dry else ""
    return Found(place.dry or ratio > 1, text, {**seconds, "times as fast": ratio})


def _run(line: Sequence[str], told: Path, limit_s: float) -> int:
    """Its exit status, negative where it was ended because it took longer; what it says goes to the file ``told``, for
    Ray's processes would keep a pipe open."""
    with told.open("wb") as output:
        study = subprocess.Popen(line, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            return study.wait(limit_s)
        except subprocess.TimeoutExpired:
            os.killpg(study.pid, signal.SIGTERM)  # a study ends its Ray in good order
            try:
                study.wait(CLEANING_S / 2)
            except subprocess.TimeoutExpired:
                os.killpg(study.pid, signal.SIGKILL)
                study.wait()
            return -1


def _training_s(study: Path) -> float:
    """Seconds of all epochs of a study."""
    files = sorted(study.glob("trials/*/epochs.jsonl"))
    assert files, f"no records in {study}"
    return sum(json.loads(line)["seconds"] for path in files for line in path.read_text(encoding="utf-8").splitlines())
