"""A study whose hosts die, are drained and join late, and whose head is started anew, has every trial once."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytune_planes.cli import main
from tests.chaos.agreement import disagreements
from tests.chaos.hosts import TRIALS, play, prepared


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore")
def test_every_trial_exists_once_after_hosts_came_and_went_and_the_head_was_restarted(tmp_path: Path) -> None:
    study = prepared(tmp_path)
    assert play(study, limit_s=600) == [], study.said()
    uri = f"sqlite:///{study.out}/mlflow.db"
    assert main(["sync", study.name, "--out", str(study.out), "--tracking-uri", uri]) == 0
    assert disagreements(study.folder, uri, TRIALS) == []
