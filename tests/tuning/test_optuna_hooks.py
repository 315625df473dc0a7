"""What happens where a release of Optuna lacks one of its private names."""

from __future__ import annotations

import logging

import optuna
import pytest
from optuna.samplers import TPESampler

from raytune_planes.tuning import optuna_hooks


@pytest.fixture(autouse=True)
def _warned_of_nothing() -> None:
    optuna_hooks._warn.cache_clear()


@pytest.mark.parametrize("name", ["_split_trials", "_rng"])
def test_without_a_name_of_tpe_optunas_own_is_taken_and_that_is_said(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    of = "FUNCTIONS" if name == "_split_trials" else "ATTRIBUTES"
    monkeypatch.setattr(optuna_hooks, of, (f"{name}_of_another_release",))
    with caplog.at_level(logging.WARNING):
        sampler = optuna_hooks.tpe(seed=1, multivariate=False)
        optuna_hooks.tpe(seed=2, multivariate=False)
    assert type(sampler) is TPESampler
    assert caplog.messages == [
        f"Optuna {optuna.__version__} has no {name}_of_another_release: a suggestion takes longer, 0.4 s after 1,000 "
        "trials of a large space"
    ]


def test_without_the_module_of_tpe_optunas_own_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optuna_hooks, "OF_TPE", "optuna.samplers._no_such_module")
    assert type(optuna_hooks.tpe(multivariate=False)) is TPESampler


def test_without_a_way_to_a_studys_trials_the_sampler_sees_the_study_itself(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    study = optuna.create_study()
    assert optuna_hooks.view(study, []).get_trials() == []
    monkeypatch.setattr(optuna_hooks, "VIEW", "_trials_of_another_release")
    with caplog.at_level(logging.WARNING, logger=optuna_hooks.log.name):
        assert optuna_hooks.view(study, []) is study
    assert "the sampler learns nothing from pruned trials of several objectives" in caplog.text
