"""The verbs ``report`` and ``compare`` from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytune_planes.cli import main
from raytune_planes.commands.report_pictures import pictures
from raytune_planes.report.figure import Missing
from raytune_planes.tracking import JsonlTracker, read_study
from tests.tracking.studies import play, three_trials


@pytest.fixture
def results(tmp_path: Path) -> Path:
    play(JsonlTracker(tmp_path))
    return tmp_path


@pytest.mark.slow
def test_report_writes_figures_and_a_page_where_it_says(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "quick-1", "--out", str(results), "--no-pictures"]) == 0
    page = results / "plots" / "quick-1" / "report.html"
    assert str(page) in capsys.readouterr().out
    assert "Left out by --no-pictures" in page.read_text()
    assert {"history.png", "front.svg", "accuracy.png", "report.md"} <= {p.name for p in page.parent.iterdir()}


@pytest.mark.slow
def test_report_draws_a_log_that_a_study_wrote(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = next((results / "logs").glob("*-0000.json"))
    assert main(["report", str(log), "--out", str(results), "--to", str(results / "here")]) == 0
    assert "figures" in capsys.readouterr().out
    assert (results / "here" / "losses.png").is_file()


@pytest.mark.slow
def test_compare_prints_what_differs_and_draws_the_curves(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "quick-1:0", "quick-1", "--out", str(results)]) == 0
    said = capsys.readouterr().out
    assert "quick-1:3" in said
    assert "optim.lr" in said
    assert (results / "plots" / "quick-1_0-quick-1_3" / "beside.svg").is_file()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["compare", "quick-1:x", "quick-1"], "'quick-1:x' names no trial; write STUDY:NUMBER"),
        (["compare", "quick-1", "quick-2"], "no study 'quick-2'"),
        (["report", "quick-2"], "no study 'quick-2'"),
        (["report", "nowhere.json"], "no file nowhere.json"),
    ],
)
def test_a_mistake_is_one_line(
    results: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main([*arguments, "--out", str(results)]) == 2
    assert said in capsys.readouterr().err


def test_without_weights_there_are_no_pictures_and_the_report_says_why(results: Path) -> None:
    study = read_study(results / "quick-1")
    found = pictures(study, three_trials()[0], None, None)
    assert isinstance(found, Missing)
    assert "no checkpoint at" in found.why
