"""One whole report for all tests that look at its files: drawing its figures takes seconds."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytune_planes.report import page
from raytune_planes.report.build import study_report
from raytune_planes.report.figure import Missing
from tests.report.test_search import study
from tests.tracking.studies import three_trials

SPACE = """
format: 1
about: Which weights lift FGVC?
objectives: [{metric: val/fgvc/accuracy, mode: max}, {metric: val/hrplanes/iou, mode: max}]
floors: {val/planesnet/accuracy: 0.9}
search:
  optim.lr: {float: [0.001, 0.1], log: true}
  datasets.fgvc.head.depth: {int: [0, 3]}
"""


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """A whole report of four trials that ended in four ways; the page comes first."""
    report = study_report(study(*three_trials(), space=SPACE), Missing("too few trials"), Missing("left out"))
    return page.write(report, tmp_path_factory.mktemp("report"))
