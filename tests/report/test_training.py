"""The six figures of the published work: the numbers behind each, on a log made by hand and on the published one."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from raytune_planes.errors import UserError
from raytune_planes.records import End, EpochRecord
from raytune_planes.report import training
from raytune_planes.report.build import six, study_report
from raytune_planes.report.drawing import save, style
from raytune_planes.report.drawing import training as drawing
from raytune_planes.report.figure import Missing
from raytune_planes.report.log import Log, of_trial, read_log
from raytune_planes.tasks.segmentation.settings import SEGMENTATION
from raytune_planes.tracking.reading import StudyFiles
from tests.tracking.studies import START, ended, epoch, trial

PUBLISHED = Path(__file__).resolve().parents[3] / "shared" / "real" / "baseline_log.json"


def entry(number: int, fgvc: float, planesnet: float, clip: float = 3.0) -> dict[str, Any]:
    def train(accuracy: float, clip: float) -> dict[str, float]:
        return {"cls_loss": 1.0, "seg_loss": 0.0, "clip_loss": clip, "total_loss": number, "accuracy": accuracy}

    return {
        "epoch": number,
        "train": {"fgvc": train(fgvc + 0.25, clip), "planesnet": train(planesnet, 0.0)},
        "val": {
            "fgvc": {"loss": 2.0, "accuracy": fgvc, "seg_loss": 0.0},
            "planesnet": {"loss": 0.5, "accuracy": planesnet, "seg_loss": 0.0},
        },
    }


@pytest.fixture
def log(tmp_path: Path) -> Log:
    path = tmp_path / "mine.json"
    rising = [(0.125, 0.5), (0.25, 0.75), (0.5, 0.625), (0.375, 1.0)]
    path.write_text(json.dumps([entry(i + 1, f, p, 1.0 + i) for i, (f, p) in enumerate(rising)]))
    return read_log(path)


def test_counts_are_the_smallest_that_the_accuracies_allow(log: Log) -> None:
    found = training.counts(log)
    assert isinstance(found, training.Counts)
    assert found.counts == {"fgvc": {"train": 8, "val": 8}, "planesnet": {"train": 8, "val": 8}}
    assert not found.exact


def test_the_scale_of_counts_has_numbers_and_no_formulas(log: Log) -> None:
    found = training.counts(log)
    assert isinstance(found, training.Counts)
    (axes,) = drawing.counts(found).axes
    assert [axes.yaxis.get_major_formatter()(value) for value in (1, 10_000)] == ["1", "10,000"]


def test_curves_hold_every_epoch_of_both_splits(log: Log) -> None:
    found = training.accuracy(log)
    assert isinstance(found, training.Curves)
    assert found.epochs == (1, 2, 3, 4)
    assert found.lines["fgvc"] == ((0.375, 0.5, 0.75, 0.625), (0.125, 0.25, 0.5, 0.375))


def test_a_box_has_quartiles_and_whiskers_that_leave_outliers_out() -> None:
    found = training.box((1.0, 2.0, 3.0, 4.0, 100.0))
    assert (found.low, found.quarter, found.median, found.three_quarters, found.high) == (1, 2, 3, 4, 4)


def test_losses_are_boxed_by_dataset(log: Log) -> None:
    found = training.losses(log)
    assert isinstance(found, training.Boxes)
    assert {d: b.values for d, b in found.boxes.items()} == {"fgvc": (1, 2, 3, 4), "planesnet": (1, 2, 3, 4)}
    assert found.boxes["fgvc"].median == 2.5


def test_correlation_is_pearsons_and_a_constant_series_has_none(log: Log) -> None:
    found = training.correlation(log)
    assert isinstance(found, training.Correlation)
    assert found.datasets == ("fgvc", "planesnet")
    # deviations from the mean, in 16ths and 32nds: (-3, -1, 3, 1) and (-7, 1, -3, 9)
    assert found.matrix[0][1] == pytest.approx((21 - 1 - 9 + 9) / math.sqrt(20 * 140))
    assert found.matrix[0][0] == pytest.approx(1)
    flat = {**log.values, ("val", "fgvc", "accuracy"): (0.5,) * 4}
    constant = training.correlation(Log("x", log.epochs, log.datasets, flat, {}))
    assert isinstance(constant, training.Correlation)
    assert math.isnan(constant.matrix[0][1])


def test_the_scatter_pairs_the_splits_of_an_epoch(log: Log) -> None:
    found = training.scatter(log)
    assert isinstance(found, training.Scatter)
    assert found.points["fgvc"][2] == (3, 0.75, 0.5)


def test_the_histogram_counts_epochs_of_those_that_have_the_loss(log: Log) -> None:
    found = training.contrastive(log)
    assert isinstance(found, training.Histogram)
    assert (found.edges[0], found.edges[-1]) == (1.0, 4.0)
    assert found.counts == {"fgvc": (1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 1)}, "a term that is 0 throughout is absent"


def test_an_own_trial_brings_its_counts_its_rests_and_its_unit() -> None:
    record = ended(trial(0), End.COMPLETED, "done", epoch(1, 0.1), epoch(2, 0.3))
    log = of_trial(record, START)
    assert log.counts == {"fgvc": {"train": 40, "val": 20}}
    assert log.counted
    assert [(d.dataset, d.epoch) for d in log.decisions] == [("planesnet", 2)]
    assert log.series("val", "fgvc", "accuracy") == (0.1, 0.3)
    assert log.series("train", "planesnet", "accuracy") == ()
    assert "nats" in log.loss_unit


def test_an_epoch_in_which_a_dataset_took_no_step_is_a_gap(tmp_path: Path) -> None:
    entries = [entry(1, 0.25, 0.5), entry(2, 0.5, 0.5)]
    del entries[1]["train"]["fgvc"]
    (tmp_path / "gap.json").write_text(json.dumps(entries))
    first, second = read_log(tmp_path / "gap.json").series("train", "fgvc", "accuracy")
    assert (first, math.isnan(second)) == (0.5, True)


def test_too_little_is_said_to_be_missing(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text(json.dumps([{"epoch": 1, "train": {}, "val": {"own": {"loss": 1.0}}}]))
    log = read_log(tmp_path / "one.json")
    missing = {f.name for f in six(log) if isinstance(f.numbers, Missing)}
    assert missing == {"counts", "accuracy", "losses", "correlation", "scatter", "contrastive"}
    two = Log("two", (1, 2), ("a", "b"), {("val", d, "accuracy"): (0.5, 0.25) for d in "ab"}, {})
    found = training.correlation(two)
    assert isinstance(found, Missing)
    assert "2 epochs" in found.why


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1", "cannot be read as JSON"),
        ("{}", "holds no epoch"),
        ("[]", "holds no epoch"),
        ('[{"epoch": 1}]', "is no training log"),
        ('[{"epoch": 1, "train": 3, "val": {}}]', "is no training log"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "log.json").write_text(text)
    with pytest.raises(UserError, match=said):
        read_log(tmp_path / "log.json")


def test_a_log_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no file .*nowhere.json; give a study's name or the path of a log"):
        read_log(tmp_path / "nowhere.json")


def test_the_same_numbers_give_the_same_bytes_and_missing_ones_no_file(log: Log, tmp_path: Path) -> None:
    once, again = tmp_path / "once", tmp_path / "again"
    for folder in (once, again):
        folder.mkdir()
        assert [p.suffix for p in save(six(log)[1], folder)] == [".png", ".svg"]
    for name in ("accuracy.png", "accuracy.svg"):
        assert (once / name).read_bytes() == (again / name).read_bytes()
    empty = Log("none", (1,), ("a",), {}, {})
    assert save(six(empty)[0], tmp_path) == ()


def test_the_published_log_shows_what_its_report_says() -> None:
    if not PUBLISHED.is_file():
        pytest.skip("the published log is not on this machine")
    found = training.accuracy(read_log(PUBLISHED))
    assert isinstance(found, training.Curves)
    ends = {d: (round(100 * val[0], 2), round(100 * val[-1], 2)) for d, (_, val) in found.lines.items()}
    assert ends == {"planesnet": (92.41, 97.47), "hrplanes": (100.0, 100.0), "fgvc": (1.26, 2.37)}
    counted = training.counts(read_log(PUBLISHED))
    assert isinstance(counted, training.Counts)
    assert counted.counts["planesnet"] == {"train": 28800, "val": 3200}


def test_the_course_of_a_task_has_its_primary_metric_for_each_dataset_that_measures_it() -> None:
    def measured(number: int, **metrics: float) -> EpochRecord:
        return replace(epoch(number, 0.5), metrics={key.replace("__", "/"): v for key, v in metrics.items()})

    record = ended(
        trial(0),
        End.COMPLETED,
        "done",
        measured(1, val__hrplanes__iou=0.25, train__hrplanes__iou=0.125, val__fgvc__accuracy=0.75),
        measured(2, val__hrplanes__iou=0.5, val__own__iou=1.0),
    )
    figure = training.course(record, SEGMENTATION)
    (train, val), own = figure.numbers.lines["hrplanes"], figure.numbers.lines["own"]
    assert (figure.name, figure.numbers.metric, figure.numbers.epochs) == ("segmentation", "iou", (1, 2))
    assert set(figure.numbers.lines) == {"hrplanes", "own"}
    assert val == (0.25, 0.5)
    assert (train[0], math.isnan(train[1])) == (0.125, True)
    assert (own[0], math.isnan(own[1][0]), own[1][1]) == ((), True, 1.0)
    assert isinstance(training.course(ended(trial(0), End.FAILED, "x"), SEGMENTATION).numbers, Missing)


@pytest.mark.parametrize(
    "text",
    [
        "Segmentation: iou per epoch, training dashed, validation solid",
        "WWWWW " * 20 + "M" * 61,
        r"what costs $5 and $\frac{1}{2}$",
    ],
)
def test_a_title_of_any_letters_stays_within_its_figure(text: str) -> None:
    import matplotlib

    with matplotlib.rc_context(style.LOOK):  # type: ignore[arg-type]
        figure, _ = style.canvas()
        lines = style.title(text)
        drawn = figure.suptitle(lines, x=0.01, ha="left", **style.TITLE)
        assert drawn.get_window_extent().x1 <= figure.bbox.x1
    assert "".join(lines.split()) == "".join(text.split())


def test_a_report_has_the_figures_of_the_tasks_that_the_trial_measured(tmp_path: Path) -> None:
    record = ended(trial(0), End.COMPLETED, "done", replace(epoch(1, 0.5), metrics={"val/hrplanes/iou": 0.5}))
    report = study_report(StudyFiles(tmp_path, START, (record,)), Missing(""), Missing(""))
    names = [f.name for section in report.sections for f in section.figures]
    assert "segmentation" in names
    assert "detection" not in names
    figure = next(f for section in report.sections for f in section.figures if f.name == "segmentation")
    assert [path.name for path in save(figure, tmp_path)] == ["segmentation.png", "segmentation.svg"]
