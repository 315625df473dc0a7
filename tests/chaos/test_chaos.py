"""A small study that loses its driver, a trial's process and its MLflow server comes to what it would have been."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from raytune_planes.datasets.synthetic import synthesise
from raytune_planes.preparation.data import open_data
from raytune_planes.preparation.prompts import embed_prompts
from raytune_planes.records import EpochRecord
from raytune_planes.settings import make_config
from raytune_planes.space import load_space
from raytune_planes.tracking import read_study
from raytune_planes.training.loop import train
from raytune_planes.tuning.search import Search
from tests.chaos.agreement import disagreements
from tests.chaos.attack import SPACE, Blow, Study, attack
from tests.chaos.server import Server

TRIALS, SEED = 4, 3


@pytest.mark.slow
def test_a_study_that_is_shot_at_ends_as_if_nothing_had_happened(tmp_path: Path) -> None:
    space, data, cache = tmp_path / "chaos.yaml", tmp_path / "data", tmp_path / "cache"
    space.write_text(SPACE.format(epochs=3, steps=6))
    synthesise(data, planesnet=48, hrplanes=4, fgvc=24, fgvc_classes=3, seed=0, scene_side=320)
    server = Server(tmp_path / "mlflow")
    server.start()
    words = (str(space), "--data", str(data), "--cache", str(cache), "--tracking-uri", server.uri)
    words += ("--no-rungs", "--no-references")
    limits = ("--concurrent", "1", "--trials", str(TRIALS), "--seed", str(SEED))
    study = Study(tmp_path / "out", "shot", (*words, *limits))
    blows = (Blow("actor", 1, 0.0), Blow("driver", 5, 0.1), Blow("server", 7, 0.0))
    try:
        done = attack(study, blows, server, limit_s=500)
        assert study.ended() == 0, study.said()
        assert [what.split()[0] for what in done] == ["actor", "driver", "server"]
        server.wait()
        sync = [sys.executable, "-m", "raytune_planes", "sync", "shot", "--out", str(study.out)]
        subprocess.run([*sync, "--tracking-uri", server.uri], check=True)
        assert disagreements(study.folder, server.uri, TRIALS) == []
    finally:
        server.kill()
    assert study.left() == []

    search = Search(load_space(space), seed=SEED)
    for trial in read_study(study.folder).trials:
        asked = search.ask()
        assert asked is not None
        assert trial.drawn == asked.drawn
        config = make_config(dict(trial.config))
        arrays = open_data(config, data, cache)
        prompts = embed_prompts({name: a.info for name, a in arrays.items()}, config, cache)
        epochs: list[EpochRecord] = []
        train(config, arrays, prompts, search.goal, report=lambda epoch, _, epochs=epochs: epochs.append(epoch))
        assert [(e.epoch, e.step, dict(e.metrics), e.decisions) for e in trial.epochs] == [
            (e.epoch, e.step, dict(e.metrics), e.decisions) for e in epochs
        ]
