"""The benchmarks themselves: every method runs through its own driver's calls, and what is missing is said."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raytune_planes.settings import flatten
from raytune_planes.space import trial_config
from raytune_planes.training.feature_files import BESIDE
from tests.benchmarks import backbones, frozen, lcbench_table
from tests.benchmarks.lcbench import EPOCHS, METHODS, Optuna, RayTune, Run, full_training, ours, run
from tests.benchmarks.lcbench_table import tabulate
from tests.benchmarks.ranks import Agreement, agreement, scores
from tests.benchmarks.scenes import constant_error
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


def test_the_best_of_one_way_has_a_place_in_the_ranking_of_the_other() -> None:
    found = agreement([0.1, 0.4, 0.3, 0.2], [0.5, 0.6, 0.9, 0.4])
    assert found == Agreement(pytest.approx(0.6), 2, pytest.approx(0.3))


def test_floors_of_the_frozen_study_follow_its_first_trial() -> None:
    goal = frozen.searched().goal
    a, b, c = frozen.VALIDATION
    defaults, better, worse = {a: 0.9, b: 0.5, c: 0.2}, {a: 0.9, b: 0.6, c: 0.3}, {a: 0.8, b: 0.8, c: 0.8}
    trials = [[defaults], [worse, better], [worse]]
    assert scores(trials, goal, floors=True) == pytest.approx([0.35, 0.45, 0.8 - 10 * (0.89 - 0.8)])
    assert scores(trials, goal, floors=False) == pytest.approx([0.35, 0.8, 0.8])


def test_all_configurations_of_the_frozen_study_read_the_same_features() -> None:
    space = frozen.searched()
    drawn = frozen.configurations(space, frozen.TRIALS)
    assert len({str(values) for values in drawn}) == frozen.TRIALS
    assert drawn[0] == space.first()
    configs = [trial_config(space, values) for values in drawn]
    seen = [{name: d.model_dump(exclude=BESIDE) for name, d in config.datasets.items()} for config in configs]
    assert all(datasets == seen[0] for datasets in seen)
    encoders = [flatten(config.model.backbone.model_copy(update={"width": 24})) for config in configs]
    assert all(settings == encoders[0] for settings in encoders)
    assert not any(config.losses.reconstruction.weight for config in configs)


def test_the_frozen_study_compares_times_of_the_same_configuration() -> None:
    a, b, c = frozen.VALIDATION

    def trial(value: float, seconds: float) -> dict[str, Any]:
        return {"epochs": [{a: value, b: value, c: value}], "seconds": seconds}

    found = {
        frozen.AFRESH: [trial(0.1, 40), trial(0.2, 60), trial(0.3, 50), {"epochs": [], "seconds": 1, "failed": "nan"}],
        frozen.STORED: [trial(0.1, 4), trial(0.3, 3), trial(0.2, 2), trial(0.9, 9)],
        frozen.AGAIN: [trial(0.1, 4), trial(0.3, 3), trial(0.2, 2), trial(0.9, 9)],
    }
    table = frozen.tabulate(found, 21.0, frozen.searched())
    assert table.figures["ratio"] == 20
    assert table.figures["of the study"] == 150 / (9 + 21)
    assert table.rows[-2] == (
        "mean of the objectives", "0.200", "0.200", "0.50", "1.00", "2, -0.100", "2, -0.100", "1, -0.000"
    )  # fmt: skip


def test_a_constant_count_is_off_by_what_scenes_differ_from_the_training_mean() -> None:
    assert constant_error([10, 20, 30], [20, 24, 14]) == pytest.approx(10 / 3)
