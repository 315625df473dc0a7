"""Paths that people name are of this machine, and where a file is read it is a file."""

from __future__ import annotations

import json
import os
import re
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from raytune_planes.cli import main
from raytune_planes.datasets import cleaning, files, images
from raytune_planes.datasets.cache import default_cache
from raytune_planes.errors import UserError
from raytune_planes.model.prompts import read_templates
from raytune_planes.paths import local, regular, shortened, sqlite_address, sqlite_file
from raytune_planes.report.log import read_log
from raytune_planes.settings import load, make_config
from raytune_planes.space import load_space
from raytune_planes.tracking import reading
from raytune_planes.training import checkpoint

ADDRESS = r"is an address, which --data and --out of results take \(s3://, gs://, az://\)"


@pytest.mark.parametrize("text", ["s3://bucket/x", "s3:/bucket/x", "gs://b", "file:///tmp/x", "https://host/x.pt"])
def test_an_address_is_no_path(text: str) -> None:
    with pytest.raises(UserError, match=f"'{text}' {ADDRESS}; give the path of a folder or file"):
        local(text)


@pytest.mark.parametrize("text", ["results", "/a/b:c/d", "C:/data", "a b", "./s3:/x", "12:/x", ""])
def test_a_path_is_taken_as_it_is(text: str) -> None:
    assert local(text) == Path(text)


@pytest.mark.parametrize(
    "arguments",
    [
        *(["tune", "--cache", "{}"], ["tune", "--config", "{}"]),
        *(["tune", "--start-from", "{}"], ["tune", "{}.yaml"], ["tune", "--set", "start={}"], ["check", "{}.yaml"]),
        *(["train", "--set", "start={}"], ["train", "--set", "datasets.fgvc.root={}"]),
        *(["train", "--set", "datasets.fgvc.clean={}"], ["train", "--set", "text.model={}"]),
        *(["train", "--set", "text.templates={}.txt"], ["train", "--set", "model.backbone.weights={}"]),
        ["best", "--save", "{}"],
        *(
            ["report", "{}.json"],
            ["report", "--to", "{}"],
            ["compare", "a", "b", "--to", "{}"],
        ),
        *(["ensemble", "--to", "{}"], ["ensemble", "--cache", "{}"], ["synth", "{}"]),
        *(["data", "--out", "{}"], ["data", "--clean", "{}"]),
        *(["predict", "{}", "x.png"], ["predict", "x.pt", "{}"], ["predict", "x.pt", "x.png", "--out", "{}"]),
    ],
    ids=" ".join,
)
def test_every_path_of_the_command_line_refuses_an_address_and_makes_nothing(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "x.png").touch()
    try:
        status = main([word.format("s3://bucket/x") for word in arguments])
    except SystemExit as left:  # argparse leaves by itself
        status = int(left.code or 0)
    said = " ".join(capsys.readouterr().err.split())
    assert status == 2, said
    assert re.search(ADDRESS, said)
    assert [p.name for p in tmp_path.iterdir()] == ["x.png"]


def test_a_cache_at_an_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from raytune_planes.datasets.cache import default_cache

    monkeypatch.setenv("XDG_CACHE_HOME", "s3://bucket/cache")
    with pytest.raises(UserError, match=ADDRESS):
        default_cache()


@pytest.fixture(params=["pipe", "socket", "device"])
def odd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """Something that is no file, with what it is called."""
    path = tmp_path / "odd"
    if request.param == "pipe":
        os.mkfifo(path)
        yield path, "a named pipe"
    elif request.param == "socket":
        here = os.getcwd()
        with socket.socket(socket.AF_UNIX) as listening:
            os.chdir(tmp_path)  # the path of a socket is short
            try:
                listening.bind(path.name)
            finally:
                os.chdir(here)
            yield path, "a socket"
    else:
        path.symlink_to("/dev/zero")
        yield path, "a device"


READERS: dict[str, Callable[[Path], object]] = {
    "checkpoint": checkpoint.load,
    "configuration": load,
    "space": lambda path: load_space(path),
    "labels": files.lines,
    "plan": lambda path: cleaning.read_plan(path, "fgvc"),
    "templates": lambda path: read_templates(str(path)),
    "log": read_log,
    "picture": images.decode,
    "picture's size": images.size_of,
    "records": lambda path: reading.read_ends(path.parent),
}
NAMES = {"space": "mine.yaml", "templates": "mine.txt", "records": "study.json"}


@pytest.mark.parametrize("what", READERS)
def test_no_reader_waits_for_a_pipe_or_reads_a_device(what: str, odd: tuple[Path, str]) -> None:
    path, kind = odd
    path = path.rename(path.with_name(NAMES.get(what, "odd")))
    with pytest.raises(UserError) as refused:
        READERS[what](path)
    if what not in ("space", "records"):  # those look for a file, and say that there is none
        assert f"it is {kind}, not a file" in str(refused.value)


@pytest.mark.parametrize("what", READERS)
def test_a_folder_in_place_of_a_file_is_a_mistake(what: str, tmp_path: Path) -> None:
    path = tmp_path / NAMES.get(what, "odd")
    path.mkdir()
    with pytest.raises(UserError):
        READERS[what](path)


def test_a_file_is_regular_also_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    (tmp_path / "b").symlink_to("a")
    assert regular(tmp_path / "b") == tmp_path / "b"
    with pytest.raises(FileNotFoundError):
        regular(tmp_path / "gone")


@pytest.mark.parametrize(("name", "cut"), [("a" * 300, "a" * 200), ("é" * 300, "é" * 100), ("short", "short")])
def test_a_name_is_cut_between_letters(name: str, cut: str) -> None:
    assert shortened(name, 200) == cut


@pytest.mark.parametrize("name", ["a/b", "a b", "\x1b]0;x\x07", "x" * 65, ""])
def test_a_dataset_has_a_name_that_can_name_files(name: str) -> None:
    with pytest.raises(UserError, match="is not a valid dataset name; use up to 64 letters, digits, - and _"):
        make_config({f"datasets.{name}.reader": "image_folder"})


def test_a_log_whose_datasets_would_name_files_elsewhere_is_refused(tmp_path: Path) -> None:
    entry = {"epoch": 1, "train": {"../x": {"accuracy": 0.5}}, "val": {"../x": {"accuracy": 0.5}}}
    (tmp_path / "log.json").write_text(json.dumps([entry]))
    with pytest.raises(UserError, match="is no training log"):
        read_log(tmp_path / "log.json")


def test_what_is_kept_in_a_home_that_cannot_be_made_is_kept_among_temporary_files_and_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "file" / "home"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    found = [default_cache(), default_cache()]
    assert found == [tmp_path / f"raytune-planes-{os.getuid()}"] * 2
    assert found[0].stat().st_mode & 0o777 == 0o700
    assert [record.getMessage() for record in caplog.records] == [
        f"Not a directory: ~/.cache/raytune-planes, so decoded pictures are kept in {found[0]}; "
        "--cache or XDG_CACHE_HOME names another place"
    ]
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "file"))
    with pytest.raises(NotADirectoryError):
        default_cache()
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(other))
    (other / found[0].name).symlink_to(tmp_path)
    with pytest.raises(UserError, match="belongs to someone else; name one with --cache or XDG_CACHE_HOME"):
        default_cache()


@pytest.mark.parametrize("folder", ["plain", "with blank", "50%20 %zz", "a?b=c", "a#b"])
def test_the_address_of_a_database_leads_back_to_its_file(folder: str, tmp_path: Path) -> None:
    path = tmp_path / folder / "x.db"
    assert sqlite_file(sqlite_address(path)) == path
    assert sqlite_address(tmp_path / "plain" / "x.db") == f"sqlite:///{tmp_path}/plain/x.db"


def test_other_addresses_have_no_file() -> None:
    assert [sqlite_file(text) for text in ("postgresql://host/x", "http://host", "sqlite://", "./mlruns")] == [None] * 4
