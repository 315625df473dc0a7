"""A report beside the study's run in MLflow."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytune_planes.tracking import JsonlTracker
from raytune_planes.tracking.mlflow import attach
from raytune_planes.tracking.mlflow_connection import connect, default_uri
from tests.tracking.studies import play


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning")
def test_a_report_stands_beside_the_study_and_is_named_once(out: Path, tmp_path: Path) -> None:
    play(JsonlTracker(out))
    page = tmp_path / "report.html"
    page.write_text("<h1>here</h1>")
    client = connect(default_uri(out))
    for _ in range(2):
        attach(out / "quick-1", [page])
        experiment = client.get_experiment_by_name("raytune-planes")
        assert experiment is not None
        (run,) = client.search_runs([experiment.experiment_id], "tags.kind = 'study'")
        assert run.data.tags["report"] == "report/report.html"
        assert run.data.tags["mlflow.note.content"].count("report/report.html") == 1
    assert [f.path for f in client.list_artifacts(run.info.run_id, "report")] == ["report/report.html"]
