"""Folders whose names hold what addresses are cut at: the store, its artifacts and its models lie where they should."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytune_planes.tracking.mlflow import sync
from raytune_planes.tracking.mlflow_connection import connect, default_uri
from raytune_planes.tracking.mlflow_model import fetch
from tests.tracking.stores import contents, runs, tracked
from tests.tracking.studies import play
from tests.tracking.test_mlflow_registry import register

ODD = "50%20 %zz?x=1#y"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning")
def test_a_store_in_a_folder_with_a_name_like_an_address_is_complete_and_inside(out: Path, tmp_path: Path) -> None:
    place = tmp_path / ODD / "results"
    place.parent.mkdir()
    out.rename(place)
    play(tracked(place))
    assert sync(place / "quick-1") == ()
    assert len(contents(default_uri(place))) == 5
    run = next(r for r in runs(connect(default_uri(place))) if r.info.run_name == "★ 003 best")
    kept = place / "mlartifacts" / run.info.run_id / "artifacts" / "config.yaml"
    assert kept.read_text() == next((place / "quick-1" / "trials").glob("0003-*/config.yaml")).read_text()
    assert register(place).number == "1"
    assert fetch("models:/raytune-planes@champion", default_uri(place), "best.json").read_text() == '{"factor": 3.0}'
    assert [path.name for path in tmp_path.iterdir()] == [ODD]
    assert [path.name for path in place.parent.iterdir()] == ["results"]
