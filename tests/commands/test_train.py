"""Training one configuration without a search: which goal it is trained for."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytune_planes.commands.train import _goal_of_study
from raytune_planes.records import Goal, Objective
from raytune_planes.tracking.base import StudyStart
from raytune_planes.tracking.jsonl import JsonlTracker

GOAL = Goal((Objective("val/fgvc/accuracy"),), {"val/planesnet/accuracy": 0.9})


@pytest.mark.parametrize("config", ["best.yaml", "trials/0003-ab12cd34/config.yaml"])
def test_a_configuration_of_a_study_is_trained_for_its_goal_with_its_floors(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    JsonlTracker(tmp_path).start_study(StudyStart("night", GOAL))
    assert _goal_of_study(tmp_path / "night" / config) == GOAL
    assert "the goal of study night, and its floors hold" in capsys.readouterr().out


def test_a_configuration_from_elsewhere_has_no_goal_of_a_study(tmp_path: Path) -> None:
    JsonlTracker(tmp_path).start_study(StudyStart("night", GOAL))
    assert _goal_of_study(tmp_path / "own.yaml") is None
    assert _goal_of_study(None) is None
