"""``report --data-curve``: what it trains, what goes on after Ctrl-C, what is not trained again, and mistakes."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from raytune_planes.cli import main
from raytune_planes.commands.data_curve_run import share_config, train_curve
from raytune_planes.datasets.folds import parted
from raytune_planes.errors import UserError
from raytune_planes.preparation.data import open_data
from raytune_planes.records import End, Goal, Objective, TrialRecord
from raytune_planes.report import data_curve
from raytune_planes.settings import flatten, make_config, only
from raytune_planes.tracking import DataDescription, JsonlTracker, StudyFiles, files, read_study
from raytune_planes.tracking.data_curve import SHARES, read_curve, share_folder
from raytune_planes.tuning.lease import Lease
from tests.berts import tiny_bert
from tests.commands.test_own_folder import TINY
from tests.tracking.studies import START, ended, epoch, play, three_trials, trial

GOAL = Goal((Objective("val/mine/accuracy"),))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 pictures whose brightness tells the class."""
    folder, random = tmp_path_factory.mktemp("mine") / "pictures", np.random.default_rng(0)
    for level, name in ((40, "dark"), (160, "light")):
        (folder / name).mkdir(parents=True)
        for n in range(60):
            pixels = random.integers(level, level + 80, (16, 16, 3), np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{n}.png")
    tiny_bert(folder.parent / "bert")
    return folder


@pytest.fixture(scope="module")
def whole(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[StudyFiles, str]:
    """A study with its data curve, and what was printed meanwhile."""
    study, said = make_study(tmp_path_factory.mktemp("whole"), root), io.StringIO()
    with redirect_stdout(said):
        assert train_curve(study, None, root.parent / "cache")
    return study, said.getvalue()


def make_study(out: Path, root: Path) -> StudyFiles:
    """One finished trial on these pictures."""
    own = {"datasets.mine.reader": "image_folder", "datasets.mine.root": str(root), "datasets.mine.image_size": 16}
    small = {**TINY, "budget.steps_per_epoch": 4, "text.model": str(root.parent / "bert"), **own}
    config = make_config(small, only(["mine"], small))
    arrays = open_data(config, None, root.parent / "cache")
    data = {n: DataDescription(a.fingerprint, parted(a, config.split).counts()) for n, a in arrays.items()}
    done = epoch(1, 0.5, **{"val/mine/accuracy": 0.5, "val/mine/images": 12.0})
    record = ended(replace(trial(0), config=flatten(config)), End.COMPLETED, "1 epoch", done)
    play(JsonlTracker(out), start=replace(START, goal=GOAL, data=data, trials=1), trials=(record,))
    return read_study(out / START.name)


def trained(study: StudyFiles) -> dict[float, TrialRecord]:
    curve = read_curve(study)
    assert curve is not None
    return dict(curve.trained)


class CutOff(io.StringIO):
    """Ctrl-C as soon as this is printed."""

    def __init__(self, text: str, times: int) -> None:
        super().__init__()
        self._text, self._left = text, times

    def write(self, text: str) -> int:
        self._left -= text.startswith(self._text)
        if self._left == 0:
            self._left = -1
            raise KeyboardInterrupt
        return super().write(text)


@pytest.mark.slow
def test_shares_are_trained_alike_resumed_after_ctrl_c_and_never_trained_again(
    root: Path, whole: tuple[StudyFiles, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache, said = root.parent / "cache", whole[1]
    assert "data curve: the defaults trained on ¼, ½ and all of the training pictures, 2 epochs and 64 samples" in said
    assert "data curve, ¼ of the training pictures: mine 24 of 2 classes" in said
    expected = trained(whole[0])
    assert [len(record.epochs) for record in expected.values()] == [2, 2, 2]
    assert {record.trained for record in expected.values()} == {64}, "the same samples on each share"
    assert {record.epochs[-1].metrics["val/mine/images"] for record in expected.values()} == {12.0}
    assert [record.tags["pictures.mine"] for record in expected.values()] == [f"{n} of 2 classes" for n in (24, 48, 96)]

    cut = make_study(tmp_path / "cut", root)
    within_the_half = redirect_stdout(CutOff("epoch 1/2", 2))
    with within_the_half, pytest.raises(KeyboardInterrupt):
        train_curve(cut, None, cache)
    begun = trained(cut)
    assert {share: (record.end, len(record.epochs)) for share, record in begun.items()} == {
        0.25: (End.COMPLETED, 2),
        0.5: (End.RUNNING, 1),
    }
    assert (share_folder(cut, 0, 0, 0.5) / files.LAST).is_file()
    assert any("½, all; " in text for text in data_curve.sections(cut)[0].text)

    assert train_curve(cut, None, cache)
    assert "trained on ½ and all of the" in capsys.readouterr().out
    found = trained(cut)
    for share in SHARES:
        metrics = [[e.metrics for e in record[share].epochs] for record in (found, expected)]
        assert metrics[0] == metrics[1], "as if it had not been cut off"
    assert found[0.25] == begun[0.25]
    assert found[0.5].epochs[0] == begun[0.5].epochs[0], "it went on from its last epoch"

    assert train_curve(cut, None, cache)
    assert capsys.readouterr().out == "", "all shares are done"
    assert trained(cut) == found


@pytest.mark.slow
def test_the_command_prints_the_curve_and_shows_it_in_the_report_also_where_mlflow_is_away(
    root: Path, whole: tuple[StudyFiles, str], capsys: pytest.CaptureFixture[str]
) -> None:
    out, away = whole[0].folder.parent, ["--tracking-uri", "http://127.0.0.1:1"]
    line = ["report", START.name, "--out", str(out), "--no-pictures", "--cache", str(root.parent / "cache")]
    assert main([*line, "--data-curve", *away]) == 0
    said = capsys.readouterr().out
    assert "the defaults by the share of the training pictures, on the validation split" in said
    assert "mine: from 48 to 96 training pictures accuracy changes by " in said
    assert "MLflow does not have all of the data curve (UserError: MLflow at http://127.0.0.1:1 did not" in said
    page = (out / files.PLOTS / START.name / "report.html").read_text()
    assert "Would more data help?" in page
    assert 'data-name="data-curve"' in page


def test_each_share_has_the_trials_settings_without_rests_also_in_its_stages() -> None:
    stages = {
        "plan": "one, two",
        "stages.one.optim.lr": 0.1,
        "stages.two.stopping.rule": "stop",
        "stopping.rule": "stop_and_go",
        "seed": 5,
    }
    config = share_config(replace(trial(0), config=flatten(make_config(stages))), 0.25)
    assert {stage.stopping.rule for _, stage in config.staged} == {"none"}
    assert {stage.split.use for _, stage in config.staged} == {0.25}
    assert config.seed == 5


def test_a_study_whose_trials_have_not_finished_is_refused_with_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    play(JsonlTracker(tmp_path), trials=three_trials()[1:2])
    assert main(["report", START.name, "--out", str(tmp_path), "--data-curve"]) == 2
    told = capsys.readouterr().err
    assert "trains the best trial of study 'quick-1' on parts of its data, and no trial has finished" in told
    assert "tune --resume quick-1" in told
    assert not (tmp_path / START.name / files.CURVE).exists()


def test_a_log_has_no_data_curve(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "log.json", "--out", str(tmp_path), "--data-curve"]) == 2
    assert "log.json is the log of one training; give a study's name" in capsys.readouterr().err


def test_other_pictures_than_the_studys_are_refused(root: Path, tmp_path: Path) -> None:
    study = make_study(tmp_path, root)
    fewer = replace(study.start, data={"mine": DataDescription("x", {"train": 5, "val": 1, "test": 1})})
    with pytest.raises(UserError, match="the pictures of mine differ from the study's; name the right folder"):
        train_curve(replace(study, start=fewer), None, root.parent / "cache")
    assert not (study.folder / files.CURVE).exists()


def test_two_processes_do_not_train_one_curve(root: Path, tmp_path: Path) -> None:
    study = make_study(tmp_path, root)
    with Lease(study.folder / files.CURVE), pytest.raises(UserError, match="is being run by process"):
        train_curve(study, None, root.parent / "cache")
