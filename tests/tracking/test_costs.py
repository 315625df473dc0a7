"""What a result cost, as people read it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from raytune_planes.printing import time_text
from raytune_planes.records import EpochRecord, TrialRecord
from raytune_planes.report.build import study_report
from raytune_planes.report.figure import Missing
from raytune_planes.tracking.costs import cost_in_words
from raytune_planes.tracking.mlflow_notes import best_note, study_note
from raytune_planes.tracking.reading import StudyFiles
from tests.report.test_summary import START, three_trials


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (41, "41 s"), (119, "119 s"), (725, "12 min"), (7300, "2.0 h"), (90000, "25.0 h")],
)
def test_times_are_told_with_what_tells_two_apart(seconds: float, text: str) -> None:
    assert time_text(seconds) == text


def trial(number: int, *epochs: tuple[int, float], began: int = 0) -> TrialRecord:
    records = tuple(
        EpochRecord(i, i, samples, {}, seconds=seconds, began=began) for i, (samples, seconds) in enumerate(epochs, 1)
    )
    return TrialRecord(f"id{number}", number, {}, {}, epochs=records)


def test_the_cost_of_the_best_is_its_own_part_and_that_of_the_study_is_all(tmp_path: Path) -> None:
    best = trial(2, (1000, 100.0), (1920, 200.0), began=320)
    trials = (trial(0, (960, 60.0)), trial(1), best)
    said = cost_in_words(StudyFiles(tmp_path, START, trials), best)
    assert said == "Trial 2 trained for 5 min on 1,600 samples; 2 trials of the study trained for 6 min in all."


def test_mlflow_says_what_the_best_cost(tmp_path: Path) -> None:
    study = StudyFiles(tmp_path, START, tuple(replace(t) for t in three_trials()))
    said = cost_in_words(study, three_trials()[3])
    assert "has the last epoch of each `val/`" in best_note(study, three_trials()[3], "")
    score = "The score is the mean of the objectives; only complete trials that keep every floor have one."
    for note in (best_note(study, three_trials()[3], ""), study_note(study)):
        assert note.splitlines()[2] == said, "the UI folds what stands further below"
        assert score in note


def test_the_report_says_why_a_trial_is_best_and_what_it_cost_right_after_the_goal(tmp_path: Path) -> None:
    study = StudyFiles(tmp_path, START, three_trials())
    answer = study_report(study, Missing("too few trials"), Missing("left out")).sections[0].text
    after = next(i for i, text in enumerate(answer) if text.startswith("Goal: ")) + 1
    assert answer[after].startswith("Chosen for: ")
    assert answer[after].endswith(cost_in_words(study, three_trials()[3]))
