"""What a resumed study takes from its new command line, what it refuses, and what it keeps."""

from __future__ import annotations

import argparse
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from raytune_planes.cli import main, make_parser
from raytune_planes.commands import tune
from raytune_planes.commands.study_arguments import APART, KEPT, TAKEN, recall, remember, same_data
from raytune_planes.datasets.synthetic import synthesise
from raytune_planes.errors import UserError
from raytune_planes.preparation.data import open_data
from raytune_planes.settings import make_config
from raytune_planes.tracking import DataDescription, JsonlTracker
from tests.tracking.studies import START

FIRST: dict[str, Any] = {
    **{"trials": 4, "hours": 1.0, "samples": 99, "patience": 3, "stall_minutes": 5.0, "free_gib": 2.0, "keep": 5},
    **{"workers": 2, "cpus_per_worker": 2, "gpus_per_worker": "0", "concurrent": 2},
    **{"data": "pictures", "cache": "decoded", "cache_limit": 7.0, "tracking_uri": "sqlite:////kept/first.db"},
    **{"experiment": "one", "search_db": "postgresql://one/planes", "final": 30, "confirm": 1, "seeds": 7},
}
SECOND: dict[str, Any] = {
    **{"trials": 8, "hours": 2.0, "samples": 100, "patience": 4, "stall_minutes": 6.0, "free_gib": 0.0, "keep": 3},
    **{"workers": 1, "cpus_per_worker": 1, "gpus_per_worker": "auto", "concurrent": 1},
    **{"data": "moved", "cache": "elsewhere", "cache_limit": 20.0, "tracking_uri": "sqlite:///second.db"},
    **{"experiment": "two", "search_db": "postgresql://two/planes", "final": 0, "confirm": 2, "seeds": 3},
}
"""Among them the values that a new study takes by default: typed, they count."""


def typed(*words: str) -> argparse.Namespace:
    return make_parser().parse_args(["tune", *words])


def line(values: dict[str, Any]) -> list[str]:
    return [word for key, value in values.items() for word in (f"--{key.replace('_', '-')}", str(value))]


@pytest.fixture
def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a study ``first`` that was asked with every option, seed 5 and the sampler nsga2."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pictures").mkdir()
    args = typed("quick", *line(FIRST), "--seed", "5", "--sampler", "nsga2", "--name", "first")
    remember(args, tmp_path / "results" / "first", print)
    return tmp_path


def plain(value: object) -> object:
    return Path(value).name if isinstance(value, Path) else value


def test_every_option_is_taken_or_kept_or_of_one_command_line() -> None:
    parser = argparse.ArgumentParser()
    tune.arguments(parser)
    options = {action.dest for action in parser._actions} - {"help", "resume", "out"}
    assert sorted(options) == sorted((*TAKEN, *KEPT, *APART))


def test_what_is_not_typed_is_as_it_was_asked(begun: Path) -> None:
    args = recall(typed("--resume", "first"))
    assert {key: plain(getattr(args, key)) for key in TAKEN} == FIRST
    assert (args.space, args.seed, args.sampler) == ("quick", 5, "nsga2")
    assert args.data == begun / "pictures"


@pytest.mark.parametrize("key", TAKEN)
def test_what_is_typed_counts_even_where_it_is_the_default(begun: Path, key: str) -> None:
    args = recall(typed("--resume", "first", *line({key: SECOND[key]})))
    assert {k: plain(getattr(args, k)) for k in TAKEN} == {**FIRST, key: SECOND[key]}


def test_a_study_whose_command_line_is_of_a_version_that_removed_no_weights_keeps_all(begun: Path) -> None:
    path = begun / "results" / "first" / "asked.json"
    asked = json.loads(path.read_text())
    assert asked.pop("keep") == 5
    path.write_text(json.dumps(asked))
    assert recall(typed("--resume", "first")).keep == 100_000
    assert recall(typed("--resume", "first", "--keep", "2")).keep == 2


def test_the_next_resume_knows_what_the_last_one_was_told(begun: Path) -> None:
    remember(recall(typed("--resume", "first", "--workers", "1")), begun / "results" / "first", print)
    assert recall(typed("--resume", "first")).workers == 1


@pytest.mark.parametrize(
    "words",
    [
        ["--seed", "6"],
        ["--seed", "0"],
        ["--sampler", "tpe"],
        ["--no-rungs"],
        ["--set", "optim.lr=0.5"],
        ["--only", "fgvc"],
        ["--config", "best.yaml"],
        ["--start-from", "best.yaml"],
        ["--name", "second"],
        ["rebalance"],
    ],
    ids=" ".join,
)
def test_what_a_study_keeps_is_refused_by_name(begun: Path, words: list[str], capsys: pytest.CaptureFixture) -> None:
    assert main(["tune", "--resume", "first", *words]) == 2
    said = capsys.readouterr().err
    assert f"a resumed study keeps its space, seed, sampler and settings; leave out {words[0]}, or start" in said


def test_what_a_study_keeps_may_be_typed_again_as_it_was(begun: Path) -> None:
    args = recall(typed("quick", "--resume", "first", "--seed", "5", "--sampler", "nsga2", "--name", "first"))
    assert (args.space, args.seed, args.sampler) == ("quick", 5, "nsga2")


def test_pictures_that_are_gone_are_asked_for(begun: Path) -> None:
    (begun / "pictures").rmdir()
    with pytest.raises(UserError, match=r"were in .*pictures, which no longer exists; .* with --data"):
        recall(typed("--resume", "first"))
    assert recall(typed("--resume", "first", "--data", "moved")).data == Path("moved")


def test_a_command_line_of_an_earlier_version_is_completed_with_the_defaults(begun: Path) -> None:
    path = begun / "results" / "first" / "asked.json"
    asked = json.loads(path.read_text())
    del asked["cache_limit"], asked["seeds"]
    path.write_text(json.dumps(asked))
    args = recall(typed("--resume", "first"))
    assert (args.cache_limit, args.seeds) == (20.0, 3)


def described(data: Path, cache: Path) -> dict[str, DataDescription]:
    config = make_config({"datasets.hrplanes.enabled": False, "datasets.fgvc.enabled": False})
    arrays = open_data(config, data, cache)
    return {name: DataDescription(a.fingerprint, a.counts(), a.synthetic) for name, a in arrays.items()}


def test_pictures_that_have_moved_are_the_same_and_others_are_refused(tmp_path: Path) -> None:
    synthesise(tmp_path / "data", planesnet=24, hrplanes=0, fgvc=0, fgvc_classes=2, seed=0)
    tracker = JsonlTracker(tmp_path)
    tracker.start_study(replace(START, data=described(tmp_path / "data", tmp_path / "cache")))
    shutil.copytree(tmp_path / "data", tmp_path / "moved")  # keeps the times
    same_data(tracker.folder, described(tmp_path / "moved", tmp_path / "cache2"))

    changed = next(p for p in (tmp_path / "moved").rglob("*.png"))
    os.utime(changed, (1, 1))
    with pytest.raises(UserError, match=r"study 'quick-1' began with other pictures of planesnet .* --data"):
        same_data(tracker.folder, described(tmp_path / "moved", tmp_path / "cache2"))
