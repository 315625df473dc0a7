"""The reconstruction term within a training."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytune_planes.records import End
from tests.toy import INFOS, toy_config
from tests.training.test_loop import Recorder, run

ASKED = {"losses__reconstruction__weight": 1.0, "losses__reconstruction__patch": 4}


def test_every_dataset_learns_to_tell_hidden_patches() -> None:
    seen = Recorder()
    run(toy_config(budget__epochs=4, budget__steps_per_epoch=45, optim__lr=0.005, stopping__rule="none", **ASKED), seen)
    first, last = seen.metrics[0], seen.metrics[-1]
    for name in INFOS:
        key = f"val/{name}/reconstruction_loss"
        assert last[key] < min(1.0, first[key]), name
        assert last[f"val/{name}/loss"] > last[key]


def test_at_weight_zero_there_is_no_such_metric() -> None:
    seen = Recorder()
    run(toy_config(budget__epochs=1), seen)
    assert not [key for key in seen.metrics[0] if "reconstruction" in key]


@pytest.mark.parametrize("rule", ["fixed", "famo"])
def test_a_resumed_training_hides_the_same_pixels(tmp_path: Path, rule: str) -> None:
    config = toy_config(budget__epochs=4, balancing__rule=rule, **ASKED)
    whole, first, second = Recorder(), Recorder(tmp_path, stop_after=2), Recorder()
    run(config, whole)
    assert run(config, first) == (End.PRUNED, "told to")
    run(config, second, resume=tmp_path / "last.pt")
    assert first.metrics + second.metrics == whole.metrics
