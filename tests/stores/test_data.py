"""``--data s3://…``: every command reads the same pictures as from a folder, on any host."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from raytune_planes.cli import main
from raytune_planes.commands.study_arguments import recall, remember
from raytune_planes.datasets.synthetic import synthesise
from raytune_planes.preparation.data import data_folder, open_data
from raytune_planes.stores.address import parsed
from raytune_planes.tuning.entries import Entry, counts, open_entries
from tests.stores.server import Server
from tests.toy import toy_config

SMALL = ("--only=planesnet", "--set=budget.epochs=1", "--set=budget.steps_per_epoch=2", "--set=budget.batch_size=4")


FILES = 41
"""Chips, and the note that they are synthetic."""


@pytest.fixture
def chips(s3: Server, bucket: str, tmp_path: Path) -> str:
    """The address of chips in a bucket; the same lie in the folder ``data``."""
    synthesise(tmp_path / "data", planesnet=40, hrplanes=0, fgvc=0, fgvc_classes=2, seed=0)
    s3.put_folder(tmp_path / "data" / "planesnet", bucket, "aircraft/planesnet")
    s3.line.requests.clear()
    return f"s3://{bucket}/aircraft"


def read(s3: Server) -> int:
    """Objects whose content was read."""
    return sum(method == "GET" and "?" not in path for method, path in s3.line.requests)


def test_a_training_on_a_bucket_is_the_one_on_a_folder(chips: str, s3: Server, tmp_path: Path) -> None:
    for name, data in (("bucket", chips), ("again", chips), ("folder", tmp_path / "data")):
        given = [f"--data={data}", f"--cache={tmp_path / 'cache'}", f"--out={tmp_path / name}"]
        assert main(["train", *given, *SMALL]) == 0
    assert read(s3) == FILES, "each was fetched once"
    metrics = [
        json.loads((tmp_path / n / "epochs.jsonl").read_text())["metrics"] for n in ("bucket", "again", "folder")
    ]
    assert metrics[0] == metrics[1] == metrics[2]
    assert metrics[0]["val/planesnet/accuracy"] > 0


def test_the_pictures_of_a_bucket_are_looked_through(
    chips: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert main(["data", chips, "--json"]) == 0
    told = capsys.readouterr()
    assert [(d["dataset"], d["pictures"]) for d in json.loads(told.out)] == [("planesnet", 40)]
    assert f"Fetching {FILES} files, 0.0 MiB, of {chips} into" in told.err


def test_two_machines_find_the_same_fingerprint(chips: str, tmp_path: Path) -> None:
    config = toy_config(datasets__hrplanes__enabled=False, datasets__fgvc__enabled=False)
    one, other = (
        open_data(config, data_folder(parsed(chips), tmp_path / name), tmp_path / name)["planesnet"]
        for name in ("one", "other")
    )
    assert one.fingerprint == other.fingerprint


def test_a_host_without_the_decoded_pictures_fetches_and_decodes_them(chips: str, s3: Server, tmp_path: Path) -> None:
    config = toy_config(datasets__hrplanes__enabled=False, datasets__fgvc__enabled=False)
    there = open_data(config, tmp_path / "data", tmp_path / "driver")["planesnet"]
    entry = Entry("planesnet", config.datasets["planesnet"].decoded_as, str(tmp_path / "host" / "x"), counts(there))
    here = open_entries((entry,), config, parsed(chips))["planesnet"]
    np.testing.assert_array_equal(here.images_NHWC, there.images_NHWC)
    assert (tmp_path / "host" / "stores").is_dir()
    assert read(s3) == FILES


def test_a_resumed_study_remembers_the_address(chips: str, tmp_path: Path) -> None:
    from raytune_planes.cli import make_parser
    from raytune_planes.commands.arguments import TUNE_DEFAULTS

    words = ["tune", f"--data={chips}", f"--out={tmp_path}", "--name=s"]
    args = make_parser().parse_args(words)
    vars(args).update({key: value for key, value in TUNE_DEFAULTS.items() if getattr(args, key) is None})
    remember(args, tmp_path / "s", lambda _: None)
    again = recall(make_parser().parse_args(["tune", "--resume=s", f"--out={tmp_path}"]))
    assert again.data == parsed(chips)
