"""A report of a study in any state: it is written, says what is missing, and its page needs nothing from outside."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from raytune_planes.errors import UserError
from raytune_planes.records import End
from raytune_planes.report import compare, explain, page
from raytune_planes.report.build import study_report
from raytune_planes.report.confirmed import FILE, confirmed_gains, read_confirmed
from raytune_planes.report.drawing import DRAW, save
from raytune_planes.report.figure import Figure, Missing, Report, Section, Table
from raytune_planes.report.predictions import (
    Example,
    Examples,
    MaskExample,
    Masks,
    chosen,
    confusion,
    mask_iou,
    spread,
    worst_pairs,
)
from raytune_planes.report.search import Importance
from raytune_planes.tracking import StudyFiles
from raytune_planes.tracking.files import trial_folder
from raytune_planes.tracking.gains import Sample, best_of
from tests.report.test_search import study
from tests.tracking.studies import START, ended, epoch, three_trials, trial

NOTHING = Missing("left out")


def missing(report: Report) -> dict[str, str]:
    return {f.name: f.numbers.why for s in report.sections for f in s.figures if isinstance(f.numbers, Missing)}


def made(found: StudyFiles) -> Report:
    return study_report(found, Missing("2 trials have a result"), NOTHING)


def bare(report: Report) -> Report:
    """Without the figures that would be drawn: drawing them takes seconds."""
    kept = [[f for f in s.figures if isinstance(f.numbers, Missing)] for s in report.sections]
    sections = tuple(replace(s, figures=k) for s, k in zip(report.sections, kept, strict=True))
    return replace(report, sections=sections)


@pytest.mark.slow
def test_the_page_names_no_address_outside_of_itself(written: tuple[Path, ...]) -> None:
    html = written[0].read_text()
    assert not re.search(r"https?://|//[a-z]|@import|url\(|<script src|<link rel=\"stylesheet", html)
    sources = re.findall(r"src=\"([^\"]{0,40})", html)
    assert sources
    assert all(s.startswith("data:image/svg+xml;base64,") for s in sources)
    assert {p.suffix for p in written} == {".html", ".md", ".png", ".svg"}


@pytest.mark.slow
def test_markdown_links_only_files_that_were_written(written: tuple[Path, ...]) -> None:
    linked = re.findall(r"\]\(([^)]+)\)", written[1].read_text())
    assert linked
    assert all((written[1].parent / name).is_file() for name in linked)


def test_what_users_wrote_cannot_break_the_page(tmp_path: Path) -> None:
    found = study(*three_trials(), about="<script>alert(1)</script> & more")
    html = page.as_html(bare(made(found)), tmp_path)
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_synthetic_data_is_called_so_on_the_page_and_on_every_figure(tmp_path: Path) -> None:
    shown = made(replace(study(*three_trials()), start=START))
    assert shown.synthetic
    assert "SYNTHETIC DATA" in page.as_html(bare(shown), tmp_path)
    assert "SYNTHETIC DATA" in page.as_markdown(shown)
    figure = next(f for s in shown.sections for f in s.figures if f.name == "history")
    plain, marked = (save(figure, tmp_path, synthetic=kind)[1].read_text() for kind in (False, True))
    assert "[SYNTHETIC DATA]" in marked, "matplotlib writes the text of a title beside its outlines"
    assert "[SYNTHETIC DATA]" not in plain


def test_one_trial_has_its_course_and_says_that_the_rest_is_missing() -> None:
    report = made(study(three_trials()[0]))
    assert set(missing(report)) >= {"parallel", "slices", "importance"}
    assert report.lead.startswith("The defaults are best: fgvc accuracy 0.3000")
    assert "beside" not in [f.name for s in report.sections for f in s.figures]


def test_all_failed_says_why_and_draws_no_course(tmp_path: Path) -> None:
    failed = [ended(trial(n), End.FAILED, f"reason {n}") for n in range(3)]
    report = made(study(*failed))
    assert "No trial is complete" in report.lead
    assert "Trial 2 failed: reason 2." in report.sections[0].text
    assert missing(report)["front"] == "no trial has finished an epoch"
    assert "missing" in page.as_html(bare(report), tmp_path)


def test_the_table_of_trials_says_of_which_epochs_its_figures_are() -> None:
    search = next(s for s in made(study(*three_trials())).sections if s.heading == "Search")
    assert search.text == [
        "Values and floors of a trial are those of its best epoch; the reason of a pruned trial names the epoch after "
        "which it was judged."
    ]


def test_tables_of_metrics_begin_with_the_objectives_and_floors_and_fold_the_rest() -> None:
    answer = made(study(*three_trials())).sections[0]
    gains = answer.tables[0]
    assert [(row[0], row[-1]) for row in gains.rows] == [
        ("val/fgvc/accuracy", "objective"),
        ("val/hrplanes/iou", "objective"),
        ("val/planesnet/accuracy", "floor 0.9"),
        ("val/hrplanes/accuracy", ""),
    ]
    assert gains.first_rows == 3
    assert answer.commands[-1].endswith("tune --resume quick-1 --confirm 3")


def test_a_dataset_that_is_switched_off_is_named_and_absent_from_the_figures() -> None:
    first = three_trials()[0]
    gone = [replace(e, metrics={k: v for k, v in e.metrics.items() if "hrplanes" not in k}) for e in first.epochs]
    off = replace(first, epochs=tuple(gone), config={**first.config, "datasets.hrplanes.enabled": False})
    start = replace(study().start, data={"fgvc": START.data["fgvc"]})
    report = made(replace(study(off), start=start))
    assert "Switched off: hrplanes." in report.sections[-1].text
    curves = next(f.numbers for s in report.sections for f in s.figures if f.name == "accuracy")
    assert "hrplanes" not in curves.lines


@pytest.mark.slow
def test_a_running_study_says_so(tmp_path: Path) -> None:
    running = replace(trial(1), epochs=(epoch(1, 0.2),))
    found = replace(study(three_trials()[0], running), end=None)
    report = made(found)
    assert "has not ended" in report.lead
    assert page.write(report, tmp_path)[0].is_file()
    nothing = made(replace(study(), end=None))
    assert missing(nothing)["history"] == "no trial has started"


def test_a_folder_that_cannot_be_written_is_a_mistake_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written to .*; choose another folder with --to"):
        page.write(bare(made(study(three_trials()[0]))), tmp_path / "file" / "inside")


def test_confusion_counts_and_its_worst_pairs() -> None:
    labels_N = np.array([0, 0, 0, 1, 1, 2])
    said_N = np.array([0, 1, 1, 0, 1, 0])
    found = confusion("fgvc", np.eye(3, dtype=np.float32)[said_N], labels_N, ("a", "b", "c"))
    assert not isinstance(found, Missing)
    assert found.counts_KK.tolist() == [[1, 2, 0], [1, 1, 0], [1, 0, 0]]
    assert found.accuracy == pytest.approx(2 / 6)
    worst = worst_pairs(found)
    assert not isinstance(worst, Missing)
    assert [(p.one, p.other, p.mistakes, p.pictures) for p in worst.pairs] == [("a", "b", 3, 5), ("a", "c", 1, 4)]
    assert worst.share == 1.0


def test_nothing_to_confuse_is_missing() -> None:
    assert isinstance(confusion("fgvc", np.zeros((0, 3)), np.zeros(0, np.int64), ()), Missing)
    perfect = confusion("fgvc", np.eye(2), np.array([0, 1]), ())
    assert worst_pairs(perfect) == Missing("there is no mistake on the validation split of fgvc")


def test_examples_are_the_surest_right_and_wrong_of_different_classes() -> None:
    logits_NK = np.array([[3, 0, 0], [5, 0, 0], [0, 2, 0], [4, 0, 0], [0, 1, 0]], np.float32)
    assert chosen(logits_NK, np.array([0, 0, 1, 1, 2])) == [1, 2, 0, 3, 4]


def test_the_overlap_of_masks_is_counted_at_one_half() -> None:
    truth_HW, predicted_HW = np.array([[1, 1], [0, 0]]), np.array([[0.9, 0.2], [0.6, 0.5]])
    assert mask_iou(truth_HW, predicted_HW) == pytest.approx(1 / 3)
    assert np.isnan(mask_iou(np.zeros((2, 2)), np.zeros((2, 2))))


@pytest.mark.parametrize(("n", "ranks"), [(1, [0]), (2, [0, 1]), (3, [0, 1, 2]), (4, [0, 1, 2, 3]), (6, [0, 2, 3, 5])])
def test_the_masks_shown_are_different_pictures_from_the_best_to_the_worst(n: int, ranks: list[int]) -> None:
    ious = [0.1 * ((7 * i) % n + 1) for i in range(n)]
    found = spread(ious, 4)
    assert [sorted(ious, reverse=True).index(ious[i]) for i in found] == ranks
    assert min(ious) == ious[found[-1]]


def test_pictures_and_importance_are_drawn(tmp_path: Path) -> None:
    image_HWC = np.zeros((4, 4, 3), np.uint8)
    mask = MaskExample(image_HWC, np.zeros((4, 4)), np.zeros((4, 4)), float("nan"))
    drawn = [
        confusion("own", np.eye(40), np.arange(40), ()),
        worst_pairs(confusion("own", np.eye(2)[[1, 0]], np.array([0, 1]), ("a", "b"))),
        Masks("own", (mask,)),
        Examples((Example("own", image_HWC, "a", "b", 0.5), Example("own", image_HWC, "a", "a", 0.5))),
        Importance({"val/own/accuracy": {"optim.lr": 1.0}}, 12),
    ]
    for i, numbers in enumerate(drawn):
        assert type(numbers) in DRAW
        assert all(p.stat().st_size for p in save(Figure(f"f{i}", "title", "", numbers), tmp_path))


def test_two_trials_compare_in_settings_metrics_and_curves() -> None:
    found = study(*three_trials())
    one, other = compare.side(found, 0), compare.side(found, None)
    assert other.label == "quick-1:3"
    assert compare.settings(one, other) == [("datasets.fgvc.head.depth", 1, 2), ("optim.lr", 0.002, 0.004)]
    assert ("val/fgvc/accuracy", 0.3, 0.5) in compare.metrics(one, other)
    curves = compare.curves(one, other)
    assert isinstance(curves, compare.Comparison)
    assert curves.curves["val/fgvc/accuracy"][1] == ((192, 0.2), (384, 0.5))
    assert curves.best == (384, 384)
    cells = next(line.split() for line in compare.as_text(one, other).splitlines() if "val/fgvc/accuracy" in line)
    assert cells == ["val/fgvc/accuracy", "0.3000", "0.5000", "+0.2000"]


def test_studies_on_other_files_are_said_not_to_compare() -> None:
    found = study(*three_trials())
    changed = {**found.start.data, "fgvc": replace(found.start.data["fgvc"], fingerprint="other")}
    elsewhere = replace(found, start=replace(found.start, name="quick-2", data=changed))
    text = compare.as_text(compare.side(found, 0), compare.side(elsewhere, 0))
    assert "The files of fgvc differ between the two" in text
    assert "no setting differs" in text


def test_a_trial_that_is_not_there_is_refused() -> None:
    with pytest.raises(UserError, match="study 'quick-1' has no trial 9; there are: 0, 1, 2, 3"):
        compare.side(study(*three_trials()), 9)
    with pytest.raises(UserError, match="no trial of study 'quick-1' is complete; name one of its trials: quick-1:0"):
        compare.side(study(trial(0)), None)


def test_a_confirmed_gain_covers_seeds_and_pictures(tmp_path: Path) -> None:
    assert read_confirmed(tmp_path) == {}
    key, size = "test/fgvc/accuracy", '"test/fgvc/images": {"values": [30, 30, 30]}'
    (tmp_path / FILE).write_text(
        f'[{{"number": 0, "metrics": {{"{key}": {{"values": [0.1, 0.2, 0.3]}}, {size}}}, "failures": []}},'
        f' {{"number": 3, "metrics": {{"{key}": {{"values": [0.2, 0.4, 0.6]}}, {size}}}, "failures": []}}]'
    )
    read = read_confirmed(tmp_path)
    found, mine, usual = confirmed_gains(read, 3)[key], read[3].metrics[key], read[0].metrics[key]
    assert (found.mean, found.values) == (pytest.approx(0.2), pytest.approx((0.1, 0.2, 0.3)))
    assert found.low == pytest.approx(0.2 - math.hypot(0.4 - mine.low, usual.high - 0.2))
    assert found.sample == Sample(30, "pictures")
    assert "may be luck" in explain.interval_text(found)
    assert confirmed_gains(read, 0) == {}


def test_below_three_seeds_a_confirmed_gain_is_that_of_each_seed(tmp_path: Path) -> None:
    key, size = "test/fgvc/accuracy", '"test/fgvc/images": {"values": [30, 30]}'
    (tmp_path / FILE).write_text(
        f'[{{"number": 0, "metrics": {{"{key}": {{"values": [0.1, 0.2]}}, {size}}}, "failures": []}},'
        f' {{"number": 3, "metrics": {{"{key}": {{"values": [0.2, 0.4]}}, {size}}}, "failures": []}}]'
    )
    found = confirmed_gains(read_confirmed(tmp_path), 3)[key]
    assert explain.interval_text(found) == "+0.1000, +0.2000; 2 seeds, no interval"


def test_the_nearest_on_the_front_come_first_with_what_they_change() -> None:
    best = ended(trial(1, {"optim.lr": 0.01}), End.COMPLETED, "", epoch(1, 0.5, iou=0.5))
    far = ended(trial(2, {"optim.lr": 0.1}), End.COMPLETED, "", epoch(1, 0.9, iou=0.1))
    near = ended(trial(3, {"optim.lr": 0.02}), End.COMPLETED, "", epoch(1, 0.6, iou=0.45))
    found = explain.nearest(best, (far, near, best), START.goal)
    assert [(a.trial.number, a.changes) for a in found] == [(3, ("optim.lr 0.02",)), (2, ("optim.lr 0.1",))]
    assert found[0].differences == pytest.approx((0.1, -0.05))


def test_what_to_do_next_names_the_data_and_the_weights(tmp_path: Path) -> None:
    record = three_trials()[0]
    folder = tmp_path / "trials" / "0000-ab00"
    folder.mkdir(parents=True)
    (folder / "best.pt").write_bytes(b"")
    (tmp_path / "asked.json").write_text('{"data": "/my data"}')
    found = dict(explain.commands(replace(study(record), folder=tmp_path), record))
    assert found["train it again"].endswith("config.yaml --data '/my data'")
    assert found["predict with it"] == f"raytune-planes predict {folder / 'best.pt'} IMAGE..."
    assert explain.rests_text(record) == ["epoch 2: planesnet rests: no gain in 2 epochs"]


def test_weights_in_a_store_are_predicted_with_from_there_unless_they_were_removed(tmp_path: Path) -> None:
    first, second = three_trials()[:2]
    (tmp_path / ".address").write_text("s3://planes/my results")
    asked = replace(study(first, second), folder=tmp_path / "quick-1")
    best = best_of(asked)
    assert best is not None
    other = next(each for each in (first, second) if each.trial_id != best.trial_id)
    place = trial_folder(asked.folder, other.number, other.trial_id)
    told = [dict(explain.commands(asked, each)).get("predict with it") for each in (best, other)]
    assert told == [
        f"raytune-planes predict {model} IMAGE... --studies 's3://planes/my results'"
        for model in ("quick-1", f"quick-1/trials/{place.name}")
    ]
    place.mkdir(parents=True)
    (place / "freed.json").write_text("{}")
    assert "predict with it" not in dict(explain.commands(asked, other))


def test_a_name_is_shown_in_a_report_and_is_neither_markup_nor_command(tmp_path: Path) -> None:
    name = "<script>alert(1)</script>\x1b]0;owned\x07|[x](http://elsewhere)"
    table = Table(("class", "count"), ((name, "3"),))
    figures = (Figure("gone", f"{name} masks", name, Missing(f"no file {name}")),)
    report = Report(name, name, (Section(name, (name,), (table,), figures=figures),))
    html, markdown, *_ = (path.read_text() for path in page.write(report, tmp_path))
    for text in (html, markdown):
        assert "\x1b" not in text
        assert "\x07" not in text
        assert "<script>" not in text
        assert r"\x1b]0;owned\x07" in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "](http://elsewhere)" not in markdown
    assert "owned\\x07\\|[x]" in markdown, "a bar does not end its cell"


def test_a_class_with_a_dollar_sign_is_drawn(tmp_path: Path) -> None:
    classes = (r"a $\frac{1}$", "b $ c")
    logits_NK, labels_N = np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([0, 1])
    found = confusion("mine", logits_NK, labels_N, classes)
    (tmp_path / "x").mkdir()
    paths = save(Figure("c", r"$\frac{1}$", "", found), tmp_path / "x")
    assert [p.name for p in paths] == ["c.png", "c.svg"]


def test_a_figure_is_laid_out_once_for_both_of_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    laid_out, execute = [], ConstrainedLayoutEngine.execute

    def counted(engine: ConstrainedLayoutEngine, figure: object) -> object:
        laid_out.append(figure)
        return execute(engine, figure)

    monkeypatch.setattr(ConstrainedLayoutEngine, "execute", counted)
    paths = save(Figure("f", "title", "", Importance({"val/own/accuracy": {"optim.lr": 1.0}}, 12)), tmp_path)
    assert [path.suffix for path in paths if path.stat().st_size] == [".png", ".svg"]
    assert len(laid_out) == 1
