"""A study whose hosts die, are drained and join late, and whose head is started anew, has every trial once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.hosts import disagreements_after, on_loopback, play, prepared


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore")
def test_every_trial_exists_once_after_hosts_came_and_went_and_the_head_was_restarted(tmp_path: Path) -> None:
    study = prepared(tmp_path)
    with on_loopback() as stage:
        assert play(study, stage, limit_s=600) == [], study.said()
    assert disagreements_after(study) == []
