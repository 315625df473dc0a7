"""Weights in MLflow's store: no second copy on the same disk, and gone where the study no longer needs them."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytune_planes.errors import UserError
from raytune_planes.records import End
from raytune_planes.tracking import files
from raytune_planes.tracking.files import trial_folder
from raytune_planes.tracking.keeping import free
from raytune_planes.tracking.mlflow import sync
from raytune_planes.tracking.mlflow_connection import connect, default_uri
from raytune_planes.tracking.mlflow_model import fetch
from tests.tracking.stores import contents, runs, tracked
from tests.tracking.studies import FINISH, START, artifact, ended, epoch, trial

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning"),
]


def test_weights_are_one_file_for_the_study_and_mlflow_and_leave_both(out: Path) -> None:
    tracker = tracked(out)
    tracker.start_study(START)
    places = []
    for number in range(3):
        tracker.start_trial(trial(number))
        places.append(trial_folder(out / START.name, number, trial(number).trial_id))
        artifact(places[-1], content=b"%d" % number * 100)
        tracker.end_trial(ended(trial(number), End.COMPLETED, "done", epoch(1, 0.1 * number)))
        if number == 2:
            free(places[1], 1)
    tracker.end_study(FINISH)

    shown = contents(default_uri(out))
    kept = ["best.pt", "config.yaml", "end.json", "epochs.jsonl", "trial.json"]
    assert shown["trial 000 (defaults)"]["files"] == shown["★ 002 best"]["files"] == kept
    assert shown["trial 001"]["files"] == ["config.yaml", "end.json", "epochs.jsonl", files.FREED, "trial.json"]
    assert shown["trial 001"]["tags"]["weights"] == "freed"
    assert "weights" not in shown["★ 002 best"]["tags"]
    copies = sorted((out / "mlartifacts").rglob("best.pt"), key=lambda path: path.read_bytes())
    assert [path.read_bytes()[:1] for path in copies] == [b"0", b"2"]
    assert [path.stat().st_ino for path in copies] == [(places[n] / "best.pt").stat().st_ino for n in (0, 2)]

    address = {r.data.tags.get("trial_id"): f"runs:/{r.info.run_id}" for r in runs(connect(default_uri(out)))}
    with pytest.raises(UserError, match=r"no longer has weights: its trial was not among the best .*--keep"):
        fetch(address["ab01"], default_uri(out), "best.pt")
    assert fetch(address["ab02"], default_uri(out), "best.pt").read_bytes() == b"2" * 100

    free(places[0], 1)
    assert sync(out / START.name) == ()
    assert [path.read_bytes()[:1] for path in (out / "mlartifacts").rglob("best.pt")] == [b"2"]
