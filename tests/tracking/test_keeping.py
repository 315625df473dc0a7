"""Which trials of a study keep their weights, and what is said of those that do not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from raytune_planes.cli import main
from raytune_planes.errors import UserError
from raytune_planes.records import End, Goal, Objective, TrialRecord
from raytune_planes.tracking import JsonlTracker, keeping
from raytune_planes.tracking.keeping import folder_of, free, is_freed, named_elsewhere, needed, refuse_freed
from raytune_planes.training import checkpoint
from tests.tracking.studies import START, artifact, ended, epoch, play, trial

ONE = Goal((Objective("val/fgvc/accuracy"),), {"val/planesnet/accuracy": 0.9})
TWO = replace(ONE, objectives=(Objective("val/fgvc/accuracy"), Objective("val/hrplanes/iou")))


def reached(
    number: int, fgvc: float, iou: float = 0.5, planesnet: float = 0.95, end: End = End.COMPLETED
) -> TrialRecord:
    return ended(trial(number), end, "", epoch(1, fgvc, iou, planesnet))


def kept(trials: list[TrialRecord], goal: Goal, keep: int) -> dict[int, str]:
    why = needed(trials, goal, keep)
    return {t.number: why[t.trial_id] for t in trials if t.trial_id in why}


def test_the_best_the_defaults_and_what_can_continue_keep_their_weights() -> None:
    trials = [
        reached(0, 0.1),
        reached(1, 0.8),
        reached(2, 0.9, planesnet=0.8),
        reached(3, 0.7),
        reached(4, 0.95, end=End.PRUNED),
        reached(5, 0.99, end=End.FAILED),
        reached(6, 0.2, end=End.INTERRUPTED),
        trial(7),
    ]
    always = {0: "the defaults", 6: "can be resumed", 7: "can be resumed"}
    assert kept(trials, ONE, 2) == {**always, 1: "number 1 of the best", 3: "number 2 of the best"}
    assert kept(trials, ONE, 5) == {
        **{**always, 1: "number 1 of the best", 3: "number 2 of the best", 0: "number 3 of the best"},
        **{2: "number 4 of the best", 4: "number 5 of the best"},
    }, "a floor counts before the score, and a complete trial before a pruned one"


def test_of_several_objectives_the_whole_front_keeps_its_weights() -> None:
    trials = [reached(0, 0.1, 0.1), *(reached(n, 0.1 * n, 1 - 0.1 * n) for n in range(1, 7)), reached(7, 0.1, 0.2)]
    assert set(kept(trials, TWO, 1)) == set(range(7)), "trial 7 is beaten in both objectives"
    assert set(kept(trials, ONE, 1)) == {0, 6}, "of one objective the front is the best trial"


def test_what_is_not_needed_is_not_needed_later_either() -> None:
    trials = [reached(n, ((7 * n) % 20) / 20, ((11 * n) % 20) / 20, 0.88 + 0.01 * (n % 4)) for n in range(40)]
    for goal in (ONE, TWO):
        held: list[TrialRecord] = []
        for one in trials:
            held.append(one)
            held = [t for t in held if t.trial_id in needed(held, goal, 3)]
        assert {t.number for t in held} == set(kept(trials, goal, 3))


def test_a_trial_that_another_study_names_is_known(tmp_path: Path) -> None:
    mine, other = reached(1, 0.5), replace(START, name="other", space_text=f"fixed: {{start: {tmp_path}/x/0001-ab01}}")
    play(JsonlTracker(tmp_path), trials=(mine,))
    folder = folder_of(tmp_path / START.name, mine)
    assert folder.name not in named_elsewhere(tmp_path / START.name), "its own records name it"
    JsonlTracker(tmp_path).start_study(other)
    assert folder.name in named_elsewhere(tmp_path / START.name)


def test_removed_weights_are_told_with_the_way_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    play(JsonlTracker(tmp_path), trials=(reached(0, 0.5), reached(1, 0.4)))
    folder = folder_of(tmp_path / START.name, reached(1, 0.4))
    refuse_freed(folder)
    weights = artifact(folder)
    assert free(folder, 3) == len(b"weights")
    assert is_freed(folder)
    assert not weights.exists()
    told = (
        r"the weights of 0001-ab01 were removed when it was no longer among the 3 best trials of its study "
        rf"\(study.keep\); its records stay\. Train it again with '.*train --config {folder}/config.yaml "
        r"--out FOLDER'; a study keeps more with --keep"
    )
    for read in (refuse_freed, lambda place: checkpoint.load(place / "best.pt")):
        with pytest.raises(UserError, match=told):
            read(folder)
    Image.new("RGB", (8, 8)).save(tmp_path / "x.png")
    for named in (folder, weights):
        assert main(["predict", str(named), str(tmp_path / "x.png")]) == 2
        assert "no longer among the 3 best trials" in capsys.readouterr().err
    artifact(folder)
    assert not is_freed(folder), "it was trained again"


def test_a_damaged_note_still_says_that_the_weights_were_removed(tmp_path: Path) -> None:
    (tmp_path / "freed.json").write_text("{")
    with pytest.raises(UserError, match="no longer among the best trials"):
        refuse_freed(tmp_path)


def test_a_trial_that_starts_again_is_not_taken_for_one_without_weights(tmp_path: Path) -> None:
    play(JsonlTracker(tmp_path), trials=(reached(1, 0.4),))
    folder = folder_of(tmp_path / START.name, trial(1))
    artifact(folder)
    keeping.free(folder, 3)
    tracker = JsonlTracker(tmp_path)
    tracker.start_study(START)
    tracker.start_trial(trial(1))
    assert not (folder / "freed.json").exists()
