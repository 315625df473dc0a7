"""As trials end, their optimiser states and the weights that nobody needs are removed, whatever interrupts it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from raytune_planes.records import End, TrialRecord
from raytune_planes.tracking import JsonlTracker
from raytune_planes.tracking.files import FREED, LAST, WEIGHTS
from raytune_planes.tracking.keeping import folder_of, needed
from raytune_planes.tracking.reading import read_study
from raytune_planes.training import checkpoint
from raytune_planes.training.ended import drop_state, holds_tensors
from raytune_planes.tuning.keeping import Keeper
from tests.tracking.studies import START, ended, epoch, trial

GOAL = replace(START.goal, objectives=START.goal.objectives[:1])
REACHED = (0.1, 0.5, 0.3, 0.9, 0.2, 0.7, 0.4)


def end_trial(tracker: JsonlTracker, number: int, end: End = End.COMPLETED) -> TrialRecord:
    """A trial from its start to its end, with checkpoints of the right form."""
    tracker.start_trial(trial(number))
    record = ended(trial(number), end, "the budget is spent", epoch(1, REACHED[number]))
    folder = folder_of(tracker.folder, record)
    tensors = {"a": torch.full((2**17,), float(number))}
    checkpoint.save({"weights": tensors, "metrics": {"n": number}}, folder / WEIGHTS)
    checkpoint.save({"model": tensors, "optimizer": tensors, "epoch": 1}, folder / LAST)
    tracker.end_trial(record)
    return record


@pytest.fixture
def tracker(tmp_path: Path) -> JsonlTracker:
    made = JsonlTracker(tmp_path)
    made.start_study(replace(START, goal=GOAL))
    return made


def with_weights(study: Path) -> set[int]:
    return {int(path.parent.name[:4]) for path in study.glob(f"trials/*/{WEIGHTS}")}


def test_as_trials_end_only_the_best_and_the_defaults_keep_weights_and_none_a_state(tracker: JsonlTracker) -> None:
    keeper = Keeper(tracker.folder, 2, print)
    had = []
    for number in range(len(REACHED)):
        keeper.take([end_trial(tracker, number)], GOAL)
        had.append(with_weights(tracker.folder))
    assert had == [{0}, {0, 1}, {0, 1, 2}, {0, 1, 3}, {0, 1, 3}, {0, 3, 5}, {0, 3, 5}]
    for path in tracker.folder.glob(f"trials/*/{LAST}"):
        assert not holds_tensors(path)
        assert path.stat().st_size < 4000
        state = checkpoint.load(path)
        assert (state["ended"], state["reason"], len(state["told"])) == ("completed", "the budget is spent", 1)
    assert len(list(tracker.folder.glob(f"trials/*/{FREED}"))) == 4


def test_a_study_that_goes_on_removes_what_its_last_run_could_not(tracker: JsonlTracker) -> None:
    records = [end_trial(tracker, n) for n in range(6)]
    keeper = Keeper(tracker.folder, 1, print, records)
    assert with_weights(tracker.folder) == set(range(6)), "the floors may not be known yet"
    keeper.start_study(replace(START, goal=GOAL))
    assert with_weights(tracker.folder) == {0, 3}
    keeper.start_trial(records[3])  # it has lost its records, and is trained again
    keeper.end_trial(end_trial(tracker, 6))
    assert with_weights(tracker.folder) == {0, 3, 6}
    keeper.end_trial(records[3])
    assert with_weights(tracker.folder) == {0, 3}


@pytest.mark.parametrize("end", [End.INTERRUPTED, End.PAUSED])
def test_a_trial_that_can_continue_keeps_all_it_has(tracker: JsonlTracker, end: End) -> None:
    keeper = Keeper(tracker.folder, 1, print)
    keeper.take([end_trial(tracker, n, end if n == 4 else End.COMPLETED) for n in range(6)], GOAL)
    assert with_weights(tracker.folder) == {0, 3, 4}
    (last,) = tracker.folder.glob(f"trials/0004-*/{LAST}")
    assert checkpoint.load(last)["epoch"] == 1


def test_a_trial_whose_end_is_not_on_disk_keeps_all_it_has(tracker: JsonlTracker) -> None:
    keeper, records = Keeper(tracker.folder, 1, print), [end_trial(tracker, n) for n in range(4)]
    (folder_of(tracker.folder, records[2]) / "end.json").unlink()
    keeper.take(records, GOAL)
    assert with_weights(tracker.folder) == {0, 2, 3}
    assert holds_tensors(folder_of(tracker.folder, records[2]) / LAST)


def test_weights_that_another_study_names_stay(tracker: JsonlTracker) -> None:
    records = [end_trial(tracker, n) for n in range(4)]
    named = folder_of(tracker.folder, records[1]) / WEIGHTS
    JsonlTracker(tracker.out).start_study(replace(START, name="next", space_text=f"fixed: {{start: {named}}}"))
    Keeper(tracker.folder, 1, print).take(records, GOAL)
    assert with_weights(tracker.folder) == {0, 1, 3}


class Killed(BaseException):
    """The driver dies here."""


def dying(after: int, call: Callable[..., Any]) -> Callable[..., Any]:
    """``call``, which ends the driver before its call number ``after``, from 0."""
    left = [after]

    def counted(*args: Any, **more: Any) -> Any:
        if not left[0]:
            raise Killed
        left[0] -= 1
        return call(*args, **more)

    return counted


@pytest.mark.parametrize("step", range(9))
@pytest.mark.parametrize("name", ["unlink", "replace"])
def test_a_driver_killed_at_any_step_loses_nothing_that_is_needed(
    tracker: JsonlTracker, monkeypatch: pytest.MonkeyPatch, name: str, step: int
) -> None:
    records = [end_trial(tracker, n) for n in range(len(REACHED))]
    wanted = {t.number for t in records if t.trial_id in needed(records, GOAL, 2)}
    with monkeypatch.context() as patch:
        patch.setattr(Path, name, dying(step, getattr(Path, name)))
        try:
            Keeper(tracker.folder, 2, print).take(records, GOAL)
        except Killed:
            assert with_weights(tracker.folder) >= wanted
    for record in records:
        path = folder_of(tracker.folder, record) / WEIGHTS
        assert not path.exists() or checkpoint.load(path)["metrics"] == {"n": record.number}
    Keeper(tracker.folder, 2, print).take(read_study(tracker.folder).trials, GOAL)
    assert with_weights(tracker.folder) == wanted == {0, 3, 5}
    assert not any(map(holds_tensors, tracker.folder.glob(f"trials/*/{LAST}")))


def test_what_cannot_be_removed_is_told(tracker: JsonlTracker, monkeypatch: pytest.MonkeyPatch) -> None:
    records, said = [end_trial(tracker, n) for n in range(3)], list[str]()

    def refuse(path: Path, **_: Any) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "unlink", refuse)
    Keeper(tracker.folder, 1, said.append).take(records, GOAL)
    weights = folder_of(tracker.folder, records[2]) / WEIGHTS
    assert said == [f"the weights of trial 2 stay on disk: [Errno 13] Permission denied: '{weights}'"]


def test_a_state_is_dropped_once_and_says_how_much_that_freed(tmp_path: Path) -> None:
    assert drop_state(tmp_path, End.COMPLETED, "", (), {}) == 0, "there is none"
    checkpoint.save({"model": {"a": torch.zeros(100_000)}}, tmp_path / LAST)
    before = (tmp_path / LAST).stat().st_size
    assert drop_state(tmp_path, End.PRUNED, "behind", (), {}) == before - (tmp_path / LAST).stat().st_size > 390_000
    assert drop_state(tmp_path, End.PRUNED, "behind", (), {}) == 0
    (tmp_path / LAST).write_bytes(b"damaged")
    assert holds_tensors(tmp_path / LAST), "what is no archive may be anything"
