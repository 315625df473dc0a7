"""Distillation: the term against its formula, and trainings that learn from a specialist of each dataset."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from raytune_planes.datasets.base import Arrays
from raytune_planes.errors import UserError
from raytune_planes.records import End, Goal, Objective
from raytune_planes.training import checkpoint
from raytune_planes.training.left_out import digest
from raytune_planes.training.teachers import Teachers
from raytune_planes.training.trainer import Trainer
from raytune_planes.training.workers import LocalWorker
from tests.toy import FAST, INFOS, toy_config, toy_data, toy_prompts
from tests.training.test_loop import Recorder, run

CPU = torch.device("cpu")
ASKED = {"losses__distillation__weight": 1.0, "losses__distillation__temperature": 2.0}


@pytest.fixture(scope="module")
def taught_by(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Settings that name the ``best.pt`` of a short training as the specialist of every dataset."""
    folder = tmp_path_factory.mktemp("teacher")
    long = {"budget__epochs": 3, "budget__steps_per_epoch": 30, "stopping__rule": "none", "optim__lr": 0.005}
    run(toy_config(seed=5, losses__contrastive__weight=0.0, **long), Recorder(folder))
    return {f"datasets__{name}__teacher": str(folder / "best.pt") for name in INFOS}


def a_trainer(data: dict[str, Arrays] | None = None, /, **settings: Any) -> Trainer:
    return Trainer(toy_config(**settings), data or toy_data(), toy_prompts(), LocalWorker())


def test_the_term_is_the_divergence_from_the_specialist_on_the_very_pictures(taught_by: dict[str, str]) -> None:
    trainer = a_trainer(**ASKED, **taught_by, losses__segmentation__weight=0.5)
    teacher = Teachers(trainer.config, trainer.model.tasks, INFOS, CPU)
    for name in ("fgvc", "hrplanes"):
        batch = trainer._streams[name].batch(0)
        outputs, losses = trainer._forward.judge(batch)
        theirs = teacher.answers(batch)
        mine_BK, taught_BK = outputs["classification"].logits_BK, theirs["classification"].logits_BK
        p_BK = (taught_BK / 2).softmax(1)
        apart_B = (p_BK * (p_BK.log() - (mine_BK / 2).softmax(1).log())).sum(1)
        expected = 4 * apart_B.mean() / math.log(len(INFOS[name].classes))
        if name == "hrplanes":
            q_BHW, s_BHW = (theirs["segmentation"] / 2).sigmoid(), (outputs["segmentation"] / 2).sigmoid()
            apart_BHW = q_BHW * (q_BHW / s_BHW).log() + (1 - q_BHW) * ((1 - q_BHW) / (1 - s_BHW)).log()
            expected = expected + 0.5 * 4 * apart_BHW.mean() / math.log(2)
        assert set(theirs) == {"classification", *(["segmentation"] if name == "hrplanes" else [])}, "what it learnt"
        assert losses["distillation"].item() == pytest.approx(expected.item(), rel=1e-4)
        assert losses["distillation"].item() > 0.001


def test_blended_pictures_are_seen_blended_by_the_specialist(taught_by: dict[str, str]) -> None:
    trainer = a_trainer(**ASKED, **taught_by, datasets__fgvc__augment__mixup=1.0)
    batch = trainer._streams["fgvc"].batch(0)
    assert batch.share_B is not None
    trainer.model.load_state_dict(checkpoint.load(Path(taught_by["datasets__fgvc__teacher"]))["weights"])
    trainer.model.eval()
    assert trainer._forward.judge(batch)[1]["distillation"].item() == pytest.approx(0, abs=1e-6)


def test_a_model_that_answers_as_the_specialist_has_no_distance_and_no_gradient(taught_by: dict[str, str]) -> None:
    trainer = a_trainer(**ASKED, **taught_by)
    trainer.model.load_state_dict(checkpoint.load(Path(taught_by["datasets__fgvc__teacher"]))["weights"])
    trainer.model.eval()
    for name in INFOS:
        loss = trainer._forward.judge(trainer._streams[name].batch(0))[1]["distillation"]
        assert loss.item() == pytest.approx(0, abs=1e-6)
        loss.backward()
    assert all(p.grad is None or p.grad.abs().max() < 1e-5 for p in trainer.model.parameters())


def test_at_weight_zero_a_named_specialist_changes_nothing_and_is_not_read(tmp_path: Path) -> None:
    plain, named = Recorder(), Recorder()
    run(toy_config(), plain)
    run(toy_config(datasets__fgvc__teacher=str(tmp_path / "absent.pt")), named)
    assert named.metrics == plain.metrics
    assert not [key for key in plain.metrics[0] if "distillation" in key]


def test_a_training_is_drawn_towards_its_specialists_and_names_them(taught_by: dict[str, str], tmp_path: Path) -> None:
    seen, said = Recorder(tmp_path), list[str]()
    asked = {"losses__distillation__weight": 8.0, "budget__steps_per_epoch": 30, "optim__lr": 0.005}
    config = toy_config(**asked, **taught_by, stopping__rule="none")
    assert run(config, seen, say=said.append)[0] is End.COMPLETED
    for name in INFOS:
        key = f"val/{name}/distillation_loss"
        assert seen.metrics[-1][key] < seen.metrics[0][key]
    theirs = digest(checkpoint.load(Path(taught_by["datasets__fgvc__teacher"]))["weights"])
    assert checkpoint.load(tmp_path / "best.pt")["teachers"] == dict.fromkeys(INFOS, theirs)
    assert any(f"fgvc (SHA-256 {theirs[:8]}...)" in note for note in said)


def test_a_resumed_training_learns_from_the_same_specialists_and_comes_to_the_same(
    taught_by: dict[str, str], tmp_path: Path
) -> None:
    config = toy_config(budget__epochs=4, **ASKED, **taught_by)
    whole, first, second = Recorder(), Recorder(tmp_path, stop_after=2), Recorder()
    run(config, whole)
    assert run(config, first) == (End.PRUNED, "told to")
    moved = tmp_path / "moved.pt"
    moved.write_bytes(Path(taught_by["datasets__fgvc__teacher"]).read_bytes())
    again = toy_config(budget__epochs=4, **ASKED, **{**taught_by, "datasets__fgvc__teacher": str(moved)})
    run(again, second, resume=tmp_path / "last.pt")
    assert first.metrics + second.metrics == whole.metrics


def test_a_training_does_not_go_on_with_another_specialist(taught_by: dict[str, str], tmp_path: Path) -> None:
    run(toy_config(**ASKED, **taught_by), Recorder(tmp_path, stop_after=1))
    other = tmp_path / "other"
    other.mkdir()
    run(toy_config(seed=6, budget__epochs=1), Recorder(other))
    changed = toy_config(**ASKED, **{**taught_by, "datasets__fgvc__teacher": str(other / "best.pt")})
    with pytest.raises(UserError, match=r"datasets\.fgvc\.teacher holds other weights by now"):
        run(changed, Recorder(), resume=tmp_path / "last.pt")


def test_a_specialist_that_is_missing_or_unfit_is_refused_by_name(taught_by: dict[str, str], tmp_path: Path) -> None:
    one = {"datasets__fgvc__teacher": taught_by["datasets__fgvc__teacher"]}
    with pytest.raises(UserError, match=r"none is named for planesnet, hrplanes; set datasets\.planesnet\.teacher"):
        a_trainer(**ASKED, **one)
    gone = {**taught_by, "datasets__hrplanes__teacher": str(tmp_path / "gone.pt")}
    with pytest.raises(UserError, match=r"datasets\.hrplanes\.teacher: no checkpoint at .*gone\.pt"):
        a_trainer(**ASKED, **gone)
    with pytest.raises(UserError, match=r"datasets\.planesnet\.teacher: .* was trained on another split"):
        a_trainer(**ASKED, **taught_by, split__kind="kfold", split__fold=1)
    data = toy_data()
    other = replace(INFOS["fgvc"], classes=tuple(each.replace("2", "9") for each in INFOS["fgvc"].classes))
    data["fgvc"] = replace(data["fgvc"], info=other)
    with pytest.raises(UserError, match=r"knows other classes than the data of fgvc \(6 and 6; 'type 2'"):
        a_trainer(data, **ASKED, **taught_by)


def test_a_specialist_of_one_dataset_only_is_refused_for_another(tmp_path: Path) -> None:
    alone = toy_config(datasets__fgvc__enabled=False, datasets__hrplanes__enabled=False, budget__epochs=1)
    run(alone, Recorder(tmp_path), goal=Goal((Objective("val/planesnet/accuracy"),)))
    wrong = {f"datasets__{name}__teacher": str(tmp_path / "best.pt") for name in INFOS}
    with pytest.raises(UserError, match=r"was trained on planesnet, not on hrplanes"):
        a_trainer(**ASKED, **wrong)


def test_a_dataset_that_is_not_trained_needs_no_specialist(taught_by: dict[str, str]) -> None:
    trainer = a_trainer(
        **ASKED,
        datasets__fgvc__teacher=taught_by["datasets__fgvc__teacher"],
        **{"datasets__planesnet__share": 0.0, "datasets__hrplanes__share": 0.0},
    )
    assert list(trainer.teachers.digests) == ["fgvc"]


def test_a_specialist_sees_pictures_at_its_own_side(taught_by: dict[str, str]) -> None:
    trainer = a_trainer(**ASKED, **taught_by)
    teacher, batch = trainer.teachers, trainer._streams["hrplanes"].batch(0)
    larger = torch.nn.functional.interpolate(batch.image_BCHW, scale_factor=2.0, mode="nearest")
    answered = teacher.answers(replace(batch, image_BCHW=larger))
    assert answered["segmentation"].shape == batch.image_BCHW[:, 0].shape
    same = teacher.answers(batch)["segmentation"]
    assert (answered["segmentation"] - same).abs().max() < 0.5 * same.abs().max()
    assert FAST["datasets.hrplanes.image_size"] == batch.image_BCHW.shape[-1]
