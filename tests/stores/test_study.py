"""A study whose results are in a bucket: cut off, killed, resumed on another machine, and read on a third."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

import raytune_planes as rp
from raytune_planes.cli import main
from raytune_planes.commands.stored import folder_of
from raytune_planes.datasets.synthetic import synthesise
from raytune_planes.errors import UserError
from raytune_planes.invocation import in_folder
from raytune_planes.stores.address import where
from raytune_planes.tracking import read_study
from tests.chaos.agreement import differences
from tests.chaos.attack import TITLES
from tests.stores.server import Server

SPACE = """
about: Does it survive?
objectives: [{metric: val/planesnet/accuracy}]
fixed:
  budget.epochs: 3
  budget.steps_per_epoch: 3
  budget.batch_size: 4
  model.backbone.width: 8
  model.dit.heads: 2
  model.decoder.width: 4
  datasets.planesnet.image_size: 16
  datasets.hrplanes.enabled: false
  datasets.fgvc.enabled: false
search:
  optim.lr: {float: [1e-4, 1e-2], log: true}
study: {rungs: {enabled: false}}
"""
AWAY = "are sent when that is possible again: s3://"
SECRET = "wJalrXUtnFEMIsecret"


COMPARED = ("trial", "epoch", "drawn", "metrics", "gains")


class Machine:
    """A folder of this machine that stands for another: its own state, cache and home."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.folder = folder
        folder.mkdir()
        own = {"XDG_STATE_HOME": str(folder / "state"), "XDG_CACHE_HOME": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
        aws = Server.environment(folder, server.url) | {"AWS_SECRET_ACCESS_KEY": SECRET}
        self.environment = {k: v for k, v in {**os.environ, **aws, **own}.items() if v}

    def start(self, *words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "raytune_planes", *words]
        with (self.folder / "log").open("a") as log:
            return subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=log, stderr=log, text=True)

    def ask(self, capsys: pytest.CaptureFixture[str], *words: str) -> str:
        """What a command answers that starts nothing; in this process, which spares it the start of Python."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environment.items():
                patch.setenv(name, value)
            patch.chdir(self.folder)
            capsys.readouterr()
            assert main([*words]) == 0, capsys.readouterr().err
        return capsys.readouterr().out

    @property
    def said(self) -> str:
        return (self.folder / "log").read_text()


@pytest.mark.slow
@pytest.mark.timeout(1200)  # three starts of Ray: eight minutes where other programs use both processors
def test_a_study_that_loses_its_store_and_its_machine_ends_as_if_nothing_had_happened(
    s3: Server, bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    synthesise(tmp_path / "data", planesnet=40, hrplanes=0, fgvc=0, fgvc_classes=2, seed=0)
    s3.put_folder(tmp_path / "data", bucket, "aircraft")
    (tmp_path / "tiny.yaml").write_text(SPACE)
    out, data = f"s3://{bucket}/results", f"s3://{bucket}/aircraft"
    asked = (
        str(tmp_path / "tiny.yaml"),
        "--data",
        data,
        "--concurrent",
        "1",
        "--no-references",
        "--learn-from",
        "none",
    )
    first, other, third = (Machine(tmp_path / name, s3) for name in ("first", "other", "third"))

    def ends() -> int:
        return sum(name.endswith("end.json") for name in s3.names(bucket, "results/night/trials"))

    def ends_here() -> int:
        return len(list(first.folder.rglob("night/trials/*/end.json")))

    held: list[psutil.Process] = []
    driver = first.start("tune", *asked, "--name", "night", "--trials", "400", "--out", out)
    try:
        until(lambda: ends() >= 1, driver)
        s3.line.cut()
        cut_at = ends()
        ended = ends_here()
        until(lambda: ends_here() >= ended + 2, driver)  # the study goes on meanwhile
        held = trials_of(driver)  # or it ends dozens until the next try to send, which two other studies then repeat
        for process in held:
            process.suspend()
        until(lambda: AWAY in first.said, driver)
        assert ends() == cut_at
        s3.line.mend()
        until(lambda: "Results are sent again" in first.said, driver)
    finally:
        driver.send_signal(signal.SIGKILL)
        driver.wait()
        for process in held:
            with suppress(psutil.NoSuchProcess):
                process.resume()
    assert held, "no trial was running"
    done = ends()
    assert done >= cut_at + 2
    assert first.said.count(AWAY) == first.said.count("Results are sent again") == 1, first.said

    more = str(done + 2)
    resumed = ("--resume", "night", "--trials", more, "--out", out)
    assert other.start("tune", *resumed).wait() == 0, other.said
    assert f"All of study night is in {out}" in other.said
    assert third.start("tune", *asked, "--name", "night", "--trials", more, "--out", "calm").wait() == 0, third.said
    fetched = third.folder / "fetched"
    for name, content in s3.objects(bucket, "results/").items():
        path = fetched / name.removeprefix("results/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        assert SECRET.encode() not in content, name
    for own in ("ray", "optuna.db"):  # of the driver's host, which makes them anew
        assert list((other.folder / "state").rglob(f"night/{own}"))
        assert not (fetched / "night" / own).exists()
    study = read_study(fetched / "night")
    assert study.warnings == ()
    assert Counter(t.number for t in study.trials) == Counter(range(done + 2))
    assert differences(third.folder / "calm" / "night", fetched / "night") == []

    best, usual = (json.loads(third.ask(capsys, "best", "--json", "--out", place))["best"] for place in (out, "calm"))
    assert {k: best[k] for k in COMPARED} == {k: usual[k] for k in COMPARED}
    assert "night" in third.ask(capsys, "studies", "--out", out)
    picture = next((tmp_path / "data" / "planesnet").rglob("*.png"))
    words = ("predict", "night", str(picture), "--json", "--studies")
    answers = [third.ask(capsys, *words, place) for place in (out, "calm")]
    assert json.loads(answers[0]) == json.loads(answers[1])
    third.ask(capsys, "report", "night", "--no-pictures", "--out", out)
    assert any(name.startswith("results/plots/night/") for name in s3.names(bucket, "results/plots"))


def test_a_results_folder_in_a_bucket_that_is_not_there_is_refused(
    s3: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for words in (["best"], ["studies"], ["tune"], ["predict", "s", "x.png"]):
        option = "--studies" if words[0] == "predict" else "--out"
        assert main([*words, option, "s3://absent-bucket/x"]) == 2
        assert "there is no bucket 'absent-bucket'" in capsys.readouterr().err


def test_what_a_killed_driver_had_not_sent_stays_until_another_machine_goes_on_and_is_put_aside_whole_then(
    s3: Server, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    out = f"s3://{bucket}/results"
    s3.client.put_object(Bucket=bucket, Key="results/night/epochs.jsonl", Body=b"1\n")
    s3.client.put_object(Bucket=bucket, Key="results/.drivers/night.json", Body=b'{"run": "mine"}')
    folder = folder_of(where(out))
    later = folder / "night" / "epochs.jsonl"
    later.parent.mkdir(parents=True)
    later.write_text("1\n2\n")
    (folder / ".last.json").write_text('{"night": "mine"}')
    assert main(["studies", "--out", out]) == 0
    assert later.read_text() == "1\n2\n"
    s3.client.put_object(Bucket=bucket, Key="results/.drivers/night.json", Body=b'{"run": "other"}')
    assert main(["studies", "--out", out]) == 0
    assert later.read_text() == "1\n"
    assert [path.read_text() for path in folder.glob(".aside-night-*/epochs.jsonl")] == ["1\n2\n"]


def test_what_lies_beside_studies_in_a_bucket_is_not_copied_to_this_host(
    s3: Server, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    there = (
        "aircraft/a.png",
        "aircraft/deep/study.json",
        "read.me",
        "night/study.json",
        "night/best.yaml",
        "logs/a.json",
    )
    for name in there:
        s3.client.put_object(Bucket=bucket, Key=name, Body=b"{}")
    main(["studies", "--out", f"s3://{bucket}"])
    folder = folder_of(where(f"s3://{bucket}"))
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {name for name in found if not name.startswith(".")} == {
        "night/study.json",
        "night/best.yaml",
        "logs/a.json",
    }


def test_messages_name_the_address_and_not_the_copy_on_this_host(
    s3: Server, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert main(["best", "--out", f"s3://{bucket}/results"]) == 2
    assert f"no study in s3://{bucket}/results; run" in capsys.readouterr().err
    with pytest.raises(UserError, match=f"no study in s3://{bucket}/results; run"):
        rp.load_study("night", out=f"s3://{bucket}/results")
    folder = folder_of(where(f"s3://{bucket}/results"))
    assert folder.is_relative_to(tmp_path / "state")
    assert in_folder(folder) == f" --out s3://{bucket}/results"


def trials_of(driver: subprocess.Popen[str]) -> list[psutil.Process]:
    """The processes that train trials for ``driver``."""
    found = []
    for process in psutil.Process(driver.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if any(part.startswith(TITLES["actor"]) for part in process.cmdline()[:1]):
                found.append(process)
    return found


def until(holds: Callable[[], bool], driver: subprocess.Popen[str], seconds: float = 240.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert driver.poll() is None, "the driver ended"
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.1)
