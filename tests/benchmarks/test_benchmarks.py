"""The benchmarks themselves: every method runs through its own driver's calls, and what is missing is said."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.benchmarks import backbones, lcbench_table
from tests.benchmarks.lcbench import EPOCHS, METHODS, Optuna, RayTune, Run, full_training, ours, run
from tests.benchmarks.lcbench_table import tabulate
from tests.benchmarks.tables import Missing


class Hill:
    """Curves in closed form, best at a learning rate of 0.01 and without dropout."""

    def curve(self, task: str, drawn: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        top = 0.9 - 0.1 * abs(math.log10(drawn["learning_rate"]) + 2) - 0.2 * drawn["max_dropout"]
        return top * (1 - np.exp(-np.arange(1, EPOCHS + 1) / 10)), np.full(EPOCHS, 2.0)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_spends_its_budget_and_improves_on_its_first_trial(name: str) -> None:
    seconds = 8 * full_training(Hill(), "")
    assert seconds == pytest.approx(8 * 2.0 * EPOCHS)
    found = run(Hill(), "", METHODS[name](0), seconds)
    assert found.trials >= 8
    assert found.final > found.best[1]
    assert list(found.best) == sorted(found.best)
    assert 0 < found.time_to(found.final) <= 1


def test_a_trial_that_ray_stops_is_told_to_its_search_as_complete_and_elsewhere_as_pruned() -> None:
    tune, alone, mine = RayTune(0, model=True), Optuna(0), ours(0)
    for strategy in (tune, alone, mine):
        run(Hill(), "", strategy, 8 * 2.0 * EPOCHS)
    told = [{t.state.name for t in study.trials} for study in (tune._search._ot_study, alone._study, mine.search)]
    assert "PRUNED" not in told[0]
    assert {"PRUNED", "COMPLETE"} <= told[1]
    assert {"PRUNED", "COMPLETE"} <= told[2]


def test_the_table_compares_each_method_with_ours_at_random_searchs_final_value() -> None:
    runs = {
        (task, name, seed): Run((0.0, 0.1, 0.2 if name == "ours" else 0.8), (-math.inf, 0.5, 0.9), 9)
        for task in ("x", "y")
        for name in METHODS
        for seed in range(2)
    }
    figures = tabulate(runs, ("x", "y"), range(2)).figures["all tasks"]
    assert figures["random"]["time"] == pytest.approx(0.8)
    assert figures["random"]["slower"] == pytest.approx(4.0)
    assert figures["ours"] == {**figures["ours"], "time": pytest.approx(0.2), "behind": 0.0, "reached": 4}


def test_without_the_surrogate_the_benchmark_says_what_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAYTUNE_PLANES_LCBENCH", str(tmp_path))
    with pytest.raises(Missing, match=r"no model.onnx in .*; set RAYTUNE_PLANES_LCBENCH"):
        lcbench_table.measure(True)


def test_a_measured_step_of_a_backbone_trains_encoder_and_decoder() -> None:
    task, step = backbones.build(backbones.DEFAULT)
    step()
    for part in (task.model.backbone, task.model.decoder):
        assert all(p.grad is not None and p.grad.any() for p in part.parameters())
