"""A trial's own parts, without Ray: its data, its request to stop, and how errors are put in words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from raytune_planes.errors import UserError
from raytune_planes.records import End, EpochRecord
from raytune_planes.tracking.reading import epoch_to_line
from raytune_planes.training.checkpoint import Checkpoint, load
from raytune_planes.training.loop import StopTrial
from raytune_planes.training.workers import LocalWorker
from raytune_planes.tuning import trial
from raytune_planes.tuning.alone import train_alone
from raytune_planes.tuning.confirm import train_again
from raytune_planes.tuning.entries import Entry, open_entries
from raytune_planes.tuning.failures import explain
from raytune_planes.tuning.final import Long, train_long
from raytune_planes.tuning.reporter import Reporter
from raytune_planes.tuning.stop_requests import stop_requested, stop_trial
from tests.toy import SIDE, toy_config
from tests.tuning.tiny import tiny_material, tiny_plan

POOL = {"name": "cpu", "gpus": 0.0, "card": False, "nccl": False, "labels": {}}


def test_a_trial_opens_the_arrays_that_fit_its_settings(tmp_path: Path) -> None:
    material = tiny_material(tmp_path)
    other = Entry("fgvc", toy_config(datasets__fgvc__image_size=24).datasets["fgvc"].decoded_as, "nowhere")
    data = open_entries((other, *material.entries), toy_config())
    assert list(data) == ["planesnet", "hrplanes", "fgvc"]
    assert data["fgvc"].images_NHWC.shape[1] == SIDE
    assert not data["fgvc"].images_NHWC.flags.writeable


def test_a_size_that_nobody_decoded_is_refused(tmp_path: Path) -> None:
    entries = tiny_material(tmp_path).entries
    with pytest.raises(
        UserError, match=r"'fgvc' is not decoded with side 24, tile auto, .*; there is: side 16, tile auto"
    ):
        open_entries(entries, toy_config(datasets__fgvc__image_size=24))


def test_a_disabled_dataset_is_not_opened(tmp_path: Path) -> None:
    entries = tuple(e for e in tiny_material(tmp_path).entries if e.dataset != "fgvc")
    assert "fgvc" not in open_entries(entries, toy_config(datasets__fgvc__enabled=False))


def test_a_wish_to_stop_carries_its_end_and_reason(tmp_path: Path) -> None:
    assert stop_requested(tmp_path) is None
    stop_trial(tmp_path / "new", End.PRUNED, "at 9 samples: place 3 of 3")
    request = stop_requested(tmp_path / "new")
    assert isinstance(request, StopTrial)
    assert (request.end, request.reason) == (End.PRUNED, "at 9 samples: place 3 of 3")


def test_a_batch_that_workers_cannot_share_is_refused(tmp_path: Path) -> None:
    task = tiny_plan(tmp_path, workers=3).task(tmp_path)
    asked = {"trial_id": "a", "number": 0, "drawn": {}, "pool": POOL}
    with pytest.raises(UserError, match=r"budget\.batch_size = 8 cannot be shared evenly by 3 workers"):
        trial.train_here({"asked": asked, "task": task})


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_trial_that_holds_a_card_and_sees_none_does_not_train_on_processors(tmp_path: Path) -> None:
    task = tiny_plan(tmp_path).task(tmp_path)
    card = {"name": "gpu", "gpus": 0.5, "card": True, "nccl": False, "labels": {}}
    asked = {"trial_id": "a", "number": 0, "drawn": {}, "pool": card}
    with pytest.raises(
        UserError, match=r"holds a share of a GPU on .*, but torch cannot use it \(.*--gpus-per-worker 0"
    ):
        trial.train_here({"asked": asked, "task": task})
    assert not (task.folder(0, "a") / "last.pt").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("workers", [1, 2])
def test_a_trial_whose_card_cannot_be_used_asks_for_the_end_of_the_study(
    workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_ray(asked: dict[str, Any], task: trial.Task, folder: Path) -> dict[str, Any]:
        try:
            return trial.train_here({"asked": asked, "task": task})
        except UserError as error:
            raise error if workers == 1 else _GroupError(RuntimeError("Connection closed by peer"), error) from None

    monkeypatch.setattr(trial, "_fit", without_ray)
    card = {"name": "gpu", "gpus": 0.5, "card": True, "nccl": False, "labels": {}}
    asked, shared = {"trial_id": "a", "number": 0, "drawn": {}, "pool": card}, tiny_plan(tmp_path).task(tmp_path)
    last = trial.run_trial(asked, shared)
    assert (last["end"], last["ends_study"]) == ("interrupted", True)
    assert "but torch cannot use it" in last["reason"]

    wrong = trial.run_trial({**asked, "drawn": {"model.dit.heads": 7}}, shared)
    assert wrong["end"] == "failed"
    assert "ends_study" not in wrong


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_other_training_of_a_study_uses_processors_in_place_of_its_card(tmp_path: Path) -> None:
    plan = tiny_plan(tmp_path)
    task, first = replace(plan.task(tmp_path), holds_card=True), plan.space.first()
    long = Long("a", 0, first, 2, plan.space.goal)
    for told in (
        train_alone(task, first, "fgvc", tmp_path / "alone"),
        train_again(task, first, 1, tmp_path / "again"),
        train_long(task, long, tmp_path / "long"),
    ):
        assert "but torch cannot use it" in told["failed"]


def test_what_a_group_told_as_it_died_is_told_again_by_the_group_that_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[int] = []
    monkeypatch.setattr("ray.tune.report", lambda told: heard.append(told["record"]["epoch"]))
    with Reporter(tmp_path, LocalWorker("cpu")) as died:
        for number in (1, 2, 3):
            died(EpochRecord(number, 4 * number, 32 * number, {"val/fgvc/accuracy": 0.1}), Checkpoint({}, {}, False))
    assert heard == [1, 2, 3]
    lines = [epoch_to_line(EpochRecord(number, 4 * number, 32 * number, {})) for number in (1, 2)]
    (tmp_path / "epochs.jsonl").write_text("".join(lines), encoding="utf-8")  # all that reached the driver
    heard.clear()

    Reporter(tmp_path, LocalWorker("cpu")).tell_again(load(tmp_path / "last.pt"))

    assert heard == [3]


class _GroupError(Exception):
    """Shaped like Ray Train's error of a worker group."""

    def __init__(self, *failures: Exception) -> None:
        self.worker_failures = dict(enumerate(failures))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (UserError("no GPU here"), "no GPU here"),
        (ValueError("two\nlines"), "ValueError: two lines"),
        (MemoryError(), "does not fit into memory: "),
        (torch.OutOfMemoryError("CUDA out of memory"), "does not fit into memory: CUDA out of memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: 8 TB"), "does not fit into memory: Default"),
        (_GroupError(UserError("too wide"), RuntimeError("Connection closed by peer")), "too wide"),
        (_GroupError(RuntimeError("Connection closed by peer"), UserError("too wide")), "too wide"),
    ],
)
def test_errors_are_told_in_one_line(error: Exception, said: str) -> None:
    assert explain(error).startswith(said)


def test_prompts_are_kept_for_each_text_model(tmp_path: Path) -> None:
    plan = tiny_plan(tmp_path)
    task = plan.task(tmp_path)
    with np.load(task.prompts["minilm"]) as stored:
        assert {name: rows.shape[0] for name, rows in stored.items()} == {"planesnet": 2, "hrplanes": 2, "fgvc": 6}


def test_a_torn_checkpoint_starts_the_trial_from_the_beginning_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr("ray.tune.report", lambda told: said.append(told.get("note") or told["record"]["epoch"]))
    task = tiny_plan(tmp_path).task(tmp_path)
    folder = task.folder(0, "a")
    folder.mkdir(parents=True)
    asked = {"trial_id": "a", "number": 0, "drawn": {}, "pool": POOL}
    assert trial.train_here({"asked": asked, "task": task})["end"] == "completed"
    assert said == [1, 2, 3]
    (folder / "last.pt").write_bytes((folder / "last.pt").read_bytes()[:-100])
    assert trial.train_here({"asked": asked, "task": task})["end"] == "completed"
    assert "trial 0 starts from the beginning: " in said[3]
    assert "is damaged" in said[3]
    assert said[4:] == [1, 2, 3]


def test_a_wish_from_before_a_process_was_lost_ends_the_trial_before_it_trains(tmp_path: Path) -> None:
    task = tiny_plan(tmp_path).task(tmp_path)
    stop_trial(task.folder(0, "a"), End.FAILED, "it hangs")
    asked = {"trial_id": "a", "number": 0, "drawn": {}, "pool": POOL}
    assert trial.run_trial(asked, task) == {"end": "failed", "reason": "it hangs"}
