"""Studies in a file: what of them is in it, that it reads back, and what this version cannot use of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from raytune_planes.errors import UserError
from raytune_planes.learning import PACKAGED, collected, earlier_studies, learn
from raytune_planes.learning.collection import read, write
from raytune_planes.records import End, EpochRecord, Goal, Objective
from raytune_planes.settings import defaults, settings
from tests.learning.past import DATA, FGVC, IOU, PLANES, a_study, present

SECRET = "/home/anna/secret.pt"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "planes.json"


def test_a_file_of_studies_reads_back_as_it_was_written_and_teaches_the_same(path: Path) -> None:
    own = [
        replace(a_study(), space="toy"),
        replace(a_study("two", 0.02, seed=1), space="toy", alone={"fgvc": {FGVC: 0.5}}),
    ]
    write(path, own, "0.1.0")
    studies, warnings = read(path)
    assert warnings == ()
    assert [(s.name, s.study_id, s.alone) for s in studies] == [
        ("toy-1", "id-old", {}),
        ("toy-2", "id-two", {"fgvc": {FGVC: 0.5}}),
    ]
    assert studies[0].data == DATA
    for mine, theirs in zip(own[0].trials, studies[0].trials, strict=True):
        assert (theirs.number, theirs.drawn, theirs.end) == (mine.number, mine.drawn, mine.end)
        assert theirs.epochs[0].samples == 320
        assert theirs.epochs[0].metrics == pytest.approx(mine.epochs[0].metrics, rel=1e-4)
    learnt, before = learn(present(), studies)[0], learn(present(), own)[0]
    assert [x.values for x in learnt.portfolio] == [x.values for x in before.portfolio]
    assert [s.weight for s in learnt.sources] == [s.weight for s in before.sources] == [1.0, 1.0]


def test_a_file_of_studies_tells_no_path_name_or_host(path: Path) -> None:
    texts = {s.path: SECRET for s in settings() if isinstance(s.default, str) and s.path != "plan"}
    study = a_study("anna")
    trials = tuple(
        replace(
            t,
            config={**t.config, **texts},
            drawn={**t.drawn, "text.model": SECRET},
            reason=SECRET,
            tags={"host": "anna"},
        )
        for t in study.trials
    )
    write(path, [replace(study, trials=trials, study_id="7")], "0.1.0")
    text = path.read_text()
    assert "anna" not in text and "home" not in text  # noqa: PT018
    assert "optim.lr" in text
    words = {"text.model": "minilm", "model.backbone.kind": "timm/resnet18", "model.backbone.weights": "pretrained"}
    write(path, [replace(study, trials=tuple(replace(t, config={**t.config, **words}) for t in study.trials))], "0.1.0")
    assert words.items() <= read(path)[0][0].trials[0].config.items()


def test_only_trials_with_a_result_and_figures_of_validation_are_in_it(path: Path) -> None:
    study = a_study(count=6)
    metrics = {FGVC: 0.123456789, "train/fgvc/steps": 3.0, PLANES: float("nan"), "val/fgvc/images": 9.0}
    ends = (End.COMPLETED, End.FAILED, End.PRUNED, End.INTERRUPTED, End.PAUSED, End.CONVERGED)
    trials = [
        replace(t, end=end, epochs=(EpochRecord(1, 5, 77, metrics),)) for t, end in zip(study.trials, ends, strict=True)
    ]
    write(path, [replace(study, trials=(*trials[:5], replace(trials[5], epochs=())))], "0.1.0")
    back = read(path)[0][0].trials
    assert [(t.number, t.end) for t in back] == [(0, End.COMPLETED), (2, End.PRUNED), (4, End.PAUSED)]
    assert back[0].epochs[0].metrics == {FGVC: 0.12346}


def test_of_folds_the_mean_and_of_stages_the_last_is_what_a_trial_reached(path: Path) -> None:
    first, second = a_study(count=2).trials
    folds = (
        EpochRecord(1, 1, 10, {"fold1/" + FGVC: 0.9, FGVC: 0.9}, fold=1, result={FGVC: 0.9}),
        EpochRecord(2, 2, 20, {"fold2/" + FGVC: 0.5, FGVC: 0.7}, fold=2, result={FGVC: 0.5}),
    )
    stages = EpochRecord(1, 1, 10, {FGVC: 0.9}, stage="a"), EpochRecord(2, 2, 20, {FGVC: 0.4}, stage="b")
    trials = replace(first, epochs=folds), replace(second, epochs=stages, config={**second.config, "plan": "a, b"})
    write(path, [replace(a_study(), trials=trials)], "0.1.0")
    goal = Goal((Objective(FGVC),))
    back = read(path)[0][0].trials
    assert [t.best(goal).metrics[FGVC] for t in back if t.best(goal)] == [0.7, 0.4]  # type: ignore[union-attr]


def test_settings_that_this_version_lacks_are_left_out_and_named(path: Path) -> None:
    write(path, [a_study()], "0.0.9")
    path.write_text(
        path.read_text()
        .replace("stopping.trickle", "stopping.drip")
        .replace('"stopping.rule":"stop"', '"stopping.rule":"halt"')
    )
    (study,), (warning,) = read(path)
    assert "which version 0.0.9 wrote" in warning
    assert warning.endswith("left out: stopping.rule, stopping.drip") or warning.endswith(
        "left out: stopping.drip, stopping.rule"
    )
    assert {k for t in study.trials for k in t.drawn} == {"optim.lr", "datasets.fgvc.weight"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: "{", "holds no studies in format 1"),
        (lambda text: text.replace('"format":1', '"format":2'), r"holds no studies in format 1 \(format: "),
        (lambda text: text.replace('"samples":[320]', '"samples":[320,640]', 1), "not of as many epochs each"),
        (lambda text: text.replace('"end":"completed"', '"end":"lost"', 1), r"studies\.0\.trials\.0\.end"),
    ],
)
def test_a_file_that_is_none_is_refused_with_what_is_wrong(path: Path, change: object, said: str) -> None:
    write(path, [a_study()], "0.1.0")
    path.write_text(change(path.read_text()))  # type: ignore[operator]
    with pytest.raises(UserError, match=said):
        read(path)


def test_a_file_is_named_like_a_study_and_counts_each_study_once(path: Path, tmp_path: Path) -> None:
    write(path, [a_study("one"), a_study("two", seed=1)], "0.1.0")
    assert [s.study_id for s in earlier_studies(tmp_path / "none", [str(path)]).studies] == ["id-one", "id-two"]
    assert [s.study_id for s in earlier_studies(tmp_path / "none", [str(path), str(path)]).studies] == [
        "id-one",
        "id-two",
    ]


def test_the_packaged_studies_fit_this_version_and_are_of_settings_and_figures_alone() -> None:
    found = collected(PACKAGED)
    assert found.warnings == ()
    assert {s.name for s in found.studies} >= {"quick-1", "rebalance-1", "heads-1", "optim-1", "stopping-1", "text-1"}
    assert all(len(s.trials) >= 4 and s.trials[0].number == 0 for s in found.studies)
    assert all(IOU in t.epochs[-1].metrics and FGVC in t.epochs[-1].metrics for s in found.studies for t in s.trials)
    texts = {v for s in found.studies for t in s.trials for v in t.config.values() if isinstance(v, str)}
    assert not [text for text in texts if "/" in text or "\\" in text]
    config = json.loads(json.dumps(defaults(), default=str))
    assert set(found.studies[0].trials[0].config) <= set(config)
