"""The champion: who becomes it, and that it answers over HTTP what ``predict`` says of the same pictures."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from raytune_planes.cli import main
from raytune_planes.commands.champion import register
from raytune_planes.errors import UserError
from raytune_planes.records import End
from raytune_planes.report.standing import RESULTS
from raytune_planes.tracking import DataDescription, JsonlTracker
from raytune_planes.tracking.files import trial_folder
from raytune_planes.tracking.mlflow_connection import connect, default_uri
from raytune_planes.tracking.mlflow_model import fetch
from tests.serving.test_answers import scene
from tests.toy import INFOS, toy_data
from tests.tracking.studies import START, ended, epoch, play, three_trials, trial

CHAMPION = "models:/raytune-planes@champion"


N = {"val/fgvc/images": 100.0, "val/hrplanes/scenes": 50.0, "val/planesnet/images": 100.0}


def a_study(
    out: Path, name: str, weights: Path, fgvc: float, iou: float, planesnet: float, *, end: End = End.COMPLETED
) -> Path:
    """A study of one trial that reached this; its folder."""
    data = {dataset: DataDescription("f00d", {}) for dataset in INFOS}
    record = ended(trial(0), end, "3 epochs", epoch(1, fgvc, iou, planesnet, **N))
    start = replace(START, name=name, goal=replace(START.goal, floors={}), data=data)
    play(JsonlTracker(out), start=start, trials=(record,))
    folder = out / name
    shutil.copy(weights, trial_folder(folder, 0, record.trial_id) / "best.pt")
    return folder


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning")
def test_the_alias_moves_only_where_no_dataset_loses_more_than_its_interval(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, uri = tmp_path / "results", default_uri(tmp_path / "results")

    def register_one(*reached: float) -> str:
        name = f"study-{len(list(out.glob('*/study.json')))}"
        return register(a_study(out, name, weights, *reached), uri)

    def holder() -> str:
        return str(connect(uri).get_model_version_by_alias("raytune-planes", "champion").version)

    assert register_one(0.5, 0.5, 1.0) == f"{CHAMPION} (version 1)", "the first one"
    said = register_one(0.9, 0.9, 0.96).splitlines()
    assert holder() == "1", "planesnet lies below 0.9630, where the interval of 100 right of 100 begins"
    assert said[0] == (
        "models:/raytune-planes/2; @champion stays version 1: planesnet/accuracy is worse by more than the interval"
    )
    assert said[2].split() == ["fgvc/accuracy", "0.9000", "0.5000", "[0.4038,", "0.5962]", "100", "pictures"]
    assert said[-1].endswith(f"raytune-planes sync study-1 --out {out} --promote")
    capsys.readouterr()
    assert main(["sync", "study-1", "--out", str(out), "--promote"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[1] == (
        f"Model: {CHAMPION} (version 2), in place of version 1 as asked, although planesnet/accuracy is worse by more "
        "than the interval"
    )
    assert holder() == "2"

    said = register_one(0.95, 0.95, 0.95).splitlines()
    assert holder() == "3", "better, and within the interval where it is worse"
    assert said[0].startswith(f"{CHAMPION} (version 3), in place of version 2: no dataset is worse")
    connect(uri).delete_model_version_tag("raytune-planes", "3", RESULTS)
    assert (
        "@champion stays version 3: what the champion reached is not recorded, so the two cannot be compared"
        in register_one(1.0, 1.0, 1.0)
    )
    assert holder() == "3"


def test_a_study_without_a_model_has_no_champion(weights: Path, tmp_path: Path) -> None:
    failed = a_study(tmp_path, "failed", weights, 0.1, 0.1, 0.1, end=End.FAILED)
    with pytest.raises(UserError, match="no complete trial keeps every floor, so none becomes the champion"):
        register(failed, default_uri(tmp_path))
    lost = a_study(tmp_path, "lost", weights, 0.1, 0.1, 0.1)
    (trial_folder(lost, 0, "ab00") / "best.pt").unlink()
    with pytest.raises(UserError, match=r"the weights of trial 0 are gone: there is no .*0000-ab00/best\.pt"):
        register(lost, default_uri(tmp_path))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning")
def test_the_champion_served_over_http_answers_what_predict_says(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = {name: DataDescription("f00d", {}, synthetic=True) for name in INFOS}
    play(JsonlTracker(tmp_path), start=replace(START, data=data))
    best = three_trials()[3]
    folder = tmp_path / "quick-1"
    shutil.copy(weights, trial_folder(folder, best.number, best.trial_id) / "best.pt")
    assert register(folder, default_uri(tmp_path)) == f"{CHAMPION} (version 1, a model of SYNTHETIC pictures)"
    version = connect(default_uri(tmp_path)).get_model_version_by_alias("raytune-planes", "champion")
    assert version.tags["synthetic"] == "true"
    assert version.description.startswith("Study quick-1, trial 3, epoch ")
    assert " Validation: planesnet/accuracy 0.9300, " in version.description
    assert ". Of synthetic pictures, drawn by this program" in version.description
    assert sorted(version.tags)[-1] == "trial_results", "what is for programs stands last in the UI"
    card = fetch(CHAMPION, default_uri(tmp_path), "MODEL_CARD.md").read_text()
    assert card == (folder / "MODEL_CARD.md").read_text(), "the card is with the model"
    assert card.startswith("# Model card: trial 3 of study `quick-1`\n")

    source, _ = scene()
    pictures = {"scene.png": source}
    Image.fromarray(toy_data()["planesnet"].images_NHWC[1]).save(tmp_path / "chip.png")
    pictures["chip.png"] = (tmp_path / "chip.png").read_bytes()
    (tmp_path / "scene.png").write_bytes(source)
    capsys.readouterr()
    assert (
        main(["predict", CHAMPION, *(str(tmp_path / n) for n in pictures), "--studies", str(tmp_path), "--json"]) == 0
    )
    expected = json.loads(capsys.readouterr().out)

    port = free_port()
    line = [
        "-m",
        "mlflow",
        "models",
        "serve",
        "-m",
        CHAMPION,
        "--env-manager",
        "local",
        "-p",
        str(port),
        "-h",
        "127.0.0.1",
    ]
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # it starts uvicorn by name
    environment = {**os.environ, "MLFLOW_TRACKING_URI": default_uri(tmp_path), "PATH": programs}
    server = subprocess.Popen(
        [sys.executable, *line],
        env=environment,
        start_new_session=True,
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        rows = [["", base64.b64encode(picture).decode()] for picture in pictures.values()]
        asked = {"dataframe_split": {"columns": ["dataset", "image"], "data": rows}}
        told = ask(f"http://127.0.0.1:{port}/invocations", asked, server)["predictions"]
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGTERM)
        server.wait(20)
    assert [t["dataset"] for t in told] == ["hrplanes", "planesnet"]
    assert all(each["synthetic"] == list(INFOS) for each in told)
    for served, said in zip(told, expected, strict=True):
        del said["picture"]
        assert served.keys() == said.keys()
        assert [each["label"] for each in served["labels"]] == [each["label"] for each in said["labels"]]
        for one, other in zip(numbers(served), numbers(said), strict=True):
            assert one == pytest.approx(other, abs=1e-5)  # another process may cut its sums otherwise


def numbers(told: object) -> list[float]:
    """All of an answer, in order."""
    if isinstance(told, dict):
        told = list(told.values())
    if isinstance(told, list):
        return [number for each in told for number in numbers(each)]
    return [float(told)] if isinstance(told, int | float) else []


def no_number(text: str) -> object:
    raise AssertionError(f"{text} is no JSON")


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


def ask(url: str, content: object, server: subprocess.Popen[bytes]) -> dict[str, list[dict[str, object]]]:
    """The server's answer, once it listens."""
    request = urllib.request.Request(url, json.dumps(content).encode(), {"Content-Type": "application/json"})
    while True:
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                return dict(json.loads(reply.read(), parse_constant=no_number))
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()) from None
        except OSError:
            assert server.poll() is None, "the server ended"
            time.sleep(0.2)
