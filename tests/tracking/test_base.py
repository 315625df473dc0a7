"""Several trackers at once: order, and none of them stops a study."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import pytest

from raytune_planes.errors import UserError
from raytune_planes.records import EpochRecord, TrialRecord
from raytune_planes.tracking import JsonlTracker, StudyEnd, StudyStart, Trackers, read_study
from tests.tracking.studies import START, play


class Broken:
    """A tracker whose store is gone."""

    def start_study(self, start: StudyStart) -> None:
        raise ConnectionError("nobody answers")

    def start_trial(self, trial: TrialRecord) -> None:
        raise ConnectionError("nobody answers")

    def log_epoch(self, trial_id: str, epoch: EpochRecord) -> None:
        raise ConnectionError("nobody answers")

    def end_trial(self, trial: TrialRecord, artifacts: Sequence[Path] = ()) -> None:
        raise TypeError("a mistake of ours")

    def end_study(self, end: StudyEnd) -> None:
        raise ConnectionError("nobody answers")


def test_a_broken_tracker_stops_neither_the_study_nor_the_next_tracker(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        play(Trackers(Broken(), JsonlTracker(tmp_path)))
    assert len(read_study(tmp_path / "quick-1").trials) == 4
    assert [r.getMessage() for r in caplog.records] == [
        "Broken: nobody answers; the study continues; later errors of this kind are not shown",
        "Broken: a mistake of ours; the study continues; later errors of this kind are not shown",
    ]


def test_a_folder_that_cannot_be_written_is_said_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "quick-1").write_text("in the way")
    with pytest.raises(UserError, match="results cannot be written"):
        Trackers(JsonlTracker(tmp_path)).start_study(START)
