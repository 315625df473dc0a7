"""What is decoded and embedded for a study: every size and text model that one of its trials may ask for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from raytune_planes.errors import UserError
from raytune_planes.preparation.prompts import prompts_key
from raytune_planes.space import Dimension, Space
from raytune_planes.tuning.plan import _variants, common_stages, prepare
from tests.tuning.tiny import GOAL, tiny_plan


def test_every_size_that_a_trial_may_ask_for_is_decoded(tmp_path: Path) -> None:
    search = (
        Dimension("datasets.fgvc.image_size", "choice", choices=(32, 64)),
        Dimension("datasets.fgvc.enabled", "choice", choices=(True, False)),
        Dimension("text.model", "choice", choices=("minilm", "other")),
        Dimension("text.freeze", "choice", choices=(True, False)),
        Dimension("optim.lr", "float", 1e-4, 1e-2),
    )
    space = tiny_plan(tmp_path, search=search).space
    found = [(c.datasets["fgvc"].image_size, c.text.model) for c in _variants(space)]
    assert found == [(32, "minilm"), (32, "other"), (64, "minilm"), (64, "other"), (16, "minilm")]
    assert all(c.datasets["fgvc"].enabled for c in _variants(space))


def test_only_the_sizes_that_conditions_allow_together_are_decoded(tmp_path: Path) -> None:
    search = (
        Dimension("datasets.fgvc.image_size", "choice", choices=(32, 64)),
        Dimension("datasets.fgvc.decoded_size", "choice", choices=(48,), when={"datasets.fgvc.image_size": (32,)}),
    )
    found = [(c.datasets["fgvc"].image_size, c.datasets["fgvc"].decoded_side) for c in _variants(
        tiny_plan(tmp_path, search=search).space)]  # fmt: skip
    assert found == [(32, 48), (64, 64), (16, 16)]


def test_every_set_of_templates_that_a_trial_may_ask_for_is_encoded(tmp_path: Path) -> None:
    search = (Dimension("text.templates", "choice", choices=("photo", "overhead")),)
    found = list(_variants(tiny_plan(tmp_path, search=search).space))
    assert [c.text.templates for c in found] == ["photo", "overhead", ""]
    assert len({prompts_key(c) for c in found}) == 3


def test_a_space_that_varies_neither_sizes_nor_texts_is_decoded_once(tmp_path: Path) -> None:
    assert len(list(_variants(tiny_plan(tmp_path).space))) == 1


def test_workers_get_as_many_threads_as_processors_and_drawn_settings_come_last(tmp_path: Path) -> None:
    plan = replace(tiny_plan(tmp_path), cpus_per_worker=2)
    config = plan.config({"optim.lr": 0.5})
    assert (config.devices.threads, config.optim.lr, config.budget.batch_size) == (2, 0.5, 8)
    assert plan.task(tmp_path).config({"optim.lr": 0.5}) == config


@pytest.mark.parametrize("searched", [True, False])
def test_a_start_that_is_no_checkpoint_is_refused_before_any_trial(tmp_path: Path, searched: bool) -> None:
    lost = str(tmp_path / "lost.pt")
    choices = {"search": (Dimension("start", "choice", choices=("", lost)),)} if searched else {}
    plan = tiny_plan(tmp_path, **choices, fixed={} if searched else {"start": lost})
    with pytest.raises(UserError, match="start: no checkpoint at .*lost.pt"):
        prepare(plan.space, None, tmp_path, print)


def test_drawn_settings_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not divide the grid's 32 channels"):
        tiny_plan(tmp_path).config({"model.dit.heads": 3})


@pytest.mark.parametrize(
    ("searched", "common"),
    [
        ("stages.last.optim.lr", 2),
        ("stages.middle.optim.lr", 1),
        ("optim.lr", 0),
        ("losses.contrastive.weight", 1),  # the first stage has its own
        ("datasets.fgvc.weight", 1),  # and leaves that dataset out
        ("datasets.fgvc.enabled", 1),
    ],
)
def test_leading_stages_are_common_where_no_searched_setting_reaches_them(searched: str, common: int) -> None:
    fixed = {
        "plan": "first, middle, last",
        "stages.first.losses.contrastive.weight": 0.0,
        "stages.first.datasets.fgvc.enabled": False,
        "stages.middle.budget.epochs": 2,
        "stages.last.budget.epochs": 2,
    }
    dimension = Dimension(searched, "choice", choices=(True, False) if searched.endswith("enabled") else (0.1, 0.2))
    assert common_stages(Space("staged", "", GOAL, fixed, (dimension,))) == common
