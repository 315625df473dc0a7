"""A training of several stages: what each changes, what it carries on, and where it goes on after a kill."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raytune_planes.config import TrialConfig
from raytune_planes.datasets.base import Arrays
from raytune_planes.errors import UserError
from raytune_planes.records import End, TrialRecord
from raytune_planes.training.checkpoint import load
from raytune_planes.training.stages import Fork, epochs_of, stage_of, train_stages
from raytune_planes.training.trainer import Trainer
from tests.toy import FAST, toy_config, toy_data, toy_prompts
from tests.training.test_loop import GOAL, Recorder, run

TWO = {
    "plan": "first, second",
    "stages__first__budget__epochs": 2,
    "stages__second__budget__epochs": 2,
    "stages__second__datasets__planesnet__share": 0.0,
}
STILL = {"stages__second__optim__lr": 1e-12, "stages__second__optim__weight_decay": 0.0}


def supply(config: TrialConfig) -> tuple[Mapping[str, Arrays], Mapping[str, np.ndarray]]:
    data = toy_data()
    return {name: data[name] for name in config.active}, toy_prompts()


def staged(recorder: Recorder, settings: Mapping[str, Any] = TWO, **more: Any) -> tuple[End, str]:
    return train_stages(toy_config(**settings), supply, GOAL, report=recorder, **more)


def validated(recorder: Recorder) -> list[dict[str, float]]:
    return [{k: v for k, v in m.items() if k.startswith("val/")} for m in recorder.metrics]


def test_epochs_steps_and_samples_count_on_from_stage_to_stage() -> None:
    seen = Recorder()
    end, reason = staged(seen)
    assert (end, reason) == (End.COMPLETED, "stage second: the budget of 2 epochs is spent")
    assert [(r.epoch, r.stage) for r in seen.records] == [(1, "first"), (2, "first"), (3, "second"), (4, "second")]
    steps = FAST["budget.steps_per_epoch"]
    assert [r.step for r in seen.records] == [steps * n for n in (1, 2, 3, 4)]
    assert [r.samples for r in seen.records] == [steps * 8 * n for n in (1, 2, 3, 4)]


def test_a_stage_has_ended_with_its_trainer_when_the_next_takes_memory() -> None:
    """A GPU holds the datasets of one stage, not of two."""
    trainers: list[int] = []

    def counting(config: TrialConfig) -> tuple[Mapping[str, Arrays], Mapping[str, np.ndarray]]:
        gc.collect()
        trainers.append(sum(type(each) is Trainer for each in gc.get_objects()) - before)
        return supply(config)

    gc.collect()
    before = sum(type(each) is Trainer for each in gc.get_objects())
    train_stages(toy_config(**TWO), counting, GOAL, report=Recorder())
    assert trainers == [0, 0]


def test_each_stage_says_what_decodes_where_it_is_not_as_asked() -> None:
    notes = list[str]()
    staged(Recorder(), {**TWO, "devices__decode": "cuda"}, say=notes.append)
    assert sum(note.startswith("devices.decode = cuda, but processors decode, as ") for note in notes) == 2


def test_a_stage_begins_with_the_weights_of_the_one_before() -> None:
    seen, notes = Recorder(), list[str]()
    staged(seen, {**TWO, **STILL}, say=notes.append)
    before, after = validated(seen)[1:3]
    assert after == pytest.approx(before, abs=1e-4)
    assert [n for n in notes if n.startswith("stage second: ") and n.endswith("weights are from stage first")]


def test_the_first_stage_trains_as_it_would_alone() -> None:
    seen, alone = Recorder(), Recorder()
    staged(seen)
    run(toy_config(budget__epochs=2), alone)
    assert seen.metrics[:2] == alone.metrics


def test_a_later_stage_draws_afresh_and_the_same_each_time() -> None:
    config = toy_config(**TWO)
    (_, first), (_, second) = config.staged
    assert first.seed == config.seed
    assert second.seed != config.seed
    assert config.staged == toy_config(**TWO).staged
    assert dict(toy_config(**TWO, stages__second__seed=3).staged)["second"].seed == 3


def test_a_dataset_of_share_0_is_validated_and_not_trained() -> None:
    seen = Recorder()
    staged(seen)
    assert [m["train/planesnet/steps"] for m in seen.metrics] == [3, 3, 0, 0]
    assert all("val/planesnet/accuracy" in m for m in seen.metrics)


def test_a_stage_has_its_own_datasets_and_terms() -> None:
    seen = Recorder()
    own = {"stages__first__datasets__hrplanes__enabled": False, "stages__first__losses__reconstruction__weight": 1.0}
    staged(seen, {**TWO, **own})
    first, last = seen.metrics[0], seen.metrics[-1]
    assert "val/hrplanes/iou" not in first
    assert "val/hrplanes/iou" in last
    assert "val/fgvc/reconstruction_loss" in first
    assert "val/fgvc/reconstruction_loss" not in last
    assert seen.best[0] == 3  # before, the goal's metrics were not all there


@pytest.mark.parametrize("killed_after", [1, 2, 3])
def test_a_killed_training_goes_on_within_its_stage(killed_after: int, tmp_path: Path) -> None:
    whole = Recorder()
    staged(whole)
    first, rest = Recorder(tmp_path, stop_after=killed_after), Recorder(tmp_path)
    staged(first)
    state = load(tmp_path / "last.pt")
    assert (state["stage"], epochs_of(state)) == ("first" if killed_after < 3 else "second", killed_after)
    assert staged(rest, resume=tmp_path / "last.pt") == (End.COMPLETED, "stage second: the budget of 2 epochs is spent")
    assert [r.epoch for r in rest.records] == list(range(killed_after + 1, 5))
    assert first.metrics + rest.metrics == whole.metrics
    assert [(r.stage, r.step, r.samples) for r in rest.records] == [
        (r.stage, r.step, r.samples) for r in whole.records[killed_after:]
    ]


def test_another_plan_does_not_resume_it(tmp_path: Path) -> None:
    staged(Recorder(tmp_path, stop_after=1))
    other = {"plan": "one", "stages__one__budget__epochs": 1}
    with pytest.raises(UserError, match=r"last.pt is of stage 'first', the plan has one; resume it with its own"):
        staged(Recorder(), other, resume=tmp_path / "last.pt")
    run(toy_config(budget__epochs=1), Recorder(tmp_path))
    with pytest.raises(UserError, match="is of a training without stages, the plan has first, second"):
        staged(Recorder(), resume=tmp_path / "last.pt")


def test_the_best_weights_know_their_stage(tmp_path: Path) -> None:
    seen = Recorder(tmp_path)
    sizes = {f"stages__second__datasets__{name}__head__width": 24 for name in ("planesnet", "hrplanes", "fgvc")}
    staged(seen, {**TWO, **sizes})
    best = load(tmp_path / "best.pt")
    assert best["epoch"] == seen.best[-1]
    stage = stage_of(toy_config(**TWO, **sizes), best)
    assert stage.datasets["fgvc"].head.width == best["config"]["datasets.fgvc.head.width"]


def test_the_weights_that_are_kept_are_of_the_last_stage_however_good_the_ones_before_were(tmp_path: Path) -> None:
    seen = Recorder(tmp_path)
    spoil = {"stages__second__optim__lr": 0.5, "stages__first__budget__steps_per_epoch": 40}
    staged(seen, {**TWO, **spoil, "stages__first__datasets__planesnet__share": 3.0})
    record = TrialRecord("t", 0, {}, {"plan": TWO["plan"]}, tuple(seen.records))
    scores = [GOAL.score(r.metrics) for r in seen.records]
    assert max(scores[:2]) > max(scores[2:]), "the second stage must be the worse one for this test"
    best = record.best(GOAL)
    assert best is not None
    assert (best.stage, best.epoch) == ("second", 3 + scores[2:].index(max(scores[2:])))
    kept = load(tmp_path / "best.pt")
    assert (kept["stage"], kept["epoch"]) == ("second", best.epoch)


def test_stages_without_a_common_backbone_are_refused() -> None:
    with pytest.raises(UserError, match="stage first: its backbone does not have the names and shapes"):
        staged(Recorder(), {**TWO, "stages__second__model__backbone__width": 16})


def test_a_fork_trains_the_common_stages_once_and_says_which_weights_it_took(tmp_path: Path) -> None:
    origin, forked, notes = Recorder(), Recorder(), list[str]()
    staged(origin, fork=Fork(tmp_path, "trial 0", 1))
    (kept,) = tmp_path.iterdir()
    fork = Fork(tmp_path, "trial 1", 1)
    staged(forked, fork=fork, say=notes.append)
    assert [(r.epoch, r.stage, r.samples) for r in forked.records] == [
        (r.epoch, r.stage, r.samples) for r in origin.records[2:]
    ]
    assert forked.metrics == origin.metrics[2:]
    assert [r.began for r in origin.records + forked.records] == [0] * 4 + [origin.records[1].samples] * 2
    assert notes[0] == f"begins after stage first, with {kept.name} that trial 0 trained"
    assert fork.took == [f"{kept.name} of trial 0"]


def test_a_forked_training_that_goes_on_after_a_kill_knows_where_it_began(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    origin, first, rest = Recorder(), Recorder(tmp_path / "one", stop_after=3), Recorder(tmp_path / "one")
    fork = Fork(tmp_path / "stages", "trial 0", 1)
    staged(origin, fork=fork)
    staged(first, fork=fork)
    staged(rest, resume=tmp_path / "one" / "last.pt", fork=fork)
    assert [(r.epoch, r.began) for r in first.records + rest.records] == [(3, 144), (4, 144)]


def test_other_leading_stages_have_other_weights_and_what_is_not_common_is_not_kept(tmp_path: Path) -> None:
    staged(Recorder(), fork=Fork(tmp_path, "trial 0", 1))
    other = Recorder()
    staged(other, {**TWO, "stages__first__optim__lr": 1e-3}, fork=Fork(tmp_path, "trial 1", 1))
    assert [r.epoch for r in other.records] == [1, 2, 3, 4]
    assert len(list(tmp_path.iterdir())) == 2
    staged(Recorder(), fork=Fork(tmp_path / "none", "trial 2", 0))
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"plan": "first, second, frist"}, r"plan: stage 'frist' has no setting; did you mean 'first'\?"),
        ({"plan": "first, first"}, "a stage is listed twice"),
        ({"plan": "../first"}, r"plan: '\.\./first' is not a valid stage name; use up to 64 letters"),
        ({"stages__first__split__fold": 1}, r"stages\.first\.split\.fold cannot change within a training"),
        ({"stages__first__datasets__fgvc__root": "x"}, r"stages\.first\.datasets\.fgvc\.root cannot change"),
        ({"stages__first__budget__epoch": 1}, r"stage 'first': no setting 'budget\.epoch'; did you mean"),
        ({"stages__first__budget__epochs": 0}, r"stages\.first\.budget\.epochs: Input should be greater"),
        ({"stages__second__freeze": "wings"}, r"stages\.second: freeze: no part 'wings'"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        toy_config(**{**TWO, **settings})
